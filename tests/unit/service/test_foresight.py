"""What a node says before anything is final: marked as such, never resumed from, every wrong guess one event."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from drystone import limits
from drystone.api.values import BlockInfo, EventCursor, OutcomeInfo, ServiceEvent
from drystone.contracts.rules import Event
from drystone.gateway.answer import ALREADY, STORED, Answer
from drystone.gateway.provisional import News, ProvisionalFeed
from drystone.ledger.change import OrderedVertex, Outcome
from drystone.ledger.differences import Difference
from drystone.ledger.differences import told_of as told_from
from drystone.records.record import Record, Verified, stream_id
from drystone.records.vertex import vertex_id
from drystone.service.events import EventHub
from drystone.service.foresight import Foresight, told_of
from drystone.service.node_service import NodeService
from drystone.service.provisional import ProvisionalService
from drystone.service.reads import Reads
from drystone.sim.chain import Chain, make_chain, write_home
from drystone.storage.ledger import LedgerDB
from drystone.storage.vertices import VertexDB
from drystone.workers import processes
from drystone.workers.executor import Executor
from drystone.workers.executor_client import InProcessExecutor

REFUSED = Outcome(0, 1, "shop.too-few", 7, ())
TAKEN = Outcome(0, 1, "accepted", 9, (Event("shop", "taken", {"n": 3}),))
OWN_ID = b"\x01" * 32


# --- events ---------------------------------------------------------------------------------------


async def no_block(height: int) -> tuple[BlockInfo, list[OutcomeInfo]] | None:
    del height
    return None


async def listen(hub: EventHub, count: int, *, provisional: bool = True) -> list[ServiceEvent]:
    found: list[ServiceEvent] = []
    async for event in hub.subscribe(None, provisional=provisional):
        found.append(event)
        if len(found) == count:
            break
    return found


def news(count: int = 1) -> News:
    told = [(OWN_ID, told_from(3, [TAKEN, REFUSED._replace(record=2)]))] * count
    return News(told, ())


def test_what_is_told_becomes_events_that_nobody_may_resume_behind() -> None:
    async def scenario() -> None:
        hub = EventHub(height=4, read_block=no_block)
        listening = asyncio.create_task(listen(hub, 2))
        await asyncio.sleep(0)
        hub.foresee(told_of(news()))
        event, refusal = await listening
        assert (event.kind, event.data["contract"], event.data["name"]) == (
            "event",
            "shop",
            "taken",
        )
        assert (refusal.kind, refusal.data["code"]) == ("outcome", "shop.too-few")
        assert {(one.final, one.resumes) for one in (event, refusal)} == {(False, False)}
        assert event.data["vertex"] == OWN_ID.hex()

    asyncio.run(scenario())


@pytest.mark.parametrize("final", [True, False])
def test_difference_is_one_event_that_names_record_before_and_after(final: bool) -> None:
    one = Difference(OWN_ID, 1, TAKEN, REFUSED, final)
    ((kind, data, is_final),) = told_of(News((), [one]))
    assert (kind, is_final) == ("event", final)
    assert (data["contract"], data["name"], data["record"]) == ("provisional", "changed", 1)
    said: Any = data["data"]
    assert said["before"]["code"] == "accepted"
    assert said["before"]["events"] == [{"contract": "shop", "name": "taken", "data": {"n": 3}}]
    assert said["after"] == {"code": "shop.too-few", "steps": 7, "events": []}


def test_who_listens_to_what_is_final_hears_nothing_provisional() -> None:
    async def scenario() -> None:
        hub = EventHub(height=4, read_block=no_block)
        listening = asyncio.create_task(listen(hub, 1, provisional=False))
        await asyncio.sleep(0)
        hub.foresee(told_of(news()))
        await asyncio.sleep(0)
        hub.stop()
        assert await listening == []

    asyncio.run(scenario())


def test_slow_listener_is_told_how_much_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PROVISIONAL_EVENTS_MAX", 4)

    async def scenario() -> None:
        hub = EventHub(height=4, read_block=no_block)
        listening = asyncio.create_task(listen(hub, 5))
        await asyncio.sleep(0)
        hub.foresee(told_of(news(5)))
        missed, *rest = await listening
        assert (missed.data["name"], missed.data["data"]) == ("missed", {"events": 6})
        assert len(rest) == 4

    asyncio.run(scenario())


# --- answers and records --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chain() -> Chain:
    return make_chain("foresight", blocks=6, devices=3, records=8)


class Stage:
    """Databases of a home, a real executor, a feed, and the service over them; nothing is ordered yet."""

    def __init__(self, chain: Chain, home: Path) -> None:
        write_home(chain, home, height=0)
        self.chain = chain
        self.vertices = {
            vertex_id(one.header, chain.ledger): one for b in chain.blocks for one in b.vertices
        }
        self.executor = InProcessExecutor(Executor.open(home))
        self.ledger = LedgerDB.open(home / "ledger.db", ledger=chain.ledger, read_only=True)
        self.store = VertexDB.open(home / "vertices.db", chain.ledger, read_only=True)
        self.reader = processes.Worker("reads")
        self.reads = Reads(self.ledger, self.store)
        self.feed = ProvisionalFeed(executor=self.executor, vertices=self, clock_ms=lambda: 0)
        self.news = asyncio.Event()
        self.feed.tell(lambda _: self.news.set())
        self.foresight = Foresight(feed=self.feed, reads=self.reads, run_in_reader=self.reader.run)
        self.hub = EventHub(height=0, read_block=no_block)
        node = object.__new__(NodeService)
        node.__dict__.update(
            _reads=self.reads,
            _run=self.reader.run,
            _dag=self,
            _foresight=self.foresight,
            _hub=self.hub,
        )
        self.service = ProvisionalService(node, executor=self.executor)

    async def vertex(self, vertex_id: bytes) -> OrderedVertex | None:
        return self.vertices.get(vertex_id)

    async def until_told(self) -> None:
        """Wait until everything that is pending is in the view."""
        while self.feed.waiting.queued:
            self.news.clear()
            await self.news.wait()

    async def witnesses(self, vertex_id: bytes) -> int:
        return 2 if vertex_id in self.vertices else 0

    def close(self) -> None:
        self.reader.close()
        self.ledger.close()
        self.store.close()

    def first(self) -> tuple[bytes, OrderedVertex, Record]:
        own_id, vertex = list(self.vertices.items())[1]
        item = vertex.records[0]
        record = item.record if isinstance(item, Verified) else item
        assert isinstance(record, Record)
        return own_id, vertex, record


def play(chain: Chain, home: Path, scenario: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        stage = Stage(chain, home)
        feeding = asyncio.create_task(stage.feed.run())
        for own_id, vertex in stage.vertices.items():
            stage.feed.submit(vertex, own_id)
        try:
            await asyncio.wait_for(scenario(stage), 30)
        finally:
            stage.feed.stop()
            await feeding
            stage.close()
            await stage.executor.close()

    asyncio.run(run())


def test_answer_with_a_place_gets_its_provisional_outcome(chain: Chain, tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        _, vertex, record = stage.first()
        header = vertex.header
        place = (header.iss, header.sub, header.epoch, header.seq, 0)
        known = Answer(STORED, record_id=record.id, place=place)
        copy = known._replace(code=ALREADY)
        committed = known._replace(outcome="accepted", height=3)
        elsewhere = known._replace(place=("ewz", "nobody", 0, 0, 0))
        refused = Answer("signature-invalid")
        answers = await stage.foresight.complete([known, copy, committed, elsewhere, refused])
        assert [(one.outcome, one.finality) for one in answers] == [
            ("accepted", "provisional"),
            ("already", "provisional"),
            ("accepted", "final"),
            (None, None),
            (None, None),
        ]

    play(chain, tmp_path / "home", scenario)


def test_pending_record_is_shown_without_height_until_it_is_final(
    chain: Chain, tmp_path: Path
) -> None:
    async def scenario(stage: Stage) -> None:
        own_id, vertex, record = stage.first()
        stream = stream_id(record)
        await stage.until_told()
        found = await stage.service.record(stream, epoch=record.epoch, seq=record.seq)
        assert found is not None
        assert (found.height, found.time_ms, found.log_index) == (None, None, None)
        assert (found.raw, found.vertex, found.outcome) == (record.raw, own_id, "accepted")
        assert (found.place.seq, found.place.index) == (vertex.header.seq, 0)
        assert found.witnesses == 2
        assert await stage.service.record(stream, epoch=9, seq=9) is None
        for block in chain.blocks:
            stage.feed.executed(await stage.executor.execute(block))
        found = await stage.service.record(stream, epoch=record.epoch, seq=record.seq)
        assert found is not None
        assert found.height == 2

    play(chain, tmp_path / "home", scenario)


def test_streams_and_members_say_whether_the_final_state_says_the_same(
    chain: Chain, tmp_path: Path
) -> None:
    async def scenario(stage: Stage) -> None:
        device = chain.devices[0]
        name = (device.iss, device.sub)
        await stage.until_told()
        foreseen = await stage.service.stream(name)
        assert foreseen is not None
        assert not foreseen.final
        member = await stage.service.member(name)
        assert member is not None
        assert not member.final, "enrolled in a vertex that is not ordered yet"
        listed = await stage.service.streams(None, after=None, limit=100)
        assert foreseen in listed
        assert await stage.service.streams(None, after=listed[0].stream, limit=100) == listed[1:]
        for block in chain.blocks:
            stage.feed.executed(await stage.executor.execute(block))
        final = await stage.service.stream(name)
        assert final is not None
        assert (final.state, final.final) == (foreseen.state, True)
        member = await stage.service.member(name)
        assert member is not None
        assert member.final
        assert await stage.service.stream(("ewz", "nobody")) is None
        assert await stage.service.member(("ewz", "nobody")) is None

    play(chain, tmp_path / "home", scenario)


def test_events_of_the_view_are_final_and_provisional(chain: Chain, tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        events = aiter(stage.service.events(EventCursor(1, 0)))
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        stage.hub.foresee(told_of(news()))
        assert not (await waiting).final

    play(chain, tmp_path / "home", scenario)
