"""Tiles: C2SP's names, and proofs from tiles equal to proofs from leaves."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.errors import InvariantBroken, TileMalformed
from drystone.trees import log, tiles
from drystone.trees.tiles import Tile

LEAVES = [log.leaf_hash(b"entry %d" % number) for number in range(70_000)]
SUBTREES: dict[int, list[bytes]] = {0: LEAVES}
for height in range(1, 17):
    below = SUBTREES[height - 1]
    SUBTREES[height] = [
        log.node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)
    ]


def node(level: int, index: int) -> bytes:
    return SUBTREES[level][index]


def reader(size: int) -> object:
    def read_tile(level: int, index: int) -> bytes:
        width = tiles.tile_width(level=level, index=index, size=size)
        return b"".join(SUBTREES[8 * level][index * 256 : index * 256 + width])

    return read_tile


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("tile/0/000", Tile(level=0, index=0, width=256)),
        ("tile/0/x001/x234/067", Tile(level=0, index=1_234_067, width=256)),
        ("tile/0/x001/x234/067.p/8", Tile(level=0, index=1_234_067, width=8)),
        ("tile/1/255.p/255", Tile(level=1, index=255, width=255)),
        ("tile/63/x001/000.p/1", Tile(level=63, index=1000, width=1)),
        ("tile/entries/x123/456.p/3", Tile(level=None, index=123_456, width=3)),
    ],
)
def test_a_path_names_one_tile_and_back(path: str, tile: Tile) -> None:
    assert tiles.parse_tile_path(path) == tile
    assert tiles.tile_path(tile.level, tile.index, tile.width) == path


@given(st.one_of(st.none(), st.integers(0, 63)), st.integers(0, 2**63 - 1), st.integers(1, 256))
def test_any_tile_survives_its_path(level: int | None, index: int, width: int) -> None:
    tile = Tile(level=level, index=index, width=width)
    assert tiles.parse_tile_path(tiles.tile_path(level, index, width)) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/0",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/-01",
        "tile/0/x000/001",
        "tile/0/x000/x000/001",
        "tile/0/x001",
        "tile/0/001/002",
        "tile/0/X001/002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/01",
        "tile/0/000.p/1000",
        "tile/0/000.p/",
        "tile/0/000.P/1",
        "tile/0/٠٠٠",
        "tile/8/0/000",
        "tile/entries/0/000",
        "tile/data/000",
        "tile/0/000\n",
        "tile/0/../0/000",
        "tile/0/x009/x223/x372/x036/x854/x775/808",
        "tile/0/" + "x999/" * 9 + "999",
        "tile/0/" + "x999/" * 100_000 + "999",
    ],
)
def test_any_other_spelling_of_a_path_is_refused(path: str) -> None:
    with pytest.raises(TileMalformed):
        tiles.parse_tile_path(path)


@given(st.text(max_size=40))
def test_any_text_is_a_path_in_its_one_spelling_or_refused(text: str) -> None:
    for path in (text, "tile/0/" + text):
        try:
            tile = tiles.parse_tile_path(path)
        except TileMalformed:
            continue
        assert tiles.tile_path(tile.level, tile.index, tile.width) == path


@pytest.mark.parametrize(
    ("level", "index", "width"),
    [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 2**63, 1), (0, 0, 0), (0, 0, 257)],
)
def test_a_tile_no_log_has_gets_no_path(level: int, index: int, width: int) -> None:
    with pytest.raises(InvariantBroken):
        tiles.tile_path(level, index, width)


@given(st.integers(0, 200_000), st.integers(0, 70_000))
def test_growth_touches_exactly_the_tiles_that_gain_hashes(old: int, growth: int) -> None:
    new = old + growth
    touched = {(t.level, t.index): t.width for t in tiles.grown_tiles(old=old, new=new)}
    expected: dict[tuple[int, int], int] = {}
    for level in range(4):
        for index in range((new >> 8 * level) // 256 + 1):
            before = tiles.tile_width(level=level, index=index, size=old)
            after = tiles.tile_width(level=level, index=index, size=new)
            if after > before:
                expected[level, index] = after
    assert touched == expected


def test_growth_names_lower_tiles_before_the_upper_ones_that_need_them() -> None:
    grown = tiles.grown_tiles(old=65_530, new=65_540)
    assert grown == [
        Tile(level=0, index=255, width=256),
        Tile(level=0, index=256, width=4),
        Tile(level=1, index=0, width=256),
        Tile(level=2, index=0, width=1),
    ]


def test_no_growth_touches_no_tile() -> None:
    assert tiles.grown_tiles(old=0, new=0) == tiles.grown_tiles(old=300, new=300) == []


@pytest.mark.parametrize(
    ("level", "index", "size", "width"),
    [
        (0, 0, 0, 0),
        (0, 0, 1, 1),
        (0, 0, 256, 256),
        (0, 1, 256, 0),
        (0, 1, 257, 1),
        (1, 0, 255, 0),
        (1, 0, 256, 1),
        (1, 0, 70000, 256),
        (2, 0, 70000, 1),
        (0, 5, 9, 0),
    ],
)
def test_a_tile_is_as_wide_as_the_log_has_grown(
    level: int, index: int, size: int, width: int
) -> None:
    assert tiles.tile_width(level=level, index=index, size=size) == width


def test_a_full_tile_has_the_root_of_its_leaves_as_parent() -> None:
    assert tiles.tile_parent_hash(b"".join(LEAVES[256:512])) == node(8, 1)


@pytest.mark.parametrize("count", [0, 1, 255, 257])
def test_a_tile_that_is_not_full_has_no_parent(count: int) -> None:
    with pytest.raises(TileMalformed):
        tiles.tile_parent_hash(b"".join(LEAVES[:count]))


@pytest.mark.parametrize("length", [0, 31, 33, 257 * 32])
def test_a_tile_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(TileMalformed):
        tiles.tile_hashes(bytes(length))


@settings(max_examples=25)
@given(st.data())
def test_nodes_and_proofs_from_tiles_equal_those_from_leaves(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 70_000))
    index = data.draw(st.integers(0, size - 1))
    from_tiles = tiles.node_from_tiles(reader(size), size)  # type: ignore[arg-type]
    path = log.inclusion_path(index, size, from_tiles)
    assert path == log.inclusion_path(index, size, node)
    old = data.draw(st.integers(0, size))
    expected = log.consistency_path(old, size, node)
    assert log.consistency_path(old, size, from_tiles) == expected


def test_a_proof_reads_each_tile_once() -> None:
    asked: list[tuple[int, int]] = []

    def read_tile(level: int, index: int) -> bytes:
        asked.append((level, index))
        return reader(70_000)(level, index)  # type: ignore[operator]

    log.inclusion_path(40_000, 70_000, tiles.node_from_tiles(read_tile, 70_000))
    assert len(asked) == len(set(asked))
    assert (0, 156) in asked


def test_a_fuller_tile_than_the_size_needs_gives_the_same_nodes() -> None:
    older = tiles.node_from_tiles(reader(70_000), 300)  # type: ignore[arg-type]
    assert log.inclusion_path(257, 300, older) == log.inclusion_path(257, 300, node)


def test_a_tile_that_is_too_short_is_refused() -> None:
    short = tiles.node_from_tiles(lambda level, index: LEAVES[0], 300)
    with pytest.raises(TileMalformed):
        short(0, 0)


@pytest.mark.parametrize(("level", "index"), [(0, 300), (1, 150), (8, 1), (9, 0), (-1, 0), (0, -1)])
def test_a_node_beyond_the_log_is_our_own_fault(level: int, index: int) -> None:
    from_tiles = tiles.node_from_tiles(reader(300), 300)  # type: ignore[arg-type]
    with pytest.raises(InvariantBroken):
        from_tiles(level, index)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_gives_its_entries_back(entries: list[bytes]) -> None:
    assert tiles.parse_entry_bundle(tiles.entry_bundle(entries)) == entries


def test_a_bundle_spells_lengths_as_two_bytes_big_endian() -> None:
    assert tiles.entry_bundle([b"ab", b"", bytes(258)]) == b"\0\2ab\0\0\1\2" + bytes(258)


@pytest.mark.parametrize(
    "bundle", [b"", b"\x00", b"\x00\x01", b"\x00\x02a", b"\x00\x01ab", b"\x00\x00" * 257]
)
def test_a_bundle_that_is_cut_off_empty_or_too_long_is_refused(bundle: bytes) -> None:
    with pytest.raises(TileMalformed):
        tiles.parse_entry_bundle(bundle)


def test_an_entry_too_long_for_a_bundle_is_our_own_fault() -> None:
    with pytest.raises(InvariantBroken):
        tiles.entry_bundle([bytes(65_536)])
