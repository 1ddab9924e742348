"""What ties a simulated process to its peers: the real Peers, Holdings and sessions, their effects carried out on its disk.

Stores what arrives before anyone is told of it, reads what peers ask for, tells every session what is new.

Place in a record's life: between one gateway's vertices and the node's order. Source: `gateway/sync/effects.py`.
"""

import random
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from drystone.errors import DrystoneError, Unavailable
from drystone.gateway.sync.effects import Arrived, Effects, Own, SyncBounds
from drystone.gateway.sync.holdings import VertexHoldings
from drystone.gateway.sync.peers import Peers
from drystone.gateway.sync.session import Session
from drystone.ledger import keyspace, rows
from drystone.ledger.view import Reader
from drystone.records.dag import Author
from drystone.records.key import PublicKey, trusted_cose_key
from drystone.records.vertex import VertexHeader, decode_header
from drystone.sim.net_ground import ISS
from drystone.sim.net_links import Chaos, Network
from drystone.sim.net_ports import Ports
from drystone.sim.profiles import Profile
from drystone.storage.vertices import StoredVertex, VertexDB
from drystone.transport.link import Hooks

ROLE_OF_NODE: Final = "node"
ROLE_OF_GATEWAY: Final = "gateway"

Say = Callable[[str], None]
Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Plan(NamedTuple):
    """How a host is set up in a run."""

    orders: bool
    dials: Mapping[str, tuple[Profile, Chaos | None]]
    bounds: Mapping[str, SyncBounds]
    """By peer, where the usual ones do not fit the link."""
    seal_records: int = 8
    skew_ms: int = 0


class Process(Protocol):
    """What the exchange needs of the process that it is a part of."""

    @property
    def vertices(self) -> VertexDB:
        """The store."""
        ...

    def now_ms(self) -> int:
        """A clock that never goes back."""
        ...

    async def write(self, function: Callable[[], None]) -> None:
        """Do a write to the disk. Raises what the function raises."""
        ...


class TimedSession:
    """A session that is told the wall clock's claim when its link opens."""

    def __init__(self, session: Session, clock_ms: Callable[[], int]) -> None:
        self.session = session
        self._clock_ms = clock_ms

    def opened(self, now_ms: int) -> Effects:
        """The link is up."""
        return self.session.opened(now_ms, time_ms=self._clock_ms())

    def received(self, message: bytes, now_ms: int) -> Effects:
        """A message came."""
        return self.session.received(message, now_ms)

    def tick(self, now_ms: int) -> Effects:
        """The time asked for has come."""
        return self.session.tick(now_ms)


