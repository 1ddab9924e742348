"""A node: the only place where its objects, tasks, threads and processes are made and tied together.

This is the front process. It starts the verifiers and the executor, opens the databases, takes up what an earlier life
left behind, and serves HTTP until it is told to stop or one of its parts dies; then all of it ends, and the supervisor
starts it again. Every object has one name here, every task is in one group. The clocks are read, and signals and the
lifeline are watched, here and nowhere else. It may not decide anything about a record.

    supervisor --lifeline--> front --channel--> verifier (one per core)
                               |  `--channel--> executor --> ledger.db
                               `--> vertices.db

Source: design.md section 7.
"""

import asyncio
import gc
import logging
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, NamedTuple

from drystone import limits
from drystone.engine.local import BlockRules, LocalEngine
from drystone.gateway.attest import Attestor
from drystone.gateway.convict import Convictor
from drystone.gateway.intake import Bounds, FindPlace, FoundPlace, Intake
from drystone.gateway.positions import Positions
from drystone.gateway.recover import Recovery, find_author
from drystone.gateway.seal import Pace, Sealer
from drystone.gateway.senders import Senders
from drystone.gateway.stale import StaleView
from drystone.gateway.verifiers import InProcess, RecordChecker, Verifiers, verifier_pid
from drystone.home.layout import Identity, write_endpoints
from drystone.home.room import DiskRoom
from drystone.ledger.genesis import validators_hash
from drystone.node import deadline
from drystone.node.clocks import now_ms
from drystone.node.commits import Commits, RightsWatch, remember, settle
from drystone.node.node_part import (
    NodePart,
    NodeStores,
    ToldEngine,
    open_node_exchange,
    start_exchange,
)
from drystone.service.dag_reads import DagReads, LedgerOrder
from drystone.service.dag_service import DagService
from drystone.service.first_place import find_place
from drystone.service.node_service import NodeService
from drystone.service.pulse import Pulse
from drystone.service.reads import Reads
from drystone.service.web import serve
from drystone.storage.ledger import LedgerDB
from drystone.storage.state import read_state
from drystone.storage.vertices import VertexDB
from drystone.workers import processes
from drystone.workers.channel import AsyncChannel
from drystone.workers.executor import Executor
from drystone.workers.executor_client import BlockExecutor, ExecutorClient, InProcessExecutor

log = logging.getLogger("drystone.node")


class Parts(NamedTuple):
    """Verifiers and executor, as processes or as threads, and what must be watched with them."""

    checker: RecordChecker
    executor: BlockExecutor
    watch: Sequence[Callable[[], Coroutine[Any, Any, None]]]
    pids: dict[str, list[int]]


