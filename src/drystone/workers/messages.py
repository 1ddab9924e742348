"""What the front and the executor say to each other, and how it becomes plain for the channel.

The front sends whole blocks and questions, the executor answers each in order: with an `Executed`
per block (what caches, answers and checkpoints need to know of a commit), or with what was asked.
Plain means tuples, bytes, text, integers, None: what `marshal` carries. Both ends run the same
program, so nothing here is checked twice.

Place in a record's life: on its way into the ledger and its outcome's way back. Source: design.md
section 7.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast

from drystone.contracts.rules import Event
from drystone.ledger.change import Block, OrderedVertex, Outcome, Unreadable
from drystone.records.record import Record, Verified, travelling
from drystone.records.vertex import decode_header
from drystone.workers.checked import Packed, unpack

Plain: TypeAlias = Any
"""Tuples, bytes, text, integers, None."""

EXECUTE: Final = 0
"""`(EXECUTE, block)`: apply and commit; answered with an `Executed`."""

PROVE: Final = 1
"""`(PROVE, key)`: answered with a `ProvedState`."""

GET: Final = 2
"""`(GET, key)`: answered with the value or None."""

SCAN: Final = 3
"""`(SCAN, prefix, after, limit)`: answered with a list of (key, value)."""

DONE: Final = 0
"""`(DONE, answer)`."""

BROKEN: Final = 1
"""`(BROKEN, code, text)`: the executor stops after saying so."""


class Executed(NamedTuple):
    """One committed block, as the front needs to know it."""

    height: int
    time_ms: int
    first_leaf: int
    """Log index of the block's first accepted record, or of its block entry if none was."""
    size: int
    """Log entries after it; the last one is its block entry."""
    root: bytes
    head: bytes
    state_root: bytes
    vertices: tuple[bytes, ...]
    """Their ids, in order."""
    counts: tuple[int, ...]
    """Records of each vertex, in order."""
    outcomes: tuple[Outcome, ...]
    """Those other than `accepted` without steps and events, in order."""
    writes: dict[bytes, bytes | None]
    """New state values by key, None where a key went."""


class ProvedState(NamedTuple):
    """A state value or its absence, with the block entry whose state root its proof leads to."""

    value: bytes | None
    ics23: bytes
    """An ICS-23 proof of presence or absence."""
    height: int
    block_entry: bytes
    leaf: int
    """Log index of the block entry."""
    size: int
    """Log entries at that height: a receipt for the block entry is one for this size."""


def block_to_plain(block: Block) -> Plain:
    """Make a block plain; records stay packed where they are, else each is (record, key or None),
    what is no record (code, entry).
    """
    return (
        block.height,
        block.time_ms,
        [
            (
                vertex.header.raw,
                vertex.author_key,
                _records_to_plain(vertex.records),
            )
            for vertex in block.vertices
        ],
        block.validators,
        block.protocol,
    )


def _records_to_plain(records: Sequence[Verified | Record | Unreadable]) -> Plain:
    """Give packets as they are, in a tuple; records one by one, in a list."""
    if isinstance(records, Packed):
        return records.packets
    return [_item_to_plain(item) for item in records]


def _records_from_plain(plain: Plain) -> Sequence[Verified | Record | Unreadable]:
    if isinstance(plain, tuple):
        packets = cast("tuple[bytes, ...]", plain)
        return [item for packet in packets for item in unpack(packet)]
    return [_item_from_plain(item) for item in plain]


def _item_to_plain(item: Verified | Record | Unreadable) -> Plain:
    if isinstance(item, Verified):
        return (travelling(item.record), item.key)
    return (travelling(item), None) if isinstance(item, Record) else tuple(item)


def block_from_plain(plain: Plain) -> Block:
    """Give the block that was made plain."""
    height, time_ms, vertices, validators, protocol = plain
    return Block(
        height,
        time_ms,
        [
            OrderedVertex(decode_header(raw), key, _records_from_plain(records))
            for raw, key, records in vertices
        ],
        validators,
        protocol,
    )


def _item_from_plain(plain: Plain) -> Verified | Record | Unreadable:
    head, tail = plain
    if isinstance(head, str):
        return Unreadable(head, tail)
    record = Record._make(head)
    return record if tail is None else Verified(record, tail)


def executed_to_plain(executed: Executed) -> Plain:
    """Make a summary plain."""
    outcomes = [
        (*outcome[:4], [tuple(event) for event in outcome.events]) for outcome in executed.outcomes
    ]
    return tuple(executed._replace(outcomes=outcomes))  # pyright: ignore[reportArgumentType] - made plain


def executed_from_plain(plain: Plain) -> Executed:
    """Give the summary that was made plain."""
    executed = Executed._make(plain)
    outcomes = tuple(
        Outcome(vertex, record, code, steps, tuple(Event._make(event) for event in events))
        for vertex, record, code, steps, events in executed.outcomes
    )
    return executed._replace(outcomes=outcomes)
