"""The DAG service on a loop: one look for all who follow, an end when the process stops, a mirror as the order."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "api"))

from dag_stage import make_dag

from drystone.api.dag_values import DagPage
from drystone.gateway.sync.peers import PeerStatus
from drystone.records.dag import Author
from drystone.records.vertex import vertex_id
from drystone.service import dag_service
from drystone.service.dag_reads import DagReads, MirrorOrder
from drystone.service.dag_service import DagService, peer_info
from drystone.storage.vertices import VertexDB

LEDGER = bytes(range(32))
Result = TypeVar("Result")


class Mirror:
    """A gateway's mirror that knows of some vertices where they were ordered."""

    def __init__(self) -> None:
        self.heights: dict[bytes, int] = {}
        self.last = type("Last", (), {"height": 0})()

    def get(self, key: bytes) -> bytes | None:
        return None

    def order_of(self, vertex: bytes, /) -> object | None:
        height = self.heights.get(vertex)
        return None if height is None else type("Order", (), {"height": height})()


async def at_once(function: Callable[[], Result]) -> Result:
    await asyncio.sleep(0)
    return function()


def run_at_once(function: Callable[[], Result]) -> Awaitable[Result]:
    return at_once(function)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VertexDB]:
    made = VertexDB.create(tmp_path / "vertices.db", LEDGER)
    yield made
    made.close()


def service_of(store: VertexDB, mirror: Mirror) -> DagService:
    reads = DagReads(store, MirrorOrder(mirror), life=1)  # type: ignore[arg-type]
    return DagService(reads, run_in_reader=run_at_once)


def test_those_who_follow_hear_what_arrives_and_end_with_the_process(
    store: VertexDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dag_service, "LOOK_S", 0.005)
    told = make_dag(LEDGER, vertices=30, forks=0)

    async def play() -> list[list[DagPage]]:
        service = service_of(store, Mirror())
        heard: list[list[DagPage]] = [[], []]

        async def follow(at: int) -> None:
            async for page in service.changes(None):
                heard[at].append(page)
                if sum(len(one.vertices) for one in heard[at]) >= len(told):
                    service.stop()

        async def write() -> None:
            for one in told:
                store.seal(header=one.header.raw, body=b"")
                await asyncio.sleep(0.001)

        await asyncio.wait_for(asyncio.gather(follow(0), follow(1), write()), 20)
        return heard

    for pages in asyncio.run(play()):
        last = {row.id: row for page in pages for row in page.vertices}
        assert set(last) <= {vertex_id(one.header, LEDGER) for one in told}
        assert len(last) > 1


def test_mirror_knows_the_order_of_some_and_asks_for_each(store: VertexDB) -> None:
    told = make_dag(LEDGER, vertices=200, forks=1)
    for one in told:
        store.seal(header=one.header.raw, body=b"")
    ids = [vertex_id(one.header, LEDGER) for one in told]

    async def play() -> None:
        mirror = Mirror()
        service = service_of(store, mirror)
        first = await service.page(after=None, limit=1_000)
        assert {row.height for row in first.vertices} == {None}
        mirror.heights = {ids[3]: 5, ids[150]: 6}
        mirror.last.height = 6  # type: ignore[attr-defined]
        page = await service.page(after=first.cursor, limit=1_000)
        assert {row.id: row.height for row in page.vertices} == mirror.heights
        assert await service.heights(ids[2:5]) == [None, 5, None]
        (fork,) = await service.forks()
        assert fork.held
        assert not fork.convicted
        counts = await service.witness_counts(ids)
        assert counts == [await service.witnesses(one) for one in ids]

    asyncio.run(play())


def test_peer_is_shown_as_sync_counts_it() -> None:
    status = PeerStatus(
        name=Author("ewz", "gate-1"),
        role="gateway",
        linked=True,
        uplink=False,
        authors_behind=2,
        height=7,
        faults={"bomb": 1},
        last_fault="bomb",
        degraded_ms=0,
        messages_in=1,
        messages_out=2,
        bytes_in=3,
        bytes_out=4,
    )
    assert peer_info(status).degraded is None
    assert peer_info(status._replace(degraded_ms=100)).degraded == "bomb"
    assert (peer_info(status).behind, peer_info(status).faults) == (2, {"bomb": 1})
