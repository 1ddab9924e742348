"""The front's side of the executor: blocks and questions out, answers back, in order.

`ExecutorClient` speaks to the process, its twin `InProcess` runs the same `Executor` in a thread,
for one small core. Several requests may be on their way; answers come in the order of the
questions. An executor that breaks or dies ends the node: what it had not answered was perhaps
committed, and the next start finds out.

Place in a record's life: around `apply`. Source: design.md section 7.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

from drystone.channel import AsyncChannel
from drystone.errors import Broken, ChannelClosed, DatabaseCorrupt, DatabaseForeign, DiskFailed
from drystone.ledger.change import Block
from drystone.messages import (
    DONE,
    EXECUTE,
    GET,
    PROVE,
    SCAN,
    Executed,
    Plain,
    ProvedState,
    block_to_plain,
    executed_from_plain,
)

if TYPE_CHECKING:
    # Only named here: the front must not load what the executor needs (state tree, numpy).
    from drystone.executor import Executor

Result = TypeVar("Result")

_CLASSES = {kind.code: kind for kind in (DatabaseCorrupt, DatabaseForeign, DiskFailed)}


class Execution(Protocol):
    """Whoever applies blocks."""

    async def execute(self, block: Block) -> Executed:
        """Apply and commit a block; ask in the order of heights."""
        ...

    async def prove(self, key: bytes) -> ProvedState:
        """Prove a state value, or that there is none."""
        ...


class ExecutorClient:
    """An executor process behind its channel."""

    def __init__(self, channel: AsyncChannel) -> None:
        self._channel = channel
        self._answers: deque[asyncio.Future[Plain]] = deque()
        self._turn = asyncio.Lock()
        self._closed: Broken | None = None

    async def run(self) -> None:
        """Hand out answers until the executor closes the channel.

        Raises:
            Broken: the executor said what broke. ChannelClosed: it is gone.
        """
        try:
            while (message := await self._channel.receive()) is not None:
                kind, *rest = message
                if kind == DONE:
                    answer = self._answers.popleft()
                    if not answer.done():
                        answer.set_result(rest[0])
                    continue
                code, text = rest
                raise _CLASSES.get(code, Broken)(f"the executor stopped: {text}")
            raise ChannelClosed("the executor is gone")
        except Broken as error:
            self._closed = error
            for answer in self._answers:
                if not answer.done():
                    answer.set_exception(error)
                    answer.exception()  # Nobody may be waiting; `run` reports it.
            await self._channel.close()
            raise

    async def execute(self, block: Block) -> Executed:
        """Apply and commit a block; raises as `run`."""
        return executed_from_plain(await self._ask((EXECUTE, block_to_plain(block))))

    async def prove(self, key: bytes) -> ProvedState:
        """Prove a state value, or that there is none; raises as `run`."""
        return ProvedState._make(await self._ask((PROVE, key)))

    async def get(self, key: bytes) -> bytes | None:
        """Return the value under a state key after the last block; raises as `run`."""
        return await self._ask((GET, key))

    async def scan(
        self, prefix: bytes, *, after: bytes | None, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """Return a page of the state by key; raises as `run`."""
        return await self._ask((SCAN, prefix, after, limit))

    async def _ask(self, question: Plain) -> Plain:
        answer = asyncio.get_running_loop().create_future()
        # Callers take turns in the order they came, so that blocks go out by height.
        async with self._turn:
            if self._closed is not None:
                raise self._closed
            self._answers.append(answer)
            await self._channel.send(question)
        return await answer


class InProcess:
    """An executor in a thread of this process."""

    def __init__(
        self, executor: "Executor", thread: ThreadPoolExecutor, wait: Callable[[], None]
    ) -> None:
        """Use `thread`, which has one worker, for everything that touches the executor.

        `wait` is called there while the disk is full, before a commit is tried again.
        """
        self._executor = executor
        self._thread = thread
        self._wait = wait

    async def execute(self, block: Block) -> Executed:
        """Apply and commit a block. Raises: Broken."""
        return await self._run(lambda: self._executor.execute_patiently(block, self._wait))

    async def prove(self, key: bytes) -> ProvedState:
        """Prove a state value, or that there is none. Raises: Broken."""
        return await self._run(lambda: self._executor.prove_state(key))

    async def _run(self, function: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)
