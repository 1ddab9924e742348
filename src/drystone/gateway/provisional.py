"""What feeds the provisional view: every vertex that is here and not ordered goes to the executor, in order of arrival.

Own vertices come right after their seal, others' as they arrive, those of an earlier life at the start. The executor
may ask for some again (the final order was another than guessed); they are read back from vertices.db. One message is
on its way at a time, so that blocks are never far behind. What is told of a vertex is passed on, and whoever waits for
a record's provisional outcome gets it.

Memory only, and bounded: ids of pending vertices, and the positions of some of their records. Nothing here decides,
and nothing final depends on it. Place in a record's life: beside its way from vertex to order.
Source: design.md section 3.6 (provisional view).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple, Protocol

from drystone import limits
from drystone.errors import Unavailable
from drystone.ledger.change import OrderedVertex, Outcome, Unreadable
from drystone.ledger.differences import Difference, Told
from drystone.ledger.view import Reader
from drystone.records.record import Record, Verified
from drystone.storage.vertices import StoredVertex
from drystone.workers.checked import Position, position_of
from drystone.workers.executor_client import ProvisionalExecutor
from drystone.workers.messages import Executed, Pending

RECORDS_AT_ONCE: Final = 1_000
"""Records in one message to the executor: some tens of milliseconds of its time."""

VERTICES_AT_ONCE: Final = 32

VERTICES_KEPT: Final = 64
"""Vertices that wait with their records in memory; further ones are read back when their turn comes."""

VertexPlace = tuple[str, str, int, int]
"""Author's organisation and id, epoch and sequence."""


class News(NamedTuple):
    """What the view has told since the last time."""

    told: Sequence[tuple[bytes, Told]]
    differences: Sequence[Difference]


class Waiting(NamedTuple):
    """How much is provisional, for metrics and pages."""

    vertices: int
    """In the view."""
    queued: int
    """Here and not in the view yet."""
    size: int
    """Bytes that the view holds."""
    full: bool


class FoundPending(NamedTuple):
    """Where a pending record lies."""

    vertex: bytes
    index: int  # pyright: ignore[reportIncompatibleMethodOverride] - the glossary's word


class Vertices(Protocol):
    """Where stored vertices are read back from."""

    async def vertex(self, vertex_id: bytes) -> OrderedVertex | None:
        """Give a vertex; None if its body is not here. Raises: Unavailable."""
        ...


class Unordered(Protocol):
    """Who lists what is stored and may not be ordered."""

    def unordered(self, *, after: int | None = None, limit: int = ...) -> list[StoredVertex]:
        """Give vertices in the order of arrival, behind a number."""
        ...


