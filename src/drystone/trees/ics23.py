"""Proofs of the state map as ICS-23 `CommitmentProof` messages with `SmtSpec`: encode, decode
strictly, verify.

Whoever holds a state root (from a block entry) checks here, offline, that a key has a value or that
no such key exists. The protobuf is written by hand, so that this module needs nothing but the
standard library: it ships in the single-file verifier. It knows nothing of how the tree is kept.

Source: cosmos/ics23 `proofs.proto` and `SmtSpec`: leaf SHA-256(0x00 | H(key) | H(value)), inner
SHA-256(0x01 | left | right), empty child 32 zeros, keys compared by hash. A key's hash, read from
its highest bit, is its way from the root (0 left, 1 right); a subtree of one leaf is that leaf.
Stricter than ICS-23: only the bytes that `encode` writes are read, a path goes exactly the way of
its key and has at most `limits.STATE_DEPTH_MAX` levels, a message with both or no kind of proof,
batches and compressed batches are refused.
"""

from hashlib import sha256
from typing import Final, NamedTuple

from drystone.errors import InvariantBroken, ProofInvalid
from drystone.limits import (
    STATE_DEPTH_MAX,
    STATE_KEY_BYTES_MAX,
    STATE_PROOF_BYTES_MAX,
    STATE_VALUE_BYTES_MAX,
)

HASH_BYTES: Final = 32
EMPTY_CHILD: Final = bytes(HASH_BYTES)
"""Hash of a subtree without leaves; also the root of the empty map."""

_LEAF_OP: Final = bytes.fromhex("0801 1001 1801 2a0100")
"""LeafOp: hash, prehash_key and prehash_value SHA-256, length NO_PREFIX (0: left out), prefix
0x00."""

_LEFT_OP: Final = bytes.fromhex("0801 120101 1a20")
"""InnerOp of a left child, up to its suffix: the right sibling."""

_RIGHT_OP: Final = bytes.fromhex("0801 122101")
"""InnerOp of a right child, up to the rest of its prefix: the left sibling."""


class Presence(NamedTuple):
    """A leaf and its siblings from the leaf up to the root; each sibling's side follows from the
    key's hash.
    """

    key: bytes
    value: bytes
    siblings: tuple[bytes, ...]


class Absence(NamedTuple):
    """A key that is not there, and the leaves nearest to the left and right of where it would be
    (one may lack).
    """

    key: bytes
    left: Presence | None
    right: Presence | None


