"""The front's side of the executor: blocks and questions out, answers back in the order they were asked.

A block that the executor cannot commit means that this node may not go on: the client raises what the executor said,
and the node stops. Knows messages, not what is in them. Its twin in one process is `InProcessExecutor`.
Place in a record's life: around apply and commit. Source: design.md section 7.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, TypeVar

from drystone import errors
from drystone.errors import ChannelClosed, DrystoneError, InvariantBroken
from drystone.ledger import keyspace
from drystone.ledger.change import Block
from drystone.ledger.differences import Told
from drystone.workers.channel import AsyncChannel
from drystone.workers.executor import Executor, wait_for_room
from drystone.workers.messages import (
    BROKEN,
    DONE,
    EXECUTE,
    GET,
    PEEK,
    PEEK_SCAN,
    PEND,
    PROVE,
    TOLD,
    Executed,
    Pended,
    Pending,
    ProvedState,
    block_to_plain,
    executed_from_plain,
    pended_from_plain,
    pending_to_plain,
)

Result = TypeVar("Result")


class BlockExecutor(Protocol):
    """Who applies and commits blocks and proves state values."""

    async def ready(self) -> None:
        """Wait until the ledger is open and the state tree is made. Raises: Broken."""
        ...

    async def execute(self, block: Block, *, expected: bytes | None = None) -> Executed:
        """Apply and commit one block; asked for in order of height; `expected` as in `Executor.execute`."""
        ...

    async def prove(self, key: bytes) -> ProvedState:
        """Give a state value or its absence, proved, at the last committed height."""
        ...

    async def close(self) -> None:
        """Finish what was asked and end."""
        ...


class ProvisionalExecutor(Protocol):
    """Who holds the provisional view."""

    async def pend(self, vertices: Sequence[Pending]) -> Pended:
        """Give pending vertices, in order."""
        ...

    async def told(self, vertex_id: bytes) -> Told | None:
        """Give what was told of a pending vertex."""
        ...

    async def peek(self, key: bytes) -> bytes | None:
        """Give a provisional value."""
        ...

    async def peek_scan(
        self, prefix: bytes, *, after: bytes | None, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """Give provisional pairs by key."""
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

    async def execute(self, block: Block, *, expected: bytes | None = None) -> Executed:
        """Apply and commit one block; asked for in order of height; `expected` as in `Executor.execute`.

        Raises:
            Broken: the executor could not, and has stopped.
        """
        return executed_from_plain(await self._ask((EXECUTE, block_to_plain(block), expected)))

    async def prove(self, key: bytes) -> ProvedState:
        """Give a state value or its absence, proved, at the last committed height."""
        return ProvedState._make(await self._ask((PROVE, key)))

    async def pend(self, vertices: Sequence[Pending]) -> Pended:
        """Give pending vertices to the provisional view, in order."""
        plain = [pending_to_plain(one) for one in vertices]
        return pended_from_plain(await self._ask((PEND, plain)))

    async def told(self, vertex_id: bytes) -> Told | None:
        """Give what was told of a pending vertex."""
        plain = await self._ask((TOLD, vertex_id))
        return None if plain is None else Told._make(plain)

    async def peek(self, key: bytes) -> bytes | None:
        """Give the value under a key in the provisional view."""
        return await self._ask((PEEK, key))

    async def peek_scan(
        self, prefix: bytes, *, after: bytes | None, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """Give pairs by key, behind `after`, in the provisional view."""
        return await self._ask((PEEK_SCAN, prefix, after, limit))

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

    async def execute(self, block: Block, *, expected: bytes | None = None) -> Executed:
        """Apply and commit one block; asked for in order of height; `expected` as in `Executor.execute`."""
        execute = partial(self._executor.execute_patiently, expected=expected)
        return await self._run(execute, block, wait_for_room)

    async def prove(self, key: bytes) -> ProvedState:
        """Give a state value or its absence, proved, at the last committed height."""
        return await self._run(self._executor.prove_state, key)

    async def pend(self, vertices: Sequence[Pending]) -> Pended:
        """Give pending vertices to the provisional view, in order."""
        return await self._run(self._executor.pend, vertices)

    async def told(self, vertex_id: bytes) -> Told | None:
        """Give what was told of a pending vertex."""
        return await self._run(self._executor.told, vertex_id)

    async def peek(self, key: bytes) -> bytes | None:
        """Give the value under a key in the provisional view."""
        return await self._run(self._executor.peek, key)

    async def peek_scan(
        self, prefix: bytes, *, after: bytes | None, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """Give pairs by key, behind `after`, in the provisional view."""
        scan = partial(self._executor.peek_scan, after=after, limit=limit)
        return await self._run(scan, prefix)

    async def _run(self, function: Callable[..., Result], *arguments: object) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, function, *arguments)

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
