"""ledger.db: what was committed is found again, before and after any flush, by writer and reader."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drystone import limits
from drystone.errors import (
    DatabaseCorrupt,
    DatabaseForeign,
    DiskFull,
    InvariantBroken,
    TileMalformed,
)
from drystone.ledger import keyspace
from drystone.ledger.change import ACCEPTED, head_of
from drystone.records import stream
from drystone.records.record import Record, Verified, stream_id
from drystone.sim.chain import Chain
from drystone.storage.ledger import LedgerDB, Place, postings_of
from drystone.storage.outcomes import all_outcomes
from drystone.trees import log
from drystone.trees.log import leaf_hash, verify_consistency, verify_inclusion


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path, chain: Chain) -> Iterator[LedgerDB]:
    """The whole chain, flushed every few blocks as in life, the last blocks not flushed."""
    ledger = LedgerDB.create(path, chain.genesis, chain.start)
    commit(ledger, chain, len(chain.blocks))
    yield ledger
    ledger.close()


def commit(ledger: LedgerDB, chain: Chain, height: int) -> None:
    while ledger.height < height:
        index = ledger.height
        ledger.commit(chain.changes[index], chain.blocks[index])


def state_of(chain: Chain, height: int) -> dict[bytes, bytes]:
    state: dict[bytes, bytes | None] = dict(chain.start.writes)
    for change in chain.changes[:height]:
        state.update(change.writes)
    return {key: value for key, value in sorted(state.items()) if value is not None}


def leaves_of(chain: Chain, height: int) -> list[bytes]:
    changes = [chain.start, *chain.changes[:height]]
    return [leaf for change in changes for leaf in change.leaves]


def accepted(chain: Chain) -> Iterator[tuple[Record, Place]]:
    """Every accepted record with its place, worked out from the changes alone."""
    leaf = 1
    for block, change in zip(chain.blocks, chain.changes, strict=True):
        ids = [vertex.id for vertex in ordered_ids(chain, block.height)]
        for outcome in change.outcomes:
            if outcome.code == ACCEPTED and outcome.record is not None:
                item = block.vertices[outcome.vertex].records[outcome.record]
                assert isinstance(item, Verified)
                place = Place(
                    leaf, block.height, ids[outcome.vertex], outcome.vertex, outcome.record
                )
                yield item.record, place
                leaf += 1
        leaf += 1


class _Id:
    def __init__(self, own_id: bytes) -> None:
        self.id = own_id


def ordered_ids(chain: Chain, height: int) -> list[_Id]:
    from drystone.records.vertex import vertex_id

    block = chain.blocks[height - 1]
    return [_Id(vertex_id(vertex.header, chain.ledger)) for vertex in block.vertices]


def both(ledger: LedgerDB, check: Callable[[LedgerDB], None]) -> None:
    """Check the writer, a reader, and both again once everything is flushed."""
    reader = LedgerDB.open(ledger.database.path, read_only=True)
    check(ledger)
    check(reader)
    ledger.flush()
    check(ledger)
    check(reader)
    reader.close()


def test_the_chain_of_these_tests_is_eventful(chain: Chain) -> None:
    codes = {outcome.code for change in chain.changes for outcome in change.outcomes}
    events = {e.name for change in chain.changes for o in change.outcomes for e in o.events}
    assert codes >= {"accepted", "already", "member-unknown", "role-missing"}
    assert events >= {"gap", "late", "enrolled"}
    assert len(leaves_of(chain, 100)) > 3 * limits.TILE_WIDTH
    assert len(chain.blocks) % limits.FLUSH_BLOCKS


def test_every_state_value_is_found(ledger: LedgerDB, chain: Chain) -> None:
    state = state_of(chain, len(chain.blocks))

    def check(ledger: LedgerDB) -> None:
        assert dict(ledger.pairs()) == state
        for key, value in state.items():
            assert ledger.get(key) == value
        assert ledger.get(b"\x00\x00") is None

    both(ledger, check)


@pytest.mark.parametrize("limit", [1, 3, 1_000])
def test_scans_give_every_key_of_a_prefix_in_order(
    ledger: LedgerDB, chain: Chain, limit: int
) -> None:
    state = state_of(chain, len(chain.blocks))

    def check(ledger: LedgerDB) -> None:
        for prefix in (b"", b"\x02", keyspace.key(keyspace.STREAM, "ewz"), b"\x63", b"\xff"):
            pairs: list[tuple[bytes, bytes]] = []
            while page := ledger.scan(prefix, after=pairs[-1][0] if pairs else None, limit=limit):
                assert len(page) <= limit
                pairs += page
            assert pairs == [(k, v) for k, v in state.items() if k.startswith(prefix)]

    both(ledger, check)


def test_every_accepted_record_is_found_by_its_position(ledger: LedgerDB, chain: Chain) -> None:
    records = list(accepted(chain))

    def check(ledger: LedgerDB) -> None:
        for record, place in records:
            key = keyspace.stream(stream_id(record))
            assert ledger.find(key, epoch=record.epoch, seq=record.seq) == place
            assert ledger.place_of(place.leaf) == place
        assert ledger.find(keyspace.stream(("ewz", "m-0")), epoch=9, seq=0) is None
        assert ledger.find(keyspace.stream(("ewz", "m-99")), epoch=0, seq=0) is None

    both(ledger, check)


def test_a_streams_records_are_listed_as_accepted(ledger: LedgerDB, chain: Chain) -> None:
    streams: dict[bytes, list[tuple[int, int, int]]] = {}
    for record, place in accepted(chain):
        key = keyspace.stream(stream_id(record))
        streams.setdefault(key, []).append((record.epoch, record.seq, place.leaf))

    def check(ledger: LedgerDB) -> None:
        for key, expected in streams.items():
            assert ledger.postings(key, start=0, limit=10_000) == expected
            assert ledger.postings(key, start=3, limit=4) == expected[3:7]
            assert ledger.postings(key, start=len(expected) - 1, limit=4) == expected[-1:]
            assert ledger.postings(key, start=len(expected), limit=4) == []
            value = ledger.get(key)
            assert value is not None
            assert stream.decode(value).count == len(expected)

    both(ledger, check)


def test_a_block_entry_is_no_records_place(ledger: LedgerDB) -> None:
    last = ledger.last
    assert ledger.place_of(last.size - 1) is None
    assert ledger.place_of(last.size) is None
    assert ledger.place_of(0) is None


def test_every_block_comes_back(ledger: LedgerDB, chain: Chain) -> None:
    for change, block in zip(chain.changes, chain.blocks, strict=True):
        stored = ledger.block(block.height)
        assert stored is not None
        assert stored.entry == change.block_entry
        assert stored.head == change.head
        assert stored.fields.time_ms == block.time_ms
        assert stored.fields.state == change.state_root
        assert stored.vertices == tuple(one.id for one in ordered_ids(chain, block.height))
        assert tuple(all_outcomes(stored.outcomes)) == change.outcomes
        assert stored.size == change.log.size
        assert stored.size - stored.first_leaf == len(change.leaves)
        assert stored.records == sum(len(vertex.records) for vertex in block.vertices)
        for leaf in range(stored.first_leaf, stored.size):
            assert ledger.block_of_leaf(leaf) == stored
    assert ledger.block(len(chain.blocks) + 1) is None


def test_blocks_are_listed_both_ways_with_a_cursor(ledger: LedgerDB) -> None:
    last = ledger.height
    assert [b.height for b in ledger.blocks(limit=3)] == [0, 1, 2]
    assert [b.height for b in ledger.blocks(after=2, limit=2)] == [3, 4]
    assert [b.height for b in ledger.blocks(newest_first=True, limit=2)] == [last, last - 1]
    assert [b.height for b in ledger.blocks(after=2, newest_first=True)] == [1, 0]


def test_the_order_of_every_vertex_is_known(ledger: LedgerDB, chain: Chain) -> None:
    for block in chain.blocks:
        for position, one in enumerate(ordered_ids(chain, block.height)):
            assert ledger.order_of(one.id) == (block.height, position)
    assert ledger.order_of(bytes(32)) is None


def test_the_edge_is_that_of_the_last_change(ledger: LedgerDB, chain: Chain) -> None:
    both(ledger, lambda one: _same(one.edge(), chain.changes[-1].log))


def _same(found: object, expected: object) -> None:
    assert found == expected


def test_every_leaf_is_proved_at_every_height(ledger: LedgerDB, chain: Chain) -> None:
    leaves = leaves_of(chain, len(chain.blocks))

    def check(ledger: LedgerDB) -> None:
        for change in (chain.changes[0], chain.changes[20], chain.changes[-1]):
            size, root = change.log.size, log.root(change.log)
            for index in range(0, size, 17):
                path = log.inclusion_path(index, size, ledger.nodes(size))
                verify_inclusion(root=root, size=size, index=index, leaf=leaves[index], path=path)
            last = chain.changes[-1].log
            path = log.consistency_path(size, last.size, ledger.nodes())
            verify_consistency(
                old_size=size,
                old_root=root,
                new_size=last.size,
                new_root=log.root(last),
                path=path,
            )

    both(ledger, check)


def test_every_tile_is_what_the_leaves_make_it(ledger: LedgerDB, chain: Chain) -> None:
    leaves = leaves_of(chain, len(chain.blocks))

    def check(ledger: LedgerDB) -> None:
        for number in range(len(leaves) // 256 + 1):
            assert ledger.tile(0, number) == b"".join(leaves[256 * number : 256 * number + 256])
        above = [
            log.tree_root(leaves[first : first + 256]) for first in range(0, len(leaves) - 255, 256)
        ]
        assert ledger.tile(1, 0) == b"".join(above)
        assert ledger.tile(0, len(leaves) // 256 + 1) == b""
        assert ledger.tile(2, 0) == b""

    both(ledger, check)


def test_the_log_never_had_a_size_beyond_its_end(ledger: LedgerDB) -> None:
    with pytest.raises(InvariantBroken):
        ledger.nodes(ledger.last.size + 1)


def test_a_reader_follows_each_commit_and_flush(path: Path, chain: Chain) -> None:
    ledger = LedgerDB.create(path, chain.genesis, chain.start)
    reader = LedgerDB.open(path, read_only=True)
    for height in range(1, len(chain.blocks) + 1):
        commit(ledger, chain, height)
        assert reader.height == height
        assert reader.last.head == head_of(reader.edge())
        assert dict(reader.pairs()) == state_of(chain, height)
        if height % 7 == 0:
            ledger.flush()
    reader.close()
    ledger.close()


def test_a_reader_keeps_one_height_within_a_snapshot(path: Path, chain: Chain) -> None:
    ledger = LedgerDB.create(path, chain.genesis, chain.start)
    commit(ledger, chain, 3)
    reader = LedgerDB.open(path, read_only=True)
    with reader.snapshot():
        before = (reader.height, dict(reader.pairs()), reader.edge())
        commit(ledger, chain, 25)  # Flushes in between.
        assert (reader.height, dict(reader.pairs()), reader.edge()) == before
    assert reader.height == 25
    reader.close()
    ledger.close()


@pytest.mark.parametrize("height", [0, 1, 19, 20, 21, 45])
def test_reopening_finds_everything(path: Path, chain: Chain, height: int) -> None:
    ledger = LedgerDB.create(path, chain.genesis, chain.start)
    commit(ledger, chain, height)
    ledger.close()
    ledger = LedgerDB.open(path, ledger=chain.ledger)
    assert ledger.last.head == chain.heads[height]
    assert dict(ledger.pairs()) == state_of(chain, height)
    commit(ledger, chain, len(chain.blocks))
    assert ledger.last.head == chain.heads[-1]
    assert dict(ledger.pairs()) == state_of(chain, len(chain.blocks))
    ledger.close()


def test_a_flush_empties_what_waited_and_no_second_one_writes(
    ledger: LedgerDB,
) -> None:
    ledger.flush()
    assert ledger.database.rows("SELECT count(*) FROM recent") == [(0,)]
    before = ledger.database.changes()
    ledger.flush()
    assert ledger.database.changes() == before


def test_a_flush_comes_early_by_bytes(
    path: Path, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FLUSH_BYTES", 1)
    ledger = LedgerDB.create(path, chain.genesis, chain.start)
    commit(ledger, chain, 3)
    assert ledger.database.rows("SELECT count(*) FROM recent") == [(0,)]
    ledger.close()


def test_a_flush_without_room_is_left_for_later(
    path: Path, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = LedgerDB.create(path, chain.genesis, chain.start)

    def full() -> None:
        raise DiskFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "flush", full)
        commit(ledger, chain, 25)
    assert dict(ledger.pairs()) == state_of(chain, 25)
    commit(ledger, chain, 26)
    assert ledger.database.rows("SELECT count(*) FROM recent") == [(0,)]
    assert dict(ledger.pairs()) == state_of(chain, 26)
    ledger.close()


def test_keys_are_found_by_their_hash(ledger: LedgerDB, chain: Chain) -> None:
    from hashlib import sha256

    def check(ledger: LedgerDB) -> None:
        for key in state_of(chain, len(chain.blocks)):
            assert ledger.key_of_hash(sha256(key).digest()) == key
        assert ledger.key_of_hash(bytes(32)) is None

    both(ledger, check)


def test_a_deleted_key_is_gone_before_and_after_its_flush(path: Path, chain: Chain) -> None:
    from dataclasses import replace
    from hashlib import sha256

    ledger = LedgerDB.create(path, chain.genesis, chain.start)
    commit(ledger, chain, 2)
    ledger.flush()
    key = next(key for key in state_of(chain, 2) if key[0] == keyspace.MEMBER)
    change = chain.changes[2]
    writes = dict(sorted({**change.writes, key: None}.items()))
    ledger.commit(replace(change, writes=writes), chain.blocks[2])

    def check(ledger: LedgerDB) -> None:
        assert ledger.get(key) is None
        assert key not in dict(ledger.pairs())
        assert key not in dict(ledger.scan(b"\x02"))
        assert ledger.key_of_hash(sha256(key).digest()) is None

    both(ledger, check)
    ledger.close()


def test_a_block_that_does_not_follow_is_not_stored(ledger: LedgerDB, chain: Chain) -> None:
    with pytest.raises(InvariantBroken, match="does not follow"):
        ledger.commit(chain.changes[-1], chain.blocks[-1])
    with pytest.raises(InvariantBroken, match="does not follow"):
        ledger.commit(chain.changes[0], chain.blocks[-1])


def test_a_log_that_does_not_follow_is_not_stored(path: Path, chain: Chain) -> None:
    from dataclasses import replace

    ledger = LedgerDB.create(path, chain.genesis, chain.start)
    change = replace(chain.changes[0], log=chain.changes[1].log)
    with pytest.raises(InvariantBroken, match="log of block 1"):
        ledger.commit(change, chain.blocks[0])
    ledger.close()


def test_a_ledger_begins_with_its_own_genesis(path: Path, chain: Chain) -> None:
    with pytest.raises(InvariantBroken, match="genesis"):
        LedgerDB.create(path, chain.genesis + b"\x00", chain.start)
    with pytest.raises(InvariantBroken, match="genesis"):
        LedgerDB.create(path, chain.genesis, chain.changes[0])
    assert not path.exists()


def test_another_ledgers_file_is_foreign(ledger: LedgerDB) -> None:
    with pytest.raises(DatabaseForeign, match="another ledger"):
        LedgerDB.open(ledger.database.path, ledger=bytes(32))


def test_a_vertex_ordered_twice_stays_where_it_was_first(path: Path, chain: Chain) -> None:
    ledger = LedgerDB.create(path, chain.genesis, chain.start)
    commit(ledger, chain, 1)
    first = chain.blocks[0].vertices[0]
    block = chain.blocks[1]
    ledger.commit(chain.changes[1], block._replace(vertices=[*block.vertices, first]))
    assert ledger.order_of(ordered_ids(chain, 1)[0].id) == (1, 0)
    ledger.close()


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM recent WHERE height = (SELECT max(height) FROM recent)",
        "UPDATE recent SET leaves = x'' WHERE height = (SELECT max(height) FROM recent)",
        "UPDATE recent SET changes = x'00'",
        "DELETE FROM blocks",
        "DELETE FROM blocks WHERE height = (SELECT min(height) - 1 FROM recent)",
        "UPDATE blocks SET vertices = x'00'",
        "UPDATE blocks SET outcomes = x'00'",
        "DELETE FROM meta WHERE name = 'ledger'",
    ],
)
def test_rows_that_do_not_fit_together_are_corrupt(path: Path, chain: Chain, sql: str) -> None:
    ledger = LedgerDB.create(path, chain.genesis, chain.start)
    commit(ledger, chain, 30)
    ledger.database.rows(sql)
    ledger.close()
    with pytest.raises(DatabaseCorrupt):
        LedgerDB.open(path)


def test_an_entry_that_is_none_is_corrupt(ledger: LedgerDB) -> None:
    with pytest.raises(DatabaseCorrupt, match="block 5"):
        _ = ledger.blocks(after=4, limit=1)[0]._replace(entry=b"\x00").fields


def test_a_short_tile_is_corrupt(ledger: LedgerDB) -> None:
    ledger.flush()
    ledger.database.rows("UPDATE tiles SET hashes = x'00' WHERE level = 0 AND number = 1")
    with pytest.raises(DatabaseCorrupt, match="tile 0/1"):
        ledger.tile(0, 1)


def test_postings_name_each_accepted_record(chain: Chain) -> None:
    for change, block in zip(chain.changes, chain.blocks, strict=True):
        assert len(postings_of(change, block).seqs) == len(change.leaves) - 1


def test_leaves_of_a_chain_are_hashes_of_its_entries(chain: Chain) -> None:
    assert chain.start.leaves == (leaf_hash(chain.start.block_entry),)
    assert TileMalformed.code == "tile-malformed"
