"""Deterministic CBOR: what is accepted, that everything else is refused with a typed error, and the bounds."""

import marshal
import random
import time
from enum import IntEnum

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spellings import respellings

from drystone.errors import (
    CborMalformed,
    CborNotDeterministic,
    CborTooDeep,
    CborUnsupported,
    Refused,
    TooLarge,
)
from drystone.formats import cbor
from drystone.formats.cbor import Tag
from drystone.limits import CBOR_DEPTH_MAX

RECORD = bytes.fromhex(
    "d2845827a501270318700444be5de2f40fa2016365777a02686d2d3030343231373a00011170820019a34f"
    "a0581881a500616501625768021a02dfa589061a690b2e3020181a"
    "58401949788113c28e2ecf5b5010104dea4d5b9712be9874ba7f06cd0002aec77aa8c344321de997b44af9"
    "b595d78719c0fdf0a5b73c2211140fdeeb0490a90bc80c"
)

keys = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=30) | st.binary(max_size=30)
values = st.recursive(
    st.integers(-(2**64), 2**64 - 1)
    | st.sampled_from([0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63, -24, -25])
    | st.booleans()
    | st.none()
    | st.text(max_size=40)
    | st.binary(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(keys, inner, max_size=30)
        | st.builds(Tag, st.sampled_from(sorted(cbor.TAGS)), inner)
    ),
    max_leaves=40,
)


def verdict(function: object, data: bytes) -> object:
    """Return what the function returns, or the class of the refusal."""
    try:
        return function(data)  # type: ignore[operator]
    except Refused as error:
        return type(error)


def test_worked_record_is_read_item_by_item() -> None:
    message = cbor.decode(RECORD)

    assert len(RECORD) == 136
    assert isinstance(message, Tag)
    assert message.number == 18
    protected, unprotected, payload, signature = message.value
    assert cbor.decode(protected) == {
        1: -8,
        3: 112,
        4: bytes.fromhex("be5de2f4"),
        15: {1: "ewz", 2: "m-004217"},
        -70001: [0, 41807],
    }
    assert unprotected == {}
    assert cbor.decode(payload) == [{0: "e", 1: "Wh", 2: 48211337, 6: 1762340400, -1: 26}]
    assert len(signature) == 64
    assert cbor.encode(message) == RECORD


def test_every_other_spelling_of_the_worked_record_is_refused() -> None:
    """Outer item, protected header and payload; what is respelt inside a byte string is refused by its own decode."""

    def read_all(data: bytes) -> list[cbor.Value]:
        message = cbor.decode(data)
        assert isinstance(message, Tag)
        assert isinstance(message.value, list)
        return [cbor.decode(message.value[0]), cbor.decode(message.value[2])]  # type: ignore[arg-type]

    others = dict(respellings(RECORD, inside=True))
    assert len(others) > 250
    for what, other in others.items():
        assert isinstance(verdict(read_all, other), type), what


@given(values)
@settings(max_examples=300)
def test_what_is_encoded_decodes_to_the_same_value(value: cbor.Value) -> None:
    data = cbor.encode(value)

    assert cbor.decode(data) == value
    assert cbor.item_end(data) == len(data)
    assert marshal.dumps(cbor.encode(cbor.decode(data))) == marshal.dumps(data)


@given(values)
@settings(max_examples=150)
def test_every_other_spelling_of_any_value_is_refused(value: cbor.Value) -> None:
    data = cbor.encode(value)

    for what, other in respellings(data):
        assert isinstance(verdict(cbor.decode, other), type), (what, other.hex())


@given(st.binary(max_size=200))
@example(b"")
@example(bytes.fromhex("a1018001"))
@settings(max_examples=500)
def test_any_bytes_are_refused_or_are_the_one_spelling_of_their_value(data: bytes) -> None:
    value = verdict(cbor.decode, data)

    if not isinstance(value, type):
        assert cbor.encode(value) == data  # type: ignore[arg-type]


