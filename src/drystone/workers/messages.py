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
from drystone.ledger.differences import Difference, Told
from drystone.records.record import Record, Verified, travelling
from drystone.records.vertex import decode_header
from drystone.workers.checked import Packed, unpack

Plain: TypeAlias = Any
"""Tuples, bytes, text, integers, None."""

EXECUTE: Final = 0
"""`(EXECUTE, block, expected)`: apply and commit; answered with an `Executed`. `expected` is the block entry that must
come out, or None."""

PROVE: Final = 1
"""`(PROVE, key)`: answered with a `ProvedState`."""

GET: Final = 2
"""`(GET, key)`: answered with the value or None."""

SCAN: Final = 3
"""`(SCAN, prefix, after, limit)`: answered with a list of (key, value)."""

PEND: Final = 4
"""`(PEND, vertices)`: give pending vertices to the provisional view; answered with a `Pended`."""

TOLD: Final = 5
"""`(TOLD, vertex id)`: answered with what was told of a pending vertex, or None."""

PEEK: Final = 6
"""`(PEEK, key)`: as `GET`, in the provisional view."""

PEEK_SCAN: Final = 7
"""`(PEEK_SCAN, prefix, after, limit)`: as `SCAN`, in the provisional view."""

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
    differences: tuple[Difference, ...] = ()
    """Records of which the provisional view had told other things."""
    again: bool = False
    """Whether the provisional view asks for vertices again."""


class Pending(NamedTuple):
    """A vertex that nobody has ordered yet, on its way to the provisional view."""

    id: bytes
    vertex: OrderedVertex
    time_ms: int
    """When it came, by the front's clock: its provisional block's time."""


class Pended(NamedTuple):
    """What the provisional view says to vertices that were given to it."""

    taken: int
    """How many of them were taken, from the first on; the others are to be given again."""
    told: tuple[tuple[bytes, Told], ...]
    """What is told of each vertex that was applied."""
    early: tuple[bytes, ...]
    """Vertices that continue one which is not here: to be given again behind that one."""
    differences: tuple[Difference, ...]
    again: tuple[bytes, ...]
    """Vertices to be given before any other, the first of them, in order."""
    vertices: int
    """Vertices in the view."""
    size: int
    """Bytes that it holds."""
    full: bool
    """Whether it takes no more until some are final."""
    registry: dict[bytes, bytes | None] | None = None
    """The pending rows of the registry, where they may have changed."""


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


def pending_to_plain(pending: Pending) -> Plain:
    """Make a pending vertex plain."""
    own_id, vertex, time_ms = pending
    return (
        own_id,
        vertex.header.raw,
        vertex.author_key,
        _records_to_plain(vertex.records),
        time_ms,
    )


def pending_from_plain(plain: Plain) -> Pending:
    """Give the pending vertex that was made plain."""
    own_id, raw, key, records, time_ms = plain
    vertex = OrderedVertex(decode_header(raw), key, _records_from_plain(records))
    return Pending(own_id, vertex, time_ms)


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
    plain = executed._replace(
        outcomes=cast("Any", [_outcome_to_plain(one) for one in executed.outcomes]),
        differences=cast("Any", [_difference_to_plain(one) for one in executed.differences]),
    )
    return tuple(plain)


def executed_from_plain(plain: Plain) -> Executed:
    """Give the summary that was made plain."""
    executed = Executed._make(plain)
    return executed._replace(
        outcomes=tuple([_outcome_from_plain(one) for one in executed.outcomes]),
        differences=tuple([_difference_from_plain(one) for one in executed.differences]),
    )


def pended_to_plain(pended: Pended) -> Plain:
    """Make the provisional view's answer plain."""
    plain = pended._replace(
        told=cast("Any", [(own_id, tuple(told)) for own_id, told in pended.told]),
        differences=cast("Any", [_difference_to_plain(one) for one in pended.differences]),
    )
    return tuple(plain)


def pended_from_plain(plain: Plain) -> Pended:
    """Give the answer that was made plain."""
    pended = Pended._make(plain)
    return pended._replace(
        told=tuple([(own_id, Told._make(told)) for own_id, told in pended.told]),
        differences=tuple([_difference_from_plain(one) for one in pended.differences]),
    )


def _outcome_to_plain(outcome: Outcome) -> Plain:
    return (*outcome[:4], [tuple(event) for event in outcome.events])


def _outcome_from_plain(plain: Plain) -> Outcome:
    vertex, record, code, steps, events = plain
    return Outcome(vertex, record, code, steps, tuple([Event._make(event) for event in events]))


def _difference_to_plain(difference: Difference) -> Plain:
    vertex, record, before, after, final = difference
    return (vertex, record, _outcome_to_plain(before), _outcome_to_plain(after), final)


def _difference_from_plain(plain: Plain) -> Difference:
    vertex, record, before, after, final = plain
    return Difference(
        vertex, record, _outcome_from_plain(before), _outcome_from_plain(after), final
    )
