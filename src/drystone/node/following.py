"""A follower's part of a process: executor, ledger, engine, reads; and the provisional view where it is wanted.

Two roles use it. A follower is little else; a gateway with `gateway.provisional` runs it beside its intake, so that a
village whose cable is cut still sees what its contracts would say. Blocks come from the uplinks, vertices from every
peer; what comes to another entry than was signed stops the process. Bodies stay: reads and receipts need them.

Wiring only: it decides nothing about a record. Source: design.md sections 2, 3.5 and 3.6; issue 5 items 3 and 4.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import Any, NamedTuple

from drystone.engine.follow import FollowEngine, FollowRules, Tail
from drystone.gateway.provisional import PendingRows, ProvisionalFeed, Waiting
from drystone.gateway.reopen import Reopened
from drystone.gateway.seal import Engine
from drystone.gateway.senders import Senders
from drystone.gateway.stale import StaleView
from drystone.gateway.verifiers import InProcess
from drystone.home.layout import Identity
from drystone.home.room import DiskRoom
from drystone.ledger import keyspace
from drystone.ledger.apply import apply_genesis
from drystone.ledger.change import OrderedVertex
from drystone.ledger.genesis import validators_hash
from drystone.node.clocks import now_ms
from drystone.node.commits import Commits, RightsWatch, remember
from drystone.node.exchange import Exchange, Parts
from drystone.node.follow_parts import BesideEngine, FollowParts
from drystone.proof.trust import parse_trust
from drystone.service.dag_reads import DagReads, LedgerOrder
from drystone.service.dag_service import DagService, peer_info
from drystone.service.foreseeing_web import serve_foreseeing
from drystone.service.front_parts import Attests, Holds, Seals, Takes
from drystone.service.gateway_service import GatewayService
from drystone.service.node_service import NodeService
from drystone.service.provisional import ProvisionalService
from drystone.service.pulse import Pulse
from drystone.service.reads import Reads
from drystone.storage.ledger import LedgerDB
from drystone.storage.memory import MemoryView
from drystone.storage.state import read_state
from drystone.storage.vertices import VertexDB
from drystone.workers import processes
from drystone.workers.channel import AsyncChannel
from drystone.workers.executor import Executor
from drystone.workers.executor_client import ExecutorClient, InProcessExecutor
from drystone.workers.messages import Executed

Task = Callable[[], Coroutine[Any, Any, None]]


class Executors(NamedTuple):
    """The executor, as a process or as a thread, and what must be watched with it."""

    client: ExecutorClient | InProcessExecutor
    watch: Sequence[Task]
    pids: dict[str, list[int]]


class Front(NamedTuple):
    """Who takes records in beside the follower, for its service."""

    intake: Takes
    attestor: Attests
    sealer: Seals
    positions: Holds


async def open_executor(
    identity: Identity, children: processes.Children, *, lock: int
) -> Executors:
    """Start the executor as the settings say; a ledger.db that is missing is begun at the genesis.

    Raises: as `Executor.open`, for one in this process.
    """
    home, settings = identity.home, identity.settings.node
    if not home.ledger.exists():
        start = apply_genesis(identity.genesis, MemoryView())
        LedgerDB.create(home.ledger, identity.genesis_bytes, start.change).close()
    if settings.processes == "one":
        return Executors(InProcessExecutor(Executor.open(home.root)), (), {})
    arguments = [str(home.root), str(settings.executor_memory_bytes)]
    child = children.spawn("drystone.workers.executor", arguments, keep=[lock])
    client = ExecutorClient(await AsyncChannel.open(child.end))
    return Executors(client, (client.run,), {"executor": [child.process.pid]})


async def open_beside(
    identity: Identity, stack: AsyncExitStack, *, lock: int, room: DiskRoom
) -> "Following":
    """Open a follower with a provisional view beside a gateway. Raises: as `open_executor`."""
    children = processes.Children()
    stack.callback(children.end)
    executors = await open_executor(identity, children, lock=lock)
    return Following(identity, stack, executors=executors, room=room, provisional=True)


class Following:
    """Everything of a follower but its links and its HTTP; opened once, closed by the stack."""

    def __init__(
        self,
        identity: Identity,
        stack: ExitStack | AsyncExitStack,
        *,
        executors: Executors,
        room: DiskRoom,
        provisional: bool,
    ) -> None:
        """Open the databases for reading and go on behind the last block."""
        home, ledger = identity.home, identity.ledger
        self._identity = identity
        self._executors = executors
        self._room = room
        self._ledger_stale = LedgerDB.open(home.ledger, ledger=ledger, read_only=True)
        stack.callback(self._ledger_stale.close)
        ledger_read = LedgerDB.open(home.ledger, ledger=ledger, read_only=True)
        stack.callback(ledger_read.close)
        self.vertices_loop = VertexDB.open(home.vertices, ledger, read_only=True)
        stack.callback(self.vertices_loop.close)
        vertices_read = VertexDB.open(home.vertices, ledger, read_only=True)
        stack.callback(vertices_read.close)
        self.reader = processes.Worker("ledger reads")
        stack.callback(self.reader.close)
        self.stale = StaleView(
            read_all=self._ledger_stale.get,
            read_flushed=lambda key: read_state(self._ledger_stale.database, key),
        )
        pending = PendingRows()
        self.senders = Senders(pending.over(self.stale))
        self.checker = InProcess(self.senders, ledger)
        self._rights = RightsWatch(self.senders, self.checker)
        pending.watch(self._rights.note_rows)
        self.reads = Reads(ledger_read, vertices_read)
        last = self._ledger_stale.last
        self.height = last.height
        self._pulse = Pulse(height=last.height, size=last.size, monotonic_s=time.monotonic)
        self.commits = Commits()
        vertices = Reopened(store=self.vertices_loop, checker=self.checker)
        self.engine = FollowEngine(
            execute=executors.client.execute,
            vertices=vertices,
            tail=Tail(height=last.height, time_ms=last.fields.time_ms, size=last.size),
            rules=FollowRules(
                validators=validators_hash(identity.genesis.validators()),
                protocol=identity.genesis.protocol,
                trust=parse_trust(home.trust.read_bytes()),
            ),
            on_executed=self.commits.tell,
        )
        self.feed: ProvisionalFeed | None = None
        if provisional:
            self.feed = ProvisionalFeed(
                executor=executors.client, vertices=vertices, rows=pending, clock_ms=now_ms
            )
        self.commits.tell_in_order(
            partial(remember, self.stale), self._rights.note, self._pulse.commit
        )

    def service(
        self, front: Front, exchange: Exchange | None, *, pids: Sequence[int], restarts: int
    ) -> NodeService:
        """Make the service over ledger and vertices; with a provisional view it foresees what others order."""
        dag = DagReads(self.reads.vertices, LedgerOrder(self.reads.ledger), life=now_ms())
        service = NodeService(
            identity=self._identity,
            reads=self.reads,
            dag=DagService(
                dag,
                run_in_reader=self.reader.run,
                peers=lambda: [peer_info(one) for one in exchange.status()] if exchange else (),
            ),
            run_in_reader=self.reader.run,
            checker=self.checker,
            executor=self._executors.client,
            engine=self.engine,
            intake=front.intake,
            attestor=front.attestor,
            sealer=front.sealer,
            positions=front.positions,
            room=self._room,
            pulse=self._pulse,
            pids=[*pids, *(pid for group in self.pids.values() for pid in group)],
            restarts=restarts,
            feed=self.feed,
        )
        if self.feed is not None:
            service.foresees(ProvisionalService(service, executor=self._executors.client))
        self.commits.tell_in_order(service.commit)
        return service

    @property
    def executed_height(self) -> int:
        """Height of the last block executed here."""
        return self.engine.height

    @property
    def waiting(self) -> Waiting | None:
        """How much is provisional; None without a provisional view."""
        return None if self.feed is None else self.feed.waiting

    @property
    def pids(self) -> dict[str, list[int]]:
        """The executor's process, where it has one."""
        return self._executors.pids

    def tells(self, exchange: Exchange) -> None:
        """Tell peers of every commit."""

        def tell(done: Executed) -> None:
            if any(keyspace.space_of(key) in keyspace.REGISTRY for key in done.writes):
                exchange.registry_changed()
            exchange.committed(done.height)

        self.commits.tell_in_order(tell)

    def beside(self, engine: Engine) -> Engine:
        """Give the engine that hands own vertices to `engine` and to the provisional view."""
        return BesideEngine(engine, self.sealed)

    def attach(self, exchange: Exchange, below: Parts) -> FollowParts:
        """Take from an exchange what peers tell, beside a gateway's own part."""
        parts = FollowParts(follower=self, exchange=exchange, room=self._room, below=below)
        exchange.use(parts)
        self.tells(exchange)
        return parts

    async def serve(
        self,
        front: tuple[Takes, Attests, Seals, Holds],
        gateway: GatewayService,
        *,
        exchange: Exchange | None,
        listener: socket.socket,
        restarts: int,
        stop: asyncio.Event,
    ) -> None:
        """Serve the whole API beside a gateway's own routes, until `stop`."""
        service = self.service(Front(*front), exchange, pids=[os.getpid()], restarts=restarts)
        stopping = asyncio.ensure_future(stop.wait())
        stopping.add_done_callback(lambda _: service.stop())
        try:
            await serve_foreseeing(service, gateway, self._identity, listener, stop)
        finally:
            stopping.cancel()

    async def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Wait for the executor, take up what is not ordered, and run; give the tasks that are to be cancelled.

        Raises: Broken.
        """
        watching = [
            group.create_task(watch()) for watch in (*self._executors.watch, self._rights.run)
        ]
        await self._executors.client.ready()
        feed = self.feed
        if feed is not None:
            self.commits.tell_in_order(feed.executed)
            is_ordered = self._ledger_stale.order_of
            feed.adopt(self.vertices_loop, lambda own_id: is_ordered(own_id) is not None)
            watching.append(group.create_task(feed.run()))
        self._running = group.create_task(self.engine.run())
        return watching

    async def stop(self) -> None:
        """End behind the block that is being committed."""
        self.engine.stop()
        await self._running
        if self.feed is not None:
            self.feed.stop()

    async def close(self) -> None:
        """End verifier and executor."""
        await self.checker.close()
        await self._executors.client.close()

    # --- what arrives ------------------------------------------------------------------------------

    def arrived(self, vertex_id: bytes) -> None:
        """Another author's vertex lies here, body and all."""
        if self.feed is not None:
            self.feed.arrived(vertex_id)
        self.engine.arrived()

    def sealed(self, vertex: OrderedVertex, vertex_id: bytes) -> None:
        """An own vertex lies here."""
        if self.feed is not None:
            self.feed.submit(vertex, vertex_id)
        self.engine.arrived()


def own_pids() -> dict[str, list[int]]:
    """The processes of this life: the supervisor and this one."""
    return {"supervisor": [os.getppid()], "front": [os.getpid()]}
