"""What is told to the peer: where chains end here, new vertices, evidence, announcements; and headers it asks for.

All ends are told once, then what moves. A vertex of this gateway's own goes out as its header at once, if the peer has
its parent; others' are collected for a moment and told as ends of chains, unless the peer told the same meanwhile (of
two sides that learn the same, the one whose name is lower speaks first). `told` is what the peer must believe if
nothing was lost; its digest rides in every `Ping`, and a peer that believes something else asks for all of it.

Place in a record's life: vertex. Source: docs/spec/sync.md.
"""

from collections.abc import Mapping, Sequence

from drystone import limits
from drystone.errors import AnnouncementReplayed, EvidenceForged, Refused
from drystone.gateway.sync.chains import Chains
from drystone.gateway.sync.chase import advance, stand_together
from drystone.gateway.sync.line import Line
from drystone.gateway.sync.messages import (
    Announce,
    Fork,
    Frontier,
    Headers,
    Heads,
    Point,
    Stretch,
    Want,
)
from drystone.gateway.sync.notices import fork_digest
from drystone.gateway.sync.wire import heads_digest
from drystone.records.dag import Author
from drystone.records.evidence import check_fork, decode_fork
from drystone.records.key import PublicKey
from drystone.records.vertex import VertexHeader, vertex_id

_HEADER_ROOM = 8
"""Bytes around a header in a message."""

_HEADERS_FULL = limits.SYNC_HEADERS_MAX - limits.SYNC_BRANCHES_MAX
"""Headers in a message to which only branches at the last one's place are still added."""