class PendingRows:
    """Rows of the registry that are pending: an enrolment that lies here lets its device in before it is final."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes | None] = {}
        self._watchers: list[Callable[[Mapping[bytes, bytes | None]], None]] = []

    @property
    def some(self) -> bool:
        """Whether there are any."""
        return bool(self._rows)

    def over(self, below: Reader) -> Reader:
        """Give the view that shows pending rows over `below`."""
        return _RowsOver(self._rows, below)

    def watch(self, *watchers: Callable[[Mapping[bytes, bytes | None]], None]) -> None:
        """Tell these which rows have changed, on the loop."""
        self._watchers += watchers

    def replace(self, rows: Mapping[bytes, bytes | None]) -> None:
        """Take over what is pending now."""
        before = dict(self._rows)
        changed = {key for key in {*before, *rows} if before.get(key, b"") != rows.get(key, b"")}
        self._rows.clear()
        self._rows.update(rows)
        if changed:
            for watcher in self._watchers:
                watcher({key: rows.get(key) for key in changed})


class _RowsOver:
    def __init__(self, rows: Mapping[bytes, bytes | None], below: Reader) -> None:
        self._rows = rows
        self._below = below

    def get(self, key: bytes) -> bytes | None:
        """Return the pending value under `key`, else the one below."""
        return self._rows[key] if key in self._rows else self._below.get(key)


class ProvisionalFeed:
    """Keeps the executor's provisional view up with what is here."""

    def __init__(
        self,
        *,
        executor: ProvisionalExecutor,
        vertices: Vertices,
        clock_ms: Callable[[], int],
        rows: PendingRows | None = None,
    ) -> None:
        self._executor = executor
        self._vertices = vertices
        self._clock_ms = clock_ms
        self._queue: dict[bytes, OrderedVertex | None] = {}
        self._kept = 0
        self._places: dict[VertexPlace, bytes] = {}
        self._pending: dict[bytes, tuple[VertexPlace, Sequence[Position]]] = {}
        self._positions: dict[Position, FoundPending] = {}
        self._early: dict[tuple[str, str], dict[bytes, None]] = {}
        """By author, vertices that continue one which is not here yet."""
        self._waiters: dict[bytes, list[asyncio.Future[None]]] = {}
        self._listeners: list[Callable[[News], None]] = []
        self._rows = rows or PendingRows()
        self._wake = asyncio.Event()
        self._asked_again = False
        self._stopping = False
        self._in_view = self._size = 0
        self._full = False

    @property
    def waiting(self) -> Waiting:
        """How much is provisional now."""
        return Waiting(self._in_view, len(self._queue), self._size, self._full)

    def tell(self, *listeners: Callable[[News], None]) -> None:
        """Tell these of what the view says, on the loop, in order."""
        self._listeners += listeners

    # --- what is pending ---------------------------------------------------------------------------

    def submit(self, vertex: OrderedVertex, vertex_id: bytes) -> None:
        """Take a vertex that was just stored here; its records are verified."""
        self._enter(vertex_id, vertex)

    def arrived(self, vertex_id: bytes) -> None:
        """Take a vertex whose body is in vertices.db."""
        self._enter(vertex_id, None)

    def adopt(self, store: Unordered, is_ordered: Callable[[bytes], bool]) -> int:
        """Take everything that an earlier life left unordered, in the order of arrival; give how many. Blocks."""
        after: int | None = None
        count = 0
        while rows := store.unordered(after=after):
            for stored in rows:
                if not is_ordered(stored.id):
                    self.arrived(stored.id)
                    count += 1
            after = rows[-1].number
        return count

    def executed(self, done: Executed) -> None:
        """Follow a commit: its vertices are final now."""
        for own_id in done.vertices:
            self._drop(own_id)
            place, positions = self._pending.pop(own_id, (None, ()))
            if place is not None:
                self._places.pop(place, None)
                self._early.get(place[:2], {}).pop(own_id, None)
                self._try_again(place[:2])
            for position in positions:
                self._positions.pop(position, None)
            self._answer(own_id)
        if done.differences:
            self._tell(News((), done.differences))
        ask = done.again or self._full or self._rows.some
        self._asked_again = self._asked_again or ask
        self._full = False
        self._wake.set()

    # --- what is told ------------------------------------------------------------------------------

    def find(self, position: Position) -> FoundPending | None:
        """Give where the pending record at a stream position lies, as far as positions are remembered."""
        return self._positions.get(position)

    def is_pending(self, vertex_id: bytes) -> bool:
        """Whether a vertex is here and not final."""
        return vertex_id in self._pending or vertex_id in self._queue

    async def outcome(self, vertex_id: bytes, index: int) -> Outcome | None:
        """Give the provisional outcome of a record; None where nothing is told, or it is final by now."""
        told = await self._executor.told(vertex_id)
        return None if told is None or not 0 <= index < told.count else told.of(index)

    async def outcome_at(
        self, place: VertexPlace, index: int, *, timeout_s: float
    ) -> Outcome | None:
        """Give the provisional outcome of the record at a place, waiting until something is told of its vertex."""
        own_id = self._places.get(place)
        if own_id is None:
            return None
        if own_id in self._queue:
            told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.setdefault(own_id, []).append(told)
            await asyncio.wait([told], timeout=timeout_s)
        return await self.outcome(own_id, index)

    # --- the one task ------------------------------------------------------------------------------

    def stop(self) -> None:
        """End `run`."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Give vertices to the executor until `stop`.

        Raises:
            Broken: the executor failed, or a stored vertex is not what was stored.
        """
        while not self._stopping:
            self._wake.clear()
            if not self._asked_again and (not self._queue or self._full):
                await self._wake.wait()
                continue
            try:
                await self._give()
            except Unavailable as error:
                await asyncio.sleep(error.retry_after_ms / 1000)

    async def _give(self) -> None:
        batch: list[Pending] = []
        records = 0
        for own_id in list(islice(self._queue, VERTICES_AT_ONCE)):
            vertex = self._queue.get(own_id) or await self._vertices.vertex(own_id)
            if own_id not in self._queue:
                continue  # It became final while it was read.
            if vertex is None:
                # Its body is still to come, and then `arrived` is called.
                self._drop(own_id)
                self._answer(own_id)
                continue
            self._remember(own_id, vertex)
            batch.append(Pending(own_id, vertex, self._clock_ms()))
            records += len(vertex.records)
            if records >= RECORDS_AT_ONCE:
                break
        self._asked_again = False
        pended = await self._executor.pend(batch)
        for pending in batch[: pended.taken]:
            self._drop(pending.id)
            header = pending.vertex.header
            if pending.id in pended.early:
                self._early.setdefault((header.iss, header.sub), {})[pending.id] = None
            else:
                self._answer(pending.id)
                self._try_again((header.iss, header.sub))
        if pended.again:
            # A vertex that became final while the answer was under way is not asked for: the executor knew.
            first: dict[bytes, OrderedVertex | None] = dict.fromkeys(pended.again)
            self._queue = {**first, **self._queue}
        self._in_view, self._size, self._full = pended.vertices, pended.size, pended.full
        if pended.registry is not None:
            self._rows.replace(pended.registry)
        if pended.told or pended.differences:
            self._tell(News(pended.told, pended.differences))

    def _enter(self, vertex_id: bytes, vertex: OrderedVertex | None) -> None:
        if self.is_pending(vertex_id):
            return
        if vertex is not None:
            self._remember(vertex_id, vertex)
            if self._kept >= VERTICES_KEPT:
                vertex = None
        self._kept += vertex is not None
        self._queue[vertex_id] = vertex
        self._wake.set()

    def _drop(self, vertex_id: bytes) -> None:
        vertex = self._queue.pop(vertex_id, None)
        self._kept -= vertex is not None

    def _remember(self, vertex_id: bytes, vertex: OrderedVertex) -> None:
        """Remember where a vertex stands, and where its records do while there is room."""
        if vertex_id in self._pending:
            return
        header = vertex.header
        place = (header.iss, header.sub, header.epoch, header.seq)
        self._places.setdefault(place, vertex_id)
        positions: list[Position] = []
        if len(self._positions) + len(vertex.records) <= limits.PROVISIONAL_POSITIONS_MAX:
            for index, item in enumerate(vertex.records):
                if isinstance(item, Unreadable):
                    continue
                record: Record = item.record if isinstance(item, Verified) else item
                position = position_of(record)
                if position not in self._positions:  # A copy is found where it came first.
                    self._positions[position] = FoundPending(vertex_id, index)
                    positions.append(position)
        self._pending[vertex_id] = place, positions

    def _try_again(self, author: tuple[str, str]) -> None:
        """Give an author's early vertices again: one that they may continue is in the view, or final."""
        for own_id in self._early.pop(author, ()):
            self._queue.setdefault(own_id, None)

    def _answer(self, vertex_id: bytes) -> None:
        for waiter in self._waiters.pop(vertex_id, ()):
            if not waiter.done():
                waiter.set_result(None)

    def _tell(self, news: News) -> None:
        for listener in self._listeners:
            listener(news)
