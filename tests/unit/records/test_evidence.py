"""Fork evidence: two valid, different objects of one place, in order; nothing else counts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records_world import (
    ES256,
    HEADER,
    LEDGER,
    OTHER,
    PACK,
    SECRET,
    identity,
    message,
    record,
    vertex,
)

from drystone.errors import EvidenceMalformed, KeyUnknown, Refused, SignatureInvalid
from drystone.formats import cbor, cose
from drystone.records.evidence import check_fork, decode_fork, encode_fork, id_of, place_of
from drystone.records.key import P256_N, PublicKey
from drystone.records.record import check_form

BLOB = cbor.encode([{0: "x", 8: b"other"}])
ONE, TWO = check_form(record(5)), check_form(record(5, payload=BLOB))
LEFT, RIGHT = vertex(time_ms=1), vertex(time_ms=2)


def key_of(_iss: str, _sub: str, kid: bytes) -> PublicKey:
    if kid != SECRET.public.kid():
        raise KeyUnknown("no such key")
    return SECRET.public


@pytest.mark.parametrize("pair", [(ONE, TWO), (LEFT, RIGHT)], ids=["records", "vertices"])
def test_two_of_one_place_are_evidence_in_either_order(pair: tuple[object, object]) -> None:
    a, b = pair
    data = encode_fork(a, b, ledger=LEDGER)  # type: ignore[arg-type]
    assert data == encode_fork(b, a, ledger=LEDGER)  # type: ignore[arg-type]
    fork = decode_fork(data, ledger=LEDGER)
    assert {fork.a, fork.b} == {a, b}
    assert id_of(fork.a, LEDGER) < id_of(fork.b, LEDGER)
    assert place_of(fork.a) == place_of(fork.b)
    check_fork(fork, ledger=LEDGER, key_of=key_of)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (ONE, ONE),
        (LEFT, LEFT),
        (ONE, LEFT),
        (ONE, check_form(record(6))),
        (ONE, check_form(record(5, epoch=1))),
        (ONE, check_form(record(5, sub="m-2"))),
        (LEFT, vertex("gw-2", time_ms=2)),
        (LEFT, vertex(seq=1, parent=identity(RIGHT))),
    ],
    ids=["same", "same", "kinds", "seq", "epoch", "member", "author", "vertex seq"],
)
def test_objects_that_do_not_contradict_each_other_are_no_evidence(a: object, b: object) -> None:
    with pytest.raises(EvidenceMalformed):
        encode_fork(a, b, ledger=LEDGER)  # type: ignore[arg-type]


def test_an_attested_record_and_an_own_one_have_different_places() -> None:
    own = check_form(message(HEADER))
    attested = check_form(message(HEADER | {cose.DEVICE: "d-1"}))
    with pytest.raises(EvidenceMalformed):
        encode_fork(own, attested, ledger=LEDGER)


def test_a_high_s_twin_is_no_fork() -> None:
    data = message(HEADER | {cose.ALG: -7}, secret=ES256)
    twin = data[:-32] + (P256_N - int.from_bytes(data[-32:])).to_bytes(32)
    with pytest.raises(EvidenceMalformed):
        encode_fork(check_form(data), check_form(twin), ledger=LEDGER)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        ["drystone/fork/1", ONE.raw],
        ["drystone/fork/2", ONE.raw, TWO.raw],
        [b"drystone/fork/1", ONE.raw, TWO.raw],
        ["drystone/fork/1", "a", "b"],
        ["drystone/fork/1", ONE.raw, None],
        ["drystone/fork/1", b"", b""],
        ["drystone/fork/1", PACK, PACK],
        ["drystone/fork/1", ONE.raw, TWO.raw, 0],
        ["drystone/fork/1", *sorted([ONE.raw, TWO.raw], key=lambda raw: check_form(raw).id)[::-1]],
    ],
    ids=[
        "null",
        "empty",
        "one",
        "tag",
        "bytes",
        "text",
        "half",
        "nothing",
        "payload",
        "more",
        "order",
    ],
)
def test_another_shape_is_no_evidence(value: cbor.Encodable) -> None:
    with pytest.raises(EvidenceMalformed):
        decode_fork(cbor.encode(value), ledger=LEDGER)


def test_evidence_that_nobody_signed_is_refused() -> None:
    forged = check_form(message(HEADER, BLOB, secret=OTHER))
    fork = decode_fork(encode_fork(check_form(message()), forged, ledger=LEDGER), ledger=LEDGER)
    with pytest.raises(SignatureInvalid):
        check_fork(fork, ledger=LEDGER, key_of=key_of)


def test_vertices_of_another_ledger_are_no_evidence() -> None:
    a, b = sorted((LEFT, RIGHT), key=lambda header: id_of(header, bytes(32)))
    data = cbor.encode(["drystone/fork/1", a.raw, b.raw])
    with pytest.raises(SignatureInvalid):
        check_fork(decode_fork(data, ledger=bytes(32)), ledger=bytes(32), key_of=key_of)


def test_evidence_under_an_unknown_key_is_refused() -> None:
    other = message(HEADER | {cose.KID: OTHER.public.kid()}, secret=OTHER)
    fork = decode_fork(
        encode_fork(check_form(message()), check_form(other), ledger=LEDGER), ledger=LEDGER
    )
    with pytest.raises(KeyUnknown):
        check_fork(fork, ledger=LEDGER, key_of=key_of)


EVIDENCE = encode_fork(LEFT, RIGHT, ledger=LEDGER)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(EVIDENCE) - 1), st.integers(0, 255), st.binary(max_size=100))
def test_changed_or_random_bytes_are_no_evidence(index: int, byte: int, data: bytes) -> None:
    changed = EVIDENCE[:index] + bytes([byte]) + EVIDENCE[index + 1 :]
    with pytest.raises(EvidenceMalformed):
        decode_fork(data, ledger=LEDGER)
    if changed != EVIDENCE:
        with pytest.raises(Refused):
            check_fork(decode_fork(changed, ledger=LEDGER), ledger=LEDGER, key_of=key_of)
