"""One process of a simulated host: the twin of `node/wiring.py` and `node/gateway_wiring.py`, with the same parts.

Real are the stores (on a power-loss disk), intake, sealer, recovery, exchange, sessions, feeder, engine, executor, a
gateway's mirror and uplink. Replaced is only what would start a thread, a process or a socket: records are checked
inline, blocking work runs at once and then takes the time of an fsync, links are simulated.

Place in a record's life: all of it, to the outcome's way back. Source: the two wirings.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from drystone.engine.local import BlockRules, LocalEngine
from drystone.errors import Broken, DiskFull, InvariantBroken
from drystone.gateway.attest import Attestor
from drystone.gateway.buffer import Buffer, Pruner
from drystone.gateway.convict import Convictor
from drystone.gateway.doubles import Doubles
from drystone.gateway.feeder import Feeder
from drystone.gateway.forward import Forward
from drystone.gateway.held import Held, LetGo
from drystone.gateway.intake import Bounds, Intake
from drystone.gateway.own_streams import OwnStreams
from drystone.gateway.positions import Positions
from drystone.gateway.recover import Recovery, find_author
from drystone.gateway.reopen import Reopened
from drystone.gateway.seal import Engine, Pace, Sealer
from drystone.gateway.senders import Senders
from drystone.gateway.stale import StaleView
from drystone.gateway.sync.effects import Effects, Own
from drystone.gateway.sync.holdings import VertexHoldings, member_keys
from drystone.gateway.uplink import Uplink
from drystone.home.authority import TlsFiles
from drystone.home.config import PeerSettings, SyncSettings
from drystone.home.room import DiskRoom
from drystone.ledger.change import Block
from drystone.ledger.genesis import PROTOCOL
from drystone.ledger.view import Reader
from drystone.node.author_keys import keys_of_authors
from drystone.node.commits import Commits, RightsWatch, remember, settle
from drystone.node.exchange import Exchange
from drystone.node.gateway_epoch import MARKER, GatewayEpoch
from drystone.node.gateway_part import GatewayPart
from drystone.node.gateway_recovery import GatewayRecovery
from drystone.node.node_part import NodeExchange, NodePart, ToldEngine
from drystone.node.sides import Carrier, Serves
from drystone.service.sync_reads import SyncReads
from drystone.sim.net_ground import ISS, LEDGER, MIRROR, NODE, VERTICES
from drystone.sim.net_parts import (
    InlineChecker,
    Machine,
    Mark,
    Room,
    Signer,
    convicting,
    monotonic_ms,
    nowhere,
)
from drystone.sim.net_ports import Ports
from drystone.sim.net_time import now_ms
from drystone.storage.ledger import LedgerDB
from drystone.storage.mirror import MirrorDB
from drystone.storage.vertices import VertexDB
from drystone.transport.links import Hooks
from drystone.workers.executor import Executor
from drystone.workers.messages import Executed

LINGER_MS: Final = 3_000
EXECUTE_S: Final = 0.004
DISK_FULL_S: Final = 1.0
FSYNC_S: Final = 0.002
KEEP_BYTES: Final = 1 << 40

Result = TypeVar("Result")


class Life:
    """What a gateway's and a node's process have in common."""

    exchange: Exchange
    sealer: Sealer
    intake: Intake

    def __init__(self, machine: Machine, *, role: str) -> None:
        """Open the vertices. Raises: Broken."""
        self.machine = machine
        self.role = role
        self.tasks: set[asyncio.Task[Any]] = set()
        self.vertices = VertexDB.open(VERTICES, machine.ground.ledger, vfs=machine.disk.mount())
        self._closes: list[Callable[[], None]] = [self.vertices.close]
        self.room = Room(machine.disk)
        self.author = find_author(
            self.vertices,
            iss=ISS, sub=machine.name, secret=machine.ground.secrets[machine.name],
        )  # fmt: skip

    def start(self) -> None:
        """Let the parts run."""
        self.spawn(self._begin())

    async def _begin(self) -> None:
        raise InvariantBroken("a life is a gateway's or a node's")

    def spawn(self, work: Awaitable[Any]) -> None:
        """Run something as long as this life lasts; if it breaks, the process has crashed."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.machine.ended(self, error)

    def end(self) -> None:
        """Be gone, as a killed process is: nothing is said, nothing written."""
        cast("Ports", self.exchange.links).stop()
        for task in list(self.tasks):
            task.cancel()
        self.close()

    def close(self) -> None:
        """Close the files."""
        for close in self._closes:
            with suppress(Broken):
                close()

    @property
    def sealed(self) -> bool:
        """Whether everything acknowledged is in a vertex."""
        return not self.vertices.intake(limit=1)

    @property
    def paused(self) -> bool:
        """Whether nothing is sealed until an uplink has told where this gateway's chain ends."""
        return False

    async def write(self, function: Callable[[], Result]) -> Result:
        """Do blocking work at once, and take the time of an fsync."""
        try:
            return function()
        finally:
            await asyncio.sleep(FSYNC_S)

    async def read(self, function: Callable[[], Result]) -> Result:
        """Do blocking work at once."""
        return function()

    def make_exchange(self, view: Reader, serves: Serves | None, *, height: int) -> Exchange:
        """Make the exchange over simulated links."""
        machine = self.machine
        features = ("bodies",) if serves is None else ("blocks", "bodies")
        uplink = PeerSettings(name=f"{ISS}/{NODE}", uplink=True)
        return Exchange(
            own=Own(
                ledger=machine.ground.ledger,
                iss=ISS,
                sub=machine.name,
                role=self.role,
                instance=now_ms(),
                features=features,
            ),
            secret=self.author.secret,
            settings=SyncSettings(peers=() if machine.plan.orders else (uplink,)),
            files=TlsFiles(Path("/nowhere")),
            view=view,
            store=self.vertices,
            store_read=self.vertices,
            holdings=VertexHoldings(
                store=self.vertices,
                ledger=machine.ground.ledger,
                key_of=keys_of_authors(view),
                member_key_of=member_keys(view),
            ),
            write=self.write,
            read=self.read,
            serves=serves,
            height=height,
            clock_ms=monotonic_ms,
            wall_ms=machine.wall_ms,
            random=machine.draw,
            bounds=machine.plan.bounds,
            carrier=self._carrier,
        )

    def _carrier(self, hooks: Hooks[Effects]) -> Carrier:
        machine = self.machine
        return Ports(
            network=machine.network,
            iss=ISS,
            name=machine.name,
            hooks=hooks,
            dials=machine.plan.dials,
            draw=machine.draw,
            spawn=self.spawn,
            say=machine.say,
        )

    def make_intake(
        self,
        senders: Senders,
        checker: InlineChecker,
        positions: Positions,
        *,
        engine: Engine,
        held: Held | None,
    ) -> None:
        """Make sealer and intake."""
        machine = self.machine
        self.sealer = Sealer(
            store=self.vertices,
            engine=engine,
            positions=positions,
            author=self.author,
            ledger=machine.ground.ledger,
            pace=Pace(linger_ms=LINGER_MS, seal_records=machine.plan.seal_records),
            run_in_worker=self.write,
            clock_ms=machine.wall_ms,
            held=held,
            links=self.exchange.tips,
        )
        self.intake = Intake(
            checker=checker,
            committer=self.sealer,
            positions=positions,
            senders=senders,
            ledger=machine.ground.ledger,
            bounds=Bounds(65_536, 67_108_864),
            room=self.room,
            find_place=nowhere,
        )


