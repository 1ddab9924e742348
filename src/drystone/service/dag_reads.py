"""Reads of the DAG: the window over vertices.db, witness counts of any vertex, frontier, tips, forks.

Blocking, in the reader's thread. `step` brings the window up to date, a bounded number of vertices at a time; nobody
has to tell it anything, so it serves a node, a gateway and a follower alike: what was ordered is asked of an
`OrderSource`. A vertex older than the window has its witnesses counted among those that arrived soon after it.
Place in a record's life: beside its vertex. Source: design.md sections 3.3, 3.4 and 4.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, cast

from drystone import limits
from drystone.api.dag_values import DagCursor, DagPage, ForkInfo, FrontierInfo
from drystone.formats import cbor
from drystone.ledger import keyspace, rows
from drystone.records.vertex import decode_header
from drystone.service.dag_window import DagWindow
from drystone.storage.ledger import LedgerDB
from drystone.storage.mirror import MirrorDB
from drystone.storage.vertices import StoredVertex, VertexDB

STEP_VERTICES: Final = 256
"""Vertices that one step takes in: some 20 ms of the reader's thread."""

ORDER_BLOCKS: Final = 64
"""Blocks that one step looks through for vertices that were ordered."""

PIECE_VERTICES: Final = 1_024
"""Older vertices whose witnesses are counted together ..."""

PIECE_BEYOND: Final = 2_048
"""... among themselves and this many that arrived next."""

PIECES_REMEMBERED: Final = 64


class OrderedIn(NamedTuple):
    """A block and the vertices that it orders."""

    height: int
    vertices: Sequence[bytes]


