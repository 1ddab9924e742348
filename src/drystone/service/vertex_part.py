"""The part of the service that answers about vertices: one, many, tips, and the DAG they make.

`NodeService` inherits it. What a vertex is comes from `reads.py`, who built on it from `dag_service.py`.
Source: design.md sections 3.3 and 3.4.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from drystone.api.dag_values import DagCursor, DagPage, ForkInfo, FrontierInfo, PeerInfo
from drystone.api.values import VertexCursor, VertexInfo
from drystone.service.dag_service import DagService, RunInReader
from drystone.service.reads import Reads


class VertexPart:
    """Answers about vertices."""

    def __init__(self, *, reads: Reads, dag: DagService, run_in_reader: RunInReader) -> None:
        self._reads = reads
        self._dag = dag
        self._run = run_in_reader

    async def vertex(self, vertex_id: bytes) -> VertexInfo | None:
        """One vertex with its body."""
        found = await self._run(lambda: self._reads.vertex(vertex_id))
        return None if found is None else (await self._counted([found]))[0]

    async def vertices(
        self,
        author: tuple[str, str] | None,
        *,
        after: VertexCursor | None,
        limit: int,
        newest_first: bool = False,
    ) -> Sequence[VertexInfo]:
        """Vertices by place, without bodies."""
        found = await self._run(
            lambda: self._reads.vertices_by_place(
                author, after=after, limit=limit, newest_first=newest_first
            )
        )
        return await self._counted(found)

    async def tips(self) -> Sequence[VertexInfo]:
        """Vertices without children."""
        ids = await self._dag.tips()
        return await self._counted(await self._run(lambda: self._reads.headers(ids)))

    async def dag(self, *, after: DagCursor | None, limit: int) -> DagPage:
        """The newest part of the DAG, or what changed in it."""
        return await self._dag.page(after=after, limit=limit)

    def dag_changes(self, after: DagCursor | None) -> AsyncIterator[DagPage]:
        """What changes in the DAG, as it happens."""
        return self._dag.changes(after)

    async def frontier(self) -> Sequence[FrontierInfo]:
        """The last vertex of every author."""
        return await self._dag.frontier()

    async def forks(self) -> Sequence[ForkInfo]:
        """Places with two vertices, and the ledger's evidence."""
        return await self._dag.forks()

    async def peers(self) -> Sequence[PeerInfo]:
        """Whom this node exchanges vertices with."""
        return await self._dag.peers()

    async def _counted(self, found: Sequence[VertexInfo]) -> list[VertexInfo]:
        """Add who built on each."""
        counts = await self._dag.witness_counts([one.id for one in found])
        return [replace(one, witnesses=count) for one, count in zip(found, counts, strict=True)]
