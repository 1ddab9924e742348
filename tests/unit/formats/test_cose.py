"""COSE shapes: what a message must look like, and the bytes that signatures and seals cover."""

import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from spellings import respellings

from drystone.errors import CoseMalformed, HeaderUnexpected, Refused
from drystone.formats import cbor, cose
from drystone.formats.cbor import Tag
from drystone.formats.cose import Encrypt0, Sign1

RECORD = bytes.fromhex(
    "d2845827a501270318700444be5de2f40fa2016365777a02686d2d3030343231373a00011170820019a34f"
    "a0581881a500616501625768021a02dfa589061a690b2e3020181a"
    "58401949788113c28e2ecf5b5010104dea4d5b9712be9874ba7f06cd0002aec77aa8c344321de997b44af9"
    "b595d78719c0fdf0a5b73c2211140fdeeb0490a90bc80c"
)
PROTECTED = cbor.encode({1: -8, 4: b"kid1"})
SIGNATURE = bytes(64)
SEALED = cose.encode_encrypt0(
    Encrypt0(cbor.encode({1: 3, 3: 112, 4: bytes(16)}), bytes(12), bytes(30))
)


def sign1(*items: cbor.Encodable, tag: bytes = b"\xd2") -> bytes:
    return tag + cbor.encode(items)


def test_worked_record_is_a_sign1_and_its_signature_covers_the_sig_structure() -> None:
    message, header = cose.read_sign1(RECORD)

    assert cose.decode_sign1(RECORD) == message
    assert cose.encode_sign1(message) == RECORD
    assert header[cose.CWT] == {1: "ewz", 2: "m-004217"}
    assert message.payload is not None
    signed = cose.sig_structure(message.protected, message.payload)
    Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().verify(
        message.signature, signed
    )


def test_header_with_receipts_label_and_negative_label_is_bytewise_ordered() -> None:
    """The RFC 7049 order by length would put -1 before 394."""
    protected = bytes.fromhex("a30127 19018a00 2000")

    assert cose.read_sign1(sign1(protected, {}, b"", SIGNATURE))[1] == {1: -8, 394: 0, -1: 0}
    with pytest.raises(Refused):
        cose.decode_sign1(sign1(bytes.fromhex("a30127 2000 19018a00"), {}, b"", SIGNATURE))


@given(
    st.binary(max_size=300),
    st.none() | st.binary(max_size=300),
    st.binary(min_size=64, max_size=64),
)
def test_sign1_round_trips(kid: bytes, payload: bytes | None, signature: bytes) -> None:
    message = Sign1(cbor.encode({1: -8, 4: kid}), {394: [b"x"]}, payload, signature)

    data = cose.encode_sign1(message)

    assert cose.decode_sign1(data) == message
    assert data == b"\xd2" + cbor.encode(list(message))


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300))
def test_structures_are_the_deterministic_arrays_of_rfc_9052(a: bytes, b: bytes, c: bytes) -> None:
    assert cose.sig_structure(a, b, external_aad=c) == cbor.encode(["Signature1", a, c, b])
    assert cose.enc_structure(a, external_aad=c) == cbor.encode(["Encrypt0", a, c])


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (sign1(PROTECTED, {}, b"", SIGNATURE, tag=b""), CoseMalformed),
        (sign1(PROTECTED, {}, b"", SIGNATURE, tag=b"\xc4"), CoseMalformed),
        (sign1(PROTECTED, {}, b""), CoseMalformed),
        (sign1(PROTECTED, {}, b"", SIGNATURE, 1), CoseMalformed),
        (b"\xd2\xa0", CoseMalformed),
        (b"\x00", CoseMalformed),
        (sign1(b"", {}, b"", SIGNATURE), CoseMalformed),
        (sign1(b"\xa0", {}, b"", SIGNATURE), CoseMalformed),
        (sign1(b"\x80", {}, b"", SIGNATURE), CoseMalformed),
        (sign1({1: -8}, {}, b"", SIGNATURE), CoseMalformed),
        (sign1(cbor.encode({b"x": 1}), {}, b"", SIGNATURE), CoseMalformed),
        (sign1(PROTECTED, [], b"", SIGNATURE), CoseMalformed),
        (sign1(PROTECTED, None, b"", SIGNATURE), CoseMalformed),
        (sign1(PROTECTED, {b"x": 1}, b"", SIGNATURE), CoseMalformed),
        (sign1(PROTECTED, {4: b"other"}, b"", SIGNATURE), CoseMalformed),
        (sign1(PROTECTED, {}, "text", SIGNATURE), CoseMalformed),
        (sign1(PROTECTED, {}, 0, SIGNATURE), CoseMalformed),
        (sign1(PROTECTED, {}, b"", SIGNATURE[1:]), CoseMalformed),
        (sign1(PROTECTED, {}, b"", SIGNATURE + b"\x00"), CoseMalformed),
        (sign1(PROTECTED, {}, b"", "0" * 64), CoseMalformed),
        (sign1(PROTECTED, {}, b"", None), CoseMalformed),
        (sign1(cbor.encode({1: -8, 2: [4]}), {}, b"", SIGNATURE), HeaderUnexpected),
        (sign1(PROTECTED, {2: [4]}, b"", SIGNATURE), HeaderUnexpected),
    ],
)
def test_message_of_another_shape_is_refused(data: bytes, error: type) -> None:
    with pytest.raises(error):
        cose.decode_sign1(data)


