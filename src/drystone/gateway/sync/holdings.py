"""What is here: places of vertices, ends of chains, tips, bodies still to come, forks, announcements.

In memory and quick, over vertices.db: the newest `limits.DAG_HEADERS_MAX` vertices by id, everything older by a look at
the disk. *Kept* is what is durable, *staged* what is on its way there: staged vertices count when it comes to parents
and to what need not be asked for, never when others are told what is here.

One thread, the front's. Reads vertices.db (a reader's connection of its own), never writes it. What is kept must come
with its parents before it: `session.py` sees to that. Place in a record's life: vertex.
Source: design.md section 3.4, docs/spec/sync.md.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from drystone import limits
from drystone.errors import Refused, VertexAltered
from drystone.gateway.sync.effects import Arrived, HeaderStore, Place
from drystone.gateway.sync.messages import Heads, Point, Stretch
from drystone.gateway.sync.notices import KeyOf, Notices
from drystone.ledger import keyspace, rows
from drystone.ledger.view import Reader
from drystone.records.dag import Author
from drystone.records.evidence import encode_fork
from drystone.records.key import PublicKey, trusted_cose_key
from drystone.records.vertex import VertexHeader, check_vertex_signature, decode_header
from drystone.storage.vertices import StoredVertex

PAGE: Final = 512
"""Rows read at a time when starting."""

BODIES_NOTED_MAX: Final = 16_384
"""Bodies still to come that are kept in mind; further ones are looked up when these have come."""


class _Staged(NamedTuple):
    """A vertex on its way to the disk."""

    place: Place
    header: VertexHeader


class VertexHoldings(Notices):
    """`effects.Holdings` over vertices.db."""

    def __init__(
        self,
        *,
        store: HeaderStore,
        ledger: bytes,
        key_of: KeyOf,
        member_key_of: KeyOf | None = None,
        wants: Callable[[VertexHeader], bool] | None = None,
    ) -> None:
        """Read what vertices.db holds; some 50 µs for each of the newest vertices.

        `key_of` gives the keys of vertices' authors (`gateway_keys`), `member_key_of` those of everybody, for evidence
        and announcements (`member_keys`; default: authors' only). `wants` says whose bodies are wanted (default:
        everybody's); a header is always kept.
        """
        super().__init__(ledger=ledger, member_key_of=member_key_of or key_of)
        self._store = store
        self._key_of = key_of
        self._wants = wants or _everybodys
        self._names: dict[Author, Author] = {}
        """One object for each author, however many vertices it has."""
        self._places: dict[bytes, Place] = {}
        self._heads: dict[Author, dict[bytes, tuple[int, int]]] = {}
        self._tops: dict[Author, dict[bytes, tuple[int, int]]] = {}
        """As `_heads`, staged vertices included."""
        self._tips: dict[bytes, Place] = {}
        self._cited: dict[bytes, None] = {}
        """Ids that vertices here name and that are not here."""
        self._staged: dict[bytes, _Staged] = {}
        self._staged_bodies: set[bytes] = set()
        self._wanted: dict[bytes, int] = {}
        """Bodies still to come: length by id, in the order of arrival."""
        self._wanted_after: int | None = 0
        """Behind this number of vertices.db others may be wanted; None: there are none."""
        self.generation = 0
        self._loading = True
        self._load()
        self._loading = False

    # --- what is kept ------------------------------------------------------------------------------

    def heads(self) -> list[Heads]:
        """Give where every author's chain ends, by author."""
        return [Heads(author, self.heads_of(author)) for author in sorted(self._heads)]

    def heads_of(self, author: Author) -> tuple[Point, ...]:
        """Give where an author's chain ends: nothing, one point, or one per branch, sorted."""
        ends = self._heads.get(author, {})
        return tuple(sorted(Point(*place, own_id) for own_id, place in ends.items()))

    def headers(self, stretch: Stretch, *, limit: int) -> list[bytes]:
        """Give the kept headers of a stretch, oldest first, both branches of a fork."""
        iss, sub = stretch.author
        epoch, seq = stretch.first
        found = self._page(stretch.author, (iss, sub, epoch, seq - 1), limit)
        return [one.header for one in found if (one.epoch, one.seq) <= stretch.last]

    def header(self, own_id: bytes) -> bytes | None:
        """Give a kept header."""
        found = self._store.find(own_id)
        return None if found is None else found.header

    def has_body(self, own_id: bytes) -> bool:
        """Whether the body is here, or was and has been pruned."""
        return own_id not in self._wanted and own_id not in self._staged and self._known(own_id)

    def tips(self, *, limit: int = limits.VERTEX_LINKS_MAX) -> list[bytes]:
        """Give kept vertices that no kept vertex names, the youngest first: what a new vertex may cite."""
        return list(islice(reversed(self._tips), limit))

    def __len__(self) -> int:
        """Vertices in memory."""
        return len(self._places)

    # --- kept or staged ----------------------------------------------------------------------------

    def find(self, own_id: bytes) -> Place | None:
        """Give the place of a vertex that is kept or staged."""
        staged = self._staged.get(own_id)
        if staged is not None:
            return staged.place
        place = self._places.get(own_id)
        if place is not None:
            return place
        found = self._store.find(own_id)
        return None if found is None else _place(found)

    def tops_of(self, author: Author) -> list[tuple[int, int]]:
        """Give the places where an author's chain ends, staged vertices included, lowest first."""
        return sorted(self._tops.get(author, {}).values())

    def takes(self, header: VertexHeader) -> bool:
        """Whether a header may be staged: not if it were one branch too many of its author."""
        tops = self._tops.get(Author(header.iss, header.sub), {})
        return header.parent in tops or len(tops) < limits.SYNC_BRANCHES_MAX

    def wants_body(self, own_id: bytes) -> bool:
        """Whether the header is kept, its body is not, and should be."""
        return own_id in self._wanted and own_id not in self._staged_bodies

    def wanted(self) -> Iterable[tuple[bytes, int]]:
        """Give id and length of bodies still to come, in the order of arrival; not those on their way to the disk."""
        if len(self._wanted) < PAGE and self._wanted_after is not None:
            self._note_wanted()
        return (one for one in self._wanted.items() if one[0] not in self._staged_bodies)

    def postpone(self, ids: Sequence[bytes]) -> None:
        """Put wanted bodies behind all others."""
        for own_id in ids:
            length = self._wanted.pop(own_id, None)
            if length is not None:
                self._wanted[own_id] = length

    def wanted_header(self, own_id: bytes) -> VertexHeader | None:
        """Give the header of a vertex whose body is wanted."""
        if not self.wants_body(own_id):
            return None
        raw = self.header(own_id)
        return None if raw is None else decode_header(raw)

    # --- what arrives ------------------------------------------------------------------------------

    def check(self, header: VertexHeader) -> bool:
        """Verify a header's signature; say no when its author's key is not known here.

        Raises:
            VertexAltered: the author did not sign this.
        """
        key = self._key_of(header.iss, header.sub, header.kid)
        if key is None:
            return False
        try:
            check_vertex_signature(header, key, self._ledger)
        except Refused as error:
            name = f"{header.iss}/{header.sub} {header.epoch}/{header.seq}"
            raise VertexAltered(f"vertex {name}: {error}") from error
        return True

    @property
    def room(self) -> int:
        """How many more vertices may be staged."""
        return max(0, limits.SYNC_STAGED_MAX - len(self._staged) - len(self._staged_bodies))

    def stage(self, arrived: Arrived) -> None:
        """Note that a vertex, or its body, is on its way to the disk."""
        if self._known(arrived.id):
            if arrived.body is not None:
                self._staged_bodies.add(arrived.id)
            return
        header = arrived.header
        place = Place(Author(header.iss, header.sub), header.epoch, header.seq)
        if arrived.id not in self._staged:
            self._staged[arrived.id] = _Staged(place, header)
            _advance(self._tops, place, arrived.id, header.parent)

    def kept(self, arrived: Iterable[Arrived]) -> list[bytes]:
        """These are durable now; give evidence of the forks that they reveal.

        Also takes this gateway's own vertices, which were never staged.
        """
        evidence: list[bytes] = []
        for one in arrived:
            if one.id in self._staged_bodies:
                self._staged_bodies.discard(one.id)
                self._wanted.pop(one.id, None)
                continue
            staged = self._staged.pop(one.id, None) is not None
            if one.body is not None:
                self._wanted.pop(one.id, None)
            if one.id in self._places:
                continue
            evidence += self._add(one.id, one.header)
            if not staged:
                _advance(self._tops, self._places[one.id], one.id, one.header.parent)
            if one.body is None and one.header.count and self._wants(one.header):
                self._note(one.id, one.header.length)
        return evidence

    def dropped(self, arrived: Iterable[Arrived]) -> None:
        """These could not be stored: as if they had never come."""
        for one in arrived:
            self._staged.pop(one.id, None)
            self._staged_bodies.discard(one.id)
        self._tops = {author: dict(ends) for author, ends in self._heads.items()}
        for own_id, staged in self._staged.items():
            _advance(self._tops, staged.place, own_id, staged.header.parent)

    def registry_changed(self) -> None:
        """The registry as it is known here has changed: authors who were unknown are looked up again."""
        self.generation += 1

    # --- inside ------------------------------------------------------------------------------------

    def _known(self, own_id: bytes) -> bool:
        return own_id in self._places or self._store.find(own_id) is not None

    def _add(self, own_id: bytes, header: VertexHeader) -> list[bytes]:
        """Put a vertex in; give evidence if it forks."""
        author = Author(header.iss, header.sub)
        author = self._names.setdefault(author, author)
        place = Place(author, header.epoch, header.seq)
        ends = self._heads.get(author, {})
        doubtful = header.seq == 0 or header.parent not in ends
        if len(self._places) >= limits.DAG_HEADERS_MAX:
            del self._places[next(iter(self._places))]
        self._places[own_id] = place
        _advance(self._heads, place, own_id, header.parent)
        self._note_links(own_id, place, header)
        return self._evidence(own_id, header) if doubtful and ends else []

    def _note_links(self, own_id: bytes, place: Place, header: VertexHeader) -> None:
        targets = header.links if header.parent is None else (header.parent, *header.links)
        for target in targets:
            if self._tips.pop(target, None) is not None or target in self._places:
                continue
            # On the disk it may lie already, and its turn here be still to come.
            if self._loading or target in self._staged or self._store.find(target) is None:
                if len(self._cited) >= limits.DAG_HEADERS_MAX:
                    del self._cited[next(iter(self._cited))]
                self._cited[target] = None
        if own_id in self._cited:
            del self._cited[own_id]
        else:
            self._tips[own_id] = place
            if len(self._tips) > limits.SYNC_AUTHORS_MAX:
                del self._tips[next(iter(self._tips))]

    def _evidence(self, own_id: bytes, header: VertexHeader) -> list[bytes]:
        """Give new evidence if other vertices stand at a vertex's place."""
        found = self._store.at_place(header.iss, header.sub, epoch=header.epoch, seq=header.seq)
        others = sorted(one.header for one in found if one.id != own_id)
        if not others:
            return []
        evidence = encode_fork(header, decode_header(others[0]), ledger=self._ledger)
        return [evidence] if self.add_fork(evidence) else []

    def _load(self) -> None:
        """Read the newest vertices, and the ends of the chains of those who have none among them."""
        after = max(0, self._store.last_number() - limits.DAG_HEADERS_MAX)
        while found := self._store.arrived(after=after, limit=PAGE):
            for stored in found:
                self._add(stored.id, decode_header(stored.header))
            after = found[-1].number
        for iss, sub in self._store.authors():
            author = Author(iss, sub)
            if author not in self._heads:
                last = self._store.listed(author, limit=1, newest_first=True)[0]
                self._heads[author] = {last.id: (last.epoch, last.seq)}
        forked: set[Author] = set()
        for iss, sub, epoch, seq in self._store.forked_places(limit=limits.SYNC_FORKS_MAX):
            pair = self._store.at_place(iss, sub, epoch=epoch, seq=seq)
            a, b = sorted(pair, key=lambda one: one.id)[:2]
            evidence = encode_fork(
                decode_header(a.header), decode_header(b.header), ledger=self._ledger
            )
            self.add_fork(evidence)
            forked.add(Author(iss, sub))
        for author in sorted(forked):
            self._heads[author] = self._ends_of(author)
        self._tops = {author: dict(ends) for author, ends in self._heads.items()}
        self._note_wanted()

    def _ends_of(self, author: Author) -> dict[bytes, tuple[int, int]]:
        """Read a forked author's vertices and give the ends of its branches."""
        iss, sub = author
        ends: dict[bytes, tuple[int, int]] = {}
        parents: set[bytes | None] = set()
        after: tuple[str, str, int, int] = (iss, sub, 0, -1)
        while found := self._page(author, after, PAGE):
            for one in found:
                parents.add(decode_header(one.header).parent)
                ends[one.id] = (one.epoch, one.seq)
            after = (iss, sub, found[-1].epoch, found[-1].seq)
            ends = {own_id: place for own_id, place in ends.items() if own_id not in parents}
            # Children stand behind their parents: what a page names lies in it or before it.
            parents.clear()
        return ends

    def _page(
        self, author: Author, after: tuple[str, str, int, int], limit: int
    ) -> list[StoredVertex]:
        """Read an author's vertices behind a place, and all of the last place: a fork is not torn apart."""
        found = self._store.listed(author, after=after, limit=limit)
        if len(found) < limit:
            return found
        last = found[-1]
        twins = self._store.at_place(last.iss, last.sub, epoch=last.epoch, seq=last.seq)
        return [one for one in found if one.id not in {twin.id for twin in twins}] + twins

    def _note(self, own_id: bytes, length: int) -> None:
        if self._wanted_after is None and len(self._wanted) < BODIES_NOTED_MAX:
            self._wanted[own_id] = length
        elif self._wanted_after is None:
            self._wanted_after = 0  # What is noted already is noted again, and once.

    def _note_wanted(self) -> None:
        """Look up bodies still to come behind those that were looked up."""
        while self._wanted_after is not None and len(self._wanted) < BODIES_NOTED_MAX:
            found = self._store.incomplete(after=self._wanted_after, limit=PAGE)
            for one in found:
                header = decode_header(one.header)
                if self._wants(header):
                    self._wanted[one.id] = header.length
            self._wanted_after = found[-1].number if len(found) == PAGE else None


def gateway_keys(view: Reader) -> KeyOf:
    """Give `key_of` over a state that may be stale: keys of gateways, revoked ones too, because they once spoke."""
    return _keys(view, lambda member, _: rows.GATEWAY in member.roles)


def member_keys(view: Reader) -> KeyOf:
    """Give everybody's keys over a state that may be stale, without revoked ones: a thief could make evidence."""
    return _keys(view, lambda _, key: key.status != rows.REVOKED)


def _keys(view: Reader, speaks: Callable[[rows.Member, rows.KeyRow], bool]) -> KeyOf:
    def key_of(iss: str, sub: str, kid: bytes) -> PublicKey | None:
        member = view.get(keyspace.member(iss, sub))
        value = view.get(keyspace.member_key(iss, sub, kid))
        if member is None or value is None:
            return None
        key = rows.decode_key_row(value)
        if not speaks(rows.decode_member(member), key):
            return None
        return trusted_cose_key(key.cose_key)

    return key_of


def _advance(
    ends: dict[Author, dict[bytes, tuple[int, int]]],
    place: Place,
    own_id: bytes,
    parent: bytes | None,
) -> None:
    """Move an author's end on to a vertex, or begin a branch."""
    of_author = ends.setdefault(place.author, {})
    if parent is not None:
        of_author.pop(parent, None)
    of_author[own_id] = (place.epoch, place.seq)


def _place(stored: StoredVertex) -> Place:
    return Place(Author(stored.iss, stored.sub), stored.epoch, stored.seq)


def _everybodys(_header: VertexHeader) -> bool:
    return True
