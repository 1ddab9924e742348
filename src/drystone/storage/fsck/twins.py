"""The tables of ledger.db made a second time, from a replay, and held against what is stored.

Each twin takes in block after block what a flush would have written, and compares at the height up
to which everything was flushed. All that it keeps is what is still open: the log's unfinished
tiles, the last row of each stream.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from drystone import limits
from drystone.limits import TILE_WIDTH
from drystone.storage import recent, state
from drystone.storage.connection import Row
from drystone.storage.database import Database, row_check
from drystone.storage.fsck.report import Report, quoted
from drystone.storage.places import (
    CHUNK_RECORDS,
    Chunk,
    extend,
    ranges_of,
    unpack,
)
from drystone.storage.recent import BlockPostings, Unflushed
from drystone.trees.log import HASH_BYTES
from drystone.trees.tiles import tile_parent_hash, tile_width

FILE: Final = "ledger.db"
PAGE_ROWS: Final = limits.LIST_ROWS_MAX


class TilesTwin:
    """The log's tiles."""

    def __init__(self, database: Database, report: Report) -> None:
        self._database = database
        self._report = report
        self._open: list[list[bytes]] = [[]]
        self._full: list[int] = [0]
        self.size = 0

    def add(self, leaves: Sequence[bytes]) -> None:
        """Take in the leaves of a flushed block; full tiles are compared at once."""
        self.size += len(leaves)
        for leaf in leaves:
            self._put(0, leaf)

    def _put(self, level: int, hash_: bytes) -> None:
        if level == len(self._open):
            self._open.append([])
            self._full.append(0)
        tile = self._open[level]
        tile.append(hash_)
        if len(tile) == TILE_WIDTH:
            data = b"".join(tile)
            self._compare(level, self._full[level], data)
            self._open[level] = []
            self._full[level] += 1
            self._put(level + 1, tile_parent_hash(data))

    def finish(self) -> None:
        """Compare the unfinished tiles, and find rows that no tile has."""
        for level, tile in enumerate(self._open):
            if tile:
                self._compare(level, self._full[level], b"".join(tile))
        for level, number in self._database.rows("SELECT level, number FROM tiles"):
            known = isinstance(level, int) and isinstance(number, int)
            known = known and 0 <= level <= 8 and number >= 0
            if not known or tile_width(level=level, index=number, size=self.size) == 0:
                what = "the log has no such tile"
                self._report.add(FILE, "tiles", f"{level}/{number}", "level or number", what)

    def _compare(self, level: int, number: int, expected: bytes) -> None:
        row = self._database.row(
            "SELECT hashes FROM tiles WHERE level = ? AND number = ?", (level, number)
        )
        name = f"{level}/{number}"
        if row is None:
            self._report.add(FILE, "tiles", name, "level or number", "the tile is missing")
        elif row[0] != expected:
            what = _first_difference(row[0], expected)
            self._report.add(FILE, "tiles", name, "hashes", what)


def _first_difference(stored: object, expected: bytes) -> str:
    if not isinstance(stored, bytes) or len(stored) != len(expected):
        return f"not {len(expected) // HASH_BYTES} hashes"
    at = next(at for at in range(len(expected)) if stored[at] != expected[at])
    return f"hash {at // HASH_BYTES} is not that of the log"


