"""How much goes over links and what goes first: one bucket of bytes for all of them, two lanes on each.

Lives here: the token bucket that keeps all links together under a rate, and the queue of one link. Live messages go
before those that catch up, on every link and between links; within a lane the order stays. May not: know what a
message means (whoever queues it says which lane) or read a clock (asyncio's loop tells the time).
Place in a record's life: between sealing and the next gateway.
"""

import asyncio
import heapq
from collections import deque
from typing import Final

FULL_S: Final = 0.5
"""The bucket holds what the rate gives in this time: how long a burst may be."""


class Bucket:
    """Bytes that may be sent now: fills at `bytes_s` per second; 0 stands for no bound."""

    def __init__(self, bytes_s: int) -> None:
        """Begin full."""
        self._rate = bytes_s
        self._size = max(1.0, bytes_s * FULL_S)
        self._level = self._size
        self._at: float | None = None
        self._waiting: list[tuple[bool, int, asyncio.Future[None]]] = []
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None

    async def ready(self, *, live: bool) -> None:
        """Wait until something may be sent: all that wait with live bytes come first, then by time of asking."""
        if not self._rate:
            return
        loop = asyncio.get_running_loop()
        self._fill(loop.time())
        if self._level > 0 and not self._waiting:
            return
        turn = loop.create_future()
        self._number += 1
        heapq.heappush(self._waiting, (not live, self._number, turn))
        self._arm(loop)
        await turn

    def spend(self, size: int) -> None:
        """Take out what was sent; the level may fall below zero, which the next one waits for."""
        if self._rate:
            self._level -= size

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._level = min(self._size, self._level + (now - self._at) * self._rate)
        self._at = now

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None and self._waiting:
            delay = max(0.0, -self._level / self._rate) + 1 / self._rate
            self._timer = loop.call_later(delay, self._wake)

    def _wake(self) -> None:
        """Let one go: it spends before the next one is let go, because a turn is one step of the loop."""
        self._timer = None
        loop = asyncio.get_running_loop()
        self._fill(loop.time())
        while self._level > 0 and self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                break
        self._arm(loop)


class Lanes:
    """What waits to be sent on one link: whole messages, live ones before those that catch up."""

    def __init__(self) -> None:
        """Begin empty."""
        self._lanes: tuple[deque[bytes], deque[bytes]] = (deque(), deque())
        self._any = asyncio.Event()
        self.size = 0

    def put(self, frame: bytes, *, live: bool) -> None:
        """Add a framed message."""
        self._lanes[0 if live else 1].append(frame)
        self.size += len(frame)
        self._any.set()

    @property
    def live(self) -> bool:
        """Whether what goes next is live."""
        return bool(self._lanes[0])

    async def wait(self) -> None:
        """Wait until there is something."""
        await self._any.wait()

    def take(self, bytes_max: int) -> bytes:
        """Take whole messages of one lane, the live one first, until there are `bytes_max`; at least one."""
        lane = self._lanes[0] or self._lanes[1]
        parts = [lane.popleft()]
        length = len(parts[0])
        while lane and length + len(lane[0]) <= bytes_max:
            parts.append(lane.popleft())
            length += len(parts[-1])
        self.size -= length
        if not self.size:
            self._any.clear()
        return b"".join(parts)

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self.size
