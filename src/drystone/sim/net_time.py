"""Virtual time: an asyncio loop whose clock jumps to the next timer, so that a week of waiting costs nothing.

The real async code (intake, sealer, engine) runs on it unchanged. Nothing here sleeps, opens a socket or starts a
thread: who waits for something that no timer and no ready callback will bring is stuck, and the run says so. With the
same calls in the same order the same things happen at the same times.

Place in a record's life: none; the time under all of it. Source: deterministic simulation (style rule 25).
"""

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

from drystone.errors import InvariantBroken

Result = TypeVar("Result")

EPOCH_MS: Final = 1_762_340_400_000
"""Unix time at which every simulation begins."""

TURN_S: Final = 1e-6
"""What one turn of the loop takes."""


class _Jumps(selectors.BaseSelector):
    """A selector that has no files: waiting is moving the clock."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise InvariantBroken("the simulation waits for something that will never come")
        # Code that waits for a moment which rounding puts a hair's breadth ahead would else wait for ever.
        self.now_s += max(TURN_S, timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        raise KeyError(fileobj)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, beginning at 0 seconds."""

    def __init__(self) -> None:
        self._jumps = _Jumps()
        super().__init__(self._jumps)
        # Two timers of one moment would fire together on a real clock's grain; here each has its own.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Seconds since the simulation began."""
        return self._jumps.now_s


def now_ms() -> int:
    """Unix time of the simulation in milliseconds, as a host whose clock is right reads it."""
    return EPOCH_MS + int(asyncio.get_running_loop().time() * 1_000)


def run_virtually(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on a loop of its own, and end whatever it left behind.

    Raises what it raises, and InvariantBroken when it waits for something that never comes.
    """
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        with suppress(InvariantBroken):
            loop.run_until_complete(_end(asyncio.all_tasks(loop)))
        loop.close()


async def _end(left: set[asyncio.Task[Any]]) -> None:
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
