"""Vertices: sealed and read back, the body against its header, one spelling, a ledger of its own."""

import marshal
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records_world import (
    ES256,
    LEDGER,
    OTHER,
    SECRET,
    WORKED,
    message,
    record,
    vertex,
)

from drystone.errors import (
    AlgorithmUnsupported,
    CborMalformed,
    CborNotDeterministic,
    CoseMalformed,
    HeaderUnexpected,
    IdMalformed,
    KeyMismatch,
    Refused,
    SignatureInvalid,
    TooLarge,
    VertexBody,
    VertexMalformed,
)
from drystone.formats import cbor, cose
from drystone.formats.cose import Sign1
from drystone.limits import (
    EPOCH_MAX,
    SEQUENCE_MAX,
    VERTEX_BYTES_MAX,
    VERTEX_LINKS_MAX,
    VERTEX_RECORDS_MAX,
)
from drystone.records import vertex as vertex_module
from drystone.records.key import P256_N
from drystone.records.vertex import (
    VertexHeader,
    body_root,
    check_body,
    check_vertex_signature,
    decode_header,
    decode_vertex,
    encode_vertex,
    open_vertex,
    seal_vertex,
    signed_bytes,
    split_body,
    vertex_id,
)
from drystone.trees import log

PROTECTED: dict[int, cbor.Encodable] = {1: -8, 4: SECRET.public.kid(), 15: {1: "ewz", 2: "gw-1"}}
EMPTY_BODY = sha256(b"").digest()
PAYLOAD: list[cbor.Encodable] = [0, 0, None, [], None, 0, 0, EMPTY_BODY]
RECORDS = tuple(record(seq) for seq in range(3))


def header(
    *changes: tuple[int, cbor.Encodable],
    protected: dict[int, cbor.Encodable] | None = None,
    payload: cbor.Encodable = None,
    unprotected: dict[cbor.Key, cbor.Value] | None = None,
) -> bytes:
    items = list(PAYLOAD)
    for index, value in changes:
        items[index] = value
    spelled = cbor.encode(PROTECTED if protected is None else protected)
    body = cbor.encode(items if payload is None else payload)
    return cose.encode_sign1(Sign1(spelled, unprotected or {}, body, bytes(64)))


def child(*changes: tuple[int, cbor.Encodable]) -> bytes:
    return header((1, 1), (2, b"p" * 32), *changes)


# --- sealing and reading ---------------------------------------------------------------------------


def test_a_sealed_vertex_reads_back() -> None:
    links = (b"b" * 32, b"a" * 32)
    raw, identity = seal_vertex(
        secret=SECRET,
        iss="ewz",
        sub="gw-1",
        epoch=3,
        seq=7,
        parent=b"p" * 32,
        links=[*links, *links, b"p" * 32],
        time_ms=1762340400000,
        records=RECORDS,
        entries=[sha256(raw).digest() for raw in RECORDS],
        ledger=LEDGER,
    )
    read = decode_vertex(encode_vertex(raw, RECORDS))
    assert read.body == RECORDS
    assert read.header == decode_header(raw)
    assert (read.header.epoch, read.header.seq, read.header.parent) == (3, 7, b"p" * 32)
    assert read.header.links == (b"a" * 32, b"b" * 32)
    assert (read.header.time_ms, read.header.count) == (1762340400000, 3)
    assert read.header.length == sum(map(len, RECORDS))
    assert vertex_id(read.header, LEDGER) == identity
    check_vertex_signature(read.header, SECRET.public, LEDGER)


def test_a_header_is_plain_values_that_cross_processes() -> None:
    read = vertex(records=RECORDS)
    assert VertexHeader._make(marshal.loads(marshal.dumps(tuple(read)))) == read


def test_a_pruned_vertex_reads_without_its_body() -> None:
    read = vertex(records=RECORDS)
    assert decode_vertex(encode_vertex(read.raw, None)) == (read, None)


def test_an_empty_vertex_has_the_root_of_nothing() -> None:
    read = vertex()
    assert (read.count, read.length, read.root) == (0, 0, EMPTY_BODY)
    assert decode_vertex(encode_vertex(read.raw, ())).body == ()


def test_the_body_root_is_the_log_tree_over_the_entries() -> None:
    entries = [sha256(raw).digest() for raw in RECORDS]
    leaves = [log.leaf_hash(entry) for entry in entries]
    expected = log.node_hash(log.node_hash(leaves[0], leaves[1]), leaves[2])
    assert body_root(entries) == expected == vertex(records=RECORDS).root


@pytest.mark.parametrize(("links", "size"), [(0, 181), (2, 249), (4, 317)])
def test_a_header_has_the_size_the_formats_name(links: int, size: int) -> None:
    read = vertex(
        seq=1234,
        parent=bytes(32),
        links=tuple(bytes([n]) * 32 for n in range(1, links + 1)),
        time_ms=1762340400000,
        records=RECORDS[:1] * 20,
    )
    assert abs(len(read.raw) - size) <= 2


# --- ids and signatures ----------------------------------------------------------------------------


