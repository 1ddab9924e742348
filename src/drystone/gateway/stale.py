"""The state as the front has seen it: good enough to spare work, never to decide.

Every commit's writes are laid over the stored table as they are reported, so that looking a sender or a stream up
costs a dictionary or one indexed read, and never a replay of the blocks that the executor has not flushed yet.
Place in a record's life: intake. Source: design.md section 4 (intake may use a stale view).
"""

from collections.abc import Callable, Mapping
from typing import Final

from drystone import limits

BLOCKS_KEPT: Final = 2 * limits.FLUSH_BLOCKS
"""Blocks of one generation of writes: two generations hold every block that may not be flushed."""

Read = Callable[[bytes], bytes | None]


class StaleView:
    """A `Reader` (ledger/view.py) over the flushed state and the writes reported since the start."""

    def __init__(self, *, read_all: Read, read_flushed: Read) -> None:
        """Begin with no reports.

        `read_all` gives a value from everything committed, at whatever cost; it is asked until enough blocks were
        reported. `read_flushed` gives it from the stored table only.
        """
        self._read_all = read_all
        self._read_flushed = read_flushed
        self._young: dict[bytes, bytes | None] = {}
        self._old: dict[bytes, bytes | None] = {}
        self._blocks = 0
        self._complete = False

    def get(self, key: bytes) -> bytes | None:
        """Return the value under `key`, or None, as of some block not long ago."""
        if key in self._young:
            return self._young[key]
        if key in self._old:
            return self._old[key]
        return self._read_flushed(key) if self._complete else self._read_all(key)

    def commit(self, writes: Mapping[bytes, bytes | None]) -> None:
        """Take in what a block wrote."""
        self._young.update(writes)
        self._blocks += 1
        if self._blocks >= BLOCKS_KEPT:
            self._blocks = 0
            self._complete = True
            self._old, self._young = self._young, {}
