"""Streams as runs: a model of plain sets says the same as the runs, registers stay between neighbours, one spelling."""

from contextlib import suppress
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.errors import (
    CborMalformed,
    CborNotDeterministic,
    EpochClosed,
    Refused,
    RegisterOrder,
    StreamGaps,
    StreamMalformed,
)
from drystone.formats import cbor
from drystone.limits import EPOCH_MAX, SEQUENCE_MAX, STREAM_RUNS_MAX
from drystone.records import stream as stream_module
from drystone.records.stream import (
    EMPTY,
    Gap,
    Placement,
    Run,
    Stream,
    chain,
    covers,
    decode,
    encode,
    gaps,
    place,
)

Position = tuple[int, int]


def identity(epoch: int, seq: int) -> bytes:
    return sha256(f"{epoch}/{seq}".encode()).digest()


def put(stream: Stream, seq: int, register: int | None = None, *, epoch: int = 0) -> Placement:
    return place(stream, epoch=epoch, seq=seq, record_id=identity(epoch, seq), register=register)


def filled(*seqs: int, epoch: int = 0, registers: bool = False) -> Stream:
    stream = EMPTY
    for seq in seqs:
        stream = put(stream, seq, seq * 10 if registers else None, epoch=epoch).stream
    return stream


def spans(stream: Stream) -> list[tuple[int, int, int]]:
    return [run[:3] for run in stream.runs]


# --- placing ---------------------------------------------------------------------------------------


def test_records_in_order_make_one_run() -> None:
    stream = filled(0, 1, 2, 3)
    assert spans(stream) == [(0, 0, 3)]
    assert stream.count == 4


def test_the_first_record_is_next_when_it_is_number_0() -> None:
    placement = put(EMPTY, 0)
    assert (placement.kind, placement.gap_from) == ("next", None)


def test_a_stream_that_starts_later_opens_a_gap_from_0() -> None:
    placement = put(EMPTY, 41807)
    assert (placement.kind, placement.gap_from) == ("gap", 0)
    assert gaps(placement.stream) == [Gap(0, 0, 41806)]


def test_a_record_beyond_the_end_opens_a_gap() -> None:
    placement = put(filled(0, 1), 5)
    assert (placement.kind, placement.gap_from) == ("gap", 2)
    assert spans(placement.stream) == [(0, 0, 1), (0, 5, 5)]


@pytest.mark.parametrize(
    ("seq", "runs"),
    [
        (2, [(0, 0, 2), (0, 5, 6)]),
        (4, [(0, 0, 1), (0, 4, 6)]),
        (3, [(0, 0, 1), (0, 3, 3), (0, 5, 6)]),
    ],
)
def test_a_record_in_a_hole_is_late(seq: int, runs: list[tuple[int, int, int]]) -> None:
    placement = put(filled(0, 1, 5, 6), seq)
    assert (placement.kind, placement.gap_from) == ("late", None)
    assert spans(placement.stream) == runs


def test_runs_that_touch_become_one() -> None:
    placement = put(filled(0, 1, 3), 2)
    assert placement.kind == "late"
    assert spans(placement.stream) == [(0, 0, 3)]


@pytest.mark.parametrize("seq", [0, 1, 2, 5, 6])
def test_a_taken_position_is_already_whatever_the_record_says_s2_29(seq: int) -> None:
    stream = filled(0, 1, 2, 5, 6, registers=True)
    placement = place(stream, epoch=0, seq=seq, record_id=bytes(32), register=-999)
    assert placement == Placement("already", stream, None)
    assert placement.stream is stream


def test_a_replay_on_an_epoch_of_the_past_is_already_s2_29() -> None:
    stream = put(filled(0, 1), 0, epoch=1).stream
    assert put(stream, 1).kind == "already"


def test_a_new_epoch_starts_its_own_run_at_0() -> None:
    placement = put(filled(0, 1, 2), 0, epoch=1)
    assert (placement.kind, placement.gap_from) == ("next", None)
    assert spans(placement.stream) == [(0, 0, 2), (1, 0, 0)]


def test_a_new_epoch_that_starts_later_opens_a_gap_from_0() -> None:
    placement = put(filled(0, 1, 2), 3, epoch=1)
    assert (placement.kind, placement.gap_from) == ("gap", 0)
    assert gaps(placement.stream) == [Gap(1, 0, 2)]


def test_epochs_never_merge_although_their_numbers_touch() -> None:
    stream = put(filled(0, 1), 2, epoch=1).stream
    assert spans(stream) == [(0, 0, 1), (1, 2, 2)]


