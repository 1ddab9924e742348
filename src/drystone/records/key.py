"""Keys: the registry of signature algorithms, public keys with their COSE form and kid, secret keys.

One table, `ALGORITHMS`, knows what an algorithm is; a new one (ML-DSA-44) is one more row. A public key enters the
ledger through `parse_cose_key`, the full check; later it comes back from our own state through `trusted_cose_key`.
The strict rule for Ed25519 (`records/ed25519.py`) runs before the backend, so PyNaCl, twice as fast, and
`cryptography`, where PyNaCl has no wheel, give the same verdict. For ES256 a high S is accepted: hardware emits it, and
a record's id does not depend on it.

Nothing here knows who owns a key or whether it was revoked: that is `ledger/rights.py`.

Source: RFC 8032, FIPS 186-5, RFC 9053 sections 2 and 7, RFC 9679 (thumbprint).
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256, sha512
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from drystone.errors import (
    AlgorithmUnsupported,
    KeyMalformed,
    SignatureInvalid,
    SignatureMalformed,
)
from drystone.formats.cose import ALG_EDDSA, ALG_ES256
from drystone.records import ed25519

if TYPE_CHECKING:
    # Imported where it is used: a process that only verifies Ed25519, by PyNaCl, is 6 MB smaller.
    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

try:  # The faster backend; armv7 has no wheel of it.
    from nacl import bindings as sodium
    from nacl.exceptions import BadSignatureError
except ImportError:  # pragma: no cover - the fallback's twin is tested through ED25519_BACKENDS
    from cryptography.exceptions import InvalidSignature as BadSignatureError

    sodium = None

SIGNATURE_LENGTH: Final = 64
KID_LENGTH: Final = 4

P256_P: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1
P256_N: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B

_OKP_HEAD: Final = bytes.fromhex("a3010120062158 20")  # {1: OKP, -1: Ed25519, -2: x}
_EC2_HEAD: Final = bytes.fromhex("a4010220012158 20")  # {1: EC2, -1: P-256, -2: x, -3: y}
_EC2_MIDDLE: Final = bytes.fromhex("22 5820")
_KEYS_REMEMBERED: Final = 4096
"""Keys in a backend's own form."""


class Algorithm(NamedTuple):
    """What one row of the registry knows; `raw` is a public key, `seed` a secret key of 32 bytes."""

    label: int
    name: str
    key_length: int
    signature_length: int
    check: Callable[[bytes], None]  # raw
    verify: Callable[[bytes, bytes, bytes], None]  # raw, message, signature
    seed: Callable[[bytes], bytes]  # entropy -> secret
    public: Callable[[bytes], bytes]  # secret -> raw
    sign: Callable[[bytes, bytes], bytes]  # secret, message -> signature


