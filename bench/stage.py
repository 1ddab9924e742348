"""What the lines of one run share: its sizes, its folder, its yardstick readings, and what is run once for several.

Lines know the stage; the stage knows no line. Whoever asks `once` first pays: what three lines read is made for
whichever of them comes first.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from bench.machine import core_count
from bench.sizes import Sizes
from bench.yardstick import Rate, Signed, verify_rate

Made = TypeVar("Made")


@dataclass(kw_only=True)
class Stage:
    """One run of the bench."""

    sizes: Sizes
    folder: Path
    """On the disk that is to be measured."""
    alone: list[Rate] = field(default_factory=list[Rate])
    """Every reading of the yardstick with one measurement per record."""
    began_s: float = field(default_factory=time.monotonic)
    _made: dict[Callable[["Stage"], Any], Any] = field(default_factory=dict[Any, Any])

    def once(self, make: Callable[["Stage"], Made]) -> Made:
        """What `make` gives for this run; it is called by who asks first."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast("Made", self._made[make])

    def has(self, make: Callable[["Stage"], Any]) -> bool:
        """Whether somebody has asked for that."""
        return make in self._made

    def measure_alone(self, items: Signed) -> Rate:
        """Measure what PyNaCl alone verifies now, on all cores."""
        return verify_rate(items, processes=core_count(), seconds=self.sizes.alone_s)

    def say(self, text: str) -> None:
        """Tell who waits how far it is."""
        sys.stderr.write(f"[{time.monotonic() - self.began_s:4.0f} s] {text}\n")
        sys.stderr.flush()