def leaf_hash(key_hash: bytes, value_hash: bytes) -> bytes:
    """Hash a leaf from the SHA-256 of its key and of its value."""
    return sha256(b"\x00" + key_hash + value_hash).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node from its children; a child without leaves is `EMPTY_CHILD`."""
    return sha256(b"\x01" + left + right).digest()


def encode(proof: Presence | Absence) -> bytes:
    """Write a proof as a protobuf `CommitmentProof`, in the one spelling that `decode` reads.

    Raises InvariantBroken for what is no proof: an empty key or value, no neighbour, too many
    levels.
    """
    parts = (proof,) if isinstance(proof, Presence) else (proof.left, proof.right)
    leaves = [part for part in parts if part is not None]
    if not proof.key or not leaves:
        raise InvariantBroken("a proof needs a key and a leaf")
    for leaf in leaves:
        if not leaf.key or not leaf.value or len(leaf.siblings) > STATE_DEPTH_MAX:
            raise InvariantBroken("a leaf needs a key, a value and a bounded path")
    if isinstance(proof, Presence):
        return _field(1, _encode_leaf(proof))
    body = _field(1, proof.key)
    if proof.left is not None:
        body += _field(2, _encode_leaf(proof.left))
    if proof.right is not None:
        body += _field(3, _encode_leaf(proof.right))
    return _field(2, body)


def decode(data: bytes) -> Presence | Absence:
    """Read a `CommitmentProof`; accepts only the bytes that `encode` writes.

    Checks form and bounds, no hash. The comparison at its end is what makes it strict; the checks
    before it bound the work and say what is wrong. Raises ProofInvalid.
    """
    if len(data) > STATE_PROOF_BYTES_MAX:
        raise ProofInvalid(f"a state proof of {len(data)} bytes")
    number, body, end = _read_field(data, 0)
    if end != len(data) or number not in (1, 2):
        raise ProofInvalid("the state proof is not one proof of presence or absence")
    proof = _decode_leaf(body) if number == 1 else _decode_absence(body)
    if encode(proof) != data:
        raise ProofInvalid("the state proof has another spelling than the one it must have")
    return proof


def root_of(presence: Presence) -> bytes:
    """Return the root that a leaf and its siblings lead to. Checks nothing: compare it with a root
    you trust.
    """
    key_hash = sha256(presence.key).digest()
    way = int.from_bytes(key_hash, "big") >> (256 - len(presence.siblings))
    hash_ = leaf_hash(key_hash, sha256(presence.value).digest())
    for sibling in presence.siblings:
        hash_ = inner_hash(sibling, hash_) if way & 1 else inner_hash(hash_, sibling)
        way >>= 1
    return hash_


def verify_presence(root: bytes, key: bytes, value: bytes, proof: bytes) -> None:
    """Check that the map under `root` holds `value` at `key`.

    Does not check who vouches for `root`. Raises ProofInvalid.
    """
    presence = decode(proof)
    if not isinstance(presence, Presence):
        raise ProofInvalid("a proof of absence does not prove a value")
    if presence.key != key or presence.value != value:
        raise ProofInvalid("the state proof is about another key or value")
    _check_leads_to(root, presence)


def verify_absence(root: bytes, key: bytes, proof: bytes) -> None:
    """Check that the map under `root` holds nothing at `key`.

    Both neighbours lie under `root`, `key` lies between them, and between them are only empty
    children; where one neighbour lacks, only empty children lie beyond the other. Does not check
    who vouches for `root`.

    Raises ProofInvalid.
    """
    absence = decode(proof)
    if not isinstance(absence, Absence):
        raise ProofInvalid("a proof of presence does not prove absence")
    if absence.key != key:
        raise ProofInvalid("the state proof is about another key")
    way = sha256(key).digest()
    left, right = absence.left, absence.right
    shared = 0
    if left is not None:
        _check_leads_to(root, left)
        if sha256(left.key).digest() >= way:
            raise ProofInvalid("the left neighbour is not left of the key")
    if right is not None:
        _check_leads_to(root, right)
        if way >= sha256(right.key).digest():
            raise ProofInvalid("the right neighbour is not right of the key")
    if left is not None and right is not None:
        shared = _shared_bits(left.key, right.key) + 1
    if left is not None:
        _check_outermost(left, below=shared, side=1)
    if right is not None:
        _check_outermost(right, below=shared, side=0)


def _check_leads_to(root: bytes, presence: Presence) -> None:
    if root_of(presence) != root:
        raise ProofInvalid("the state proof leads to another root")


def _check_outermost(presence: Presence, *, below: int, side: int) -> None:
    """Check that nothing lies on `side` (1 right, 0 left) of the leaf within the subtree `below`
    levels under the root.
    """
    depth = len(presence.siblings)
    way = int.from_bytes(sha256(presence.key).digest(), "big") >> (256 - depth)
    for height in range(depth - below):
        turn = way >> height & 1
        if turn != side and presence.siblings[height] != EMPTY_CHILD:
            raise ProofInvalid("another key lies between the neighbours")


def _shared_bits(left: bytes, right: bytes) -> int:
    """Return how many leading bits the hashes of two keys share."""
    first = int.from_bytes(sha256(left).digest(), "big")
    second = int.from_bytes(sha256(right).digest(), "big")
    return 256 - (first ^ second).bit_length()


def _encode_leaf(presence: Presence) -> bytes:
    way = int.from_bytes(sha256(presence.key).digest(), "big") >> (256 - len(presence.siblings))
    parts = [_field(1, presence.key), _field(2, presence.value), _field(3, _LEAF_OP)]
    for height, sibling in enumerate(presence.siblings):
        parts.append(_field(4, (_RIGHT_OP if way >> height & 1 else _LEFT_OP) + sibling))
    return b"".join(parts)


def _decode_leaf(data: bytes) -> Presence:
    fields: list[bytes] = []
    siblings: list[bytes] = []
    start = 0
    while start < len(data):
        number, body, start = _read_field(data, start)
        if number == 4 and len(fields) == 3 and len(siblings) < STATE_DEPTH_MAX:
            siblings.append(body[-HASH_BYTES:])
        elif number == len(fields) + 1 and len(fields) < 3:
            fields.append(body)
        else:
            raise ProofInvalid("a leaf's fields are not key, value, leaf, bounded path")
    if len(fields) != 3:
        raise ProofInvalid("a leaf lacks a field")
    key, value, _ = fields
    if not 1 <= len(key) <= STATE_KEY_BYTES_MAX or not 1 <= len(value) <= STATE_VALUE_BYTES_MAX:
        raise ProofInvalid("a leaf's key or value is empty or too long")
    return Presence(key, value, tuple(siblings))


def _decode_absence(data: bytes) -> Absence:
    key = b""
    neighbours: dict[int, Presence] = {}
    start = last = 0
    while start < len(data):
        number, body, start = _read_field(data, start)
        if not last < number <= 3:
            raise ProofInvalid(
                "a proof of absence has fields beside key, left, right in that order"
            )
        last = number
        if number == 1:
            key = body
        else:
            neighbours[number] = _decode_leaf(body)
    if not 1 <= len(key) <= STATE_KEY_BYTES_MAX or not neighbours:
        raise ProofInvalid("a proof of absence needs a key and a neighbour")
    return Absence(key, neighbours.get(2), neighbours.get(3))


def _field(number: int, body: bytes) -> bytes:
    """Write one length-delimited protobuf field."""
    head = bytearray((number << 3 | 2,))
    length = len(body)
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + body


def _read_field(data: bytes, start: int) -> tuple[int, bytes, int]:
    """Read a length-delimited field with a number below 16: its number, its body and where it
    ends.
    """
    if start >= len(data) or data[start] & 0x87 != 2:
        raise ProofInvalid("the state proof is not made of length-delimited fields")
    number, at, length, shift = data[start] >> 3, start + 1, 0, 0
    while True:
        if at >= len(data) or shift > 14:
            raise ProofInvalid("a length in the state proof is cut off or too long")
        length |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            break
    if at + length > len(data):
        raise ProofInvalid("a field of the state proof is cut off")
    return number, data[at : at + length], at + length
