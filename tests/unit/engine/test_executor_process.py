"""The front's side of the executor: answers in order, and a clear end when it breaks or dies."""

import asyncio
import resource
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from drystone.errors import Broken, ChannelClosed, DatabaseCorrupt, InvariantBroken
from drystone.ledger import keyspace
from drystone.sim.chain import Chain, write_home
from drystone.storage.ledger import LedgerDB
from drystone.workers.channel import AsyncChannel, pair
from drystone.workers.executor import EXIT_BROKEN, Executor
from drystone.workers.executor_client import ExecutorClient, InProcessExecutor

MEMORY_BYTES = 4 << 30


@pytest.fixture
def home(chain: Chain, tmp_path: Path) -> Path:
    write_home(chain, tmp_path / "home", height=0)
    return tmp_path / "home"


class Process:
    """An executor process and its client."""

    def __init__(self, child: "subprocess.Popen[bytes]", client: ExecutorClient) -> None:
        self.child = child
        self.client = client
        self.reader = asyncio.create_task(client.run())

    @classmethod
    async def start(cls, home: Path, memory_bytes: int = MEMORY_BYTES) -> "Process":
        own, other = pair()
        with other:
            command = [
                sys.executable,
                "-m",
                "drystone.workers.executor",
                str(other.fileno()),
                str(home),
            ]
            child = subprocess.Popen(  # noqa: ASYNC220 - returns at once
                [*command, str(memory_bytes)], pass_fds=[other.fileno()], stderr=subprocess.DEVNULL
            )
        return cls(child, ExecutorClient(await AsyncChannel.open(own)))

    async def end(self) -> int:
        await self.client._channel.close()
        with pytest.raises(Broken):
            await self.reader
        return await asyncio.to_thread(self.child.wait)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(bounded())


@pytest.mark.process
def test_a_process_executes_blocks_several_at_a_time(home: Path, chain: Chain) -> None:
    async def scenario() -> None:
        process = await Process.start(home)
        client = process.client
        for start in range(0, len(chain.blocks), 4):
            some = chain.blocks[start : start + 4]
            executed = await asyncio.gather(*(client.execute(block) for block in some))
            assert [one.head for one in executed] == [chain.heads[b.height] for b in some]
        assert (await client.prove(keyspace.meta("origin"))).value is not None
        assert await process.end() == 0

    run(scenario)


@pytest.mark.process
def test_a_killed_process_ends_everyone_who_waits(home: Path, chain: Chain) -> None:
    async def scenario() -> None:
        process = await Process.start(home)
        await process.client.execute(chain.blocks[0])
        process.child.kill()
        process.child.wait()
        with pytest.raises(Broken):
            await process.client.execute(chain.blocks[1])
        with pytest.raises(ChannelClosed):
            await process.reader
        await process.client.close()

    run(scenario)
    executor = Executor.open(home)
    assert executor.view.height == 1
    executor.close()


@pytest.mark.process
def test_a_process_that_breaks_says_why(home: Path, chain: Chain) -> None:
    async def scenario() -> None:
        process = await Process.start(home)
        with pytest.raises(Broken, match="does not follow"):
            await process.client.execute(chain.blocks[3])
        with pytest.raises(Broken, match="does not follow"):
            await process.reader
        await process.client.close()
        assert await asyncio.to_thread(process.child.wait) == EXIT_BROKEN

    run(scenario)


@pytest.mark.process
def test_a_process_that_cannot_start_says_why(home: Path) -> None:
    ledger = LedgerDB.open(home / "ledger.db")
    ledger.database.rows("UPDATE state SET value = x'80'")
    ledger.close()

    async def scenario() -> None:
        process = await Process.start(home)
        with pytest.raises(DatabaseCorrupt, match="state"):
            await process.reader
        await process.client.close()
        assert await asyncio.to_thread(process.child.wait) == EXIT_BROKEN

    run(scenario)


@pytest.mark.process
@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS"), reason="no limit on address space here")
def test_a_process_beyond_its_memory_stops_without_a_result(home: Path, chain: Chain) -> None:
    async def scenario() -> None:
        process = await Process.start(home, memory_bytes=1 << 28)
        huge = [b"x" * (200 << 20)]
        with pytest.raises(Broken):
            await process.client._ask((0, huge))
        with pytest.raises(Broken):
            await process.reader
        await process.client.close()
        assert await asyncio.to_thread(process.child.wait) != 0

    run(scenario)


def test_a_thread_executes_blocks_in_order(home: Path, chain: Chain) -> None:
    async def scenario() -> None:
        execution = InProcessExecutor(await asyncio.to_thread(Executor.open, home))
        executed = await asyncio.gather(*(execution.execute(block) for block in chain.blocks))
        assert [one.head for one in executed] == list(chain.heads[1:])
        assert (await execution.prove(keyspace.meta("origin"))).value is not None
        with pytest.raises(InvariantBroken):
            await execution.execute(chain.blocks[0])
        await execution.close()

    run(scenario)


def test_a_client_whose_executor_is_gone_ends_everyone_who_waits() -> None:
    async def scenario() -> None:
        own, other = pair()
        client = ExecutorClient(await AsyncChannel.open(own))
        waiting = asyncio.create_task(client.prove(b"\x00"))
        await asyncio.sleep(0)
        other.close()
        with pytest.raises(ChannelClosed):
            await client.run()
        with pytest.raises(ChannelClosed):
            await waiting
        await client.close()

    run(scenario)