def test_every_other_spelling_of_a_record_is_refused() -> None:
    """The payload is opaque here: what is respelt inside it is the payload's reader's to refuse."""
    payload = cose.decode_sign1(RECORD).payload
    for what, other in respellings(RECORD, inside=True):
        try:
            message = cose.decode_sign1(other)
        except Refused:
            continue
        assert "inside" in what
        assert message.payload != payload


@pytest.mark.parametrize("seed", range(3))
def test_mutants_are_refused_or_are_their_own_spelling(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(4000):
        for data, read, write in (
            (RECORD, cose.decode_sign1, cose.encode_sign1),
            (SEALED, cose.decode_encrypt0, cose.encode_encrypt0),
        ):
            mutant = bytearray(data)
            for _ in range(rng.randint(1, 3)):
                mutant[rng.randrange(min(60, len(mutant)))] = rng.randrange(256)
            try:
                message = read(bytes(mutant))
            except Refused:
                continue
            assert write(message) == mutant  # type: ignore[arg-type]


def test_sealed_payload_is_read_with_its_header() -> None:
    message, header = cose.read_encrypt0(SEALED)

    assert cose.decode_encrypt0(SEALED) == message
    assert message == Encrypt0(cbor.encode(header), bytes(12), bytes(30))
    assert header == {
        cose.ALG: cose.ALG_A256GCM,
        cose.CONTENT_TYPE: cose.SENML,
        cose.KID: bytes(16),
    }


HEADER = cbor.encode({1: 3})


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (Tag(18, [HEADER, {5: bytes(12)}, bytes(16)]), CoseMalformed),
        ([HEADER, {5: bytes(12)}], CoseMalformed),
        ([HEADER, {5: bytes(12)}, bytes(16), None], CoseMalformed),
        ({1: 2}, CoseMalformed),
        ([HEADER, {5: bytes(11)}, bytes(16)], CoseMalformed),
        ([HEADER, {5: bytes(13)}, bytes(16)], CoseMalformed),
        ([HEADER, {5: "x" * 12}, bytes(16)], CoseMalformed),
        ([HEADER, {5: bytes(12)}, bytes(15)], CoseMalformed),
        ([HEADER, {5: bytes(12)}, None], CoseMalformed),
        ([HEADER, {5: bytes(12)}, "x" * 16], CoseMalformed),
        ([b"", {5: bytes(12)}, bytes(16)], CoseMalformed),
        ([{1: 3}, {5: bytes(12)}, bytes(16)], CoseMalformed),
        ([HEADER, {}, bytes(16)], HeaderUnexpected),
        ([HEADER, [], bytes(16)], HeaderUnexpected),
        ([HEADER, {5: bytes(12), 4: b""}, bytes(16)], HeaderUnexpected),
        ([HEADER, {6: bytes(12)}, bytes(16)], HeaderUnexpected),
        ([cbor.encode({1: 3, 5: bytes(12)}), {5: bytes(12)}, bytes(16)], HeaderUnexpected),
        ([cbor.encode({1: 3, 2: [1]}), {5: bytes(12)}, bytes(16)], HeaderUnexpected),
    ],
)
def test_sealed_payload_of_another_shape_is_refused(value: cbor.Encodable, error: type) -> None:
    with pytest.raises(error):
        cose.decode_encrypt0(cbor.encode(value))


@given(st.binary(max_size=100))
@settings(max_examples=300)
def test_any_bytes_are_refused_with_a_typed_error(data: bytes) -> None:
    for read in (cose.decode_sign1, cose.decode_encrypt0):
        with pytest.raises(Refused):
            read(data)
