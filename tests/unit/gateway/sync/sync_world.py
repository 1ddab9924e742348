"""Gateways without disks, sockets or clocks: real sessions and holdings over memory, and links that a test rules over."""

import hashlib
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from drystone import limits
from drystone.errors import PeerFault
from drystone.formats import cbor, cose
from drystone.gateway.sync.claims import Claims
from drystone.gateway.sync.effects import Arrived, Effects, Own, SyncBounds
from drystone.gateway.sync.holdings import VertexHoldings
from drystone.gateway.sync.messages import Done, Have, OrderedBlock, Rows, WantBlocks, WantRows
from drystone.gateway.sync.session import Session
from drystone.gateway.sync.wire import type_of
from drystone.records.dag import Author
from drystone.records.key import PublicKey, SecretKey
from drystone.records.vertex import VertexHeader, decode_header, seal_vertex, vertex_id
from drystone.storage.packing import packed
from drystone.storage.vertices import StoredVertex

LEDGER = bytes(range(32))
START_MS = 1_000
NAMES = tuple(f"g-{number}" for number in range(8))
KEYS = {
    name: SecretKey.generate(cose.ALG_EDDSA, hashlib.sha256(name.encode()).digest())
    for name in (*NAMES, "thief")
}


def key_of(iss: str, sub: str, kid: bytes) -> PublicKey | None:
    """Everybody's key, as if the registry were known."""
    key = KEYS[sub].public if iss == "ewz" and sub in KEYS else None
    return key if key is not None and key.kid() == kid else None


class MemoryVertices:
    """The twin of `VertexDB` as far as sync reads and writes it."""

    def __init__(self) -> None:
        self.rows: list[StoredVertex] = []
        self.by_id: dict[bytes, StoredVertex] = {}
        self.by_author: dict[tuple[str, str], list[StoredVertex]] = {}
        self.bodies: dict[int, bytes | None] = {}

    def keep(self, arrived: Sequence[tuple[bytes, bytes | None]]) -> list[StoredVertex]:
        kept: list[StoredVertex] = []
        for raw, body in arrived:
            header = decode_header(raw)
            own_id = vertex_id(header, LEDGER)
            stored = self.by_id.get(own_id)
            if stored is None:
                number = len(self.rows) + 1
                stored = StoredVertex(
                    number, own_id, header.iss, header.sub, header.epoch, header.seq, raw
                )
                self.rows.append(stored)
                self.by_id[own_id] = stored
                chain = self.by_author.setdefault((header.iss, header.sub), [])
                chain.append(stored)
                chain.sort(key=lambda one: (one.epoch, one.seq, one.number))
                self.bodies[number] = body
            elif body is not None and self.bodies.get(stored.number, b"") is None:
                self.bodies[stored.number] = body
            kept.append(stored)
        return kept

    def find(self, own_id: bytes, /) -> StoredVertex | None:
        return self.by_id.get(own_id)

    def packed(self, own_id: bytes) -> bytes | None:
        stored = self.by_id.get(own_id)
        body = None if stored is None else self.bodies.get(stored.number)
        return None if body is None else packed(body)

    def prune(self, own_id: bytes) -> None:
        del self.bodies[self.by_id[own_id].number]

    def at_place(self, iss: str, sub: str, *, epoch: int, seq: int) -> list[StoredVertex]:
        chain = self.by_author.get((iss, sub), [])
        return [one for one in chain if (one.epoch, one.seq) == (epoch, seq)]

    def arrived(self, *, after: int, limit: int) -> list[StoredVertex]:
        return self.rows[after : after + limit]

    def incomplete(self, *, after: int, limit: int) -> list[StoredVertex]:
        found = [one for one in self.rows[after:] if self.bodies.get(one.number, b"") is None]
        return found[:limit]

    def listed(
        self,
        author: tuple[str, str],
        *,
        after: tuple[str, str, int, int] | None = None,
        limit: int,
        newest_first: bool = False,
    ) -> list[StoredVertex]:
        chain = self.by_author.get(author, [])
        if newest_first:
            return chain[::-1][:limit]
        place = (-1, -1) if after is None else after[2:]
        return [one for one in chain if (one.epoch, one.seq) > place][:limit]

    def last_number(self) -> int:
        return len(self.rows)

    def authors(self) -> list[tuple[str, str]]:
        return sorted(self.by_author)

    def forked_places(self, *, limit: int) -> list[tuple[str, str, int, int]]:
        seen: dict[tuple[str, str, int, int], int] = {}
        for one in self.rows:
            place = (one.iss, one.sub, one.epoch, one.seq)
            seen[place] = seen.get(place, 0) + 1
        return sorted(place for place, count in seen.items() if count > 1)[:limit]


