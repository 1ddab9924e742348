"""What feeds the provisional view: order of arrival, again where asked, outcomes for whoever waits."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from drystone.errors import Overloaded
from drystone.gateway.provisional import FoundPending, News, ProvisionalFeed
from drystone.ledger.change import OrderedVertex
from drystone.ledger.differences import Difference
from drystone.records.record import Record, Verified
from drystone.records.vertex import vertex_id
from drystone.sim.chain import Chain, make_chain, write_home
from drystone.storage.ledger import LedgerDB
from drystone.storage.vertices import VertexDB
from drystone.workers.checked import position_of
from drystone.workers.executor import Executor
from drystone.workers.executor_client import InProcessExecutor


@pytest.fixture(scope="module")
def chain() -> Chain:
    return make_chain("feed", blocks=10, devices=3, records=10)


class Stage:
    """A feed over a real executor; vertices that are `withheld` have no body here yet."""

    def __init__(self, chain: Chain, home: Path) -> None:
        self.chain = chain
        self.vertices = {
            vertex_id(one.header, chain.ledger): one for b in chain.blocks for one in b.vertices
        }
        self.withheld: set[bytes] = set()
        self.busy = 0
        self.executor = InProcessExecutor(Executor.open(home))
        self.feed = ProvisionalFeed(executor=self.executor, vertices=self, clock_ms=lambda: 0)
        self.told: dict[bytes, object] = {}
        self.differences: list[Difference] = []
        self.news = asyncio.Event()
        self.feed.tell(self.hear)

    async def vertex(self, vertex_id: bytes) -> OrderedVertex | None:
        if self.busy:
            self.busy -= 1
            raise Overloaded("the verifiers are busy", retry_after_ms=1)
        return None if vertex_id in self.withheld else self.vertices[vertex_id]

    def hear(self, news: News) -> None:
        self.told.update(news.told)
        self.differences += news.differences
        self.news.set()

    async def until_told(self, count: int) -> None:
        while len(self.told) < count:
            self.news.clear()
            await self.news.wait()

    async def execute(self, height: int) -> None:
        self.feed.executed(await self.executor.execute(self.chain.blocks[height - 1]))


def play(chain: Chain, home: Path, scenario: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        write_home(chain, home, height=0)
        stage = Stage(chain, home)
        feeding = asyncio.create_task(stage.feed.run())
        try:
            await asyncio.wait_for(scenario(stage), 30)
        finally:
            stage.feed.stop()
            await feeding
            await stage.executor.close()

    asyncio.run(run())


def test_everything_here_is_told_of_and_final_it_is_forgotten(chain: Chain, tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        for own_id, vertex in stage.vertices.items():
            stage.feed.submit(vertex, own_id)
        await stage.until_told(len(stage.vertices))
        assert stage.feed.waiting.vertices == len(stage.vertices)
        for height in range(1, len(chain.blocks) + 1):
            await stage.execute(height)
        assert stage.differences == []
        assert not any(stage.feed.is_pending(own_id) for own_id in stage.vertices)

    play(chain, tmp_path / "home", scenario)


def test_record_is_found_by_its_position_until_it_is_final(chain: Chain, tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        (own_id, vertex), *_ = stage.vertices.items()
        item = vertex.records[0]
        record = item.record if isinstance(item, Verified) else item
        assert isinstance(record, Record)
        assert stage.feed.find(position_of(record)) is None
        stage.feed.submit(vertex, own_id)
        assert stage.feed.find(position_of(record)) == FoundPending(own_id, 0)
        await stage.until_told(1)
        outcome = await stage.feed.outcome(own_id, 0)
        assert outcome is not None
        assert outcome.code == "accepted"
        assert await stage.feed.outcome(own_id, len(vertex.records)) is None
        await stage.execute(1)
        assert stage.feed.find(position_of(record)) is None
        assert await stage.feed.outcome(own_id, 0) is None

    play(chain, tmp_path / "home", scenario)


def test_whoever_waits_for_a_place_is_answered_when_its_vertex_was_applied(
    chain: Chain, tmp_path: Path
) -> None:
    async def scenario(stage: Stage) -> None:
        (own_id, vertex), *_ = stage.vertices.items()
        header = vertex.header
        place = (header.iss, header.sub, header.epoch, header.seq)
        assert await stage.feed.outcome_at(place, 0, timeout_s=0.01) is None, "never heard of"
        stage.feed.submit(vertex, own_id)
        outcome = await stage.feed.outcome_at(place, 0, timeout_s=30)
        assert outcome is not None
        assert outcome.code == "accepted"

    play(chain, tmp_path / "home", scenario)


def test_vertex_whose_predecessor_comes_later_is_given_again(chain: Chain, tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        ids = list(stage.vertices)
        for own_id in reversed(ids):
            stage.feed.arrived(own_id)
        await stage.until_told(len(ids))
        assert stage.feed.waiting.queued == 0

    play(chain, tmp_path / "home", scenario)


def test_vertex_whose_body_is_still_to_come_is_given_when_it_arrives(
    chain: Chain, tmp_path: Path
) -> None:
    async def scenario(stage: Stage) -> None:
        first, second, *_ = stage.vertices
        stage.withheld.add(second)
        stage.busy = 2
        stage.feed.arrived(first)
        stage.feed.arrived(second)
        await stage.until_told(1)
        assert second not in stage.told
        stage.withheld.clear()
        stage.feed.arrived(second)
        await stage.until_told(2)

    play(chain, tmp_path / "home", scenario)


def test_what_an_earlier_life_left_unordered_is_taken_up(chain: Chain, tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        home = tmp_path / "home"
        store = VertexDB.open(home / "vertices.db", chain.ledger)
        ledger = LedgerDB.open(home / "ledger.db", ledger=chain.ledger, read_only=True)
        await stage.execute(1)
        count = stage.feed.adopt(store, lambda own_id: ledger.order_of(own_id) is not None)
        assert count == len(stage.vertices) - len(chain.blocks[0].vertices)
        await stage.until_told(count)
        store.close()
        ledger.close()

    play(chain, tmp_path / "home", scenario)
