"""Which stream positions are taken: on their way, or committed as far as this node has seen.

A request that moves each of its streams on by the next numbers is taken as a whole: one comparison of lists, no look at
a record. Only what does not (a gap, a late record, a copy, a stream not seen since the start) is looked at record by
record, against what is on its way and against the stream's runs in the state, which may be stale: `apply` decides, this
spares work.

Place in a record's life: intake. It may not do I/O but through the view it is given. Source: design.md section 3.
"""

from collections import deque
from collections.abc import Iterable
from itertools import repeat
from typing import Final

from drystone.gateway.batch import Batch
from drystone.ledger import keyspace
from drystone.ledger.view import Reader
from drystone.records import stream
from drystone.workers.checked import Position, Steps, StreamName, rank, unrank

STREAMS_REMEMBERED_MAX: Final = 262_144
"""Streams whose highest position is kept; beyond it all are forgotten and looked up again."""

COMMITTED: Final = "committed"
"""The position is taken by a record of a block."""


class Positions:
    """The positions that intake knows to be taken."""

    def __init__(self, view: Reader) -> None:
        self._view = view
        self._highest: dict[StreamName, int] = {}
        """Per stream the highest rank that is committed or on its way: whatever lies behind it is free."""
        self.pending: dict[Position, Batch] = {}
        self.records = 0
        """Acknowledged or about to be, and not yet committed."""
        self.size = 0
        """Their bytes."""

    def advance(self, steps: Steps | None) -> bool:
        """Move every stream of a request on, if all of them stand right before it; else move none."""
        if steps is None:
            return False
        highest = self._highest
        if list(map(highest.get, steps.streams)) != steps.before:
            return False
        highest.update(zip(steps.streams, steps.after, strict=True))
        return True

    def look(
        self, position: Position, *, record_id: bytes, register: int | None
    ) -> Batch | str | None:
        """Say what holds a record's position: a batch on its way, `COMMITTED`, or nothing.

        Nothing means that the caller takes it: the stream's highest position is moved at once.

        Raises:
            StreamGaps, RegisterOrder: the record cannot be placed as far as this node has seen.
        """
        batch = self.pending.get(position)
        if batch is not None:
            return batch
        name = position[:3]
        epoch, seq = position[3:]
        value = rank(epoch, seq)
        highest = self._highest.get(name)
        if highest is None or highest + 1 != value:
            current = self._state(name)
            placement = stream.place(
                current, epoch=epoch, seq=seq, record_id=record_id, register=register
            )
            if placement.kind == "already":
                return COMMITTED
            if highest is None:
                highest = self._remember(name, current)
        self._highest[name] = max(highest, value)
        return None

    def next_place(self, name: StreamName, *, epoch: int) -> tuple[int, int]:
        """Give the position behind everything that a stream holds, in `epoch` or the stream's own later one."""
        highest = self._highest.get(name)
        if highest is None:
            highest = self._remember(name, self._state(name))
        held, seq = unrank(highest)
        return (epoch, 0) if highest < 0 or held < epoch else (held, seq + 1)

    def take(self, batch: Batch) -> None:
        """Hold a batch's positions; who calls has looked at each."""
        self.pending.update(dict.fromkeys(batch.positions, batch))
        self.records += batch.count
        self.size += batch.size

    def adopt(self, batch: Batch) -> None:
        """Hold the positions of a batch that an earlier process acknowledged."""
        for position in batch.positions:
            name = position[:3]
            highest = self._highest.get(name)
            if highest is None:
                highest = self._remember(name, self._state(name))
            self._highest[name] = max(highest, rank(*position[3:]))
        self.take(batch)

    def release(self, batches: Iterable[Batch]) -> None:
        """Let go of batches: committed, or never stored."""
        for batch in batches:
            # In one go, without a line of Python per record.
            deque(map(self.pending.pop, batch.positions, repeat(None)), maxlen=0)
            self.records -= batch.count
            self.size -= batch.size

    def _state(self, name: StreamName) -> stream.Stream:
        iss, sub, device = name
        value = self._view.get(
            keyspace.stream((iss, sub) if device is None else (iss, sub, device))
        )
        return stream.EMPTY if value is None else stream.decode(value)

    def _remember(self, name: StreamName, current: stream.Stream) -> int:
        """Keep and give a stream's highest rank in the state; -1 for a stream without records."""
        if len(self._highest) >= STREAMS_REMEMBERED_MAX:
            self._highest.clear()
        last = current.runs[-1] if current.runs else None
        self._highest[name] = highest = -1 if last is None else rank(last.epoch, last.last)
        return highest
