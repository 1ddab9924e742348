"""A node's part in the exchange: others' vertices go to the engine, its ledger is told to whoever asks.

What arrives is held as not yet ordered and fed to the engine (`gateway/feeder.py`); every commit frees what it ordered
and answers peers that wait. Evidence of a fork is put before the ledger as a call of this node's own: from its block on
the branch is suspended. Nothing here decides.

Place in a record's life: between vertex and order. Source: design.md sections 3.3 to 3.5.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import NamedTuple

from drystone.api.dag_values import PeerInfo
from drystone.errors import KeyUnknown, Refused, Unavailable
from drystone.gateway.convict import Convictor
from drystone.gateway.doubles import Doubles
from drystone.gateway.feeder import Feeder
from drystone.gateway.reopen import Reopened
from drystone.gateway.seal import Engine, Sealer
from drystone.gateway.stale import StaleView
from drystone.gateway.sync.effects import Arrived, Effects, Own, PeerName
from drystone.gateway.sync.holdings import VertexHoldings, member_keys
from drystone.gateway.verifiers import RecordChecker
from drystone.home.authority import TlsFiles
from drystone.home.layout import Identity
from drystone.home.room import DiskRoom
from drystone.ledger import keyspace
from drystone.ledger.change import OrderedVertex
from drystone.node.author_keys import keys_of_authors
from drystone.node.clocks import monotonic_ms, now_ms
from drystone.node.exchange import Exchange, Run
from drystone.records.key import PublicKey
from drystone.service.dag_service import peer_info
from drystone.service.proofs import Proofs
from drystone.service.reads import Reads
from drystone.service.sync_reads import SyncReads
from drystone.storage.ledger import LedgerDB
from drystone.storage.vertices import StoredVertex, VertexDB
from drystone.workers import processes
from drystone.workers.messages import Executed

log = logging.getLogger("drystone.node")


class ToldEngine:
    """An engine whose own vertices peers are told of as well."""

    def __init__(self, engine: Engine, exchange: Exchange) -> None:
        self._engine = engine
        self._exchange = exchange

    @property
    def idle(self) -> bool:
        """Whether a vertex handed over now would be ordered at once."""
        return self._engine.idle

    def submit(self, vertex: OrderedVertex, vertex_id: bytes) -> None:
        """Take an own stored vertex over. Raises: Overloaded."""
        self._exchange.sealed(vertex.header, vertex_id)
        self._engine.submit(vertex, vertex_id)


class NodePart:
    """What a node does with what peers send."""

    def __init__(
        self, sync: "NodeExchange", *, sealer: Sealer, room: DiskRoom, convictor: Convictor
    ) -> None:
        self._exchange = sync.exchange
        self._feeder = sync.feeder
        self._serves = sync.serves
        self._sealer = sealer
        self._room = room
        self._convictor = convictor
        self._doubles = sync.doubles
        self._read = sync.read

    # --- as the exchange calls it ------------------------------------------------------------------

    def check_room(self) -> None:
        """Refuse others' vertices while the disk is full. Raises: DiskFull."""
        self._room.check()

    def kept(self, stored: Sequence[StoredVertex], arrived: Sequence[Arrived]) -> None:
        """Hold what came, and feed what is whole."""
        for one, arrival in zip(stored, arrived, strict=True):
            self._sealer.hold(one)
            if arrival.body is not None or not arrival.header.count:
                self._feeder.offer(one.id, arrival.header.parent)

    async def opened(self, peer: PeerName) -> None:
        """Nothing is asked of peers but vertices, and that the session does."""

    async def told(self, peer: PeerName, effects: Effects) -> None:
        """Put evidence of forks before the ledger."""
        del peer
        await self._convict(effects.forks)

    async def look(self) -> None:
        """Put evidence before the ledger that vertices kept here, or records ordered twice, have revealed."""
        await self._convict(self._exchange.peers.evidence())
        if self._doubles is not None and self._read is not None and self._doubles.waiting:
            found = await self._read(self._doubles.find)
            for one in found:
                self._exchange.holdings.add_fork(one)  # Peers hear of it, too.
            await self._convict(found)

    # --- as the node calls it ----------------------------------------------------------------------

    def adopt(self, stored: StoredVertex) -> None:
        """Take over another author's vertex that an earlier process stored and the ledger does not know."""
        self._sealer.hold(stored)
        self._feeder.offer(stored.id, None)

    def commit(self, done: Executed) -> None:
        """Free what was ordered, and answer peers that wait for it."""
        for own_id in done.vertices:
            self._feeder.settled(own_id)
        if self._doubles is not None:
            self._doubles.note(done)
        if any(keyspace.space_of(key) in keyspace.REGISTRY for key in done.writes):
            self._serves.forget_rows()
            self._exchange.registry_changed()
        self._exchange.committed(done.height)

    async def _convict(self, evidence: Sequence[bytes]) -> None:
        for one in evidence:
            try:
                await self._convictor.submit(one)
            except (Refused, Unavailable) as error:
                log.warning("evidence of a fork was not taken: %s", error)


