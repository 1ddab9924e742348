"""Disk that is left: looked at now and then, so that a record costs no system call.

Below the reserve, or above the budget, intake refuses with `disk-full` while commits still fit. Place in a record's
life: before it is taken in. Source: design.md section 8.7, the issue's bad input (full disk).
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from drystone.errors import DiskFull
from drystone.home.config import StorageSettings
from drystone.home.layout import Home

LOOK_EVERY_S: Final = 0.5
RETRY_AFTER_MS: Final = 5_000


class DiskRoom:
    """Knows whether there is room for more records."""

    def __init__(
        self,
        home: Home,
        settings: StorageSettings,
        *,
        monotonic_s: Callable[[], float],
        used_bytes: Callable[[], int] | None = None,
    ) -> None:
        """Begin to look. `used_bytes` says what the budget counts; left out, the files' sizes."""
        self._used_bytes = used_bytes
        self._home = home
        self._settings = settings
        self._monotonic_s = monotonic_s
        self._looked_s = float("-inf")
        self._full = ""

    def check(self) -> None:
        """Refuse when the disk or the disk budget is full, as of at most half a second ago.

        Raises:
            DiskFull: there is no room.
        """
        now_s = self._monotonic_s()
        if now_s - self._looked_s > LOOK_EVERY_S:
            self._looked_s = now_s
            self._full = self._look()
        if self._full:
            raise DiskFull(self._full, retry_after_ms=RETRY_AFTER_MS)

    def sizes(self) -> tuple[int, int]:
        """Give the bytes of vertices.db and of ledger.db, write-ahead logs included."""
        return _size(self._home.vertices), _size(self._home.ledger)

    def look_free(self) -> int:
        """Give the bytes that the home's disk has left."""
        return shutil.disk_usage(self._home.root).free

    def _look(self) -> str:
        free_bytes = self.look_free()
        if free_bytes < self._settings.reserve_bytes:
            return f"{free_bytes} bytes are free, {self._settings.reserve_bytes} are kept"
        budget = self._settings.budget_bytes
        if budget and self._used() > budget:
            return f"the databases have reached their budget of {budget} bytes"
        return ""

    def left_bytes(self) -> int:
        """Give the bytes that may still be used: of the disk above the reserve, and of the budget."""
        free_bytes = max(0, self.look_free() - self._settings.reserve_bytes)
        budget = self._settings.budget_bytes
        return min(free_bytes, max(0, budget - self._used())) if budget else free_bytes

    def _used(self) -> int:
        return sum(self.sizes()) if self._used_bytes is None else self._used_bytes()


def _size(path: Path) -> int:
    total = 0
    for part in (path, path.with_name(path.name + "-wal")):
        try:
            total += part.stat().st_size
        except OSError:
            continue
    return total
