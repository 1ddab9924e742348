"""Layers of the provisional view: what one pending vertex does, and the view that it is applied over.

Values only; `provisional.py` stacks them. Source: design section 3.6 (provisional view).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from drystone.ledger.view import View
from drystone.trees import log
from drystone.trees.log import Edge

ROW_BYTES: Final = 200
"""What a value in a layer costs beside key and value, roughly."""

LAYER_BYTES: Final = 2_000
"""What a layer, and what was told of it, costs beside that ..."""

LOOK_BYTES: Final = 64
"""... and what each key costs that it looked at."""

NO_ROOT: Final = bytes(32)
"""Nobody asks what a guess hashes to."""


@dataclass(slots=True, eq=False)
class Layer:
    """Pending vertices and what they do over what is below; more than one where layers were joined for room."""

    vertices: dict[bytes, None]
    writes: Mapping[bytes, bytes | None]
    reads: frozenset[bytes]
    """What it looked at beside what it wrote; who writes a value is taken to have looked at it."""
    prefixes: frozenset[bytes]
    size: int
    partly: bool = False
    """Some of its vertices are final: nothing goes on from its values until all are."""


class Readable(Protocol):
    """A state as far as it is stacked."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value under `key`, or None."""
        ...

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the pairs whose key starts with `prefix`, sorted by key."""
        ...


class Below:
    """The view that one vertex is applied over, which notes what was looked at; its root is not computed."""

    def __init__(self, base: View, top: Readable) -> None:
        """Read from `top`; height and ledger are those of `base`."""
        self._top = top
        self.height = base.height
        self.ledger = base.ledger
        self.log: Edge = log.EMPTY
        self.reads: set[bytes] = set()
        self.prefixes: set[bytes] = set()

    def get(self, key: bytes) -> bytes | None:
        """Return the value under `key`, and note it."""
        self.reads.add(key)
        return self._top.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the pairs whose key starts with `prefix`, and note that they were asked for."""
        self.prefixes.add(prefix)
        return self._top.scan(prefix)

    def root_after(self, writes: Mapping[bytes, bytes | None]) -> bytes:
        """Return no root: nobody asks what a guess hashes to."""
        assert writes is not None
        return NO_ROOT


def size_of(writes: Mapping[bytes, bytes | None], reads: frozenset[bytes]) -> int:
    """Return what a layer costs, roughly."""
    values = sum(
        len(key) + (0 if value is None else len(value)) + ROW_BYTES for key, value in writes.items()
    )
    return values + LOOK_BYTES * len(reads) + LAYER_BYTES
