"""A record's form: the worked record byte for byte, one spelling, every header rule, and the recogniser's one verdict."""

import marshal
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records_world import ES256, HEADER, OTHER, PACK, SECRET, WORKED, message, record

from drystone.errors import (
    AlgorithmUnsupported,
    CborMalformed,
    CborNotDeterministic,
    CoseMalformed,
    HeaderUnexpected,
    IdMalformed,
    KeyMismatch,
    RecordMalformed,
    Refused,
    SenmlMalformed,
    SignatureInvalid,
    TooLarge,
)
from drystone.formats import cbor, cose
from drystone.limits import EPOCH_MAX, RECORD_BYTES_MAX, SEQUENCE_MAX
from drystone.records import record as record_module
from drystone.records.key import P256_N
from drystone.records.record import (
    Record,
    check_form,
    check_signature,
    stream_id,
    travelling,
    write_call,
    write_record,
)

CALL = write_call(ledger=bytes(8), contract="registry", function="enrol", args={"a": 1}, limit=0)
SEALED = cbor.encode([cbor.encode({1: 3, 3: 112, 4: bytes(16)}), {5: bytes(12)}, bytes(40)])


def without(label: int) -> dict[int, cbor.Encodable]:
    return {key: value for key, value in HEADER.items() if key != label}


def verdict(read: object, data: bytes) -> object:
    """A record, or the class that refused it."""
    try:
        return read(data)  # type: ignore[operator]
    except Refused as error:
        return type(error)


@pytest.fixture(autouse=True)
def _forget() -> None:
    record_module._starts.clear()
    record_module._ends.clear()


# --- the worked record -----------------------------------------------------------------------------


def test_the_worked_record_is_written_byte_for_byte() -> None:
    written = write_record(
        secret=SECRET,
        iss="ewz",
        sub="m-004217",
        epoch=0,
        seq=41807,
        payload=PACK,
        content_type=cose.SENML,
    )
    assert written == WORKED
    assert len(written) == 136


def test_the_worked_record_reads_with_its_id_and_entry() -> None:
    read = check_form(WORKED)
    assert (read.iss, read.sub, read.epoch, read.seq) == ("ewz", "m-004217", 0, 41807)
    assert (read.iat, read.anchor, read.device) == (None, None, None)
    assert read.content == (("e", "Wh", 48211337, 1762340400),)
    assert read.id.hex().startswith("fa496f5d0eb2b7a9")
    assert read.entry.hex().startswith("74e1f69730253c87")
    check_signature(read, SECRET.public)


def test_a_record_is_plain_values_that_cross_processes() -> None:
    read = check_form(WORKED)
    assert Record._make(marshal.loads(marshal.dumps(tuple(read)))) == read


@pytest.mark.parametrize(
    ("payload", "content_type"),
    [(PACK, 112), (CALL, 60), (SEALED, 16)],
    ids=["pack", "call", "sealed"],
)
@pytest.mark.parametrize(
    "more", [{}, {"iat": 1762340400}, {"anchor": b"8 bytes."}, {"device": "d-1"}]
)
@pytest.mark.parametrize("secret", [SECRET, ES256], ids=["ed25519", "es256"])
def test_every_kind_of_record_reads_back(
    payload: bytes, content_type: int, more: dict[str, object], secret: object
) -> None:
    written = write_record(
        secret=secret,  # type: ignore[arg-type]
        iss="ewz",
        sub="m-1",
        epoch=7,
        seq=70000,
        payload=payload,
        content_type=content_type,
        **more,  # type: ignore[arg-type]
    )
    first, again = check_form(written), check_form(written)
    assert first == again == record_module._read_strictly(written)
    assert {name: getattr(first, name) for name in more} == more
    assert first.payload == payload
    assert first.signed == cose.sig_structure(cose.decode_sign1(written).protected, payload)
    assert (first.id, first.entry) == (sha256(first.signed).digest(), sha256(written).digest())
    assert marshal.loads(marshal.dumps(tuple(first))) == tuple(first)


# --- streams ---------------------------------------------------------------------------------------


def test_a_record_belongs_to_its_senders_stream() -> None:
    assert stream_id(check_form(WORKED)) == ("ewz", "m-004217")


