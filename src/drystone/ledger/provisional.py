"""The provisional view: `apply` over vertices that nobody has ordered yet, on an overlay over the final state.

Each pending vertex is one *layer*: what it writes over the layers below, and what it looked at. It is applied once, in
the order it is given in, and no state root is computed. When a block becomes final, its vertices leave the overlay; a
layer stays as it is unless something it looked at is now another thing than it saw. From the first such layer on all
is taken off, and is to be given `again`, in the same order: so a view whose order was guessed right is never made
anew, and readings of different devices do not disturb one another.

What was told of a vertex is remembered until it is final; every record of which something else holds then, or after a
new guess, is one `Difference`. Nothing here is a source of truth, and the final state never depends on it (tested).
Bodies are not kept: whoever gives vertices can give them again. Height and time of a layer are guesses too.

Pure: no clock, no disk. Source: design section 3.6, requirement "beyond" 6.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import dropwhile, islice
from typing import Final, NamedTuple

from drystone import limits
from drystone.ledger import keyspace, rows
from drystone.ledger.apply import Memory, apply
from drystone.ledger.change import Block, OrderedVertex, Outcome
from drystone.ledger.differences import Difference, Told, by_vertex, differences
from drystone.ledger.layers import NO_ROOT, ROW_BYTES, Below, Layer, size_of
from drystone.ledger.view import View
from drystone.records import stream
from drystone.records.vertex import VertexHeader

PARTLY_BLOCKS_MAX: Final = 256
"""Blocks for which joined layers that are final in part are waited for; then what is left of them is made anew."""

FINAL_REMEMBERED: Final = 4_096
"""Vertices remembered as final: one of them that is given late is not taken."""


class Given(NamedTuple):
    """What came of giving a vertex: whether it was taken, what is told of it, and what was told otherwise before."""

    taken: bool
    told: Told | None
    differences: tuple[Difference, ...]
    early: bool = False
    """It continues a vertex of its author's that is not here: to be given again behind that one."""


NOT_TAKEN: Final = Given(taken=False, told=None, differences=())
KNOWN: Final = Given(taken=True, told=None, differences=())
EARLY: Final = Given(taken=True, told=None, differences=(), early=True)


