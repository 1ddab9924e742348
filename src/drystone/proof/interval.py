"""The interval around a record that the ledger proves: not before its anchor's block, not after a block behind it.

A *moment* is a block entry that stands in the same log as the record. Its inclusion path and the record's meet
somewhere below the root, and from there on they are one, so that only the hashes *below* are spelled. The last block
that the log had when an anchor was seen ends that log: the left siblings of its entry are all there is of the log up
to it, so its path gives the root of that time, and with it the application hash that the anchor is the start of.
Times are the blocks' own. Nothing here reads a log. Source: RFC 9162 section 2.1; design section 4 (time).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from drystone import limits
from drystone.errors import ProofInvalid, ReceiptMalformed, ReceiptMismatch
from drystone.formats.cbor import Value
from drystone.proof.block import BlockEntry, app_head, encode_block
from drystone.proof.verdict import IntervalFacts, MomentFacts
from drystone.records.header import HASH_LENGTH, UINT_MAX, read_bytes, read_uint
from drystone.records.record import ANCHOR_LENGTH
from drystone.trees import log

MOMENT_ITEMS: Final = 8


class Moment(NamedTuple):
    """A block entry, where it stands, and the hashes from its leaf up to where the record's path is met."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride] - the format's word
    below: tuple[bytes, ...]
    block: BlockEntry


class Interval(NamedTuple):
    """The moments around a record; `since` is None where it names no anchor, or one that nobody found."""

    until: Moment
    since: Moment | None


class Leaf(NamedTuple):
    """A leaf whose inclusion was verified."""

    hash: bytes
    index: int  # pyright: ignore[reportIncompatibleMethodOverride] - the format's word
    path: Sequence[bytes]


def check_interval(
    interval: Interval, *, record: Leaf, size: int, root: bytes, anchor: bytes | None
) -> IntervalFacts:
    """Check that the moments stand in the record's log, behind it and before it, and that the anchor is the latter's.

    `record` is the record's own leaf, verified under `root` in the log of `size` leaves. Does not check the blocks'
    times against anything. Raises: ReceiptMismatch, ProofInvalid.
    """
    if interval.until.index <= record.index:
        raise ReceiptMismatch("the block that ends the interval does not stand behind the record")
    _check_moment(interval.until, record, size=size, root=root)
    since = interval.since
    if since is not None:
        if since.index >= record.index:
            raise ReceiptMismatch("the block that begins the interval stands behind the record")
        path = _check_moment(since, record, size=size, root=root)
        if _head_at(since, path, size)[:ANCHOR_LENGTH] != anchor:
            raise ReceiptMismatch("the record's anchor is no state of that block")
    return IntervalFacts(
        until=_facts(interval.until), since=None if since is None else _facts(since)
    )


def path_below(*, index: int, path: Sequence[bytes], record: int, size: int) -> tuple[bytes, ...]:
    """Return the start of leaf `index`'s whole inclusion path: what lies below its meeting with leaf `record`'s."""
    return tuple(path[: _meeting(index, record, size)])


def encode_interval(interval: Interval) -> Value:
    """Return what stands under -70004 of a receipt's unprotected header."""
    moments = [interval.until] if interval.since is None else [interval.until, interval.since]
    return [[moment.index, b"".join(moment.below), *moment.block] for moment in moments]


def decode_interval(value: Value) -> Interval:
    """Read one or two moments; checks form and bounds, no hash. Raises: ReceiptMalformed."""
    match value:
        case [until]:
            return Interval(_read_moment(until), None)
        case [until, since]:
            return Interval(_read_moment(until), _read_moment(since))
        case _:
            raise ReceiptMalformed("interval: expected [until, ? since]")


def _read_moment(value: Value) -> Moment:
    if not isinstance(value, list) or len(value) != MOMENT_ITEMS:
        raise ReceiptMalformed(f"interval: a moment has {MOMENT_ITEMS} items")
    below = value[1]
    if not isinstance(below, bytes) or len(below) > HASH_LENGTH * limits.LOG_PATH_MAX:
        raise ReceiptMalformed("interval: hashes are one byte string")
    if len(below) % HASH_LENGTH:
        raise ReceiptMalformed("interval: a hash has 32 bytes")
    return Moment(
        index=_uint(value[0], "index"),
        below=tuple(below[at : at + HASH_LENGTH] for at in range(0, len(below), HASH_LENGTH)),
        block=BlockEntry(
            height=_uint(value[2], "height"),
            time_ms=_uint(value[3], "time"),
            state=_hash(value[4], "state root"),
            outcomes=_hash(value[5], "outcomes root"),
            validators=_hash(value[6], "validators"),
            protocol=_uint(value[7], "protocol"),
        ),
    )


def _check_moment(moment: Moment, record: Leaf, *, size: int, root: bytes) -> list[bytes]:
    """Check that a moment's block entry stands where it says, and return its whole path."""
    if moment.index >= size:
        raise ProofInvalid(f"no leaf {moment.index} in a log of {size}")
    met = _meeting(record.index, moment.index, size)
    beside = record.hash
    sides = _sides(record.index, size)
    for sibling, left in zip(record.path[:met], sides[:met], strict=True):
        beside = log.node_hash(sibling, beside) if left else log.node_hash(beside, sibling)
    path = [*moment.below, beside, *record.path[met + 1 :]]
    leaf = log.leaf_hash(encode_block(moment.block))
    log.verify_inclusion(root=root, size=size, index=moment.index, leaf=leaf, path=path)
    return path


def _head_at(moment: Moment, path: Sequence[bytes], size: int) -> bytes:
    """Return the application hash of the log that ends with a moment's block entry."""
    root = log.leaf_hash(encode_block(moment.block))
    for sibling, left in zip(path, _sides(moment.index, size), strict=True):
        root = log.node_hash(sibling, root) if left else root
    return app_head(size=moment.index + 1, root=root)


def _meeting(index: int, other: int, size: int) -> int:
    """Return how many siblings of leaf `index` lie below the one whose subtree holds leaf `other`."""
    own, others = _sides(index, size), _sides(other, size)
    shared = 0
    while own[-1 - shared] == others[-1 - shared]:
        shared += 1
    return len(own) - shared - 1


def _sides(index: int, size: int) -> list[bool]:
    """Return for each sibling of a leaf, from the leaf upwards, whether it stands to the left."""
    sides: list[bool] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + (1 << ((end - first - 1).bit_length() - 1))
        sides.append(index >= middle)
        first, end = (middle, end) if index >= middle else (first, middle)
    sides.reverse()
    return sides


def _facts(moment: Moment) -> MomentFacts:
    return MomentFacts(height=moment.block.height, time_ms=moment.block.time_ms, index=moment.index)


def _uint(value: Value, name: str) -> int:
    return read_uint(value, UINT_MAX, ReceiptMalformed, name)


def _hash(value: Value, name: str) -> bytes:
    return read_bytes(value, HASH_LENGTH, ReceiptMalformed, name)