class PublicKey(NamedTuple):
    """A public key: Ed25519 as 32 bytes, ES256 as x | y in 64."""

    alg: int
    raw: bytes

    def cose_key(self) -> bytes:
        """The deterministic COSE_Key with its required members only: what an RFC 9679 thumbprint hashes."""
        if self.alg == ALG_EDDSA:
            return _OKP_HEAD + self.raw
        if self.alg == ALG_ES256:
            return _EC2_HEAD + self.raw[:32] + _EC2_MIDDLE + self.raw[32:]
        raise AlgorithmUnsupported(f"no algorithm {self.alg}")

    def kid(self) -> bytes:
        """The first 4 bytes of the thumbprint; a key is looked up by it under its (iss, sub) only."""
        return sha256(self.cose_key()).digest()[:KID_LENGTH]

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check that `signature` (64 bytes) is this key's over `message`.

        For Ed25519 the strict rule comes first. Does not check the key itself for a torsion part or whether it lies
        on the curve: `parse_cose_key` did when the key was enrolled.

        Raises:
            AlgorithmUnsupported: the registry has no such algorithm.
            KeyMalformed, SignatureMalformed: the bytes break the strict rule.
            SignatureInvalid: the equation does not hold.
        """
        algorithm_of(self.alg).verify(self.raw, message, signature)


class SecretKey:
    """A secret key; its `repr` shows the public half only."""

    __slots__ = ("_secret", "public")

    def __init__(self, *, alg: int, secret: bytes) -> None:
        """Take 32 bytes: an Ed25519 seed, or a P-256 scalar, big-endian.

        Raises:
            AlgorithmUnsupported: the registry has no such algorithm.
            KeyMalformed: the bytes are no secret key of it.
        """
        self._secret = secret
        self.public = PublicKey(alg, algorithm_of(alg).public(secret))

    def __repr__(self) -> str:
        return f"SecretKey(alg={self.public.alg}, kid={self.public.kid().hex()})"

    def __reduce__(self) -> str:
        raise TypeError("a secret key is not pickled")

    @classmethod
    def generate(cls, alg: int, entropy: bytes) -> Self:
        """Make a key from 32 bytes of the caller's randomness, the same from the same.

        Raises:
            AlgorithmUnsupported: the registry has no such algorithm.
            KeyMalformed: `entropy` has not 32 bytes.
        """
        if len(entropy) != 32:
            raise KeyMalformed(f"a key is made from 32 bytes of entropy, not {len(entropy)}")
        return cls(alg=alg, secret=algorithm_of(alg).seed(entropy))

    @classmethod
    def from_bytes(cls, data: bytes, *, alg: int = ALG_EDDSA) -> Self:
        """The key whose `to_bytes` gave these 32 bytes; raises as the constructor does."""
        return cls(alg=alg, secret=data)

    def to_bytes(self) -> bytes:
        """The 32 secret bytes, for a key file that only its owner may read."""
        return self._secret

    def sign(self, message: bytes) -> bytes:
        """64 bytes, the same for the same message (RFC 8032; RFC 6979 for ES256, S in its lower half)."""
        return algorithm_of(self.public.alg).sign(self._secret, message)


def parse_cose_key(data: bytes) -> PublicKey:
    """Read a public key that a stranger offers, with every check there is; about a millisecond at worst.

    Takes exactly the deterministic COSE_Key that `PublicKey.cose_key` writes. Checks for Ed25519: canonical, on the
    curve, no small order, no torsion part; for ES256: on the curve. Does not check who owns it.

    Raises:
        KeyMalformed: the bytes are no such key.
    """
    key = _split_cose_key(data)
    algorithm_of(key.alg).check(key.raw)
    return key


def trusted_cose_key(data: bytes) -> PublicKey:
    """Read a public key out of our own state: the form only, because enrolment made the full check.

    Raises:
        KeyMalformed: the bytes are no COSE_Key of the one spelling.
    """
    return _split_cose_key(data)


def algorithm_of(alg: int) -> Algorithm:
    """The registry's row.

    Raises:
        AlgorithmUnsupported: there is none.
    """
    try:
        return ALGORITHMS[alg]
    except KeyError:
        raise AlgorithmUnsupported(f"no algorithm {alg}") from None


def _split_cose_key(data: bytes) -> PublicKey:
    if len(data) == 40 and data.startswith(_OKP_HEAD):
        return PublicKey(ALG_EDDSA, data[8:])
    if len(data) == 75 and data.startswith(_EC2_HEAD) and data[40:43] == _EC2_MIDDLE:
        return PublicKey(ALG_ES256, data[8:40] + data[43:])
    raise KeyMalformed("not a COSE_Key of Ed25519 or P-256 with its required members only")


# --- Ed25519 ---------------------------------------------------------------------------------------


def _sodium_verify(raw: bytes, message: bytes, signature: bytes) -> None:
    assert sodium is not None
    try:
        sodium.crypto_sign_open(signature + message, raw)
    except BadSignatureError:
        raise SignatureInvalid("not this key's signature") from None


def _openssl_verify(raw: bytes, message: bytes, signature: bytes) -> None:
    from cryptography.exceptions import InvalidSignature

    try:
        _openssl_key(raw).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise SignatureInvalid("not this key's signature") from None


@lru_cache(maxsize=_KEYS_REMEMBERED)
def _openssl_key(raw: bytes) -> "Ed25519PublicKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(raw)


ED25519_BACKENDS: Final[Mapping[str, Callable[[bytes, bytes, bytes], None]]] = {
    **({"pynacl": _sodium_verify} if sodium else {}),
    "cryptography": _openssl_verify,
}
"""Every backend of the equation by name, the preferred one first: raw key, message, signature."""

_equation: Final = next(iter(ED25519_BACKENDS.values()))


def _ed25519_verify(raw: bytes, message: bytes, signature: bytes) -> None:
    ed25519.check_signature_bytes(signature)
    ed25519.check_key_bytes(raw)
    _equation(raw, message, signature)


def _ed25519_check(raw: bytes) -> None:
    # libsodium's check is the same one, forty times faster than ours (a test compares them).
    if sodium and sodium.has_crypto_core_ed25519:
        ed25519.check_key_bytes(raw)
        if not sodium.crypto_core_ed25519_is_valid_point(raw):
            raise KeyMalformed("the key is not on the curve or has a torsion part")
    else:  # pragma: no cover - tested directly
        ed25519.check_key_point(raw)


def _ed25519_seed(entropy: bytes) -> bytes:
    return entropy


def _ed25519_private(secret: bytes) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if len(secret) != 32:
        raise KeyMalformed(f"an Ed25519 secret key has 32 bytes, not {len(secret)}")
    return Ed25519PrivateKey.from_private_bytes(secret)


def _ed25519_public(secret: bytes) -> bytes:
    return _ed25519_private(secret).public_key().public_bytes_raw()


def _ed25519_sign(secret: bytes, message: bytes) -> bytes:
    return _ed25519_private(secret).sign(message)


# --- ES256 -----------------------------------------------------------------------------------------


def _es256_check(raw: bytes) -> None:
    x, y = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    if x >= P256_P or y >= P256_P or (y * y - (x * x - 3) * x - P256_B) % P256_P:
        raise KeyMalformed("the key is not a point of P-256")


@lru_cache(maxsize=_KEYS_REMEMBERED)
def _es256_key(raw: bytes) -> "EllipticCurvePublicKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    x, y = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    try:
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except ValueError:
        raise KeyMalformed("the key is not a point of P-256") from None


def _es256_verify(raw: bytes, message: bytes, signature: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    if len(signature) != SIGNATURE_LENGTH:
        raise SignatureMalformed(f"a signature has 64 bytes, not {len(signature)}")
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    if not (0 < r < P256_N and 0 < s < P256_N):
        raise SignatureMalformed("r or s is not between 0 and the group's order")
    try:
        _es256_key(raw).verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise SignatureInvalid("not this key's signature") from None


def _es256_seed(entropy: bytes) -> bytes:
    # Twice the bits of the order, so that reducing favours no scalar (FIPS 186-5 A.2.1).
    wide = int.from_bytes(sha512(b"drystone/es256-seed/1\n" + entropy).digest())
    return (wide % (P256_N - 1) + 1).to_bytes(32)


def _es256_private(secret: bytes) -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    scalar = int.from_bytes(secret)
    if len(secret) != 32 or not 0 < scalar < P256_N:
        raise KeyMalformed("a P-256 secret key is 32 bytes, a number between 0 and the order")
    return ec.derive_private_key(scalar, ec.SECP256R1())


def _es256_public(secret: bytes) -> bytes:
    numbers = _es256_private(secret).public_key().public_numbers()
    return numbers.x.to_bytes(32) + numbers.y.to_bytes(32)


def _es256_sign(secret: bytes, message: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    scheme = ec.ECDSA(SHA256(), deterministic_signing=True)
    r, s = decode_dss_signature(_es256_private(secret).sign(message, scheme))
    return r.to_bytes(32) + min(s, P256_N - s).to_bytes(32)


ALGORITHMS: Final[Mapping[int, Algorithm]] = {
    row.label: row
    for row in (
        Algorithm(
            label=ALG_EDDSA,
            name="Ed25519",
            key_length=32,
            signature_length=SIGNATURE_LENGTH,
            check=_ed25519_check,
            verify=_ed25519_verify,
            seed=_ed25519_seed,
            public=_ed25519_public,
            sign=_ed25519_sign,
        ),
        Algorithm(
            label=ALG_ES256,
            name="ES256",
            key_length=64,
            signature_length=SIGNATURE_LENGTH,
            check=_es256_check,
            verify=_es256_verify,
            seed=_es256_seed,
            public=_es256_public,
            sign=_es256_sign,
        ),
    )
}
"""The registry: COSE algorithm number to what we know of it."""
