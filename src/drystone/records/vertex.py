"""A vertex: a gateway's signed batch of records, a header that stays and a body that may be pruned.

The header is a COSE_Sign1 that names author, place, parent, links to other authors' vertices, and commits to the body
by count, length and Merkle root. The body is the records' bytes, verbatim, one after another. The *vertex id* is the
hash of what the author signed together with the ledger's id: a vertex belongs to one ledger, and a second spelling of
its ECDSA signature is the same vertex.

Only the form is checked here, and the body against its header. Whether the parent is the author's last vertex, and
what a place may follow, is `records/dag.py`'s; what becomes of the records is the ledger's.

Source: RFC 9052, RFC 8742 (CBOR sequence), RFC 9162 section 2.1 (body root), docs/spec/vertex.cddl.
"""

from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Final, NamedTuple

from drystone.errors import (
    AlgorithmUnsupported,
    CoseMalformed,
    HeaderUnexpected,
    KeyMismatch,
    TooLarge,
    VertexBody,
    VertexMalformed,
)
from drystone.formats import cbor, cose
from drystone.formats.cbor import Value
from drystone.formats.cose import Sign1
from drystone.limits import (
    EPOCH_MAX,
    SEQUENCE_MAX,
    VERTEX_BYTES_MAX,
    VERTEX_LINKS_MAX,
    VERTEX_RECORDS_MAX,
)
from drystone.records.header import (
    HASH_LENGTH,
    KID_LENGTH,
    UINT_MAX,
    read_bytes,
    read_uint,
    read_who,
)
from drystone.records.key import ALGORITHMS, PublicKey, SecretKey
from drystone.trees import log

DOMAIN: Final = b"drystone/vertex/1\n"

_ENVELOPE_MAX: Final = 9  # bytes around header and body: an array head, two byte string heads
_LABELS: Final = {cose.ALG, cose.KID, cose.CWT}


class VertexHeader(NamedTuple):
    """A vertex header whose form was checked; all values are plain, so `tuple(header)` goes through `marshal`."""

    raw: bytes
    alg: int
    kid: bytes
    iss: str
    sub: str
    epoch: int
    seq: int
    parent: bytes | None
    links: tuple[bytes, ...]
    time_ms: int | None
    count: int  # pyright: ignore[reportIncompatibleMethodOverride] - the format's word
    """Records in the body."""
    length: int
    """Bytes of the body."""
    root: bytes
    """RFC 9162 root over the entries of the body's records."""
    signature: bytes
    payload: bytes
    protected: bytes


class Vertex(NamedTuple):
    """A header and its body: the records' bytes in order, None when the body was left out or pruned."""

    header: VertexHeader
    body: tuple[bytes, ...] | None


def signed_bytes(header: VertexHeader, ledger: bytes) -> bytes:
    """The Sig_structure of a header on a ledger; `ledger` is its 32-byte id."""
    return cose.sig_structure(header.protected, header.payload, external_aad=DOMAIN + ledger)


def vertex_id(header: VertexHeader, ledger: bytes) -> bytes:
    """The 32-byte id of a vertex on a ledger."""
    return sha256(signed_bytes(header, ledger)).digest()


def body_root(entries: Sequence[bytes]) -> bytes:
    """The root that a header commits to, over the entries (SHA-256 of the records' bytes) in order."""
    return log.tree_root([log.leaf_hash(entry) for entry in entries])


def decode_vertex(data: bytes) -> Vertex:
    """Read a vertex: the header's form, the body against the header; `open_vertex` and `split_body` in one.

    Does not check that the body's items are records, nor any signature.

    Raises as `open_vertex` and `split_body`.
    """
    header, body = open_vertex(data)
    return Vertex(header, None if body is None else split_body(header, body))


