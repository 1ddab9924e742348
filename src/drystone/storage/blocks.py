"""Blocks as rows: what was ordered, what stands in the log for it, and where each vertex went.

A row is written once and never again. Time, state root, validators and protocol stand in the block
entry and nowhere else; `first_leaf` and `head` follow from sizes and roots.
Source: design.md sections 3.5 and 3.7, formats.md (block, head).
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from drystone.errors import DatabaseCorrupt, ReceiptMalformed
from drystone.proof.block import BlockEntry, app_head, decode_block
from drystone.storage.connection import Row
from drystone.storage.database import Database, row_check
from drystone.storage.outcomes import BlockOutcomes, decode_outcomes, encode_outcomes

ID_BYTES: Final = 32

TABLES: Final = (
    """
    CREATE TABLE blocks (
        height INTEGER PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL,
        entry BLOB NOT NULL, vertices BLOB NOT NULL, outcomes BLOB NOT NULL,
        "check" BLOB NOT NULL
    )""",
    # From a log index to its block: the first block whose log is larger.
    "CREATE UNIQUE INDEX blocks_size ON blocks (size)",
    """
    CREATE TABLE ordered (
        vertex BLOB PRIMARY KEY, height INTEGER NOT NULL, position INTEGER NOT NULL
    ) WITHOUT ROWID""",
)

_SELECT: Final = (
    "SELECT b.height, (SELECT size FROM blocks WHERE height = b.height - 1), b.size, b.root,"
    " b.entry, b.vertices, b.outcomes FROM blocks b"
)


class StoredBlock(NamedTuple):
    """One block of the ledger; height 0 is the genesis, which orders nothing."""

    height: int
    first_leaf: int
    """Log entries before it: index of its first accepted record, or of its block entry."""
    size: int
    """Log entries after it; the last one is its block entry."""
    root: bytes
    entry: bytes
    """The block entry's bytes as they stand in the log."""
    vertices: tuple[bytes, ...]
    """Ids in order."""
    outcomes: BlockOutcomes

    @property
    def head(self) -> bytes:
        """The application hash after this block."""
        return app_head(size=self.size, root=self.root)

    @property
    def fields(self) -> BlockEntry:
        """Time, state root, outcomes root, validators and protocol, read from the block entry.

        Raises:
            DatabaseCorrupt: the entry is none.
        """
        try:
            return decode_block(self.entry)
        except ReceiptMalformed as error:
            raise DatabaseCorrupt(f"block {self.height}: {error}") from error

    @property
    def records(self) -> int:
        """Records in the bodies of its vertices, accepted or not."""
        return sum(self.outcomes.counts)


class Order(NamedTuple):
    """Where a vertex was ordered first."""

    height: int
    position: int


def write_block(database: Database, block: StoredBlock) -> None:
    """Store a block and the order of its vertices, inside the caller's transaction.

    A vertex that an earlier block ordered stays where it was.
    """
    vertices = b"".join(block.vertices)
    row = (
        block.height,
        block.size,
        block.root,
        block.entry,
        vertices,
        encode_outcomes(block.outcomes),
    )
    database.rows(
        "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, row_check("blocks", *row))
    )
    database.many(
        "INSERT OR IGNORE INTO ordered VALUES (?, ?, ?)",
        [(vertex, block.height, position) for position, vertex in enumerate(block.vertices)],
    )


def read_block(database: Database, height: int) -> StoredBlock | None:
    """Return the block at a height."""
    return _one(database.rows(f"{_SELECT} WHERE b.height = ?", (height,)))


def block_of_leaf(database: Database, leaf: int) -> StoredBlock | None:
    """Return the block that put entry `leaf` into the log."""
    return _one(database.rows(f"{_SELECT} WHERE b.size > ? ORDER BY b.size LIMIT 1", (leaf,)))


def last_block(database: Database) -> StoredBlock:
    """Return the last block.

    Raises:
        DatabaseCorrupt: there is none, not even the genesis.
    """
    found = _one(database.rows(f"{_SELECT} ORDER BY b.height DESC LIMIT 1"))
    if found is None:
        raise DatabaseCorrupt("ledger.db has no block, not even the genesis")
    return found


def list_blocks(
    database: Database, *, after: int | None, limit: int, newest_first: bool
) -> list[StoredBlock]:
    """Return blocks by height behind `after`, rising or falling."""
    if newest_first:
        where, order = "b.height < ?", "DESC"
        bound = 2**63 - 1 if after is None else after
    else:
        where, order = "b.height > ?", "ASC"
        bound = -1 if after is None else after
    return list(
        _all(
            database.rows(
                f"{_SELECT} WHERE {where} ORDER BY b.height {order} LIMIT ?", (bound, limit)
            )
        )
    )


def order_of(database: Database, vertex_id: bytes) -> Order | None:
    """Return where a vertex was ordered; None while it is not."""
    found = database.row("SELECT height, position FROM ordered WHERE vertex = ?", (vertex_id,))
    return None if found is None else Order(*found)


def _all(rows: Iterable[Row]) -> Iterable[StoredBlock]:
    for height, first_leaf, size, root, entry, vertices, outcomes in rows:
        if len(vertices) % ID_BYTES:
            raise DatabaseCorrupt(f"block {height} does not name whole vertices")
        yield StoredBlock(
            height,
            first_leaf or 0,
            size,
            root,
            entry,
            tuple(vertices[at : at + ID_BYTES] for at in range(0, len(vertices), ID_BYTES)),
            decode_outcomes(outcomes),
        )


def _one(rows: list[Row]) -> StoredBlock | None:
    return next(iter(_all(rows)), None)
