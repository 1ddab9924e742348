"""What the pipeline may see of the ledger: a state to read, the log's right edge, and a root for proposed writes.

`View` is the port; its twins are `storage.ledger.LedgerView` (the executor's) and `storage.memory.MemoryView` (tests,
provisional views). `Overlay` is the only way the pipeline collects writes: it never touches the view below it.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Protocol

from drystone.trees.log import Edge


class View(Protocol):
    """A state at one height, and what is needed to compute the next."""

    @property
    def height(self) -> int:
        """Height of the last non-empty block; 0 after genesis."""
        ...

    @property
    def ledger(self) -> bytes:
        """The ledger's id, 32 bytes."""
        ...

    @property
    def log(self) -> Edge:
        """Right edge of the log."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """Return the value under `key`, or None."""
        ...

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the pairs whose key starts with `prefix`, sorted by key."""
        ...

    def root_after(self, writes: Mapping[bytes, bytes | None]) -> bytes:
        """Return the state root after `writes` (None deletes); changes nothing."""
        ...


class Reader(Protocol):
    """The part of a view that registry and rights need."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value under `key`, or None."""
        ...


class Lister(Reader, Protocol):
    """A reader that can also be listed by prefix."""

    def listed(self, prefix: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return the first `limit` pairs whose key starts with `prefix`, sorted by key."""
        ...


class Listed:
    """A view as a `Lister`: the pipeline lists through overlays, the view itself scans."""

    def __init__(self, view: View) -> None:
        self.get = view.get
        self._scan = view.scan

    def listed(self, prefix: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return the first `limit` pairs whose key starts with `prefix`, sorted by key."""
        return list(islice(self._scan(prefix), limit))


class Overlay:
    """Writes collected over a view; reading sees them, the view below does not."""

    def __init__(self, below: Lister) -> None:
        self._below = below
        self.writes: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return the newest value under `key`, or None."""
        if key in self.writes:
            return self.writes[key]
        return self._below.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set `key` to `value`; None deletes. The caller encoded the value."""
        self.writes[key] = value

    def listed(self, prefix: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return the first `limit` pairs whose key starts with `prefix`, newest values, sorted by key."""
        own = {key: value for key, value in self.writes.items() if key.startswith(prefix)}
        found = dict(self._below.listed(prefix, limit + len(own))) | own
        return [(key, value) for key, value in sorted(found.items()) if value is not None][:limit]

    def merge(self, writes: Mapping[bytes, bytes | None]) -> None:
        """Take over the writes of one finished record; called only when the record succeeded."""
        self.writes.update(writes)
