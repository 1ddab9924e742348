"""The front's side of the executor: blocks and questions out, answers back in the order they were asked.

A block that the executor cannot commit means that this node may not go on: the client raises what the executor said,
and the node stops. Knows messages, not what is in them. Its twin in one process is `InProcessExecutor`.
Place in a record's life: around apply and commit. Source: design.md section 7.
"""

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from drystone import errors
from drystone.errors import ChannelClosed, DrystoneError, InvariantBroken
from drystone.ledger import keyspace
from drystone.ledger.change import Block
from drystone.workers.channel import AsyncChannel
from drystone.workers.executor import Executor, wait_for_room
from drystone.workers.messages import (
    BROKEN,
    DONE,
    EXECUTE,
    GET,
    PROVE,
    Executed,
    ProvedState,
    block_to_plain,
    executed_from_plain,
)


class BlockExecutor(Protocol):
    """Who applies and commits blocks and proves state values."""

    async def ready(self) -> None:
        """Wait until the ledger is open and the state tree is made. Raises: Broken."""
        ...

    async def execute(self, block: Block) -> Executed:
        """Apply and commit one block; asked for in order of height."""
        ...

    async def prove(self, key: bytes) -> ProvedState:
        """Give a state value or its absence, proved, at the last committed height."""
        ...

    async def close(self) -> None:
        """Finish what was asked and end."""
        ...


class ExecutorClient:
    """The executor process behind its channel."""

    def __init__(self, channel: AsyncChannel) -> None:
        self._channel = channel
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._turn = asyncio.Lock()

    async def ready(self) -> None:
        """Wait until the executor answers. Raises: Broken."""
        await self._ask((GET, keyspace.meta("protocol")))

    async def execute(self, block: Block) -> Executed:
        """Apply and commit one block; asked for in order of height.

        Raises:
            Broken: the executor could not, and has stopped.
        """
        return executed_from_plain(await self._ask((EXECUTE, block_to_plain(block))))

    async def prove(self, key: bytes) -> ProvedState:
        """Give a state value or its absence, proved, at the last committed height."""
        return ProvedState._make(await self._ask((PROVE, key)))

    async def run(self) -> None:
        """Read the executor's answers until it is gone.

        Raises:
            Broken: it said why it stops. ChannelClosed: it did not.
        """
        while True:
            frame = await self._channel.receive()
            if frame is None:
                self._fail(ChannelClosed("the executor is gone"))
                raise ChannelClosed("the executor is gone")
            if frame[0] == BROKEN:
                error = _broken(frame[1], frame[2])
                self._fail(error)
                raise error
            if frame[0] != DONE or not self._asked:
                raise InvariantBroken(f"the executor says {frame[0]!r}")
            answer = self._asked.popleft()
            if not answer.done():
                answer.set_result(frame[1])

    async def close(self) -> None:
        """Close the channel: the executor finishes what it was asked and ends."""
        await self._channel.close()

    async def _ask(self, message: Any) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        # Answers come in the order of the questions: both ends of the queue move under one lock.
        async with self._turn:
            self._asked.append(answer)
            await self._channel.send(message)
        return await answer

    def _fail(self, error: Exception) -> None:
        for answer in self._asked:
            if not answer.done():
                answer.set_exception(error)


class InProcessExecutor:
    """The same executor in one thread of the front, for one small core."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="executor")

    async def ready(self) -> None:
        """Nothing to wait for: the executor was opened before."""

    async def execute(self, block: Block) -> Executed:
        """Apply and commit one block; asked for in order of height."""
        loop = asyncio.get_running_loop()
        execute = self._executor.execute_patiently
        return await loop.run_in_executor(self._thread, execute, block, wait_for_room)

    async def prove(self, key: bytes) -> ProvedState:
        """Give a state value or its absence, proved, at the last committed height."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._executor.prove_state, key)

    async def close(self) -> None:
        """Finish what was asked and end the thread."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._thread.shutdown)
        self._executor.close()


def _broken(code: str, text: str) -> DrystoneError:
    """Give the executor's error as the class it was."""
    families: list[type[DrystoneError]] = [errors.Broken, errors.Refused]
    for family in families:
        for kind in family.__subclasses__():
            if kind.code == code:
                return kind(text)
    return InvariantBroken(f"{code}: {text}")