def open_vertex(data: bytes) -> tuple[VertexHeader, bytes | None]:
    """Read a vertex's header and leave its body closed, so that the signature can be verified before more work is done.

    Checks the header's form and the body's length. What a stranger sent is opened with this, never split at once.

    Raises:
        TooLarge: more than `limits.VERTEX_BYTES_MAX` bytes.
        VertexBody: the body has another length than the header says.
        VertexMalformed, CborMalformed, CoseMalformed and their kin: another form.
    """
    if len(data) > VERTEX_BYTES_MAX:
        raise TooLarge(f"a vertex has {len(data)} of {VERTEX_BYTES_MAX} bytes")
    items = cbor.decode(data)
    if not isinstance(items, list) or len(items) != 2:
        raise VertexMalformed("a vertex is [header, body]")
    raw, body = items
    if not isinstance(raw, bytes):
        raise VertexMalformed("a vertex's header is a byte string")
    if body is not None and not isinstance(body, bytes):
        raise VertexMalformed("a vertex's body is a byte string or null")
    header = decode_header(raw)
    if body is not None and len(body) != header.length:
        raise VertexBody(f"the body has {len(body)} bytes, the header says {header.length}")
    return header, body


def split_body(header: VertexHeader, body: bytes) -> tuple[bytes, ...]:
    """The records' bytes in a body, which is a CBOR sequence of deterministic items, checked against the header.

    Takes up to half a second for a full body that somebody made to be slow: verify the header first.

    Raises:
        VertexBody: count, length or root do not fit the body.
        CborMalformed and its kin: the body is no such sequence.
    """
    try:
        records = cbor.split_sequence(body, items_max=header.count)
    except TooLarge:
        raise VertexBody(f"the body has more than the header's {header.count} records") from None
    check_body(header, records)
    return tuple(records)


def encode_vertex(header_raw: bytes, body: Sequence[bytes] | None) -> bytes:
    """The bytes of a vertex from its header's bytes and its records' bytes; checks nothing."""
    if body is None:
        return cbor.encode([header_raw, None])
    return cbor.encode([header_raw, b"".join(body)])


def check_body(header: VertexHeader, records: Sequence[bytes]) -> None:
    """Check the records' bytes against the header's count, length and root.

    Raises:
        VertexBody: one of them does not fit.
    """
    if len(records) != header.count:
        raise VertexBody(f"the body has {len(records)} records, the header says {header.count}")
    length = sum(map(len, records))
    if length != header.length:
        raise VertexBody(f"the body has {length} bytes, the header says {header.length}")
    if body_root([sha256(record).digest() for record in records]) != header.root:
        raise VertexBody("the body's root is not the header's")


def check_vertex_signature(header: VertexHeader, key: PublicKey, ledger: bytes) -> None:
    """Verify that `key` signed the header for this ledger; does not check whose key it is.

    Raises:
        KeyMismatch: the header names another algorithm than the key's.
        SignatureMalformed, SignatureInvalid: as `PublicKey.verify`.
    """
    if header.alg != key.alg:
        raise KeyMismatch(f"the vertex says algorithm {header.alg}, the key is for {key.alg}")
    key.verify(signed_bytes(header, ledger), header.signature)


def seal_vertex(
    *,
    secret: SecretKey,
    iss: str,
    sub: str,
    epoch: int,
    seq: int,
    parent: bytes | None,
    links: Sequence[bytes],
    time_ms: int | None,
    records: Sequence[bytes],
    entries: Sequence[bytes],
    ledger: bytes,
) -> tuple[bytes, bytes]:
    """Sign a header over the records and return its bytes and the vertex id.

    `entries` are the records' hashes in the same order; see `seal_header`.
    """
    return seal_header(
        secret=secret, iss=iss, sub=sub, epoch=epoch, seq=seq, parent=parent, links=links,
        time_ms=time_ms, length=sum(map(len, records)), entries=entries, ledger=ledger,
    )  # fmt: skip


def seal_header(
    *,
    secret: SecretKey,
    iss: str,
    sub: str,
    epoch: int,
    seq: int,
    parent: bytes | None,
    links: Sequence[bytes],
    time_ms: int | None,
    length: int,
    entries: Sequence[bytes],
    ledger: bytes,
) -> tuple[bytes, bytes]:
    """Sign a header over a body of `length` bytes and return its bytes and the vertex id.

    `entries` are the records' hashes in order; `links` may come in any order, doubled, and with the parent among them.
    Raises as `decode_header`, which the result passes, and TooLarge for a body beyond the limits.
    """
    cited = sorted(set(links) - {parent})
    payload = cbor.encode(
        [epoch, seq, parent, cited, time_ms, len(entries), length, body_root(entries)]
    )
    key = secret.public
    protected = cbor.encode({cose.ALG: key.alg, cose.KID: key.kid(), cose.CWT: {1: iss, 2: sub}})
    signed = cose.sig_structure(protected, payload, external_aad=DOMAIN + ledger)
    raw = cose.encode_sign1(Sign1(protected, {}, payload, secret.sign(signed)))
    decode_header(raw)
    if len(raw) + length + _ENVELOPE_MAX > VERTEX_BYTES_MAX:
        raise TooLarge(f"a vertex of {len(raw)} + {length} bytes, at most {VERTEX_BYTES_MAX}")
    return raw, sha256(signed).digest()