class PlacesTwin:
    """Where each stream's records are."""

    def __init__(self, database: Database, report: Report) -> None:
        self._database = database
        self._report = report
        self._open: dict[bytes, Chunk] = {}
        self._rows = 0
        self._ranges: dict[tuple[bytes, bytes], tuple[bytes, int]] = {}

    def add(self, postings: BlockPostings, *, leaf: int) -> None:
        """Take in the accepted records of a flushed block, the first of them entry `leaf`."""
        gathered = Unflushed(height=0, size=leaf)
        gathered.add(1, writes={}, leaves=[], postings=postings, size=0)
        for stream, places in gathered.streams.items():
            last = self._open.get(stream)
            for row in extend(last, places):
                leaves = row.leaves
                if last is not None and row.number == last.number:
                    leaves = last.leaves + leaves
                chunk = row._replace(leaves=leaves)
                if chunk.size == CHUNK_RECORDS:
                    self._finish_row(stream, chunk)
                    for one in ranges_of(unpack(chunk)):
                        self._ranges[stream, one.hi] = (one.lo, chunk.number)
                self._open[stream] = chunk

    def finish(self) -> None:
        """Compare the open rows, the ranges, and find rows that no stream has."""
        for stream, chunk in self._open.items():
            if chunk.size < CHUNK_RECORDS:
                self._finish_row(stream, chunk)
        self._compare_ranges()
        found = self._database.row("SELECT count(*) FROM places")
        if found is not None and found[0] != self._rows:
            self._find_strangers()

    def _finish_row(self, stream: bytes, chunk: Chunk) -> None:
        self._rows += 1
        row = self._database.row(
            "SELECT count, last, stretches, leaves FROM places WHERE stream = ? AND number = ?",
            (stream, chunk.number),
        )
        name = quoted((stream, chunk.number))
        if row is None:
            self._report.add(FILE, "places", name, "stream or number", "the row is missing")
            return
        for column, stored, expected in zip(
            ("count", "last", "stretches", "leaves"), row, chunk[1:], strict=True
        ):
            if stored != expected:
                self._report.add(FILE, "places", name, column, "not what the blocks say")

    def _compare_ranges(self) -> None:
        seen: set[tuple[bytes, bytes]] = set()
        for stream, hi, lo, number in self._database.rows(
            "SELECT stream, hi, lo, number FROM ranges"
        ):
            name = quoted((stream, hi))
            expected = self._ranges.get((stream, hi))
            if expected is None:
                what = "no full row ends there"
                self._report.add(FILE, "ranges", name, "stream or hi", what)
                continue
            seen.add((stream, hi))
            for column, stored, computed in zip(
                ("lo", "number"), (lo, number), expected, strict=True
            ):
                if stored != computed:
                    self._report.add(FILE, "ranges", name, column, "not what the blocks say")
        for key in self._ranges.keys() - seen:
            self._report.add(FILE, "ranges", quoted(key), "stream or hi", "the row is missing")

    def _find_strangers(self) -> None:
        for stream, number in self._database.rows("SELECT stream, number FROM places"):
            last = self._open.get(stream)
            fits = last is not None and isinstance(number, int) and 0 <= number <= last.number
            if not fits or number % CHUNK_RECORDS:
                what = "no stream has this row"
                name = quoted((stream, number))
                self._report.add(FILE, "places", name, "stream or number", what)


def compare_state(database: Database, report: Report, expected: Mapping[bytes, bytes]) -> None:
    """Compare the state table with the values it must hold, key by key."""
    seen = 0
    after: Row | None = None
    while rows := _state_page(database, after):
        for key, prefix, value in rows:
            name = quoted((key,))
            if key not in expected:
                report.add(FILE, "state", name, "key", "the state has no such key")
                continue
            seen += 1
            if value != expected[key]:
                report.add(FILE, "state", name, "value", "not what the blocks wrote")
            if prefix != state.prefix_of(sha256(key).digest()):
                report.add(FILE, "state", name, "prefix", "not the key's hash")
        after = rows[-1]
    if seen != len(expected):
        for key in expected:
            if state.read_state(database, key) is None:
                report.add(FILE, "state", quoted((key,)), "key", "the row is missing")


def _state_page(database: Database, after: Row | None) -> list[Row]:
    if after is None:
        return database.rows(
            "SELECT key, prefix, value FROM state ORDER BY key LIMIT ?", (PAGE_ROWS,)
        )
    return database.rows(
        "SELECT key, prefix, value FROM state WHERE key > ? ORDER BY key LIMIT ?",
        (after[0], PAGE_ROWS),
    )


def compare_recent(
    database: Database,
    report: Report,
    height: int,
    *,
    writes: Mapping[bytes, bytes | None],
    leaves: Sequence[bytes],
    postings: BlockPostings,
) -> None:
    """Compare the blobs of a block that was not flushed with what the block changes."""
    row = database.row(
        'SELECT changes, leaves, postings, "check" FROM recent WHERE height = ?', (height,)
    )
    if row is None:
        report.add(FILE, "recent", height, "height", "the row is missing")
        return
    expected = (
        recent.encode_changes(writes),
        b"".join(leaves),
        recent.encode_postings(postings, writes),
    )
    expected = (*expected, row_check("recent", height, *expected))
    for column, stored, computed in zip(
        ("changes", "leaves", "postings", "check"), row, expected, strict=True
    ):
        if stored != computed:
            report.add(FILE, "recent", height, column, "not what the block says")
