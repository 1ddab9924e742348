"""The proof of possession holds for one key, one member, one ledger; every other reading of it is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records_world import ES256, LEDGER, OTHER, SECRET

from drystone.errors import CoseMalformed, DrystoneError, EnrolmentProof, KeyMalformed, Refused
from drystone.formats import cbor, cose
from drystone.formats.cose import Sign1
from drystone.records import ed25519
from drystone.records.enrolment import DOMAIN, check_enrolment, enrolment_proof
from drystone.records.key import PublicKey, SecretKey

PROOF = enrolment_proof(secret=SECRET, iss="ewz", sub="m-1", ledger=LEDGER)


def proof(
    payload: bytes | None,
    header: dict[int, cbor.Encodable],
    *,
    unprotected: dict[cbor.Key, cbor.Value] | None = None,
) -> bytes:
    protected = cbor.encode(header)
    signed = cose.sig_structure(protected, payload or b"", external_aad=DOMAIN + LEDGER)
    return cose.encode_sign1(Sign1(protected, unprotected or {}, payload, SECRET.sign(signed)))


def header(**changes: cbor.Encodable) -> dict[int, cbor.Encodable]:
    key = SECRET.public
    names = {"alg": 1, "content_type": 3, "kid": 4, "who": 15, "more": 7}
    members: dict[int, cbor.Encodable] = {1: key.alg, 3: 60, 4: key.kid(), 15: {1: "ewz", 2: "m-1"}}
    return members | {names[name]: value for name, value in changes.items()}


@pytest.mark.parametrize("secret", [SECRET, ES256], ids=["ed25519", "es256"])
def test_a_proof_gives_the_key_it_was_made_with(secret: SecretKey) -> None:
    made = enrolment_proof(secret=secret, iss="ewz", sub="m-1", ledger=LEDGER)
    assert check_enrolment(made, iss="ewz", sub="m-1", ledger=LEDGER) == secret.public


@pytest.mark.parametrize(
    ("iss", "sub", "ledger"),
    [("ewb", "m-1", LEDGER), ("ewz", "m-2", LEDGER), ("ewz", "m-1", bytes(32))],
    ids=["organisation", "member", "ledger"],
)
def test_a_proof_for_another_organisation_member_or_ledger_is_refused(
    iss: str, sub: str, ledger: bytes
) -> None:
    with pytest.raises(EnrolmentProof):
        check_enrolment(PROOF, iss=iss, sub=sub, ledger=ledger)


def test_anothers_key_cannot_be_offered_as_ones_own() -> None:
    stolen = proof(
        OTHER.public.cose_key(),
        header(kid=OTHER.public.kid()),
    )
    with pytest.raises(EnrolmentProof):
        check_enrolment(stolen, iss="ewz", sub="m-1", ledger=LEDGER)


@pytest.mark.parametrize(
    "changed",
    [
        header(alg=-7),
        header(content_type=112),
        header(kid=bytes(4)),
        header(who={1: "ewz", 2: "m-1", 6: 0}),
        header(more=1),
    ],
    ids=["algorithm", "content type", "kid", "claims", "more"],
)
def test_a_proof_with_another_header_is_refused(changed: dict[int, cbor.Encodable]) -> None:
    with pytest.raises(EnrolmentProof):
        check_enrolment(
            proof(SECRET.public.cose_key(), changed), iss="ewz", sub="m-1", ledger=LEDGER
        )


def test_a_proof_with_an_unprotected_header_or_no_payload_is_refused() -> None:
    key = SECRET.public.cose_key()
    for made in (proof(key, header(), unprotected={5: b""}), proof(None, header())):
        with pytest.raises(EnrolmentProof):
            check_enrolment(made, iss="ewz", sub="m-1", ledger=LEDGER)


def test_a_key_of_small_order_cannot_be_enrolled() -> None:
    weak = PublicKey(cose.ALG_EDDSA, min(ed25519.SMALL_ORDER))
    with pytest.raises(KeyMalformed):
        check_enrolment(
            proof(weak.cose_key(), header(kid=weak.kid())), iss="ewz", sub="m-1", ledger=LEDGER
        )


def test_a_record_is_no_proof() -> None:
    with pytest.raises(CoseMalformed):
        check_enrolment(b"\x80", iss="ewz", sub="m-1", ledger=LEDGER)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(PROOF) - 1), st.integers(0, 255))
def test_a_changed_byte_anywhere_in_a_proof_is_refused(index: int, byte: int) -> None:
    changed = PROOF[:index] + bytes([byte]) + PROOF[index + 1 :]
    if changed != PROOF:
        with pytest.raises(Refused):
            check_enrolment(changed, iss="ewz", sub="m-1", ledger=LEDGER)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_proof_or_refused_with_a_typed_error(data: bytes) -> None:
    with pytest.raises(DrystoneError):
        check_enrolment(data, iss="ewz", sub="m-1", ledger=LEDGER)