class GatewayLife(Life):
    """A gateway: takes, seals, exchanges, learns outcomes."""

    def __init__(self, machine: Machine) -> None:
        """Open the files and make the parts. Raises: Broken."""
        super().__init__(machine, role="gateway")
        ground = machine.ground
        self.mirror = MirrorDB.open(MIRROR, ground.ledger, vfs=machine.disk.mount())
        self._closes.append(self.mirror.close)
        streams = OwnStreams(self.mirror)
        senders, positions = Senders(streams), Positions(streams)
        checker = InlineChecker(senders, ground.ledger, check_s=machine.plan.check_s)
        buffer = self.buffer = Buffer(monotonic_s=asyncio.get_running_loop().time)
        self.exchange = self.make_exchange(streams, None, height=0)
        forward, held = Forward(tell=self.exchange.sealed, buffer=buffer), LetGo(positions, streams)
        self.make_intake(senders, checker, positions, engine=forward, held=held)
        attestor = Attestor(
            author=self.author,
            intake=self.intake,
            positions=positions,
            senders=senders,
            ledger=ground.ledger,
        )
        self.epoch = GatewayEpoch(
            sealer=self.sealer,
            attestor=attestor,
            exchange=self.exchange,
            view=streams,
            marker=cast("Path", Mark(machine.marks, MARKER)),
        )
        self.part = GatewayPart(
            exchange=self.exchange,
            mirror=self.mirror,
            uplink=Uplink(
                mirror=self.mirror,
                trust=ground.trust,
                held=lambda own_id: self.vertices.find(own_id) is not None,
            ),
            vertices=self.vertices,
            pruner=Pruner(self.vertices, self.mirror, keep_bytes=KEEP_BYTES),
            streams=streams,
            senders=senders,
            checker=checker,
            sealer=self.sealer,
            buffer=self.buffer,
            room=cast("DiskRoom", self.room),
            epoch=self.epoch,
            positions=positions,
            reopened=Reopened(store=self.vertices, checker=checker),
            own=(ISS, machine.name),
            write=self.write,
        )
        self._recovery = GatewayRecovery(
            store=self.vertices,
            checker=checker,
            positions=positions,
            streams=streams,
            sealer=self.sealer,
            author=self.author,
        )

    @property
    def paused(self) -> bool:
        """As in `Life`."""
        return self.epoch.paused

    async def _begin(self) -> None:
        self.spawn(self.sealer.run())
        self.buffer.load(self.vertices, self.mirror, iss=ISS, sub=self.machine.name)
        await self._recovery.run()
        self.exchange.use(self.part)
        self.spawn(self.exchange.run(asyncio.Event()))
        self.spawn(self.part.save_streams())


