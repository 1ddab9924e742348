"""A simulated machine: a disk that may fail, a clock that may be wrong, and on it one life of a process after another.

The parts of a life are the real ones: VertexDB on a power-loss disk, Intake, Sealer, Recovery, on the node LocalEngine
and Executor. Only what would start a thread or a process is replaced: records are checked inline, blocking work runs at
once. A life ends by a stop, by a kill, by power loss, or by the disk; what the next one finds is what was durable.

Place in a record's life: all of it up to the commit. Source: `node/wiring.py`, of which this is the twin.
"""

import asyncio
import random
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from drystone.engine.local import BlockRules, LocalEngine
from drystone.errors import Broken, DiskFailed, DiskFull, Unavailable
from drystone.gateway.answer import ALREADY, STORED, Answer
from drystone.gateway.feeder import Feeder
from drystone.gateway.intake import Bounds, FoundPlace, Intake
from drystone.gateway.positions import Positions
from drystone.gateway.recover import Recovery, find_author
from drystone.gateway.reopen import Reopened
from drystone.gateway.seal import Pace, Sealer
from drystone.gateway.senders import Senders
from drystone.gateway.stale import StaleView
from drystone.ledger.change import Block, OrderedVertex
from drystone.ledger.genesis import PROTOCOL
from drystone.node.commits import Commits, remember, settle
from drystone.records.vertex import VertexHeader, decode_header
from drystone.sim.net_exchange import Exchange, Plan
from drystone.sim.net_ground import ISS, LEDGER, VERTICES, Ground
from drystone.sim.net_links import Network
from drystone.sim.net_time import now_ms
from drystone.sim.power_loss import Disk
from drystone.storage.ledger import LedgerDB
from drystone.storage.vertices import StoredVertex, VertexDB
from drystone.workers.checked import Checked
from drystone.workers.executor import Executor
from drystone.workers.messages import Executed
from drystone.workers.verifier import Checker, Rows, SenderName

LINGER_MS: Final = 1_500
EXECUTE_S: Final = 0.004
DISK_FULL_S: Final = 1.0
FSYNC_S: Final = 0.002

Result = TypeVar("Result")
Say = Callable[[str], None]


class InlineChecker:
    """The verifiers' twin without a process: checks at once, in the caller's turn."""

    def __init__(self, senders: Senders, ledger: bytes) -> None:
        self._senders = senders
        self._checker = Checker(ledger)
        self.batches = 0

    async def check(self, sequence: bytes) -> Checked:
        """Check every record of a CBOR sequence."""
        return self._checker.check(sequence, self._ask)

    async def forget(self, members: Sequence[tuple[str, str]] | None) -> None:
        """Judge these members by newer rows from now on; None stands for everybody."""
        self._checker.forget(self._senders.generation, members)

    async def close(self) -> None:
        """Nothing to end."""

    def _ask(self, names: list[SenderName]) -> tuple[int, Rows]:
        return self._senders.rows(names)


class Ordering:
    """What the sealer hands its vertices to: the engine, on the node, and whoever tells the peers."""

    def __init__(self, engine: LocalEngine | None, tell: Callable[[bytes], None]) -> None:
        self._engine = engine
        self._tell = tell

    @property
    def idle(self) -> bool:
        """Whether a vertex handed over now would be ordered at once; a gateway orders nothing."""
        return self._engine is None or self._engine.idle

    def submit(self, vertex: OrderedVertex, vertex_id: bytes) -> None:
        """Take a stored vertex over."""
        if self._engine is not None:
            self._engine.submit(vertex, vertex_id)
        self._tell(vertex_id)