class Sealed(NamedTuple):
    """A vertex of a test."""

    header: VertexHeader
    body: bytes
    id: bytes


def seal(
    name: str,
    *,
    epoch: int = 0,
    seq: int,
    parent: bytes | None,
    records: Sequence[bytes] = (b"\x01",),
    links: Sequence[bytes] = (),
    time_ms: int | None = None,
    secret: SecretKey | None = None,
) -> Sealed:
    """Sign a vertex of `ewz/name`; records are any CBOR items."""
    raw, own_id = seal_vertex(
        secret=secret or KEYS[name],
        iss="ewz",
        sub=name,
        epoch=epoch,
        seq=seq,
        parent=parent,
        links=links,
        time_ms=time_ms,
        records=records,
        entries=[hashlib.sha256(record).digest() for record in records],
        ledger=LEDGER,
    )
    return Sealed(decode_header(raw), b"".join(records), own_id)


def chain_of(name: str, count: int, *, note: int = 0, size: int = 20) -> list[Sealed]:
    """A chain of `count` vertices, the same for the same arguments."""
    found: list[Sealed] = []
    for seq in range(count):
        parent = found[-1].id if found else None
        record = cbor.encode([note, seq, bytes(size)])
        found.append(seal(name, seq=seq, parent=parent, records=[record]))
    return found


class Gateway:
    """One side: holdings over memory, a session per peer, and what came out of them."""

    def __init__(
        self, name: str, *, bounds: SyncBounds | None = None, role: str = "gateway"
    ) -> None:
        self.name = name
        self.disk = MemoryVertices()
        self.bounds = bounds or SyncBounds(relay_ms=10, answer_ms=1_000, ping_ms=60_000)
        self.role = role
        self.key_of: Callable[[str, str, bytes], PublicKey | None] = key_of
        self.claims = Claims()
        self.faults: list[PeerFault] = []
        self.closes: dict[str, PeerFault] = {}
        self.forks: list[bytes] = []
        self.announced: list[bytes] = []
        self.blocks: list[OrderedBlock] = []
        self.rows: list[Rows] = []
        self.done: list[Done] = []
        self.asked: list[WantBlocks | WantRows | Have] = []
        self.sessions: dict[str, Session] = {}
        self.instance = 0
        self.epoch, self.seq, self.parent = 0, 0, None
        self.parent: bytes | None
        self.restart()

    def restart(self) -> None:
        """Come up again with what is on the disk."""
        self.instance += 1
        self.sessions.clear()
        self.claims = Claims()
        self.holdings = VertexHoldings(store=self.disk, ledger=LEDGER, key_of=self.ask_key)

    def ask_key(self, iss: str, sub: str, kid: bytes) -> PublicKey | None:
        return self.key_of(iss, sub, kid)

    def own(self) -> Own:
        return Own(ledger=LEDGER, iss="ewz", sub=self.name, role=self.role, instance=self.instance)

    def session(self, peer: str) -> Session:
        """A fresh session with a peer; an old one of it ends."""
        if peer in self.sessions:
            self.sessions[peer].ended()
        session = self.sessions[peer] = Session(
            own=self.own(),
            store=self.holdings,
            bounds=self.bounds,
            peer=Author("ewz", peer),
            claims=self.claims,
        )
        return session

    def keep(self, arrived: Sequence[Arrived], now_ms: int) -> dict[str, Effects]:
        """Store, and tell every session."""
        if not arrived:
            return {}
        self.disk.keep([(one.header.raw, one.body) for one in arrived])
        self.forks += self.holdings.kept(arrived)
        headers = [one.header for one in arrived]
        return {peer: one.grown(headers, now_ms) for peer, one in self.sessions.items()}

    def put(self, *vertices: Sealed) -> None:
        """Have vertices on the disk and in memory before anything is linked."""
        self.disk.keep([(one.header.raw, one.body) for one in vertices])
        self.holdings.kept([Arrived(one.header, one.body, one.id) for one in vertices])

    def seal(self, now_ms: int, *records: bytes) -> dict[str, Effects]:
        """Seal the next vertex of this gateway."""
        one = seal(
            self.name,
            epoch=self.epoch,
            seq=self.seq,
            parent=self.parent,
            records=records or (cbor.encode([self.name, self.seq]),),
            links=[tip for tip in self.holdings.tips() if tip != self.parent][:2],
        )
        self.seq, self.parent = self.seq + 1, one.id
        return self.keep([Arrived(one.header, one.body, one.id)], now_ms)

    @property
    def vertices(self) -> set[bytes]:
        return set(self.disk.by_id)

    @property
    def whole(self) -> set[bytes]:
        """Vertices with their bodies."""
        return {one.id for one in self.disk.rows if self.disk.bodies.get(one.number) is not None}


