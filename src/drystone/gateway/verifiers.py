"""The front's side of the verifiers: whole requests out, checked columns back, senders' rows on demand.

A request goes, unparsed, to the verifier with the least unanswered bytes. When what is unanswered reaches its bound,
new requests are refused at once with `overloaded`, so that latency stays bounded. A verifier that dies ends the node:
nothing of what it had was acknowledged. `Verifiers` speaks to processes, its twin `InProcess` runs the same `Checker`
in a thread, for one small core.

Place in a record's life: between transport and intake. Source: design.md sections 4 and 7.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from drystone import limits
from drystone.errors import ChannelClosed, InvariantBroken, Overloaded, Unavailable
from drystone.gateway.senders import Senders
from drystone.workers.channel import AsyncChannel
from drystone.workers.checked import Checked, checked_from_plain
from drystone.workers.verifier import CHECK, FORGET, ROWS, Checker, Rows, SenderName

RETRY_AFTER_MS_MIN: Final = 100
RESTART_MS: Final = 1_000
BYTES_PER_MS: Final = 1_500
"""What one verifier checks in a millisecond, roughly: for `retry_after_ms` only."""


class RecordChecker(Protocol):
    """Form and signature of a request's records."""

    @property
    def batches(self) -> int:
        """Requests that wait for a verifier or are with one."""
        ...

    async def check(self, sequence: bytes) -> Checked:
        """Check every record of a CBOR sequence. Raises: Overloaded, Unavailable."""
        ...

    async def forget(self, members: Sequence[tuple[str, str]] | None) -> None:
        """Judge these members by newer rows from now on; None stands for everybody."""
        ...

    async def close(self) -> None:
        """End what checks."""
        ...


class _Load:
    """Bounds what waits to be checked."""

    def __init__(self) -> None:
        self.batches = 0
        self.size = 0

    def enter(self, size: int) -> None:
        if self.batches >= limits.VERIFY_BATCHES_MAX or (
            self.size > 0 and self.size + size > limits.VERIFY_BYTES_MAX
        ):
            retry_after_ms = max(RETRY_AFTER_MS_MIN, self.size // BYTES_PER_MS)
            raise Overloaded(
                f"{self.batches} requests wait for a verifier", retry_after_ms=retry_after_ms
            )
        self.batches += 1
        self.size += size

    def leave(self, size: int) -> None:
        self.batches -= 1
        self.size -= size


class _Worker:
    """One verifier process, seen from the front."""

    def __init__(self, channel: AsyncChannel) -> None:
        self.channel = channel
        self.size = 0
        self.answers: dict[int, asyncio.Future[Checked]] = {}


class Verifiers:
    """Verifier processes behind their channels."""

    def __init__(self, channels: Sequence[AsyncChannel], senders: Senders) -> None:
        self._workers = [_Worker(channel) for channel in channels]
        self._senders = senders
        self._load = _Load()
        self._number = 0

    @property
    def batches(self) -> int:
        """Requests that wait for a verifier or are with one."""
        return self._load.batches

    async def check(self, sequence: bytes) -> Checked:
        """Check every record of a CBOR sequence. Raises: Overloaded, Unavailable."""
        size = len(sequence)
        self._load.enter(size)
        worker = min(self._workers, key=lambda one: one.size)
        worker.size += size
        self._number = number = self._number + 1
        answer: asyncio.Future[Checked] = asyncio.get_running_loop().create_future()
        worker.answers[number] = answer
        try:
            await worker.channel.send((CHECK, number, sequence))
            return await answer
        except ChannelClosed:
            raise _gone() from None
        finally:
            worker.answers.pop(number, None)
            worker.size -= size
            self._load.leave(size)

    async def forget(self, members: Sequence[tuple[str, str]] | None) -> None:
        """Judge these members by newer rows from now on; None stands for everybody."""
        generation = self._senders.generation
        for worker in self._workers:
            await worker.channel.send((FORGET, generation, members))

    async def run(self) -> None:
        """Read what the verifiers say until one of them is gone.

        Raises:
            ChannelClosed: a verifier closed its channel or died.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for worker in self._workers:
                    group.create_task(self._read(worker))
        finally:
            for worker in self._workers:
                for answer in worker.answers.values():
                    if not answer.done():
                        answer.set_exception(_gone())

    async def close(self) -> None:
        """Close the channels: the verifiers end."""
        for worker in self._workers:
            await worker.channel.close()

    async def _read(self, worker: _Worker) -> None:
        while True:
            frame = await worker.channel.receive()
            if frame is None:
                raise ChannelClosed("a verifier is gone")
            if frame[0] == ROWS:
                generation, rows = self._senders.rows(frame[1])
                await worker.channel.send((ROWS, generation, rows))
            elif frame[0] == CHECK:
                answer = worker.answers.get(frame[1])
                if answer is not None and not answer.done():
                    answer.set_result(checked_from_plain(frame[2]))
            else:
                raise InvariantBroken(f"a verifier says {frame[0]!r}")


async def verifier_pid(channel: AsyncChannel) -> int:
    """Wait for the first word of a verifier: its process id. Raises ChannelClosed: it did not start."""
    pid = await channel.receive()
    if not isinstance(pid, int):
        raise ChannelClosed("a verifier did not start")
    return pid


def _gone() -> Unavailable:
    """What a request is told whose verifier died: nothing of it was taken, the node starts again."""
    return Unavailable("the node starts again", retry_after_ms=RESTART_MS)


class InProcess:
    """The same check in a thread of the front."""

    def __init__(self, senders: Senders, ledger: bytes) -> None:
        self._senders = senders
        self._load = _Load()
        self._checker = Checker(ledger)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="verifier")

    @property
    def batches(self) -> int:
        """Requests that wait for the thread or are with it."""
        return self._load.batches

    async def check(self, sequence: bytes) -> Checked:
        """Check every record of a CBOR sequence. Raises: Overloaded."""
        size = len(sequence)
        self._load.enter(size)
        loop = asyncio.get_running_loop()

        def ask(names: list[SenderName]) -> tuple[int, Rows]:
            return asyncio.run_coroutine_threadsafe(self._rows(names), loop).result()

        try:
            return await loop.run_in_executor(self._thread, self._checker.check, sequence, ask)
        finally:
            self._load.leave(size)

    async def forget(self, members: Sequence[tuple[str, str]] | None) -> None:
        """Judge these members by newer rows from now on; None stands for everybody."""
        self._thread.submit(self._checker.forget, self._senders.generation, members)

    async def close(self) -> None:
        """End the thread once it has nothing left to do."""
        self._thread.shutdown(wait=False)

    async def _rows(self, names: list[SenderName]) -> tuple[int, Rows]:
        return self._senders.rows(names)
