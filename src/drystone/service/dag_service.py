"""The DAG as the API sees it on a running process: the window kept fresh, its changes as they happen.

Every question first takes in what has come, in short steps, so that other reads go between them. Who follows changes
looks twice a second; followers share one look. Nothing has to be wired to sealing or sync: vertices.db tells.
Source: design.md section 7; issue 5 items 6 and 8.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

from drystone.api.dag_values import DagCursor, DagPage, ForkInfo, FrontierInfo, PeerInfo
from drystone.gateway.sync.peers import PeerStatus
from drystone.limits import DAG_ROWS_MAX
from drystone.service.dag_reads import DagReads

Result = TypeVar("Result")

LOOK_S: Final = 0.5
"""Pause between two looks for changes."""


class RunInReader(Protocol):
    """Runs a blocking read in the one thread that reads."""

    def __call__(self, function: Callable[[], Result]) -> Awaitable[Result]:
        """Give the function's result, or raise what it raises."""
        ...


def no_peers() -> Sequence[PeerInfo]:
    """Nobody: sync is off."""
    return ()


def peer_info(status: PeerStatus) -> PeerInfo:
    """Give a peer of sync as the API shows it."""
    degraded = status.last_fault if status.degraded_ms else None
    return PeerInfo(
        iss=status.name[0],
        sub=status.name[1],
        role=status.role,
        connected=status.linked,
        uplink=status.uplink,
        behind=status.authors_behind,
        height=status.height,
        degraded=degraded,
        degraded_ms=status.degraded_ms,
        faults=dict(status.faults),
        messages_in=status.messages_in,
        messages_out=status.messages_out,
        bytes_in=status.bytes_in,
        bytes_out=status.bytes_out,
    )


class DagService:
    """Answers what is asked of the DAG; everything is called on the loop."""

    def __init__(
        self,
        reads: DagReads,
        *,
        run_in_reader: RunInReader,
        peers: Callable[[], Sequence[PeerInfo]] = no_peers,
    ) -> None:
        """Read nothing yet; `peers` gives the peers of sync as they stand (`peer_info` of each status)."""
        self._reads = reads
        self._run = run_in_reader
        self._peers = peers
        self._looked_s = float("-inf")
        self._turn = asyncio.Lock()
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End everybody's stream of changes."""
        self._stopped.set()

    async def page(self, *, after: DagCursor | None, limit: int) -> DagPage:
        """Give what is new or changed behind a cursor."""
        await self._look()
        return await self._run(lambda: self._reads.page(after, limit))

    async def changes(self, after: DagCursor | None) -> AsyncIterator[DagPage]:
        """Yield pages that are not empty, behind a cursor, until the node stops."""
        cursor = after
        while not self._stopped.is_set():
            await self._look(rarely=True)
            page = await self._run(partial(self._reads.page, cursor, DAG_ROWS_MAX))
            cursor = page.cursor
            if page.vertices:
                yield page
            if not page.more:
                await self._rest()

    async def tips(self) -> list[bytes]:
        """Give the ids of the vertices that none builds on."""
        await self._look()
        return await self._run(self._reads.tips)

    async def frontier(self) -> Sequence[FrontierInfo]:
        """Give every author's last vertex."""
        await self._look()
        return await self._run(self._reads.frontier)

    async def forks(self) -> Sequence[ForkInfo]:
        """Give the forks that are known."""
        await self._look()
        return await self._run(self._reads.forks)

    async def peers(self) -> Sequence[PeerInfo]:
        """Give the peers by name."""
        return sorted(self._peers(), key=lambda one: (one.iss, one.sub))

    async def witnesses(self, vertex_id: bytes) -> int:
        """Give how many other authors built on a vertex."""
        await self._look()
        return await self._run(lambda: self._reads.witnesses(vertex_id))

    async def witness_counts(self, vertex_ids: Sequence[bytes]) -> list[int]:
        """Give the same for several."""
        await self._look()
        return await self._run(lambda: [self._reads.witnesses(one) for one in vertex_ids])

    async def heights(self, vertex_ids: Sequence[bytes]) -> list[int | None]:
        """Give the blocks that order vertices; None for those that wait."""
        return await self._run(partial(self._reads.heights, vertex_ids))

    async def _look(self, *, rarely: bool = False) -> None:
        """Take in what has come; with `rarely` only if nobody has just done so."""
        now_s = asyncio.get_running_loop().time()
        if rarely and now_s - self._looked_s < LOOK_S / 2:
            return
        async with self._turn:
            while not await self._run(self._reads.step):
                pass
            self._looked_s = asyncio.get_running_loop().time()

    async def _rest(self) -> None:
        # Not `wait_for`: in Python 3.11 it forgets that it was cancelled when the event came at the same moment.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._stopped.wait()