class Provisional:
    """A state over `view` with vertices that are not ordered yet. One thread at a time."""

    def __init__(self, view: View, *, bytes_max: int = limits.PROVISIONAL_BYTES_MAX) -> None:
        """Begin with nothing pending; `view` moves by itself, and after each move `settle` is called."""
        self.view = view
        self._bytes_max = bytes_max
        self._layers: list[Layer] = []
        self._top: dict[bytes, Layer] = {}
        """Which layer wrote a key last."""
        self._sorted: list[bytes] = []
        """The keys of `_top` but for streams, which the pipeline never lists."""
        self._told: dict[bytes, Told] = {}
        self._again: dict[bytes, None] = {}
        self._final: dict[bytes, None] = {}
        self._registry_moved = False
        self._streams: dict[bytes, tuple[bytes, stream.Stream]] = {}
        self._keys: dict[bytes, bytes] = {}
        """One object for each key that layers looked at."""
        self._time_ms = 0
        self.size = 0
        """Bytes held, roughly."""
        self._large = False
        self._partly = 0
        """Blocks since the lowest layer is final in part."""

    # --- what is pending ---------------------------------------------------------------------------

    @property
    def vertices(self) -> int:
        """Vertices in the view."""
        return sum(len(layer.vertices) for layer in self._layers)

    @property
    def again(self) -> tuple[bytes, ...]:
        """The vertices to be given again before any new one, the first of them, in order."""
        return tuple(islice(self._again, limits.PROVISIONAL_AGAIN_MAX))

    @property
    def full(self) -> bool:
        """Whether no further vertex is taken until some are final.

        Either there is no room, or what was joined for room is final in part: until all of it is, the values in it
        are nothing to go on from.
        """
        return self._large or (bool(self._layers) and self._layers[0].partly)

    def give(self, vertex: OrderedVertex, *, vertex_id: bytes, time_ms: int) -> Given:
        """Apply one pending vertex on top; parents before children is the caller's part.

        Not taken is a vertex while the view is full, or while another one is to come `again` first. One that is here,
        or that became final a while ago, is known and changes nothing. Checks what `apply` checks.
        """
        if vertex_id in self._final or (vertex_id in self._told and vertex_id not in self._again):
            return KNOWN
        if self._again and next(iter(self._again)) != vertex_id:
            return NOT_TAKEN
        if self.size >= self._bytes_max and not self.full:
            self._make_room()
        if self.full:
            return NOT_TAKEN
        if self._is_early(vertex.header):
            self._again.pop(vertex_id, None)
            return EARLY
        self._time_ms = max(self._time_ms, time_ms)
        below = Below(self.view, self)
        memory = Memory()
        memory.streams = self._streams
        height = self.view.height + 1
        block = Block(height, self._time_ms, (vertex,), NO_ROOT, 0)
        change = apply(below, block, memory)
        if len(self._streams) > limits.PROVISIONAL_STREAMS_MAX:
            self._streams.clear()
        (now,) = by_vertex([len(vertex.records)], change.outcomes)
        self._push(vertex_id, change.writes, below, size=len(now.outcomes))
        self._again.pop(vertex_id, None)
        told = self._told.get(vertex_id)
        self._told[vertex_id] = now
        other = () if told is None else differences(vertex_id, told=told, now=now, final=False)
        return Given(taken=True, told=now, differences=tuple(other))

    def settle(
        self,
        vertices: Sequence[bytes],
        *,
        counts: Sequence[int],
        exceptions: Sequence[Outcome],
        writes: Mapping[bytes, bytes | None],
        time_ms: int,
    ) -> tuple[Difference, ...]:
        """Follow a block that `view` has taken over; give what became of records otherwise than was told.

        `exceptions` are the block's outcomes other than a plain `accepted`, `writes` everything it wrote.
        """
        self._time_ms = max(self._time_ms, time_ms)
        found: list[Difference] = []
        for vertex_id, now in zip(vertices, by_vertex(counts, exceptions), strict=True):
            told = self._told.pop(vertex_id, None)
            if told is not None:
                found += differences(vertex_id, told=told, now=now, final=True)
            self._again.pop(vertex_id, None)
            self._final[vertex_id] = None
        while len(self._final) > FINAL_REMEMBERED:
            del self._final[next(iter(self._final))]
        gone = dict.fromkeys(self._take_off(vertices))
        keep = self._first_disturbed(gone, writes)
        self._partly = self._partly + 1 if self._layers and self._layers[0].partly else 0
        if self._partly > PARTLY_BLOCKS_MAX:
            keep = self._partly = 0
        kept = [layer for layer in self._layers[:keep] if layer not in gone]
        back = [layer for layer in self._layers[keep:] if layer not in gone]
        if back:
            ids = [one for layer in back for one in layer.vertices]
            self._again = dict.fromkeys([*ids, *self._again])
        self._put_down(kept, [*gone, *back])
        return tuple(found)

    def registry(self) -> dict[bytes, bytes | None] | None:
        """Give the pending rows of the registry, if they may have changed since this was last asked."""
        if not self._registry_moved:
            return None
        self._registry_moved = False
        return {
            key: self._top[key].writes[key]
            for key in self._sorted
            if keyspace.space_of(key) in keyspace.REGISTRY
        }

    def told(self, vertex_id: bytes) -> Told | None:
        """What was last told of a pending vertex; None of one that was never given, or is final."""
        return self._told.get(vertex_id)

    def forget(self) -> None:
        """Empty the cache; no later result may be another one for it (tested)."""
        self._streams.clear()

    # --- reading -----------------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        """Return the value under `key` as it would be if everything pending became final as guessed."""
        layer = self._top.get(key)
        return self.view.get(key) if layer is None else layer.writes[key]

    def scan(self, prefix: bytes, *, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Yield the pairs whose key starts with `prefix`, sorted by key, behind the key `after`."""
        pairs = self._merged(prefix)
        return pairs if after is None else dropwhile(lambda pair: pair[0] <= after, pairs)

    def _merged(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        own = iter(self._own_keys(prefix))
        next_own = next(own, None)
        for key, value in self.view.scan(prefix):
            while next_own is not None and next_own < key:
                yield from self._pair(next_own)
                next_own = next(own, None)
            if next_own == key:
                yield from self._pair(key)
                next_own = next(own, None)
            else:
                yield key, value
        while next_own is not None:
            yield from self._pair(next_own)
            next_own = next(own, None)

    def _pair(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        value = self._top[key].writes[key]
        if value is not None:
            yield key, value

    def _own_keys(self, prefix: bytes) -> list[bytes]:
        if not prefix or prefix[0] == keyspace.STREAM:
            return sorted(key for key in self._top if key.startswith(prefix))
        start = bisect_left(self._sorted, prefix)
        end = start
        while end < len(self._sorted) and self._sorted[end].startswith(prefix):
            end += 1
        return self._sorted[start:end]

    def _is_early(self, header: VertexHeader) -> bool:
        """Whether there are places before this one, behind its author's last vertex in the view."""
        value = self.get(keyspace.head(header.iss, header.sub))
        if value is None:
            return header.parent is not None
        head = rows.decode_author_head(value)
        if header.epoch == head.epoch:
            return header.seq > head.seq + 1
        return header.epoch > head.epoch and header.seq > 0

    # --- layers ------------------------------------------------------------------------------------

    def _push(
        self, vertex_id: bytes, writes: dict[bytes, bytes | None], below: Below, *, size: int
    ) -> None:
        same = self._keys.setdefault
        reads = frozenset([same(key, key) for key in below.reads.difference(writes)])
        size += size_of(writes, reads)
        layer = Layer({vertex_id: None}, writes, reads, frozenset(below.prefixes), size)
        self._layers.append(layer)
        self._note_registry(writes)
        self.size += size
        for key in writes:
            if key not in self._top and key[0] != keyspace.STREAM:
                insort(self._sorted, key)
            self._top[key] = layer

    def _take_off(self, vertices: Sequence[bytes]) -> list[Layer]:
        """Mark vertices as final; give the layers of which nothing is pending any more."""
        final = dict.fromkeys(vertices)
        gone: list[Layer] = []
        for layer in self._layers:
            if final.keys().isdisjoint(layer.vertices):
                continue
            layer.vertices = {one: None for one in layer.vertices if one not in final}
            layer.partly = True
            if not layer.vertices:
                gone.append(layer)
        return gone

    def _first_disturbed(
        self, gone: Collection[Layer], writes: Mapping[bytes, bytes | None]
    ) -> int:
        """Give the number of the first layer that looked at something that is another thing now.

        A layer saw, of each key, what the layers below it wrote last, or else the final state. If that was a layer
        that stays, nothing has changed. If it was one that goes, its value is compared with the final one. If it was
        the final state, and the block wrote the key, it counts as changed.
        """
        changed = set(writes).union(*[layer.writes for layer in gone])
        seen: dict[bytes, bytes | None] = {}
        covered: set[bytes] = set()
        for number, layer in enumerate(self._layers):
            if layer in gone:
                for key in changed.intersection(layer.writes):
                    seen[key] = layer.writes[key]
                    covered.discard(key)
                continue
            looked = changed.intersection(layer.reads).union(changed.intersection(layer.writes))
            for prefix in layer.prefixes:
                looked.update([key for key in changed if key.startswith(prefix)])
            for key in looked.difference(covered):
                if layer.partly:
                    continue
                if seen[key] != self.view.get(key) if key in seen else key in writes:
                    return number
            covered.update(changed.intersection(layer.writes))
        return len(self._layers)

    def _put_down(self, kept: list[Layer], gone: Sequence[Layer]) -> None:
        """Go on with these layers only."""
        if not gone:
            return
        self._large = False
        for layer in gone:
            self._note_registry(layer.writes)
        if not kept:
            self._keys.clear()
        from_below = self._layers[: len(gone)] == gone
        self._layers = kept
        self.size -= sum(layer.size for layer in gone)
        if from_below:
            # What was on top of them stays on top; the usual case costs what goes, not what stays.
            for layer in gone:
                for key in layer.writes:
                    if self._top[key] is layer:
                        del self._top[key]
                        if key[0] != keyspace.STREAM:
                            del self._sorted[bisect_left(self._sorted, key)]
            return
        self._top = {key: layer for layer in kept for key in layer.writes}
        self._sorted = sorted(key for key in self._top if key[0] != keyspace.STREAM)

    def _note_registry(self, writes: Mapping[bytes, bytes | None]) -> None:
        spaces = set(map(keyspace.space_of, writes))
        self._registry_moved = self._registry_moved or not spaces.isdisjoint(keyspace.REGISTRY)

    def _make_room(self) -> None:
        """Join the older half of the layers, if need be all of them; full is what is large even so."""
        roomy = self._bytes_max - self._bytes_max // 4
        for count in (len(self._layers) // 2, len(self._layers)):
            if self.size > roomy and count > 1:
                self._join(count)
        self._large = self.size > roomy

    def _join(self, count: int) -> None:
        """Make one layer of the lowest `count`: what was overwritten within it goes."""
        old = self._layers[:count]
        writes: dict[bytes, bytes | None] = {}
        for layer in old:
            writes.update(layer.writes)
        vertices = {one: None for layer in old for one in layer.vertices}
        reads = frozenset[bytes]().union(*[layer.reads for layer in old]).difference(writes)
        size = size_of(writes, reads)
        size += sum(len(self._told[one].outcomes) + ROW_BYTES for one in vertices)
        prefixes = frozenset[bytes]().union(*[layer.prefixes for layer in old])
        partly = any(layer.partly for layer in old)
        joined = Layer(vertices, writes, reads, prefixes, size, partly)
        lower = set(old)
        for key in writes:
            if self._top[key] in lower:
                self._top[key] = joined
        self.size += size - sum(layer.size for layer in old)
        self._layers[:count] = [joined]