def test_a_vertex_id_depends_on_the_ledger() -> None:
    assert vertex_id(vertex(), LEDGER) != vertex_id(vertex(), bytes(32))


def test_the_signed_bytes_name_the_ledger() -> None:
    assert b"drystone/vertex/1\n" + LEDGER in signed_bytes(vertex(), LEDGER)


def test_a_vertex_of_another_ledger_is_refused() -> None:
    with pytest.raises(SignatureInvalid):
        check_vertex_signature(vertex(), SECRET.public, bytes(32))


def test_a_vertex_under_another_key_is_refused() -> None:
    with pytest.raises(SignatureInvalid):
        check_vertex_signature(vertex(), OTHER.public, LEDGER)


def test_a_vertex_that_names_another_algorithm_than_the_keys_is_refused() -> None:
    with pytest.raises(KeyMismatch):
        check_vertex_signature(vertex(), ES256.public, LEDGER)


def test_a_high_s_twin_of_a_header_is_the_same_vertex() -> None:
    raw, identity = seal_vertex(
        secret=ES256,
        iss="ewz",
        sub="gw-1",
        epoch=0,
        seq=0,
        parent=None,
        links=(),
        time_ms=None,
        records=(),
        entries=(),
        ledger=LEDGER,
    )
    twin = decode_header(raw[:-32] + (P256_N - int.from_bytes(raw[-32:])).to_bytes(32))
    check_vertex_signature(twin, ES256.public, LEDGER)
    assert vertex_id(twin, LEDGER) == identity
    assert twin.raw != raw


# --- the body against the header -------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [(), RECORDS[:2], (*RECORDS, RECORDS[0]), RECORDS[::-1], (*RECORDS[:2], record(9))],
    ids=["none", "fewer", "more", "reordered", "another"],
)
def test_another_body_is_refused(body: tuple[bytes, ...]) -> None:
    read = vertex(records=RECORDS)
    with pytest.raises(VertexBody):
        check_body(read, body)
    with pytest.raises(VertexBody):
        decode_vertex(encode_vertex(read.raw, body))


def test_a_body_of_the_right_length_with_more_items_is_refused_before_it_is_split() -> None:
    raw = child((5, 1), (6, 4), (7, bytes(32)))
    with pytest.raises(VertexBody, match="more than"):
        decode_vertex(cbor.encode([raw, b"\0\0\0\0"]))


def test_a_body_of_the_right_length_with_fewer_items_is_refused() -> None:
    raw = child((5, 3), (6, 4), (7, bytes(32)))
    with pytest.raises(VertexBody, match="records"):
        decode_vertex(cbor.encode([raw, b"\0\x19\x01\0"]))


def test_check_body_compares_the_length_too() -> None:
    read = decode_header(child((5, 1), (6, 9), (7, bytes(32))))
    with pytest.raises(VertexBody, match="bytes"):
        check_body(read, [b"\0"])


def test_a_body_that_is_no_cbor_sequence_is_refused() -> None:
    raw = child((5, 1), (6, 2), (7, bytes(32)))
    with pytest.raises(CborNotDeterministic):
        decode_vertex(cbor.encode([raw, b"\x18\0"]))
    with pytest.raises(CborMalformed):
        decode_vertex(cbor.encode([raw, b"\x42\0"]))


def test_a_body_may_hold_items_that_are_no_records_because_that_is_the_ledgers_to_say() -> None:
    junk = (b"\x00", b"\x63abc")
    entries = [sha256(item).digest() for item in junk]
    raw = child((5, 2), (6, 5), (7, body_root(entries)))
    assert decode_vertex(encode_vertex(raw, junk)).body == junk


def test_a_vertex_can_be_opened_and_verified_before_its_body_is_split() -> None:
    read = vertex(records=RECORDS)
    header, body = open_vertex(encode_vertex(read.raw, RECORDS))
    check_vertex_signature(header, SECRET.public, LEDGER)
    assert body == b"".join(RECORDS)
    assert split_body(header, body) == RECORDS


def test_opening_does_not_look_into_the_body() -> None:
    raw = child((5, 1), (6, 2), (7, bytes(32)))
    assert open_vertex(cbor.encode([raw, b"\xff\xff"]))[1] == b"\xff\xff"
    with pytest.raises(VertexBody):
        open_vertex(cbor.encode([raw, b"\xff"]))


# --- form ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        cbor.encode([]),
        cbor.encode([header()]),
        cbor.encode([header(), b"", b""]),
        cbor.encode({0: header()}),
        cbor.encode([header(), "body"]),
        cbor.encode([header(), 0]),
        cbor.encode([None, None]),
        cbor.encode([cbor.decode(header()), None]),
    ],
    ids=["empty", "one", "three", "map", "text", "number", "no header", "bare header"],
)
def test_another_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(VertexMalformed):
        decode_vertex(data)


