"""The COSE Receipt: one signature over the log's root, with the path from one leaf to it.

A receipt is a COSE_Sign1 by one node: protected are algorithm, kid, origin and node, and the kind of tree; the payload
is the root, left out; unprotected are size, index and path, the finality, and for a record the interval. *Size and
index are signed by nobody here* (RFC 9942): `verify.py` binds them to the checkpoint inside the finality. A record's
receipts travel in the record itself, as a transparent statement (RFC 9943): the record's bytes with {394: receipts} as
unprotected header. This file issues, encodes, decodes; it believes nothing.
Source: RFC 9942, RFC 9943; formats.md A2 and part B (`receipt`).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, cast

from drystone import limits
from drystone.errors import DrystoneError, IdMalformed, ReceiptMalformed
from drystone.formats import cbor, cose
from drystone.formats.cbor import Value
from drystone.proof.finality import Finality, decode_finality, encode_finality
from drystone.proof.interval import Interval, decode_interval, encode_interval
from drystone.records.header import (
    HASH_LENGTH,
    KID_LENGTH,
    UINT_MAX,
    check_id,
    read_bytes,
    read_uint,
)
from drystone.records.key import SecretKey

RFC9162_SHA256: Final = 1
INCLUSION: Final = -1


class InclusionPath(NamedTuple):
    """Where a leaf stands in a tree of `size` leaves: `index` from 0, sibling hashes from the leaf upwards."""

    size: int
    index: int  # pyright: ignore[reportIncompatibleMethodOverride] - the format's word
    path: tuple[bytes, ...]


class Receipt(NamedTuple):
    """A receipt as it came; `protected` is what the signature covers together with the root."""

    protected: bytes
    kid: bytes
    origin: str
    node: str
    inclusion: InclusionPath
    finality: Finality | None
    interval: Interval | None
    signature: bytes


class Transparent(NamedTuple):
    """A record's bytes as the log took them, and its receipts."""

    record: bytes
    receipts: tuple[bytes, ...]


def issue_receipt(
    *,
    secret: SecretKey,
    origin: str,
    node: str,
    size: int,
    index: int,
    path: Sequence[bytes],
    root: bytes,
    finality: Finality | None,
    interval: Interval | None = None,
) -> bytes:
    """Return the receipt of leaf `index` in the log of `size` leaves with this root, signed by a node.

    `node` is the node's member id. Without `finality` nobody can rely on size and index, and `verify` refuses; an
    `interval` goes with a record only. Checks nothing: the caller read path and root from its own log.
    """
    protected = _protected(kid=secret.public.kid(), origin=origin, node=node)
    unprotected: dict[cbor.Key, Value] = {
        cose.VDP: {INCLUSION: [cbor.encode([size, index, list(path)])]}
    }
    if finality is not None:
        unprotected[cose.FINALITY] = encode_finality(finality)
    if interval is not None:
        unprotected[cose.INTERVAL] = encode_interval(interval)
    signature = secret.sign(cose.sig_structure(protected, root))
    return cose.encode_sign1(cose.Sign1(protected, unprotected, None, signature))


def decode_receipt(data: bytes) -> Receipt:
    """Read a receipt from its one spelling; checks form and bounds, no hash and no signature.

    Raises: ReceiptMalformed.
    """
    if len(data) > limits.RECEIPT_BYTES_MAX:
        raise ReceiptMalformed(f"a receipt of {len(data)} bytes")
    try:
        sign1, header = cose.read_sign1(data)
    except DrystoneError as error:
        raise ReceiptMalformed(f"receipt: {error}") from error
    if sign1.payload is not None:
        raise ReceiptMalformed("receipt: the payload is the root, and detached")
    kid, origin, node = _read_protected(header)
    if sign1.protected != _protected(kid=kid, origin=origin, node=node):
        raise ReceiptMalformed("receipt: protected header is not {1: -8, 4: kid, 15: who, 395: 1}")
    inclusion, finality, interval = _read_unprotected(sign1.unprotected)
    return Receipt(
        sign1.protected, kid, origin, node, inclusion, finality, interval, sign1.signature
    )


def attach_receipts(record: bytes, receipts: Sequence[bytes]) -> bytes:
    """Return the transparent statement of a record: its bytes with the receipts in the unprotected header.

    Raises: ReceiptMalformed if `record` is no COSE_Sign1 with an empty unprotected header.
    """
    sign1 = _read_statement(record)
    if sign1.unprotected:
        raise ReceiptMalformed("a record has an empty unprotected header")
    return cose.encode_sign1(sign1._replace(unprotected={cose.RECEIPTS: list(receipts)}))


