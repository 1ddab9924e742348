"""The exchange: sessions on links, what they want stored, loaded and answered, and who here is told of it.

Every role drives the same protocol with this: links carry a session's messages, its effects are carried out here, off
the loop where they block, and what arrives goes to the role's own part (`Parts`). It decides nothing: form, signatures,
places and bodies were checked by the sessions, records are checked by whoever takes them over. A link reads its next
message only when its effects are done, so that a slow disk slows its peer down instead of filling memory.

Place in a record's life: between one gateway's vertices and the next one's. Source: docs/spec/sync.md.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from random import Random
from typing import Any, Final, Protocol, TypeVar

from drystone.errors import DiskFull, DrystoneError, PeerFault
from drystone.gateway.sync.effects import Arrived, Effects, Own, PeerName, SyncBounds
from drystone.gateway.sync.holdings import VertexHoldings
from drystone.gateway.sync.messages import (
    Frontier,
    Heads,
)
from drystone.gateway.sync.peers import Peers, PeerStatus
from drystone.gateway.sync.session import Session
from drystone.gateway.sync.wire import type_of
from drystone.home.authority import TlsFiles
from drystone.home.config import SyncSettings
from drystone.ledger.view import Reader
from drystone.limits import VERTEX_LINKS_MAX
from drystone.node.announcing import Announcer
from drystone.node.sides import Carrier, Serves, blamed
from drystone.records.dag import Author
from drystone.records.key import SecretKey
from drystone.records.vertex import VertexHeader
from drystone.storage.vertices import StoredVertex, VertexDB
from drystone.transport.links import Hooks, Links, PeerReport, keys_on

LOOK_S: Final = 2.0
"""How often the role's part is asked whether there is anything to ask of peers."""

Result = TypeVar("Result")

log = logging.getLogger("drystone.node")


class Run(Protocol):
    """Runs a blocking function in one thread."""

    def __call__(self, function: Callable[[], Result]) -> Awaitable[Result]:
        """Give the function's result, or raise what it raises."""
        ...


class Parts(Protocol):
    """What a role does with what arrives. Called on the loop."""

    def check_room(self) -> None:
        """Refuse to store others' vertices now. Raises: DiskFull."""
        ...

    def kept(self, stored: Sequence[StoredVertex], arrived: Sequence[Arrived]) -> None:
        """These vertices of others are durable now."""
        ...

    async def opened(self, peer: PeerName) -> None:
        """A session with a peer has begun."""
        ...

    async def told(self, peer: PeerName, effects: Effects) -> None:
        """A peer told blocks, outcomes, rows, forks. Raises: BlockForged."""
        ...

    async def look(self) -> None:
        """Some time has passed."""
        ...


class _LinkSession:
    """A session as links drive it: the wall clock's claim goes into the first message."""

    def __init__(self, session: Session, wall_ms: Callable[[], int]) -> None:
        self.session = session
        self._wall_ms = wall_ms
        self.heard = False
        self.frontier = False
        """Whether the peer has told where chains end there."""

    def opened(self, now_ms: int) -> Effects:
        return self.session.opened(now_ms, time_ms=self._wall_ms())

    def received(self, message: bytes, now_ms: int) -> Effects:
        self.heard = True
        self.frontier = self.frontier or type_of(message) is Frontier
        return self.session.received(message, now_ms)

    def tick(self, now_ms: int) -> Effects:
        return self.session.tick(now_ms)


