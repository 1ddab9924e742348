"""Other gateways' vertices on their way from vertices.db to the engine: parents first, no more at once than it takes.

A vertex is handed over when its body is here and its parent was handed over or ordered before: the self-parent is the
only precondition, and a vertex without it would be refused for ever. Nothing but ids waits in memory: bodies are read
when their turn comes, however many weeks a gateway brings at once. Records are checked here as those of intake are;
whatever a verifier says of them, they go to `apply`, which gives each its outcome.

If the process dies, vertices.db has them, and `recover.py` hands over again what the ledger does not know.
Place in a record's life: between vertex and order, on a node. Source: design.md sections 3.4 and 3.5.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from drystone.errors import Unavailable
from drystone.gateway.reopen import Reopened, read_body
from drystone.gateway.seal import Engine
from drystone.ledger.change import OrderedVertex
from drystone.records.vertex import VertexHeader, decode_header
from drystone.storage.vertices import VertexDB

PENDING_RECORDS_MAX: Final = 8_192
"""Records of other gateways that the engine holds at once."""

SETTLED_REMEMBERED: Final = 4_096

RETRY_S: Final = 0.2

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class IsOrdered(Protocol):
    """Who knows which vertices have been ordered; blocking."""

    def order_of(self, own_id: bytes, /) -> object | None:
        """Give the vertex's place in the order, or None."""
        ...


class RunInReader(Protocol):
    """Runs a blocking read in a thread."""

    def __call__(self, function: Callable[[], Result]) -> Awaitable[Result]:
        """Give the function's result, or raise what it raises."""
        ...


class _Loaded(NamedTuple):
    """A vertex read for the engine."""

    header: VertexHeader
    records: Sequence[bytes]


class Feeder:
    """Hands other gateways' vertices to the engine, one after another."""

    def __init__(
        self,
        *,
        store: VertexDB,
        ordered: IsOrdered,
        reopened: Reopened,
        engine: Engine,
        run_in_reader: RunInReader,
    ) -> None:
        self._store = store
        self._ordered = ordered
        self._reopened = reopened
        self._engine = engine
        self._run = run_in_reader
        self._ready: deque[bytes] = deque()
        self._waiting: dict[bytes, list[bytes]] = {}
        """Vertices that are here, by the parent that was not handed over yet."""
        self._known: set[bytes] = set()
        """What is ready, waits, or is with the engine."""
        self._flying: dict[bytes, int] = {}
        """Records by vertex that the engine holds."""
        self._settled: dict[bytes, None] = {}
        """Vertices ordered lately: a look at the ledger may have missed them."""
        self._wake = asyncio.Event()
        self._stopping = False

    @property
    def backlog(self) -> int:
        """Vertices that are here and were not handed over."""
        return len(self._known) - len(self._flying)

    def offer(self, own_id: bytes, parent: bytes | None) -> None:
        """Take over a vertex whose body is durable; one that is known already is taken once."""
        if own_id in self._known:
            return
        self._known.add(own_id)
        if parent is None or parent in self._flying:
            self._ready.append(own_id)
        elif parent in self._known:
            self._waiting.setdefault(parent, []).append(own_id)
        else:
            # Ordered, or not here: looked up when its turn comes.
            self._ready.append(own_id)
        self._wake.set()

    def settled(self, own_id: bytes) -> None:
        """A vertex was ordered: the engine has room, and its children may follow."""
        if self._flying.pop(own_id, None) is not None:
            self._known.discard(own_id)
        self._settled[own_id] = None
        if len(self._settled) > SETTLED_REMEMBERED:
            del self._settled[next(iter(self._settled))]
        self._release(own_id)
        self._wake.set()

    def stop(self) -> None:
        """End `run` at its next look."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Hand over until `stop`.

        Raises:
            DatabaseCorrupt: a body that was stored does not fit its header.
        """
        while not self._stopping:
            if not self._ready or sum(self._flying.values()) >= PENDING_RECORDS_MAX:
                self._wake.clear()
                if not self._ready or sum(self._flying.values()) >= PENDING_RECORDS_MAX:
                    await self._wake.wait()
                continue
            await self._hand_over(self._ready.popleft())

    async def _hand_over(self, own_id: bytes) -> None:
        loaded = await self._run(lambda: self._load(own_id))
        if loaded is None:
            self._known.discard(own_id)
            self._release(own_id)
            return
        if isinstance(loaded, bytes):
            # The parent is not ordered and was not handed over: it comes first, when its body does.
            if loaded in self._flying or loaded in self._settled:
                self._ready.append(own_id)
            else:
                self._waiting.setdefault(loaded, []).append(own_id)
            return
        try:
            items = await self._reopened.items(loaded.records)
            self._engine.submit(OrderedVertex(loaded.header, None, items), own_id)
        except Unavailable:
            self._ready.appendleft(own_id)
            await asyncio.sleep(RETRY_S)
            return
        self._flying[own_id] = max(1, len(loaded.records))
        self._release(own_id)

    def _load(self, own_id: bytes) -> _Loaded | bytes | None:
        """Read a vertex: its parent's id when that must come first, None when it was ordered or is not whole."""
        if self._ordered.order_of(own_id) is not None:
            return None
        stored = self._store.find(own_id)
        body = None if stored is None else self._store.body(stored.number)
        if stored is None or (body is None and decode_header(stored.header).count):
            return None
        header = decode_header(stored.header)
        parent = header.parent
        here = parent is None or parent in self._flying or self._ordered.order_of(parent)
        if parent is not None and not here:
            return parent
        return _Loaded(*read_body(stored, body or b""))

    def _release(self, own_id: bytes) -> None:
        """Make the children of a vertex ready that was handed over or ordered."""
        children = self._waiting.pop(own_id, ())
        self._ready.extend(children)
        if children:
            self._wake.set()