def test_the_tail_of_an_older_epoch_is_late_and_may_open_a_gap() -> None:
    stream = put(filled(0, 1), 0, epoch=1).stream
    touching, beyond = put(stream, 2), put(stream, 9)
    assert (touching.kind, touching.gap_from) == ("late", None)
    assert (beyond.kind, beyond.gap_from) == ("late", 2)
    assert spans(beyond.stream) == [(0, 0, 1), (0, 9, 9), (1, 0, 0)]


def test_an_older_epoch_heard_for_the_first_time_is_late() -> None:
    stream = put(EMPTY, 0, epoch=1).stream
    assert put(stream, 0)[::2] == ("late", None)
    assert put(stream, 7)[::2] == ("late", 0)


def test_the_highest_position_is_placed() -> None:
    placement = put(filled(0), SEQUENCE_MAX, epoch=EPOCH_MAX)
    assert covers(placement.stream, epoch=EPOCH_MAX, seq=SEQUENCE_MAX)
    assert decode(encode(placement.stream)) == placement.stream


# --- too many gaps ---------------------------------------------------------------------------------


def test_one_run_too_many_is_refused_and_the_oldest_missing_record_helps() -> None:
    stream = filled(*range(0, 2 * STREAM_RUNS_MAX, 2))
    assert len(stream.runs) == STREAM_RUNS_MAX
    with pytest.raises(StreamGaps):
        put(stream, 2 * STREAM_RUNS_MAX)
    stream = put(stream, 1).stream
    assert put(stream, 2 * STREAM_RUNS_MAX).kind == "gap"


def test_at_the_bound_runs_still_grow_and_duplicates_are_still_known() -> None:
    stream = filled(*range(0, 2 * STREAM_RUNS_MAX, 2))
    end = 2 * STREAM_RUNS_MAX - 2
    assert put(stream, end + 1).kind == "next"
    assert put(stream, end).kind == "already"


def test_a_late_record_that_touches_nothing_counts_as_a_run() -> None:
    stream = filled(*range(0, 3 * STREAM_RUNS_MAX, 3))
    stream = put(stream, 3 * STREAM_RUNS_MAX - 2).stream
    far = filled(*range(0, 4 * STREAM_RUNS_MAX, 4))
    with pytest.raises(StreamGaps):
        put(far, 2)
    assert put(stream, 1).kind == "late"


# --- registers -------------------------------------------------------------------------------------


def test_a_run_keeps_the_registers_at_its_edges() -> None:
    assert filled(0, 1, 2, registers=True).runs == (Run(0, 0, 2, 0, 20),)


def test_runs_without_registers_keep_none() -> None:
    assert filled(0, 1).runs == (Run(0, 0, 1, None, None),)


def test_a_record_without_register_leaves_the_edges_at_the_last_known() -> None:
    stream = put(put(put(EMPTY, 0).stream, 1, 100).stream, 2).stream
    assert stream.runs == (Run(0, 0, 2, 100, 100),)


@pytest.mark.parametrize("register", [10, 11, 49, 50])
def test_a_late_register_between_its_neighbours_is_accepted(register: int) -> None:
    assert put(filled(0, 1, 5, registers=True), 3, register).kind == "late"


@pytest.mark.parametrize("register", [9, 51, -1, 10**9])
def test_a_late_register_outside_its_neighbours_is_refused(register: int) -> None:
    with pytest.raises(RegisterOrder):
        put(filled(0, 1, 5, registers=True), 3, register)


def test_a_late_record_without_register_is_accepted() -> None:
    assert put(filled(0, 1, 5, registers=True), 3, None).kind == "late"


def test_a_late_record_before_everything_is_held_against_what_follows_only() -> None:
    stream = filled(5, 6, registers=True)
    assert put(stream, 2, -5).kind == "late"
    with pytest.raises(RegisterOrder):
        put(stream, 2, 51)


def test_a_late_record_at_the_tail_of_an_old_epoch_is_held_against_what_precedes_only() -> None:
    stream = put(filled(0, 1, registers=True), 0, 0, epoch=1).stream
    assert put(stream, 2, 10**6).kind == "late"
    with pytest.raises(RegisterOrder):
        put(stream, 2, 9)


def test_registers_of_other_epochs_are_no_neighbours() -> None:
    stream = put(put(EMPTY, 5, 500).stream, 5, 3, epoch=1).stream
    assert put(stream, 2, 1, epoch=1).kind == "late"


def test_beyond_the_end_a_register_may_fall_because_that_is_the_contracts_business() -> None:
    assert put(filled(0, 1, registers=True), 2, 3).stream.runs == (Run(0, 0, 2, 0, 3),)


@pytest.mark.parametrize(
    ("register", "fits"), [(95, True), (5, True), (90, True), (10, True), (50, False)]
)
def test_across_a_rollover_one_side_is_enough(register: int, fits: bool) -> None:
    stream = put(put(EMPTY, 0, 90).stream, 9, 10).stream
    if fits:
        assert put(stream, 4, register).kind == "late"
    else:
        with pytest.raises(RegisterOrder):
            put(stream, 4, register)


