"""A follower: the only place where its objects, tasks and threads are made and tied together.

It pulls vertices and blocks from its peers, executes them again, and serves reads, receipts and proofs over its own
copy; it takes no records and seals nothing. What it signs, it signs with its own key: a verifier believes it where the
trust file lists that key. The clocks are read in `clocks.py`. Source: design.md sections 2 and 3.5, issue 5 item 3.
"""

import asyncio
import gc
import logging
import time
from contextlib import AsyncExitStack
from random import Random

from drystone import limits
from drystone.gateway.sync.effects import Own
from drystone.gateway.sync.holdings import VertexHoldings, member_keys
from drystone.home.admission import take_admission
from drystone.home.authority import TlsFiles
from drystone.home.layout import Identity, write_endpoints
from drystone.home.room import DiskRoom
from drystone.node.author_keys import keys_of_authors
from drystone.node.clocks import monotonic_ms, now_ms
from drystone.node.exchange import Exchange
from drystone.node.following import Following, FollowParts, Front, open_executor, own_pids
from drystone.service.front_parts import TakesNone
from drystone.service.proofs import Proofs
from drystone.service.sync_reads import SyncReads
from drystone.service.web import serve
from drystone.storage.vertices import VertexDB
from drystone.workers import processes

log = logging.getLogger("drystone.node")


async def run_follower(identity: Identity, *, restarts: int, stop: asyncio.Event) -> None:
    """Make everything, serve until `stop`, end everything in order.

    Raises:
        PortTaken, HomeInvalid, ConfigInvalid, TlsFilesInvalid: the follower cannot start here.
        Diverged: it comes to something else than was signed.
        Broken: a process or a database failed.
    """
    home, settings, ledger = identity.home, identity.settings, identity.ledger
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(processes.locked(home))
        listener = stack.enter_context(processes.listen(settings.http.host, settings.http.port))
        stack.callback(home.endpoints.unlink, missing_ok=True)
        children = processes.Children()
        stack.callback(children.end)
        if take_admission(identity):
            log.info("the admission is installed")
        vertices = VertexDB.open(home.vertices, ledger)
        stack.callback(vertices.close)
        writer = processes.Worker("vertices")
        stack.callback(writer.close)
        room = DiskRoom(home, settings.storage, monotonic_s=time.monotonic)
        executors = await open_executor(identity, children, lock=lock)
        following = Following(identity, stack, executors=executors, room=room, provisional=False)
        exchange = open_exchange(identity, following, vertices=vertices, writer=writer)
        parts = FollowParts(follower=following, exchange=exchange, room=room)
        exchange.use(parts)
        following.tells(exchange)
        none = TakesNone()
        pids = own_pids()
        service = following.service(
            Front(none, none, none, none),
            exchange,
            pids=[pid for group in pids.values() for pid in group],
            restarts=restarts,
        )
        async with asyncio.TaskGroup() as group:
            watching = await following.start(group)
            watching.append(group.create_task(parts.run()))
            ending = asyncio.Event()
            exchanging = group.create_task(exchange.run(ending))
            serving = group.create_task(serve(service, identity, listener, stop))
            url = processes.url_of(listener)
            write_endpoints(home, url=url, pids={**pids, **following.pids}, ledger=ledger)
            log.info("follower is up at %s", url, extra={"height": following.height})
            gc.freeze()
            gc.set_threshold(limits.GC_OBJECTS, 20, 20)
            await stop.wait()
            log.info("follower stops")
            service.stop()
            await serving
            ending.set()
            await exchanging
            await following.stop()
            for task in watching:
                task.cancel()
        await following.close()


def open_exchange(
    identity: Identity, following: Following, *, vertices: VertexDB, writer: processes.Worker
) -> Exchange:
    """Make the exchange of a follower, which passes on everything it has. Raises: TlsFilesInvalid, ConfigInvalid."""
    node, ledger = identity.node, identity.ledger
    reads = following.reads
    proofs = Proofs(identity, reads)
    return Exchange(
        own=Own(
            ledger=ledger,
            iss=node.organisation,
            sub=node.member,
            role="follower",
            instance=now_ms(),
            features=("blocks", "bodies"),
        ),
        secret=node.secret,
        settings=identity.settings.sync,
        files=TlsFiles(identity.home.tls),
        view=following.stale,
        store=vertices,
        store_read=reads.vertices,
        holdings=VertexHoldings(
            store=following.vertices_loop,
            ledger=ledger,
            key_of=keys_of_authors(following.stale),
            member_key_of=member_keys(following.stale),
        ),
        write=writer.run,
        read=following.reader.run,
        serves=SyncReads(reads.ledger, reads.vertices, signed_head=proofs.signed_head),
        height=following.height,
        clock_ms=monotonic_ms,
        wall_ms=now_ms,
        random=Random(),  # noqa: S311 - spreads redials, hides nothing
    )