class NodeLife(Life):
    """The node: orders and executes what all seal."""

    def __init__(self, machine: Machine) -> None:
        """Open the files and make the parts. Raises: Broken."""
        super().__init__(machine, role="node")
        ground = machine.ground
        database = LedgerDB.open(LEDGER, ledger=ground.ledger, vfs=machine.disk.mount())
        with database.database.closing_on_error():
            self.executor = Executor(database)
        self._closes.append(self.executor.close)
        self.ledger = database
        self._turn = asyncio.Lock()
        last = database.last
        self.commits = Commits()
        self.engine = LocalEngine(
            execute=self._execute,
            height=last.height,
            time_ms=last.fields.time_ms,
            rules=BlockRules(validators=ground.validators, protocol=PROTOCOL),
            now_ms=machine.wall_ms,
            on_executed=self.commits.tell,
        )
        stale = StaleView(read_all=database.get, read_flushed=database.get)
        senders, positions = Senders(stale), Positions(stale)
        checker = InlineChecker(senders, ground.ledger, check_s=machine.plan.check_s)
        serves = SyncReads(
            database, self.vertices, signed_head=Signer(database, self.author.secret).head
        )
        self.exchange = self.make_exchange(stale, serves, height=last.height)
        self.feeder = Feeder(
            store=self.vertices,
            ordered=database,
            reopened=Reopened(store=self.vertices, checker=checker),
            engine=self.engine,
            run_in_reader=self.read,
        )
        engine = ToldEngine(self.engine, self.exchange)
        self.make_intake(senders, checker, positions, engine=engine, held=None)
        convictor = Convictor(
            author=self.author, intake=self.intake, positions=positions, ledger=ground.ledger
        )
        doubles = Doubles(
            ledger=database,
            vertices=self.vertices,
            key_of=convicting(database),
            ledger_id=ground.ledger,
        )
        self.part = NodePart(
            NodeExchange(self.exchange, self.feeder, serves, doubles, self.read),
            sealer=self.sealer,
            room=cast("DiskRoom", self.room),
            convictor=convictor,
        )
        self.exchange.use(self.part)
        self._recovery = Recovery(
            store=self.vertices,
            ordered=database,
            checker=checker,
            positions=positions,
            sealer=self.sealer,
            engine=engine,
            author=self.author,
            ledger=ground.ledger,
            foreign=self.part.adopt,
        )
        self._rights = RightsWatch(senders, checker)
        self.commits.tell_in_order(partial(remember, stale), self._rights.note)
        self.commits.tell_in_order(partial(settle, self.sealer), self.part.commit)

    async def _begin(self) -> None:
        self.spawn(self._rights.run())
        self.spawn(self.engine.run())
        self.spawn(self.sealer.run())
        await self._recovery.run()
        self.spawn(self.exchange.run(asyncio.Event()))
        self.spawn(self.feeder.run())

    async def _execute(self, block: Block) -> Executed:
        async with self._turn:
            while True:
                records = sum(vertex.header.count for vertex in block.vertices)
                await asyncio.sleep(EXECUTE_S + records * self.machine.plan.execute_s)
                try:
                    return self.executor.execute(block)
                except DiskFull:
                    await asyncio.sleep(DISK_FULL_S)
