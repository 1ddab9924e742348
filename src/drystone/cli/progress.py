"""Progress bars on stderr: drawn on a terminal, silent elsewhere, never in the way of JSON on stdout."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """One bar with label, share, count and remaining time; use as a context manager."""

    def __init__(self, label: str, *, total: int, unit: str) -> None:
        """`unit` is `bytes` or a noun. Draws only where stderr is a terminal."""
        self._label = label
        self._total = total
        self._unit = unit
        self._quiet = not sys.stderr.isatty()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._quiet:
            return self
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        count = (
            DownloadColumn()
            if self._unit == "bytes"
            else TextColumn("{task.completed:,.0f}/{task.total:,.0f} " + self._unit)
        )
        self._progress = Progress(
            TextColumn("{task.description:<14}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            count,
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
        )
        self._progress.start()
        self._task = self._progress.add_task(self._label, total=self._total)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, count: int) -> None:
        """Move on by `count`; cheap enough to call for each row."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=count)

    def restart(self, total: int) -> None:
        """Begin anew, with another total."""
        if self._progress is not None and self._task is not None:
            self._progress.reset(self._task, total=total)
