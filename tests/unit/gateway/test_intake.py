"""Intake: what is answered, when, and what is never acknowledged."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from gateway_world import METER, OPERATOR, World, reading, submit

from drystone import limits
from drystone.errors import DatabaseCorrupt, DiskFull, Overloaded, TooLarge
from drystone.formats import cose
from drystone.formats.senml import Measurement
from drystone.records.key import SecretKey

Test = Callable[[World], Awaitable[None]]


def in_world(test: Test, **options: int) -> None:
    """Run a test in a world with an enrolled meter."""

    async def run() -> None:
        async with World(**options) as world:
            await world.enrol_meter()
            await test(world)

    asyncio.run(run())


def test_a_good_record_is_stored_and_sealed() -> None:
    async def run(world: World) -> None:
        assert await submit(world, reading(0)) == ["stored"]
        assert len(world.store.vertices) == 2

    in_world(run)


def test_records_of_one_request_are_answered_in_order_s1_4() -> None:
    stranger = SecretKey.generate(cose.ALG_EDDSA, b"s" * 32)

    async def run(world: World) -> None:
        sequence = reading(0) + reading(1, secret=stranger) + reading(2) + reading(2)
        assert await submit(world, sequence) == ["stored", "key-unknown", "stored", "already"]

    in_world(run)


def test_what_is_no_cbor_is_refused_behind_what_came_before_it() -> None:
    async def run(world: World) -> None:
        assert await submit(world, reading(0) + b"\xff\xff") == ["stored", "cbor-malformed"]

    in_world(run)


@pytest.mark.parametrize(("sub", "code"), [("m-2", "member-unknown"), ("operator", "key-unknown")])
def test_a_sender_that_the_ledger_does_not_know_is_refused(sub: str, code: str) -> None:
    async def run(world: World) -> None:
        assert await submit(world, reading(0, sub=sub)) == [code]
        assert world.positions.records == 0

    in_world(run)


def test_an_altered_record_is_refused_and_leaves_its_position_free() -> None:
    async def run(world: World) -> None:
        good = reading(0)
        bad = good[:-1] + bytes([good[-1] ^ 1])
        assert await submit(world, bad) == ["signature-invalid"]
        assert await submit(world, good) == ["stored"]

    in_world(run)


def test_a_reading_that_does_not_fit_its_profile_is_refused_at_intake() -> None:
    async def run(world: World) -> None:
        answers = await world.intake.submit(
            reading(0, sub="operator", secret=OPERATOR, epoch=1), wait=None
        )
        assert [answer.code for answer in answers] == ["profile-unknown"]

    in_world(run)


def test_a_copy_on_its_way_is_answered_with_the_first_place_s2_29() -> None:
    async def run(world: World) -> None:
        (first,) = await world.intake.submit(reading(0), wait="sealed")
        (copy,) = await world.intake.submit(reading(0), wait=None)
        assert copy.code == "already"
        assert copy.place == first.place == ("ewz", "node", 0, 1, 0)

    in_world(run)


def test_a_copy_with_other_content_is_already_too_s2_29() -> None:
    async def run(world: World) -> None:
        await submit(world, reading(0, wh=1))
        assert await submit(world, reading(0, wh=2)) == ["already"]

    in_world(run)


def test_a_copy_of_a_committed_record_is_already_s2_29() -> None:
    async def run(world: World) -> None:
        (first,) = await world.commit(reading(0))
        assert (first.outcome, first.height) == ("accepted", 2)
        assert world.positions.records == 0
        assert await submit(world, reading(0)) == ["already"]
        assert len(world.store.vertices) == 2

    in_world(run)


def test_a_copy_is_not_answered_before_the_first_is_on_disk() -> None:
    async def run(world: World) -> None:
        async with world.turn:  # Nothing is written while the test holds the turn.
            first = asyncio.create_task(submit(world, reading(0)))
            copy = asyncio.create_task(submit(world, reading(0)))
            done, _ = await asyncio.wait({first, copy}, timeout=0.05)
            assert not done
        assert sorted(await first + await copy) == ["already", "stored"]

    in_world(run)


def test_nothing_is_acknowledged_when_the_disk_is_full_and_the_position_is_free_again() -> None:
    async def run(world: World) -> None:
        world.store.failing = DiskFull("no room", retry_after_ms=7)
        (answer,) = await world.intake.submit(reading(0), wait=None)
        assert (answer.code, answer.retry_after_ms) == ("disk-full", 7)
        assert world.positions.records == 0
        assert not world.positions.pending
        world.store.failing = None
        assert await submit(world, reading(0)) == ["stored"]

    in_world(run, linger_ms=60_000)


def test_a_broken_database_stops_the_committer() -> None:
    async def run() -> None:
        world = World()
        world.store.failing = DatabaseCorrupt("a row")
        task = asyncio.create_task(world.sealer.run())
        sending = asyncio.create_task(world.intake.submit(world.call("profile", {}), wait=None))
        with pytest.raises(DatabaseCorrupt):
            await task
        sending.cancel()

    asyncio.run(run())


def test_a_request_beyond_the_bounds_is_refused_before_it_costs_anything() -> None:
    async def run(world: World) -> None:
        with pytest.raises(TooLarge):
            await world.intake.submit(bytes(limits.REQUEST_BYTES_MAX + 1), wait=None)
        world.room.full = True
        with pytest.raises(DiskFull):
            await world.intake.submit(reading(0), wait=None)

    in_world(run)


def test_a_gateway_whose_engine_lags_refuses_with_overloaded() -> None:
    async def run(world: World) -> None:
        await submit(world, b"".join(reading(seq) for seq in range(8)))
        with pytest.raises(Overloaded):
            await world.intake.submit(reading(8), wait=None)
        await world.order()
        assert await submit(world, reading(8)) == ["stored"]

    in_world(run, records_max=8)


def test_a_gap_and_a_late_record_are_taken_in() -> None:
    async def run(world: World) -> None:
        await world.commit(reading(0, wh=1) + reading(5, wh=50))
        (late,) = await world.commit(reading(3, wh=30))
        assert late.outcome == "accepted"

    in_world(run)


def test_a_late_record_whose_register_contradicts_is_refused_at_intake() -> None:
    async def run(world: World) -> None:
        await world.commit(reading(0, wh=1) + reading(5, wh=50))
        assert await submit(world, reading(3, wh=51)) == ["register-order"]

    in_world(run)


def test_a_stream_with_too_many_gaps_is_refused_at_intake() -> None:
    async def run(world: World) -> None:
        runs = range(0, 2 * limits.STREAM_RUNS_MAX, 2)
        await world.commit(b"".join(reading(seq, wh=seq) for seq in runs))
        beyond = 2 * limits.STREAM_RUNS_MAX
        assert await submit(world, reading(beyond, wh=beyond)) == ["stream-gaps"]

    in_world(run)


def test_a_revoked_member_is_refused_as_soon_as_the_revocation_is_committed() -> None:
    async def run(world: World) -> None:
        assert await submit(world, reading(0)) == ["stored"]
        await world.order()
        await world.commit(world.call("revoke", {"sub": "m-1"}))
        assert await submit(world, reading(1)) == ["member-suspended"]

    in_world(run)


def test_an_unsigned_device_is_attested_and_its_record_says_so_s1_22() -> None:
    async def run(world: World) -> None:
        measurement = Measurement("e", "Wh", 7, None)
        task = asyncio.create_task(world.attestor.attest("old", [measurement], wait="committed"))
        await world.until_submitted()
        await world.order()
        answer = await task
        assert (answer.code, answer.outcome) == ("stored", "accepted")
        item = await world.attestor.attest("old", [measurement], wait=None)
        assert item.code == "stored"
        record = world.engine.submitted[0][0].records[0]
        assert record.record.device == "old"
        assert (record.record.epoch, record.record.seq) == (0, 1)

    in_world(run)


@pytest.mark.parametrize(
    ("device", "unit", "code"),
    [
        ("new", "Wh", "member-unknown"),
        ("old", "W", "profile-mismatch"),
        ("no id!", "Wh", "id-malformed"),
    ],
)
def test_a_device_that_is_not_attached_or_a_reading_that_does_not_fit_is_not_attested_s1_22(
    device: str, unit: str, code: str
) -> None:
    async def run(world: World) -> None:
        answer = await world.attestor.attest(device, [Measurement("e", unit, 7, None)], wait=None)
        assert answer.code == code
        assert world.positions.records == 0

    in_world(run)


def test_the_meter_may_not_use_another_members_name() -> None:
    async def run(world: World) -> None:
        assert await submit(world, reading(0, sub="node", secret=METER)) == ["key-unknown"]

    in_world(run)