@pytest.mark.parametrize("register", [2**63, -(2**63), 10**30])
def test_a_register_of_more_than_63_bits_is_refused(register: int) -> None:
    with pytest.raises(RegisterOrder):
        put(EMPTY, 0, register)


@pytest.mark.parametrize("register", [2**63 - 1, 1 - 2**63])
def test_a_register_of_63_bits_is_kept(register: int) -> None:
    stream = put(EMPTY, 0, register).stream
    stream_module._known.clear()
    assert decode(encode(stream)).runs[0].lo == register


def test_a_merge_keeps_the_outer_registers() -> None:
    stream = put(filled(0, 1, 3, 4, registers=True), 2, 20).stream
    assert stream.runs == (Run(0, 0, 4, 0, 40),)


# --- digest ----------------------------------------------------------------------------------------


def test_the_digest_is_chained_in_accepted_order() -> None:
    stream = filled(0, 5, 3)
    digest = bytes(32)
    for seq in (0, 5, 3):
        position = (0).to_bytes(4) + seq.to_bytes(8)
        digest = sha256(b"drystone/stream/1\n" + digest + position + identity(0, seq)).digest()
    assert stream.digest == digest
    assert filled(0, 3, 5).digest != digest


def test_the_digest_covers_the_epoch() -> None:
    one = chain(bytes(32), epoch=0, seq=1, record_id=bytes(32))
    assert one != chain(bytes(32), epoch=1, seq=0, record_id=bytes(32))


# --- against a model -------------------------------------------------------------------------------

positions = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=80)


@settings(max_examples=300, deadline=None)
@given(positions)
def test_runs_say_what_a_plain_set_says(taken: list[Position]) -> None:
    stream, model = EMPTY, set[Position]()
    for epoch, seq in taken:
        placement = put(stream, seq, epoch=epoch)
        if (epoch, seq) in model:
            assert placement.kind == "already"
        elif any(other > (epoch, seq) for other in model):
            assert placement.kind == "late"
        else:
            below = {s for e, s in model if e == epoch}
            expected = max(below, default=-1) + 1
            kind, gap_from = ("next", None) if seq == expected else ("gap", expected)
            assert (placement.kind, placement.gap_from) == (kind, gap_from)
        stream = placement.stream
        model.add((epoch, seq))
    assert stream.count == len(model)
    assert all(
        covers(stream, epoch=epoch, seq=seq) == ((epoch, seq) in model)
        for epoch in range(4)
        for seq in range(33)
    )
    missing = {(gap.epoch, seq) for gap in gaps(stream) for seq in range(gap.first, gap.last + 1)}
    ends = {epoch: max(s for e, s in model if e == epoch) for epoch, _ in model}
    assert missing == {(e, s) for e, end in ends.items() for s in range(end)} - model


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_arrival_in_any_order_ends_in_the_same_runs(seed: int, count: int) -> None:
    seqs = list(range(count))
    Random(seed).shuffle(seqs)
    assert filled(*seqs, registers=True).runs == filled(*range(count), registers=True).runs


# --- one spelling ----------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(positions, st.booleans())
def test_a_stream_reads_back_and_is_deterministic_cbor(
    taken: list[Position], registers: bool
) -> None:
    stream = EMPTY
    for epoch, seq in taken:
        stream = put(stream, seq, seq * 3 - 20 if registers else None, epoch=epoch).stream
    data = encode(stream)
    stream_module._known.clear()
    assert decode(data) == stream
    assert decode(data) is decode(data)
    assert cbor.encode(cbor.decode(data)) == data


def test_one_run_takes_45_bytes_as_the_formats_say() -> None:
    stream = Stream(bytes(32), 1000, (Run(0, 0, 999),))
    assert len(encode(stream)) <= 45


