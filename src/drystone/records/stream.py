"""A stream as runs: which numbers of a device the ledger has, and a digest over its records in accepted order.

This one small value is the replay protection that outlives pruning, the list of gaps, and what a completeness proof
speaks about. It works like TCP's selective acknowledgement: a *run* is a stretch of numbers without a gap, runs merge
when they touch, epochs never mix. A run keeps the register (a meter's counter) at both edges, so that a record that
arrives late can be held against its neighbours. An epoch's numbers start at 0.

Nothing here knows records, profiles or contracts: the caller gives the record's id and its register as an integer.
The state of a stream lives in the ledger under its stream key, as the CBOR that `encode` writes.

Source: RFC 2018 (the idea), docs/spec/state.cddl.
"""

from bisect import bisect_right
from hashlib import sha256
from typing import Final, Literal, NamedTuple

from drystone.errors import EpochClosed, RegisterOrder, StreamGaps, StreamMalformed
from drystone.formats import cbor
from drystone.formats.cbor import Value
from drystone.limits import (
    EPOCH_MAX,
    INTEGER_BITS_MAX,
    MEMO_ROWS_MAX,
    SEQUENCE_MAX,
    STREAM_EPOCHS_MAX,
    STREAM_RUNS_MAX,
)
from drystone.records.header import HASH_LENGTH, UINT_MAX, read_bytes, read_uint

DOMAIN: Final = b"drystone/stream/1\n"

Kind = Literal["next", "gap", "late", "already"]


class Run(NamedTuple):
    """Numbers `first` to `last` of one epoch, all there; `lo` and `hi` are the first and the last register in it."""

    epoch: int
    first: int
    last: int
    lo: int | None = None
    hi: int | None = None


class Stream(NamedTuple):
    """What the ledger knows of a stream: 32-byte digest, count of records, runs in order."""

    digest: bytes
    count: int  # pyright: ignore[reportIncompatibleMethodOverride] - the format's word
    runs: tuple[Run, ...]


class Gap(NamedTuple):
    """Numbers `first` to `last` of one epoch, none of them there."""

    epoch: int
    first: int
    last: int


class Placement(NamedTuple):
    """Where a record falls, and the stream after it; `gap_from` is the first missing number when it opens a gap."""

    kind: Kind
    stream: Stream
    gap_from: int | None


EMPTY: Final = Stream(bytes(HASH_LENGTH), 0, ())

_new: Final = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
"""A NamedTuple's own constructor costs three times as much; used where every record passes."""


def place(
    stream: Stream, *, epoch: int, seq: int, record_id: bytes, register: int | None
) -> Placement:
    """Place one record in its stream.

    `next` continues the last run or starts an epoch at 0; `gap` lies beyond the end with numbers missing before it;
    `late` lies before the end; `already` is taken, whatever the record says, and leaves the stream as it is. A late
    record beyond the end of an older epoch may open a gap too. Does not look at the order of registers beyond the end
    of the stream: a rollover is the contract's business.

    A device that begins an epoch at each start must not fill its stream for ever: beyond `limits.STREAM_EPOCHS_MAX`
    epochs the oldest is closed. Its runs leave the state, the digest keeps covering its records.

    Raises:
        StreamGaps: the stream would have more than `limits.STREAM_RUNS_MAX` runs.
        EpochClosed: the epoch is older than those the stream remembers.
        RegisterOrder: a late record's register does not lie between its neighbours', or has too many bits.
    """
    longer = follow(stream, epoch=epoch, seq=seq, record_id=record_id, register=register)
    if longer is not None:
        return Placement("next", longer, None)
    runs = stream.runs
    index = len(runs)
    if index and (runs[-1].epoch, runs[-1].first) > (epoch, seq):
        index = bisect_right(runs, (epoch, seq), key=_start)
        if epoch < runs[0].epoch and _epochs(runs) >= STREAM_EPOCHS_MAX:
            raise EpochClosed(f"epoch {epoch} is closed, the oldest open one is {runs[0].epoch}")
    before = runs[index - 1] if index and runs[index - 1].epoch == epoch else None
    after = runs[index] if index < len(runs) and runs[index].epoch == epoch else None
    if before is not None and seq <= before.last:
        return Placement("already", stream, None)
    late = index < len(runs)
    if register is not None:
        _check_register(register, before, after, late=late)
    gap_from = None
    if after is None and seq:
        missing = 0 if before is None else before.last + 1
        gap_from = None if missing == seq else missing
    grown = Stream(
        chain(stream.digest, epoch=epoch, seq=seq, record_id=record_id),
        stream.count + 1,
        _join(runs, index, Run(epoch, seq, seq, register, register)),
    )
    return Placement("late" if late else "next" if gap_from is None else "gap", grown, gap_from)


