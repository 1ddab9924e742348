"""A record: one signed message of a member, a reading or a call, at its position in the member's stream.

Two of the three checks live here, kept apart: `check_form` takes bytes and gives a `Record` without believing it;
`check_signature` takes a `Record` and a key and gives a `Verified`. Whether the key was the member's at this place of
the ledger is the third, `ledger/rights.py`. A record is COSE_Sign1 with one fixed header shape; its *id* is the hash of
what was signed, so that a second spelling of an ECDSA signature is the same record; its *entry* is the hash of its
bytes, and that is what the log keeps.

`check_form` is the hottest Python of a node. Most of a header is the same in every record of a device, so what the
strict reader has read once is recognised later by its bytes; the strict reader decides every case of doubt, and a
property test holds the two to one verdict.

Source: RFC 9052 (COSE), RFC 9597 (CWT claims in headers), RFC 9943 (signed statement), docs/spec/record.cddl.
"""

from hashlib import sha256
from typing import Any, Final, NamedTuple, TypeAlias

from drystone.errors import (
    AlgorithmUnsupported,
    CoseMalformed,
    HeaderUnexpected,
    KeyMismatch,
    RecordMalformed,
    TooLarge,
)
from drystone.formats import cbor, cose
from drystone.formats.cbor import Encodable
from drystone.formats.cose import Sign1
from drystone.limits import EPOCH_MAX, MEMO_ROWS_MAX, RECORD_BYTES_MAX, SEQUENCE_MAX
from drystone.records.enrolment import check_enrolment, enrolment_proof
from drystone.records.header import KID_LENGTH, check_id, read_bytes, read_uint, read_who
from drystone.records.key import ALGORITHMS, SIGNATURE_LENGTH, PublicKey, SecretKey
from drystone.records.payload import Call, Content, Reading, read_content, write_call

__all__ = [
    "Call",
    "Content",
    "Reading",
    "Record",
    "Verified",
    "check_enrolment",
    "check_form",
    "check_id",
    "check_signature",
    "enrolment_proof",
    "stream_id",
    "travelling",
    "write_call",
    "write_record",
]

ANCHOR_LENGTH: Final = 8

_REQUIRED: Final = frozenset({cose.ALG, cose.CONTENT_TYPE, cose.KID, cose.CWT, cose.POSITION})
_LABELS: Final = _REQUIRED | {cose.DEVICE}
_CONTENT_TYPES: Final = (cose.SENML, cose.CBOR, cose.ENCRYPT0)


class Record(NamedTuple):
    """A record whose form was checked; all values are plain, so `tuple(record)` goes through `marshal`."""

    raw: bytes
    alg: int
    content_type: int
    kid: bytes
    iss: str
    sub: str
    iat: int | None
    epoch: int
    seq: int
    anchor: bytes | None
    device: str | None
    payload: bytes
    signature: bytes
    signed: bytes
    """The Sig_structure: the bytes that the signature covers."""
    id: bytes
    """SHA-256 of `signed`."""
    entry: bytes
    """SHA-256 of `raw`: the log's entry."""
    content: Content
    """Readings of a pack, the members of a call, nothing for what is sealed."""


_PAYLOAD: Final = Record._fields.index("payload")
_LEFT_OUT: Final = (b"", b"", b"")
assert Record._fields[_PAYLOAD : _PAYLOAD + 3] == ("payload", "signature", "signed")


class Verified(NamedTuple):
    """A record and the COSE_Key that its signature was verified against."""

    record: Record
    key: bytes


_Values: TypeAlias = tuple[
    int, int, bytes, str, str, int | None, int, int, bytes | None, str | None
]


class _Header(NamedTuple):
    alg: int
    content_type: int
    kid: bytes
    iss: str
    sub: str
    iat: int | None
    epoch: int
    seq: int
    anchor: bytes | None
    device: str | None


def check_form(data: bytes) -> Record:
    """Read a record and check everything that its bytes alone can tell, the payload included.

    Accepts exactly one spelling: deterministic CBOR, the labels of the fixed header, an empty unprotected header.
    Does not check the signature, the key, the member or the profile.

    Raises:
        TooLarge: more than `limits.RECORD_BYTES_MAX` bytes.
        CborMalformed, CborNotDeterministic, CborUnsupported, CborTooDeep: not deterministic CBOR.
        CoseMalformed, HeaderUnexpected, AlgorithmUnsupported: not a COSE_Sign1 of the fixed shape.
        RecordMalformed, IdMalformed: a header value of another type or range.
        SenmlMalformed and its kin, CallMalformed, SealedMalformed: by content type.
    """
    if len(data) > RECORD_BYTES_MAX:
        raise TooLarge(f"a record has {len(data)} of {RECORD_BYTES_MAX} bytes")
    return _recognise(data) or _read_strictly(data)


