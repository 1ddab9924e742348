"""The committer: the one writer of vertices.db, which stores what intake took and seals it into vertices.

One task runs one write at a time in one worker thread: either it stores everything that arrived since the last write
(one transaction, one fsync for many requests), or it seals stored and new batches into a vertex (again one), which
makes the new ones durable without an intake row. A vertex is sealed at once when somebody waits for it, when enough
records are there, or when the gateway was idle; otherwise records linger, because a header costs about 180 bytes.

If the process dies on any line here: what was answered `stored` is an intake row or in a vertex, never in both, and
the next start goes on from there (`recover.py`).

Place in a record's life: between intake and order. Source: design.md sections 3.2 and 3.3, formats.md (vertex).
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeVar

from drystone import limits
from drystone.errors import Unavailable
from drystone.gateway.batch import Batch, Committed, Sealed
from drystone.gateway.held import Held, HeldBatches
from drystone.gateway.positions import Positions
from drystone.ledger.change import OrderedVertex
from drystone.records.key import SecretKey
from drystone.records.vertex import decode_header, seal_header
from drystone.storage.vertices import StoredVertex
from drystone.workers.checked import Packed

SEAL_RECORDS: Final = 128
"""With this many records a vertex is worth its header: it is sealed at once."""

GROUP_RECORDS: Final = 100
"""A group commit of this many records means load ..."""

GROUP_MS: Final = 20
"""... and under load group commits begin this far apart, so that each is worth its fsync."""

RETRY_S: Final = 1.0
"""A vertex that could not be sealed (disk full) is tried again after this time."""

HEADER_BYTES_MAX: Final = 1_024
"""Room left for header and framing within `limits.VERTEX_BYTES_MAX`."""

Result = TypeVar("Result")


class Author(NamedTuple):
    """A gateway as author: whose key signs, and where its chain of vertices ends."""

    iss: str
    sub: str
    secret: SecretKey
    epoch: int
    seq: int
    """Sequence of the next vertex."""
    parent: bytes | None


class VertexStore(Protocol):
    """What the committer needs of vertices.db; every method blocks and is one transaction."""

    def add_intake(self, batches: Sequence[bytes]) -> Sequence[int]:
        """Store batches; give their row numbers."""
        ...

    def seal(
        self, *, header: bytes, body: bytes, intake: Sequence[int], ordered_through: int | None
    ) -> StoredVertex:
        """Store a vertex and delete the intake rows it came from."""
        ...


class Engine(Protocol):
    """Who orders vertices."""

    @property
    def idle(self) -> bool:
        """Whether a vertex handed over now would be ordered at once."""
        ...

    def submit(self, vertex: OrderedVertex, vertex_id: bytes) -> None:
        """Take a stored vertex over."""
        ...


class RunInWorker(Protocol):
    """Runs a blocking function in the one thread that writes vertices.db."""

    def __call__(self, function: Callable[[], Result]) -> Awaitable[Result]:
        """Give the function's result, or raise what it raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When records stop lingering."""

    linger_ms: int
    seal_records: int = SEAL_RECORDS
    group_ms: int = GROUP_MS


class _Draft(NamedTuple):
    """A vertex about to be sealed."""

    batches: list[Batch]
    author: Author
    links: Sequence[bytes]
    time_ms: int
    ordered_through: int | None


