"""Others' vertices go to the engine parents first, once, and no more at a time than it takes."""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from drystone.errors import DatabaseCorrupt, Overloaded
from drystone.formats import cose
from drystone.gateway import feeder as feeding
from drystone.gateway.feeder import Feeder
from drystone.ledger.change import OrderedVertex
from drystone.records.key import SecretKey
from drystone.records.vertex import seal_vertex
from drystone.storage.vertices import VertexDB

LEDGER = bytes(range(32))
GATEWAY = SecretKey.generate(cose.ALG_EDDSA, b"g" * 32)
Test = Callable[["World"], Awaitable[None]]


class World:
    """A store with a chain of vertices, an engine in memory, and what is ordered."""

    def __init__(self, path: Path) -> None:
        self.store = VertexDB.create(path / "vertices.db", LEDGER)
        self.ordered: set[bytes] = set()
        self.submitted: list[bytes] = []
        self.refusals = 0
        self.idle = True
        self.arrived = asyncio.Event()
        self.bodies: list[bytes] = []
        self.feeder = Feeder(
            store=self.store,
            ordered=self,
            reopened=self,  # type: ignore[arg-type]
            engine=self,
            run_in_reader=self.run,
        )
        self.chain: list[tuple[bytes, bytes]] = []

    async def run(self, function: Callable[[], Any]) -> Any:
        await asyncio.sleep(0)
        return function()

    def order_of(self, own_id: bytes, /) -> object | None:
        return True if own_id in self.ordered else None

    async def items(self, body: list[bytes]) -> list[bytes]:
        return body

    def submit(self, vertex: OrderedVertex, vertex_id: bytes) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Overloaded("full")
        assert vertex.author_key is None
        self.submitted.append(vertex_id)
        self.arrived.set()

    def grow(self, *, records: int = 1) -> bytes:
        """Seal the next vertex of the chain; it is stored by `keep`."""
        seq = len(self.chain)
        body = [bytes([0x42, seq % 256, number % 256]) for number in range(records)]
        raw, own_id = seal_vertex(
            secret=GATEWAY, iss="ewz", sub="gw", epoch=0, seq=seq,
            parent=self.chain[-1][1] if self.chain else None, links=(), time_ms=None,
            records=body, entries=[sha256(one).digest() for one in body], ledger=LEDGER,
        )  # fmt: skip
        self.chain.append((raw, own_id))
        self.bodies.append(b"".join(body))
        return own_id

    def keep(self, *, body: bool = True, only: int | None = None) -> None:
        """Store what was sealed, with or without bodies."""
        for number, (raw, _) in enumerate(self.chain):
            if only is None or number == only:
                self.store.keep([(raw, self.bodies[number] if body else None)])

    def offer(self, number: int) -> None:
        parent = self.chain[number - 1][1] if number else None
        self.feeder.offer(self.chain[number][1], parent)

    def ids(self, *numbers: int) -> list[bytes]:
        return [self.chain[number][1] for number in numbers]

    def settle(self, *numbers: int) -> None:
        for own_id in self.ids(*numbers):
            self.ordered.add(own_id)
            self.feeder.settled(own_id)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.submitted) < count:
                self.arrived.clear()
                await self.arrived.wait()


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Test], None]:
    def in_world(test: Test) -> None:
        async def live() -> None:
            world = World(tmp_path)
            feeding_task = asyncio.create_task(world.feeder.run())
            try:
                await test(world)
            finally:
                world.feeder.stop()
                try:
                    await feeding_task
                finally:
                    world.store.close()

        asyncio.run(live())

    return in_world


def test_a_chain_goes_over_in_order_whatever_order_its_bodies_come_in(
    run: Callable[[Test], None],
) -> None:
    async def test(world: World) -> None:
        for _ in range(5):
            world.grow()
        world.keep()
        for number in (3, 1, 4, 0, 2):
            world.offer(number)
        await world.until(5)
        assert world.submitted == world.ids(0, 1, 2, 3, 4)

    run(test)


def test_a_vertex_whose_parent_has_no_body_waits_for_it(run: Callable[[Test], None]) -> None:
    async def test(world: World) -> None:
        world.grow()
        world.grow()
        world.keep(body=False, only=0)
        world.keep(only=1)
        world.offer(1)
        for _ in range(20):
            await asyncio.sleep(0)
        assert world.submitted == []
        assert world.feeder.backlog == 1
        world.keep(only=0)
        world.offer(0)
        await world.until(2)
        assert world.submitted == world.ids(0, 1)

    run(test)


def test_what_is_ordered_or_known_is_not_handed_over_again(run: Callable[[Test], None]) -> None:
    async def test(world: World) -> None:
        world.grow()
        world.grow()
        world.keep()
        world.ordered.update(world.ids(0))
        world.offer(0)
        world.offer(1)
        world.offer(1)
        await world.until(1)
        assert world.submitted == world.ids(1)
        world.settle(1)
        assert world.feeder.backlog == 0

    run(test)


def test_a_child_follows_a_parent_that_is_ordered_in_between(run: Callable[[Test], None]) -> None:
    async def test(world: World) -> None:
        for _ in range(3):
            world.grow()
        world.keep()
        world.offer(0)
        await world.until(1)
        world.offer(2)
        world.settle(0)
        world.offer(1)
        await world.until(3)
        assert world.submitted == world.ids(0, 1, 2)

    run(test)


def test_no_more_is_handed_over_than_the_engine_may_hold(
    run: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "PENDING_RECORDS_MAX", 5)

    async def test(world: World) -> None:
        for _ in range(6):
            world.grow(records=3)
        world.keep()
        for number in range(6):
            world.offer(number)
        await world.until(2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(world.submitted) == 2
        world.settle(0, 1)
        await world.until(4)
        assert world.feeder.backlog == 2

    run(test)


def test_an_engine_that_is_full_gets_the_same_vertex_later(
    run: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "RETRY_S", 0)

    async def test(world: World) -> None:
        world.grow()
        world.grow()
        world.keep()
        world.refusals = 3
        world.offer(0)
        world.offer(1)
        await world.until(2)
        assert world.submitted == world.ids(0, 1)

    run(test)


def test_a_body_that_is_not_what_was_stored_stops_the_node(tmp_path: Path) -> None:
    async def live() -> None:
        world = World(tmp_path)
        world.grow(records=2)
        world.bodies[0] = world.bodies[0][::-1]
        world.keep()
        world.offer(0)
        with pytest.raises(DatabaseCorrupt):
            await world.feeder.run()
        world.store.close()

    asyncio.run(live())
