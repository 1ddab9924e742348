"""The engine that orders inside one node: when blocks close, what goes first, what it never does."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from drystone import limits
from drystone.engine.local import BlockRules, LocalEngine
from drystone.errors import DiskFailed, Overloaded
from drystone.ledger.change import Block, OrderedVertex
from drystone.records.vertex import VertexHeader
from drystone.workers.messages import Executed


def id_of(number: int) -> bytes:
    return number.to_bytes(32)


def vertex(
    number: int, *, parent: int | None = None, links: tuple[int, ...] = (), count: int = 1
) -> tuple[OrderedVertex, bytes]:
    """A made-up vertex and its id: the engine looks at parent, links, count and length only."""
    header = VertexHeader(
        raw=number.to_bytes(4),
        alg=-8,
        kid=b"kidd",
        iss="ewz",
        sub="g-1",
        epoch=0,
        seq=number,
        parent=None if parent is None else id_of(parent),
        links=tuple(id_of(link) for link in links),
        time_ms=None,
        count=count,
        length=count * 100,
        root=bytes(32),
        signature=bytes(64),
        payload=b"",
        protected=b"",
    )
    return OrderedVertex(header, None, ()), id_of(number)


class Executor:
    """Stands for the executor: commits when told to, or at once."""

    def __init__(self, *, at_once: bool) -> None:
        self.blocks: list[Block] = []
        self.gates: list[asyncio.Future[None]] = []
        self.at_once = at_once
        self.began = asyncio.Event()

    async def execute(self, block: Block) -> Executed:
        self.blocks.append(block)
        gate = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        self.began.set()
        if not self.at_once:
            await gate
        ids = tuple(id_of(one.header.seq) for one in block.vertices)
        return Executed(block.height, block.time_ms, 0, 0, b"", b"", b"", ids, (), (), {})

    async def blocks_begun(self, count: int) -> None:
        while len(self.blocks) < count:
            self.began.clear()
            await self.began.wait()

    def sequences(self) -> list[list[int]]:
        return [[one.header.seq for one in block.vertices] for block in self.blocks]


class World:
    """An engine, its executor and everything it reported."""

    def __init__(
        self, *, at_once: bool = False, close_ms: int = 60_000, close_records: int = 10
    ) -> None:
        self.executor = Executor(at_once=at_once)
        self.reported: list[Executed] = []
        self.clock = iter([1_000, 900, 1_100, 1_050, *[2_000] * 10_000])
        self.engine = LocalEngine(
            execute=self.executor.execute,
            height=7,
            time_ms=950,
            rules=BlockRules(
                validators=b"v" * 32, protocol=1, close_ms=close_ms, close_records=close_records
            ),
            now_ms=lambda: next(self.clock),
            on_executed=self.reported.append,
        )

    def submit(self, *numbers: int, count: int = 1) -> None:
        for number in numbers:
            self.engine.submit(*vertex(number, count=count))


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(bounded())


def test_an_idle_engine_closes_at_once() -> None:
    async def scenario() -> None:
        world = World()
        task = asyncio.create_task(world.engine.run())
        assert world.engine.idle
        world.submit(1)
        assert not world.engine.idle
        await world.executor.blocks_begun(1)
        block = world.executor.blocks[0]
        assert (block.height, block.validators, block.protocol) == (8, b"v" * 32, 1)
        world.executor.gates[0].set_result(None)
        world.engine.stop()
        await task
        assert [one.height for one in world.reported] == [8]
        assert world.engine.idle

    run(scenario)


def test_an_engine_without_vertices_closes_no_block() -> None:
    async def scenario() -> None:
        world = World(at_once=True, close_ms=0)
        task = asyncio.create_task(world.engine.run())
        await asyncio.sleep(0)
        world.engine.stop()
        await task
        assert world.executor.blocks == []

    run(scenario)


def test_under_load_vertices_gather_until_a_block_is_full() -> None:
    async def scenario() -> None:
        world = World(close_records=10)
        task = asyncio.create_task(world.engine.run())
        world.submit(1)
        await world.executor.blocks_begun(1)
        world.submit(*range(2, 11))  # Nine records: they wait, the executor is busy.
        await asyncio.sleep(0)
        assert len(world.executor.blocks) == 1
        world.submit(11, 12)
        await world.executor.blocks_begun(2)
        assert world.executor.sequences() == [[1], list(range(2, 12))]
        assert world.engine.pending_vertices == 12
        for gate in world.executor.gates:
            gate.set_result(None)
        await world.executor.blocks_begun(3)
        world.executor.gates[2].set_result(None)
        world.engine.stop()
        await task
        assert world.executor.sequences()[2] == [12]

    run(scenario)


def test_under_load_a_block_closes_after_the_time() -> None:
    async def scenario() -> None:
        world = World(close_ms=5)
        task = asyncio.create_task(world.engine.run())
        world.submit(1)
        await world.executor.blocks_begun(1)
        world.submit(2)
        await world.executor.blocks_begun(2)  # The executor has answered nothing yet.
        for gate in world.executor.gates:
            gate.set_result(None)
        world.engine.stop()
        await task
        assert world.executor.sequences() == [[1], [2]]

    run(scenario)


def test_only_so_many_blocks_are_in_flight() -> None:
    async def scenario() -> None:
        world = World(close_records=1)
        task = asyncio.create_task(world.engine.run())
        world.submit(*range(10))
        await world.executor.blocks_begun(limits.BLOCKS_IN_FLIGHT_MAX)
        for _ in range(10):
            await asyncio.sleep(0)
        assert world.engine.blocks_in_flight == limits.BLOCKS_IN_FLIGHT_MAX
        assert len(world.executor.blocks) == limits.BLOCKS_IN_FLIGHT_MAX
        world.executor.at_once = True
        for gate in world.executor.gates:
            gate.set_result(None)
        world.engine.stop()
        await task
        assert world.executor.sequences() == [[number] for number in range(10)]

    run(scenario)


def test_a_block_takes_only_so_many_vertices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCK_VERTICES_MAX", 3)

    async def scenario() -> None:
        world = World(at_once=True, close_records=1_000)
        world.submit(*range(7), count=0)
        world.engine.stop()
        await world.engine.run()
        assert world.executor.sequences() == [[0, 1, 2], [3, 4, 5], [6]]

    run(scenario)


def test_a_block_closes_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES_CLOSE", 250)

    async def scenario() -> None:
        world = World(at_once=True, close_records=1_000)
        world.submit(*range(5))
        world.engine.stop()
        await world.engine.run()
        assert world.executor.sequences() == [[0, 1, 2], [3, 4]]

    run(scenario)


def test_block_time_never_falls_whatever_the_clock_says() -> None:
    async def scenario() -> None:
        world = World(at_once=True, close_records=1)
        world.submit(*range(5))
        world.engine.stop()
        await world.engine.run()
        assert [block.time_ms for block in world.executor.blocks] == [
            1_000, 1_000, 1_100, 1_100, 2_000,
        ]  # fmt: skip

    run(scenario)


def test_commits_are_reported_in_order() -> None:
    async def scenario() -> None:
        world = World(close_records=1)
        task = asyncio.create_task(world.engine.run())
        world.submit(1, 2)
        await world.executor.blocks_begun(2)
        world.executor.gates[1].set_result(None)
        for _ in range(10):
            await asyncio.sleep(0)
        assert world.reported == []
        world.executor.gates[0].set_result(None)
        world.engine.stop()
        await task
        assert [one.height for one in world.reported] == [8, 9]

    run(scenario)


def test_parents_go_first_where_they_wait_too() -> None:
    async def scenario() -> None:
        world = World(at_once=True, close_records=1_000)
        world.engine.submit(*vertex(4, parent=3, links=(2,)))
        world.engine.submit(*vertex(3, parent=99))
        world.engine.submit(*vertex(2, parent=1))
        world.engine.submit(*vertex(5, parent=4, links=(3, 2, 1)))
        world.engine.submit(*vertex(1))
        world.engine.stop()
        await world.engine.run()
        order = world.executor.sequences()[0]
        assert sorted(order) == [1, 2, 3, 4, 5]
        place = {number: at for at, number in enumerate(order)}
        assert place[3] < place[4]
        assert place[1] < place[2] < place[4] < place[5]

    run(scenario)


def test_a_long_chain_that_arrives_backwards_is_turned_round() -> None:
    async def scenario() -> None:
        world = World(at_once=True, close_records=1_000)
        for number in range(100, 0, -1):
            world.engine.submit(*vertex(number, parent=number - 1))
        world.engine.stop()
        await world.engine.run()
        assert world.executor.sequences() == [list(range(1, 101))]

    run(scenario)


def test_a_vertex_that_is_pending_is_taken_once() -> None:
    async def scenario() -> None:
        world = World()
        task = asyncio.create_task(world.engine.run())
        world.submit(1, 1)
        await world.executor.blocks_begun(1)
        world.submit(1)
        world.executor.gates[0].set_result(None)
        world.engine.stop()
        await task
        assert world.executor.sequences() == [[1]]

    run(scenario)


def test_too_many_waiting_vertices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PENDING_VERTICES_MAX", 2)

    async def scenario() -> None:
        world = World()
        world.submit(1, 2)
        with pytest.raises(Overloaded):
            world.submit(3)

    run(scenario)


def test_a_failing_executor_ends_the_engine() -> None:
    async def scenario() -> None:
        world = World(close_records=1)
        task = asyncio.create_task(world.engine.run())
        world.submit(1, 2, 3)
        await world.executor.blocks_begun(3)
        world.executor.gates[1].set_exception(DiskFailed("later"))
        world.executor.gates[0].set_exception(DiskFailed("first"))
        with pytest.raises(DiskFailed, match="first"):
            await task
        assert world.reported == []

    run(scenario)


@pytest.mark.parametrize("moments", range(6))
def test_cancelled_engine_ends_whatever_comes_at_the_same_moment(moments: int) -> None:
    # A part of the node has died just as a vertex came: an engine that went on would keep the process for ever.
    async def scenario() -> None:
        world = World()
        running = asyncio.create_task(world.engine.run())
        world.submit(1)
        await world.executor.blocks_begun(1)
        world.submit(2)
        for _ in range(10):
            await asyncio.sleep(0)
        world.submit(3)
        for _ in range(moments):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait({running}, timeout=5)
        assert running.cancelled()

    run(scenario)
