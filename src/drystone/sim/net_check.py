"""What must hold when the trouble is over, whatever it was: the checker of the simulated network.

Reads the hosts' own files, never what they believe in memory, and recomputes the ledger from each host's copy of the
vertices. May not: repair, wait, or know what went wrong in the run.

Place in a record's life: behind its end. Source: design.md section 8, invariants 1, 2 and 4.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from drystone.errors import Refused
from drystone.ledger.apply import Memory, apply
from drystone.ledger.change import ACCEPTED, ALREADY, Block, OrderedVertex, Unreadable
from drystone.records.key import trusted_cose_key
from drystone.records.record import Verified, check_form, check_signature
from drystone.records.vertex import VertexHeader, check_vertex_signature, decode_header, split_body
from drystone.sim.net_ground import Ground, ground
from drystone.storage.blocks import StoredBlock
from drystone.storage.memory import MemoryView
from drystone.storage.mirror import MirrorDB
from drystone.storage.outcomes import all_outcomes
from drystone.storage.vertices import VertexDB


class NotHeldError(AssertionError):
    """Something does not hold that must."""


class Held(NamedTuple):
    """A vertex as a host's file has it."""

    header: bytes
    body: bytes | None


class Settled(NamedTuple):
    """What a record came to, over all its copies."""

    accepted: int
    codes: tuple[str, ...]
    """Of copies that were not accepted, in order."""


def held_by(store: VertexDB) -> dict[bytes, Held]:
    """Every vertex in a file, with its body, by id."""
    found: dict[bytes, Held] = {}
    after = 0
    while rows := store.arrived(after=after):
        for row in rows:
            found[row.id] = Held(row.header, store.body(row.number))
        after = rows[-1].number
    return found


def ids_in(store: VertexDB) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """The ids of the vertices in a file, and of those among them whose body is still to come."""
    found: list[bytes] = []
    after = 0
    while rows := store.arrived(after=after):
        found += [row.id for row in rows]
        after = rows[-1].number
    lacking = [row.id for row in store.incomplete() if decode_header(row.header).count]
    return frozenset(found), frozenset(lacking)


def check_equal(holds: Mapping[str, Mapping[bytes, Held]]) -> None:
    """Equal vertex sets, header for header and body for body. Raises: NotHeldError."""
    names = sorted(holds)
    first = holds[names[0]]
    for name in names[1:]:
        other = holds[name]
        for own_id in sorted(first.keys() ^ other.keys()):
            here, there = (names[0], name) if own_id in first else (name, names[0])
            raise NotHeldError(f"vertex {_told(own_id, holds)} is at {here} and not at {there}")
        for own_id in sorted(first):
            if first[own_id].body != other[own_id].body:
                raise NotHeldError(
                    f"vertex {_told(own_id, holds)}: bodies of {names[0]} and {name} differ"
                )


def check_parents(held: Mapping[bytes, Held]) -> None:
    """Every vertex's parent is there, and is its author's vertex before it. Raises: NotHeldError."""
    for own_id in sorted(held):
        header = _header(held[own_id].header)
        if header.parent is not None and header.parent not in held:
            raise NotHeldError(f"vertex {_place(header)} is there without its parent")


def pending(held: Mapping[bytes, Held], blocks: Sequence[StoredBlock]) -> frozenset[bytes]:
    """The vertices that no block has."""
    return frozenset(held).difference(*(block.vertices for block in blocks))


def check_ordered_once(blocks: Sequence[StoredBlock]) -> None:
    """No vertex is in two blocks, or twice in one. Raises: NotHeldError."""
    counts = Counter(own_id for block in blocks for own_id in block.vertices)
    for own_id, count in sorted(counts.items()):
        if count > 1:
            raise NotHeldError(f"vertex {own_id.hex()[:6]} is ordered {count} times")


def check_replay(
    ground: Ground, held: Mapping[bytes, Held], blocks: Sequence[StoredBlock], name: str
) -> MemoryView:
    """The blocks over a host's own copy of the vertices come to the node's entries. Raises: NotHeldError."""
    view = MemoryView.from_genesis(ground.genesis)
    memory = Memory()
    for block in blocks:
        if block.height == 0:
            continue
        vertices: list[OrderedVertex] = []
        for own_id in block.vertices:
            if own_id not in held:
                raise NotHeldError(
                    f"{name} lacks vertex {own_id.hex()[:6]} of block {block.height}"
                )
            vertices.append(_ordered(held[own_id], ground))
        fields = block.fields
        change = apply(
            view,
            Block(block.height, fields.time_ms, vertices, fields.validators, fields.protocol),
            memory,
        )
        if change.block_entry != block.entry:
            raise NotHeldError(
                f"block {block.height} comes to another entry over the vertices of {name}"
            )
        view.install(change)
    return view


def settle_records(
    held: Mapping[bytes, Held], blocks: Sequence[StoredBlock]
) -> dict[bytes, Settled]:
    """What every ordered record came to, by the hash of its bytes."""
    accepted: Counter[bytes] = Counter()
    codes: defaultdict[bytes, list[str]] = defaultdict(list)
    for raw, code in _outcomes(held, blocks):
        entry = sha256(raw).digest()
        if code == ACCEPTED:
            accepted[entry] += 1
        else:
            codes[entry].append(code)
    return {
        entry: Settled(accepted[entry], tuple(codes[entry])) for entry in accepted.keys() | codes
    }


