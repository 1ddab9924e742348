"""What a node tells peers of its ledger: blocks, outcomes of a gateway's own vertices, rows of the registry.

Every answer ends with a signed checkpoint and the inclusion paths that lead to it, so that whoever asks need not
believe this node. Blocking, and for one thread: the sync service calls it in its reader's. Bounded in blocks and bytes;
what does not fit is asked for again from where it ended.

Place in a record's life: behind its commit. Source: docs/spec/sync.md (WantBlocks, Have, WantRows).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from drystone import limits
from drystone.gateway.registry_copy import SPACES, rows_digest
from drystone.gateway.sync.messages import (
    Done,
    Have,
    OrderedBlock,
    Rows,
    WantBlocks,
    WantRows,
)
from drystone.ledger import keyspace
from drystone.service.proofs import SignedHead
from drystone.storage.blocks import StoredBlock
from drystone.storage.ledger import LedgerDB
from drystone.storage.outcomes import encode_outcomes
from drystone.storage.vertices import VertexDB
from drystone.trees.log import inclusion_path

ROWS_BYTES: Final = 8_192
"""Bytes of rows in one answer: on a thin link a page must not hold up what is live."""

BLOCKS_BYTES: Final = 262_144
"""Bytes of blocks in one answer; one block always goes."""

OWN_VERTICES: Final = 256
"""A gateway's vertices whose outcomes are told in one answer."""


class SyncReads:
    """Answers what peers ask of the ordered ledger."""

    def __init__(
        self, ledger: LedgerDB, vertices: VertexDB, *, signed_head: Callable[[], SignedHead]
    ) -> None:
        self._ledger = ledger
        self._vertices = vertices
        self._signed_head = signed_head
        self._digests: dict[tuple[bytes, bytes], bytes] = {}

    def forget_rows(self) -> None:
        """The registry has changed: digests of its rows are made anew."""
        self._digests.clear()

    def height(self) -> int:
        """Height of the last block."""
        return self._ledger.height

    def blocks(self, want: WantBlocks) -> list[OrderedBlock]:
        """Give blocks behind a height, the last with a checkpoint over all of them; none where there are none."""
        head = self._signed_head()
        found: list[OrderedBlock] = []
        size = 0
        limit = min(want.limit, limits.SYNC_BLOCKS_MAX)
        for stored in self._ledger.blocks(after=want.after, limit=limit):
            if stored.size > head.size:
                break
            found.append(self._block(stored, head))
            size += _size_of(found[-1])
            if size > BLOCKS_BYTES:
                break
        return _signed(found, head)

    def done(self, iss: str, sub: str, have: Have) -> Done | None:
        """Give the blocks that hold a gateway's vertices behind a place, as far as they follow one another.

        None while nothing behind the place is ordered.
        """
        after = (iss, sub, -1, -1) if have.place is None else (iss, sub, *have.place)
        head = self._signed_head()
        heights: dict[int, OrderedBlock] = {}
        place: tuple[int, int] | None = None
        size = 0
        vertices = self._vertices.listed((iss, sub), after=after, limit=OWN_VERTICES)
        more = len(vertices) == OWN_VERTICES
        for vertex in vertices:
            order = self._ledger.order_of(vertex.id)
            if order is None:
                more = False
                break
            if order.height not in heights:
                stored = self._ledger.block(order.height)
                if stored is None or stored.size > head.size:
                    break
                block = self._block(stored, head)
                size += _size_of(block)
                if heights and (size > BLOCKS_BYTES or len(heights) >= limits.SYNC_BLOCKS_MAX):
                    more = True
                    break
                heights[order.height] = block
            place = (vertex.epoch, vertex.seq)
        if place is None:
            return None
        blocks = [block for _, block in sorted(heights.items())]
        return Done(place, tuple(_signed(blocks, head)), more)

    def rows(self, want: WantRows) -> Rows:
        """Give rows of the registry behind a key, or say that those up to a key are the same as the asker's."""
        height = self._ledger.height
        if want.digest:
            stretch = (want.after, want.last)
            if stretch not in self._digests:
                if len(self._digests) >= limits.MEMO_ROWS_MAX:
                    self._digests.clear()
                held = list(self._rows(want.after, upto=want.last))
                self._digests[stretch] = rows_digest(held)
            if self._digests[stretch] == want.digest:
                behind = next(self._rows(want.last), None) is not None
                end = want.last if behind else b""
                return Rows(want.after, height, same=True, last=end, rows=())
        page: list[tuple[bytes, bytes]] = []
        size = 0
        for key, value in self._rows(want.after):
            size += len(key) + len(value) + 8
            if page and (size > ROWS_BYTES or len(page) >= limits.SYNC_ROWS_MAX):
                return Rows(want.after, height, same=False, last=page[-1][0], rows=tuple(page))
            page.append((key, value))
        return Rows(want.after, height, same=False, last=b"", rows=tuple(page))

    def _rows(self, after: bytes, *, upto: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the copied rows of the registry behind a key, by key."""
        for space in SPACES:
            prefix = keyspace.key(space)
            if after and after[0] > space:
                continue
            last = after if after.startswith(prefix) else None
            while pairs := self._ledger.scan(prefix, after=last, limit=limits.LIST_ROWS_MAX):
                for key, value in pairs:
                    if upto and key > upto:
                        return
                    yield key, value
                last = pairs[-1][0]

    def _block(self, stored: StoredBlock, head: SignedHead) -> OrderedBlock:
        with self._ledger.snapshot():
            path = inclusion_path(stored.size - 1, head.size, self._ledger.nodes(head.size))
        counts = stored.outcomes.counts
        return OrderedBlock(
            entry=stored.entry,
            first_leaf=stored.first_leaf,
            size=stored.size,
            vertices=tuple(zip(stored.vertices, counts, strict=True)),
            exceptions=encode_outcomes(stored.outcomes),
            changed=_changes_registry(stored),
            checkpoint=None,
            path=tuple(path),
        )


def _changes_registry(stored: StoredBlock) -> bool:
    """Whether a block may have changed the registry: a call of it says so by an event."""
    return any(
        event.contract in {"registry", "governance", "contracts"}
        for outcome in stored.outcomes.exceptions
        for event in outcome.events
    )


def _signed(blocks: Sequence[OrderedBlock], head: SignedHead) -> list[OrderedBlock]:
    if not blocks:
        return []
    return [*blocks[:-1], blocks[-1]._replace(checkpoint=head.note)]


def _size_of(block: OrderedBlock) -> int:
    """Bytes of a block on a wire, nearly."""
    return (
        len(block.entry) + len(block.exceptions) + 32 * len(block.path) + 36 * len(block.vertices)
    )