class NodeExchange(NamedTuple):
    """What a node has for its peers."""

    exchange: Exchange
    feeder: Feeder
    serves: SyncReads
    doubles: Doubles | None = None
    read: Run | None = None
    """Runs what blocks in the thread that `doubles` reads in."""

    def peers(self) -> list[PeerInfo]:
        """Give every peer as the API shows it."""
        return [peer_info(status) for status in self.exchange.status()]


class NodeStores(NamedTuple):
    """Files and threads that the exchange shares with the node."""

    vertices: VertexDB
    writer: processes.Worker
    stale: StaleView
    height: int


def open_node_exchange(
    identity: Identity,
    stack: AsyncExitStack,
    *,
    stores: NodeStores,
    checker: RecordChecker,
    engine: Engine,
) -> NodeExchange:
    """Make a node's exchange with a reading thread and connections of its own; `stack` closes them.

    Raises: TlsFilesInvalid, ConfigInvalid.
    """
    home, ledger, node = identity.home, identity.ledger, identity.node
    vertices_loop = VertexDB.open(home.vertices, ledger, read_only=True)
    stack.callback(vertices_loop.close)
    vertices_sync = VertexDB.open(home.vertices, ledger, read_only=True)
    stack.callback(vertices_sync.close)
    ledger_sync = LedgerDB.open(home.ledger, ledger=ledger, read_only=True)
    stack.callback(ledger_sync.close)
    reader = processes.Worker("sync")
    stack.callback(reader.close)
    proofs = Proofs(identity, Reads(ledger_sync, vertices_sync))
    serves = SyncReads(ledger_sync, vertices_sync, signed_head=proofs.signed_head)
    exchange = Exchange(
        own=Own(
            ledger=ledger,
            iss=node.organisation,
            sub=node.member,
            role=identity.settings.node.role,
            instance=now_ms(),
            features=("blocks", "bodies"),
        ),
        secret=node.secret,
        settings=identity.settings.sync,
        files=TlsFiles(home.tls),
        view=stores.stale,
        store=stores.vertices,
        store_read=vertices_sync,
        holdings=VertexHoldings(
            store=vertices_loop,
            ledger=ledger,
            key_of=keys_of_authors(stores.stale),
            member_key_of=member_keys(stores.stale),
        ),
        write=stores.writer.run,
        read=reader.run,
        serves=serves,
        height=stores.height,
        clock_ms=monotonic_ms,
        wall_ms=now_ms,
        random=Random(),  # noqa: S311 - spreads redials, hides nothing
    )
    feeder = Feeder(
        store=vertices_sync,
        ordered=ledger_sync,
        reopened=Reopened(store=vertices_sync, checker=checker),
        engine=engine,
        run_in_reader=reader.run,
    )
    everybody = member_keys(ledger_sync)

    def key_of(iss: str, sub: str, kid: bytes) -> PublicKey:
        key = everybody(iss, sub, kid)
        if key is None:
            raise KeyUnknown(f"{iss}/{sub} has no key {kid.hex()} that convicts")
        return key

    doubles = Doubles(ledger=ledger_sync, vertices=vertices_sync, key_of=key_of, ledger_id=ledger)
    return NodeExchange(exchange, feeder, serves, doubles, reader.run)


def start_exchange(
    group: asyncio.TaskGroup, sync: NodeExchange, stop: asyncio.Event
) -> tuple[asyncio.Task[None], ...]:
    """Begin to exchange and to feed the engine."""
    return (
        group.create_task(sync.exchange.run(stop)),
        group.create_task(sync.feeder.run()),
    )
