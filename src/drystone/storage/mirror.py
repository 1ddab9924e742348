"""mirror.db: what a gateway knows of the order that others make, good enough to let bodies go and to spare work.

Four things lie here. *Rows* of the registry, copied from the uplink: a stale view, by which intake judges and which
decides nothing. *Blocks* that hold own vertices, the last few thousand, and a checkpoint that covers them. *Ordered*:
where each vertex went and which of its records were refused, with which a body may leave this gateway's disk.
*Streams*: which positions of each device this gateway itself has sealed, so that a copy is a copy although nothing
comes back for weeks.

Nothing acknowledged lies here alone: without this file a gateway asks its uplink again. Written by the front only; each
method that writes is one transaction. If the process dies in it, the file is as before, and the uplink is asked from
the cursor that stands in it. What stands here was checked by `gateway/uplink.py`; this file checks no signature.

Place in a record's life: beside its vertex, until the outcome is known. Source: design.md sections 3.2 and 4.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, cast

from drystone import limits
from drystone.errors import DatabaseCorrupt, DrystoneError, InvariantBroken
from drystone.formats import cbor
from drystone.storage.connection import Row
from drystone.storage.database import Database, Schema, row_check

SCHEMA: Final = Schema(
    kind="mirror",
    version=1,
    page_bytes=4_096,
    statements=(
        """
        CREATE TABLE rows (
            key BLOB PRIMARY KEY, value BLOB NOT NULL, "check" BLOB NOT NULL
        ) WITHOUT ROWID""",
        """
        CREATE TABLE blocks (
            height INTEGER PRIMARY KEY, size INTEGER NOT NULL, entry BLOB NOT NULL,
            "check" BLOB NOT NULL
        )""",
        """
        CREATE TABLE ordered (
            vertex BLOB PRIMARY KEY, height INTEGER NOT NULL, position INTEGER NOT NULL,
            codes BLOB NOT NULL, "check" BLOB NOT NULL
        ) WITHOUT ROWID""",
        """
        CREATE TABLE streams (
            key BLOB PRIMARY KEY, value BLOB NOT NULL, "check" BLOB NOT NULL
        ) WITHOUT ROWID""",
    ),
    migrations={},
)

LAST: Final = "last"
"""Name in `meta`: `[height, size, checkpoint]` of the highest block seen."""

PLACE: Final = "place"
"""Name in `meta`: `[epoch, sequence]` up to which the outcomes of own vertices are here."""

ROWS_HEIGHT: Final = "rows-height"
"""Name in `meta`: the height as of which the rows are whole."""

STREAMS_THROUGH: Final = "streams-through"
"""Name in `meta`: own vertices up to this number of vertices.db are in the streams."""


class SeenBlock(NamedTuple):
    """A block of the uplink's chain: its block entry, and the log's size behind it."""

    height: int
    size: int
    entry: bytes


class OrderedHere(NamedTuple):
    """Where a vertex was ordered, and what became of its records: codes by index, of those not accepted."""

    vertex: bytes
    height: int
    position: int
    codes: Mapping[int, str]


class Last(NamedTuple):
    """How far the uplink's chain was followed."""

    height: int
    size: int
    checkpoint: bytes
    """The signed note over that size; empty until one was seen."""


