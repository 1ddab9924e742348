"""Keys: form and kid, the full check at enrolment, one verdict from every backend, secrets that do not show."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records_world import ES256, OTHER, SECRET

from drystone.errors import (
    AlgorithmUnsupported,
    DrystoneError,
    KeyMalformed,
    SignatureInvalid,
    SignatureMalformed,
)
from drystone.formats import cbor, cose
from drystone.records import ed25519
from drystone.records import key as key_module
from drystone.records.key import (
    ED25519_BACKENDS,
    P256_N,
    P256_P,
    PublicKey,
    SecretKey,
    parse_cose_key,
    trusted_cose_key,
)

KEYS = [SECRET, ES256]
both = pytest.mark.parametrize("secret", KEYS, ids=["ed25519", "es256"])


def twin(signature: bytes) -> bytes:
    """The other S of an ECDSA signature."""
    s = int.from_bytes(signature[32:])
    return signature[:32] + (P256_N - s).to_bytes(32)


# --- form ------------------------------------------------------------------------------------------


def test_the_kid_of_the_worked_key_is_the_one_in_the_worked_record() -> None:
    assert SECRET.public.kid().hex() == "be5de2f4"


@both
def test_a_cose_key_is_deterministic_cbor_with_the_required_members(secret: SecretKey) -> None:
    members = cbor.decode(secret.public.cose_key())
    assert isinstance(members, dict)
    assert set(members) == ({1, -1, -2} if secret is SECRET else {1, -1, -2, -3})


@both
def test_a_cose_key_reads_back(secret: SecretKey) -> None:
    data = secret.public.cose_key()
    assert parse_cose_key(data) == trusted_cose_key(data) == secret.public


@both
@pytest.mark.parametrize("change", ["short", "long", "head", "private", "empty"])
def test_a_cose_key_of_another_shape_is_refused(secret: SecretKey, change: str) -> None:
    data = secret.public.cose_key()
    broken = {
        "short": data[:-1],
        "long": data + b"\0",
        "head": b"\xa1" + data[1:],
        "private": b"\xa5" + data[1:] + b"\x23\x41\x00",
        "empty": b"",
    }[change]
    for parse in (parse_cose_key, trusted_cose_key):
        with pytest.raises(KeyMalformed):
            parse(broken)


def test_a_compressed_es256_key_is_refused() -> None:
    data = cbor.encode({1: 2, -1: 1, -2: ES256.public.raw[:32], -3: True})
    with pytest.raises(KeyMalformed):
        parse_cose_key(data)


def test_an_es256_key_whose_y_has_another_head_is_refused() -> None:
    data = bytearray(ES256.public.cose_key())
    data[40] = 0x23
    with pytest.raises(KeyMalformed):
        parse_cose_key(bytes(data))


def test_an_unknown_algorithm_is_refused_by_every_door() -> None:
    for act in (
        PublicKey(-48, b"").cose_key,
        lambda: PublicKey(-48, b"").verify(b"", b""),
        lambda: SecretKey.generate(-48, bytes(32)),
    ):
        with pytest.raises(AlgorithmUnsupported):
            act()


# --- the full check --------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", sorted(ed25519.SMALL_ORDER), ids=bytes.hex)
def test_enrolment_refuses_a_key_of_small_order(raw: bytes) -> None:
    with pytest.raises(KeyMalformed):
        parse_cose_key(PublicKey(cose.ALG_EDDSA, raw).cose_key())


@pytest.mark.parametrize("with_sodium", [True, False])
def test_enrolment_refuses_a_torsion_part_with_and_without_libsodium(
    with_sodium: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_sodium:
        monkeypatch.setattr(key_module, "sodium", None)
    torsion = ed25519.decompress(ed25519._Y_OF_ORDER_8.to_bytes(32, "little"))
    mixed = ed25519.add(ed25519.decompress(SECRET.public.raw), torsion)
    parse_cose_key(SECRET.public.cose_key())
    with pytest.raises(KeyMalformed, match="torsion"):
        parse_cose_key(PublicKey(cose.ALG_EDDSA, ed25519.compress(mixed)).cose_key())


@pytest.mark.parametrize(
    "raw",
    [
        bytes(64),
        ES256.public.raw[:63] + bytes([ES256.public.raw[63] ^ 1]),
        P256_P.to_bytes(32) + ES256.public.raw[32:],
        ES256.public.raw[:32] + P256_P.to_bytes(32),
        b"\xff" * 64,
    ],
    ids=["zero", "off the curve", "x = p", "y = p", "ones"],
)
def test_enrolment_refuses_an_es256_key_that_is_no_point(raw: bytes) -> None:
    with pytest.raises(KeyMalformed):
        parse_cose_key(PublicKey(cose.ALG_ES256, raw).cose_key())


def test_an_es256_key_off_the_curve_verifies_nothing() -> None:
    with pytest.raises(KeyMalformed):
        PublicKey(cose.ALG_ES256, bytes(64)).verify(b"m", ES256.sign(b"m"))


# --- signatures ------------------------------------------------------------------------------------


@both
def test_a_signature_verifies(secret: SecretKey) -> None:
    secret.public.verify(b"message", secret.sign(b"message"))


@both
def test_a_signature_is_the_same_for_the_same_message(secret: SecretKey) -> None:
    assert secret.sign(b"message") == secret.sign(b"message")


@both
@settings(max_examples=40, deadline=None)
@given(index=st.integers(0, 63), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_in_a_signature_is_refused(
    secret: SecretKey, index: int, bit: int
) -> None:
    signature = bytearray(secret.sign(b"message"))
    signature[index] ^= 1 << bit
    with pytest.raises((SignatureInvalid, SignatureMalformed)):
        secret.public.verify(b"message", bytes(signature))


@both
def test_a_signature_over_another_message_is_refused(secret: SecretKey) -> None:
    with pytest.raises(SignatureInvalid):
        secret.public.verify(b"another", secret.sign(b"message"))


@both
@pytest.mark.parametrize("length", [0, 63, 65, 72])
def test_a_signature_of_another_length_is_refused(secret: SecretKey, length: int) -> None:
    with pytest.raises(SignatureMalformed):
        secret.public.verify(b"message", bytes(length))


def test_another_key_refuses_the_signature() -> None:
    with pytest.raises(SignatureInvalid):
        OTHER.public.verify(b"message", SECRET.sign(b"message"))


def test_the_strict_rule_holds_at_verification_too() -> None:
    small = min(ed25519.SMALL_ORDER)
    with pytest.raises(KeyMalformed):
        PublicKey(cose.ALG_EDDSA, small).verify(b"m", SECRET.sign(b"m"))
    with pytest.raises(SignatureMalformed):
        SECRET.public.verify(b"m", small + SECRET.sign(b"m")[32:])


def test_our_es256_signatures_have_the_lower_s() -> None:
    assert all(int.from_bytes(ES256.sign(bytes([n]))[32:]) <= P256_N // 2 for n in range(20))


def test_an_es256_signature_with_the_higher_s_is_accepted() -> None:
    ES256.public.verify(b"message", twin(ES256.sign(b"message")))


@pytest.mark.parametrize("value", [0, P256_N, P256_N + 1, 2**256 - 1])
@pytest.mark.parametrize("part", ["r", "s"])
def test_an_es256_signature_with_r_or_s_out_of_range_is_refused(value: int, part: str) -> None:
    r, s = ES256.sign(b"message")[:32], ES256.sign(b"message")[32:]
    signature = value.to_bytes(32) + s if part == "r" else r + value.to_bytes(32)
    with pytest.raises(SignatureMalformed):
        ES256.public.verify(b"message", signature)


def test_both_ed25519_backends_are_here() -> None:
    assert list(ED25519_BACKENDS) == ["pynacl", "cryptography"]


@pytest.mark.parametrize("backend", ED25519_BACKENDS)
@settings(max_examples=20, deadline=None)
@given(message=st.binary(max_size=100), other=st.binary(max_size=100))
def test_each_backend_accepts_the_signed_message_only(
    backend: str, message: bytes, other: bytes
) -> None:
    verify = ED25519_BACKENDS[backend]
    signature = SECRET.sign(message)
    verify(SECRET.public.raw, message, signature)
    if other != message:
        with pytest.raises(SignatureInvalid):
            verify(SECRET.public.raw, other, signature)


@pytest.mark.parametrize("backend", ED25519_BACKENDS)
def test_each_backend_refuses_a_key_off_the_curve_with_a_typed_error(backend: str) -> None:
    with pytest.raises(DrystoneError):
        ED25519_BACKENDS[backend]((2).to_bytes(32, "little"), b"m", SECRET.sign(b"m"))


# --- secrets ---------------------------------------------------------------------------------------


@both
def test_a_secret_key_reads_back(secret: SecretKey) -> None:
    again = SecretKey.from_bytes(secret.to_bytes(), alg=secret.public.alg)
    assert again.public == secret.public


@both
def test_a_secret_key_does_not_show_itself(secret: SecretKey) -> None:
    shown = repr(secret) + str(secret) + f"{secret!r}"
    assert secret.to_bytes().hex() not in shown
    assert repr(secret.to_bytes()) not in shown


def test_a_secret_key_is_not_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(SECRET)


@pytest.mark.parametrize("alg", [cose.ALG_EDDSA, cose.ALG_ES256])
def test_the_same_entropy_makes_the_same_key(alg: int) -> None:
    assert SecretKey.generate(alg, bytes(32)).public == SecretKey.generate(alg, bytes(32)).public
    assert SecretKey.generate(alg, bytes(32)).public != SecretKey.generate(alg, b"1" * 32).public


@pytest.mark.parametrize("alg", [cose.ALG_EDDSA, cose.ALG_ES256])
@pytest.mark.parametrize("length", [0, 31, 33])
def test_entropy_and_secrets_have_32_bytes(alg: int, length: int) -> None:
    with pytest.raises(KeyMalformed):
        SecretKey.generate(alg, bytes(length))
    with pytest.raises(KeyMalformed):
        SecretKey.from_bytes(b"\1" * length, alg=alg)


@pytest.mark.parametrize("scalar", [0, P256_N, 2**256 - 1])
def test_an_es256_secret_out_of_range_is_refused(scalar: int) -> None:
    with pytest.raises(KeyMalformed):
        SecretKey.from_bytes(scalar.to_bytes(32), alg=cose.ALG_ES256)
