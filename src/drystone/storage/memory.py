"""The in-memory twin of the executor's view: a sorted map and its state tree, for tests, simulation and overlays.

Holds a whole ledger's state in memory and nothing on disk; `LedgerView` in `ledger.py` is the one that survives.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from drystone.ledger.apply import apply_genesis
from drystone.ledger.change import Change
from drystone.ledger.genesis import Genesis
from drystone.trees import log
from drystone.trees.state import StateTree


class MemoryView:
    """A `View` (ledger/view.py) whose state is a dict; `install` is the only thing that changes it."""

    def __init__(self) -> None:
        self.height = -1
        self.ledger = bytes(32)
        self.log = log.EMPTY
        self.tree = StateTree()
        self._values: dict[bytes, bytes] = {}

    @classmethod
    def from_genesis(cls, genesis: Genesis) -> "MemoryView":
        """Return a view after block 0 of `genesis`."""
        view = cls()
        block = apply_genesis(genesis, view)
        view.ledger = block.ledger
        view.install(block.change)
        return view

    def get(self, key: bytes) -> bytes | None:
        """Return the value under `key`, or None."""
        return self._values.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the pairs whose key starts with `prefix`, sorted by key, as they are now."""
        keys = sorted(self._values)
        for index in range(bisect_left(keys, prefix), len(keys)):
            if not keys[index].startswith(prefix):
                return
            yield keys[index], self._values[keys[index]]

    def root_after(self, writes: Mapping[bytes, bytes | None]) -> bytes:
        """Return the state root after `writes`; changes nothing."""
        return self.tree.plan(writes).root

    def install(self, change: Change) -> None:
        """Take over one Change; the caller applied it over this very view."""
        self.tree.install(self.tree.plan(change.writes))
        for key, value in change.writes.items():
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value
        self.height = change.height
        self.log = change.log