class MirrorDB:
    """The store of what a gateway copies. One thread at a time; another one waits, also for a commit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def create(
        cls,
        path: Path,
        ledger: bytes,
        *,
        genesis: SeenBlock,
        rows: Mapping[bytes, bytes | None],
        vfs: str | None = None,
    ) -> "MirrorDB":
        """Make the file of a gateway that has seen the genesis and nothing else.

        Args:
            path: of the file, which may not exist yet.
            ledger: the ledger's id.
            genesis: block 0.
            rows: what the genesis wrote into the state.
            vfs: a test's file system.

        Raises: as `Database.create`.
        """
        mirror = cls(Database.create(path, SCHEMA, ledger=ledger, vfs=vfs))
        with mirror._database.closing_on_error():
            mirror.follow([genesis], ordered=(), checkpoint=b"", place=None)
            first = [(key, value) for key, value in rows.items() if value is not None]
            mirror.put_rows(first, after=b"", last=b"", height=0)
        return mirror

    @classmethod
    def open(
        cls, path: Path, ledger: bytes, *, read_only: bool = False, vfs: str | None = None
    ) -> "MirrorDB":
        """Open an existing file; raises as `Database.open`. Checks no rows."""
        return cls(Database.open(path, SCHEMA, ledger=ledger, read_only=read_only, vfs=vfs))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @property
    def database(self) -> Database:
        """The file itself, for `fsck` and `backup`."""
        return self._database

    # --- the uplink's chain ------------------------------------------------------------------------

    @property
    def last(self) -> Last:
        """How far the chain was followed; a file that was just made has block 0, or none if its making was cut short.

        Raises:
            DatabaseCorrupt: the file does not say.
        """
        found = self._database.meta(LAST)
        if not isinstance(found, list) or len(found) != 3:
            raise DatabaseCorrupt("mirror.db does not say how far the chain was followed")
        height, size, checkpoint = found
        if (
            not isinstance(height, int)
            or not isinstance(size, int)
            or not isinstance(checkpoint, bytes)
        ):
            raise DatabaseCorrupt(
                "mirror.db: how far the chain was followed is not what was stored"
            )
        return Last(height, size, checkpoint)

    @property
    def place(self) -> tuple[int, int] | None:
        """The place (epoch, sequence) up to which the outcomes of own vertices are here; None before any."""
        found = self._database.meta(PLACE)
        if not isinstance(found, list) or len(found) != 2:
            return None
        epoch, seq = found
        return (epoch, seq) if isinstance(epoch, int) and isinstance(seq, int) else None

    def follow(
        self,
        seen: Sequence[SeenBlock],
        *,
        ordered: Iterable[OrderedHere],
        checkpoint: bytes,
        place: tuple[int, int] | None,
    ) -> None:
        """Store blocks, where vertices went, the checkpoint over all of it and the cursor, in one transaction.

        On return the outcomes survive power loss, and the bodies may go. A vertex that an earlier block ordered stays
        where it was; a block that is here already stays as it is. Blocks more than `limits.MIRROR_BLOCKS_MAX` below the
        last are forgotten, what they ordered is not.

        Raises:
            InvariantBroken: the first block is missing.
            DiskFull: nothing was changed. Broken: as `Database.transaction`.
        """
        with self._database.transaction():
            known = self._database.meta(LAST)
            last = Last(*known) if isinstance(known, list) else None  # pyright: ignore[reportArgumentType] - own row
            self._database.many(
                "INSERT OR IGNORE INTO blocks VALUES (?, ?, ?, ?)",
                [(*block, row_check("blocks", *block)) for block in seen],
            )
            self._database.many(
                "INSERT OR IGNORE INTO ordered VALUES (?, ?, ?, ?, ?)", map(_ordered_row, ordered)
            )
            for block in seen:
                if last is None or block.height > last.height:
                    last = Last(block.height, block.size, checkpoint)
            if last is None:
                raise InvariantBroken("a mirror begins with the genesis")
            self._database.put_meta(LAST, [last.height, last.size, checkpoint or last.checkpoint])
            if place is not None:
                self._database.put_meta(PLACE, list(place))
            self._database.rows(
                "DELETE FROM blocks WHERE height <= ? AND height > 0",
                (last.height - limits.MIRROR_BLOCKS_MAX,),
            )

    def block(self, height: int) -> SeenBlock | None:
        """Return a block that was seen, while it is remembered. Raises: DatabaseCorrupt."""
        found = self._database.row("SELECT * FROM blocks WHERE height = ?", (height,))
        if found is None:
            return None
        _check("blocks", found, f"block {height}")
        return SeenBlock(*found[:-1])

    def order_of(self, vertex: bytes, /) -> OrderedHere | None:
        """Return where a vertex was ordered and what became of it; None while that is not known here.

        Raises:
            DatabaseCorrupt: the row is not what was stored.
        """
        found = self._database.row("SELECT * FROM ordered WHERE vertex = ?", (vertex,))
        if found is None:
            return None
        _check("ordered", found, f"vertex {vertex.hex()}")
        return OrderedHere(found[0], found[1], found[2], _read_codes(found[3]))

    def ordered_among(self, vertices: Sequence[bytes]) -> set[bytes]:
        """Return which of these vertices are ordered; at most `limits.LIST_ROWS_MAX` are asked for at once."""
        marks = ",".join("?" * len(vertices))
        found = self._database.rows(
            f"SELECT vertex FROM ordered WHERE vertex IN ({marks})",  # noqa: S608 - question marks
            tuple(vertices),
        )
        return {row[0] for row in found}

    # --- the registry ------------------------------------------------------------------------------

    @property
    def rows_height(self) -> int:
        """The height as of which the rows are whole; -1 while they never were."""
        found = self._database.meta(ROWS_HEIGHT)
        return found if isinstance(found, int) else -1

    def get(self, key: bytes) -> bytes | None:
        """Return the registry's value under a state key, or None. Raises: DatabaseCorrupt."""
        found = self._database.row("SELECT * FROM rows WHERE key = ?", (key,))
        if found is None:
            return None
        _check("rows", found, f"row {key.hex()}")
        return found[1]

    def scan(
        self, prefix: bytes, *, after: bytes | None = None, limit: int = limits.LIST_ROWS_MAX
    ) -> list[tuple[bytes, bytes]]:
        """Return pairs whose key starts with `prefix`, by key, behind the key `after`."""
        found = self._database.rows(
            "SELECT key, value FROM rows WHERE key > ? AND key >= ? AND substr(key, 1, ?) = ?"
            " ORDER BY key LIMIT ?",
            (after or b"", prefix, len(prefix), prefix, limit),
        )
        return [(key, value) for key, value in found]

    def put_rows(
        self, rows: Iterable[tuple[bytes, bytes]], *, after: bytes, last: bytes, height: int
    ) -> dict[bytes, bytes | None]:
        """Let the rows behind the key `after` up to the key `last` be these, in one transaction; give what changed.

        An empty `last` stands for the end: then the rows are whole as of `height`, if those before were put as well.
        """
        new = dict(rows)
        bound, bindings = ("", (after,)) if not last else (" AND key <= ?", (after, last))
        old: dict[bytes, bytes] = dict(
            cast(
                "list[tuple[bytes, bytes]]",
                self._database.rows(
                    f"SELECT key, value FROM rows WHERE key > ?{bound}",  # noqa: S608 - our own words
                    bindings,
                ),
            )
        )
        changes: dict[bytes, bytes | None] = {
            key: value for key, value in new.items() if old.get(key) != value
        }
        changes.update(dict.fromkeys(old.keys() - new.keys()))
        with self._database.transaction():
            self._database.many(
                "DELETE FROM rows WHERE key = ?", [(key,) for key in sorted(changes)]
            )
            self._database.many(
                "INSERT INTO rows VALUES (?, ?, ?)",
                [
                    (key, value, row_check("rows", key, value))
                    for key, value in sorted(changes.items())
                    if value is not None
                ],
            )
            if not last:
                self._database.put_meta(ROWS_HEIGHT, height)
        return changes

    def rows_whole(self, *, height: int) -> None:
        """Say that the rows, unchanged, are those of this height."""
        with self._database.transaction():
            self._database.put_meta(ROWS_HEIGHT, height)

    # --- own streams -------------------------------------------------------------------------------

    @property
    def streams_through(self) -> int:
        """Number in vertices.db up to which own vertices are in the streams."""
        found = self._database.meta(STREAMS_THROUGH)
        return found if isinstance(found, int) else 0

    def stream(self, key: bytes) -> bytes | None:
        """Return what this gateway sealed of a stream, by its state key. Raises: DatabaseCorrupt."""
        found = self._database.row("SELECT * FROM streams WHERE key = ?", (key,))
        if found is None:
            return None
        _check("streams", found, f"stream {key.hex()}")
        return found[1]

    def put_streams(self, values: Mapping[bytes, bytes], *, through: int) -> None:
        """Store streams as of an own vertex, in one transaction."""
        with self._database.transaction():
            self._database.many(
                "INSERT OR REPLACE INTO streams VALUES (?, ?, ?)",
                [
                    (key, value, row_check("streams", key, value))
                    for key, value in sorted(values.items())
                ],
            )
            self._database.put_meta(STREAMS_THROUGH, through)


def _ordered_row(one: OrderedHere) -> tuple[bytes, int, int, bytes, bytes]:
    row = (one.vertex, one.height, one.position, cbor.encode(dict(one.codes)))
    return (*row, row_check("ordered", *row))


def _read_codes(data: bytes) -> dict[int, str]:
    try:
        value = cbor.decode(data)
    except DrystoneError as error:
        raise DatabaseCorrupt(f"mirror.db: outcomes of a vertex do not decode: {error}") from error
    if not isinstance(value, dict):
        raise DatabaseCorrupt("mirror.db: outcomes of a vertex are no map")
    codes: dict[int, str] = {}
    for index, code in value.items():
        if not isinstance(index, int) or not isinstance(code, str):
            raise DatabaseCorrupt("mirror.db: outcomes of a vertex are not codes by index")
        codes[index] = code
    return codes


def _check(table: str, row: Row, what: str) -> None:
    if row_check(table, *row[:-1]) != row[-1]:
        raise DatabaseCorrupt(f"mirror.db: {what} is not what was stored")
