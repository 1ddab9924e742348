"""vectors/{cbor,cose,senml,note}.json: bytes, structures and verdicts by programs that are not ours."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from spellings import respellings

from drystone.errors import NoteMalformed, Refused, SignatureInvalid
from drystone.formats import cbor, cose, note, rows, senml
from drystone.formats.cbor import Tag

FOLDER = Path(__file__).parents[3] / "vectors"


@cache
def suite(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def cases(name: str, part: str, group: str | None = None) -> list[Any]:
    vectors = suite(name)[part]
    if group:
        vectors = vectors[group]
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


@pytest.mark.parametrize("name", ["cbor", "cose", "senml", "note"])
def test_suite_names_its_programs_and_has_more_invalid_than_valid_vectors(name: str) -> None:
    one = suite(name)
    valid = one["valid"]
    count = sum(map(len, valid.values())) if isinstance(valid, dict) else len(valid)

    assert len(one["invalid"]) >= count
    assert one["programs"]
    assert one["command"]
    assert (FOLDER.parent / one["generator"].split()[0]).is_dir()


def notation(value: cbor.Value) -> str:
    """Spell a value in diagnostic notation (RFC 8949 section 8), as fxamacker/cbor does."""
    match value:
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case int():
            return str(value)
        case bytes():
            return f"h'{value.hex()}'"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return '"' + "".join(c if c.isascii() else utf16(c) for c in escaped) + '"'
        case Tag():
            return f"{value.number}({notation(value.value)})"
        case list():
            return f"[{', '.join(map(notation, value))}]"
        case dict():
            pairs = (f"{notation(key)}: {notation(item)}" for key, item in value.items())
            return f"{{{', '.join(pairs)}}}"
        case _:
            raise AssertionError(value)


def utf16(letter: str) -> str:
    raw = letter.encode("utf-16-be")
    return "".join(f"\\u{raw[i : i + 2].hex()}" for i in range(0, len(raw), 2))


@pytest.mark.parametrize("vector", cases("cbor", "valid"))
def test_cbor_value_has_the_foreign_spelling(vector: dict[str, str]) -> None:
    data = bytes.fromhex(vector["data"])

    value = cbor.decode(data)

    assert notation(value) == vector["value"]
    assert cbor.encode(value) == data
    assert cbor.item_end(data) == len(data)


@pytest.mark.parametrize("vector", cases("cbor", "valid"))
def test_every_other_spelling_of_a_cbor_vector_is_refused(vector: dict[str, str]) -> None:
    data = bytes.fromhex(vector["data"])
    for (what, other), _ in zip(respellings(data), range(1000), strict=False):
        with pytest.raises(Refused):
            pytest.fail(f"{what}: {cbor.decode(other)}")


@pytest.mark.parametrize("vector", cases("cbor", "invalid"))
def test_cbor_that_is_not_the_spelling_is_refused(vector: dict[str, str]) -> None:
    data = bytes.fromhex(vector["data"])

    with pytest.raises(Refused) as caught:
        cbor.decode(data)

    assert caught.value.code == vector["error"]
    foreign = vector["foreign"]
    if foreign == "malformed":
        assert vector["error"] == "cbor-malformed"
    else:
        assert vector["error"] != "cbor-malformed"
        assert vector["error"] != "cbor-not-deterministic" or foreign == "other spelling"


def verify(key: bytes, message: bytes, signature: bytes) -> None:
    """Verify Ed25519 (32-byte key) or ES256 (x | y)."""
    try:
        if len(key) == 32:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        else:
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            public = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), b"\x04" + key)
            public.verify(encode_dss_signature(r, s), message, ECDSA(SHA256()))
    except InvalidSignature:
        raise SignatureInvalid("bad") from None


@pytest.mark.parametrize("vector", cases("cose", "valid", "sign1"))
def test_sign1_covers_what_the_foreign_program_signed(vector: dict[str, str]) -> None:
    data = bytes.fromhex(vector["message"])

    message = cose.decode_sign1(data)

    assert cose.encode_sign1(message) == data
    assert message.protected.hex() == vector["protected"]
    detached = vector.get("detached")
    assert (message.payload is None) == (detached is not None)
    payload = bytes.fromhex(detached) if detached is not None else message.payload
    assert payload is not None
    external = bytes.fromhex(vector.get("external_aad", ""))
    covered = cose.sig_structure(message.protected, payload, external_aad=external)
    assert covered.hex() == vector["covered"]
    verify(bytes.fromhex(vector["key"]), covered, message.signature)


@pytest.mark.parametrize("vector", cases("cose", "valid", "encrypt0"))
def test_encrypt0_opens_with_what_our_structure_authenticates(vector: dict[str, str]) -> None:
    data = bytes.fromhex(vector["message"])

    message = cose.decode_encrypt0(data)

    assert cose.encode_encrypt0(message) == data
    external = bytes.fromhex(vector["external_aad"])
    covered = cose.enc_structure(message.protected, external_aad=external)
    assert covered.hex() == vector["covered"]
    opened = AESGCM(bytes.fromhex(vector["key"])).decrypt(message.iv, message.ciphertext, covered)
    assert opened.hex() == vector.get("plaintext", "")


@pytest.mark.parametrize(
    "vector", cases("cose", "valid", "sign1") + cases("cose", "valid", "encrypt0")
)
def test_every_other_spelling_of_a_cose_vector_is_refused(vector: dict[str, str]) -> None:
    data = bytes.fromhex(vector["message"])
    read = cose.decode_sign1 if data[0] == 0xD2 else cose.decode_encrypt0
    whole = read(data)
    for what, other in respellings(data):
        with pytest.raises(Refused):
            pytest.fail(f"{what}: {read(other)}")
    for what, other in respellings(whole.protected):
        with pytest.raises(Refused):
            pytest.fail(f"{what}: {read(rewrapped(data, whole.protected, other))}")


def rewrapped(data: bytes, old: bytes, new: bytes) -> bytes:
    before = cbor.head(cbor.BYTES, len(old)) + old
    assert data.count(before) == 1
    return data.replace(before, cbor.head(cbor.BYTES, len(new)) + new)


@pytest.mark.parametrize("vector", cases("cose", "invalid"))
def test_message_of_another_shape_is_refused(vector: dict[str, str]) -> None:
    with pytest.raises(Refused) as caught:
        cose.decode_sign1(bytes.fromhex(vector["message"]))

    assert caught.value.code == vector["error"]


def same(value: object, expected: object) -> bool:
    """Return whether a value is the foreign one; a decimal fraction is compared exactly with a binary one."""
    if isinstance(expected, dict):
        return value == bytes.fromhex(expected["hex"])
    if isinstance(value, tuple):
        exponent, mantissa = value
        return mantissa == expected * 10**-exponent
    return type(value) is type(expected) and value == expected


@pytest.mark.parametrize("vector", cases("senml", "valid"))
def test_pack_resolves_to_the_foreign_measurements(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["pack"])

    pack = senml.read_pack(payload, iss="ewz", sub="m-1")

    assert len(pack) == len(vector["measurements"])
    for measurement, (name, unit, value, time) in zip(pack, vector["measurements"], strict=True):
        assert (measurement.name, measurement.unit) == (name, unit)
        assert same(measurement.value, value)
        assert same(0 if measurement.time is None else measurement.time, time)
    assert senml.read_pack(senml.write_pack(pack), iss="ewz", sub="m-1") == pack


@pytest.mark.parametrize("vector", cases("senml", "valid"))
def test_every_other_spelling_of_a_pack_is_refused(vector: dict[str, Any]) -> None:
    """In a pack of many records the first few hundred changes; all are alike."""
    payload = bytes.fromhex(vector["pack"])
    for (what, other), _ in zip(respellings(payload), range(1000), strict=False):
        assert rows.read_rows(other) is None, what
        with pytest.raises(Refused):
            pytest.fail(f"{what}: {senml.read_pack(other, iss='ewz', sub='m-1')}")


@pytest.mark.parametrize("vector", cases("senml", "invalid"))
def test_pack_outside_the_profile_is_refused(vector: dict[str, str]) -> None:
    with pytest.raises(Refused) as caught:
        senml.read_pack(bytes.fromhex(vector["pack"]), iss="ewz", sub="m-1")

    assert caught.value.code == vector["error"]


@pytest.mark.parametrize("vector", cases("note", "valid"))
def test_note_is_signed_by_whom_the_foreign_program_says(vector: dict[str, Any]) -> None:
    data = vector["note"].encode()

    signed = note.decode_note(data)

    assert note.encode_note(signed) == data
    assert signed.text == vector["text"]
    verifiers = [note.parse_vkey(text) for text in vector["verifiers"]]
    for verifier, text in zip(verifiers, vector["verifiers"], strict=True):
        assert note.format_vkey(verifier.name, verifier.type, verifier.key) == text
    signers = note.verify_note(signed, verifiers, verify)
    assert [signer.name for signer in signers] == vector["signers"]
    if "size" in vector:
        checkpoint = note.parse_checkpoint(signed.text)
        assert (checkpoint.size, checkpoint.root.hex()) == (vector["size"], vector["root"])
        assert note.checkpoint_text(checkpoint) == signed.text
    else:
        with pytest.raises(NoteMalformed):
            note.parse_checkpoint(signed.text)


@pytest.mark.parametrize("vector", cases("note", "invalid"))
def test_note_that_is_bad_is_refused(vector: dict[str, Any]) -> None:
    verifiers = [note.parse_vkey(text) for text in vector["verifiers"]]

    with pytest.raises(NoteMalformed):
        note.verify_note(note.decode_note(vector["note"].encode()), verifiers, verify)