class Telling:
    """What one peer is told."""

    def __init__(self, line: Line, chains: Chains) -> None:
        self._line = line
        self._chains = chains
        self._told: dict[Author, tuple[Point, ...]] = {}
        self._digest: bytes | None = None
        self._due: dict[Author, int] = {}
        """Authors whose chains moved, and when that is told."""
        self._forks: set[bytes] = set()
        """Digests of the forks that the peer knows."""
        self._announced: dict[Author, int] = {}
        """Epochs of the announcements that the peer knows."""
        self._notices = -1
        self._replays = 0
        self._ready = False
        self._heard = False
        """Whether the peer's frontier came, which says what it knows of forks."""

    @property
    def told(self) -> Mapping[Author, tuple[Point, ...]]:
        """Where chains end here, as the peer was told."""
        return self._told

    # --- frontier ----------------------------------------------------------------------------------

    def whole(self) -> None:
        """Tell where every chain ends here."""
        line = self._line
        self._due.clear()
        heads = [one for one in line.store.heads() if one.points][: limits.SYNC_AUTHORS_MAX]
        self._told = dict(heads)
        self._digest = None
        forks = tuple(sorted(line.store.forks())[: limits.SYNC_FORKS_MAX])
        for page in self._pages(heads) or [()]:
            line.send(Frontier(page, forks))
            forks = ()
        self._ready = True

    def _pages(self, heads: Sequence[Heads]) -> list[tuple[Heads, ...]]:
        """Cut a frontier into messages of the size that the link wants."""
        pages: list[tuple[Heads, ...]] = []
        page: list[Heads] = []
        size = 0
        for one in heads:
            cost = 8 + len(one.author.iss) + len(one.author.sub) + 52 * len(one.points)
            full = size + cost > self._line.chunk or len(page) >= limits.SYNC_FRONTIER_AUTHORS_MAX
            if page and full:
                pages.append(tuple(page))
                page, size = [], 0
            page.append(one)
            size += cost
        return [*pages, tuple(page)] if page else pages

    @property
    def digest(self) -> bytes:
        """What the peer must believe of this frontier, if nothing was lost."""
        if self._digest is None:
            self._digest = heads_digest([Heads(*one) for one in self._told.items()])
        return self._digest

    def grown(self, headers: Sequence[VertexHeader]) -> None:
        """Vertices are kept now: push own ones, note others'."""
        line = self._line
        if not self._ready:
            return
        push: list[bytes] = []
        for header in headers:
            author = Author(header.iss, header.sub)
            own_id = vertex_id(header, line.own.ledger)
            told = self._told.get(author, ())
            if any(point.id == own_id for point in told):
                continue
            own = (header.iss, header.sub) == (line.own.iss, line.own.sub)
            continues = header.parent in {point.id for point in told} or (
                header.parent is None and not told
            )
            if own and continues and author not in self._due:
                push.append(header.raw)
                self._told[author] = advance(told, own_id, header)
                self._digest = None
            else:
                first = line.peer is None or (line.own.iss, line.own.sub) < line.peer
                delay_ms = line.bounds.relay_ms if first else 2 * line.bounds.relay_ms
                if not line.store.has_body(own_id):
                    delay_ms = line.bounds.answer_ms  # Told sooner when its body comes.
                due_ms = line.now_ms + delay_ms
                self._due[author] = min(due_ms, self._due.get(author, due_ms))
        for at in range(0, len(push), limits.SYNC_HEADERS_MAX // 2):
            page = tuple(push[at : at + limits.SYNC_HEADERS_MAX // 2])
            line.send(Headers(number=0, more=False, headers=page))

    def go_on(self) -> None:
        """Tell what is due."""
        line = self._line
        if not self._ready:
            return
        if self._due:
            due_ms = min(self._due.values())
            if line.now_ms >= due_ms:
                self._tell_due()
            else:
                line.wake(due_ms)
        if self._heard and self._notices != line.store.notices:
            self._notices = line.store.notices
            self._tell_notices()

    def _tell_due(self) -> None:
        line = self._line
        news: list[Heads] = []
        for author in sorted(self._due):
            points = line.store.heads_of(author)
            knows = self._chains.theirs.get(author) == points
            if points and points != self._told.get(author) and not knows:
                news.append(Heads(author, points))
                self._told[author] = points
                self._digest = None
        self._due.clear()
        for page in self._pages(news):
            line.send(Frontier(page, ()))

    # --- headers -----------------------------------------------------------------------------------

    def answer(self, want: Want) -> None:
        """Give the peer the headers it asks for, as many as one message takes; it asks on."""
        line = self._line
        found: list[bytes] = []
        size, more = 0, False
        pages = [self._by_id(want.ids), *(self._stretch(one) for one in want.stretches)]
        for page, whole in pages:
            for raw in page:
                cost = len(raw) + _HEADER_ROOM
                full = size + cost > line.chunk or len(found) >= _HEADERS_FULL
                # The peer asks on behind the last place: a fork's branches there come together.
                if found and full and not stand_together(found[-1], raw):
                    more = True
                    break
                found.append(raw)
                size += cost
            more = more or not whole
            if more:
                break
        line.send(Headers(want.number, more, tuple(found)))

    def _by_id(self, ids: Sequence[bytes]) -> tuple[list[bytes], bool]:
        found = [self._line.store.header(own_id) for own_id in ids]
        return [raw for raw in found if raw is not None], True

    def _stretch(self, stretch: Stretch) -> tuple[list[bytes], bool]:
        """Give a stretch's headers, as many as fit a message, and whether these are all."""
        line = self._line
        limit = min(limits.SYNC_HEADERS_MAX // 2, max(1, line.chunk // 128))
        limit += limits.SYNC_BRANCHES_MAX
        found = line.store.headers(stretch, limit=limit)
        if len(found) < limit:
            return found, True
        cut = found.pop()
        while len(found) > 1 and stand_together(found[-1], cut):
            cut = found.pop()
        return found, False

    # --- evidence and announcements ----------------------------------------------------------------

    def knows_forks(self, digests: Sequence[bytes]) -> None:
        """The peer knows these forks already."""
        if len(self._forks) <= 4 * limits.SYNC_FORKS_MAX:
            self._forks.update(digests)
        if not self._heard:
            self._heard, self._notices = True, -1

    def take_fork(self, evidence: bytes) -> None:
        """Take evidence from the peer.

        Raises:
            EvidenceForged: it convicts nobody.
        """
        line = self._line
        ledger = line.own.ledger
        try:
            fork = decode_fork(evidence, ledger=ledger)
            key = fork_digest(fork)
            if len(self._forks) < 4 * limits.SYNC_FORKS_MAX:
                self._forks.add(key)
            if key in line.store.forks():
                line.useless()
                return
            if any(line.store.member_key_of(one.iss, one.sub, one.kid) is None for one in fork):
                return  # Whose keys are not known here nobody can convict here.
            check_fork(fork, ledger=ledger, key_of=self._key_of)
        except Refused as error:
            raise EvidenceForged(f"{line.name}: {error}") from error
        if line.store.add_fork(evidence):
            line.out.forks.append(evidence)

    def _key_of(self, iss: str, sub: str, kid: bytes) -> PublicKey:
        key = self._line.store.member_key_of(iss, sub, kid)
        assert key is not None, "looked up a moment ago"
        return key

    def take_announcement(self, signed: bytes) -> None:
        """Take an announcement from the peer.

        Raises:
            AnnouncementForged: it is not signed by whom it names.
            AnnouncementReplayed: it is outdated, and so were too many before it.
        """
        line = self._line
        new = line.store.add_announcement(signed)
        if new is None:
            self._replays += 1
            fault = AnnouncementReplayed(f"{line.name} repeats outdated announcements")
            if self._replays > limits.SYNC_REPLAYS_MAX:
                raise fault
            line.fault(fault)
        elif new:
            line.out.announced.append(signed)
        else:
            line.useless()
        for author, one in line.store.announcements().items():
            if one.raw == signed:
                self._announced[author] = one.epoch

    def knows_announcements(self) -> None:
        """The peer knows every announcement that is known here: the digests in both hellos are one."""
        found = self._line.store.announcements()
        self._announced = {author: one.epoch for author, one in found.items()}

    def _tell_notices(self) -> None:
        """Send evidence and announcements that the peer does not know."""
        line = self._line
        for key, evidence in line.store.forks().items():
            if key not in self._forks:
                self._forks.add(key)
                line.send(Fork(evidence))
        for author, one in line.store.announcements().items():
            if self._announced.get(author, -1) < one.epoch:
                self._announced[author] = one.epoch
                line.send(Announce(one.raw))
