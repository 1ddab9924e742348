"""The completeness proof: that between two blocks the ledger took exactly these records of one stream, and no other.

A *point* is a state value proved under a block entry, which a receipt places in the log. A completeness proof has two
points of one stream's state and the records accepted in between, each as position and record id. Chaining them from
the first point's digest must give the second's; so nothing can be left out, put in or moved. What never reached the
ledger shows as a gap in the numbering. This file encodes, decodes and chains; `verify.py` checks the points' proofs.
Where the ledger holds evidence of a fork in the stream, the proof brings it along, proved under the second point's
state: that explains why an epoch ends and the next one begins.
Source: formats.md part B (`completeness`, `item`, `point`, "stream digest"); design.md "Streams as runs".
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple, cast

from drystone import limits
from drystone.errors import DrystoneError, IdMalformed, ReceiptMalformed, StreamIncomplete
from drystone.formats import cbor
from drystone.formats.cbor import Value
from drystone.proof.verdict import Item, Range
from drystone.records import stream
from drystone.records.header import HASH_LENGTH, check_id, read_bytes, read_uint

COMPLETENESS_TAG: Final = "drystone/completeness/1"
STREAM_SPACE: Final = 4
KEY_SPACE: Final = 3
EVIDENCE_SPACE: Final = 11


class Point(NamedTuple):
    """A state value (None: absent) with all that proves it: ICS-23 proof, block entry, COSE receipt of that entry."""

    value: bytes | None
    ics23: bytes
    block: bytes
    receipt: bytes


class ForkPoint(NamedTuple):
    """Evidence of a fork in an epoch: the state value (both ids), and its proof under the second point's state."""

    epoch: int
    value: bytes
    ics23: bytes


class Completeness(NamedTuple):
    """A stream's stretch; `start` None means from the stream's first record."""

    iss: str
    sub: str
    device: str | None
    start: Point | None
    items: tuple[Item, ...]
    end: Point
    forks: tuple[ForkPoint, ...] = ()


def encode_point(point: Point) -> bytes:
    """Return a point as a file of its own (a device's key, any state value); checks nothing."""
    return cbor.encode(list(point))


def decode_point(data: bytes) -> Point:
    """Read a point from its one spelling; checks its form, no proof in it. Raises: ReceiptMalformed."""
    return _read_point(_decode(data))


def encode_completeness(proof: Completeness) -> bytes:
    """Return the proof as a file; checks nothing. A stream attested by a gateway names its device last."""
    return cbor.encode(
        [
            COMPLETENESS_TAG,
            proof.iss,
            proof.sub,
            list(proof.start) if proof.start is not None else None,
            [list(item) for item in proof.items],
            list(proof.end),
            *([proof.device] if proof.device is not None else []),
            *([[list(fork) for fork in proof.forks]] if proof.forks else []),
        ]
    )


def decode_completeness(data: bytes) -> Completeness:
    """Read a completeness proof from its one spelling; checks form and bounds, no proof in it.

    Raises: ReceiptMalformed.
    """
    value = _decode(data)
    if not isinstance(value, list) or len(value) < 6 or value[0] != COMPLETENESS_TAG:
        raise ReceiptMalformed(f"expected six to eight items that start {COMPLETENESS_TAG!r}")
    _, iss, sub, start, items, end, *more = value
    # A device is text, forks are a list: what is neither is refused as a device.
    forks = _read_forks(more.pop()) if more and isinstance(more[-1], list) else ()
    if len(more) > 1:
        raise ReceiptMalformed("one device at most")
    if not isinstance(items, list) or len(items) > limits.COMPLETENESS_ITEMS_MAX:
        raise ReceiptMalformed(f"expected at most {limits.COMPLETENESS_ITEMS_MAX} items")
    return Completeness(
        iss=_id(iss),
        sub=_id(sub),
        device=_id(more[0]) if more else None,
        start=None if start is None else _read_point(start),
        items=tuple([_read_item(item) for item in items]),
        end=_read_point(end),
        forks=forks,
    )


def stream_key(*, iss: str, sub: str, device: str | None) -> bytes:
    """Return the state key of a stream, as `ledger/keyspace.py` builds it."""
    parts = (STREAM_SPACE, iss, sub) if device is None else (STREAM_SPACE, iss, sub, device)
    return b"".join(map(cbor.encode, parts))


def device_key(*, iss: str, sub: str, kid: bytes) -> bytes:
    """Return the state key of one public key of a member, as `ledger/keyspace.py` builds it."""
    return b"".join(map(cbor.encode, (KEY_SPACE, iss, sub, kid)))


def evidence_key(*, iss: str, sub: str, device: str | None, epoch: int) -> bytes:
    """Return the state key of evidence of a fork in a stream, as `ledger/keyspace.py` builds it."""
    parts = (EVIDENCE_SPACE, iss, sub if device is None else device, "record", epoch)
    return b"".join(map(cbor.encode, parts))


def read_evidence(value: bytes) -> tuple[bytes, bytes]:
    """Return the two record ids in a proved state value. Raises: ReceiptMalformed if it is no evidence."""
    ids = _decode(value)
    if not isinstance(ids, list) or len(ids) != 2:
        raise ReceiptMalformed("evidence is two record ids")
    first, second = (read_bytes(one, HASH_LENGTH, ReceiptMalformed, "record id") for one in ids)
    if first >= second:
        raise ReceiptMalformed("evidence is two different ids, in order")
    return first, second


