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

import argparse
import asyncio
import faulthandler
import gc
import importlib.util
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from drystone import limits
from drystone.engine.local import BlockRules, LocalEngine
from drystone.errors import DatabaseCorrupt, DatabaseForeign, DrystoneError, Refused
from drystone.gateway.attest import Attestor
from drystone.gateway.intake import Bounds, FindPlace, FoundPlace, Intake
from drystone.gateway.positions import Positions
from drystone.gateway.recover import Recovery, find_author
from drystone.gateway.seal import Pace, Sealer
from drystone.gateway.senders import Senders
from drystone.gateway.stale import StaleView
from drystone.gateway.verifiers import InProcess, RecordChecker, Verifiers
from drystone.home.layout import Identity, open_home, write_endpoints
from drystone.home.room import DiskRoom
from drystone.ledger.genesis import validators_hash
from drystone.node import logs
from drystone.node.commits import Commits, RightsWatch, remember, settle
from drystone.node.supervisor import EXIT_BROKEN, EXIT_CLEAN, EXIT_REFUSED
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

START_REFUSED: Final = (Refused, DatabaseForeign, DatabaseCorrupt)
"""Errors that another start does not mend."""

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
        sealer = Sealer(
            store=vertices,
            engine=engine,
            positions=positions,
            author=author,
            ledger=ledger,
            pace=Pace(linger_ms=settings.intake.linger_ms),
            run_in_worker=writer.run,
            clock_ms=now_ms,
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
        recovery = Recovery(
            store=vertices,
            ordered=ledger_stale,
            checker=parts.checker,
            positions=positions,
            sealer=sealer,
            engine=engine,
            author=author,
            ledger=ledger,
        )
        pids = {"supervisor": [os.getppid()], "front": [os.getpid()], **parts.pids}
        service = NodeService(
            identity=identity,
            reads=reads,
            dag=DagService(dag, run_in_reader=reader.run),
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
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(watch()) for watch in (*parts.watch, rights.run)]
            await parts.executor.ready()
            ordering = group.create_task(engine.run())
            sealing = group.create_task(sealer.run())
            found = await recovery.run()
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
    verifier_children = [
        children.spawn("drystone.workers.verifier", [identity.ledger.hex()]) for _ in range(count)
    ]
    channels = [await AsyncChannel.open(child.end) for child in verifier_children]
    verifiers = Verifiers(channels, senders)
    client = ExecutorClient(await AsyncChannel.open(executor_child.end))
    pids = {
        "executor": [executor_child.process.pid],
        "verifiers": [child.process.pid for child in verifier_children],
    }
    return Parts(verifiers, client, (verifiers.run, client.run), pids)


def place_finder(reads: Reads, reader: processes.Worker) -> FindPlace:
    """Give the function that finds where a committed record lies, for copies of it."""

    async def find(stream: tuple[str, ...], *, epoch: int, seq: int) -> FoundPlace | None:
        return await find_place(reads, reader.run, stream, epoch=epoch, seq=seq)

    return find


def now_ms() -> int:
    """Give the wall clock's Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


async def run_until_told(identity: Identity, *, lifeline: int | None, restarts: int) -> None:
    """Run the front until SIGTERM, or until the lifeline's other end is closed."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if lifeline is None:
        loop.add_signal_handler(signal.SIGINT, stop.set)
    else:
        # Ctrl-C reaches the whole foreground group; the supervisor answers for all of it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        def gone() -> None:
            loop.remove_reader(lifeline)
            stop.set()

        loop.add_reader(lifeline, gone)
    await run_front(identity, restarts=restarts, stop=stop)


def explain(error: BaseException) -> DrystoneError | None:
    """Give the first error of ours in a group of errors; the rest followed from it."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return next((found for one in group.exceptions if (found := explain(one))), None)
    return error if isinstance(error, DrystoneError) else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the front of the node whose home is the first argument; give the exit code."""
    parser = argparse.ArgumentParser(prog="drystone.node", description="The front of a node.")
    parser.add_argument("home", type=Path)
    parser.add_argument("--lifeline", type=int, default=None)
    parser.add_argument("--restarts", type=int, default=0)
    options = parser.parse_args(arguments)
    logs.configure(form="auto", level="info")
    # `kill -USR1` makes a node that hangs say where.
    faulthandler.register(signal.SIGUSR1)
    if not __debug__:
        log.error("a node does not run under -O: its assertions are what stops it in time")
        return EXIT_REFUSED
    try:
        identity = open_home(options.home)
        logs.configure(
            form=identity.settings.node.log_format, level=identity.settings.node.log_level
        )
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(
                run_until_told(identity, lifeline=options.lifeline, restarts=options.restarts)
            )
    except (DrystoneError, BaseExceptionGroup) as error:
        known = explain(error)
        if known is None:
            log.exception("the node failed")
            return EXIT_BROKEN
        log.error("the node stops: %s", known, extra={"code": known.code, "fix": known.fix})
        return EXIT_REFUSED if isinstance(known, START_REFUSED) else EXIT_BROKEN
    return EXIT_CLEAN


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Give uvloop's loop where it is installed."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop
