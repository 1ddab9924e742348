"""The log cut into tiles, as C2SP `tlog-tiles` names and fills them: what is stored, served and
proved from.

Tile N of level L holds up to 256 hashes, the roots of the full subtrees of 256**L leaves from
number N * 256 on. A tile is written once: a partial one (fewer than 256 hashes, named with `.p/W`)
is a prefix of the later full one. Levels in between are computed from a tile when a proof asks for
them. Nothing here reads a database or a file.

Source: c2sp.org/tlog-tiles: paths, widths, entry bundles. After commit, tiles are how anyone copies
and checks the log.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from drystone.errors import InvariantBroken, TileMalformed
from drystone.limits import LOG_PATH_MAX, TILE_HEIGHT, TILE_WIDTH
from drystone.trees.log import EMPTY as EMPTY_EDGE
from drystone.trees.log import HASH_BYTES, NodeReader, append, node_hash, root

LEVEL_MAX: Final = 63
ENTRY_BYTES_MAX: Final = 0xFFFF
_PATH: Final = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)"
    r"/(?P<high>(?:x[0-9]{3}/)*)(?P<low>[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)
_PATH_LENGTH_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One tile's name: `level` (None for a bundle of entries), `index` from 0, `width` 1 to 256
    hashes or entries.
    """

    level: int | None
    index: int
    width: int


def tile_path(level: int | None, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path that C2SP gives a tile, without a leading slash; `level` None names a bundle
    of entries.

    Raises InvariantBroken for a level, index or width that no log has.
    """
    known = (level is None or 0 <= level <= LEVEL_MAX) and 0 <= index < 1 << LOG_PATH_MAX
    if not known or not 1 <= width <= TILE_WIDTH:
        raise InvariantBroken(f"no tile has level {level}, index {index}, width {width}")
    high, low = divmod(index, 1000)
    number = f"{low:03}"
    while high:
        high, low = divmod(high, 1000)
        number = f"x{low:03}/{number}"
    suffix = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{'entries' if level is None else level}/{number}{suffix}"


def parse_tile_path(path: str) -> Tile:
    """Read a tile's path; accepts only the spelling that `tile_path` writes.

    Does not check that the log has grown so far. Raises TileMalformed.
    """
    found = _PATH.fullmatch(path) if len(path) <= _PATH_LENGTH_MAX and path.isascii() else None
    if found is None:
        raise TileMalformed("not a path of a tile")
    level = None if found["level"] == "entries" else int(found["level"])
    index = int((found["high"] + found["low"]).replace("x", "").replace("/", ""))
    width = TILE_WIDTH if found["width"] is None else int(found["width"])
    known = (
        (level is None or level <= LEVEL_MAX) and index < 1 << LOG_PATH_MAX and width <= TILE_WIDTH
    )
    if not known or tile_path(level, index, width) != path:
        raise TileMalformed("not the one spelling of a tile's path")
    return Tile(level=level, index=index, width=width)


def tile_width(*, level: int, index: int, size: int) -> int:
    """Return how many hashes tile `index` of `level` has in a log of `size` leaves; 0 if it does
    not exist yet.
    """
    hashes = size >> (TILE_HEIGHT * level)
    return max(0, min(TILE_WIDTH, hashes - (index << TILE_HEIGHT)))


def grown_tiles(*, old: int, new: int) -> list[Tile]:
    """Return the tiles that gain hashes when the log grows from `old` to `new` leaves, low levels
    and indexes first.

    Each comes with its width after the growth. An upper tile's new hashes are the
    `tile_parent_hash` of the full tiles below it, which precede it in the list or were full before.
    """
    grown: list[Tile] = []
    level = 0
    while new:
        if new > old:
            first, last = old >> TILE_HEIGHT, (new - 1) >> TILE_HEIGHT
            grown.extend(
                Tile(level=level, index=index, width=min(TILE_WIDTH, new - (index << TILE_HEIGHT)))
                for index in range(first, last + 1)
            )
        old >>= TILE_HEIGHT
        new >>= TILE_HEIGHT
        level += 1
    return grown


def tile_hashes(tile: bytes) -> list[bytes]:
    """Split a tile's bytes into its hashes.

    Raises TileMalformed unless it holds 1 to 256 whole hashes.
    """
    count, rest = divmod(len(tile), HASH_BYTES)
    if rest or not 1 <= count <= TILE_WIDTH:
        raise TileMalformed(f"a tile of {len(tile)} bytes")
    return [tile[start : start + HASH_BYTES] for start in range(0, len(tile), HASH_BYTES)]


def tile_parent_hash(tile: bytes) -> bytes:
    """Return the root over a full tile: its hash in the tile above.

    Raises TileMalformed unless the tile is full.
    """
    hashes = tile_hashes(tile)
    if len(hashes) != TILE_WIDTH:
        raise TileMalformed(f"a partial tile of {len(hashes)} hashes has no parent yet")
    return root(append(EMPTY_EDGE, hashes))


def node_from_tiles(read_tile: Callable[[int, int], bytes], size: int) -> NodeReader:
    """Return `node(level, index)` for the log of `size` leaves, computed from its tiles; what a
    proof asks for.

    `read_tile(level, index)` gives a tile's bytes, which may be longer than `size` needs (a later,
    fuller one). Each tile is read once and its inner levels computed once per returned function:
    make a new one per proof or block.

    The returned function raises TileMalformed for a tile that is too short, InvariantBroken for a
    node beyond `size`.
    """
    rows: dict[tuple[int, int, int], list[bytes]] = {}

    def row(level: int, index: int, height: int) -> list[bytes]:
        """Hashes of one tile, `height` levels above its own."""
        kept = rows.get((level, index, height))
        if kept is None:
            if height == 0:
                kept = tile_hashes(read_tile(level, index))
                need = tile_width(level=level, index=index, size=size)
                if len(kept) < need:
                    raise TileMalformed(f"tile {level}/{index} has {len(kept)} hashes, not {need}")
            else:
                below = row(level, index, height - 1)
                kept = [node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)]
            rows[level, index, height] = kept
        return kept

    def node(level: int, index: int) -> bytes:
        if level < 0 or index < 0 or (index + 1) << level > size:
            raise InvariantBroken(f"no full subtree {index} of level {level} in a log of {size}")
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile_index, at = divmod(index, TILE_WIDTH >> height)
        return row(tile_level, tile_index, height)[at]

    return node


def entry_bundle(entries: Iterable[bytes]) -> bytes:
    """Join log entries as C2SP serves them: each behind its length as two bytes, big-endian.

    Raises InvariantBroken for an entry that is longer than 65,535 bytes.
    """
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > ENTRY_BYTES_MAX:
            raise InvariantBroken(f"a log entry of {len(entry)} bytes")
        parts.append(len(entry).to_bytes(2, "big"))
        parts.append(entry)
    return b"".join(parts)


def parse_entry_bundle(data: bytes) -> Sequence[bytes]:
    """Split a bundle into its entries (1 to 256).

    Raises TileMalformed for a bundle that is empty, cut off, or holds more than 256 entries.
    """
    entries: list[bytes] = []
    start = 0
    while start < len(data) and len(entries) <= TILE_WIDTH:
        end = start + 2 + int.from_bytes(data[start : start + 2], "big")
        if end > len(data):
            raise TileMalformed("the bundle of entries is cut off")
        entries.append(data[start + 2 : end])
        start = end
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise TileMalformed(f"a bundle holds 1 to {TILE_WIDTH} entries")
    return entries
