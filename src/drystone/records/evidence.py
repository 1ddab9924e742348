"""Fork evidence: two different signed objects of one place, proof that an author's key or disk was doubled.

Two records at one position of a stream, or two vertex headers at one place of an author, both signed. Whoever holds
both may submit them, and the ledger suspends the branch. The same content under a second ECDSA signature is no fork:
ids are hashes of what was signed.

Here evidence is put together, taken apart and checked; what follows from it is the ledger's.

Source: design of the ledger's fork rule, docs/spec/vertex.cddl (`fork`).
"""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from drystone.errors import EvidenceMalformed, Refused
from drystone.formats import cbor, cose
from drystone.records.key import PublicKey
from drystone.records.record import Record, check_form, check_signature, stream_id
from drystone.records.vertex import (
    VertexHeader,
    check_vertex_signature,
    decode_header,
    vertex_id,
)

TAG: Final = "drystone/fork/1"

Signed: TypeAlias = Record | VertexHeader
KeyOf: TypeAlias = Callable[[str, str, bytes], PublicKey]
"""Gives the public key of (organisation, member, kid); raises KeyUnknown."""


class Fork(NamedTuple):
    """Two objects of one kind and one place, the one with the smaller id first; nothing is verified yet."""

    a: Signed
    b: Signed


def encode_fork(a: Signed, b: Signed, *, ledger: bytes) -> bytes:
    """Put two originals together as evidence, in the one order; `ledger` is the 32-byte ledger id.

    Raises as `decode_fork`, which the result passes.
    """
    first, second = sorted((a, b), key=lambda signed: id_of(signed, ledger))
    data = cbor.encode([TAG, first.raw, second.raw])
    decode_fork(data, ledger=ledger)
    return data


def decode_fork(data: bytes, *, ledger: bytes) -> Fork:
    """Read evidence: two well-formed objects of one kind, at one place, with different ids in order.

    Does not check the signatures: `check_fork` does.

    Raises:
        EvidenceMalformed: it is something else.
    """
    try:
        items = cbor.decode(data)
        if not isinstance(items, list) or len(items) != 3 or items[0] != TAG:
            raise EvidenceMalformed(f"evidence is [{TAG!r}, a, b]")
        if not isinstance(items[1], bytes) or not isinstance(items[2], bytes):
            raise EvidenceMalformed("evidence holds two byte strings")
        fork = read_fork(items[1], items[2], ledger=ledger)
    except Refused as error:
        raise EvidenceMalformed(f"evidence: {error}") from error
    if fork.a.raw != items[1]:
        raise EvidenceMalformed("the two are not in the order of their ids")
    return fork


def read_fork(a: bytes, b: bytes, *, ledger: bytes) -> Fork:
    """Read two originals, in any order, that are of one kind and one place and have different ids.

    The one rule of what a fork is; does not check the signatures: `check_fork` does.

    Raises:
        EvidenceMalformed: they are no fork. Others: as `check_form` and `decode_header`.
    """
    pair = (_read_signed(a), _read_signed(b))
    if type(pair[0]) is not type(pair[1]) or place_of(pair[0]) != place_of(pair[1]):
        raise EvidenceMalformed("the two are not of one place")
    first, second = sorted(pair, key=lambda signed: id_of(signed, ledger))
    if id_of(first, ledger) == id_of(second, ledger):
        raise EvidenceMalformed("the two are one and the same")
    return Fork(first, second)


def check_fork(fork: Fork, *, ledger: bytes, key_of: KeyOf) -> None:
    """Verify both signatures; each object names its own key, for a fork may span a rotation.

    Raises:
        KeyUnknown: as `key_of`.
        KeyMismatch, SignatureMalformed, SignatureInvalid: one of the two is not what its author signed.
    """
    for signed in fork:
        key = key_of(signed.iss, signed.sub, signed.kid)
        if isinstance(signed, Record):
            check_signature(signed, key)
        else:
            check_vertex_signature(signed, key, ledger)


def place_of(signed: Signed) -> tuple[tuple[str, ...], int, int]:
    """Where an object stands: whose stream or chain, epoch, sequence."""
    owner = stream_id(signed) if isinstance(signed, Record) else (signed.iss, signed.sub)
    return owner, signed.epoch, signed.seq


def id_of(signed: Signed, ledger: bytes) -> bytes:
    """The object's 32-byte id on a ledger."""
    return signed.id if isinstance(signed, Record) else vertex_id(signed, ledger)


def _read_signed(raw: bytes) -> Signed:
    # Only a record says what its payload is.
    _, labels = cose.read_sign1(raw)
    return check_form(raw) if cose.CONTENT_TYPE in labels else decode_header(raw)
