"""A gateway: the only place where its objects, tasks and threads are made and tied together. One process.

Transports, intake, seal, exchange; no engine, no executor, no ledger. What is taken in is sealed and lies in
vertices.db until the uplink's word about it is here, checked; meanwhile it is told to whoever links. Every object has
one name here, every task is in one group; the clocks are read here. It may not decide anything about a record.

    supervisor --lifeline--> gateway --> vertices.db, mirror.db
                                |  `--TLS--> other gateways, the uplink

Source: design.md sections 3.2, 3.3 and 7; issue 5 item 1.
"""

import asyncio
import contextlib
import gc
import logging
import os
import sys
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from drystone import limits
from drystone.errors import (
    DatabaseCorrupt,
    DatabaseForeign,
    DiskFailed,
    KeyUnknown,
    MemberUnknown,
    ProfileUnknown,
    TlsFilesInvalid,
)
from drystone.gateway.attest import Attestor
from drystone.gateway.buffer import Buffer, Pruner, used_bytes
from drystone.gateway.forward import Forward
from drystone.gateway.held import LetGo
from drystone.gateway.intake import Bounds, FoundPlace, Intake
from drystone.gateway.own_streams import OwnStreams
from drystone.gateway.positions import Positions
from drystone.gateway.recover import find_author
from drystone.gateway.reopen import Reopened
from drystone.gateway.seal import Pace, Sealer
from drystone.gateway.senders import Senders
from drystone.gateway.sync.effects import Own
from drystone.gateway.sync.holdings import VertexHoldings, member_keys
from drystone.gateway.uplink import Uplink
from drystone.gateway.verifiers import InProcess
from drystone.home.admission import make_mirror, take_admission
from drystone.home.authority import TlsFiles
from drystone.home.layout import Home, Identity, write_endpoints
from drystone.home.room import DiskRoom
from drystone.node.author_keys import keys_of_authors
from drystone.node.clocks import monotonic_ms, now_ms
from drystone.node.exchange import Exchange
from drystone.node.gateway_epoch import MARKER, GatewayEpoch
from drystone.node.gateway_part import GatewayPart
from drystone.node.gateway_recovery import GatewayRecovery
from drystone.proof.trust import parse_trust
from drystone.records.vertex import VertexHeader
from drystone.service.gateway_service import GatewayService
from drystone.service.gateway_web import serve_gateway
from drystone.storage.mirror import MirrorDB
from drystone.storage.vertices import VertexDB
from drystone.workers import processes

UNKNOWN: Final = (MemberUnknown.code, KeyUnknown.code, ProfileUnknown.code)
"""Codes of records whose sender is not in the registry as it is known here."""

log = logging.getLogger("drystone.node")


