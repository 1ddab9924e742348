"""The log's tiles as rows, and the leaves behind them: any hash of the log, at any size it had.

A row holds one tile of trees/tiles.py, as far as it was flushed; a later flush writes it again,
longer, until it is full. Leaves that no flush has moved yet come from the overlay; upper tiles
over those are computed when someone asks. Source: c2sp.org/tlog-tiles; `trees/tiles.py`.
"""

from collections.abc import Callable, Sequence
from typing import Final

from drystone.errors import DatabaseCorrupt
from drystone.limits import TILE_HEIGHT, TILE_WIDTH
from drystone.storage.database import Database
from drystone.trees import log
from drystone.trees.log import HASH_BYTES, NodeReader
from drystone.trees.tiles import grown_tiles, node_from_tiles, tile_parent_hash, tile_width

TABLE: Final = """
    CREATE TABLE tiles (
        level INTEGER NOT NULL, number INTEGER NOT NULL, hashes BLOB NOT NULL,
        PRIMARY KEY (level, number)
    ) WITHOUT ROWID"""

PARENTS_REMEMBERED_MAX: Final = 4_096
"""Roots of full tiles kept in memory: enough for what can gather between two flushes."""

ReadTile = Callable[[int, int], bytes]
"""`read(level, number)`: a stored tile's bytes, empty where there is none."""


class Tiles:
    """The log of `size` entries: stored tiles up to `flushed`, and the leaves behind them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._parents: dict[tuple[int, int], bytes] = {}

    def stored(self, level: int, number: int) -> bytes:
        """Return a tile as far as it was flushed; empty where there is none."""
        found = self._database.row(
            "SELECT hashes FROM tiles WHERE level = ? AND number = ?", (level, number)
        )
        return b"" if found is None else found[0]

    def read(self, level: int, number: int, *, flushed: int, leaves: Sequence[bytes]) -> bytes:
        """Return a tile of the log whose first `flushed` leaves are stored and `leaves` are not.

        Empty where the log has not grown so far.

        Raises:
            DatabaseCorrupt: a stored tile is shorter than it has to be.
        """
        size = flushed + len(leaves)
        width = tile_width(level=level, index=number, size=size)
        have = tile_width(level=level, index=number, size=flushed)
        parts: list[bytes] = []
        if have:
            stored = self.stored(level, number)
            if len(stored) != have * HASH_BYTES:
                raise DatabaseCorrupt(f"tile {level}/{number} holds {len(stored)} bytes")
            parts.append(stored)
        first = (number << TILE_HEIGHT) + have
        if level == 0:
            parts += leaves[first - flushed : first - flushed + width - have]
        else:
            for below in range(first, first + width - have):
                parts.append(self._parent(level - 1, below, flushed=flushed, leaves=leaves))
        return b"".join(parts)

    def _parent(self, level: int, number: int, *, flushed: int, leaves: Sequence[bytes]) -> bytes:
        """Return the root over a full tile, which never changes."""
        kept = self._parents.get((level, number))
        if kept is None:
            if len(self._parents) >= PARENTS_REMEMBERED_MAX:
                self._parents.clear()
            tile = self.read(level, number, flushed=flushed, leaves=leaves)
            kept = self._parents[level, number] = tile_parent_hash(tile)
        return kept

    def nodes(self, size: int, *, flushed: int, leaves: Sequence[bytes]) -> NodeReader:
        """Return `node(level, index)` for the log when it had `size` entries."""
        return node_from_tiles(
            lambda level, number: self.read(level, number, flushed=flushed, leaves=leaves), size
        )

    def write(self, *, flushed: int, leaves: Sequence[bytes]) -> None:
        """Store every tile that `leaves` makes longer, inside the caller's transaction."""
        grown = grown_tiles(old=flushed, new=flushed + len(leaves))
        self._database.many(
            "INSERT OR REPLACE INTO tiles VALUES (?, ?, ?)",
            [
                (
                    tile.level,
                    tile.index,
                    self.read(tile.level, tile.index, flushed=flushed, leaves=leaves),
                )
                for tile in grown
                if tile.level is not None
            ],
        )


def edge_of(size: int, node: NodeReader) -> log.Edge:
    """Return the right edge of a log of `size` entries from its full subtrees."""
    hashes: list[bytes] = []
    first = 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            hashes.append(node(level, first >> level))
            first += 1 << level
    return log.Edge(size, tuple(hashes))


assert 1 << TILE_HEIGHT == TILE_WIDTH
