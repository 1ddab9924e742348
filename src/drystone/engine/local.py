"""The engine `local`: one node decides the order, for one organisation, development and tests.

It takes sealed vertices, closes blocks over them and hands them to the executor: at once when that
is idle, else after `close_ms` or with `close_records`, so that under load a block is large and
costs one fsync. A few blocks are on their way at a time; what waits beyond is bounded. Within the
vertices that wait, parents go first; the executor never sorts again.

Order is decided here and becomes fact when the executor has committed. If the process dies in
between, the vertices are still in vertices.db and are handed over again at the next start.
Place in a record's life: between vertex and outcome. Source: design.md section 3.5.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from drystone import limits
from drystone.errors import Overloaded
from drystone.ledger.change import Block, OrderedVertex
from drystone.workers.messages import Executed

Execute: TypeAlias = Callable[[Block], Awaitable[Executed]]
"""Applies and commits one block; asked for in order of height, several at a time."""

RETRY_AFTER_MS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRules:
    """When a block closes, and what stands in each."""

    validators: bytes
    """Hash of the validators, 32 bytes."""
    protocol: int
    close_ms: int = limits.BLOCK_CLOSE_MS
    close_records: int = limits.BLOCK_RECORDS_CLOSE


class _Waiting(NamedTuple):
    """A vertex that waits for its block."""

    vertex: OrderedVertex
    since_s: float


class LocalEngine:
    """Orders vertices. Everything but `run` is called on its loop and never waits."""

    def __init__(
        self,
        *,
        execute: Execute,
        height: int,
        time_ms: int,
        rules: BlockRules,
        now_ms: Callable[[], int],
        on_executed: Callable[[Executed], None],
    ) -> None:
        """Go on behind the last committed block.

        Args:
            execute: the executor.
            height: of the last committed block.
            time_ms: its time; no later block's time is lower, whatever the clock says.
            rules: when a block closes, and what stands in it.
            now_ms: the wall clock.
            on_executed: told of every commit, in order.
        """
        self._execute = execute
        self._height = height
        self._time_ms = time_ms
        self._rules = rules
        self._now_ms = now_ms
        self._on_executed = on_executed
        self._waiting: dict[bytes, _Waiting] = {}
        self._flying: deque[asyncio.Task[Executed]] = deque()
        self._flying_ids: set[bytes] = set()
        self._records = 0
        self._bytes = 0
        self._wake = asyncio.Event()
        self._stopping = False

    @property
    def idle(self) -> bool:
        """Whether a vertex handed over now would be ordered at once."""
        return not self._waiting and not self._flying

    @property
    def pending_vertices(self) -> int:
        """Vertices that are in no committed block yet."""
        return len(self._waiting) + len(self._flying_ids)

    @property
    def blocks_in_flight(self) -> int:
        """Blocks that the executor has not committed yet."""
        return len(self._flying)

    def submit(self, vertex: OrderedVertex, vertex_id: bytes) -> None:
        """Take over a stored vertex; one that is pending already is taken once.

        Does not check whether it was ordered in an earlier life: who reads vertices.db at the start
        asks ledger.db first. A vertex that comes twice is refused by `apply`, and no harm is done.

        Raises:
            Overloaded: too many vertices wait.
        """
        if vertex_id in self._waiting or vertex_id in self._flying_ids:
            return
        if len(self._waiting) >= limits.PENDING_VERTICES_MAX:
            raise Overloaded("too many vertices wait for a block", retry_after_ms=RETRY_AFTER_MS)
        self._waiting[vertex_id] = _Waiting(vertex, asyncio.get_running_loop().time())
        self._records += vertex.header.count
        self._bytes += vertex.header.length
        self._wake.set()

    def stop(self) -> None:
        """Order what waits, let it be committed, and let `run` end."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Close blocks and report commits until `stop`.

        Raises:
            Broken: the executor failed; nothing is committed behind the last report.
        """
        try:
            while True:
                self._wake.clear()
                self._land()
                while self._is_time():
                    self._close()
                if self._stopping and self.idle:
                    return
                await self._rest()
        finally:
            for task in self._flying:
                if not task.cancel() and not task.cancelled():
                    task.exception()  # Behind the one that failed first; that one is reported.

    def _land(self) -> None:
        """Report the blocks that were committed, in order."""
        while self._flying and self._flying[0].done():
            executed = self._flying.popleft().result()
            self._flying_ids.difference_update(executed.vertices)
            self._on_executed(executed)

    def _is_time(self) -> bool:
        """Whether a block closes now."""
        if not self._waiting or len(self._flying) >= limits.BLOCKS_IN_FLIGHT_MAX:
            return False
        full = self._records >= self._rules.close_records or self._bytes >= limits.BLOCK_BYTES_CLOSE
        return not self._flying or full or self._stopping or self._left_s() <= 0

    def _left_s(self) -> float:
        """How long the oldest vertex that waits may still do so."""
        oldest = next(iter(self._waiting.values())).since_s
        return oldest + self._rules.close_ms / 1_000 - asyncio.get_running_loop().time()

    async def _rest(self) -> None:
        """Wait for a vertex, a commit, or the time at which what waits becomes a block."""
        lingers = self._waiting and len(self._flying) < limits.BLOCKS_IN_FLIGHT_MAX
        # Not `wait_for`: in Python 3.11 it forgets that it was cancelled when the event came at the same moment.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._left_s() if lingers else None):
                await self._wake.wait()

    def _close(self) -> None:
        """Make one block of what waits, and hand it to the executor."""
        chosen: dict[bytes, OrderedVertex] = {}
        records = size = 0
        for vertex_id in list(islice(self._waiting, limits.BLOCK_VERTICES_MAX)):
            for own_id in self._parents_first(vertex_id):
                if records >= self._rules.close_records or size >= limits.BLOCK_BYTES_CLOSE:
                    break
                if len(chosen) >= limits.BLOCK_VERTICES_MAX:
                    break
                vertex = chosen[own_id] = self._waiting.pop(own_id).vertex
                records += vertex.header.count
                size += vertex.header.length
            else:
                continue
            break
        self._records -= records
        self._bytes -= size
        self._flying_ids.update(chosen)
        self._height += 1
        self._time_ms = max(self._time_ms, self._now_ms())
        block = Block(
            self._height,
            self._time_ms,
            list(chosen.values()),
            self._rules.validators,
            self._rules.protocol,
        )
        task = asyncio.ensure_future(self._execute(block))
        task.add_done_callback(lambda _: self._wake.set())
        self._flying.append(task)

    def _parents_first(self, vertex_id: bytes) -> list[bytes]:
        """Give the waiting vertices that `vertex_id` builds on, each behind its own, itself last.

        Empty where it was chosen before. Links that lead out of what waits do not matter.
        """
        order: dict[bytes, None] = {}
        seen: set[bytes] = set()
        path = [vertex_id]
        while path:
            own_id = path[-1]
            waiting = self._waiting.get(own_id)
            if waiting is None or own_id in seen:
                path.pop()
                if waiting is not None:
                    order.setdefault(own_id)
                continue
            seen.add(own_id)
            header = waiting.vertex.header
            below = (header.parent, *header.links)
            path.extend(one for one in below if one is not None and one not in seen)
        return list(order)