class OrderSource(Protocol):
    """Who knows what has been ordered; ledger.db on a node, the mirror on a gateway."""

    @property
    def height(self) -> int:
        """Of the last block that is known."""
        ...

    def height_of(self, vertex_id: bytes, /) -> int | None:
        """Give the block that orders a vertex, None while it waits."""
        ...

    def ordered(self, *, after: int, limit: int) -> Sequence[OrderedIn] | None:
        """Give blocks by height, rising, behind a height; None where nobody keeps which vertices a block has."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """Return the state's value under `key`, or None."""
        ...

    def scan(self, prefix: bytes, *, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Return the state's pairs whose key starts with `prefix`, by key, behind the key `after`."""
        ...


class LedgerOrder:
    """The order as ledger.db has it."""

    def __init__(self, ledger: LedgerDB) -> None:
        self._ledger = ledger
        self.get = ledger.get
        self.scan = ledger.scan

    @property
    def height(self) -> int:
        """Of the last block."""
        return self._ledger.height

    def height_of(self, vertex_id: bytes, /) -> int | None:
        """Give the block that orders a vertex."""
        order = self._ledger.order_of(vertex_id)
        return None if order is None else order.height

    def ordered(self, *, after: int, limit: int) -> list[OrderedIn]:
        """Give blocks behind a height."""
        found = self._ledger.blocks(after=after, limit=limit, newest_first=False)
        return [OrderedIn(block.height, block.vertices) for block in found]


class MirrorOrder:
    """The order as a gateway's mirror has it: of the gateway's own vertices, and of others' as far as it was told."""

    def __init__(self, mirror: MirrorDB) -> None:
        self._mirror = mirror
        self.get = mirror.get

    @property
    def height(self) -> int:
        """Of the highest block seen."""
        return self._mirror.last.height

    def height_of(self, vertex_id: bytes, /) -> int | None:
        """Give the block that orders a vertex."""
        order = self._mirror.order_of(vertex_id)
        return None if order is None else order.height

    def ordered(self, *, after: int, limit: int) -> None:
        """The mirror does not keep which vertices a block has."""
        del after, limit

    def scan(self, prefix: bytes, *, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """The mirror copies the registry; evidence is not part of it."""
        del prefix, after, limit
        return []


class DagReads:
    """Answers what is asked of the DAG. One thread at a time."""

    def __init__(
        self,
        vertices: VertexDB,
        order: OrderSource,
        *,
        life: int,
        size_max: int = limits.DAG_WINDOW_VERTICES,
    ) -> None:
        """Read nothing yet; `life` tells cursors of this start from those of an earlier one."""
        self._vertices = vertices
        self._order = order
        self._life = life
        self._size_max = size_max
        self._window = DagWindow(size_max=size_max, find_number=self._number_of)
        self._number: int | None = None
        self._height = 0
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}
        self._pieces: OrderedDict[int, list[int]] = OrderedDict()
        self._forked: set[tuple[str, str, int, int]] | None = None

    def step(self) -> bool:
        """Take in some of what came since the last step; say whether that was all."""
        if self._number is None:
            self._number = max(0, self._vertices.last_number() - self._size_max)
            self._height = self._order.height
            for head in self._vertices.frontier().values():
                if head.number <= self._number:
                    self._window.keep_tip(head.id)
        found = self._vertices.arrived(after=self._number, limit=STEP_VERTICES)
        for stored in found:
            self._take(stored)
        return self._settle() and len(found) < STEP_VERTICES

    # --- the window --------------------------------------------------------------------------------

    def page(self, after: DagCursor | None, limit: int) -> DagPage:
        """Give what is new or changed behind a cursor; everything in the window without one.

        A cursor of another life of the node counts as none: rows that come twice do no harm.
        """
        stamp = after.stamp if after is not None and after.life == self._life else 0
        found = self._window.changed(after=stamp, limit=limit)
        behind = self._window.stamp_behind(found)
        return DagPage(
            vertices=found,
            cursor=DagCursor(self._life, behind),
            more=behind < self._window.stamp,
        )

    def tips(self) -> list[bytes]:
        """Give the ids of the vertices that none here builds on."""
        return self._window.tips()

    def frontier(self) -> list[FrontierInfo]:
        """Give every author's last vertex, by author."""
        waiting = self._window.waiting_by_author()
        return [
            FrontierInfo(
                iss=stored.iss,
                sub=stored.sub,
                epoch=stored.epoch,
                seq=stored.seq,
                id=stored.id,
                time_ms=decode_header(stored.header).time_ms,
                height=self._order.height_of(stored.id),
                waiting=sum(n for author, n in waiting.items() if author == key),
            )
            for key, stored in self._vertices.frontier().items()
        ]

    def _take(self, stored: StoredVertex) -> None:
        header = decode_header(stored.header)
        author, place = (stored.iss, stored.sub), (stored.epoch, stored.seq)
        contested = False
        last = self._seen.get(author)
        if last is None or place <= last:
            there = self._vertices.at_place(*author, epoch=stored.epoch, seq=stored.seq)
            contested = len(there) > 1
        self._seen[author] = place if last is None else max(last, place)
        if contested and self._forked is not None:
            self._forked.add((*author, *place))
        self._window.add(
            header,
            vertex_id=stored.id,
            number=stored.number,
            height=self._order.height_of(stored.id),
            contested=contested,
        )
        self._number = stored.number

    def _settle(self) -> bool:
        """Note what was ordered since the last step; say whether that was all."""
        if self._order.height <= self._height:
            return True
        waiting = self._window.waiting()
        found = None
        if len(waiting) > ORDER_BLOCKS:
            found = self._order.ordered(after=self._height, limit=ORDER_BLOCKS)
        if found is None:
            self._height = self._order.height
            for vertex_id in waiting:
                height = self._order.height_of(vertex_id)
                if height is not None:
                    self._window.order(vertex_id, height=height)
            return True
        for block in found:
            for vertex_id in block.vertices:
                self._window.order(vertex_id, height=block.height)
            self._height = block.height
        return len(found) < ORDER_BLOCKS

    def _number_of(self, vertex_id: bytes) -> int | None:
        stored = self._vertices.find(vertex_id)
        return None if stored is None else stored.number

    def heights(self, vertex_ids: Sequence[bytes]) -> list[int | None]:
        """Give the blocks that order vertices; None for those that wait."""
        return [self._order.height_of(one) for one in vertex_ids]

    # --- witnesses ---------------------------------------------------------------------------------

    def witnesses(self, vertex_id: bytes) -> int:
        """Give how many other authors built on a vertex; 0 for one that is not here.

        Exact within the window. For an older one: among the vertices that arrived soon after it, hence at least this.
        """
        count = self._window.witnesses(vertex_id)
        if count is not None:
            return count
        number = self._number_of(vertex_id)
        if number is None:
            return 0
        piece, place = divmod(number - 1, PIECE_VERTICES)
        counts = self._piece(piece)
        return counts[place] if place < len(counts) else 0

    def _piece(self, piece: int) -> list[int]:
        """Count the witnesses of a run of older vertices, once."""
        known = self._pieces.get(piece)
        if known is not None:
            return known
        first = piece * PIECE_VERTICES
        size = PIECE_VERTICES + PIECE_BEYOND
        window = DagWindow(size_max=size)
        found = self._vertices.arrived(after=first, limit=size)
        for stored in found:
            header = decode_header(stored.header)
            window.add(header, vertex_id=stored.id, number=stored.number, height=0)
        counts = [window.witnesses(stored.id) or 0 for stored in found[:PIECE_VERTICES]]
        self._pieces[piece] = counts
        if len(self._pieces) > PIECES_REMEMBERED:
            self._pieces.popitem(last=False)
        return counts

    # --- forks -------------------------------------------------------------------------------------

    def forks(self) -> list[ForkInfo]:
        """Give the forks that this node holds or the ledger has evidence of, by author, at most a list's rows."""
        if self._forked is None:
            self._forked = set(self._vertices.forked_places(limit=limits.LIST_ROWS_MAX))
        found: dict[tuple[str, ...], ForkInfo] = {}
        for iss, sub, epoch, seq in sorted(self._forked):
            there = self._vertices.at_place(iss, sub, epoch=epoch, seq=seq)
            a, b, *_ = sorted(one.id for one in there)
            key = keyspace.evidence(iss, sub, "vertex", epoch)
            found[iss, sub, "vertex", f"{epoch:020}", f"{seq:020}"] = ForkInfo(
                iss=iss,
                sub=sub,
                kind="vertex",
                epoch=epoch,
                seq=seq,
                ids=(a, b),
                held=True,
                convicted=self._order.get(key) is not None,
                epoch_min=self._epoch_min(iss, sub, "vertex"),
            )
        held = {one.ids for one in found.values()}
        prefix = keyspace.key(keyspace.EVIDENCE)
        for key, value in self._order.scan(prefix, after=None, limit=limits.LIST_ROWS_MAX):
            one = self._convicted(key, value)
            if one.ids not in held:
                found[one.iss, one.sub, one.kind, f"{one.epoch:020}", ""] = one
        return [found[name] for name in sorted(found)]

    def _convicted(self, key: bytes, value: bytes) -> ForkInfo:
        parts = [cbor.decode(item) for item in cbor.split_sequence(key, items_max=8)][1:]
        iss, sub, kind, epoch = cast("tuple[str, str, str, int]", tuple(parts))
        a, b = cast("tuple[bytes, bytes]", tuple(cast("list[bytes]", cbor.decode(value))))
        return ForkInfo(
            iss=iss,
            sub=sub,
            kind="vertex" if kind == "vertex" else "record",
            epoch=epoch,
            seq=None,
            ids=(a, b),
            held=False,
            convicted=True,
            epoch_min=self._epoch_min(iss, sub, kind),
        )

    def _epoch_min(self, iss: str, sub: str, kind: str) -> int:
        value = self._order.get(keyspace.member(iss, sub))
        if value is None:
            return 0
        member = rows.decode_member(value)
        return member.vertex_epoch_min if kind == "vertex" else member.epoch_min