def follow(
    stream: Stream, *, epoch: int, seq: int, record_id: bytes, register: int | None
) -> Stream | None:
    """The stream after a record that continues its last run, as nearly every record does; None for any other.

    What `place` does in that case, for who does not need its answer in a `Placement`. Raises as `place`.
    """
    digest, count, runs = stream
    if not runs:
        return None
    own_epoch, first, last, lo, hi = runs[-1]
    if own_epoch != epoch or last + 1 != seq:
        return None
    if register is not None:
        if register.bit_length() > INTEGER_BITS_MAX:
            _check_register(register, None, None, late=False)
        lo, hi = register if lo is None else lo, register
    position = (epoch << 64 | seq).to_bytes(12)
    digest = sha256(DOMAIN + digest + position + record_id).digest()
    run = _new(Run, (epoch, first, seq, lo, hi))
    return _new(Stream, (digest, count + 1, (run,) if len(runs) == 1 else (*runs[:-1], run)))


def chain(digest: bytes, *, epoch: int, seq: int, record_id: bytes) -> bytes:
    """The stream's digest after one more record; the first builds on 32 zero bytes."""
    position = (epoch << 64 | seq).to_bytes(12)
    return sha256(DOMAIN + digest + position + record_id).digest()


def covers(stream: Stream, *, epoch: int, seq: int) -> bool:
    """Whether the position is taken; of a closed epoch nobody knows, and the answer is no."""
    index = bisect_right(stream.runs, (epoch, seq), key=_start)
    if not index:
        return False
    run = stream.runs[index - 1]
    return run.epoch == epoch and seq <= run.last


def gaps(stream: Stream) -> list[Gap]:
    """The numbers missing before the last run of each remembered epoch, in order; an epoch starts at 0."""
    missing: list[Gap] = []
    epoch, expected = -1, 0
    for run in stream.runs:
        if run.epoch != epoch:
            epoch, expected = run.epoch, 0
        if run.first > expected:
            missing.append(Gap(epoch, expected, run.first - 1))
        expected = run.last + 1
    return missing


def encode(stream: Stream) -> bytes:
    """The stream's CBOR: `[digest, count, [run ...]]`, a run with its two registers or with none."""
    head = cbor.head
    digest, count, runs = stream
    parts = [b"\x83\x58\x20", digest, head(0, count), head(cbor.ARRAY, len(runs))]
    for epoch, first, last, lo, hi in runs:
        if lo is None or hi is None:
            parts += (b"\x83", head(0, epoch), head(0, first), head(0, last))
        else:
            parts += (
                b"\x85",
                head(0, epoch),
                head(0, first),
                head(0, last),
                _signed(lo),
                _signed(hi),
            )
    return b"".join(parts)


def decode(data: bytes) -> Stream:
    """Read what `encode` writes, remembering the last streams seen.

    Checks one spelling, order of the runs, that none touch, that their lengths add up to the count. Does not check
    the digest against records.

    Raises:
        StreamMalformed: the bytes are no stream.
        CborMalformed and its kin: they are no deterministic CBOR.
    """
    stream = _known.get(data)
    if stream is None:
        stream = _decode(data)
        _remember(data, stream)
    return stream


_known: Final[dict[bytes, Stream]] = {}


def _remember(data: bytes, stream: Stream) -> None:
    if len(_known) >= MEMO_ROWS_MAX:
        _known.clear()
    _known[data] = stream


def _epochs(runs: tuple[Run, ...]) -> int:
    return len({run.epoch for run in runs})


def _start(run: Run) -> tuple[int, int]:
    return run.epoch, run.first