class Exchange:
    """All sessions of a process, over its links, its store and its role's part."""

    def __init__(  # tidy: long, because its parameters are all that sync needs of a process
        self,
        *,
        own: Own,
        secret: SecretKey,
        settings: SyncSettings,
        files: TlsFiles,
        view: Reader,
        store: VertexDB,
        store_read: VertexDB,
        holdings: VertexHoldings,
        write: Run,
        read: Run,
        serves: Serves | None,
        height: int = 0,
        clock_ms: Callable[[], int],
        wall_ms: Callable[[], int],
        random: Random,
        bounds: SyncBounds | None = None,
        carrier: Callable[[Hooks[Effects]], Carrier] | None = None,
    ) -> None:
        """Read the certificates; nothing is opened before `run`.

        `store_read` is for the reading thread; `height` is of the last block; `carrier` makes other links than TLS.

        Raises: TlsFilesInvalid, ConfigInvalid.
        """
        self._own = own
        self._uplinks = {Author(*one.name.split("/")) for one in settings.peers if one.uplink}
        self._slow = {Author(*one.name.split("/")) for one in settings.peers if one.slow}
        if own.role != "node" and not self._uplinks:
            log.warning("sync.peers: no peer has `uplink = true`: nobody will tell outcomes")
        self._store, self._store_read = store, store_read
        self.holdings = holdings
        self._write, self._read = write, read
        self._serves = serves
        self._clock_ms, self._wall_ms = clock_ms, wall_ms
        self.peers = Peers(own=own, store=holdings, bounds=bounds or SyncBounds())
        self._sessions: dict[PeerName, Session] = {}
        self._driven: dict[PeerName, _LinkSession] = {}
        self._unopened: dict[PeerName, _LinkSession] = {}
        """Sessions whose peer has said nothing yet."""
        self._parts: Parts | None = None
        self._group: asyncio.TaskGroup | None = None
        self._grown = asyncio.Event()
        self._own_new: list[Arrived] = []
        self._height = self._told_height = height
        hooks: Hooks[Effects] = Hooks(
            on_session=self._on_session,
            keys_of=keys_on(view),
            admits=lambda peer: self.peers.admits(peer, clock_ms()),
            on_effects=self._on_effects,
            on_closed=self._on_closed,
        )

        def tls(hooks: Hooks[Effects]) -> Carrier:
            return Links(
                own=Author(own.iss, own.sub),
                secret=secret,
                files=files,
                settings=settings,
                hooks=hooks,
                clock_ms=clock_ms,
                unix_s=lambda: wall_ms() / 1000,
                random=random,
            )

        self.links = (carrier or tls)(hooks)
        self._announcer = Announcer(
            own=own,
            secret=secret,
            addresses=settings.announce,
            board=holdings,
            dial=self.links.set_announced,
        )

    def use(self, parts: Parts) -> None:
        """Say whose part takes what arrives; before `run`."""
        self._parts = parts

    # --- what the process tells ---------------------------------------------------------------------

    def sealed(self, header: VertexHeader, own_id: bytes) -> None:
        """An own vertex is durable, body and all: peers are told as soon as the loop comes to it."""
        self._own_new.append(Arrived(header, b"", own_id))
        self._grown.set()

    def committed(self, height: int) -> None:
        """The ledger here has grown: peers that wait for blocks or outcomes are answered."""
        self._height = height
        self._grown.set()

    def registry_changed(self) -> None:
        """The registry as known here has changed: unknown authors may be known, open links be no longer allowed."""
        self.holdings.registry_changed()
        self.links.recheck()
        self._announcer.announce()

    def tips(self) -> list[bytes]:
        """Give whole vertices that no vertex here cites, for the next vertex to cite; bounded as a vertex's links."""
        tips = self.holdings.tips(limit=4 * VERTEX_LINKS_MAX)
        whole = [own_id for own_id in tips if self.holdings.has_body(own_id)]
        return whole[:VERTEX_LINKS_MAX]

    def knows_all(self) -> bool:
        """Whether an uplink has told where all chains end there, and no vertex of them is missing here."""
        return any(
            driven.frontier and not driven.session.behind
            for name, driven in self._driven.items()
            if name in self._uplinks
        )

    def heads(self) -> list[Heads]:
        """Give where every author's chain ends here."""
        return self.holdings.heads()

    def status(self) -> list[PeerStatus]:
        """Give what is known of every peer ever seen."""
        return self.peers.status(self._clock_ms())

    def report(self) -> list[PeerReport]:
        """Give what there is to say of every peer's links."""
        return self.links.report()

    @property
    def uplinks(self) -> set[PeerName]:
        """Peers from whom order, outcomes and registry are pulled."""
        return self._uplinks

    async def ask(self, peer: PeerName, question: Callable[[Session, int], Effects]) -> bool:
        """Put a question to a peer's session; False when there is none now."""
        session = self._sessions.get(peer)
        if session is None:
            return False
        await self._act(peer, question(session, self._clock_ms()))
        return True

    # --- running ------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Exchange until `stop`.

        Raises: PortTaken; Broken when the disk failed.
        """
        self._announcer.announce()
        async with asyncio.TaskGroup() as group:
            self._group = group
            telling = group.create_task(self._tell())
            looking = group.create_task(self._look())
            await self.links.run(stop)
            telling.cancel()
            looking.cancel()

    async def _tell(self) -> None:
        """Tell peers of own vertices and of commits, as they come."""
        while True:
            await self._grown.wait()
            self._grown.clear()
            new, self._own_new = self._own_new, []
            if new:
                await self._spread(self.peers.kept(new, self._clock_ms()))
            if self._height > self._told_height:
                self._told_height = height = self._height
                for name, session in list(self._sessions.items()):
                    await self._act(name, session.committed(height, self._clock_ms()))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self._spread(self.peers.tick(self._clock_ms()))
            if self._parts is not None:
                await self._parts.look()

    # --- links --------------------------------------------------------------------------------------

    def _on_session(self, peer: Author, dialled: bool) -> _LinkSession | None:
        now_ms = self._clock_ms()
        if not self.peers.admits(peer, now_ms):
            return None
        session = self.peers.session(
            peer,
            now_ms=now_ms,
            uplink=peer in self._uplinks,
            bounds=SyncBounds.slow() if peer in self._slow else None,
        )
        # Before its hello, which says it: nothing follows from it yet.
        session.committed(self._told_height, now_ms)
        self._sessions[peer] = session
        log.debug("session with %s/%s, dialled: %s", *peer, dialled)
        driven = _LinkSession(session, self._wall_ms)
        self._driven[peer] = self._unopened[peer] = driven
        return driven

    def _on_closed(self, peer: Author, fault: DrystoneError | None) -> None:
        session = self._sessions.pop(peer, None)
        self._driven.pop(peer, None)
        self._unopened.pop(peer, None)
        now_ms = self._clock_ms()
        if isinstance(fault, PeerFault):
            self.peers.fault(peer, fault, now_ms)
        if session is None:
            return
        for name, effects in self.peers.closed(session, now_ms).items():
            self.links.act(name, effects)

    async def _on_effects(self, peer: Author, effects: Effects) -> None:
        """Carry out what a session wants beside sending."""
        session = self._sessions.get(peer)
        if session is None:
            return
        for fault in effects.faults:
            log.warning("%s/%s: %s: %s", *peer, fault.code, fault)
        if effects.keep:
            await self._whole(self._keep(effects.keep))
        for own_id in effects.load:
            packed = await self._read(lambda own_id=own_id: self._store_read.packed(own_id))
            await self._act(peer, session.loaded(own_id, packed, self._clock_ms()), session)
        await self._serve(peer, session, effects)
        if effects.announced:
            self._announcer.heard()
        if self._parts is None:
            return
        new = self._unopened.get(peer)
        if new is not None and new.heard:
            del self._unopened[peer]
            await self._parts.opened(peer)
        told = effects.blocks or effects.rows or effects.done or effects.forks or effects.announced
        if told:
            try:
                await self._whole(self._parts.told(peer, effects))
            except PeerFault as fault:
                self.peers.fault(peer, fault, self._clock_ms())
                self.links.end(peer, fault)

    async def _serve(self, peer: Author, session: Session, effects: Effects) -> None:
        """Answer what a peer asks of the ledger, where there is one."""
        serves = self._serves
        if serves is None:
            return
        for want in effects.load_blocks:
            blocks = await self._read(lambda want=want: serves.blocks(want))
            if blocks:
                height = blocks[-1].height
                await self._act(
                    peer, session.blocks_loaded(height, blocks, self._clock_ms()), session
                )
        for ask in effects.load_rows:
            found = await self._read(lambda ask=ask: serves.rows(ask))
            await self._act(peer, session.rows_loaded(found, self._clock_ms()), session)
        for have in effects.load_done:
            done = await self._read(lambda have=have: serves.done(peer.iss, peer.sub, have))
            if done is not None:
                await self._act(peer, session.done_loaded(done, self._clock_ms()), session)

    async def _whole(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something to its end though the link for which it is done is cut meanwhile.

        What is staged must be stored, or said to be dropped: else its children would be taken, and it never again.
        """
        group = self._group
        if group is None:
            await work
            return
        fault = await asyncio.shield(group.create_task(blamed(work)))
        if fault is not None:
            raise fault

    async def _keep(self, arrived: Sequence[Arrived]) -> None:
        """Store vertices of others, and tell everybody of them."""
        parts = self._parts
        pairs = [(one.header.raw, one.body) for one in arrived]
        try:
            if parts is not None:
                parts.check_room()
            stored = await self._write(lambda: self._store.keep(pairs))
        except DiskFull as error:
            log.warning("others' vertices are not taken: %s", error)
            self.peers.dropped(arrived, self._clock_ms())
            return
        if parts is not None:
            parts.kept(stored, arrived)
        await self._spread(self.peers.kept(arrived, self._clock_ms()))

    async def _spread(self, effects: Mapping[PeerName, Effects]) -> None:
        for name, one in effects.items():
            await self._act(name, one)

    async def _act(self, peer: PeerName, effects: Effects, session: Session | None = None) -> None:
        """Send, and carry out the rest; nothing when the session ended meanwhile."""
        if session is not None and self._sessions.get(peer) is not session:
            return
        self.links.act(peer, effects)
        await self._on_effects(peer, effects)