async def run_gateway(  # tidy: long, because this is the wiring, and one place shows all of it
    identity: Identity, *, restarts: int, stop: asyncio.Event
) -> None:
    """Make everything, serve until `stop`, end everything in order.

    Raises:
        PortTaken, HomeInvalid, ConfigInvalid: the gateway cannot start here.
        Broken: a database failed.
    """
    home, settings, ledger = identity.home, identity.settings, identity.ledger
    node = identity.node
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(processes.locked(home))
        listener = stack.enter_context(processes.listen(settings.http.host, settings.http.port))
        stack.callback(home.endpoints.unlink, missing_ok=True)
        if take_admission(identity):
            log.info("the admission is installed")
        vertices = VertexDB.open(home.vertices, ledger)
        stack.callback(vertices.close)
        # One reader for the loop (sync's headers), one for the reading thread.
        vertices_loop = VertexDB.open(home.vertices, ledger, read_only=True)
        stack.callback(vertices_loop.close)
        vertices_read = VertexDB.open(home.vertices, ledger, read_only=True)
        stack.callback(vertices_read.close)
        mirror = open_mirror(identity)
        stack.callback(mirror.close)
        mirror_read = MirrorDB.open(home.mirror, ledger, read_only=True)
        stack.callback(mirror_read.close)
        writer, reader = processes.Worker("vertices"), processes.Worker("reads")
        stack.callback(writer.close)
        stack.callback(reader.close)

        streams = OwnStreams(mirror_read)
        room = DiskRoom(
            home,
            settings.storage,
            monotonic_s=time.monotonic,
            used_bytes=lambda: (
                used_bytes(vertices_loop.database) + used_bytes(mirror_read.database)
            ),
        )
        following = None
        if settings.gateway.provisional:
            # Only then: executor and API are most of what a process weighs.
            from drystone.node.following import open_beside

            following = await open_beside(identity, stack, lock=lock, room=room)
            # What the executed ledger says, and what is foreseen of it, is newer than the mirror.
            senders, checker = following.senders, following.checker
        else:
            senders = Senders(streams)
            checker = InProcess(senders, ledger)
        positions = Positions(streams)
        buffer = Buffer(monotonic_s=time.monotonic)
        author = find_author(vertices, iss=node.organisation, sub=node.member, secret=node.secret)
        exchange = open_exchange(
            identity,
            streams=streams,
            vertices=vertices,
            vertices_loop=vertices_loop,
            vertices_read=vertices_read,
            writer=writer,
            reader=reader,
        )

        def tell(header: VertexHeader, own_id: bytes) -> None:
            if exchange is not None:
                exchange.sealed(header, own_id)

        forward = Forward(tell=tell, buffer=buffer)
        held = LetGo(positions, streams)
        sealer = Sealer(
            store=vertices,
            engine=forward if following is None else following.beside(forward),
            positions=positions,
            author=author,
            ledger=ledger,
            pace=Pace(linger_ms=settings.intake.linger_ms),
            run_in_worker=writer.run,
            clock_ms=now_ms,
            held=held,
            links=tuple if exchange is None else exchange.tips,
        )
        intake = Intake(
            checker=checker,
            committer=sealer,
            positions=positions,
            senders=senders,
            ledger=ledger,
            bounds=Bounds(settings.intake.records_max, settings.intake.bytes_max),
            room=room,
            find_place=_nowhere,
        )
        attestor = Attestor(
            author=author, intake=intake, positions=positions, senders=senders, ledger=ledger
        )
        epoch = GatewayEpoch(
            sealer=sealer,
            attestor=attestor,
            exchange=exchange,
            view=streams,
            marker=home.root / MARKER,
        )
        budget = settings.storage.budget_bytes
        keep_bytes = settings.gateway.keep_bytes
        if following is not None:
            keep_bytes, budget = sys.maxsize, 0  # It executes every body and reads from it.
        part = GatewayPart(
            exchange=exchange,
            mirror=mirror,
            uplink=Uplink(
                mirror=mirror,
                trust=parse_trust(home.trust.read_bytes()),
                held=lambda own_id: vertices.find(own_id) is not None,
            ),
            vertices=vertices,
            pruner=Pruner(
                vertices, mirror, keep_bytes=min(keep_bytes, budget // 2) if budget else keep_bytes
            ),
            streams=streams,
            senders=senders,
            checker=checker,
            sealer=sealer,
            buffer=buffer,
            room=room,
            epoch=epoch,
            positions=positions,
            reopened=Reopened(store=vertices, checker=checker),
            own=(node.organisation, node.member),
            write=writer.run,
            strangers=lambda: sum(intake.codes.get(code, 0) for code in UNKNOWN),
        )
        recovery = GatewayRecovery(
            store=vertices,
            checker=checker,
            positions=positions,
            streams=streams,
            sealer=sealer,
            author=author,
        )
        pids = {"supervisor": [os.getppid()], "front": [os.getpid()]}
        attestor = Attestor(
            author=author, intake=intake, positions=positions, senders=senders, ledger=ledger
        )
        service = GatewayService(
            identity=identity,
            intake=intake,
            attestor=attestor,
            sealer=sealer,
            checker=checker,
            buffer=buffer,
            room=room,
            vertices=vertices_read,
            mirror=mirror_read,
            exchange=exchange,
            run_in_reader=reader.run,
            wall_ms=now_ms,
            pids=[os.getpid()],
            restarts=restarts,
            beside=following,
        )
        async with asyncio.TaskGroup() as group:
            watching = [] if following is None else await following.start(group)
            sealing = group.create_task(sealer.run())
            await reader.run(
                partial(
                    buffer.load, vertices_read, mirror_read, iss=node.organisation, sub=node.member
                )
            )
            found = await recovery.run()
            ending = asyncio.Event()
            exchanging = None
            if exchange is not None:
                exchange.use(part)
                if following is not None:
                    watching.append(group.create_task(following.attach(exchange, part).run()))
                exchanging = group.create_task(exchange.run(ending))
            saving = group.create_task(part.save_streams())
            if following is None:
                serving = group.create_task(serve_gateway(service, identity, listener, stop))
            else:
                serving = group.create_task(
                    following.serve(
                        (intake, attestor, sealer, positions),
                        service,
                        exchange=exchange,
                        listener=listener,
                        restarts=restarts,
                        stop=stop,
                    )
                )
            url = processes.url_of(listener)
            write_endpoints(home, url=url, pids=pids, ledger=ledger)
            log.info("gateway is up at %s", url, extra=found._asdict())
            gc.freeze()
            gc.set_threshold(limits.GC_OBJECTS, 20, 20)
            await stop.wait()
            log.info("gateway stops")
            await serving
            sealer.stop()
            await sealing
            ending.set()
            if exchanging is not None:
                await exchanging
            saving.cancel()
            await streams.save(part.put_streams)
            if following is not None:
                await following.stop()
            for task in watching:
                task.cancel()
        await checker.close()
        if following is not None:
            await following.close()


def open_mirror(identity: Identity) -> MirrorDB:
    """Open the mirror; one that is missing or damaged is made again, because the uplink has all of it.

    Raises: as `MirrorDB.create`.
    """
    home = identity.home
    try:
        mirror = MirrorDB.open(home.mirror, identity.ledger)
        mirror.last  # noqa: B018 - raises where the file was never finished
    except (DatabaseCorrupt, DatabaseForeign, DiskFailed) as error:
        log.warning("mirror.db is made anew: %s", error)
        for path in (home.mirror, _beside(home, "-wal"), _beside(home, "-shm")):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        make_mirror(home, identity.genesis_bytes)
        return MirrorDB.open(home.mirror, identity.ledger)
    return mirror


def _beside(home: Home, suffix: str) -> Path:
    return home.mirror.with_name(home.mirror.name + suffix)


def open_exchange(
    identity: Identity,
    *,
    streams: OwnStreams,
    vertices: VertexDB,
    vertices_loop: VertexDB,
    vertices_read: VertexDB,
    writer: processes.Worker,
    reader: processes.Worker,
) -> Exchange | None:
    """Make the exchange; None for a gateway that was not admitted yet: it takes and keeps what comes, cut off.

    Raises: ConfigInvalid.
    """
    node, settings = identity.node, identity.settings
    carries, executes = settings.gateway.carries, settings.gateway.provisional
    own = Own(
        ledger=identity.ledger,
        iss=node.organisation,
        sub=node.member,
        role="gateway",
        instance=now_ms(),
        features=("bodies",) if carries or executes else (),
    )
    mine = f"{node.organisation}/{node.member}"
    uplinks = {peer.name for peer in settings.sync.peers if peer.uplink}

    def wants(header: VertexHeader) -> bool:
        # What an uplink sealed is with the uplink: its body need not come down a thin link.
        author = f"{header.iss}/{header.sub}"
        return author == mine or executes or (carries and author not in uplinks)

    holdings = VertexHoldings(
        store=vertices_loop,
        ledger=identity.ledger,
        key_of=keys_of_authors(streams),
        member_key_of=member_keys(streams),
        wants=wants,
    )
    try:
        return Exchange(
            own=own,
            secret=node.secret,
            settings=settings.sync,
            files=TlsFiles(identity.home.tls),
            view=streams,
            store=vertices,
            store_read=vertices_read,
            holdings=holdings,
            write=writer.run,
            read=reader.run,
            serves=None,
            clock_ms=monotonic_ms,
            wall_ms=now_ms,
            random=Random(),  # noqa: S311 - spreads redials, hides nothing
        )
    except TlsFilesInvalid as error:
        log.warning("cut off: this gateway was not admitted yet: %s", error)
        return None


async def _nowhere(stream: tuple[str, ...], *, epoch: int, seq: int) -> FoundPlace | None:
    """Find nothing: a gateway has no index of what is ordered."""
    del stream, epoch, seq
    return None
