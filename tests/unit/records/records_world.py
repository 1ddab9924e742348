"""The few fixed things that the tests of `records/` share: keys, a ledger id, the worked record, small builders."""

from hashlib import sha256

from drystone.formats import cbor, cose
from drystone.formats.cbor import Encodable
from drystone.formats.cose import Sign1
from drystone.records.key import SecretKey
from drystone.records.record import write_record
from drystone.records.vertex import VertexHeader, decode_header, seal_vertex, vertex_id

SECRET = SecretKey.from_bytes(bytes(range(32)))
OTHER = SecretKey.from_bytes(bytes(range(1, 33)))
ES256 = SecretKey.generate(cose.ALG_ES256, bytes(range(32)))
LEDGER = sha256(b"a ledger").digest()

WORKED = bytes.fromhex(
    "d2845827a501270318700444be5de2f40fa2016365777a02686d2d3030343231373a00011170820019a34fa0581881"
    "a500616501625768021a02dfa589061a690b2e3020181a58401949788113c28e2ecf5b5010104dea4d5b9712be9874"
    "ba7f06cd0002aec77aa8c344321de997b44af9b595d78719c0fdf0a5b73c2211140fdeeb0490a90bc80c"
)
PACK = bytes.fromhex("81a500616501625768021a02dfa589061a690b2e3020181a")

HEADER: dict[int, Encodable] = {
    cose.ALG: cose.ALG_EDDSA,
    cose.CONTENT_TYPE: cose.SENML,
    cose.KID: SECRET.public.kid(),
    cose.CWT: {1: "ewz", 2: "m-004217"},
    cose.POSITION: [0, 41807],
}


def message(
    header: dict[int, Encodable] | bytes = HEADER,
    payload: bytes | None = PACK,
    *,
    unprotected: dict[int, Encodable] | None = None,
    secret: SecretKey = SECRET,
) -> bytes:
    """A COSE_Sign1 with any header and payload, properly signed."""
    protected = header if isinstance(header, bytes) else cbor.encode(header)
    signature = secret.sign(cose.sig_structure(protected, payload or b""))
    return cose.encode_sign1(Sign1(protected, dict(unprotected or {}), payload, signature))


def record(seq: int = 0, *, epoch: int = 0, sub: str = "m-1", payload: bytes = PACK) -> bytes:
    """A record of organisation ewz."""
    return write_record(
        secret=SECRET,
        iss="ewz",
        sub=sub,
        epoch=epoch,
        seq=seq,
        payload=payload,
        content_type=cose.SENML,
    )


def vertex(
    sub: str = "gw-1",
    seq: int = 0,
    *,
    epoch: int = 0,
    parent: bytes | None = None,
    links: tuple[bytes, ...] = (),
    records: tuple[bytes, ...] = (),
    time_ms: int | None = None,
) -> VertexHeader:
    """A signed vertex header of organisation ewz."""
    raw, _ = seal_vertex(
        secret=SECRET,
        iss="ewz",
        sub=sub,
        epoch=epoch,
        seq=seq,
        parent=parent,
        links=links,
        time_ms=time_ms,
        records=records,
        entries=[sha256(raw).digest() for raw in records],
        ledger=LEDGER,
    )
    return decode_header(raw)


def identity(header: VertexHeader) -> bytes:
    """The id on the tests' ledger."""
    return vertex_id(header, LEDGER)