def detach_receipts(data: bytes) -> Transparent:
    """Split a transparent statement into the record's bytes and its receipts.

    Checks the outer form only: neither the record's nor a receipt's. Raises: ReceiptMalformed.
    """
    sign1 = _read_statement(data)
    receipts = sign1.unprotected.get(cose.RECEIPTS)
    if sign1.unprotected.keys() != {cose.RECEIPTS} or not isinstance(receipts, list):
        raise ReceiptMalformed("a transparent statement has {394: [receipts]} and nothing else")
    if not 1 <= len(receipts) <= limits.RECEIPTS_MAX:
        raise ReceiptMalformed(
            f"{len(receipts)} receipts, from 1 to {limits.RECEIPTS_MAX} expected"
        )
    record = cose.encode_sign1(sign1._replace(unprotected={}))
    if not all(isinstance(receipt, bytes) for receipt in receipts):
        raise ReceiptMalformed("a receipt is a byte string")
    return Transparent(record, cast("tuple[bytes, ...]", tuple(receipts)))


def _read_statement(data: bytes) -> cose.Sign1:
    if len(data) > limits.PROOF_BYTES_MAX:
        raise ReceiptMalformed(f"{len(data)} bytes, at most {limits.PROOF_BYTES_MAX}")
    try:
        sign1 = cose.decode_sign1(data)
    except DrystoneError as error:
        raise ReceiptMalformed(f"transparent statement: {error}") from error
    if sign1.payload is None:
        raise ReceiptMalformed("a record carries its payload")
    return sign1


def _protected(*, kid: bytes, origin: str, node: str) -> bytes:
    return cbor.encode(
        {
            cose.ALG: cose.ALG_EDDSA,
            cose.KID: kid,
            cose.CWT: {1: origin, 2: node},
            cose.VDS: RFC9162_SHA256,
        }
    )


def _read_protected(header: cose.Header) -> tuple[bytes, str, str]:
    """Read the parts that vary; what does not is checked by spelling the header again."""
    who = header.get(cose.CWT)
    if not isinstance(who, dict):
        raise ReceiptMalformed("receipt: label 15 is missing")
    origin = who.get(1)
    if not isinstance(origin, str):
        raise ReceiptMalformed("receipt: label 15 is not {1: origin, 2: node}")
    try:
        node = check_id(who.get(2))
    except IdMalformed as error:
        raise ReceiptMalformed(f"receipt: {error}") from error
    return read_bytes(header.get(cose.KID), KID_LENGTH, ReceiptMalformed, "kid"), origin, node


def _read_unprotected(
    header: cose.Header,
) -> tuple[InclusionPath, Finality | None, Interval | None]:
    if not {cose.VDP} <= header.keys() <= {cose.VDP, cose.FINALITY, cose.INTERVAL}:
        raise ReceiptMalformed(
            "receipt: unprotected header is not {396: proofs, ? -70002: finality, ? -70004: interval}"
        )
    match header[cose.VDP]:
        case {-1: [bytes() as proof], **rest} if not rest:
            inclusion = _read_inclusion(proof)
        case _:
            raise ReceiptMalformed("receipt: expected one inclusion proof")
    finality = interval = None
    if cose.FINALITY in header:
        finality = decode_finality(header[cose.FINALITY])
    if cose.INTERVAL in header:
        interval = decode_interval(header[cose.INTERVAL])
    return inclusion, finality, interval


def _read_inclusion(data: bytes) -> InclusionPath:
    try:
        value = cbor.decode(data)
    except DrystoneError as error:
        raise ReceiptMalformed(f"inclusion proof: {error}") from error
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[2], list):
        raise ReceiptMalformed("inclusion proof: expected [size, index, path]")
    if not 1 <= len(value[2]) <= limits.LOG_PATH_MAX:
        raise ReceiptMalformed(f"inclusion proof: a path of {len(value[2])} hashes")
    return InclusionPath(
        size=read_uint(value[0], UINT_MAX, ReceiptMalformed, "size"),
        index=read_uint(value[1], UINT_MAX, ReceiptMalformed, "index"),
        path=tuple(read_bytes(item, HASH_LENGTH, ReceiptMalformed, "path") for item in value[2]),
    )