def mutations(seed: int, count: int, data: bytes) -> list[bytes]:
    rng = random.Random(seed)
    mutants = []
    for _ in range(count):
        mutant = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(mutant))
            kind = rng.randrange(4)
            if kind == 0:
                mutant[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                mutant[at] = rng.randrange(256)
            elif kind == 2 and len(mutant) > 4:
                del mutant[at : at + rng.randint(1, 3)]
            else:
                mutant[at:at] = rng.randbytes(rng.randint(1, 3))
        mutants.append(bytes(mutant))
    return mutants


@pytest.mark.parametrize("seed", range(4))
def test_mutants_are_refused_or_round_trip_and_both_walkers_agree(seed: int) -> None:
    nested = cbor.encode([{1: [2, {"a": b"bc", "dp": None}], -1: Tag(4, [-2, 5])}, True, "é" * 30])
    for data in (RECORD, nested, RECORD[2:]):
        for mutant in mutations(seed, 3000, data):
            value = verdict(cbor.decode_prefix, mutant)
            end = verdict(cbor.item_end, mutant)
            if isinstance(value, type):
                assert end is value, mutant.hex()
            else:
                assert end == value[1], mutant.hex()  # type: ignore[index]
                assert cbor.encode(value[0]) == mutant[: value[1]]  # type: ignore[index]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("", CborMalformed),
        ("18", CborMalformed),
        ("19ff", CborMalformed),
        ("1b00000001", CborMalformed),
        ("42aa", CborMalformed),
        ("58", CborMalformed),
        ("5818aa", CborMalformed),
        ("6261", CborMalformed),
        ("8201", CborMalformed),
        ("9bffffffffffffffff", CborMalformed),
        ("a101", CborMalformed),
        ("a1", CborMalformed),
        ("bbffffffffffffffff00", CborMalformed),
        ("d2", CborMalformed),
        ("0000", CborMalformed),
        ("f6f6", CborMalformed),
        ("1c", CborMalformed),
        ("1f", CborMalformed),
        ("3d", CborMalformed),
        ("3f", CborMalformed),
        ("5e", CborMalformed),
        ("7c", CborMalformed),
        ("9d", CborMalformed),
        ("be", CborMalformed),
        ("de", CborMalformed),
        ("df", CborMalformed),
        ("fc", CborMalformed),
        ("ff", CborMalformed),
        ("f800", CborMalformed),
        ("f814", CborMalformed),
        ("f81f", CborMalformed),
        ("f8", CborMalformed),
        ("61ff", CborMalformed),
        ("62c328", CborMalformed),
        ("63eda080", CborMalformed),
        ("62c080", CborMalformed),
        ("64f4908080", CborMalformed),
        ("1800", CborNotDeterministic),
        ("1817", CborNotDeterministic),
        ("1900ff", CborNotDeterministic),
        ("1a0000ffff", CborNotDeterministic),
        ("1b00000000ffffffff", CborNotDeterministic),
        ("3817", CborNotDeterministic),
        ("3900ff", CborNotDeterministic),
        ("5800", CborNotDeterministic),
        ("581701", CborNotDeterministic),
        ("590000", CborNotDeterministic),
        ("7801", CborNotDeterministic),
        ("9800", CborNotDeterministic),
        ("b800", CborNotDeterministic),
        ("d81200", CborNotDeterministic),
        ("5f4101ff", CborNotDeterministic),
        ("5fff", CborNotDeterministic),
        ("7f6161ff", CborNotDeterministic),
        ("9f01ff", CborNotDeterministic),
        ("9fff", CborNotDeterministic),
        ("bf0102ff", CborNotDeterministic),
        ("a202010101", CborNotDeterministic),
        ("a201010102", CborNotDeterministic),
        ("a220010001", CborNotDeterministic),
        ("a2626161016162 02", CborNotDeterministic),
        ("a2616201616102", CborNotDeterministic),
        ("a2616101616102", CborNotDeterministic),
        ("a21818011701", CborNotDeterministic),
        ("a23a0001117001 19018a02", CborNotDeterministic),
        ("f90000", CborUnsupported),
        ("f97e00", CborUnsupported),
        ("fa3f800000", CborUnsupported),
        ("fb3ff0000000000000", CborUnsupported),
        ("f7", CborUnsupported),
        ("e0", CborUnsupported),
        ("f3", CborUnsupported),
        ("f820", CborUnsupported),
        ("f8ff", CborUnsupported),
        ("c001", CborUnsupported),
        ("c11a690b2e30", CborUnsupported),
        ("c24101", CborUnsupported),
        ("c34101", CborUnsupported),
        ("d0830101", CborUnsupported),
        ("d9d9f700", CborUnsupported),
        ("d8184100", CborUnsupported),
        ("a18001", CborUnsupported),
        ("a1a001", CborUnsupported),
        ("a1f401", CborUnsupported),
        ("a1f601", CborUnsupported),
        ("a1f9000001", CborUnsupported),
        ("a1c4820001 01", CborUnsupported),
        ("a1ff01", CborUnsupported),
    ],
)
def test_other_bytes_are_refused_with_the_rule_they_break(data: str, error: type) -> None:
    raw = bytes.fromhex(data)

    assert verdict(cbor.decode, raw) is error
    if not (error is CborMalformed and raw[:1] in b"\x00\xf6"):
        assert verdict(cbor.item_end, raw) is error


