"""A seeded DAG of several gateways that meet, part, write on alone and meet again, as one of them sees it.

Vertices are signed and real; their bodies are empty but for a claimed size, because nobody reads them here. The one
who watches is the first author: what others write while it is cut off from them arrives when they meet.
"""

import random
from hashlib import sha256
from typing import NamedTuple

from memory_service import MemoryService

from drystone.formats import cose
from drystone.records.key import SecretKey
from drystone.records.vertex import Vertex, VertexHeader, decode_header, seal_header

START_MS = 1_762_340_400_000


class Told(NamedTuple):
    """A vertex in the order of its arrival, and whether a block orders it."""

    header: VertexHeader
    ordered: bool


def secret_of(sub: str) -> SecretKey:
    return SecretKey.generate(cose.ALG_EDDSA, sub.encode().ljust(32, b"~"))


class Gateway:
    """An author, what it holds of others, and what waits for it behind a cut link."""

    def __init__(self, sub: str, clock_ms: int) -> None:
        self.sub = sub
        self.secret = secret_of(sub)
        self.clock_ms = clock_ms
        self.seq = 0
        self.epoch = 0
        self.parent: bytes | None = None
        self.heads: dict[str, bytes] = {}
        self.links_done: dict[str, bytes] = {}


def make_dag(
    ledger: bytes,
    *,
    vertices: int,
    authors: int = 4,
    seed: str = "dag",
    forks: int = 1,
    first: str = "gate",
    unordered: int = 24,
) -> list[Told]:
    """`vertices` vertices of `authors` gateways: together, in two groups, together, each alone, together."""
    draw = random.Random(seed)
    gateways = [
        Gateway(f"{first}-{number}", draw.randrange(-90_000, 90_000)) for number in range(authors)
    ]
    half = max(1, authors // 2)
    everyone, halves = [gateways], [gateways[:half], gateways[half:]]
    alone = [[one] for one in gateways]
    phases = [everyone, halves, everyone, alone, everyone, halves, everyone]
    told: list[VertexHeader] = []
    behind: list[tuple[Gateway, VertexHeader]] = []
    fork_at = [vertices * (one + 1) // (forks + 1) for one in range(forks)]
    made = 0
    while made < vertices:
        groups = phases[min(len(phases) - 1, made * len(phases) // vertices)]
        writer = draw.choice(gateways)
        group = next(one for one in groups if writer in one)
        _meet(group)
        header, own_id = _seal(writer, ledger, draw, made)
        made += 1
        if gateways[0] in group:
            told += [held for who, held in behind if who in group]
            behind = [pair for pair in behind if pair[0] not in group]
            told.append(header)
        else:
            behind.append((writer, header))
        if fork_at and made >= fork_at[0] and made < vertices and gateways[0] in group:
            fork_at.pop(0)
            # The same place again: its disk was doubled.
            writer.seq -= 1
            writer.parent = header.parent
            rival, _ = _seal(writer, ledger, draw, made, loose=True)
            told.append(rival)
            made += 1
            writer.parent = own_id
    told += [held for _, held in behind]
    return [Told(header, at < len(told) - unordered) for at, header in enumerate(told)]


def _meet(group: list[Gateway]) -> None:
    """Everybody in the group knows everybody's head."""
    for one in group:
        for other in group:
            if other is not one and other.parent is not None:
                one.heads[other.sub] = other.parent


def _seal(
    writer: Gateway, ledger: bytes, draw: random.Random, made: int, *, loose: bool = False
) -> tuple[VertexHeader, bytes]:
    fresh = {s: h for s, h in writer.heads.items() if writer.links_done.get(s) != h}
    chosen = draw.sample(sorted(fresh), min(len(fresh), 3)) if not loose else []
    count = draw.choice((1, 2, 8, 40, 128))
    raw, own_id = seal_header(
        secret=writer.secret,
        iss="ewz" if int(writer.sub.split("-")[-1]) % 3 else "wwz",
        sub=writer.sub,
        epoch=writer.epoch,
        seq=writer.seq,
        parent=writer.parent,
        links=[fresh[sub] for sub in chosen],
        time_ms=START_MS + made * 1_500 + writer.clock_ms,
        length=count * 136,
        entries=[sha256(f"{writer.sub} {made} {at}".encode()).digest() for at in range(count)],
        ledger=ledger,
    )
    writer.links_done |= {sub: fresh[sub] for sub in chosen}
    writer.seq += 1
    writer.parent = own_id
    return decode_header(raw), own_id


def stage_dag(service: MemoryService, told: list[Told]) -> None:
    """Lets a service hold them; those that are ordered stand in blocks of eight."""
    for at, one in enumerate(told):
        service.hold(Vertex(one.header, None), at // 8 + 1 if one.ordered else None)
