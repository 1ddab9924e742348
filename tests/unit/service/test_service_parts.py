"""Parts of the service: events that resume, a pulse, a sentence about health, positions in order."""

import asyncio
from collections.abc import Sequence

import pytest

from drystone import limits
from drystone.api.values import (
    BlockInfo,
    EventCursor,
    EventInfo,
    OutcomeInfo,
    ServiceEvent,
    StreamCursor,
)
from drystone.errors import Overloaded
from drystone.ledger.change import Outcome
from drystone.records import stream
from drystone.service.events import EventHub
from drystone.service.health import STUCK_MS, Numbers, judge
from drystone.service.pulse import Pulse
from drystone.service.reads import positions
from drystone.workers.messages import Executed


def block(height: int) -> tuple[BlockInfo, Sequence[OutcomeInfo]]:
    """A block with one refused record and one event."""
    info = BlockInfo(
        height=height, time_ms=height, protocol=1, parent=b"", head=b"", size=height, root=b"",
        state=b"", outcomes=b"", validators=b"", entry=b"", vertices=(), records=3,
        codes={"accepted": 2, "already": 1},
    )  # fmt: skip
    event = EventInfo(contract="stream", name="gap", data={"from": 1})
    return info, [
        OutcomeInfo(vertex=b"\x01", record=0, code="already", steps=0, events=()),
        OutcomeInfo(vertex=b"\x01", record=2, code="accepted", steps=0, events=(event,)),
    ]


class Blocks:
    """A reader of blocks that counts."""

    def __init__(self) -> None:
        self.read: list[int] = []

    async def __call__(self, height: int) -> tuple[BlockInfo, Sequence[OutcomeInfo]] | None:
        self.read.append(height)
        return block(height) if height else None


async def take(hub: EventHub, after: EventCursor | None, count: int) -> list[ServiceEvent]:
    """The next events of a subscription."""
    found: list[ServiceEvent] = []
    async for event in hub.subscribe(after):
        found.append(event)
        if len(found) == count:
            break
    return found


def test_events_of_stored_blocks_come_in_order_and_resume_anywhere() -> None:
    async def run() -> None:
        hub = EventHub(height=2, read_block=Blocks())
        events = await take(hub, EventCursor(0, 0), 6)
        assert [event.cursor for event in events] == [
            EventCursor(height, number) for height in (1, 2) for number in range(3)
        ]
        assert [event.kind for event in events[:3]] == ["block", "outcome", "event"]
        assert await take(hub, events[1].cursor, 4) == events[2:]

    asyncio.run(run())


def test_without_a_cursor_only_what_comes_is_told() -> None:
    async def run() -> None:
        hub = EventHub(height=2, read_block=Blocks())
        task = asyncio.create_task(take(hub, None, 1))
        await asyncio.sleep(0)
        hub.commit(3)
        assert [event.cursor for event in await task] == [EventCursor(3, 0)]

    asyncio.run(run())


def test_subscribers_of_one_moment_share_what_is_read() -> None:
    async def run() -> None:
        blocks = Blocks()
        hub = EventHub(height=1, read_block=blocks)
        await asyncio.gather(*(take(hub, EventCursor(1, -1), 3) for _ in range(3)))
        await take(hub, EventCursor(1, -1), 3)
        assert len(blocks.read) <= 3

    asyncio.run(run())


def test_a_stopping_node_ends_every_stream() -> None:
    async def run() -> None:
        hub = EventHub(height=1, read_block=Blocks())
        task = asyncio.create_task(take(hub, None, 1))
        await asyncio.sleep(0)
        assert hub.subscribers == 1
        hub.stop()
        assert await task == []
        assert hub.subscribers == 0

    asyncio.run(run())


def test_too_many_streams_are_refused() -> None:
    async def run() -> None:
        hub = EventHub(height=1, read_block=Blocks())
        hub.subscribers = limits.SUBSCRIBERS_MAX
        with pytest.raises(Overloaded):
            await take(hub, None, 1)

    asyncio.run(run())


def executed(height: int, counts: tuple[int, ...], *outcomes: Outcome) -> Executed:
    """A commit's report."""
    return Executed(
        height=height, time_ms=0, first_leaf=0, size=height * 10, root=b"", head=b"",
        state_root=b"", vertices=tuple(bytes([n]) for n, _ in enumerate(counts)), counts=counts,
        outcomes=outcomes, writes={},
    )  # fmt: skip


def test_a_pulse_counts_records_by_outcome_whole_vertices_included() -> None:
    now = [100.0]
    pulse = Pulse(height=0, size=1, monotonic_s=lambda: now[0])
    refused = Outcome(1, None, "vertex-place", 0, ())
    pulse.commit(executed(1, (5, 3), Outcome(0, 2, "already", 0, ()), refused))
    assert pulse.codes == {"accepted": 4, "already": 1, "vertex-place": 3}
    assert (pulse.height, pulse.size, pulse.last_minute()) == (1, 10, 8)
    now[0] += 30
    pulse.commit(executed(2, (2,)))
    assert (pulse.last_minute(), pulse.idle_ms()) == (10, 0)
    now[0] += 31
    assert (pulse.last_minute(), pulse.idle_ms()) == (2, 31_000)


def numbers(**other: object) -> Numbers:
    """A healthy node's numbers, or other ones."""
    healthy = Numbers(
        height=3, idle_ms=5, last_minute=0, waiting_records=0, verify_batches=0, full="",
        restarts=0,
    )  # fmt: skip
    return healthy._replace(**other)


def test_an_idle_node_and_a_busy_one_are_well() -> None:
    assert judge(numbers()).sentence == "All is well: idle at block 3."
    assert judge(numbers(last_minute=7)).sentence == "All is well: 7 records in the last minute."


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"waiting_records": 1, "idle_ms": STUCK_MS + 1}, "commit"),
        ({"full": "no room"}, "disk"),
        ({"waiting_records": limits.INTAKE_RECORDS_MAX}, "load"),
        ({"restarts": limits.RESTARTS_MAX}, "restarts"),
    ],
)
def test_a_node_that_is_not_well_says_what_is_wrong(wrong: dict[str, object], name: str) -> None:
    health = judge(numbers(**wrong))
    assert not health.ok
    assert name in health.sentence
    assert [check.name for check in health.checks if not check.ok] == [name]


def test_positions_of_a_stream_come_in_order_either_way_behind_a_cursor() -> None:
    state = stream.EMPTY
    for epoch, seq in [(0, 0), (0, 1), (0, 4), (2, 0), (2, 1)]:
        state = stream.place(state, epoch=epoch, seq=seq, record_id=bytes(32), register=None).stream
    every = [(0, 0), (0, 1), (0, 4), (2, 0), (2, 1)]

    def listed(after: StreamCursor | None, *, newest_first: bool) -> list[tuple[int, int]]:
        return [tuple(one) for one in positions(state, after=after, newest_first=newest_first)]

    assert listed(None, newest_first=False) == every
    assert listed(None, newest_first=True) == every[::-1]
    for number, place in enumerate(every):
        cursor = StreamCursor(*place)
        assert listed(cursor, newest_first=False) == every[number + 1 :]
        assert listed(cursor, newest_first=True) == every[:number][::-1]
    assert listed(StreamCursor(1, 5), newest_first=False) == every[3:]
    assert listed(StreamCursor(1, 5), newest_first=True) == every[:3][::-1]
