"""The executor's view: ledger.db with the state's hash tree and the rows of late in memory.

`LedgerView` is the `View` (ledger/view.py) whose writes survive; its twin without a disk is
`MemoryView`. The hash tree and the cache can be thrown away at any time and are made again from
the rows; with neither is any result another one (tested).
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Final

from drystone import limits
from drystone.errors import DatabaseCorrupt
from drystone.ledger.change import Change
from drystone.storage.ledger import LedgerDB
from drystone.trees import log
from drystone.trees.state import StatePlan, StateTree

ROW_BYTES: Final = 200
"""What a cached row costs beside its key and value, roughly."""


class RowCache:
    """State rows of late, bounded by bytes: two generations, the older one goes as a whole.

    Absent keys are not remembered.
    """

    def __init__(self, bytes_max: int = limits.STATE_CACHE_BYTES) -> None:
        self._bytes_max = bytes_max // 2
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._bytes = 0

    def get(self, key: bytes) -> bytes | None:
        """Return the cached value under `key`; None says nothing."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Remember a row."""
        self._young[key] = value
        self._grow(len(key) + len(value) + ROW_BYTES)

    def update(self, writes: Mapping[bytes, bytes | None]) -> None:
        """Follow a commit."""
        young = self._young
        size = 0
        for key, value in writes.items():
            if value is None:
                young.pop(key, None)
                self._old.pop(key, None)
            else:
                young[key] = value
                size += len(key) + len(value) + ROW_BYTES
        self._grow(size)

    def _grow(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._bytes_max:
            self._old, self._young, self._bytes = self._young, {}, 0


class LedgerView:
    """A `View` over ledger.db. `install` follows a commit and is the only thing that moves it."""

    def __init__(self, ledger: LedgerDB) -> None:
        """Build the hash tree and the log's edge from the rows.

        Raises:
            DatabaseCorrupt: state or log are not those of the last block.
        """
        self._ledger = ledger
        self._cache = RowCache()
        self._planned: tuple[Mapping[bytes, bytes | None], StatePlan] | None = None
        last = ledger.last
        self.height = last.height
        self.ledger = ledger.ledger
        self.log = ledger.edge()
        if log.root(self.log) != last.root:
            raise DatabaseCorrupt(f"the log's tiles do not lead to the root of block {last.height}")
        self.tree = StateTree.build(
            (sha256(key).digest(), sha256(value).digest()) for key, value in ledger.pairs()
        )
        if self.tree.root != last.fields.state:
            raise DatabaseCorrupt(f"the state is not the one of block {last.height}")

    def get(self, key: bytes) -> bytes | None:
        """Return the value under `key`, or None."""
        value = self._cache.get(key)
        if value is None:
            value = self._ledger.get(key)
            if value is not None:
                self._cache.put(key, value)
        return value

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the pairs whose key starts with `prefix`, sorted by key."""
        after = None
        while pairs := self._ledger.scan(prefix, after=after):
            yield from pairs
            after = pairs[-1][0]

    def root_after(self, writes: Mapping[bytes, bytes | None]) -> bytes:
        """Return the state root after `writes`; changes nothing that anyone sees."""
        plan = self.tree.plan(writes)
        self._planned = (writes, plan)
        return plan.root

    def install(self, change: Change) -> None:
        """Follow a Change that was applied over this very view and is committed."""
        if self._planned is not None and self._planned[0] is change.writes:
            plan = self._planned[1]
        else:
            plan = self.tree.plan(change.writes)
        self._planned = None
        self.tree.install(plan)
        self._cache.update(change.writes)
        self.height = change.height
        self.log = change.log

    def forget(self) -> None:
        """Empty the cache of rows."""
        self._cache = RowCache()
