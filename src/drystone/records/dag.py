"""The DAG: a set of vertex headers, and what can be told from the set alone.

Each author's vertices are a numbered chain; links tie the chains together. What the set tells does not depend on the
order in which vertices came: `union` is commutative, associative and idempotent. Links may dangle, so that nobody can
park an honest gateway by withholding a vertex; only the parent is a precondition, and `check_place` asks for it before
a vertex is passed on or ordered, while the set itself takes every header.

Here are no bodies, keys, disks or clocks: signatures were checked before, storage and sync live in their own rooms.

Source: docs/concepts (DAG), docs/spec/vertex.cddl.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Self

from drystone.errors import VertexPlace
from drystone.records.evidence import encode_fork
from drystone.records.vertex import VertexHeader, vertex_id


class Author(NamedTuple):
    """Who signs a chain of vertices: organisation and member."""

    iss: str
    sub: str


class Point(NamedTuple):
    """The last known vertex of an author."""

    epoch: int
    seq: int
    id: bytes


class Range(NamedTuple):
    """A stretch of an author's vertices, both ends included."""

    author: Author
    epoch: int
    first: int
    last: int


class Dag:
    """A set of vertex headers of one ledger.

    Two spellings of one vertex (a second ECDSA signature) are one element; the smaller bytes stay, whichever came
    first.
    """

    def __init__(self, ledger: bytes, headers: Iterable[VertexHeader] = ()) -> None:
        """Start with `headers`; `ledger` is the 32-byte ledger id."""
        self._ledger = ledger
        self._headers: dict[bytes, VertexHeader] = {}
        self._places: dict[Author, dict[tuple[int, int], list[bytes]]] = {}
        self._order: dict[Author, list[tuple[int, int]]] = {}
        self._children: dict[bytes, list[bytes]] = {}  # also of vertices that are not here
        for header in headers:
            self.add(header)

    def __len__(self) -> int:
        return len(self._headers)

    def __iter__(self) -> Iterator[bytes]:
        """The ids, sorted."""
        return iter(sorted(self._headers))

    def __contains__(self, identity: bytes) -> bool:
        return identity in self._headers

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Dag):
            return NotImplemented
        return self._ledger == other._ledger and self._headers == other._headers

    __hash__ = None  # pyright: ignore[reportAssignmentType] - a set that grows has no hash

    def get(self, identity: bytes) -> VertexHeader | None:
        """The header of this id, if it is here."""
        return self._headers.get(identity)

    def at(self, author: Author, *, epoch: int, seq: int) -> tuple[bytes, ...]:
        """The ids at a place, sorted: none, one, or the branches of a fork."""
        return tuple(self._places.get(author, {}).get((epoch, seq), ()))

    def add(self, header: VertexHeader) -> bytes:
        """Put a header in and return its id; adding it again changes nothing.

        Does not check the signature, the parent (`check_place`) or whether the place is taken (`forks`).
        """
        identity = vertex_id(header, self._ledger)
        known = self._headers.get(identity)
        if known is not None:
            if header.raw < known.raw:
                self._headers[identity] = header
            return identity
        self._headers[identity] = header
        author, place = Author(header.iss, header.sub), (header.epoch, header.seq)
        ids = self._places.setdefault(author, {}).setdefault(place, [])
        if not ids:
            insort(self._order.setdefault(author, []), place)
        insort(ids, identity)
        for target in _targets(header):
            self._children.setdefault(target, []).append(identity)
        return identity

    def union(self, other: Self) -> "Dag":
        """The set of all vertices of both; neither is changed."""
        assert self._ledger == other._ledger
        return Dag(self._ledger, [*self._headers.values(), *other._headers.values()])

    def tips(self) -> list[bytes]:
        """The ids that no vertex here names as parent or link, sorted."""
        return [identity for identity in self if identity not in self._children]

    def dangling(self) -> list[bytes]:
        """The ids that vertices here name and that are not here, sorted."""
        return sorted(target for target in self._children if target not in self._headers)

    def frontier(self) -> dict[Author, Point]:
        """The last vertex of every author, by author; of a fork's branches at the last place the smallest id."""
        points: dict[Author, Point] = {}
        for author in sorted(self._order):
            place = self._order[author][-1]
            points[author] = Point(*place, self._places[author][place][0])
        return points

    def missing_ranges(self, theirs: Mapping[Author, Point]) -> list[Range]:
        """The stretches of vertices here that lie beyond another's frontier, by author, oldest first.

        Sending them is all there is to do unless the author forked: see `diverged`.
        """
        ranges: list[Range] = []
        for author in sorted(self._order):
            places = self._order[author]
            point = theirs.get(author)
            # The place after theirs is the smallest that is greater.
            start = 0 if point is None else bisect_left(places, (point.epoch, point.seq + 1))
            for epoch, seq in places[start:]:
                last = ranges[-1] if ranges else None
                if last and last.author == author and last.epoch == epoch and last.last + 1 == seq:
                    ranges[-1] = last._replace(last=seq)
                else:
                    ranges.append(Range(author, epoch, seq, seq))
        return ranges

    def diverged(self, theirs: Mapping[Author, Point]) -> list[Author]:
        """The authors whose last vertex there is another one than the one at the same place here, sorted.

        Then the author forked, and both sides exchange that author's vertices from the epoch's start.
        """
        return [
            author
            for author, point in sorted(theirs.items())
            if (held := self.at(author, epoch=point.epoch, seq=point.seq)) and point.id not in held
        ]

    def forks(self) -> list[bytes]:
        """Evidence (`records/evidence.py`) for every place with more than one vertex: its two smallest ids."""
        return [
            encode_fork(self._headers[ids[0]], self._headers[ids[1]], ledger=self._ledger)
            for author in sorted(self._places)
            for _, ids in sorted(self._places[author].items())
            if len(ids) > 1
        ]

    def witness_count(self, identity: bytes) -> int:
        """How many other authors built on a vertex, directly or on what was built on it; 0 if it is not here.

        Only what is here counts: a path through a vertex that is missing is no path.
        """
        if identity not in self._headers:
            return 0
        own = _author(self._headers[identity])
        others = len(self._order) - 1
        witnesses: set[Author] = set()
        seen, todo = {identity}, [identity]
        while todo and len(witnesses) < others:
            for child in self._children.get(todo.pop(), ()):
                if child not in seen:
                    seen.add(child)
                    todo.append(child)
                    witnesses.add(_author(self._headers[child]))
                    witnesses.discard(own)
        return len(witnesses)

    def check_place(self, header: VertexHeader) -> None:
        """Check that a header continues its author's chain here: its parent is here and is the one before it.

        Links are not looked at. That the place is free is not checked: two vertices at one place are evidence.

        Raises:
            VertexPlace: the parent is not here, is another author's, or does not precede the header's place.
        """
        if header.parent is None:
            return
        parent = self._headers.get(header.parent)
        if parent is None:
            raise VertexPlace("the parent is not here")
        check_follows(header, parent)


def check_follows(header: VertexHeader, parent: VertexHeader) -> None:
    """Check that a header's place follows its parent's: the next number, or 0 in a later epoch.

    Does not check that `header.parent` is the id of `parent`: the caller looked it up by that.

    Raises:
        VertexPlace: it does not, or the two have different authors.
    """
    if _author(header) != _author(parent):
        raise VertexPlace("the parent is another author's")
    if header.seq == 0:
        if parent.epoch >= header.epoch:
            raise VertexPlace("a new epoch continues a vertex of an earlier one")
    elif (parent.epoch, parent.seq + 1) != (header.epoch, header.seq):
        raise VertexPlace(
            f"vertex {header.epoch}/{header.seq} cannot follow {parent.epoch}/{parent.seq}"
        )


def _author(header: VertexHeader) -> Author:
    return Author(header.iss, header.sub)


def _targets(header: VertexHeader) -> tuple[bytes, ...]:
    return header.links if header.parent is None else (header.parent, *header.links)