def check_signature(record: Record, key: PublicKey) -> Verified:
    """Verify that `key` signed the record; a pure function of both, so its result may be remembered.

    Does not check that the key is the sender's, nor that the record's kid is the key's: the key was looked up by it.

    Raises:
        KeyMismatch: the record names another algorithm than the key's.
        SignatureMalformed, SignatureInvalid: as `PublicKey.verify`.
    """
    if record.alg != key.alg:
        raise KeyMismatch(f"the record says algorithm {record.alg}, the key is for {key.alg}")
    if not record.signed:
        record = check_form(record.raw)  # It travelled; see `travelling`.
    key.verify(record.signed, record.signature)
    return Verified(record, key.cose_key())


def travelling(record: Record) -> tuple[Any, ...]:
    """The record as it goes between a node's processes: plain, without payload, signature and signed bytes.

    Whoever has to check its signature again gets them from `raw`; that is rare, and the rest is half as long.
    """
    return record[:_PAYLOAD] + _LEFT_OUT + record[_PAYLOAD + 3 :]


def stream_id(record: Record) -> tuple[str, ...]:
    """The stream a record belongs to: its sender's, or that of the device its sender attests."""
    if record.device is None:
        return (record.iss, record.sub)
    return (record.iss, record.sub, record.device)


def write_record(
    *,
    secret: SecretKey,
    iss: str,
    sub: str,
    epoch: int,
    seq: int,
    payload: bytes,
    content_type: int,
    iat: int | None = None,
    anchor: bytes | None = None,
    device: str | None = None,
) -> bytes:
    """Sign a record and return its bytes; `payload` is what `senml.write_pack` or `write_call` gave.

    Raises as `check_form`, which the result passes.
    """
    who: dict[int, Encodable] = {1: iss, 2: sub}
    if iat is not None:
        who[6] = iat
    header: dict[int, Encodable] = {
        cose.ALG: secret.public.alg,
        cose.CONTENT_TYPE: content_type,
        cose.KID: secret.public.kid(),
        cose.CWT: who,
        cose.POSITION: [epoch, seq] if anchor is None else [epoch, seq, anchor],
    }
    if device is not None:
        header[cose.DEVICE] = device
    protected = cbor.encode(header)
    signature = secret.sign(cose.sig_structure(protected, payload))
    data = cose.encode_sign1(Sign1(protected, {}, payload, signature))
    check_form(data)
    return data


def _read_strictly(data: bytes) -> Record:
    """Read a record item by item: slow, and the authority on what a record is."""
    sign1, labels = cose.read_sign1(data)
    if sign1.unprotected:
        raise HeaderUnexpected("a record's unprotected header is empty")
    payload = sign1.payload
    if payload is None:
        raise CoseMalformed("a record carries its payload")
    header = _read_header(labels)
    _remember(labels, header)
    return _build(data, header, payload, cose.sig_structure(sign1.protected, payload))


def _read_header(labels: cose.Header) -> _Header:
    if not labels.keys() <= _LABELS:
        unknown = sorted(map(repr, labels.keys() - _LABELS))
        raise HeaderUnexpected(f"a record's header has no label {', '.join(unknown):.80}")
    if not labels.keys() >= _REQUIRED:
        raise RecordMalformed(f"labels missing: {sorted(_REQUIRED - labels.keys())}")
    alg = labels[cose.ALG]
    if not isinstance(alg, int) or alg not in ALGORITHMS:
        raise AlgorithmUnsupported(f"no algorithm {alg!r:.40}")
    content_type = labels[cose.CONTENT_TYPE]
    if not isinstance(content_type, int) or content_type not in _CONTENT_TYPES:
        raise RecordMalformed(f"content type {content_type!r:.40} is none of {_CONTENT_TYPES}")
    kid = read_bytes(labels[cose.KID], KID_LENGTH, RecordMalformed, "kid")
    iss, sub, iat = read_who(labels[cose.CWT], RecordMalformed)
    position = labels[cose.POSITION]
    if not isinstance(position, list) or len(position) not in (2, 3):
        raise RecordMalformed("a position is [epoch, sequence], perhaps with an anchor")
    epoch = read_uint(position[0], EPOCH_MAX, RecordMalformed, "epoch")
    seq = read_uint(position[1], SEQUENCE_MAX, RecordMalformed, "sequence")
    anchor = None
    if len(position) == 3:
        anchor = read_bytes(position[2], ANCHOR_LENGTH, RecordMalformed, "anchor")
    device = check_id(labels[cose.DEVICE]) if cose.DEVICE in labels else None
    return _Header(alg, content_type, kid, iss, sub, iat, epoch, seq, anchor, device)


