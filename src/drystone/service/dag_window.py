"""The newest part of the DAG, in memory: who built on whom, which vertices wait, what changed since when.

A node holds every vertex on disk; what people look at and what witness counts need is the newest part. This window
keeps a bounded number of vertices in the order of their arrival. Each has a set of the authors that built on it,
directly or through others, as bits of an integer. A new vertex adds its author's bit to what it names and to what
lies below, and stops where the bit is already: so a vertex gets each author's bit once, and all counts stay exact at
the cost of one step per vertex and author. What is only named and not here counts for nothing.

Pure: no disk, no clock. The caller brings vertices with their numbers, and the heights of those that were ordered.
Place in a record's life: beside its vertex, until it is final and after. Source: design.md sections 3.4 and 4.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from drystone.api.dag_values import DagVertex
from drystone.records.dag import Author
from drystone.records.vertex import VertexHeader

TIPS_KEPT: Final = 256
"""Tips older than the window that are remembered: the last vertices of gateways that fell silent."""

FindNumber = Callable[[bytes], int | None]
"""Gives the number of a vertex that is older than the window; None: it is not here."""


class _Vertex:
    """A vertex in the window; `mask` has a bit for every author that built on it, its own included."""

    __slots__ = (
        "author", "bit", "count", "dangling", "epoch", "first", "forked", "height", "id", "length",
        "links", "mask", "number", "parent", "seq", "stamp", "targets", "time_ms",
    )  # fmt: skip

    def __init__(
        self, header: VertexHeader, author: Author, *, vertex_id: bytes, number: int, bit: int
    ) -> None:
        # Not the header itself: its bytes and signature are three times what is needed here.
        self.id = vertex_id
        self.number = number
        self.author = author
        self.epoch = header.epoch
        self.seq = header.seq
        self.first = header.parent
        self.targets = header.links if header.parent is None else (header.parent, *header.links)
        self.time_ms = header.time_ms
        self.count = header.count
        self.length = header.length
        self.bit = bit
        self.mask = 0
        self.height: int | None = None
        self.parent: int | None = None
        self.links: tuple[int, ...] = ()
        self.dangling = 0
        self.forked = False
        self.stamp = 0

    @property
    def witnesses(self) -> int:
        return (self.mask & ~self.bit).bit_count()


class DagWindow:
    """At most `size_max` vertices, the oldest forgotten first."""

    def __init__(self, *, size_max: int, find_number: FindNumber = lambda _: None) -> None:
        """Begin empty; `find_number` is asked about vertices that are named and not in the window."""
        self._size_max = size_max
        self._find_number = find_number
        self._vertices: dict[bytes, _Vertex] = {}  # In the order of the stamps.
        self._arrived: deque[_Vertex] = deque()
        self._children: dict[bytes, list[_Vertex]] = {}  # Also of what is not here.
        self._places: dict[tuple[Author, int, int], list[_Vertex]] = {}
        self._authors: dict[Author, tuple[Author, int]] = {}  # The one object of each, and its bit.
        self._waiting: dict[bytes, _Vertex] = {}
        self._old_tips: dict[bytes, None] = {}
        self.stamp = 0
        """Of the last change."""

    def __len__(self) -> int:
        return len(self._vertices)

    def __contains__(self, vertex_id: bytes) -> bool:
        return vertex_id in self._vertices

    # --- changes -----------------------------------------------------------------------------------

    def add(
        self,
        header: VertexHeader,
        *,
        vertex_id: bytes,
        number: int,
        height: int | None,
        contested: bool = False,
    ) -> None:
        """Put in a vertex that arrived after all others here; one that is here already stays as it is.

        `contested` says that another vertex of its place is known that may be older than the window.
        """
        if vertex_id in self._vertices:
            return
        name = Author(header.iss, header.sub)
        author, bit = self._authors.setdefault(name, (name, 1 << len(self._authors)))
        vertex = _Vertex(header, author, vertex_id=vertex_id, number=number, bit=bit)
        vertex.height, vertex.forked = height, contested
        if height is None:
            self._waiting[vertex_id] = vertex
        self._arrived.append(vertex)
        self._touch(vertex)
        self._place(vertex)
        self._tie_below(vertex)
        for child in self._children.get(vertex_id, ()):
            self._tie_late(child, vertex)
        self._witness(vertex)
        while len(self._vertices) > self._size_max:
            self._forget(self._arrived.popleft())

    def order(self, vertex_id: bytes, *, height: int) -> None:
        """Note that a block orders a vertex; one that is not waiting here changes nothing."""
        vertex = self._waiting.pop(vertex_id, None)
        if vertex is not None:
            vertex.height = height
            self._touch(vertex)

    def keep_tip(self, vertex_id: bytes) -> None:
        """Remember a tip that is older than the window, unless something here names it."""
        if vertex_id not in self._vertices and not self._children.get(vertex_id):
            self._old_tips[vertex_id] = None
            if len(self._old_tips) > TIPS_KEPT:
                del self._old_tips[next(iter(self._old_tips))]

    # --- questions ---------------------------------------------------------------------------------

    def changed(self, *, after: int, limit: int) -> list[DagVertex]:
        """Give vertices that changed after a stamp, in the order of their last change."""
        found: list[_Vertex] = []
        for vertex in reversed(self._vertices.values()):
            if vertex.stamp <= after:
                break
            found.append(vertex)
        return [_row(vertex) for vertex in found[: -limit - 1 : -1]]

    def stamp_behind(self, page: list[DagVertex]) -> int:
        """Give the stamp of a page's last vertex; the last change of all for an empty one."""
        return self._vertices[page[-1].id].stamp if page else self.stamp

    def witnesses(self, vertex_id: bytes) -> int | None:
        """Give how many other authors built on a vertex; None where it is not in the window."""
        vertex = self._vertices.get(vertex_id)
        return None if vertex is None else vertex.witnesses

    def tips(self) -> list[bytes]:
        """Give the ids that no vertex here names, sorted; older ones as far as they are remembered."""
        here = [one for one in self._vertices if not self._children.get(one)]
        return sorted([*here, *self._old_tips])

    def waiting(self) -> list[bytes]:
        """Give the ids of the vertices here that no block orders yet, in the order of arrival."""
        return list(self._waiting)

    def waiting_by_author(self) -> dict[Author, int]:
        """Give how many vertices of each author wait."""
        counts: dict[Author, int] = {}
        for vertex in self._waiting.values():
            counts[vertex.author] = counts.get(vertex.author, 0) + 1
        return counts

    # --- how it is kept ----------------------------------------------------------------------------

    def _touch(self, vertex: _Vertex) -> None:
        self._vertices.pop(vertex.id, None)
        self._vertices[vertex.id] = vertex
        self.stamp += 1
        vertex.stamp = self.stamp

    def _place(self, vertex: _Vertex) -> None:
        """Note who stands where; two at one place are a fork, and both say so."""
        there = self._places.setdefault((vertex.author, vertex.epoch, vertex.seq), [])
        there.append(vertex)
        if len(there) > 1:
            for one in there:
                if not one.forked:
                    one.forked = True
                    self._touch(one)

    def _tie_below(self, vertex: _Vertex) -> None:
        """Find what a new vertex names."""
        links: list[int] = []
        for target in vertex.targets:
            self._children.setdefault(target, []).append(vertex)
            self._old_tips.pop(target, None)
            below = self._vertices.get(target)
            number = self._find_number(target) if below is None else below.number
            if number is None:
                vertex.dangling += 1
            elif target == vertex.first:
                vertex.parent = number
            else:
                links.append(number)
        vertex.links = tuple(links)

    def _tie_late(self, child: _Vertex, vertex: _Vertex) -> None:
        """A vertex has come that `child` named before it was here."""
        if vertex.id == child.first:
            child.parent = vertex.number
        else:
            child.links = (*child.links, vertex.number)
        child.dangling -= 1
        vertex.mask |= child.mask | child.bit
        self._touch(child)

    def _witness(self, vertex: _Vertex) -> None:
        """Tell everything below a new vertex who built on it."""
        todo = [(vertex, vertex.mask | vertex.bit)]
        while todo:
            above, bits = todo.pop()
            for target in above.targets:
                below = self._vertices.get(target)
                if below is None:
                    continue
                new = bits & ~below.mask
                if new:
                    below.mask |= new
                    todo.append((below, new))
                    if new & ~below.bit:
                        self._touch(below)

    def _forget(self, vertex: _Vertex) -> None:
        """Let go of the oldest; what it named is older still."""
        del self._vertices[vertex.id]
        self._waiting.pop(vertex.id, None)
        place = (vertex.author, vertex.epoch, vertex.seq)
        self._places[place].remove(vertex)
        if not self._places[place]:
            del self._places[place]
        for target in vertex.targets:
            children = self._children[target]
            children.remove(vertex)
            if not children:
                del self._children[target]
        self.keep_tip(vertex.id)


def _row(vertex: _Vertex) -> DagVertex:
    return DagVertex(
        number=vertex.number,
        iss=vertex.author.iss,
        sub=vertex.author.sub,
        epoch=vertex.epoch,
        seq=vertex.seq,
        id=vertex.id,
        parent=vertex.parent,
        links=vertex.links,
        dangling=vertex.dangling,
        time_ms=vertex.time_ms,
        count=vertex.count,
        length=vertex.length,
        height=vertex.height,
        witnesses=vertex.witnesses,
        forked=vertex.forked,
    )