def _join(runs: tuple[Run, ...], index: int, run: Run) -> tuple[Run, ...]:
    """Put a run before `runs[index]`, merged with the neighbours it touches.

    Raises:
        StreamGaps: too many runs.
    """
    start, end = index, index
    if index and runs[index - 1].epoch == run.epoch and runs[index - 1].last + 1 == run.first:
        start -= 1
        run = _merge(runs[start], run)
    if index < len(runs) and runs[index].epoch == run.epoch and runs[index].first == run.last + 1:
        end += 1
        run = _merge(run, runs[index])
    grown = (*runs[:start], run, *runs[end:])
    if _epochs(grown) > STREAM_EPOCHS_MAX:
        oldest = grown[0].epoch
        grown = tuple([kept for kept in grown if kept.epoch != oldest])
    if len(grown) > STREAM_RUNS_MAX:
        raise StreamGaps(f"the stream would have more than {STREAM_RUNS_MAX} runs")
    return grown


def _merge(left: Run, right: Run) -> Run:
    """Two runs that touch as one; a run without registers takes over its neighbour's."""
    lo = right.lo if left.lo is None else left.lo
    hi = left.hi if right.hi is None else right.hi
    return Run(left.epoch, left.first, right.last, lo, hi)


def _check_register(register: int, before: Run | None, after: Run | None, *, late: bool) -> None:
    if register.bit_length() > INTEGER_BITS_MAX:
        raise RegisterOrder(f"a register has at most {INTEGER_BITS_MAX} bits")
    if not late:
        return
    low = None if before is None else before.hi
    high = None if after is None else after.lo
    above = low is None or register >= low
    below = high is None or register <= high
    # Neighbours that fall span a rollover or an exchange of the meter: then one side is enough.
    fell = low is not None and high is not None and low > high
    if not (above or below) if fell else not (above and below):
        raise RegisterOrder(f"register {register} does not lie between {low} and {high}")


def _signed(value: int) -> bytes:
    return cbor.head(cbor.UINT, value) if value >= 0 else cbor.head(cbor.NINT, -1 - value)


def _decode(data: bytes) -> Stream:
    items = cbor.decode(data)
    if not isinstance(items, list) or len(items) != 3 or not isinstance(items[2], list):
        raise StreamMalformed("a stream is [digest, count, runs]")
    if len(items[2]) > STREAM_RUNS_MAX:
        raise StreamMalformed(f"a stream has at most {STREAM_RUNS_MAX} runs")
    digest = read_bytes(items[0], HASH_LENGTH, StreamMalformed, "digest")
    count = read_uint(items[1], UINT_MAX, StreamMalformed, "count")
    runs = tuple([_read_run(item) for item in items[2]])
    last = None
    for run in runs:
        if last is not None and (run.epoch, run.first) <= (last.epoch, last.last + 1):
            raise StreamMalformed("runs are in order and do not touch")
        last = run
    there = sum([run.last - run.first + 1 for run in runs])
    epochs = _epochs(runs)
    if epochs > STREAM_EPOCHS_MAX:
        raise StreamMalformed(f"a stream remembers at most {STREAM_EPOCHS_MAX} epochs")
    # Only a stream that remembers as many epochs as it may can have closed others.
    if count < there or (count > there and epochs < STREAM_EPOCHS_MAX):
        raise StreamMalformed("the count is not the sum of the runs")
    if not count and digest != EMPTY.digest:
        raise StreamMalformed("the digest of no records is zero")
    return Stream(digest, count, runs)


def _read_run(item: Value) -> Run:
    if not isinstance(item, list) or len(item) not in (3, 5):
        raise StreamMalformed("a run is [epoch, first, last], perhaps with two registers")
    epoch = read_uint(item[0], EPOCH_MAX, StreamMalformed, "epoch")
    last = read_uint(item[2], SEQUENCE_MAX, StreamMalformed, "last")
    first = read_uint(item[1], last, StreamMalformed, "first")
    if len(item) == 3:
        return Run(epoch, first, last)
    lo, hi = (_read_register(value) for value in item[3:])
    return Run(epoch, first, last, lo, hi)


def _read_register(value: Value) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise StreamMalformed("a register is an integer")
    if value.bit_length() > INTEGER_BITS_MAX:
        raise StreamMalformed(f"a register has at most {INTEGER_BITS_MAX} bits")
    return value