@dataclass
class Link:
    """Two directions of messages under way."""

    a: str
    b: str
    up: bool = False
    queues: dict[str, deque[bytes]] = field(default_factory=dict[str, deque[bytes]])


class Net:
    """Gateways and the links between them; time goes on only when told."""

    def __init__(self, *gateways: Gateway) -> None:
        self.gateways = {one.name: one for one in gateways}
        self.links: dict[frozenset[str], Link] = {}
        self.now_ms = START_MS
        self.wake: dict[tuple[str, str], int | None] = {}
        self.bytes: dict[tuple[str, str], int] = {}
        self.sent: list[tuple[str, str, bytes]] = []

    def link(self, a: str, b: str) -> Link:
        """Open a link, or open it anew."""
        link = self.links[frozenset((a, b))] = Link(a, b, up=True)
        link.queues = {a: deque(), b: deque()}
        for one, other in ((a, b), (b, a)):
            session = self.gateways[one].session(other)
            self.perform(one, other, session.opened(self.now_ms))
        return link

    def cut(self, a: str, b: str) -> None:
        """Lose the link and what is on it."""
        link = self.links.get(frozenset((a, b)))
        if link is None or not link.up:
            return
        link.up = False
        for one, other in ((a, b), (b, a)):
            link.queues[one].clear()
            session = self.gateways[one].sessions.pop(other, None)
            if session is not None:
                session.ended()
            self.wake.pop((one, other), None)

    def perform(self, name: str, peer: str, effects: Effects) -> None:
        """Do what a session asks for, at once."""
        gateway = self.gateways[name]
        link = self.links[frozenset((name, peer))]
        for message in effects.send:
            self.sent.append((name, peer, message))
            self.bytes[name, peer] = self.bytes.get((name, peer), 0) + len(message) + 4
            if link.up:
                link.queues[peer].append(message)
        self.wake[name, peer] = effects.wake_ms
        gateway.faults += effects.faults
        gateway.forks += effects.forks
        gateway.announced += effects.announced
        gateway.blocks += effects.blocks
        gateway.rows += effects.rows
        gateway.done += effects.done
        gateway.asked += [*effects.load_blocks, *effects.load_rows, *effects.load_done]
        self.tell(name, gateway.keep(effects.keep, self.now_ms))
        session = gateway.sessions.get(peer)
        for own_id in effects.load:
            if session is not None:
                loaded = session.loaded(own_id, gateway.disk.packed(own_id), self.now_ms)
                self.perform(name, peer, loaded)
        if effects.forks or effects.announced:
            self.tell(name, {p: s.tick(self.now_ms) for p, s in gateway.sessions.items()})
        if effects.close is not None:
            gateway.closes[peer] = effects.close
            self.drain_then_cut(name, peer)

    def drain_then_cut(self, name: str, peer: str) -> None:
        """The side that closes has sent its last words; then the link is gone."""
        link = self.links[frozenset((name, peer))]
        if link.up:
            last = list(link.queues[peer])
            other = self.gateways[peer].sessions.get(name)
            self.cut(name, peer)
            if other is not None and last and not other.closed:
                other.received(last[-1], self.now_ms)

    def tell(self, name: str, effects: dict[str, Effects]) -> None:
        """Perform the effects of several sessions of one gateway."""
        for peer, one in effects.items():
            if frozenset((name, peer)) in self.links:
                self.perform(name, peer, one)

    def seal(self, name: str, *records: bytes) -> None:
        self.tell(name, self.gateways[name].seal(self.now_ms, *records))

    def deliver(self, to: str, of: str) -> bool:
        """Deliver the oldest message on a link's direction."""
        link = self.links[frozenset((to, of))]
        if not link.up or not link.queues[to]:
            return False
        message = link.queues[to].popleft()
        self.hand(to, of, message)
        return True

    def hand(self, to: str, of: str, message: bytes) -> None:
        session = self.gateways[to].sessions.get(of)
        if session is not None:
            self.perform(to, of, session.received(message, self.now_ms))

    def directions(self) -> list[tuple[str, str]]:
        """(to, of) of every link that is up."""
        found = [(link.a, link.b) for link in self.links.values() if link.up]
        return sorted([*found, *((b, a) for a, b in found)])

    def settle(self, *, until_ms: int = 3_000, rounds: int = 200_000) -> None:
        """Deliver everything, let time go on to the next timer, until nothing is due within `until_ms` from now."""
        end_ms = self.now_ms + until_ms
        for _ in range(rounds):
            if sum(self.deliver(*one) for one in self.directions()):
                continue
            due = [at for at in self.wake.values() if at is not None and at <= end_ms]
            if not due:
                self.now_ms = end_ms
                return
            self.now_ms = max(self.now_ms + 1, min(due))
            self.tick_due()
        raise AssertionError("the net does not come to rest")

    def tick_due(self) -> None:
        for (name, peer), at in list(self.wake.items()):
            session = self.gateways[name].sessions.get(peer)
            if at is not None and at <= self.now_ms and session is not None:
                self.perform(name, peer, session.tick(self.now_ms))

    def kinds(self, of: str, to: str) -> list[str]:
        """Names of the messages sent from one to another."""
        found = [type_of(m) for a, b, m in self.sent if (a, b) == (of, to)]
        return [kind.__name__ for kind in found if kind is not None]