@pytest.mark.parametrize(
    "raw",
    [
        header((0, -1)),
        header((0, EPOCH_MAX + 1)),
        header((0, None)),
        header((1, -1)),
        child((1, SEQUENCE_MAX + 1)),
        child((1, True)),
        header((2, b"p" * 32)),
        child((2, None)),
        child((2, b"p" * 31)),
        child((2, "p" * 32)),
        header((3, None)),
        header((3, [bytes(31)])),
        header((3, [None])),
        header((3, [b"b" * 32, b"a" * 32])),
        header((3, [b"a" * 32, b"a" * 32])),
        child((3, [b"p" * 32])),
        header((3, [bytes([n]) * 32 for n in range(VERTEX_LINKS_MAX + 1)])),
        header((4, -1)),
        header((4, "now")),
        header((5, -1)),
        child((5, VERTEX_RECORDS_MAX + 1), (6, VERTEX_BYTES_MAX)),
        child((5, 1), (6, 0), (7, bytes(32))),
        child((5, 1), (6, VERTEX_BYTES_MAX + 1), (7, bytes(32))),
        header((6, 1)),
        header((7, bytes(32))),
        header((7, bytes(31))),
        header((7, None)),
        header(payload=[]),
        header(payload=PAYLOAD[:7]),
        header(payload=[*PAYLOAD, 0]),
        header(payload={}),
        header(protected={1: -8, 4: bytes(4)}),
        header(protected=PROTECTED | {4: bytes(5)}),
        header(protected=PROTECTED | {15: {1: "ewz", 2: "gw-1", 6: 0}}),
        header(protected=PROTECTED | {15: {1: "ewz"}}),
    ],
    ids=bytes.hex,
)
def test_another_header_is_refused(raw: bytes) -> None:
    with pytest.raises(VertexMalformed):
        decode_header(raw)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (header(protected=PROTECTED | {3: 60}), HeaderUnexpected),
        (header(protected=PROTECTED | {394: b""}), HeaderUnexpected),
        (header(unprotected={5: b""}), HeaderUnexpected),
        (header(protected=PROTECTED | {1: -19}), AlgorithmUnsupported),
        (header(protected=PROTECTED | {1: "EdDSA"}), AlgorithmUnsupported),
        (header(protected=PROTECTED | {15: {1: "e w", 2: "gw"}}), IdMalformed),
        (WORKED, HeaderUnexpected),
        (header()[1:], CoseMalformed),
        (header() + b"\0", CborMalformed),
        (message({1: -8, 4: bytes(4), 15: {1: "a", 2: "b"}}, None), CoseMalformed),
        (b"", CborMalformed),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else value.code,
)
def test_a_header_of_another_kind_is_refused(raw: bytes, error: type[Refused]) -> None:
    with pytest.raises(error):
        decode_header(raw)


def test_a_payload_in_another_spelling_is_refused() -> None:
    payload = cbor.encode(PAYLOAD)
    respelled = payload[:1] + b"\x18\x00" + payload[2:]
    raw = cose.encode_sign1(Sign1(cbor.encode(PROTECTED), {}, respelled, bytes(64)))
    with pytest.raises(CborNotDeterministic):
        decode_header(raw)


def test_a_first_vertex_has_no_parent_and_every_other_has_one() -> None:
    assert decode_header(header()).parent is None
    assert decode_header(child()).parent == b"p" * 32
    with pytest.raises(VertexMalformed):
        decode_header(header((0, 1)))


def test_a_new_epoch_begins_with_an_empty_vertex_that_cites_both_heads() -> None:
    read = vertex(epoch=1, parent=b"p" * 32, links=(b"q" * 32,))
    assert (read.count, read.parent, read.links) == (0, b"p" * 32, (b"q" * 32,))
    with pytest.raises(VertexMalformed, match="empty"):
        vertex(epoch=1, parent=b"p" * 32, records=RECORDS)


def test_a_vertex_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLarge):
        decode_vertex(bytes(VERTEX_BYTES_MAX + 1))


def test_a_vertex_that_would_exceed_the_limit_is_not_sealed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = len(encode_vertex(vertex(records=RECORDS).raw, RECORDS))
    monkeypatch.setattr(vertex_module, "VERTEX_BYTES_MAX", size + 9)
    vertex(records=RECORDS)
    monkeypatch.setattr(vertex_module, "VERTEX_BYTES_MAX", size - 1)
    with pytest.raises(TooLarge):
        vertex(records=RECORDS)


def test_a_vertex_of_too_many_records_is_not_sealed() -> None:
    with pytest.raises(VertexMalformed, match="count"):
        vertex(records=(b"\0",) * (VERTEX_RECORDS_MAX + 1))


VERTEX = encode_vertex(vertex(records=RECORDS, links=(b"a" * 32,)).raw, RECORDS)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(VERTEX) - 1), st.integers(0, 255))
def test_a_changed_byte_anywhere_is_noticed_s1_5(index: int, byte: int) -> None:
    changed = VERTEX[:index] + bytes([byte]) + VERTEX[index + 1 :]
    if changed != VERTEX:
        with pytest.raises(Refused):
            check_vertex_signature(decode_vertex(changed).header, SECRET.public, LEDGER)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_a_typed_error(data: bytes) -> None:
    for read in (decode_vertex, decode_header):
        with pytest.raises(Refused):
            read(data)
