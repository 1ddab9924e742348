"""A batch: records on their way from acknowledgement to outcome.

It is what one request brought that was new: one intake row, later a stretch of one vertex's body. It holds columns, not
records (`workers/checked.py`), and requests wait for its futures, never for a record's. It is memory only: after a
restart batches are built again from vertices.db.

Place in a record's life: between intake and commit. Source: design.md sections 3.2 and 3.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from drystone.records.record import Record, Verified
from drystone.workers.checked import HASH_BYTES, Checked, Position, pack, position_of


class Sealed(NamedTuple):
    """Where a batch lies: the vertex's id and address, and the index of the batch's first record in its body."""

    vertex: bytes
    iss: str
    sub: str
    epoch: int
    seq: int
    base: int


class Committed(NamedTuple):
    """What became of a batch: the block's height, and the codes of records that were not accepted, by index."""

    height: int
    codes: dict[int, str]


class Batch:
    """New records of one request, acknowledged together, sealed side by side."""

    __slots__ = (
        "__weakref__", "awaited", "committed", "count", "durable", "entries", "packet", "positions", "row", "sealed",
        "sequence", "where",
    )  # fmt: skip

    def __init__(
        self, *, sequence: bytes, positions: Sequence[Position], entries: bytes, packet: bytes
    ) -> None:
        """Take columns of the same records; must be called where a loop runs."""
        loop = asyncio.get_running_loop()
        self.sequence = sequence
        """The records' bytes, verbatim, as they are stored."""
        self.positions = positions
        self.count = len(positions)
        self.entries = entries
        """Their hashes, one after the other."""
        self.packet = packet
        """As the executor gets them."""
        self.row: int | None = None
        """Its row in vertices.db while it is stored and not yet sealed."""
        self.where: Sealed | None = None
        self.awaited = False
        """Whether a request waits, or has waited, for its outcome."""
        self.durable: asyncio.Future[None] = loop.create_future()
        self.sealed: asyncio.Future[Sealed] = loop.create_future()
        self.committed: asyncio.Future[Committed] = loop.create_future()

    @classmethod
    def of_checked(cls, checked: Checked, sequence: bytes) -> "Batch":
        """Make a batch of a request whose records are all good and all new."""
        return cls(
            sequence=sequence,
            positions=checked.positions,
            entries=checked.entries,
            packet=checked.packet,
        )

    @classmethod
    def of_items(cls, items: Sequence[Verified | Record]) -> "Batch":
        """Make a batch of single records, verified or not."""
        records = [item.record if isinstance(item, Verified) else item for item in items]
        return cls(
            sequence=b"".join([record.raw for record in records]),
            positions=[position_of(record) for record in records],
            entries=b"".join([record.entry for record in records]),
            packet=pack(items),
        )

    @property
    def size(self) -> int:
        """Bytes of the records."""
        return len(self.sequence)

    def entry_list(self) -> list[bytes]:
        """Give the records' hashes apart."""
        entries = self.entries
        return [entries[at : at + HASH_BYTES] for at in range(0, len(entries), HASH_BYTES)]

    def fail(self, error: Exception) -> None:
        """Tell everyone who waits that this batch was not stored."""
        for future in (self.durable, self.sealed, self.committed):
            if not future.done():
                future.set_exception(error)
                future.exception()  # Nobody may be waiting; that is no defect.
