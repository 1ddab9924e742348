"""From a stream position to a log index: any order of arrival, any cut into flushes."""

import itertools
import random
from pathlib import Path

import pytest

from drystone.errors import DatabaseCorrupt
from drystone.storage import places
from drystone.storage.database import Database, Schema
from drystone.storage.places import CHUNK_RECORDS, Chunk, Posting

SCHEMA = Schema("places", 1, 4_096, places.TABLES, {})


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database.create(tmp_path / "places.db", SCHEMA, ledger=bytes(32))


def write(database: Database, stream: bytes, postings: list[Posting], cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(postings)]
    tails: dict[bytes, Chunk] = {}
    for first, end in itertools.pairwise(bounds):
        if end > first:
            with database.transaction():
                tails = places.write_places(database, {stream: postings[first:end]}, tails)
            if first % 2:
                tails = {}  # As after a restart: the last row is read again.


def in_order(count: int, *, first_leaf: int = 0) -> list[Posting]:
    return [Posting(0, seq, first_leaf + 3 * seq) for seq in range(count)]


def shuffled(count: int, seed: int) -> list[Posting]:
    draw = random.Random(seed)
    positions = [(draw.randrange(3), seq) for seq in range(count)]
    positions += [(2**32 - 1, 2**53 - 1), (0, 2**53 - 1)]
    draw.shuffle(positions)
    leaf = 0
    postings: list[Posting] = []
    for epoch, seq in positions:
        leaf += draw.choice([1, 1, 2, 300, 70_000])
        postings.append(Posting(epoch, seq, leaf))
    return postings


@pytest.mark.parametrize("count", [1, 2, CHUNK_RECORDS - 1, CHUNK_RECORDS, CHUNK_RECORDS + 1, 700])
@pytest.mark.parametrize("step", [1, 7, 100, 10_000])
def test_every_position_is_found_however_flushes_cut(
    database: Database, count: int, step: int
) -> None:
    postings = in_order(count, first_leaf=5)
    write(database, b"s", postings, list(range(0, count, step)))
    for posting in postings:
        found = places.find_leaf(database, b"s", epoch=posting.epoch, seq=posting.seq)
        assert found == posting.leaf
    assert places.find_leaf(database, b"s", epoch=0, seq=count) is None
    assert places.find_leaf(database, b"s", epoch=1, seq=0) is None
    assert places.find_leaf(database, b"t", epoch=0, seq=0) is None
    assert places.list_postings(database, b"s", start=0, limit=10_000) == postings


@pytest.mark.parametrize("seed", range(6))
def test_every_position_is_found_whatever_the_order_of_arrival(
    database: Database, seed: int
) -> None:
    postings = shuffled(600, seed)
    cuts = random.Random(seed).sample(range(600), 5)
    write(database, b"s", postings, cuts)
    write(database, b"r", in_order(300), [10])
    for posting in postings:
        found = places.find_leaf(database, b"s", epoch=posting.epoch, seq=posting.seq)
        assert found == posting.leaf
    for seq in range(600, 650):
        assert places.find_leaf(database, b"s", epoch=0, seq=seq) is None
    assert places.list_postings(database, b"s", start=0, limit=10_000) == postings
    assert places.list_postings(database, b"s", start=250, limit=20) == postings[250:270]
    assert places.list_postings(database, b"s", start=602, limit=20) == []


def test_two_regions_in_turns_are_found_with_one_look_each(database: Database) -> None:
    postings = [
        Posting(0, (seq // 2) + (10**9 if seq % 2 else 0), seq) for seq in range(4 * CHUNK_RECORDS)
    ]
    write(database, b"s", postings, [])
    for posting in postings:
        assert places.find_leaf(database, b"s", epoch=0, seq=posting.seq) == posting.leaf
    assert database.rows("SELECT count(*) FROM ranges") == [(8,)]


def test_ranges_of_a_stream_never_overlap(database: Database) -> None:
    write(database, b"s", shuffled(2_000, 1), [500, 900])
    rows = database.rows("SELECT lo, hi FROM ranges WHERE stream = ? ORDER BY hi", (b"s",))
    assert all(lo <= hi for lo, hi in rows)
    assert all(hi < lo for (_, hi), (lo, _) in itertools.pairwise(rows))


def test_a_posting_in_order_costs_about_two_bytes(database: Database) -> None:
    write(database, b"s", [Posting(0, seq, 1_000 * seq) for seq in range(10_000)], [])
    found = database.row("SELECT sum(length(leaves) + length(stretches)) FROM places")
    assert found is not None
    assert found[0] < 2.1 * 10_000


def test_positions_sort_as_their_keys() -> None:
    positions = [(0, 0), (0, 1), (0, 255), (0, 256), (0, 2**53 - 1), (1, 0), (2**32 - 1, 0)]
    keys = [places.position_key(*position) for position in positions]
    assert keys == sorted(keys)
    assert {len(key) for key in keys} == {12}


@pytest.mark.parametrize(
    "chunk",
    [
        Chunk(0, 2, 5, b"\x00\x00\x00", b"\x00"),
        Chunk(0, 1, 5, b"\x00\x00\x00", b"\x00"),
        Chunk(0, 1, 0, b"\x00\x00\x00", b"\x00\x00"),
        Chunk(0, 1, 0, b"\x00\x00", b"\x00"),
        Chunk(0, 1, 0, b"\x01\x00\x00", b"\x00"),
        Chunk(0, 1, 0, b"", b"\x00"),
        Chunk(0, 1, 0, b"\x00\x00\x00", b"\x80"),
    ],
)
def test_a_row_that_does_not_fit_itself_is_corrupt(chunk: Chunk) -> None:
    with pytest.raises(DatabaseCorrupt):
        places.unpack(chunk)