def test_an_attested_record_belongs_to_the_stream_of_gateway_and_device_s1_22() -> None:
    read = check_form(message(HEADER | {cose.DEVICE: "old-meter"}))
    assert stream_id(read) == ("ewz", "m-004217", "old-meter")


# --- header rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [*HEADER])
def test_a_missing_label_is_refused(label: int) -> None:
    with pytest.raises(RecordMalformed):
        check_form(message(without(label)))


@pytest.mark.parametrize("label", [0, 2, 5, 6, 16, 394, 395, -1, -70002, -70004, "x"])
def test_a_label_more_is_refused(label: int) -> None:
    with pytest.raises(HeaderUnexpected):
        check_form(message(HEADER | {label: b""}))


@pytest.mark.parametrize("label", [2, 4, 5, 394, -70002, "x"])
def test_an_unprotected_label_is_refused(label: int) -> None:
    with pytest.raises((HeaderUnexpected, CoseMalformed)):
        check_form(message(unprotected={label: [b"receipt"]}))


def test_a_transparent_statement_sent_as_record_is_refused() -> None:
    with pytest.raises(HeaderUnexpected):
        check_form(message(unprotected={cose.RECEIPTS: [b"receipt"]}))


@pytest.mark.parametrize("alg", [0, 7, 8, -6, -9, -19, -48, "EdDSA", b"", None, True, [], {}])
def test_another_algorithm_is_refused(alg: cbor.Encodable) -> None:
    with pytest.raises(AlgorithmUnsupported):
        check_form(message(HEADER | {cose.ALG: alg}))


@pytest.mark.parametrize("content_type", [0, 18, 63, 277, "cbor", None, True, [112]])
def test_another_content_type_is_refused(content_type: cbor.Encodable) -> None:
    with pytest.raises(RecordMalformed):
        check_form(message(HEADER | {cose.CONTENT_TYPE: content_type}))


@pytest.mark.parametrize("kid", [b"", bytes(3), bytes(5), bytes(8), "abcd", 0, None])
def test_another_kid_is_refused(kid: cbor.Encodable) -> None:
    with pytest.raises(RecordMalformed):
        check_form(message(HEADER | {cose.KID: kid}))


@pytest.mark.parametrize(
    "who",
    [
        {},
        {1: "ewz"},
        {2: "m-1"},
        {1: "ewz", 2: "m-1", 3: 0},
        {1: "ewz", 2: "m-1", 6: -1},
        {1: "ewz", 2: "m-1", 6: "now"},
        {1: "ewz", 2: "m-1", 6: True},
        {1: "ewz", 2: "m-1", 7: b"cti"},
        ["ewz", "m-1"],
        "ewz",
        None,
    ],
)
def test_other_claims_are_refused(who: cbor.Encodable) -> None:
    with pytest.raises(RecordMalformed):
        check_form(message(HEADER | {cose.CWT: who}))


BAD_IDS = ["", "-a", ".a", "_a", "a b", "a:b", "a/b", "é", "a\n", "a" * 49, b"a", 1, None, ["a"]]


@pytest.mark.parametrize("bad", BAD_IDS)
def test_what_is_no_id_is_refused_as_organisation_member_and_device(bad: cbor.Encodable) -> None:
    for header in (
        HEADER | {cose.CWT: {1: bad, 2: "m-1"}},
        HEADER | {cose.CWT: {1: "ewz", 2: bad}},
        HEADER | {cose.DEVICE: bad},
    ):
        with pytest.raises(IdMalformed):
            check_form(message(header))


@pytest.mark.parametrize("good", ["0", "a" * 23, "a" * 24, "Z" * 48, "a._-9"])
def test_an_id_of_1_to_48_characters_is_accepted_everywhere(good: str) -> None:
    data = message(HEADER | {cose.CWT: {1: good, 2: good}, cose.DEVICE: good})
    for _ in range(2):
        read = check_form(data)
        assert (read.iss, read.sub, read.device) == (good, good, good)


@pytest.mark.parametrize(
    "position",
    [
        [],
        [0],
        [0, 1, bytes(8), 0],
        [-1, 0],
        [0, -1],
        [EPOCH_MAX + 1, 0],
        [0, SEQUENCE_MAX + 1],
        [0, 2**63],
        [0, True],
        [False, 0],
        ["0", 0],
        [0, 0, bytes(7)],
        [0, 0, bytes(9)],
        [0, 0, None],
        {0: 0},
        0,
        None,
    ],
)
def test_another_position_is_refused(position: cbor.Encodable) -> None:
    check_form(message())  # the recogniser knows this header now
    with pytest.raises(RecordMalformed):
        check_form(message(HEADER | {cose.POSITION: position}))