def records_of(held: Mapping[bytes, Held], authors: Collection[str]) -> set[bytes]:
    """The records (by the hash of their bytes) in the vertices of some authors."""
    return {
        sha256(raw).digest()
        for one in held.values()
        if _header(one.header).sub in authors
        for raw in _split(one.header, one.body)
    }


def stuck(held: Mapping[bytes, Held], lacking: Collection[bytes]) -> frozenset[bytes]:
    """The vertices whose body is nowhere any more, and what builds on them: they cannot be ordered."""
    found = set(lacking)
    size = -1
    while size != len(found):
        size = len(found)
        found.update(one for one in held if _header(held[one].header).parent in found)
    return frozenset(found)


def check_acknowledged(
    acknowledged: Mapping[bytes, str],
    settled: Mapping[bytes, Settled],
    *,
    lost: Collection[bytes] = (),
    retried: Collection[bytes] = (),
) -> None:
    """Every acknowledged record is in the log exactly once, its other copies are `already`. Raises: NotHeldError.

    `acknowledged` tells of each (by the hash of its bytes) what it is. One that was `lost` with a disk that was rolled
    back may be missing. Copies of one that was `retried`, because its gateway's chain forked, may be refused.
    """
    for entry, told in acknowledged.items():
        found = settled.get(entry, Settled(0, ()))
        if found.accepted > 1:
            raise NotHeldError(f"{told} was accepted {found.accepted} times")
        if not found.accepted and entry not in lost:
            codes = ", ".join(found.codes[:8]) or "nowhere"
            raise NotHeldError(f"{told} was acknowledged and is not in the log: {codes}")
        if set(found.codes) - {ALREADY} and entry not in retried:
            raise NotHeldError(f"a copy of {told} was answered {found.codes[:8]}")
    for entry in settled.keys() - acknowledged.keys():
        if settled[entry].accepted > 1:
            raise NotHeldError(f"a record was accepted {settled[entry].accepted} times")


def check_outcomes_told(
    mirror: MirrorDB, name: str, blocks: Sequence[StoredBlock], authors: Mapping[bytes, str]
) -> None:
    """A gateway's mirror knows of each of its ordered vertices where it went, what was refused. Raises: NotHeldError.

    `authors` gives the author of each vertex.
    """
    for block in blocks:
        codes: defaultdict[int, dict[int, str]] = defaultdict(dict)
        for one in all_outcomes(block.outcomes):
            if one.code != ACCEPTED:
                count = block.outcomes.counts[one.vertex]
                indexes = range(count) if one.record is None else (one.record,)
                codes[one.vertex].update(dict.fromkeys(indexes, one.code))
        for position, own_id in enumerate(block.vertices):
            if authors[own_id] != name:
                continue
            told = mirror.order_of(own_id)
            if told is None or told.height != block.height or dict(told.codes) != codes[position]:
                raise NotHeldError(f"{name} was told {told} of its vertex in block {block.height}")


def authors_of(held: Mapping[bytes, Held]) -> dict[bytes, str]:
    """Who sealed each vertex."""
    return {own_id: _header(one.header).sub for own_id, one in held.items()}


def _outcomes(
    held: Mapping[bytes, Held], blocks: Sequence[StoredBlock]
) -> Iterator[tuple[bytes, str]]:
    """Yield each ordered record with its outcome's code."""
    for block in blocks:
        bodies = [_split(held[own_id].header, held[own_id].body) for own_id in block.vertices]
        for outcome in all_outcomes(block.outcomes):
            if outcome.record is not None:
                yield bodies[outcome.vertex][outcome.record], outcome.code
            elif outcome.code != ACCEPTED:
                for raw in bodies[outcome.vertex]:
                    yield raw, outcome.code


def _ordered(held: Held, ground: Ground) -> OrderedVertex:
    header = _header(held.header)
    key = ground.secrets[header.sub].public.cose_key()
    return OrderedVertex(
        header, _signed(held.header, key, ground.ledger), _items(held.header, held.body)
    )


@lru_cache(maxsize=4_096)
def _header(raw: bytes) -> VertexHeader:
    return decode_header(raw)


@lru_cache(maxsize=4_096)
def _signed(raw: bytes, key: bytes, ledger: bytes) -> bytes:
    """The key that a header was verified against."""
    check_vertex_signature(_header(raw), trusted_cose_key(key), ledger)
    return key


@lru_cache(maxsize=4_096)
def _split(header: bytes, body: bytes | None) -> tuple[bytes, ...]:
    """The records of a body; none where it is not there."""
    return () if body is None else split_body(_header(header), body)


@lru_cache(maxsize=4_096)
def _items(header: bytes, body: bytes | None) -> tuple[Verified | Unreadable, ...]:
    return tuple(_item(raw) for raw in _split(header, body))


def _item(raw: bytes) -> Verified | Unreadable:
    try:
        record = check_form(raw)
        return check_signature(record, ground().secrets[record.sub].public)
    except Refused as error:
        return Unreadable(error.code, sha256(raw).digest())


def _told(own_id: bytes, holds: Mapping[str, Mapping[bytes, Held]]) -> str:
    for held in holds.values():
        if own_id in held:
            return f"{_place(_header(held[own_id].header))} {own_id.hex()[:6]}"
    return own_id.hex()[:6]


def _place(header: VertexHeader) -> str:
    return f"{header.sub} {header.epoch}/{header.seq}"