def test_map_keys_are_ordered_by_encoded_bytes_not_by_length() -> None:
    labels = {"dp": 0, "a": 0, -70001: 0, -1: 0, 394: 0, 15: 0, 1: 0, b"z": 0}

    data = cbor.encode(labels)

    assert list(cbor.decode(data)) == [1, 15, 394, -1, -70001, b"z", "a", "dp"]  # type: ignore[arg-type]
    length_first = bytes.fromhex("a3 0100 2000 0f00 19018a00".replace("a3", "a4"))
    assert verdict(cbor.decode, length_first) is CborNotDeterministic


@pytest.mark.parametrize("wrap", [b"\x81", b"\xa1\x00", b"\xd2"])
def test_nesting_is_accepted_to_the_limit_and_refused_beyond(wrap: bytes) -> None:
    deepest = wrap * CBOR_DEPTH_MAX + b"\x00"

    assert cbor.encode(cbor.decode(deepest)) == deepest
    assert cbor.item_end(deepest) == len(deepest)
    for data in (wrap + deepest, wrap * 5000 + b"\x00"):
        assert verdict(cbor.decode, data) is CborTooDeep
        assert verdict(cbor.item_end, data) is CborTooDeep


def test_encoding_is_bounded_in_depth_even_for_a_list_that_holds_itself() -> None:
    loop: list[cbor.Value] = []
    loop.append(loop)

    with pytest.raises(CborTooDeep):
        cbor.encode(loop)
    with pytest.raises(CborTooDeep):
        cbor.encode({1: {2: loop}})


class Colour(IntEnum):
    RED = 7


def test_encode_takes_tuples_and_named_integers_as_what_they_are() -> None:
    assert cbor.encode((1, (2, b"x"))) == bytes.fromhex("8201820241 78")
    assert cbor.encode(Colour.RED) == b"\x07"
    assert cbor.encode({Colour.RED: Colour.RED}) == b"\xa1\x07\x07"
    assert cbor.encode([True, False, None]) == bytes.fromhex("83f5f4f6")


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        1.5,
        object(),
        {1, 2},
        bytearray(b"x"),
        memoryview(b"x"),
        2**64,
        -(2**64) - 1,
        "\ud800",
        {"\ud800": 1},
        {True: 1},
        {None: 1},
        {(1,): 1},
        {1.0: 1},
        {2**64: 1},
        Tag(2, b"\x01"),
        Tag(-1, 0),
        [1, [2.0]],
    ],
)
def test_encode_refuses_what_decode_could_not_return(value: object) -> None:
    with pytest.raises(CborUnsupported):
        cbor.encode(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("major", range(7))
@pytest.mark.parametrize(
    ("argument", "tail"),
    [
        (0, ""),
        (23, ""),
        (24, "18"),
        (255, "ff"),
        (256, "0100"),
        (65535, "ffff"),
        (65536, "00010000"),
        (2**32 - 1, "ffffffff"),
        (2**32, "0000000100000000"),
        (2**64 - 1, "ffffffffffffffff"),
    ],
)
def test_head_is_the_shortest(major: int, argument: int, tail: str) -> None:
    low = argument if argument < 24 else {2: 24, 4: 25, 8: 26, 16: 27}[len(tail)]

    assert cbor.head(major, argument) == bytes((major << 5 | low,)) + bytes.fromhex(tail)


def test_decode_prefix_returns_where_the_item_ends() -> None:
    assert cbor.decode_prefix(b"\xff\x82\x01\x02\xff", 1) == ([1, 2], 4)
    with pytest.raises(CborMalformed):
        cbor.decode_prefix(b"\x01", 1)
    with pytest.raises(CborMalformed):
        cbor.item_end(b"\x01", 1)


def test_sequence_is_split_into_raw_items() -> None:
    assert cbor.split_sequence(b"", items_max=0) == []
    assert cbor.split_sequence(RECORD + b"\x01" + RECORD, items_max=3) == [RECORD, b"\x01", RECORD]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (RECORD + RECORD[:-1], CborMalformed),
        (b"\x01\x18\x01", CborNotDeterministic),
        (b"\x01\xf9\x00\x00", CborUnsupported),
        (b"\x01" * 4, TooLarge),
    ],
)
def test_sequence_with_a_bad_item_or_too_many_is_refused(data: bytes, error: type) -> None:
    with pytest.raises(error):
        cbor.split_sequence(data, items_max=3)


@pytest.mark.parametrize("data", [b"\x9a\x00\x01\x00\x00" + b"\x80" * 65536, b"\x81" * 65536])
def test_a_large_hostile_item_is_walked_in_bounded_time(data: bytes) -> None:
    start = time.perf_counter()
    verdict(cbor.item_end, data)
    verdict(cbor.decode, data)

    assert time.perf_counter() - start < 5
