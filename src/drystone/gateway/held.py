"""Sealed and not yet ordered: what is remembered of a vertex between its seal and its outcome.

Two ways. A node, whose engine orders within milliseconds, holds on to each vertex's batches (`HeldBatches`): their
positions stay taken, and whoever waits is told. A gateway may seal for weeks before anything is ordered, so it lets go
of a batch as soon as it is sealed (`LetGo`): its positions go into the gateway's own streams, and only those batches
are remembered for which a request still waits, by references that hold nothing alive.

Memory only: vertices.db has the records, the ledger or the mirror the order. Source: design.md sections 3.2 and 3.3.
"""

import weakref
from collections.abc import Sequence
from typing import Protocol

from drystone.gateway.batch import Batch
from drystone.gateway.own_streams import OwnStreams
from drystone.gateway.positions import Positions
from drystone.storage.vertices import StoredVertex


class Held(Protocol):
    """What is remembered of vertices that wait for their order."""

    def __len__(self) -> int:
        """How many are remembered."""
        ...

    def hold(self, stored: StoredVertex, batches: Sequence[Batch]) -> None:
        """Remember a vertex that was stored, in the order of its number; another author's has no batches here."""
        ...

    def settle(self, vertex_id: bytes) -> Sequence[Batch]:
        """Give the batches of an ordered vertex that somebody may wait for, and forget it."""
        ...

    @property
    def ordered_through(self) -> int | None:
        """The number up to which every vertex is ordered; None while that is not known."""
        ...


class HeldBatches:
    """A node's way: every vertex with its batches."""

    def __init__(self, positions: Positions) -> None:
        self._positions = positions
        self._held: dict[bytes, tuple[int, Sequence[Batch]]] = {}
        self._highest: int | None = None

    def __len__(self) -> int:
        """How many vertices wait for their order."""
        return len(self._held)

    def hold(self, stored: StoredVertex, batches: Sequence[Batch]) -> None:
        """Remember a vertex; its number is higher than any before."""
        self._held[stored.id] = stored.number, batches
        self._highest = max(stored.number, self._highest or 0)

    def settle(self, vertex_id: bytes) -> Sequence[Batch]:
        """Free the positions of an ordered vertex and give its batches; none if it was not held."""
        _, batches = self._held.pop(vertex_id, (0, ()))
        self._positions.release(batches)
        return batches

    @property
    def ordered_through(self) -> int | None:
        """Right before the first that waits; where none does, the last one that was held."""
        first = next(iter(self._held.values()), None)
        return self._highest if first is None else first[0] - 1


class LetGo:
    """A gateway's way: positions move to its own streams, batches live as long as somebody waits for them."""

    def __init__(self, positions: Positions, streams: OwnStreams) -> None:
        self._positions = positions
        self._streams = streams
        self._awaited: dict[bytes, list[weakref.ref[Batch]]] = {}

    def __len__(self) -> int:
        """For how many vertices a request waits."""
        return len(self._awaited)

    def hold(self, stored: StoredVertex, batches: Sequence[Batch]) -> None:
        """Enter a sealed vertex's positions among the own streams, and let go of it."""
        self._streams.note(batches, number=stored.number)
        self._positions.release(batches)
        own_id = stored.id

        def gone(reference: weakref.ref[Batch]) -> None:
            left = self._awaited.get(own_id)
            if left is not None:
                left.remove(reference)
                if not left:
                    del self._awaited[own_id]

        awaited = [weakref.ref(batch, gone) for batch in batches if batch.awaited]
        if awaited:
            self._awaited[own_id] = awaited

    def settle(self, vertex_id: bytes) -> Sequence[Batch]:
        """Give the batches of an ordered vertex for which a request still waits."""
        found = self._awaited.pop(vertex_id, ())
        return [batch for reference in found if (batch := reference()) is not None]

    @property
    def ordered_through(self) -> int | None:
        """Not known here: the mirror knows what is ordered."""
        return None