def read_stream(value: bytes | None) -> stream.Stream:
    """Return the stream that stands in a proved state value; absent is the empty stream.

    Raises: ReceiptMalformed if the value is no stream.
    """
    if value is None:
        return stream.EMPTY
    try:
        return stream.decode(value)
    except DrystoneError as error:
        raise ReceiptMalformed(f"the proved value is no stream: {error}") from error


def check_chain(*, start: stream.Stream, items: Sequence[Item], end: stream.Stream) -> None:
    """Check that `items`, placed one by one after `start`, give exactly `end`: digest, count and runs.

    Registers at the runs' edges are not compared, since the items do not carry them. Raises: StreamIncomplete.
    """
    now = start._replace(runs=tuple(run._replace(lo=None, hi=None) for run in start.runs))
    for item in items:
        try:
            placed = stream.place(
                now, epoch=item.epoch, seq=item.seq, record_id=item.record_id, register=None
            )
        except DrystoneError as error:
            raise StreamIncomplete(f"record {item.epoch}/{item.seq}: {error}") from error
        if placed.kind == "already":
            raise StreamIncomplete(f"record {item.epoch}/{item.seq} stands twice")
        now = placed.stream
    if now.digest != end.digest:
        raise StreamIncomplete(f"the {len(items)} records do not lead to the proved digest")
    if now.count != end.count or runs_of(now) != runs_of(end):
        raise StreamIncomplete("count or runs differ from the proved stream's")


def runs_of(state: stream.Stream) -> tuple[Range, ...]:
    """Return a stream's runs without the registers at their edges."""
    return tuple(Range(run.epoch, run.first, run.last) for run in state.runs)


def gaps_of(state: stream.Stream, *, items: Sequence[Item], whole: bool) -> tuple[Range, ...]:
    """Return the numbers missing in a stream, by epoch.

    A stream remembers its last epochs only. Where `items` are `whole`, all its records from the first one on, the gaps
    of the epochs that it has closed are found in them.
    """
    gaps = [Range(*gap) for gap in stream.gaps(state)]
    kept = {run.epoch for run in state.runs}
    closed = sorted({item[:2] for item in items if item.epoch not in kept}) if whole else []
    found: list[Range] = []
    last = (-1, 0)
    for epoch, seq in closed:
        expected = last[1] + 1 if last[0] == epoch else 0
        if seq > expected:
            found.append(Range(epoch, expected, seq - 1))
        last = (epoch, seq)
    return (*found, *gaps)


def forgets(state: stream.Stream) -> bool:
    """Whether a stream has closed epochs, whose gaps it no longer knows."""
    return state.count > sum(run.last - run.first + 1 for run in state.runs)


def _decode(data: bytes) -> Value:
    if len(data) > limits.PROOF_BYTES_MAX:
        raise ReceiptMalformed(f"{len(data)} bytes, at most {limits.PROOF_BYTES_MAX}")
    try:
        return cbor.decode(data)
    except DrystoneError as error:
        raise ReceiptMalformed(str(error)) from error


def _read_point(value: Value) -> Point:
    if not isinstance(value, list) or len(value) != 4:
        raise ReceiptMalformed("a point is [value, ics23, block, receipt]")
    state, *proofs = value
    if state is not None and not isinstance(state, bytes):
        raise ReceiptMalformed("a point's value is bytes, or null for none")
    if not all(isinstance(proof, bytes) for proof in proofs):
        raise ReceiptMalformed("a point's proof, block and receipt are byte strings")
    ics23, block, receipt = cast("list[bytes]", proofs)
    return Point(state, ics23, block, receipt)


def _read_item(value: Value) -> Item:
    if not isinstance(value, list) or len(value) != 3:
        raise ReceiptMalformed("an item is [epoch, seq, record id]")
    return Item(
        epoch=read_uint(value[0], limits.EPOCH_MAX, ReceiptMalformed, "epoch"),
        seq=read_uint(value[1], limits.SEQUENCE_MAX, ReceiptMalformed, "seq"),
        record_id=read_bytes(value[2], HASH_LENGTH, ReceiptMalformed, "record id"),
    )


def _read_forks(value: Value) -> tuple[ForkPoint, ...]:
    assert isinstance(value, list)
    if not 1 <= len(value) <= limits.COMPLETENESS_FORKS_MAX:
        raise ReceiptMalformed(f"expected 1 to {limits.COMPLETENESS_FORKS_MAX} forks, or no list")
    forks = tuple([_read_fork(one) for one in value])
    if any(one.epoch >= other.epoch for one, other in pairwise(forks)):
        raise ReceiptMalformed("forks stand in the order of their epochs, each once")
    return forks


def _read_fork(value: Value) -> ForkPoint:
    if not isinstance(value, list) or len(value) != 3:
        raise ReceiptMalformed("a fork is [epoch, evidence, ics23]")
    epoch, evidence, ics23 = value
    if not isinstance(evidence, bytes) or not isinstance(ics23, bytes):
        raise ReceiptMalformed("a fork's evidence and proof are byte strings")
    return ForkPoint(read_uint(epoch, limits.EPOCH_MAX, ReceiptMalformed, "epoch"), evidence, ics23)


def _id(value: Value) -> str:
    try:
        return check_id(value)
    except IdMalformed as error:
        raise ReceiptMalformed(str(error)) from error