ONE = bytes(32 - 1) + b"\1"


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        [ONE, 1],
        [ONE, 1, [[0, 0, 0]], 0],
        [ONE, 1, {}],
        [ONE, 1, None],
        [bytes(31), 1, [[0, 0, 0]]],
        ["0" * 32, 1, [[0, 0, 0]]],
        [ONE, -1, [[0, 0, 0]]],
        [ONE, True, [[0, 0, 0]]],
        [ONE, 2, [[0, 0, 0]]],
        [ONE, 0, [[0, 0, 0]]],
        [ONE, 0, []],
        [ONE, 1, []],
        [ONE, 1, [[0, 0]]],
        [ONE, 1, [[0, 0, 0, 0]]],
        [ONE, 1, [[0, 0, 0, 0, 0, 0]]],
        [ONE, 1, [{0: 0}]],
        [ONE, 1, [[0, 1, 0]]],
        [ONE, 1, [[EPOCH_MAX + 1, 0, 0]]],
        [ONE, 1, [[0, SEQUENCE_MAX + 1, SEQUENCE_MAX + 1]]],
        [ONE, 1, [[0, 0, True]]],
        [ONE, 1, [[0, 0, 0, None, None]]],
        [ONE, 1, [[0, 0, 0, 1, True]]],
        [ONE, 1, [[0, 0, 0, 2**63, 0]]],
        [ONE, 2, [[0, 0, 0], [0, 0, 0]]],
        [ONE, 2, [[0, 0, 0], [0, 1, 1]]],
        [ONE, 2, [[0, 5, 5], [0, 1, 1]]],
        [ONE, 2, [[1, 0, 0], [0, 5, 5]]],
        [ONE, 65, [[0, 2 * n, 2 * n] for n in range(STREAM_RUNS_MAX + 1)]],
    ],
    ids=repr,
)
def test_another_value_is_no_stream(value: cbor.Encodable) -> None:
    with pytest.raises(StreamMalformed):
        decode(cbor.encode(value))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", CborMalformed),
        (encode(EMPTY) + b"\0", CborMalformed),
        (encode(EMPTY)[:-2] + b"\x18\x00\x80", CborNotDeterministic),
    ],
)
def test_another_spelling_is_no_stream(data: bytes, error: type[Refused]) -> None:
    with pytest.raises(error):
        decode(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), st.integers(0, 45), st.binary(max_size=3))
def test_any_bytes_are_a_stream_of_one_spelling_or_refused(
    data: bytes, at: int, new: bytes
) -> None:
    known = encode(filled(0, 1, 5, registers=True))
    for candidate in (data, known[:at] + new + known[at + 1 :]):
        with suppress(Refused):
            assert encode(decode(candidate)) == candidate


def test_the_memory_of_streams_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MEMO_ROWS_MAX", 4)
    stream = EMPTY
    for seq in range(20):
        stream = put(stream, seq).stream
        decode(encode(stream))
        assert len(stream_module._known) <= 4


class TestClosedEpochs:
    """A device that begins an epoch at each start never fills its stream; what it closed stays covered."""

    def after_starts(self, count: int) -> stream_module.Stream:
        now = stream_module.EMPTY
        for epoch in range(count):
            for seq in range(2):
                placed = stream_module.place(
                    now, epoch=epoch, seq=seq, record_id=bytes([epoch % 256] * 32), register=None
                )
                now = placed.stream
        return now

    def test_thousand_starts_leave_a_bounded_stream_that_counts_all(self) -> None:
        now = self.after_starts(1_000)
        assert now.count == 2_000
        assert [run.epoch for run in now.runs] == list(range(984, 1_000))
        assert stream_module.decode(stream_module.encode(now)) == now

    def test_record_of_a_closed_epoch_is_refused(self) -> None:
        now = self.after_starts(17)
        with pytest.raises(EpochClosed):
            stream_module.place(now, epoch=0, seq=5, record_id=bytes(32), register=None)

    def test_record_of_the_oldest_open_epoch_is_still_taken(self) -> None:
        now = self.after_starts(17)
        placed = stream_module.place(now, epoch=1, seq=2, record_id=bytes(32), register=None)
        assert placed.kind == "late"
        assert placed.stream.count == now.count + 1

    def test_older_epoch_is_taken_while_there_is_room(self) -> None:
        now = stream_module.EMPTY
        for epoch in range(5, 20):
            now = stream_module.place(
                now, epoch=epoch, seq=0, record_id=bytes(32), register=None
            ).stream
        assert (
            stream_module.place(now, epoch=2, seq=0, record_id=bytes(32), register=None).kind
            == "late"
        )

    def test_digest_covers_what_was_closed(self) -> None:
        assert self.after_starts(20).digest != self.after_starts(19).digest
        other = stream_module.place(
            stream_module.EMPTY, epoch=0, seq=0, record_id=bytes([7] * 32), register=None
        ).stream
        for epoch in range(1, 20):
            other = stream_module.place(
                other, epoch=epoch, seq=0, record_id=bytes([epoch] * 32), register=None
            ).stream
        assert other.runs == tuple(stream_module.Run(e, 0, 0) for e in range(4, 20))

    def test_count_above_the_runs_needs_closed_epochs(self) -> None:
        digest, count, runs = cbor.decode(stream_module.encode(self.after_starts(3)))
        with pytest.raises(StreamMalformed):
            stream_module.decode(cbor.encode([digest, count + 1, runs]))

    def test_seventeen_epochs_are_no_stream(self) -> None:
        runs = [[epoch, 0, 0] for epoch in range(17)]
        with pytest.raises(StreamMalformed):
            stream_module.decode(cbor.encode([bytes([1] * 32), 17, runs]))
