"""What holds a ledger together without its bodies: roots, tiles, checks, the state's root.

Used behind the height to which a replay came: where bodies were pruned, or where damage that
cannot be gone around keeps the records from being applied again.
"""

from hashlib import sha256
from typing import Final

from drystone.errors import DrystoneError
from drystone.proof.block import decode_block
from drystone.storage.database import Database, row_check
from drystone.storage.fsck.report import Report, quoted
from drystone.storage.fsck.twins import FILE
from drystone.storage.state import prefix_of
from drystone.trees import log
from drystone.trees.log import HASH_BYTES, leaf_hash
from drystone.trees.state import StateTree
from drystone.trees.tiles import TILE_WIDTH, tile_parent_hash

PAGE_ROWS: Final = 256


def check_structure(database: Database, report: Report, *, behind: int, flushed: int) -> None:
    """Check rows, log and state of the blocks behind a height, as far as that goes without bodies."""
    _check_rows(database, report, behind=behind)
    _check_log(database, report)
    _check_state(database, report, flushed=flushed)


def _check_rows(database: Database, report: Report, *, behind: int) -> None:
    """Hold each row that carries a check against it."""
    after = behind
    while rows := database.rows(
        "SELECT * FROM blocks WHERE height > ? ORDER BY height LIMIT ?", (after, PAGE_ROWS)
    ):
        for *row, check in rows:
            if _check_of("blocks", row) != check:
                report.add(FILE, "blocks", row[0], "any", "the check is not the row's")
        after = rows[-1][0]
    for (height,) in database.rows("SELECT height FROM recent ORDER BY height"):
        found = database.row("SELECT * FROM recent WHERE height = ?", (height,))
        if found is not None and _check_of("recent", found[:-1]) != found[-1]:
            report.add(FILE, "recent", height, "any", "the check is not the row's")
    for vertex, height, position in database.rows("SELECT * FROM ordered"):
        found = database.row("SELECT vertices FROM blocks WHERE height = ?", (height,))
        ids = found[0] if found is not None else b""
        if not isinstance(position, int) or ids[32 * position : 32 * position + 32] != vertex:
            report.add(
                FILE, "ordered", quoted((vertex,)), "any", f"block {height} has it not there"
            )


def _check_of(table: str, columns: "list[object] | tuple[object, ...]") -> bytes | None:
    try:
        return row_check(table, *columns)  # pyright: ignore[reportArgumentType] - tried
    except DrystoneError:
        return None


def _check_log(database: Database, report: Report) -> None:
    """Grow the log from its stored leaves and compare each block's root, entry and upper tile."""
    sizes = database.rows("SELECT height, size, root, entry FROM blocks ORDER BY height")
    edge = log.EMPTY
    leaves: list[bytes] = []
    tiles = _Leaves(database, report)
    for height, size, root, entry in sizes:
        if not isinstance(size, int) or size <= edge.size:
            report.add(FILE, "blocks", height, "size", "not larger than the one before")
            return
        leaves = tiles.take(size - edge.size)
        edge = log.append(edge, leaves)
        if edge.size != size or log.root(edge) != root:
            what = f"the tiles up to leaf {size - 1} do not lead to the root of block {height}"
            report.add(FILE, "tiles", f"0/{edge.size // TILE_WIDTH}", "hashes", what)
            return
        if not isinstance(entry, bytes) or leaf_hash(entry) != leaves[-1]:
            report.add(FILE, "blocks", height, "entry", "not the one in the log")


class _Leaves:
    """The log's stored leaves, in order; full tiles are compared with the level above."""

    def __init__(self, database: Database, report: Report) -> None:
        self._database = database
        self._report = report
        self._number = 0
        self._waiting: list[bytes] = []
        self._heights: list[int] | None = None

    def take(self, count: int) -> list[bytes]:
        """The next leaves; fewer where the log ends too early."""
        while len(self._waiting) < count and self._read():
            pass
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def _read(self) -> bool:
        if self._heights is None:
            data = self._tile(0, self._number)
            if data:
                self._check_parent(data)
                self._number += 1
                self._waiting += _split(data)
                return True
            rows = self._database.rows("SELECT height FROM recent ORDER BY height")
            self._heights = [height for (height,) in rows]
        if not self._heights:
            return False
        height = self._heights.pop(0)
        found = self._database.row("SELECT leaves FROM recent WHERE height = ?", (height,))
        self._waiting += _split(found[0] if found is not None else b"")
        return True

    def _check_parent(self, data: bytes) -> None:
        if len(data) != TILE_WIDTH * HASH_BYTES:
            return
        above = self._tile(1, self._number // TILE_WIDTH)
        at = self._number % TILE_WIDTH * HASH_BYTES
        if above[at : at + HASH_BYTES] != tile_parent_hash(data):
            what = f"hash {self._number % TILE_WIDTH} is not the root of tile 0/{self._number}"
            name = f"1/{self._number // TILE_WIDTH}"
            self._report.add(FILE, "tiles", name, "hashes", what)

    def _tile(self, level: int, number: int) -> bytes:
        found = self._database.row(
            "SELECT hashes FROM tiles WHERE level = ? AND number = ?", (level, number)
        )
        return found[0] if found is not None and isinstance(found[0], bytes) else b""


def _split(data: bytes) -> list[bytes]:
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def _check_state(database: Database, report: Report, *, flushed: int) -> None:
    """Compare the root over the state table with the one in the last flushed block's entry."""
    found = database.row("SELECT entry FROM blocks WHERE height = ?", (flushed,))
    rows = database.rows("SELECT key, prefix, value FROM state")
    for key, prefix, _ in rows:
        if not isinstance(key, bytes) or prefix != prefix_of(sha256(key).digest()):
            report.add(FILE, "state", quoted((key,)), "key or prefix", "do not fit each other")
    try:
        tree = StateTree.build(
            (sha256(key).digest(), sha256(value).digest()) for key, _, value in rows
        )
        expected = decode_block(found[0]).state if found is not None else b""
    except (DrystoneError, TypeError) as error:
        report.add(FILE, "state", "", "", f"the state has no root: {error}")
        return
    if tree.root != expected:
        what = f"the rows do not lead to the state root of block {flushed}"
        report.add(FILE, "state", "", "key or value", what)
