"""Sealing: when records become a vertex, and what a vertex is."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from gateway_world import NODE, World, reading, submit

from drystone import limits
from drystone.errors import DiskFull
from drystone.gateway import seal
from drystone.gateway.batch import Batch
from drystone.records.record import check_form
from drystone.records.vertex import check_body, check_vertex_signature, decode_header

Test = Callable[[World], Awaitable[None]]


def in_world(test: Test, **options: int) -> None:
    """Run a test in a world with an enrolled meter whose gateway has just sealed something."""

    async def run() -> None:
        async with World(**options) as world:
            await world.enrol_meter()
            await test(world)

    asyncio.run(run())


def test_under_load_records_linger_as_intake_rows_until_enough_are_there() -> None:
    async def run(world: World) -> None:
        for seq in range(3):
            assert await submit(world, reading(seq)) == ["stored"]
        assert len(world.store.rows) == 3
        assert len(world.store.vertices) == 1
        assert await submit(world, reading(3)) == ["stored"]
        assert not world.store.rows
        (vertex, _) = world.engine.submitted[0]
        assert [item.record.seq for item in vertex.records] == [0, 1, 2, 3]

    in_world(run, linger_ms=60_000, seal_records=4)


def test_what_lingers_is_sealed_when_its_time_is_over() -> None:
    async def run(world: World) -> None:
        await submit(world, reading(0))
        assert world.store.rows
        await world.until_submitted()
        assert not world.store.rows

    in_world(run, linger_ms=30)


def test_who_waits_gets_a_vertex_at_once_when_the_engine_is_idle() -> None:
    async def run(world: World) -> None:
        (answer,) = await world.intake.submit(reading(0), wait="sealed")
        assert answer.place == ("ewz", "node", 0, 1, 0)

    in_world(run, linger_ms=60_000)


def test_who_waits_while_the_engine_is_busy_shares_a_vertex() -> None:
    async def run(world: World) -> None:
        world.engine.idle = False
        tasks = [
            asyncio.create_task(world.intake.submit(reading(seq), wait="sealed"))
            for seq in range(3)
        ]
        done, _ = await asyncio.wait(tasks, timeout=0.05)
        assert not done
        world.engine.idle = True
        world.sealer.poke()
        places = sorted([(await task)[0].place for task in tasks])
        assert places == [("ewz", "node", 0, 1, index) for index in range(3)]

    in_world(run, linger_ms=60_000)


def test_a_vertex_is_signed_chained_and_fits_its_body() -> None:
    async def run(world: World) -> None:
        await submit(world, reading(0) + reading(1))
        first, second = (decode_header(stored.header) for stored in world.store.vertices)
        assert (second.epoch, second.seq, second.parent) == (0, 1, world.store.vertices[0].id)
        assert first.parent is None
        check_vertex_signature(second, NODE.public, world.view.ledger)
        check_body(second, [reading(0), reading(1)])

    in_world(run)


def test_more_records_than_a_vertex_takes_become_several() -> None:
    count = limits.VERTEX_RECORDS_MAX + 100

    async def run(world: World) -> None:
        answers = await world.intake.submit(
            b"".join(reading(seq) for seq in range(count)), wait="sealed"
        )
        places = [answer.place for answer in answers]
        assert places[0] == ("ewz", "node", 0, 1, 0)
        assert len(set(places)) == count
        assert {place[3] for place in places if place} == {1, 2}
        await world.order()
        assert world.view.height == 2
        assert world.positions.records == 0

    in_world(run)


def test_outcomes_of_refused_records_reach_the_right_answers() -> None:
    async def run(world: World) -> None:
        # Both are fine as far as intake can see: the second contradicts the first only once that is committed.
        first = asyncio.create_task(
            world.intake.submit(reading(0, wh=1) + reading(9, wh=90), wait="committed")
        )
        late = asyncio.create_task(
            world.intake.submit(reading(5, wh=95) + reading(6, wh=60), wait="committed")
        )
        await world.until_submitted()
        # A batch whose vertex is being written is neither unsealed nor submitted: count what the engine has.
        while sum(vertex.header.count for vertex, _ in world.engine.submitted) < 4:
            world.sealer.poke()
            await asyncio.sleep(0)
        await world.order()
        assert [answer.outcome for answer in await first] == ["accepted", "accepted"]
        assert [answer.outcome for answer in await late] == ["register-order", "accepted"]

    in_world(run)


def test_a_vertex_that_finds_no_room_is_sealed_later_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seal, "RETRY_S", 0.0)

    async def run(world: World) -> None:
        assert await submit(world, reading(0)) == ["stored"]
        world.store.failing = DiskFull("no room")
        (refused,) = await world.intake.submit(reading(1), wait="sealed")
        assert refused.code == "disk-full"
        assert len(world.store.rows) == 1
        world.store.failing = None
        assert await submit(world, reading(1), "sealed") == ["stored"]
        assert not world.store.rows

    in_world(run, linger_ms=60_000)


def test_stopping_stores_what_arrived_and_seals_nothing_more() -> None:
    async def run(world: World) -> None:
        sending = asyncio.create_task(submit(world, reading(0)))
        while not world.positions.records:  # noqa: ASYNC110 - a few turns of the loop
            await asyncio.sleep(0)
        world.sealer.stop()
        assert await sending == ["stored"]
        assert len(world.store.rows) == 1

    in_world(run)


def test_a_batch_adopted_while_another_is_being_sealed_is_sealed_too() -> None:
    async def run(world: World) -> None:
        async with world.turn:  # Nothing is written while the test holds the turn.
            sending = asyncio.create_task(submit(world, reading(0), "sealed"))
            while not world.positions.records:  # noqa: ASYNC110 - a few turns of the loop
                await asyncio.sleep(0)
            left = Batch.of_items([check_form(reading(5))])
            left.row = world.store.add_intake([left.sequence])[0]
            await asyncio.sleep(0)
            world.positions.adopt(left)
            world.sealer.adopt(left)
        await sending
        async with asyncio.timeout(5):
            await left.sealed
        assert not world.store.rows

    in_world(run)


@pytest.mark.parametrize("moments", range(6))
def test_cancelled_sealer_ends_whatever_comes_at_the_same_moment(moments: int) -> None:
    async def run() -> None:
        world = World(linger_ms=60_000)
        running = asyncio.create_task(world.sealer.run())
        await world.enrol_meter()
        assert await submit(world, reading(0)) == ["stored"]
        for _ in range(10):
            await asyncio.sleep(0)
        world.sealer.poke()
        for _ in range(moments):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait({running}, timeout=5)
        assert running.cancelled()

    asyncio.run(run())