@pytest.mark.parametrize("epoch", [0, 23, 24, 255, 256, 65536, EPOCH_MAX])
@pytest.mark.parametrize("seq", [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, SEQUENCE_MAX])
def test_a_position_of_every_width_is_accepted_and_recognised(epoch: int, seq: int) -> None:
    check_form(message())
    data = message(HEADER | {cose.POSITION: [epoch, seq]})
    read = record_module._recognise(data)
    assert read == record_module._read_strictly(data)
    assert read is not None
    assert (read.epoch, read.seq) == (epoch, seq)


# --- one spelling ----------------------------------------------------------------------------------


def test_a_record_without_its_tag_is_refused() -> None:
    with pytest.raises(CoseMalformed):
        check_form(WORKED[1:])


def test_a_detached_payload_is_refused() -> None:
    with pytest.raises(CoseMalformed):
        check_form(message(payload=None))


def test_trailing_bytes_are_refused() -> None:
    check_form(WORKED)
    with pytest.raises(CborMalformed):
        check_form(WORKED + b"\0")


@pytest.mark.parametrize("length", range(136))
def test_a_record_cut_anywhere_is_refused(length: int) -> None:
    check_form(WORKED)
    with pytest.raises(Refused):
        check_form(WORKED[:length])


def test_a_header_with_labels_in_another_order_is_refused() -> None:
    protected = cbor.encode(HEADER)
    swapped = protected[:1] + protected[3:6] + protected[1:3] + protected[6:]
    with pytest.raises(CborNotDeterministic):
        check_form(message(swapped))


def test_a_sequence_that_is_not_shortest_is_refused_although_the_rest_is_known() -> None:
    check_form(message())
    at = cbor.encode(HEADER).index(cbor.encode(cose.POSITION)) + 5
    for spelling in (
        "820000",
        "82001800",
        "8200190017",
        "82001a0000ffff",
        "82001b00000000ffffffff",
    ):
        protected = cbor.encode(HEADER)[:at] + bytes.fromhex(spelling)
        data = message(protected)
        if spelling == "820000":
            check_form(data)
        else:
            with pytest.raises(CborNotDeterministic):
                check_form(data)


@pytest.mark.parametrize("tail", ["", "00", "a0", "f6", "58400000", "d28443"])
def test_bytes_that_are_no_record_are_refused(tail: str) -> None:
    with pytest.raises(Refused):
        check_form(bytes.fromhex(tail))


def test_a_record_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLarge):
        check_form(bytes(RECORD_BYTES_MAX + 1))


def test_a_record_just_within_the_limit_is_read() -> None:
    pack = cbor.encode([{0: "e", 8: bytes(RECORD_BYTES_MAX - 200)}])
    for _ in range(2):
        assert len(check_form(message(payload=pack)).content) == 1


def test_a_bad_payload_is_refused_on_both_ways() -> None:
    for _ in range(2):
        with pytest.raises(SenmlMalformed):
            check_form(message(payload=cbor.encode([{0: "e", 7: 1, 2: 3}])))
        check_form(message())


def test_write_record_refuses_what_check_form_would() -> None:
    with pytest.raises(IdMalformed):
        write_record(
            secret=SECRET, iss="e w z", sub="m", epoch=0, seq=0, payload=PACK, content_type=112
        )


# --- recognised or read strictly: one verdict ------------------------------------------------------

SEEDS = [
    WORKED,
    record(5),
    message(HEADER | {cose.POSITION: [1, 99, bytes(8)]}),
    message(HEADER | {cose.DEVICE: "old-meter"}),
    message(HEADER | {cose.CWT: {1: "ewz", 2: "m-004217", 6: 1762340400}}),
    message(HEADER | {cose.CONTENT_TYPE: 60}, CALL),
    message(HEADER | {cose.CONTENT_TYPE: 16}, SEALED),
    message(payload=cbor.encode([{0: "e", 8: bytes(300)}])),
    message(HEADER | {cose.ALG: -7}, secret=ES256),
]