def _build(data: bytes, header: _Values, payload: bytes, signed: bytes) -> Record:
    return Record(
        data,
        *header,
        payload,
        data[-SIGNATURE_LENGTH:],
        signed,
        sha256(signed).digest(),
        sha256(data).digest(),
        read_content(header[1], payload, iss=header[3], sub=header[4]),
    )


# --- recognising a header by its bytes -------------------------------------------------------------

_POSITION: Final = cbor.encode(cose.POSITION)
_SIGNATURE_HEAD: Final = cbor.head(cbor.BYTES, SIGNATURE_LENGTH)
_UINT_FLOOR: Final = {0x18: (1, 24), 0x19: (2, 1 << 8), 0x1A: (4, 1 << 16), 0x1B: (8, 1 << 32)}

_starts: Final[dict[bytes, tuple[int, int, bytes, str, str, None]]] = {}
"""The bytes of a header up to its position, to the values they spell (iat is None)."""

_ends: Final[dict[bytes, str]] = {}
"""The bytes of a header after its position, to the attested device they spell."""


def _remember(labels: cose.Header, header: _Header) -> None:
    """Keep what a header spells before and after its position, which is the same in the device's next record."""
    if header.iat is not None:
        return  # It changes with every record.
    if len(_starts) >= MEMO_ROWS_MAX:
        _starts.clear()
    before = cbor.encode({label: labels[label] for label in _REQUIRED - {cose.POSITION}})
    _starts[cbor.head(cbor.MAP, len(labels)) + before[1:]] = (*header[:5], None)
    if header.device is not None:
        if len(_ends) >= MEMO_ROWS_MAX:
            _ends.clear()
        _ends[cbor.encode({cose.DEVICE: header.device})[1:]] = header.device


def _recognise(data: bytes) -> Record | None:
    """Read a record whose header differs from one seen before in its position only; None whenever in doubt.

    An offset that `find` gets wrong does no harm: what stands before it is then no start that was seen.
    """
    at = data.find(_POSITION, 4, 256)
    start = _starts.get(data[4:at])
    if start is None or data[:3] != b"\xd2\x84\x58":
        return None
    try:
        end = 4 + data[3]
        members = data[at + 5]
        epoch, at = _uint(data, at + 6)
        seq, at = _uint(data, at)
        anchor = device = None
        if members == 0x83 and data[at] == 0x40 | ANCHOR_LENGTH:
            anchor, at = data[at + 1 : at + 1 + ANCHOR_LENGTH], at + 1 + ANCHOR_LENGTH
        elif members != 0x82:
            return None
        if data[4] == 0xA6:
            device, at = _ends[data[at:end]], end
        if at != end or data[at] != 0xA0:
            return None
        size = data[at + 1] - 0x40
        begin = at + 2
        if size == 24 and data[begin] >= 24:
            size, begin = data[begin], begin + 1
        elif size == 25 and data[begin]:
            size, begin = data[begin] << 8 | data[begin + 1], begin + 2
        elif not 0 <= size < 24:
            return None
        stop = begin + size
    except (IndexError, KeyError):
        return None
    if data[stop:-SIGNATURE_LENGTH] != _SIGNATURE_HEAD or epoch > EPOCH_MAX or seq > SEQUENCE_MAX:
        return None
    signed = b"\x84\x6aSignature1" + data[2:end] + b"\x40" + data[end + 1 : stop]
    return _build(data, (*start, epoch, seq, anchor, device), data[begin:stop], signed)


def _uint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned integer at an offset, and the offset after it; KeyError or IndexError for anything else."""
    value = data[at]
    if value < 24:
        return value, at + 1
    width, floor = _UINT_FLOOR[value]
    end = at + 1 + width
    value = int.from_bytes(data[at + 1 : end])
    if value < floor:
        raise IndexError
    return value, end
