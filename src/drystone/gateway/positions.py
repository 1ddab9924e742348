"""Which stream positions are taken: on their way, or committed as far as this node has seen.

Two questions are answered without touching a disk for nearly every record: is the position on its way, and does it lie
behind everything this stream has brought so far. Only what is neither (a late record, a gap, a stream not seen since
the start) is placed against the stream's runs in the state, which may be stale: `apply` decides, this spares work.

Place in a record's life: intake. It may not do I/O but through the view it is given. Source: design.md section 3.
"""

from collections.abc import Iterable
from typing import Final

from drystone.gateway.batch import Batch, Position, StreamName, position_of
from drystone.ledger import keyspace
from drystone.ledger.rights import Rights
from drystone.ledger.view import Reader
from drystone.records import stream
from drystone.records.record import Record, stream_id

STREAMS_REMEMBERED_MAX: Final = 262_144
"""Streams whose highest position is kept; beyond it all are forgotten and looked up again."""

COMMITTED: Final = "committed"
"""The position is taken by a record of a block."""


class Positions:
    """The positions that intake knows to be taken."""

    def __init__(self, view: Reader) -> None:
        self._view = view
        self._highest: dict[StreamName, tuple[int, int]] = {}
        self.pending: dict[Position, Batch] = {}
        self.records = 0
        """Acknowledged or about to be, and not yet committed."""
        self.size = 0
        """Their bytes."""

    def look(
        self, record: Record, position: Position, rights: Rights, register: int | None
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
        place = position[3:]
        highest = self._highest.get(name)
        if highest is not None and place[1] == highest[1] + 1 and place[0] == highest[0]:
            self._highest[name] = place
            return None
        return self._look_closely(record, name, place, highest, rights, register)

    def next_place(self, name: StreamName, stream_key: bytes, *, epoch: int) -> tuple[int, int]:
        """Give the position behind everything that a stream holds, in `epoch` or the stream's own later one."""
        highest = self._highest.get(name)
        if highest is None:
            highest = _highest_of(self._state(stream_key))
        if highest is None or highest[0] < epoch:
            return (epoch, 0)
        return (highest[0], highest[1] + 1)

    def take(self, batch: Batch) -> None:
        """Count a batch whose positions were entered in `pending`."""
        self.records += len(batch.records)
        self.size += batch.size

    def enter(self, batch: Batch) -> None:
        """Hold the positions of a batch that an earlier process acknowledged."""
        for record in batch.records:
            self.pending.setdefault(position_of(record), batch)
            name, place = (record.iss, record.sub, record.device), (record.epoch, record.seq)
            highest = self._highest.get(name)
            if highest is None:
                highest = _highest_of(self._state(keyspace.stream(stream_id(record))))
            self._highest[name] = place if highest is None else max(highest, place)
        self.take(batch)

    def release(self, batches: Iterable[Batch]) -> None:
        """Let go of batches: committed, or never stored."""
        pending = self.pending
        for batch in batches:
            for one in batch.records:
                pending.pop((one.iss, one.sub, one.device, one.epoch, one.seq), None)
            self.records -= len(batch.records)
            self.size -= batch.size

    def _look_closely(
        self,
        record: Record,
        name: StreamName,
        place: tuple[int, int],
        highest: tuple[int, int] | None,
        rights: Rights,
        register: int | None,
    ) -> str | None:
        current = self._state(rights.stream_key)
        placement = stream.place(
            current, epoch=place[0], seq=place[1], record_id=record.id, register=register
        )
        if placement.kind == "already":
            return COMMITTED
        if highest is None:
            highest = _highest_of(current)
            if len(self._highest) >= STREAMS_REMEMBERED_MAX:
                self._highest.clear()
        self._highest[name] = place if highest is None else max(highest, place)
        return None

    def _state(self, stream_key: bytes) -> stream.Stream:
        value = self._view.get(stream_key)
        return stream.EMPTY if value is None else stream.decode(value)


def _highest_of(current: stream.Stream) -> tuple[int, int] | None:
    if not current.runs:
        return None
    last = current.runs[-1]
    return (last.epoch, last.last)
