"""The strict rule: every class of bad encoding is refused, every ordinary key and signature passes, as libsodium says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings as sodium
from records_world import SECRET

from drystone.errors import KeyMalformed, SignatureMalformed
from drystone.records import ed25519
from drystone.records.ed25519 import SIGN_BIT, SMALL_ORDER, L, P

KEY = SECRET.public.raw
SIGNATURE = SECRET.sign(b"message")
seeds = st.binary(min_size=32, max_size=32)


def number(encoded: bytes) -> int:
    return int.from_bytes(encoded, "little")


def encoded(value: int) -> bytes:
    return value.to_bytes(32, "little")


def torsion_point() -> ed25519.Point:
    """A point of order 8."""
    return ed25519.decompress(encoded(ed25519._Y_OF_ORDER_8))


def test_there_are_14_encodings_of_small_order() -> None:
    assert len(SMALL_ORDER) == 14


@pytest.mark.parametrize("key", sorted(SMALL_ORDER), ids=bytes.hex)
def test_an_encoding_of_small_order_is_a_point_that_eight_times_is_the_identity(key: bytes) -> None:
    try:
        point = ed25519.decompress(key)
    except KeyMalformed:
        # x = 0 with the sign bit: 1 and -1 with it, in both spellings of 1.
        assert number(key) - SIGN_BIT in (1, P - 1, P + 1)
        return
    for _ in range(3):
        point = ed25519.double(point)
    assert ed25519.is_identity(point)


@pytest.mark.parametrize("key", sorted(SMALL_ORDER), ids=bytes.hex)
def test_a_key_of_small_order_is_refused(key: bytes) -> None:
    with pytest.raises(KeyMalformed, match="small order"):
        ed25519.check_key_bytes(key)


@pytest.mark.parametrize("r", sorted(SMALL_ORDER), ids=bytes.hex)
def test_a_signature_whose_r_has_small_order_is_refused(r: bytes) -> None:
    with pytest.raises(SignatureMalformed, match="small order"):
        ed25519.check_signature_bytes(r + SIGNATURE[32:])


@pytest.mark.parametrize("y", [P + 2, P + 9, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, SIGN_BIT])
def test_a_key_with_an_unreduced_y_is_refused(y: int, sign: int) -> None:
    with pytest.raises(KeyMalformed, match="canonical"):
        ed25519.check_key_bytes(encoded(y | sign))


@pytest.mark.parametrize("y", [P + 2, P + 9, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, SIGN_BIT])
def test_a_signature_whose_r_is_not_reduced_is_refused(y: int, sign: int) -> None:
    with pytest.raises(SignatureMalformed, match="canonical"):
        ed25519.check_signature_bytes(encoded(y | sign) + SIGNATURE[32:])


@pytest.mark.parametrize("y", [2, P - 2])
@pytest.mark.parametrize("sign", [0, SIGN_BIT])
def test_a_signature_whose_r_is_reduced_passes_the_byte_rule(y: int, sign: int) -> None:
    ed25519.check_signature_bytes(encoded(y | sign) + SIGNATURE[32:])


@pytest.mark.parametrize("s", [L, L + 1, 2**252 + 2**251, 2**253, 2**256 - 1])
def test_an_s_of_the_order_or_more_is_refused(s: int) -> None:
    with pytest.raises(SignatureMalformed, match="order"):
        ed25519.check_signature_bytes(SIGNATURE[:32] + encoded(s))


@pytest.mark.parametrize("s", [0, 1, 2**252, L - 1])
def test_an_s_below_the_order_passes_the_byte_rule(s: int) -> None:
    ed25519.check_signature_bytes(SIGNATURE[:32] + encoded(s))


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(SignatureMalformed, match="64 bytes"):
        ed25519.check_signature_bytes(bytes(length))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(KeyMalformed, match="32 bytes"):
        ed25519.check_key_bytes(bytes(length))


def test_a_key_off_the_curve_is_refused() -> None:
    with pytest.raises(KeyMalformed, match="not a point"):
        ed25519.check_key_point(encoded(2))


def test_a_key_with_a_torsion_part_is_refused() -> None:
    mixed = ed25519.compress(ed25519.add(ed25519.decompress(KEY), torsion_point()))
    ed25519.check_key_bytes(mixed)
    with pytest.raises(KeyMalformed, match="torsion"):
        ed25519.check_key_point(mixed)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_an_ordinary_key_passes(seed: bytes) -> None:
    ed25519.check_key_point(sodium.crypto_sign_seed_keypair(seed)[0])


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_any_32_bytes_get_the_verdict_that_libsodium_gives(key: bytes) -> None:
    try:
        ed25519.check_key_point(key)
    except KeyMalformed:
        assert not sodium.crypto_core_ed25519_is_valid_point(key)
    else:
        assert sodium.crypto_core_ed25519_is_valid_point(key)


@settings(max_examples=30, deadline=None)
@given(seeds, seeds)
def test_points_add_as_in_libsodium(a: bytes, b: bytes) -> None:
    left, right = (sodium.crypto_sign_seed_keypair(seed)[0] for seed in (a, b))
    total = ed25519.add(ed25519.decompress(left), ed25519.decompress(right))
    assert ed25519.compress(total) == sodium.crypto_core_ed25519_add(left, right)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_a_point_compresses_to_the_key_it_came_from(seed: bytes) -> None:
    key = sodium.crypto_sign_seed_keypair(seed)[0]
    assert ed25519.compress(ed25519.decompress(key)) == key
