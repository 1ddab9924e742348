"""A batch: records on their way from acknowledgement to outcome.

It is what one request brought that was new: one intake row, later a stretch of one vertex's body. Requests wait for
its futures, never for a record's. It is memory only: after a restart batches are built again from vertices.db.

Place in a record's life: between intake and commit. Source: design.md sections 3.2 and 3.
"""

import asyncio
from typing import NamedTuple, TypeAlias

from drystone.records.record import Record, Verified

Position: TypeAlias = tuple[str, str, str | None, int, int]
"""Organisation, member, attested device, epoch and sequence: what no two accepted records share."""

StreamName: TypeAlias = tuple[str, str, str | None]
"""Organisation, member and attested device: one stream."""


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
        "born_ms", "committed", "durable", "keys", "records", "row", "sealed", "size", "where",
    )  # fmt: skip

    def __init__(self, *, born_ms: int) -> None:
        """Begin an empty batch; must be called where a loop runs."""
        loop = asyncio.get_running_loop()
        self.records: list[Record] = []
        self.keys: list[bytes | None] = []
        """Per record the COSE_Key its signature was verified against; None when this node could not."""
        self.size = 0
        self.born_ms = born_ms
        self.row: int | None = None
        """Its row in vertices.db while it is stored and not yet sealed."""
        self.where: Sealed | None = None
        self.durable: asyncio.Future[None] = loop.create_future()
        self.sealed: asyncio.Future[Sealed] = loop.create_future()
        self.committed: asyncio.Future[Committed] = loop.create_future()

    def add(self, record: Record, key: bytes | None) -> None:
        """Put a record behind the others."""
        self.records.append(record)
        self.keys.append(key)
        self.size += len(record.raw)

    def items(self) -> list[Verified | Record]:
        """Give the records as the pipeline takes them: verified, or still to be."""
        return [
            record if key is None else Verified(record, key)
            for record, key in zip(self.records, self.keys, strict=True)
        ]

    def sequence(self) -> bytes:
        """Give the records as they are stored: one CBOR sequence."""
        return b"".join([record.raw for record in self.records])

    def index_of(self, position: Position) -> int:
        """Give the index of the record at a position that this batch holds."""
        for index, record in enumerate(self.records):
            if position_of(record) == position:
                return index
        raise LookupError(position)

    def fail(self, error: Exception) -> None:
        """Tell everyone who waits that this batch was not stored."""
        for future in (self.durable, self.sealed, self.committed):
            if not future.done():
                future.set_exception(error)
                future.exception()  # Nobody may be waiting; that is no defect.


def position_of(record: Record) -> Position:
    """Give a record's stream position."""
    return (record.iss, record.sub, record.device, record.epoch, record.seq)
