"""Payloads: calls and seals of exactly one shape; readings come out as plain tuples."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records_world import PACK

from drystone.errors import (
    CallMalformed,
    CborMalformed,
    CborNotDeterministic,
    CborTooDeep,
    CborUnsupported,
    Refused,
    SealedMalformed,
    SenmlMalformed,
    TooLarge,
)
from drystone.formats import cbor, cose
from drystone.limits import CALL_ARGUMENT_BYTES_MAX
from drystone.records.payload import Call, check_sealed, read_call, read_content, write_call

SEAL_HEADER: dict[int, cbor.Encodable] = {1: 3, 3: 112, 4: bytes(16)}


def call(*changes: tuple[int, cbor.Encodable]) -> bytes:
    items: list[cbor.Encodable] = [bytes(8), "token", "move", {"to": "x", "amount": 3}, 1000]
    for index, value in changes:
        items[index] = value
    return cbor.encode(items)


def sealed(
    header: cbor.Encodable = None,
    unprotected: cbor.Encodable = None,
    ciphertext: cbor.Encodable = bytes(16),
) -> bytes:
    protected = header if isinstance(header, bytes) else cbor.encode(header or SEAL_HEADER)
    return cbor.encode([protected, unprotected or {5: bytes(12)}, ciphertext])


# --- readings --------------------------------------------------------------------------------------


def test_a_reading_is_a_tuple_of_name_unit_value_time() -> None:
    content = read_content(cose.SENML, PACK, iss="ewz", sub="m-1")
    assert content == (("e", "Wh", 48211337, 1762340400),)
    assert [type(item) for item in content] == [tuple]


def test_a_pack_that_is_none_is_refused() -> None:
    with pytest.raises(SenmlMalformed):
        read_content(cose.SENML, b"\x80", iss="ewz", sub="m-1")


# --- calls -----------------------------------------------------------------------------------------


def test_a_call_reads_as_its_five_members() -> None:
    args = {"to": "x", "amount": 3}
    assert read_call(call()) == Call(bytes(8), "token", "move", args, 1000)
    assert read_content(cose.CBOR, call(), iss="ewz", sub="m-1") == (
        bytes(8),
        "token",
        "move",
        args,
        1000,
    )


def test_a_call_is_written_for_the_first_eight_bytes_of_the_ledger_id() -> None:
    ledger = bytes(range(32))
    written = write_call(ledger=ledger, contract="a", function="b", args={}, limit=0)
    assert read_call(written).ledger == ledger[:8]


@pytest.mark.parametrize(
    "value", [0, -1, 2**64 - 1, -(2**64), "", "é", True, [], [1, ["a", {}]], {"a": {"b": False}}]
)
def test_integers_text_booleans_arrays_and_maps_are_arguments(value: cbor.Encodable) -> None:
    assert read_call(call((3, {"v": value}))).args == {"v": value}


@pytest.mark.parametrize(
    "value", [b"", None, cbor.Tag(4, [-1, 5]), [None], [[b"a"]], {1: "a"}, {b"a": 1}, {"a": {2: 3}}]
)
def test_bytes_null_tags_and_other_keys_are_no_arguments(value: cbor.Encodable) -> None:
    with pytest.raises(CallMalformed):
        read_call(call((3, {"v": value})))


@pytest.mark.parametrize(
    "payload",
    [
        call((0, bytes(7))),
        call((0, bytes(32))),
        call((0, "ledger99")),
        call((1, b"token")),
        call((1, None)),
        call((2, 1)),
        call((3, [])),
        call((3, None)),
        call((3, {1: 2})),
        call((4, -1)),
        call((4, True)),
        call((4, "1")),
        cbor.encode([]),
        cbor.encode([bytes(8), "a", "b", {}]),
        cbor.encode([bytes(8), "a", "b", {}, 0, 0]),
        cbor.encode({}),
        cbor.encode("call"),
    ],
    ids=bytes.hex,
)
def test_another_shape_is_no_call(payload: bytes) -> None:
    with pytest.raises(CallMalformed):
        read_call(payload)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"", CborMalformed),
        (call() + b"\0", CborMalformed),
        (call()[:-3] + b"\x1a\x00\x00\x03\xe8", CborNotDeterministic),
        (b"\x85\x48" + bytes(8) + b"\x61a\x61b\xa1\x61v\xfb" + bytes(8) + b"\x00", CborUnsupported),
        (b"\x85\x48" + bytes(8) + b"\x61a\x61b\xa1\x61v" + b"\x81" * 20 + b"\x00\x00", CborTooDeep),
    ],
)
def test_what_is_not_deterministic_cbor_is_no_call(payload: bytes, error: type[Refused]) -> None:
    with pytest.raises(error):
        read_call(payload)


def test_arguments_up_to_their_limit_are_accepted_and_beyond_it_refused() -> None:
    fits = "a" * (
        CALL_ARGUMENT_BYTES_MAX - 6
    )  # a map head, a key of two bytes, a text head of three
    read_call(call((3, {"v": fits})))
    with pytest.raises(TooLarge):
        read_call(call((3, {"v": fits + "a"})))


def test_write_call_refuses_what_read_call_would() -> None:
    with pytest.raises(CallMalformed):
        write_call(ledger=bytes(8), contract="a", function="b", args={"v": b"bytes"}, limit=0)


# --- sealed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [112, 60])
def test_a_sealed_payload_of_the_fixed_shape_is_accepted_and_says_nothing(
    content_type: int,
) -> None:
    payload = sealed(SEAL_HEADER | {3: content_type})
    assert read_content(cose.ENCRYPT0, payload, iss="ewz", sub="m-1") == ()


@pytest.mark.parametrize(
    "payload",
    [
        sealed({1: 1, 3: 112, 4: bytes(16)}),
        sealed({1: True, 3: 112, 4: bytes(16)}),
        sealed({1: 3, 3: 16, 4: bytes(16)}),
        sealed({1: 3, 3: 112, 4: bytes(4)}),
        sealed({1: 3, 3: 112, 4: "0123456789abcdef"}),
        sealed({1: 3, 3: 112}),
        sealed({1: 3, 3: 112, 4: bytes(16), 15: 0}),
        sealed({1: 3, 2: [3], 3: 112, 4: bytes(16)}),
        sealed(b""),
        sealed(cbor.encode([])),
        sealed(unprotected={5: bytes(11)}),
        sealed(unprotected={5: "123456789012"}),
        sealed(unprotected={4: b"", 5: bytes(12)}),
        sealed(unprotected=[1]),
        sealed(ciphertext=bytes(15)),
        sealed(ciphertext=None),
        sealed(ciphertext="1234567890123456"),
        cbor.encode([]),
        cbor.encode({}),
    ],
    ids=bytes.hex,
)
def test_another_shape_is_not_sealed(payload: bytes) -> None:
    with pytest.raises(SealedMalformed):
        check_sealed(payload)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([cose.SENML, cose.CBOR, cose.ENCRYPT0]))
def test_any_payload_reads_or_is_refused_with_a_typed_error(data: bytes, content_type: int) -> None:
    with suppress(Refused):
        read_content(content_type, data, iss="ewz", sub="m-1")


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([call(), sealed(), PACK]),
    st.integers(0, 200),
    st.binary(max_size=3),
    st.sampled_from([cose.SENML, cose.CBOR, cose.ENCRYPT0]),
)
def test_a_mutated_payload_reads_or_is_refused_with_a_typed_error(
    payload: bytes, at: int, new: bytes, content_type: int
) -> None:
    at %= len(payload)
    with suppress(Refused):
        read_content(content_type, payload[:at] + new + payload[at + 1 :], iss="ewz", sub="m-1")
