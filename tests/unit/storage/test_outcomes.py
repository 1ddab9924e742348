"""A block's outcomes: only exceptions are kept, everything comes back."""

import pytest

from drystone.contracts.rules import Event
from drystone.errors import DatabaseCorrupt
from drystone.formats import cbor
from drystone.ledger.change import Outcome
from drystone.storage.outcomes import (
    NONE,
    BlockOutcomes,
    RecordPlace,
    accepted_count,
    all_outcomes,
    decode_outcomes,
    encode_outcomes,
    locate,
    outcomes_of,
)

EVENT = Event("stream", "gap", {"from": 3, "iss": "ewz"})
OUTCOMES = [
    Outcome(0, 0, "accepted", 0, ()),
    Outcome(0, 1, "already", 0, ()),
    Outcome(0, 2, "accepted", 0, (EVENT,)),
    Outcome(0, 3, "member-unknown", 0, ()),
    Outcome(0, 4, "accepted", 0, ()),
    Outcome(1, None, "role-missing", 0, ()),
    Outcome(3, 0, "accepted", 7, ()),
    Outcome(3, 1, "accepted", 0, ()),
]
KEPT = outcomes_of([5, 9, 0, 2], OUTCOMES)
ACCEPTED = [RecordPlace(0, 0), RecordPlace(0, 2), RecordPlace(0, 4), RecordPlace(3, 0), RecordPlace(3, 1)]  # fmt: skip


def test_only_exceptions_are_kept() -> None:
    assert [(one.vertex, one.record) for one in KEPT.exceptions] == [
        (0, 1), (0, 2), (0, 3), (1, None), (3, 0),
    ]  # fmt: skip


def test_all_outcomes_come_back_in_order() -> None:
    assert list(all_outcomes(KEPT)) == OUTCOMES
    assert decode_outcomes(encode_outcomes(KEPT)) == KEPT
    assert decode_outcomes(encode_outcomes(NONE)) == NONE


def test_entries_of_the_log_are_counted_and_located() -> None:
    assert accepted_count(KEPT) == len(ACCEPTED)
    assert [locate(KEPT, number) for number in range(len(ACCEPTED))] == ACCEPTED
    assert locate(KEPT, len(ACCEPTED)) is None
    assert locate(NONE, 0) is None


def test_plain_outcomes_cost_no_bytes() -> None:
    plain = outcomes_of([2_000], [Outcome(0, n, "accepted", 0, ()) for n in range(2_000)])
    assert len(encode_outcomes(plain)) < 10
    assert locate(plain, 1_999) == RecordPlace(0, 1_999)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        cbor.encode([]),
        cbor.encode([[1]]),
        cbor.encode([[1], [[0, 0]]]),
        cbor.encode(7),
    ],
)
def test_other_bytes_are_corrupt(data: bytes) -> None:
    with pytest.raises(DatabaseCorrupt):
        decode_outcomes(data)


def test_kept_outcomes_are_plain_values() -> None:
    assert BlockOutcomes((), ()) == NONE
