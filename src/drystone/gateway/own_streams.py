"""The stale view of a gateway: the registry as its uplink last told it, and the streams as it has sealed them itself.

A gateway holds no state. Whether a position is taken it knows from what it sealed, kept as runs like the ledger's own
(`records/stream.py`), without registers: `apply` looks at those. A device that is heard by two gateways has its records
in both; the second place is answered `already` where they are ordered. A record that `apply` refused gives its position
back, so that it may be sent again.

Runs lie in mirror.db, as of an own vertex; what was sealed since is found again in vertices.db after a start. Nothing
here decides. Place in a record's life: intake. Source: design.md sections 3 (streams as runs) and 4 (stale view).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from drystone.errors import DiskFull, Refused
from drystone.gateway.batch import Batch
from drystone.ledger import keyspace
from drystone.records import stream
from drystone.records.stream import Run, Stream
from drystone.storage.mirror import MirrorDB
from drystone.workers.checked import Position, StreamName

STREAMS_REMEMBERED_MAX: Final = 16_384
"""Streams kept in memory; the others are read from mirror.db."""

SAVE_VERTICES: Final = 64
"""Own vertices after which the streams are worth a transaction; a start reads at most so many again."""

Put: TypeAlias = Callable[[Mapping[bytes, bytes], int], Awaitable[None]]
"""Stores streams as of an own vertex's number."""

NO_ID: Final = bytes(32)
"""Own runs carry no digest that anyone checks."""


class OwnStreams:
    """A `Reader` (ledger/view.py) over the mirror and what was sealed here."""

    def __init__(self, mirror: MirrorDB) -> None:
        self._mirror = mirror
        self._known: dict[bytes, Stream] = {}
        self._dirty: set[bytes] = set()
        self._through = mirror.streams_through
        self._saved = self._through
        self._vertices = 0

    @property
    def through(self) -> int:
        """Number of the last own vertex that is in the streams."""
        return self._through

    def get(self, key: bytes) -> bytes | None:
        """Return the value under a state key: a stream as sealed here, else as the registry was copied."""
        if keyspace.space_of(key) != keyspace.STREAM:
            return self._mirror.get(key)
        current = self._stream(key)
        return stream.encode(current) if current.runs else None

    def note(self, batches: Iterable[Batch], *, number: int) -> None:
        """Enter the positions of an own vertex that was sealed under this number of vertices.db."""
        for batch in batches:
            self.take(batch.positions)
        self._through = max(self._through, number)
        self._vertices += 1

    def replay(self, positions: Sequence[Position], *, number: int) -> None:
        """Enter the positions of an own vertex that an earlier process sealed."""
        self.take(positions)
        self._through = max(self._through, number)
        self._vertices += 1

    def take(self, positions: Sequence[Position]) -> None:
        """Enter positions; one that no stream of the ledger would take either is left out."""
        for position in positions:
            key = _key(position[:3])
            epoch, seq = position[3:]
            try:
                placed = stream.place(
                    self._stream(key), epoch=epoch, seq=seq, record_id=NO_ID, register=None
                )
            except Refused:
                continue  # Too many gaps, or an epoch long closed: `apply` says so too.
            self._set(key, placed.stream)

    def free(self, positions: Iterable[Position]) -> None:
        """Give positions back whose records were refused where they are ordered."""
        for position in positions:
            key = _key(position[:3])
            epoch, seq = position[3:]
            current = self._stream(key)
            if stream.covers(current, epoch=epoch, seq=seq):
                runs = tuple(_without(current.runs, epoch=epoch, seq=seq))
                if not runs:
                    self._set(key, stream.EMPTY)
                elif len(runs) <= stream.STREAM_RUNS_MAX:
                    self._set(key, Stream(current.digest, current.count - 1, runs))

    @property
    def worth_saving(self) -> bool:
        """Whether enough has changed for a transaction."""
        return self._vertices >= SAVE_VERTICES

    async def save(self, put: Put) -> None:
        """Store what has changed with `put`; what changes meanwhile is stored the next time."""
        if self._through == self._saved and not self._dirty:
            return
        through, dirty = self._through, self._dirty
        self._dirty = set()
        self._vertices = 0
        values = {key: stream.encode(self._known[key]) for key in dirty}
        try:
            await put(values, through)
        except DiskFull:
            self._dirty |= dirty
            return
        self._saved = through
        if len(self._known) > STREAMS_REMEMBERED_MAX:
            self._known = {key: self._known[key] for key in self._dirty}

    def _stream(self, key: bytes) -> Stream:
        current = self._known.get(key)
        if current is None:
            value = self._mirror.stream(key)
            current = stream.EMPTY if value is None else stream.decode(value)
            self._known[key] = current
        return current

    def _set(self, key: bytes, value: Stream) -> None:
        self._known[key] = value
        self._dirty.add(key)


def _key(name: StreamName) -> bytes:
    iss, sub, device = name
    return keyspace.stream((iss, sub) if device is None else (iss, sub, device))


def _without(runs: Iterable[Run], *, epoch: int, seq: int) -> Iterable[Run]:
    """Give the runs with one number taken out."""
    for run in runs:
        if run.epoch != epoch or not run.first <= seq <= run.last:
            yield run
            continue
        if run.first < seq:
            yield run._replace(last=seq - 1)
        if seq < run.last:
            yield run._replace(first=seq + 1)