class Room:
    """Disk space, as intake asks for it."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def check(self) -> None:
        """Refuse what would not fit. Raises: DiskFull."""
        most = self._disk.bytes_max
        if most is not None and self._disk.size + 8_192 > most:
            raise DiskFull("no room on the simulated disk")


class NodeParts:
    """What only the node has: the ledger, its executor and the engine."""

    def __init__(self, ground: Ground, disk: Disk, on_executed: Callable[[Executed], None]) -> None:
        """Open the ledger. Raises: Broken."""
        database = LedgerDB.open(LEDGER, ledger=ground.ledger, vfs=disk.mount())
        with database.database.closing_on_error():
            self.executor = Executor(database)
        last = database.last
        self.commits = Commits()
        self.engine = LocalEngine(
            execute=self._execute,
            height=last.height,
            time_ms=last.fields.time_ms,
            rules=BlockRules(validators=ground.validators, protocol=PROTOCOL),
            now_ms=now_ms,
            on_executed=self.commits.tell,
        )
        self.commits.tell_in_order(on_executed)
        self.close = self.executor.close
        self._turn = asyncio.Lock()

    async def _execute(self, block: Block) -> Executed:
        async with self._turn:
            while True:
                await asyncio.sleep(EXECUTE_S)
                try:
                    return self.executor.execute(block)
                except DiskFull:
                    await asyncio.sleep(DISK_FULL_S)


class Life:
    """One process of a host, from its start to its end."""

    def __init__(self, host: "Host") -> None:
        """Open the files and make the parts. Raises: Broken."""
        self.host = host
        ground = host.ground
        self.tasks: set[asyncio.Task[Any]] = set()
        self.vertices = VertexDB.open(VERTICES, ground.ledger, vfs=host.disk.mount())
        self.node = NodeParts(ground, host.disk, host.note_block) if host.orders else None
        read = ground.view.get if self.node is None else self.node.executor.ledger.get
        self.stale = StaleView(read_all=read, read_flushed=read)
        self.senders = Senders(self.stale)
        self.checker = InlineChecker(self.senders, ground.ledger)
        self.positions = Positions(self.stale)
        self.author = find_author(
            self.vertices, iss=ISS, sub=host.name, secret=ground.secrets[host.name]
        )
        self._told: deque[bytes] = deque()
        self._news = asyncio.Event()
        engine = Ordering(None if self.node is None else self.node.engine, self._tell)
        self.exchange = Exchange(
            self,
            name=host.name,
            ledger=ground.ledger,
            registry=self.stale,
            is_node=host.orders,
            bounds=host.plan.bounds,
            clock_ms=host.clock_ms,
            say=host.say,
            on_whole=self._on_whole,
        )
        self.sealer = Sealer(
            store=self.vertices,
            engine=engine,
            positions=self.positions,
            author=self.author,
            ledger=ground.ledger,
            pace=Pace(linger_ms=LINGER_MS, seal_records=host.plan.seal_records),
            run_in_worker=self._run,
            clock_ms=host.clock_ms,
            links=self.exchange.tips,
        )
        self.intake = Intake(
            checker=self.checker,
            committer=self.sealer,
            positions=self.positions,
            senders=self.senders,
            ledger=ground.ledger,
            bounds=Bounds(65_536, 67_108_864),
            room=Room(host.disk),
            find_place=_nowhere,
        )
        self.feeder: Feeder | None = None
        if self.node is not None:
            self.feeder = Feeder(
                store=self.vertices,
                ordered=self.node.executor.ledger,
                reopened=Reopened(store=self.vertices, checker=self.checker),
                engine=self.node.engine,
                run_in_reader=self._read,
            )
            self.node.commits.tell_in_order(self._committed)
        self.recovery = Recovery(
            store=self.vertices,
            ordered=_Nothing() if self.node is None else self.node.executor.ledger,
            checker=self.checker,
            positions=self.positions,
            sealer=self.sealer,
            engine=engine,
            author=self.author,
            ledger=ground.ledger,
            foreign=self._foreign,
        )

    def start(self) -> None:
        """Let the parts run."""
        self.spawn(self._begin())

    async def _begin(self) -> None:
        if self.node is not None and self.feeder is not None:
            self.spawn(self.node.engine.run())
            self.spawn(self.feeder.run())
        self.spawn(self.sealer.run())
        self.spawn(self._tell_peers())
        await self.recovery.run()
        self.exchange.start(self.host.plan, self.host.network, self.host.draw, self.spawn)

    def spawn(self, work: Awaitable[Any]) -> None:
        """Run something as long as this life lasts; if it breaks, the process has crashed."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None or self.host.life is not self:
            return
        disk = isinstance(error, DiskFailed)
        if not disk:
            self.host.fail(error)
        self.host.crash(f"{type(error).__name__}: {error}" if disk else type(error).__name__)

    def end(self) -> None:
        """Be gone, as a killed process is: nothing is said, nothing written."""
        self.exchange.stop()
        for task in list(self.tasks):
            task.cancel()
        for close in (self.vertices.close, *(() if self.node is None else (self.node.close,))):
            with suppress(Broken):
                close()

    # --- what the parts call ---------------------------------------------------------------------------

    def now_ms(self) -> int:
        """A clock that never goes back."""
        return int(asyncio.get_running_loop().time() * 1_000)

    async def write(self, function: Callable[[], None]) -> None:
        """Do a write to the disk."""
        await self._run(function)

    async def _run(self, function: Callable[[], Result]) -> Result:
        try:
            return function()
        finally:
            await asyncio.sleep(FSYNC_S)

    async def _read(self, function: Callable[[], Result]) -> Result:
        return function()

    def _tell(self, own_id: bytes) -> None:
        self._told.append(own_id)
        self._news.set()

    async def _tell_peers(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._told:
                await self.exchange.told(self._told.popleft())

    def _on_whole(self, own_id: bytes, header: VertexHeader) -> None:
        if self.feeder is not None:
            self.feeder.offer(own_id, header.parent)

    def _foreign(self, stored: StoredVertex) -> None:
        if self.feeder is not None:
            self.sealer.hold(stored)
            self.feeder.offer(stored.id, decode_header(stored.header).parent)

    def _committed(self, done: Executed) -> None:
        remember(self.stale, done)
        settle(self.sealer, done)
        if self.feeder is not None:
            for own_id in done.vertices:
                self.feeder.settled(own_id)


class Host:
    """A machine by name. `life` is its process while it has one."""

    def __init__(
        self,
        name: str,
        ground: Ground,
        plan: Plan,
        *,
        network: Network,
        draw: random.Random,
        say: Say,
    ) -> None:
        self.name = name
        self.ground = ground
        self.plan = plan
        self.orders = orders = plan.orders
        self.network = network
        self.draw = draw
        self.say = say
        self.disk = Disk.holding(ground.node_image if orders else ground.gateway_image)
        self.life: Life | None = None
        self.crashes = 0
        self.failed: BaseException | None = None
        self.blocks: dict[int, Executed] = {}

    def clock_ms(self) -> int:
        """What this host believes the time to be."""
        return now_ms() + self.plan.skew_ms

    def boot(self) -> None:
        """Start a process; where the disk breaks at once, it has crashed."""
        assert self.life is None
        try:
            self.life = Life(self)
        except Broken as error:
            self.crash(f"at its start: {error}")
            return
        self.say(f"{self.name} starts at vertex {self.life.author.epoch}/{self.life.author.seq}")
        self.life.start()

    def crash(self, why: str) -> None:
        """End the process where it stands. What was not durable is lost if the disk lost power."""
        self.say(f"{self.name} crashes: {why}")
        self.crashes += 1
        life, self.life = self.life, None
        self.network.unplug(self.name)
        if self.disk.dead:
            self.disk.restart(self.draw)
        else:
            self.disk.reopen()
        if life is not None:
            life.end()

    def stop(self) -> None:
        """End the process without a word; the run is over."""
        life, self.life = self.life, None
        if life is not None:
            life.end()

    def lose_power(self) -> None:
        """Let the power go now."""
        self.disk.dead = True
        self.crash("the power is lost")

    def fail(self, error: BaseException) -> None:
        """Note an error that no fault explains: the run has found something."""
        if self.failed is None:
            self.failed = error
            frames = traceback.extract_tb(error.__traceback__)
            way = " > ".join(f"{Path(one.filename).name}:{one.lineno}" for one in frames)
            self.say(f"{self.name} FAILS: {error!r} at {way}")

    def note_block(self, done: Executed) -> None:
        """Keep what a commit said."""
        self.blocks[done.height] = done

    async def take(self, record: bytes) -> Answer | None:
        """Hand a record in as a device would; None when nobody answers."""
        life = self.life
        if life is None:
            return None
        asked = asyncio.ensure_future(life.intake.submit(record, wait=None))
        life.tasks.add(asked)
        try:
            answers = await asked
        except (Broken, Unavailable, asyncio.CancelledError):
            return None
        if self.life is not life:
            return None
        answer = answers[0]
        return answer if answer.code in {STORED, ALREADY} else None


class _Nothing:
    """A ledger that a gateway does not have."""

    def order_of(self, _own_id: bytes, /) -> object | None:
        return None


async def _nowhere(stream: tuple[str, ...], *, epoch: int, seq: int) -> FoundPlace | None:  # noqa: ARG001
    """Say of no position where it lies: copies are answered without it."""
    return None
