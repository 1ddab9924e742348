"""What the lines of one run share: its sizes, its folder, its yardstick readings, and the flood that three lines read.

Whoever asks first pays: `flood` runs once, for whichever of lines b, e and f comes first.
"""

import sys
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bench.flood import Flooded, flood
from bench.machine import core_count
from bench.sizes import Sizes
from bench.yardstick import Rate, Signed, verify_rate


@dataclass(kw_only=True)
class Stage:
    """One run of the bench."""

    sizes: Sizes
    folder: Path
    """On the disk that is to be measured."""
    alone: list[Rate] = field(default_factory=list[Rate])
    """Every reading of the yardstick with one measurement per record."""
    began_s: float = field(default_factory=time.monotonic)

    @cached_property
    def flood(self) -> Flooded:
        """The run of lines b, e and f: readings under the built-in rule."""
        return flood(self, meters=self.sizes.meters, parts=self.sizes.parts)

    @property
    def has_flooded(self) -> bool:
        """Whether that run has been."""
        return "flood" in self.__dict__

    def measure_alone(self, items: Signed) -> Rate:
        """Measure what PyNaCl alone verifies now, on all cores."""
        return verify_rate(items, processes=core_count(), seconds=self.sizes.alone_s)

    def say(self, text: str) -> None:
        """Tell who waits how far it is."""
        sys.stderr.write(f"[{time.monotonic() - self.began_s:4.0f} s] {text}\n")
        sys.stderr.flush()
