"""A short, eventful ledger from one seed, ready to be stored: for tests, torture and benches.

Lives here: a chain of blocks in which most things happen that a ledger can see (enrolments,
readings, gaps, late ones, duplicates, refusals, a vertex refused as a whole), with the bytes that
vertices.db holds and the heads that must come out. May not: touch a disk, but for `write_home`.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from drystone.ledger.apply import apply_genesis
from drystone.ledger.change import Block, Change, OrderedVertex
from drystone.ledger.genesis import encode_genesis
from drystone.records.record import Record, Verified
from drystone.records.vertex import decode_vertex
from drystone.sim.world import Actor, Author, World
from drystone.storage.ledger import LedgerDB
from drystone.storage.memory import MemoryView
from drystone.storage.vertices import VertexDB


class ChainVertex(NamedTuple):
    """A vertex as vertices.db takes it."""

    header: bytes
    body: bytes


class Chain(NamedTuple):
    """A ledger's whole history, and what it must come to."""

    genesis: bytes
    ledger: bytes
    start: Change
    vertices: tuple[ChainVertex, ...]
    blocks: tuple[Block, ...]
    """Heights 1, 2, ...; every record with the key it was verified against."""
    changes: tuple[Change, ...]
    """What `apply` gave for each block."""
    devices: tuple[Actor, ...]

    @property
    def heads(self) -> tuple[bytes, ...]:
        """The application hash at each height, from 0."""
        return (self.start.head, *(change.head for change in self.changes))


@dataclass(slots=True)
class _KeptWorld(World):
    """A world that keeps every vertex it seals and every Change it takes."""

    sealed: list[bytes] = field(default_factory=list[bytes])
    changes: list[Change] = field(default_factory=list[Change])

    def vertex(self, records: Sequence[bytes], author: Author | None = None) -> bytes:
        """Seal, and keep."""
        self.sealed.append(World.vertex(self, records, author))
        return self.sealed[-1]

    def take(self, block: Block) -> Change:
        """Apply and install, and keep."""
        self.changes.append(World.take(self, block))
        return self.changes[-1]


class _Story:
    """Draws what happens next."""

    def __init__(self, world: World, devices: list[Actor], seed: str) -> None:
        self.world = world
        self.devices = devices
        self.random = random.Random(seed)
        self.held_back: list[bytes] = []
        self.sent: list[bytes] = []
        self.watt_hours = {device.sub: 1_000_000 for device in devices}

    def reading(self) -> bytes:
        """The next reading of some device, most of the time."""
        draw = self.random
        device = draw.choice(self.devices)
        self.watt_hours[device.sub] += draw.randrange(1_000)
        record = self.world.reading(device, self.watt_hours[device.sub])
        chance = draw.randrange(100)
        if chance < 4:
            self.held_back.append(record)  # It comes late; what follows opens a gap.
            return self.reading()
        if chance < 8 and self.held_back:
            late = self.held_back.pop(draw.randrange(len(self.held_back)))
            self.sent.append(record)
            return late
        if chance < 10 and self.sent:
            return draw.choice(self.sent)  # A second copy: `already`.
        if chance < 12:
            stranger = Actor(device.iss, "nobody", device.secret)
            return self.world.reading(stranger, 1)
        self.sent = [*self.sent[-50:], record]
        return record


def make_chain(
    seed: str = "chain", *, blocks: int = 8, devices: int = 4, records: int = 12
) -> Chain:
    """Return a chain of `blocks` blocks after the one that enrols `devices`.

    Each block has one to three vertices with up to `records` records in all; the same seed gives
    the same bytes.
    """
    world = _KeptWorld.begin(seed)
    assert isinstance(world, _KeptWorld)
    start = apply_genesis(world.genesis, MemoryView()).change
    actors = world.enrolled(*(f"m-{number}" for number in range(devices)))
    story = _Story(world, actors, seed)
    for _ in range(blocks):
        count = story.random.randrange(1, records + 1)
        cuts = sorted(story.random.sample(range(1, count), min(count - 1, 2)))
        bounds = [0, *cuts, count] if story.random.randrange(3) == 0 else [0, count]
        bodies = [[story.reading() for _ in range(end - first)] for first, end in pairwise(bounds)]
        sealed = [world.vertex(body) for body in bodies]
        if story.random.randrange(6) == 0:
            sealed.append(_foreign_vertex(world, story))
        world.take(world.block(*sealed))
    return Chain(
        genesis=encode_genesis(world.genesis),
        ledger=world.view.ledger,
        start=start,
        vertices=tuple(_stored(data) for data in world.sealed),
        blocks=tuple(_verified(block, world) for block in world.blocks),
        changes=tuple(world.changes),
        devices=tuple(actors),
    )


def write_home(chain: Chain, home: Path, *, height: int | None = None) -> None:
    """Store a chain up to a height (default: all of it) as a home folder's ledger and vertices."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "genesis.cbor").write_bytes(chain.genesis)
    ledger = LedgerDB.create(home / "ledger.db", chain.genesis, chain.start)
    store = VertexDB.create(home / "vertices.db", chain.ledger)
    for vertex in chain.vertices:
        store.seal(header=vertex.header, body=vertex.body)
    for block, change in zip(chain.blocks, chain.changes, strict=True):
        if height is None or block.height <= height:
            ledger.commit(change, block)
    ledger.close()
    store.close()


def _foreign_vertex(world: World, story: _Story) -> bytes:
    """A vertex of an author that is no gateway: refused as a whole."""
    return world.vertex([story.reading()], Author(story.devices[0]))


def _stored(data: bytes) -> ChainVertex:
    vertex = decode_vertex(data)
    assert vertex.body is not None
    return ChainVertex(vertex.header.raw, b"".join(vertex.body))


def _verified(block: Block, world: World) -> Block:
    """The block as an engine hands it over when every signature was checked."""
    return block._replace(
        vertices=[
            OrderedVertex(
                vertex.header,
                world.actors[f"{vertex.header.iss}/{vertex.header.sub}"].secret.public.cose_key(),
                [_verified_item(item, world) for item in vertex.records],
            )
            for vertex in block.vertices
        ]
    )


def _verified_item(item: object, world: World) -> Verified | Record:
    assert isinstance(item, Record)
    actor = world.actors.get(f"{item.iss}/{item.sub}")
    return item if actor is None else Verified(item, actor.secret.public.cose_key())
