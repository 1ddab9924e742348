"""COSE shapes without cryptography (RFC 9052): COSE_Sign1 with tag 18, untagged COSE_Encrypt0, and what they sign.

What lives here: the outer form of both messages, the two structures that signatures and seals cover, and the labels
that Drystone uses. What may not: keys, algorithms, and the meaning of a header beyond what RFC 9052 says of every
header. `crit` is refused wherever it stands, because Drystone marks nothing critical and understands no mark.

Place in a record's life: `records/record.py` reads a record's shell with `read_sign1`, then its own header rules.
"""

from typing import Final, NamedTuple, TypeAlias, cast

from drystone.errors import CoseMalformed, HeaderUnexpected
from drystone.formats import cbor
from drystone.formats.cbor import Key, Tag, Value

ALG_EDDSA: Final = -8
ALG_ES256: Final = -7
ALG_A256GCM: Final = 3

ALG: Final = 1
CRIT: Final = 2
CONTENT_TYPE: Final = 3
KID: Final = 4
IV: Final = 5
CWT: Final = 15
RECEIPTS: Final = 394
VDS: Final = 395
VDP: Final = 396
POSITION: Final = -70001
FINALITY: Final = -70002
DEVICE: Final = -70003
INTERVAL: Final = -70004

SENML: Final = 112
CBOR: Final = 60
ENCRYPT0: Final = 16

SIGNATURE_BYTES: Final = 64
IV_BYTES: Final = 12
GCM_TAG_BYTES: Final = 16

Header: TypeAlias = dict[Key, Value]


class Sign1(NamedTuple):
    """A COSE_Sign1: `protected` is the encoded header map, `payload` None when detached."""

    protected: bytes
    unprotected: Header
    payload: bytes | None
    signature: bytes


class Encrypt0(NamedTuple):
    """An untagged COSE_Encrypt0: encoded protected header, 12-byte IV, ciphertext with its 16-byte tag."""

    protected: bytes
    iv: bytes
    ciphertext: bytes


def sig_structure(protected: bytes, payload: bytes, *, external_aad: bytes = b"") -> bytes:
    """Return the bytes a COSE_Sign1 signature covers (RFC 9052 section 4.4)."""
    head = cbor.head
    return b"".join(
        (
            b"\x84\x6aSignature1",
            head(cbor.BYTES, len(protected)),
            protected,
            head(cbor.BYTES, len(external_aad)),
            external_aad,
            head(cbor.BYTES, len(payload)),
            payload,
        )
    )


def enc_structure(protected: bytes, *, external_aad: bytes) -> bytes:
    """Return the additional data a COSE_Encrypt0 authenticates (RFC 9052 section 5.3)."""
    return cbor.encode(["Encrypt0", protected, external_aad])


def encode_sign1(sign1: Sign1) -> bytes:
    """Return the tagged message; does not check the header's content."""
    unprotected = sign1.unprotected
    payload = sign1.payload
    head = cbor.head
    return b"".join(
        (
            b"\xd2\x84",
            head(cbor.BYTES, len(sign1.protected)),
            sign1.protected,
            cbor.encode(unprotected) if unprotected else b"\xa0",
            b"\xf6" if payload is None else head(cbor.BYTES, len(payload)) + payload,
            head(cbor.BYTES, len(sign1.signature)),
            sign1.signature,
        )
    )


def decode_sign1(data: bytes) -> Sign1:
    """Return the message in `data`; see `read_sign1` for what is checked."""
    return read_sign1(data)[0]


def read_sign1(data: bytes) -> tuple[Sign1, Header]:
    """Return the message in `data` and its decoded protected header.

    Checks: tag 18, four elements, protected = bytes of a non-empty deterministic map, unprotected a map, no label in
    both, labels integers or text, no `crit`, payload bytes or null, signature 64 bytes. Does not check which other
    labels there are, nor the signature.

    Raises CoseMalformed, HeaderUnexpected, and what `cbor.decode` raises.
    """
    message = cbor.decode(data)
    if not isinstance(message, Tag) or message.number != 18:
        raise CoseMalformed("tag 18 expected")
    items = message.value
    if not isinstance(items, list) or len(items) != 4:
        raise CoseMalformed("an array of four elements expected")
    protected, unprotected, payload, signature = items
    if not isinstance(unprotected, dict):
        raise CoseMalformed("the unprotected header is not a map")
    if not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
        raise CoseMalformed(f"a signature of {SIGNATURE_BYTES} bytes expected")
    if payload is not None and not isinstance(payload, bytes):
        raise CoseMalformed("the payload is neither bytes nor null")
    header = _read_protected(protected)
    if unprotected:
        _check_labels(unprotected)
        if not header.keys().isdisjoint(unprotected):
            raise CoseMalformed("a label stands in both headers")
    return Sign1(cast("bytes", protected), unprotected, payload, signature), header


def encode_encrypt0(encrypt0: Encrypt0) -> bytes:
    """Return the untagged message; does not check the header's content."""
    return cbor.encode([encrypt0.protected, {IV: encrypt0.iv}, encrypt0.ciphertext])


def decode_encrypt0(data: bytes) -> Encrypt0:
    """Return the message in `data`; see `read_encrypt0` for what is checked."""
    return read_encrypt0(data)[0]


def read_encrypt0(data: bytes) -> tuple[Encrypt0, Header]:
    """Return the message in `data` and its decoded protected header.

    Checks: no tag, three elements, protected = bytes of a non-empty deterministic map without `crit` or IV, unprotected
    exactly {5: 12 bytes}, ciphertext at least as long as its tag. Decrypts nothing.

    Raises CoseMalformed, HeaderUnexpected, and what `cbor.decode` raises.
    """
    items = cbor.decode(data)
    if not isinstance(items, list) or len(items) != 3:
        raise CoseMalformed("an untagged array of three elements expected")
    protected, unprotected, ciphertext = items
    header = _read_protected(protected)
    if IV in header:
        raise HeaderUnexpected("the IV belongs into the unprotected header")
    if not isinstance(unprotected, dict) or unprotected.keys() != {IV}:
        raise HeaderUnexpected("the unprotected header holds the IV and nothing else")
    iv = unprotected[IV]
    if not isinstance(iv, bytes) or len(iv) != IV_BYTES:
        raise CoseMalformed(f"an IV of {IV_BYTES} bytes expected")
    if not isinstance(ciphertext, bytes) or len(ciphertext) < GCM_TAG_BYTES:
        raise CoseMalformed("the ciphertext is shorter than its tag")
    return Encrypt0(cast("bytes", protected), iv, ciphertext), header


def _read_protected(protected: Value) -> Header:
    if not isinstance(protected, bytes):
        raise CoseMalformed("the protected header is not a byte string")
    header = cbor.decode(protected) if protected else None
    if not isinstance(header, dict) or not header:
        raise CoseMalformed("the protected header is not a map with entries")
    _check_labels(header)
    return header


def _check_labels(header: Header) -> None:
    if CRIT in header:
        raise HeaderUnexpected("crit is not supported")
    for label in header:
        if isinstance(label, bytes):
            raise CoseMalformed("a header label is neither an integer nor text")
