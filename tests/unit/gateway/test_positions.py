"""Positions, senders and the stale view: what the front knows without asking a disk."""

import asyncio

import pytest
from gateway_world import METER, World, reading

from drystone import limits
from drystone.gateway.batch import Batch
from drystone.gateway.positions import COMMITTED, Positions
from drystone.gateway.senders import Senders
from drystone.gateway.stale import BLOCKS_KEPT, StaleView
from drystone.ledger import keyspace, rows
from drystone.records import stream
from drystone.records.record import check_form
from drystone.workers.checked import Steps, rank, unrank

NAME = ("ewz", "m-1", None)


class Streams:
    """A view with one stream in it."""

    def __init__(self, *seqs: int) -> None:
        state = stream.EMPTY
        for seq in seqs:
            state = stream.place(state, epoch=0, seq=seq, record_id=bytes(32), register=None).stream
        self.value = stream.encode(state) if seqs else None

    def get(self, key: bytes) -> bytes | None:
        return self.value if key == keyspace.stream(("ewz", "m-1")) else None


def look(positions: Positions, seq: int, epoch: int = 0) -> Batch | str | None:
    """Look at a position of the meter."""
    return positions.look((*NAME, epoch, seq), record_id=bytes(32), register=None)


@pytest.mark.parametrize(("epoch", "seq"), [(0, 0), (0, 2**53 - 1), (1, 0), (2**32 - 1, 7)])
def test_a_rank_is_a_position_and_sorts_like_it(epoch: int, seq: int) -> None:
    assert unrank(rank(epoch, seq)) == (epoch, seq)
    assert rank(epoch, seq) < rank(epoch + 1, 0)


def test_a_stream_is_moved_on_as_a_whole_only_from_right_before() -> None:
    positions = Positions(Streams(0, 1, 2))
    assert not positions.advance(Steps([NAME], [rank(0, 2)], [rank(0, 3)])), "never seen"
    assert look(positions, 3) is None
    assert positions.advance(Steps([NAME], [rank(0, 3)], [rank(0, 9)]))
    assert not positions.advance(Steps([NAME], [rank(0, 3)], [rank(0, 9)])), "a copy"
    assert not positions.advance(Steps([NAME], [rank(0, 10)], [rank(0, 11)])), "a gap"
    assert not positions.advance(None)


def test_one_stream_that_does_not_fit_moves_none() -> None:
    positions = Positions(Streams(0))
    assert look(positions, 1) is None
    other = ("ewz", "m-2", None)
    assert not positions.advance(Steps([NAME, other], [rank(0, 1), 5], [rank(0, 2), 6]))
    assert positions.advance(Steps([NAME], [rank(0, 1)], [rank(0, 2)]))


def test_what_is_committed_is_taken_and_what_is_missing_is_free() -> None:
    positions = Positions(Streams(0, 1, 5))
    assert look(positions, 1) == COMMITTED
    assert look(positions, 5) == COMMITTED
    assert look(positions, 3) is None
    assert look(positions, 6) is None
    assert look(positions, 0, epoch=1) is None


def test_the_next_place_lies_behind_everything() -> None:
    positions = Positions(Streams(0, 1, 5))
    assert positions.next_place(NAME, epoch=0) == (0, 6)
    assert positions.next_place(NAME, epoch=3) == (3, 0)
    assert look(positions, 7) is None
    assert positions.next_place(NAME, epoch=0) == (0, 8)
    assert positions.next_place(("ewz", "new", None), epoch=2) == (2, 0)


def test_a_full_memory_of_streams_is_emptied_and_built_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("drystone.gateway.positions.STREAMS_REMEMBERED_MAX", 1)
    positions = Positions(Streams(0, 1))
    assert positions.next_place(("ewz", "m-2", None), epoch=0) == (0, 0)
    assert positions.next_place(NAME, epoch=0) == (0, 2)
    assert look(positions, 1) == COMMITTED


def test_adopted_positions_are_held_until_they_are_released() -> None:
    async def run() -> None:
        positions = Positions(Streams(0))
        batch = Batch.of_items([check_form(reading(1)), check_form(reading(4))])
        positions.adopt(batch)
        assert (positions.records, positions.size) == (2, len(batch.sequence))
        assert look(positions, 4) is batch
        assert positions.next_place(NAME, epoch=0) == (0, 5)
        positions.release([batch])
        assert (positions.records, positions.size, positions.pending) == (0, 0, {})

    asyncio.run(run())


def test_only_touched_members_are_forgotten() -> None:
    async def run() -> None:
        async with World() as world:
            await world.enrol_meter()
            senders = Senders(world.view)
            record = check_form(reading(0))
            rights = senders.rights(record)
            assert senders.change({keyspace.stream(("ewz", "m-1")): b"x"}) == ()
            assert senders.generation == 0
            assert senders.change({keyspace.member("ewz", "m-2"): b"x"}) == [("ewz", "m-2")]
            assert senders.rights(record) is rights
            key = keyspace.member_key("ewz", "m-1", METER.public.kid())
            assert senders.change({key: b"x"}) == [("ewz", "m-1")]
            assert senders.rights(record) is not rights
            assert senders.change({keyspace.profile("ewz", "meter"): b"x"}) is None
            assert senders.generation == 3

    asyncio.run(run())


def test_rows_of_a_sender_tell_as_much_as_the_whole_state() -> None:
    async def run() -> None:
        async with World() as world:
            await world.enrol_meter()
            generation, found = world.senders.rows(
                [("ewz", "m-1", METER.public.kid(), None), ("nobody", "x", b"", None)]
            )
            assert generation == world.senders.generation
            assert set(found) == {
                keyspace.organisation("ewz"),
                keyspace.member("ewz", "m-1"),
                keyspace.member_key("ewz", "m-1", METER.public.kid()),
                keyspace.profile("ewz", "meter"),
                keyspace.organisation("nobody"),
            }
            assert found[keyspace.organisation("nobody")] is None
            member = found[keyspace.member("ewz", "m-1")]
            assert member is not None
            assert rows.decode_member(member).profile == "meter"

    asyncio.run(run())


def test_the_stale_view_shows_what_was_reported_over_what_is_stored() -> None:
    flushed: dict[bytes, bytes] = {b"a": b"0"}
    asked: list[bytes] = []

    def read_all(key: bytes) -> bytes | None:
        asked.append(key)
        return b"all"

    view = StaleView(read_all=read_all, read_flushed=flushed.get)
    view.commit({b"k": b"1", b"gone": None})
    assert (view.get(b"k"), view.get(b"gone"), view.get(b"a")) == (b"1", None, b"all")
    for number in range(BLOCKS_KEPT):
        view.commit({b"n": str(number).encode()})
    assert asked == [b"a"]
    assert view.get(b"a") == b"0", "the table alone is asked once enough was reported"
    assert view.get(b"k") == b"1"
    assert view.get(b"n") == str(BLOCKS_KEPT - 1).encode()
    for _ in range(BLOCKS_KEPT):
        view.commit({})
    assert view.get(b"k") is None, "by now it is in the table"


def test_what_is_kept_reaches_behind_every_block_that_may_not_be_flushed() -> None:
    assert BLOCKS_KEPT >= limits.FLUSH_BLOCKS