def test_what_was_read_once_is_recognised() -> None:
    for data in SEEDS:
        check_form(data)
    recognised = [record_module._recognise(data) is not None for data in SEEDS]
    assert recognised == [True, True, True, True, False, True, True, True, True]


@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_a_mutated_record_gets_one_verdict_from_recogniser_and_strict_reader(
    data: st.DataObject,
) -> None:
    for seed in SEEDS:
        check_form(seed)
    changed = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        kind = data.draw(st.sampled_from(["set", "insert", "delete", "copy"]))
        if kind == "set":
            changed[at] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            changed.insert(at, data.draw(st.integers(0, 255)))
        elif kind == "delete" and len(changed) > 1:
            del changed[at]
        else:
            other = data.draw(st.sampled_from(SEEDS))
            changed[at : at + 8] = other[at : at + 8]
        if not changed:
            return
    mutated = bytes(changed)
    assert verdict(check_form, mutated) == verdict(record_module._read_strictly, mutated)


@settings(max_examples=300, deadline=None)
@given(
    length=st.integers(0, 255),
    members=st.sampled_from([0x81, 0x82, 0x83, 0x84]),
    position=st.binary(max_size=12),
    tail=st.binary(max_size=4),
    head=st.binary(min_size=1, max_size=3),
)
def test_a_forged_position_gets_one_verdict(
    length: int, members: int, position: bytes, tail: bytes, head: bytes
) -> None:
    check_form(WORKED)
    at = WORKED.index(cbor.encode(cose.POSITION)) + 5
    forged = WORKED[:3] + bytes([length]) + WORKED[4:at] + bytes([members]) + position + tail
    forged += b"\xa0" + head + PACK + WORKED[-66:]
    assert verdict(check_form, forged) == verdict(record_module._read_strictly, forged)


def test_the_memory_of_headers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "MEMO_ROWS_MAX", 4)
    for number in range(20):
        read = check_form(
            message(HEADER | {cose.CWT: {1: "ewz", 2: f"m-{number}"}, cose.DEVICE: f"d-{number}"})
        )
        assert (read.sub, read.device) == (f"m-{number}", f"d-{number}")
        assert len(record_module._starts) <= 4
        assert len(record_module._ends) <= 4


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_a_typed_error(data: bytes) -> None:
    with pytest.raises(Refused):
        check_form(data)


# --- signatures ------------------------------------------------------------------------------------


def test_a_verified_record_says_which_key_it_was_s1_4() -> None:
    read = check_form(WORKED)
    verified = check_signature(read, SECRET.public)
    assert (verified.record, verified.key) == (read, SECRET.public.cose_key())


def test_a_record_that_travelled_verifies_again_from_its_bytes() -> None:
    read = check_form(WORKED)
    arrived = Record._make(marshal.loads(marshal.dumps(travelling(read))))
    assert (arrived.payload, arrived.signature, arrived.signed) == (b"", b"", b"")
    assert (arrived.id, arrived.entry, arrived.content) == (read.id, read.entry, read.content)
    assert check_signature(arrived, SECRET.public).record == read
    with pytest.raises(SignatureInvalid):
        check_signature(arrived, OTHER.public)


def test_a_record_under_another_key_is_refused_s2_27() -> None:
    with pytest.raises(SignatureInvalid):
        check_signature(check_form(WORKED), OTHER.public)


def test_a_record_that_names_another_algorithm_than_the_keys_is_refused() -> None:
    with pytest.raises(KeyMismatch):
        check_signature(check_form(WORKED), ES256.public)


def test_a_high_s_twin_has_the_same_id_and_another_entry_and_verifies() -> None:
    data = message(HEADER | {cose.ALG: -7, cose.KID: ES256.public.kid()}, secret=ES256)
    s = int.from_bytes(data[-32:])
    twin = data[:-32] + (P256_N - s).to_bytes(32)
    one, two = check_form(data), check_form(twin)
    assert one.id == two.id
    assert one.entry != two.entry
    check_signature(two, ES256.public)


@pytest.mark.parametrize("index", range(0, 136, 3))
def test_a_changed_byte_anywhere_is_noticed_s1_5(index: int) -> None:
    changed = WORKED[:index] + bytes([WORKED[index] ^ 1]) + WORKED[index + 1 :]
    with pytest.raises(Refused):
        check_signature(check_form(changed), SECRET.public)
