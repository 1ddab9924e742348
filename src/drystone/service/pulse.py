"""A node's pulse: what was committed since the start, counted, and when.

Kept by the front as commits are reported; no database is asked. Source: the issue's item 5 (`/metrics`, `/healthz`).
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from drystone.ledger.change import ACCEPTED
from drystone.workers.messages import Executed

MINUTE_S: Final = 60.0
SLICE_S: Final = 1.0


class Pulse:
    """Counts commits; `monotonic_s` is a clock that never goes back."""

    def __init__(self, *, height: int, size: int, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self.height = height
        self.size = size
        self.committed_s = monotonic_s()
        """When the last commit was reported; the start, if none was."""
        self.codes: dict[str, int] = {}
        """Records committed since the start, per outcome code."""
        self._slices: deque[tuple[float, int]] = deque()

    def commit(self, done: Executed) -> None:
        """Count one block."""
        now_s = self._monotonic_s()
        self.height, self.size, self.committed_s = done.height, done.size, now_s
        records = sum(done.counts)
        accepted = records
        for one in done.outcomes:
            if one.code != ACCEPTED:
                number = done.counts[one.vertex] if one.record is None else 1
                accepted -= number
                self.codes[one.code] = self.codes.get(one.code, 0) + number
        self.codes[ACCEPTED] = self.codes.get(ACCEPTED, 0) + accepted
        if self._slices and now_s - self._slices[-1][0] < SLICE_S:
            began_s, count = self._slices[-1]
            self._slices[-1] = (began_s, count + records)
        else:
            self._slices.append((now_s, records))
        self._forget(now_s)

    def last_minute(self) -> int:
        """Give the records committed within the last minute, to the second."""
        self._forget(self._monotonic_s())
        return sum(count for _, count in self._slices)

    def idle_ms(self) -> int:
        """Give the time since the last commit, or since the start."""
        return int((self._monotonic_s() - self.committed_s) * 1000)

    def _forget(self, now_s: float) -> None:
        while self._slices and now_s - self._slices[0][0] > MINUTE_S:
            self._slices.popleft()
