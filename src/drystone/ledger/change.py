"""What one block does to the ledger, as values: `Outcome` per record, `Change` per block, and their encodings.

A `Change` is everything one commit writes and nothing else decides: new state values, log entries, outcomes, and the
one commitment `head` over them. Source: design sections 3.6 and 3.7, formats.md (block, outcome, head).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from drystone.contracts.rules import Event
from drystone.formats import cbor
from drystone.records.record import Record, Verified
from drystone.records.vertex import VertexHeader
from drystone.trees import log

ACCEPTED = "accepted"
ALREADY = "already"
BLOCK_FORMAT = "drystone/block/1"
_HEAD_TAG = b"drystone/head/1\n"
_ACCEPTED_CODE = cbor.encode(ACCEPTED)
_NO_EVENTS = b"\x80"
_THREE_OF_FIVE = b"\x85"
_ACCEPTED_LEAVES_MAX = 8_192


class Unreadable(NamedTuple):
    """A body item that is no record: the code that its form check gave, and its entry hash."""

    code: str
    entry: bytes


class OrderedVertex(NamedTuple):
    """A vertex as the engine ordered it: form checked, body fitting its header.

    `author_key` is the COSE_Key its signature was verified against, None where nobody has yet. `records` are in body
    order, one item for each.
    """

    header: VertexHeader
    author_key: bytes | None
    records: Sequence[Verified | Record | Unreadable]


class Block(NamedTuple):
    """An ordered list of vertices, with what the engine says of it."""

    height: int
    time_ms: int
    vertices: Sequence[OrderedVertex]
    validators: bytes
    protocol: int


class Outcome(NamedTuple):
    """What became of one record (or of a whole vertex: `record` None): `accepted`, `already`, or a refusal's code."""

    vertex: int
    record: int | None
    code: str
    steps: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one block changes; `writes` sorted by key, `leaves` the log leaf hashes, the block entry's last.

    `streams` are the state keys of the accepted records' streams, in log order.
    """

    height: int
    time_ms: int
    block_entry: bytes
    writes: dict[bytes, bytes | None]
    leaves: tuple[bytes, ...]
    streams: tuple[bytes, ...]
    outcomes: tuple[Outcome, ...]
    state_root: bytes
    outcomes_root: bytes
    log: log.Edge
    head: bytes


class BlockEntry(NamedTuple):
    """The log entry that closes a block."""

    height: int
    time_ms: int
    state_root: bytes
    outcomes_root: bytes
    validators: bytes
    protocol: int

    def encode(self) -> bytes:
        """Return the entry's bytes: an array of seven, so it starts 0x87 and is never 32 bytes long."""
        return cbor.encode([BLOCK_FORMAT, *self])


def encode_outcome(outcome: Outcome) -> bytes:
    """Return the bytes whose RFC 9162 leaves make the outcomes root."""
    if outcome.code is ACCEPTED and not outcome.events:
        # Nearly every outcome is this one: the same bytes as below, put together by hand (tested equal).
        return b"".join(
            (
                _THREE_OF_FIVE,
                cbor.head(0, outcome.vertex),
                b"\xf6" if outcome.record is None else cbor.head(0, outcome.record),
                _ACCEPTED_CODE,
                cbor.head(0, outcome.steps),
                _NO_EVENTS,
            )
        )
    return cbor.encode(
        [
            outcome.vertex,
            outcome.record,
            outcome.code,
            outcome.steps,
            [[event.contract, event.name, event.data] for event in outcome.events],
        ]
    )


def outcomes_root(outcomes: Sequence[Outcome]) -> bytes:
    """Return the RFC 9162 root over the outcomes in order."""
    return log.tree_root(
        [
            _accepted_leaf(outcome[0], outcome[1], outcome[3])
            if outcome[2] is ACCEPTED and not outcome[4]
            else log.leaf_hash(encode_outcome(outcome))
            for outcome in outcomes
        ]
    )


@lru_cache(maxsize=_ACCEPTED_LEAVES_MAX)
def _accepted_leaf(vertex: int, record: int | None, steps: int) -> bytes:
    """Return the leaf of a plain `accepted`: in every block the same for the same place and steps."""
    return log.leaf_hash(encode_outcome(Outcome(vertex, record, ACCEPTED, steps, ())))


def head_of(edge: log.Edge) -> bytes:
    """Return the application hash, the one commitment: hash of (log size, log root)."""
    return hashlib.sha256(_HEAD_TAG + edge.size.to_bytes(8, "big") + log.root(edge)).digest()


def close_block(
    *,
    entry: BlockEntry,
    before: log.Edge,
    leaves: list[bytes],
    streams: Sequence[bytes],
    writes: dict[bytes, bytes | None],
    outcomes: tuple[Outcome, ...],
) -> Change:
    """Put the block entry behind the accepted records' leaves and return the finished Change."""
    block_entry = entry.encode()
    leaves.append(log.leaf_hash(block_entry))
    edge = log.append(before, leaves)
    return Change(
        height=entry.height,
        time_ms=entry.time_ms,
        block_entry=block_entry,
        writes=writes,
        leaves=tuple(leaves),
        streams=tuple(streams),
        outcomes=outcomes,
        state_root=entry.state_root,
        outcomes_root=entry.outcomes_root,
        log=edge,
        head=head_of(edge),
    )