class Exchange:
    """The peers of one process."""

    def __init__(
        self,
        process: Process,
        *,
        name: str,
        ledger: bytes,
        registry: Reader,
        is_node: bool,
        bounds: Mapping[str, SyncBounds],
        clock_ms: Callable[[], int],
        say: Say,
        on_whole: Callable[[bytes, VertexHeader], None],
    ) -> None:
        """Read what is held; `on_whole` is told of others' vertices whose bodies are durable now, as they came."""
        self._process = process
        self._clock_ms = clock_ms
        self._say = say
        self._name = name
        self._on_whole = on_whole
        self._registry = registry
        self.holdings = VertexHoldings(store=process.vertices, ledger=ledger, key_of=self._key_of)
        self.peers = Peers(
            own=Own(
                ledger=ledger,
                iss=ISS,
                sub=name,
                role=ROLE_OF_NODE if is_node else ROLE_OF_GATEWAY,
                instance=clock_ms(),
            ),
            store=self.holdings,
            bounds=SyncBounds(),
        )
        self._bounds = bounds
        self.ports: Ports | None = None
        self._spawn: Spawn | None = None
        self._sessions: dict[Author, Session] = {}
        self.evidence: list[bytes] = []

    def start(
        self,
        plan: Plan,
        network: Network,
        draw: random.Random,
        spawn: Spawn,
    ) -> None:
        """Be reachable, and dial."""
        self._spawn = spawn
        hooks: Hooks[Effects] = Hooks(
            on_session=self.on_session,
            keys_of=lambda _: (),
            on_effects=self.on_effects,
            on_closed=self.on_closed,
        )
        self.ports = Ports(
            network=network,
            iss=ISS,
            name=self._name,
            hooks=hooks,
            dials=plan.dials,
            draw=draw,
            spawn=spawn,
            admits=lambda peer: self.peers.admits(peer, self._process.now_ms()),
        )
        self.ports.start()

    def stop(self) -> None:
        """Be gone: a process that died says nothing."""
        if self.ports is not None:
            self.ports.stop()

    def tips(self) -> Sequence[bytes]:
        """Vertices that the next own one cites: others' tips, known and durable here."""
        return self.holdings.tips()

    # --- hooks of the links --------------------------------------------------------------------------

    def on_session(self, peer: Author, dialled: bool) -> TimedSession | None:
        """Make the session of a link, or turn the peer away."""
        now_ms = self._process.now_ms()
        if not self.peers.admits(peer, now_ms):
            return None
        self._say(f"{self._name} {'-' if dialled else '<'}> {peer.sub}")
        session = self.peers.session(peer, now_ms=now_ms, bounds=self._bounds.get(peer.sub))
        self._sessions[peer] = session
        return TimedSession(session, self._clock_ms)

    def on_closed(self, peer: Author, fault: DrystoneError | None) -> None:
        """A link is gone."""
        self._say(f"{self._name} -/- {peer.sub}{f' {fault.code}: {fault}' if fault else ''}")
        session = self._sessions.pop(peer, None)
        if session is not None and self._spawn is not None:
            self._spawn(self._tell(self.peers.closed(session, self._process.now_ms())))

    async def on_effects(self, peer: Author, effects: Effects) -> None:
        """Do what a session wants beside sending, and what follows from it."""
        todo: deque[tuple[Author, Effects]] = deque([(peer, effects)])
        while todo:
            name, one = todo.popleft()
            for fault in one.faults:
                self._say(f"{self._name} faults {name.sub} {fault.code}: {fault}")
            self.evidence += one.forks
            session = self._sessions.get(name)
            for own_id in one.load:
                packed = self._process.vertices.packed(own_id)
                if session is not None:
                    todo.append((name, session.loaded(own_id, packed, self._process.now_ms())))
                    self._act(name, todo[-1][1])
            if one.keep:
                for other, more in (await self._keep(one.keep)).items():
                    todo.append((other, more))
                    self._act(other, more)

    async def told(self, own_id: bytes) -> None:
        """An own vertex is durable: tell the peers."""
        stored = self._process.vertices.find(own_id)
        assert stored is not None, "an own vertex is stored before anyone hears of it"
        body = self._process.vertices.body(stored.number)
        header = decode_header(stored.header)
        arrived = [Arrived(header, body or b"", own_id)]
        await self._tell(self.peers.kept(arrived, self._process.now_ms()))

    async def _keep(self, arrived: Sequence[Arrived]) -> dict[Author, Effects]:
        """Store what came; without room it is as if it had never come."""

        def write() -> None:
            self._process.vertices.keep([(one.header.raw, one.body) for one in arrived])

        try:
            await self._process.write(write)
        except Unavailable as error:
            self._say(f"{self._name} cannot keep {len(arrived)}: {error.code}")
            self.peers.dropped(arrived, self._process.now_ms())
            return {}
        for one in arrived:
            whole = "" if one.body is not None or not one.header.count else " without its body"
            self._say(f"{self._name} keeps {_place(one.header)} {one.id.hex()[:6]}{whole}")
        effects = self.peers.kept(arrived, self._process.now_ms())
        for one in arrived:
            if one.body is not None or not one.header.count:
                self._on_whole(one.id, one.header)
        return effects

    async def _tell(self, effects: dict[Author, Effects]) -> None:
        for name, one in effects.items():
            self._act(name, one)
            await self.on_effects(name, one)

    def _act(self, name: Author, effects: Effects) -> None:
        if self.ports is not None:
            self.ports.act(name, effects)

    def _key_of(self, iss: str, sub: str, kid: bytes) -> PublicKey | None:
        value = self._registry.get(keyspace.member_key(iss, sub, kid))
        return None if value is None else trusted_cose_key(rows.decode_key_row(value).cose_key)


def _place(header: VertexHeader | StoredVertex) -> str:
    return f"{header.sub} {header.epoch}/{header.seq}"