def decode_header(raw: bytes) -> VertexHeader:
    """Read a vertex header and check everything that its bytes alone can tell.

    Checks the header's form, links sorted, unique and without the parent, a parent everywhere but at an author's very
    first place, that an epoch begun anew begins with an empty vertex. Does not check the signature, nor that parent and
    links exist.

    Raises:
        VertexMalformed: another shape, type or range.
        CborMalformed, CoseMalformed, HeaderUnexpected, AlgorithmUnsupported, IdMalformed and their kin.
    """
    sign1, labels = cose.read_sign1(raw)
    if sign1.unprotected or labels.keys() - _LABELS:
        raise HeaderUnexpected("a vertex's header has algorithm, kid and claims, nothing else")
    if labels.keys() != _LABELS:
        raise VertexMalformed("a vertex's header has algorithm, kid and claims")
    if sign1.payload is None:
        raise CoseMalformed("a vertex header carries its payload")
    alg = labels[cose.ALG]
    if not isinstance(alg, int) or alg not in ALGORITHMS:
        raise AlgorithmUnsupported(f"no algorithm {alg!r:.40}")
    kid = read_bytes(labels[cose.KID], KID_LENGTH, VertexMalformed, "kid")
    iss, sub, iat = read_who(labels[cose.CWT], VertexMalformed)
    if iat is not None:
        raise VertexMalformed("a vertex's claims have no time of issue")
    items = cbor.decode(sign1.payload)
    if not isinstance(items, list) or len(items) != 8:
        raise VertexMalformed("a vertex's payload is an array of eight")
    epoch = read_uint(items[0], EPOCH_MAX, VertexMalformed, "epoch")
    seq = read_uint(items[1], SEQUENCE_MAX, VertexMalformed, "sequence")
    parent = None if items[2] is None else _read_hash(items[2], "parent")
    header = VertexHeader(
        raw=raw,
        alg=alg,
        kid=kid,
        iss=iss,
        sub=sub,
        epoch=epoch,
        seq=seq,
        parent=parent,
        links=_read_links(items[3], parent),
        time_ms=None
        if items[4] is None
        else read_uint(items[4], UINT_MAX, VertexMalformed, "time"),
        count=read_uint(items[5], VERTEX_RECORDS_MAX, VertexMalformed, "count"),
        length=read_uint(items[6], VERTEX_BYTES_MAX, VertexMalformed, "length"),
        root=_read_hash(items[7], "root"),
        signature=sign1.signature,
        payload=sign1.payload,
        protected=sign1.protected,
    )
    _check_place(header)
    return header


def _check_place(header: VertexHeader) -> None:
    first = header.epoch == 0 and header.seq == 0
    if first != (header.parent is None):
        raise VertexMalformed("an author's first vertex, and no other, has no parent")
    if header.epoch and not header.seq and header.count:
        raise VertexMalformed("a new epoch begins with an empty vertex")
    if header.count == 0 and (header.length or header.root != log.EMPTY_ROOT):
        raise VertexMalformed("an empty body has length 0 and the empty root")
    if header.length < header.count:
        raise VertexMalformed("a record has at least a byte")


def _read_links(value: Value, parent: bytes | None) -> tuple[bytes, ...]:
    if not isinstance(value, list) or len(value) > VERTEX_LINKS_MAX:
        raise VertexMalformed(f"links are an array of at most {VERTEX_LINKS_MAX}")
    links = tuple([_read_hash(item, "link") for item in value])
    if any(a >= b for a, b in pairwise(links)) or parent in links:
        raise VertexMalformed("links are sorted, unique and without the parent")
    return links


def _read_hash(value: Value, name: str) -> bytes:
    return read_bytes(value, HASH_LENGTH, VertexMalformed, name)