class Sealer:
    """Stores and seals what intake takes in."""

    def __init__(
        self,
        *,
        store: VertexStore,
        engine: Engine,
        positions: Positions,
        author: Author,
        ledger: bytes,
        pace: Pace,
        run_in_worker: RunInWorker,
        clock_ms: Callable[[], int],
        held: Held | None = None,
        links: Callable[[], Sequence[bytes]] = tuple,
    ) -> None:
        """Begin with nothing to store.

        `links` gives the ids of other authors' tips that the next vertex cites; `held` is a node's way if left out.
        """
        self._store = store
        self._engine = engine
        self._positions = positions
        self._held = HeldBatches(positions) if held is None else held
        self._links = links
        self._author, self._author_key = author, author.secret.public.cose_key()
        self._ledger = ledger
        self._pace = pace
        self._run_in_worker = run_in_worker
        self._clock_ms = clock_ms
        self._fresh: list[Batch] = []
        self._stored: deque[Batch] = deque()
        self._urgent = False
        self._last_seal_s = 0.0
        self._paused = False
        self._beginning: Sequence[bytes] | None = None
        self._wake = asyncio.Event()
        self._stopping = False

    @property
    def author(self) -> Author:
        """The gateway as author of its next vertex."""
        return self._author

    @property
    def unsealed_records(self) -> int:
        """Records acknowledged, or about to be, and not yet sealed."""
        return sum(batch.count for batch in (*self._fresh, *self._stored))

    @property
    def unsealed_bytes(self) -> int:
        """Their bytes."""
        return sum(batch.size for batch in (*self._fresh, *self._stored))

    @property
    def unordered_vertices(self) -> int:
        """Vertices sealed and not yet ordered."""
        return len(self._held)

    def add(self, batches: Sequence[Batch], *, urgent: bool) -> None:
        """Take over new batches; `urgent` when somebody waits for more than `stored`."""
        self._fresh += batches
        self._urgent = self._urgent or urgent
        self._wake.set()

    def adopt(self, batch: Batch) -> None:
        """Take over a batch that an earlier process stored in intake."""
        batch.durable.set_result(None)
        self._stored.append(batch)
        self._wake.set()

    def adopt_sealed(self, vertex: StoredVertex, batch: Batch) -> None:
        """Wait for the order of a vertex that an earlier process sealed."""
        batch.durable.set_result(None)
        self._held.hold(vertex, [batch])

    def pause(self) -> None:
        """Store what comes, seal nothing: it is not known where this author's chain ends."""
        self._paused = True

    def resume(self) -> None:
        """Seal again: nobody has a vertex of this author that is not here."""
        self._paused = False
        self.poke()

    def begin(self, author: Author, *, cite: Sequence[bytes]) -> None:
        """Go on in a new epoch, with an empty vertex that continues `author.parent` and cites other heads as well."""
        self._author = author
        self._beginning = cite
        self.resume()

    def hold(self, vertex: StoredVertex) -> None:
        """Wait for the order of another author's vertex too: what is ordered through never passes it."""
        self._held.hold(vertex, ())

    def settle(self, vertex_id: bytes, *, height: int, codes: Mapping[int, str]) -> None:
        """Tell what became of a vertex: `codes` by index in its body, of records that were not accepted."""
        for batch in self._held.settle(vertex_id):
            where = batch.where
            assert where is not None, "a sealed batch knows where it lies"
            own = codes
            if codes:
                end = where.base + batch.count
                own = {i - where.base: c for i, c in codes.items() if where.base <= i < end}
            if not batch.committed.done():
                batch.committed.set_result(Committed(height, dict(own)))

    def poke(self) -> None:
        """Look again whether something is to be sealed: the engine has room."""
        self._wake.set()

    async def run(self) -> None:
        """Store and seal until `stop`, then until nothing is left to store.

        Raises:
            Broken and its kin: the database failed in a way that a later try does not mend.
        """
        fresh: list[Batch] = []
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._rest()
                began_s = loop.time()
                fresh, self._fresh = self._fresh, []
                if self._beginning is not None and not self._stopping:
                    await self._seal_first(self._beginning)
                if self._is_time(fresh):
                    await self._seal(fresh)
                elif fresh:
                    await self._save(fresh)
                if self._stopping and not self._fresh:
                    return
                if sum(batch.count for batch in fresh) >= GROUP_RECORDS:
                    await asyncio.sleep(began_s + self._pace.group_ms / 1000 - loop.time())
        finally:
            # Whoever still waits for the disk is told to come again; nothing of this was acknowledged.
            self._drop([batch for batch in (*fresh, *self._fresh) if not batch.durable.done()])

    def stop(self) -> None:
        """Store what arrived, seal nothing more, and end."""
        self._stopping = True
        self._wake.set()

    async def _rest(self) -> None:
        """Wait until something arrives, or until what lingers has lingered long enough."""
        if self._fresh or self._stopping or self._beginning is not None:
            return
        timeout = None
        if self._stored and not self._paused:
            timeout = (self._pace.linger_ms - self._lingered_ms()) / 1000
            if timeout <= 0:
                return
        self._wake.clear()
        # Not `wait_for`: in Python 3.11 it forgets that it was cancelled when the event came at the same moment.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wake.wait()

    def _is_time(self, fresh: list[Batch]) -> bool:
        """Whether what is there becomes a vertex now."""
        if self._stopping or self._paused or not (fresh or self._stored):
            return False
        if self._lingered_ms() >= self._pace.linger_ms or (self._urgent and self._engine.idle):
            return True
        count = sum(batch.count for batch in fresh)
        return count + sum(batch.count for batch in self._stored) >= self._pace.seal_records

    def _lingered_ms(self) -> float:
        return (asyncio.get_running_loop().time() - self._last_seal_s) * 1000

    async def _save(self, fresh: list[Batch]) -> None:
        """Store batches as intake rows, in one transaction."""
        sequences = [batch.sequence for batch in fresh]
        try:
            rows = await self._run_in_worker(lambda: self._store.add_intake(sequences))
        except Unavailable as error:
            self._drop(fresh, error)
            return
        for batch, row in zip(fresh, rows, strict=True):
            batch.row = row
            self._stored.append(batch)
            _resolve(batch.durable)

    async def _seal_first(self, cite: Sequence[bytes]) -> None:
        """Seal the empty vertex with which a new epoch begins."""
        links = [*cite, *self._links()][: limits.VERTEX_LINKS_MAX]
        draft = _Draft([], self._author, links, self._clock_ms(), self._held.ordered_through)
        try:
            vertex, stored = await self._run_in_worker(lambda: self._write(draft))
        except Unavailable:
            await asyncio.sleep(RETRY_S)
            return
        self._beginning = None
        self._go_on(vertex, stored, [])

    def _go_on(self, vertex: OrderedVertex, stored: StoredVertex, chosen: list[Batch]) -> None:
        """The vertex is durable: the next one follows it, whoever orders is told."""
        author = self._author
        self._author = author._replace(seq=author.seq + 1, parent=stored.id)
        self._held.hold(stored, chosen)
        self._engine.submit(vertex, stored.id)

    async def _seal(self, fresh: list[Batch]) -> None:
        """Seal as many batches as fit into one vertex, oldest first; store the rest."""
        chosen, rest = _choose([*self._stored, *fresh])
        draft = _Draft(
            chosen, self._author, self._links(), self._clock_ms(), self._held.ordered_through
        )
        try:
            vertex, stored = await self._run_in_worker(lambda: self._write(draft))
        except Unavailable as error:
            self._drop(fresh, error)
            await asyncio.sleep(RETRY_S)
            return
        self._last_seal_s = asyncio.get_running_loop().time()
        author = draft.author
        base = 0
        for batch in chosen:
            where = Sealed(stored.id, author.iss, author.sub, author.epoch, author.seq, base)
            base += batch.count
            batch.where = where
            batch.row = None
            _resolve(batch.durable)
            batch.sealed.set_result(where)
        # Others may have been adopted meanwhile: only what was sealed leaves.
        self._stored = deque(batch for batch in self._stored if batch.where is None)
        self._go_on(vertex, stored, chosen)
        unsaved = [batch for batch in rest if batch.row is None]
        if unsaved:
            await self._save(unsaved)
        if not self._stored:
            self._urgent = False

    def _write(self, draft: _Draft) -> tuple[OrderedVertex, StoredVertex]:
        """Sign the vertex and store it, in the worker."""
        author = draft.author
        header_raw, _ = seal_header(
            secret=author.secret,
            iss=author.iss,
            sub=author.sub,
            epoch=author.epoch,
            seq=author.seq,
            parent=author.parent,
            links=draft.links,
            time_ms=draft.time_ms,
            length=sum(batch.size for batch in draft.batches),
            entries=[entry for batch in draft.batches for entry in batch.entry_list()],
            ledger=self._ledger,
        )
        stored = self._store.seal(
            header=header_raw,
            body=b"".join([batch.sequence for batch in draft.batches]),
            intake=[batch.row for batch in draft.batches if batch.row is not None],
            ordered_through=draft.ordered_through,
        )
        records = Packed(
            [batch.packet for batch in draft.batches],
            count=sum(batch.count for batch in draft.batches),
        )
        return OrderedVertex(decode_header(header_raw), self._author_key, records), stored

    def _drop(self, fresh: list[Batch], error: Unavailable | None = None) -> None:
        """Give up batches that were not stored; they were never acknowledged."""
        error = error or Unavailable("the node starts again")
        self._positions.release(fresh)
        for batch in fresh:
            batch.fail(error)


def _choose(batches: list[Batch]) -> tuple[list[Batch], list[Batch]]:
    """Split batches into those that one vertex holds and the rest."""
    count = 0
    size = HEADER_BYTES_MAX
    for index, batch in enumerate(batches):
        count += batch.count
        size += batch.size
        if count > limits.VERTEX_RECORDS_MAX or size > limits.VERTEX_BYTES_MAX:
            return batches[:index], batches[index:]
    return batches, []


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