def chaos(net: Net, draw: random.Random, *, steps: int, loss: float, seal_chance: float) -> None:
    """Let links deliver in any order, lose and double messages, break and come back, while everybody seals."""
    pairs = [tuple(sorted(pair)) for pair in net.links]
    for _ in range(steps):
        if draw.random() < seal_chance:
            net.seal(draw.choice(sorted(net.gateways)))
        if draw.random() < 0.02:
            a, b = draw.choice(pairs)
            if net.links[frozenset((a, b))].up:
                net.cut(a, b)
            else:
                net.link(a, b)
        ways = [one for one in net.directions() if net.links[frozenset(one)].queues[one[0]]]
        if not ways:
            net.now_ms += draw.randrange(200)
            net.tick_due()
            continue
        to, of = draw.choice(ways)
        queue = net.links[frozenset((to, of))].queues[to]
        if draw.random() < loss:
            queue.popleft()
        elif draw.random() < loss:
            queue.append(queue[0])
        elif draw.random() < loss:
            queue.rotate(-1)
        net.deliver(to, of)


def heal(net: Net) -> None:
    """Open every link anew and let everything come across."""
    for link in list(net.links.values()):
        net.cut(link.a, link.b)
    for link in list(net.links.values()):
        net.link(link.a, link.b)
    net.settle(until_ms=20_000)


def ids(vertices: Iterable[Sealed]) -> set[bytes]:
    return {one.id for one in vertices}


assert limits.SYNC_BRANCHES_MAX >= 4, "the tests fork three times"
