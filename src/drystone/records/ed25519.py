"""The strict acceptance rule for Ed25519, in bytes, before any backend sees a signature.

Here live the rule and the little curve arithmetic it needs; no secret ever comes here, so nothing runs in constant
time. Every backend agrees on what this rule lets through, which is what a ledger needs: two validators with two
libraries must give one verdict. The rule: S < L; A and R canonical; neither of small order; A without a torsion part,
which is checked once, at enrolment; then the cofactorless equation, by a backend (`records/key.py`).

Source: RFC 8032 sections 5.1.3 and 5.1.7; Chalkias, Garillot, Nikolaenko, "Taming the many EdDSAs", 2020.
"""

from typing import Final, NamedTuple

from drystone.errors import KeyMalformed, SignatureMalformed

P: Final = 2**255 - 19
"""Prime of the field."""

L: Final = 2**252 + 27742317777372353535851937790883648493
"""Order of the base point."""

D: Final = -121665 * pow(121666, -1, P) % P
"""Constant of the curve -x² + y² = 1 + d x² y²."""

SQRT_MINUS_ONE: Final = pow(2, (P - 1) >> 2, P)
SIGN_BIT: Final = 1 << 255

_Y_OF_ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_L_TAIL_BITS: Final = f"{L - 2**252:b}"


def _small_order_encodings() -> frozenset[bytes]:
    """The 8 points of the torsion subgroup in every encoding that decompresses to them: 14 strings."""
    ys = (0, 1, P - 1, P, P + 1, _Y_OF_ORDER_8, P - _Y_OF_ORDER_8)
    return frozenset((y | sign).to_bytes(32, "little") for y in ys for sign in (0, SIGN_BIT))


SMALL_ORDER: Final = _small_order_encodings()


class Point(NamedTuple):
    """A point in extended coordinates: x = X/Z, y = Y/Z, T = XY/Z."""

    x: int
    y: int
    z: int
    t: int


def check_signature_bytes(signature: bytes) -> None:
    """Apply the part of the rule that needs no curve to the 64 bytes R | S.

    Checks the length, S < L, that R's y is reduced and that R is not of small order. Does not check that R is on the
    curve nor the equation: a backend does both.

    Raises:
        SignatureMalformed: one of these does not hold.
    """
    if len(signature) != 64:
        raise SignatureMalformed(f"a signature has 64 bytes, not {len(signature)}")
    # S < 2**252 for all but one honest signature in 2**127, so the exact comparison hardly ever runs.
    if signature[63] > 0x0F and int.from_bytes(signature[32:], "little") >= L:
        raise SignatureMalformed("S is not below the group's order")
    r = signature[:32]
    if r in SMALL_ORDER:
        raise SignatureMalformed("R has small order")
    if r[31] | 0x80 == 0xFF and not _is_reduced(r):
        raise SignatureMalformed("R is not canonical")


def check_key_bytes(key: bytes) -> None:
    """Apply the part of the rule that needs no curve to the 32 bytes of a public key A.

    Checks length, that y is reduced and that A is not of small order. Does not check that A is on the curve, nor for
    a torsion part: `check_key_point` does.

    Raises:
        KeyMalformed: one of these does not hold.
    """
    if len(key) != 32:
        raise KeyMalformed(f"an Ed25519 key has 32 bytes, not {len(key)}")
    if key in SMALL_ORDER:
        raise KeyMalformed("the key has small order")
    if key[31] | 0x80 == 0xFF and not _is_reduced(key):
        raise KeyMalformed("the key is not canonical")


def check_key_point(key: bytes) -> None:
    """Check everything about a public key: `check_key_bytes`, on the curve, in the prime-order subgroup.

    About a millisecond; meant for enrolment, not for every signature.

    Raises:
        KeyMalformed: the key is no point of order L in its one canonical encoding.
    """
    check_key_bytes(key)
    if not is_identity(multiply_by_order(decompress(key))):
        raise KeyMalformed("the key has a torsion part")


def decompress(encoded: bytes) -> Point:
    """The point that 32 bytes encode (RFC 8032 section 5.1.3).

    Takes y modulo P as it is: whether the encoding is canonical is `check_key_bytes`' question.

    Raises:
        KeyMalformed: no point of the curve has this y, or x is 0 with the sign bit set.
    """
    number = int.from_bytes(encoded, "little")
    sign = number >> 255
    y = (number & (SIGN_BIT - 1)) % P
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    # u/v is a square exactly when x = u v³ (u v⁷)^((p-5)/8) or x·sqrt(-1) squares to it.
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) >> 3, P) % P
    if (v * x * x - u) % P:
        x = x * SQRT_MINUS_ONE % P
        if (v * x * x - u) % P:
            raise KeyMalformed("the key is not a point of the curve")
    if x == 0 and sign:
        raise KeyMalformed("the key is not a point of the curve: zero has no sign")
    if x & 1 != sign:
        x = P - x
    return Point(x, y, 1, x * y % P)


def add(a: Point, b: Point) -> Point:
    """The sum of two points (complete formula of RFC 8032 section 5.1.4)."""
    s = (a.y - a.x) * (b.y - b.x) % P
    m = (a.y + a.x) * (b.y + b.x) % P
    t = 2 * a.t * b.t * D % P
    z = 2 * a.z * b.z % P
    e, f, g, h = m - s, z - t, z + t, m + s
    return Point(e * f % P, g * h % P, f * g % P, e * h % P)


def double(a: Point) -> Point:
    """Twice the point (RFC 8032 section 5.1.4)."""
    xx, yy, zz = a.x * a.x % P, a.y * a.y % P, 2 * a.z * a.z % P
    h = xx + yy
    e = h - (a.x + a.y) * (a.x + a.y) % P
    g = xx - yy
    f = zz + g
    return Point(e * f % P, g * h % P, f * g % P, e * h % P)


def multiply_by_order(a: Point) -> Point:
    """L times the point: the identity exactly when the point has no torsion part."""
    # L is a one, a long stretch of zeros, then 125 bits: doublings first, few additions.
    product = a
    for _ in range(252 - len(_L_TAIL_BITS)):
        product = double(product)
    for bit in _L_TAIL_BITS:
        product = double(product)
        if bit == "1":
            product = add(product, a)
    return product


def is_identity(a: Point) -> bool:
    """Whether the point is (0, 1)."""
    return a.x % P == 0 and (a.y - a.z) % P == 0


def compress(a: Point) -> bytes:
    """The one canonical encoding of a point."""
    inverse = pow(a.z, -1, P)
    x, y = a.x * inverse % P, a.y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _is_reduced(encoded: bytes) -> bool:
    return int.from_bytes(encoded, "little") & (SIGN_BIT - 1) < P
