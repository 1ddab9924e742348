"""The bucket and the lanes: how much, and what first."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from linked import Said, Town, foreign, until
from linked import run as run_on

from drystone.gateway.sync.messages import Body, Ping
from drystone.gateway.sync.wire import Frames, encode_message
from drystone.transport.link_pace import Bucket, Lanes

LATER = encode_message(Body(bytes(32), 0, 3_000, bytes(3_000)))
LIVE = encode_message(Ping(bytes(8), 7))


LOOP: list[str] = []
"""The loop of the test that runs now."""


@pytest.fixture(params=["asyncio", "uvloop"], autouse=True)
def _loop(request: pytest.FixtureRequest) -> None:
    LOOP.append(str(request.param))


def run(work: Coroutine[Any, Any, None]) -> None:
    run_on(work, LOOP[-1])


def test_live_messages_leave_before_those_that_catch_up() -> None:
    lanes = Lanes()
    for name in (b"a", b"b"):
        lanes.put(name, live=False)
        lanes.put(name.upper(), live=True)
    taken = [lanes.take(1) for _ in range(4)]
    assert taken == [b"A", b"B", b"a", b"b"]
    assert lanes.empty


def test_small_messages_of_one_lane_leave_together_and_large_ones_alone() -> None:
    lanes = Lanes()
    for message in (b"12", b"34", b"5678", b"9" * 100):
        lanes.put(message, live=True)
    lanes.put(b"later", live=False)
    assert lanes.size == 113
    assert [lanes.take(8) for _ in range(3)] == [b"12345678", b"9" * 100, b"later"]
    assert lanes.size == 0


def test_without_a_rate_nobody_waits() -> None:
    async def work() -> None:
        bucket = Bucket(0)
        for _ in range(1_000):
            bucket.spend(10**9)
            await bucket.ready(live=False)

    run(work())


def test_rate_holds_over_time() -> None:
    async def work() -> None:
        bucket = Bucket(100_000)
        began = asyncio.get_running_loop().time()
        for _ in range(100):
            await bucket.ready(live=False)
            bucket.spend(1_000)
        took_s = asyncio.get_running_loop().time() - began
        # 100,000 bytes, of which 50,000 are in the bucket at the start.
        assert 0.45 < took_s < 3

    run(work())


def test_who_waits_with_live_bytes_comes_before_who_waited_longer() -> None:
    async def work() -> None:
        bucket = Bucket(20_000)
        order: list[str] = []

        async def ask(name: str, live: bool) -> None:
            await bucket.ready(live=live)
            order.append(name)
            bucket.spend(1_000)

        await bucket.ready(live=True)
        bucket.spend(11_000)
        async with asyncio.TaskGroup() as group:
            for name, live in (
                ("late-1", False),
                ("late-2", False),
                ("live-1", True),
                ("live-2", True),
            ):
                group.create_task(ask(name, live))
        assert order == ["live-1", "live-2", "late-1", "late-2"]

    run(work())


def test_who_stops_waiting_holds_nobody_up() -> None:
    async def work() -> None:
        bucket = Bucket(10_000)
        await bucket.ready(live=True)
        bucket.spend(5_500)
        given_up = asyncio.create_task(bucket.ready(live=True))
        waiting = asyncio.create_task(bucket.ready(live=False))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait_for(waiting, 5)

    run(work())


@pytest.mark.parametrize("bytes_s", [0, 60_000])
def test_live_reading_overtakes_a_backlog_on_a_link(tmp_path: Path, bytes_s: int) -> None:
    """A backlog of 300 kB is queued, then one live message: it arrives long before the backlog ends."""

    async def work() -> None:
        import time

        town = Town(tmp_path, int(time.time()))
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True, bytes_s=bytes_s)
        async with b.up():
            reader, writer = await foreign(b.at, a)
            await until(lambda: b.sessions)
            b.links.act(a.name, Said(send=[LATER] * 100))
            b.links.act(a.name, Said(send=[LIVE]))
            frames, heard = Frames(), list[bytes]()
            while len(heard) < 25:
                heard += frames.feed(await reader.read(65_536))
            # The greeting was on its way; then what had left before the live message was there.
            assert heard.index(LIVE) < 20
            writer.close()

    run(work())