async def run_front(  # tidy: long, because this is the wiring, and one place shows all of it
    identity: Identity, *, restarts: int, stop: asyncio.Event
) -> None:
    """Make everything, serve until `stop`, end everything in order.

    Raises:
        PortTaken, HomeInvalid: the node cannot start here.
        Broken: a process or a database failed.
    """
    home, settings, ledger = identity.home, identity.settings, identity.ledger
    async with AsyncExitStack() as stack:
        stack.callback(deadline.ended)
        lock = stack.enter_context(processes.locked(home))
        listener = stack.enter_context(processes.listen(settings.http.host, settings.http.port))
        stack.callback(home.endpoints.unlink, missing_ok=True)
        children = processes.Children()
        stack.callback(children.end)

        vertices = VertexDB.open(home.vertices, ledger)
        stack.callback(vertices.close)
        vertices_read = VertexDB.open(home.vertices, ledger, read_only=True)
        stack.callback(vertices_read.close)
        ledger_stale = LedgerDB.open(home.ledger, ledger=ledger, read_only=True)
        stack.callback(ledger_stale.close)
        ledger_read = LedgerDB.open(home.ledger, ledger=ledger, read_only=True)
        stack.callback(ledger_read.close)
        writer, reader = processes.Worker("vertices"), processes.Worker("reads")
        stack.callback(writer.close)
        stack.callback(reader.close)

        stale = StaleView(
            read_all=ledger_stale.get,
            read_flushed=lambda key: read_state(ledger_stale.database, key),
        )
        senders = Senders(stale)
        parts = await start_parts(identity, children, lock, senders)
        positions = Positions(stale)
        room = DiskRoom(home, settings.storage, monotonic_s=time.monotonic)
        node = identity.node
        author = find_author(vertices, iss=node.organisation, sub=node.member, secret=node.secret)
        last = ledger_stale.last
        pulse = Pulse(height=last.height, size=last.size, monotonic_s=time.monotonic)
        reads = Reads(ledger_read, vertices_read)
        dag = DagReads(vertices_read, LedgerOrder(ledger_read), life=now_ms())
        commits = Commits()
        engine = LocalEngine(
            execute=parts.executor.execute,
            height=last.height,
            time_ms=last.fields.time_ms,
            rules=BlockRules(
                validators=validators_hash(identity.genesis.validators()),
                protocol=identity.genesis.protocol,
                close_ms=settings.engine.close_ms,
                close_records=settings.engine.close_records,
            ),
            now_ms=now_ms,
            on_executed=commits.tell,
        )
        sync = None
        if settings.sync.listen or settings.sync.peers:
            stores = NodeStores(vertices, writer, stale, last.height)
            sync = open_node_exchange(
                identity, stack, stores=stores, checker=parts.checker, engine=engine
            )
        sealer = Sealer(
            store=vertices,
            engine=engine if sync is None else ToldEngine(engine, sync.exchange),
            positions=positions,
            author=author,
            ledger=ledger,
            pace=Pace(linger_ms=settings.intake.linger_ms),
            run_in_worker=writer.run,
            clock_ms=now_ms,
            links=tuple if sync is None else sync.exchange.tips,
        )
        intake = Intake(
            checker=parts.checker,
            committer=sealer,
            positions=positions,
            senders=senders,
            ledger=ledger,
            bounds=Bounds(settings.intake.records_max, settings.intake.bytes_max),
            room=room,
            find_place=place_finder(reads, reader),
        )
        part = None
        if sync is not None:
            convictor = Convictor(author=author, intake=intake, positions=positions, ledger=ledger)
            part = NodePart(sync, sealer=sealer, room=room, convictor=convictor)
            sync.exchange.use(part)
        recovery = Recovery(
            store=vertices,
            ordered=ledger_stale,
            checker=parts.checker,
            positions=positions,
            sealer=sealer,
            engine=engine,
            author=author,
            ledger=ledger,
            foreign=None if part is None else part.adopt,
        )
        pids = {"supervisor": [os.getppid()], "front": [os.getpid()], **parts.pids}
        service = NodeService(
            identity=identity,
            reads=reads,
            dag=DagService(
                dag, run_in_reader=reader.run, peers=tuple if sync is None else sync.peers
            ),
            run_in_reader=reader.run,
            checker=parts.checker,
            executor=parts.executor,
            engine=engine,
            intake=intake,
            attestor=Attestor(
                author=author, intake=intake, positions=positions, senders=senders, ledger=ledger
            ),
            sealer=sealer,
            positions=positions,
            room=room,
            pulse=pulse,
            pids=[pid for group in pids.values() for pid in group],
            restarts=restarts,
        )
        rights = RightsWatch(senders, parts.checker)
        commits.tell_in_order(partial(remember, stale), rights.note)
        commits.tell_in_order(partial(settle, sealer), pulse.commit, service.commit)
        if part is not None:
            commits.tell_in_order(part.commit)
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(watch()) for watch in (*parts.watch, rights.run)]
            for task in watching:
                # A part has died, or all is over: nothing may hold this process up for long.
                task.add_done_callback(deadline.end_soon)
            await parts.executor.ready()
            ordering = group.create_task(engine.run())
            sealing = group.create_task(sealer.run())
            found = await recovery.run()
            ending = asyncio.Event()
            exchanging = () if sync is None else start_exchange(group, sync, ending)
            serving = group.create_task(serve(service, identity, listener, stop))
            url = processes.url_of(listener)
            write_endpoints(home, url=url, pids=pids, ledger=ledger)
            log.info("node is up at %s", url, extra={"height": last.height, **found._asdict()})
            gc.freeze()
            gc.set_threshold(limits.GC_OBJECTS, 20, 20)
            await stop.wait()
            log.info("node stops")
            service.stop()
            await serving
            ending.set()
            if sync is not None:
                sync.feeder.stop()
            for task in exchanging:
                await task
            sealer.stop()
            await sealing
            engine.stop()
            await ordering
            for task in watching:
                task.cancel()
        await parts.checker.close()
        await parts.executor.close()


async def start_parts(
    identity: Identity, children: processes.Children, lock: int, senders: Senders
) -> Parts:
    """Start verifiers and executor as the settings say: as processes, or in threads of this one."""
    settings = identity.settings.node
    if settings.processes == "one":
        executor = InProcessExecutor(Executor.open(identity.home.root))
        return Parts(InProcess(senders, identity.ledger), executor, (), {})
    # The executor goes first: it has the most to read before it can answer. It holds the lock too.
    arguments = [str(identity.home.root), str(settings.executor_memory_bytes)]
    executor_child = children.spawn("drystone.workers.executor", arguments, keep=[lock])
    count = settings.verifiers or processes.core_count()
    ends = children.spawn_forking("drystone.workers.verifier", [identity.ledger.hex()], count=count)
    channels = [await AsyncChannel.open(end) for end in ends]
    verifiers = Verifiers(channels, senders)
    client = ExecutorClient(await AsyncChannel.open(executor_child.end))
    pids = {
        "executor": [executor_child.process.pid],
        "verifiers": [await verifier_pid(channel) for channel in channels],
    }
    return Parts(verifiers, client, (verifiers.run, client.run), pids)


def place_finder(reads: Reads, reader: processes.Worker) -> FindPlace:
    """Give the function that finds where a committed record lies, for copies of it."""

    async def find(stream: tuple[str, ...], *, epoch: int, seq: int) -> FoundPlace | None:
        return await find_place(reads, reader.run, stream, epoch=epoch, seq=seq)

    return find
