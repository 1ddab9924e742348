"""Proof of possession: a new key signs, for one ledger, organisation and member, that it is theirs.

The device makes the proof once; an enroller of its organisation puts it into a call `registry.enrol`, or `init` into
the genesis file. Without it somebody could enrol another's public key as their own. It is a COSE_Sign1 whose payload
is the key, and whose external data names the ledger, so that it is of no use on another one.

Source: docs/spec/record.cddl; RFC 9052 section 4.4 (external_aad).
"""

from typing import Final

from drystone.errors import EnrolmentProof, SignatureInvalid, SignatureMalformed
from drystone.formats import cbor, cose
from drystone.formats.cose import Sign1
from drystone.records.key import PublicKey, SecretKey, parse_cose_key

DOMAIN: Final = b"drystone/enrol/1\n"


def enrolment_proof(*, secret: SecretKey, iss: str, sub: str, ledger: bytes) -> bytes:
    """Sign that `secret` belongs to the member `sub` of the organisation `iss` on this ledger.

    `ledger` is the 32-byte ledger id; for a key in the genesis file, which has no id yet, the genesis digest.
    """
    key = secret.public
    protected = _header(key, iss=iss, sub=sub)
    payload = key.cose_key()
    signed = cose.sig_structure(protected, payload, external_aad=DOMAIN + ledger)
    return cose.encode_sign1(Sign1(protected, {}, payload, secret.sign(signed)))


def check_enrolment(proof: bytes, *, iss: str, sub: str, ledger: bytes) -> PublicKey:
    """Return the key that `proof` shows the possession of, fully checked (`parse_cose_key`).

    Checks the whole form, that header and external data name this member and ledger, and the signature. Does not
    check whether key or kid are new.

    Raises:
        KeyMalformed: what is offered is no good key.
        EnrolmentProof: the proof is for another key, member or ledger, or has another shape.
        CborMalformed, CoseMalformed and their kin: the bytes are no COSE_Sign1.
    """
    sign1 = cose.decode_sign1(proof)
    if sign1.unprotected or sign1.payload is None:
        raise EnrolmentProof("a proof has an empty unprotected header and the key as payload")
    key = parse_cose_key(sign1.payload)
    if sign1.protected != _header(key, iss=iss, sub=sub):
        raise EnrolmentProof(f"the proof's header is not the key's for {iss} {sub}")
    signed = cose.sig_structure(sign1.protected, sign1.payload, external_aad=DOMAIN + ledger)
    try:
        key.verify(signed, sign1.signature)
    except (SignatureMalformed, SignatureInvalid) as error:
        raise EnrolmentProof(f"the proof's signature: {error}") from error
    return key


def _header(key: PublicKey, *, iss: str, sub: str) -> bytes:
    return cbor.encode(
        {
            cose.ALG: key.alg,
            cose.CONTENT_TYPE: cose.CBOR,
            cose.KID: key.kid(),
            cose.CWT: {1: iss, 2: sub},
        }
    )
