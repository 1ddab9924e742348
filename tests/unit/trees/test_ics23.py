"""ICS-23 proofs: one spelling, every mutation refused, and the ways in which a proof could lie."""

import subprocess
import sys
from functools import partial
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.errors import InvariantBroken, ProofInvalid
from drystone.limits import STATE_KEY_BYTES_MAX, STATE_PROOF_BYTES_MAX, STATE_VALUE_BYTES_MAX
from drystone.trees import ics23
from drystone.trees.ics23 import EMPTY_CHILD, Absence, Presence
from drystone.trees.state import StateTree, absence_proof, existence_proof

PAIRS = {b"key %d" % number: b"value %d" % number for number in range(60)}
BY_HASH = {sha256(key).digest(): (key, value) for key, value in PAIRS.items()}
TREE = StateTree.build(
    (sha256(key).digest(), sha256(value).digest()) for key, value in PAIRS.items()
)
KEY, VALUE = b"key 7", b"value 7"
PRESENCE = existence_proof(TREE, KEY, VALUE)


def near(key: bytes) -> list[tuple[bytes, bytes] | None]:
    return [BY_HASH[h] if h else None for h in TREE.neighbours(sha256(key).digest())]


def absent(key: bytes) -> bytes:
    left, right = near(key)
    return absence_proof(TREE, key, left=left, right=right)


def leaf(key: bytes) -> Presence:
    return Presence(key, PAIRS[key], TREE.path(key))


ABSENT = b"absent 1"
ABSENCE = absent(ABSENT)
RANKED = [BY_HASH[key_hash][0] for key_hash in sorted(BY_HASH)]


def between(rank: int) -> bytes:
    """An absent key whose hash lies right after the key of this rank (-1: left of all)."""
    hashes = sorted(BY_HASH)
    low = hashes[rank] if rank >= 0 else b""
    high = hashes[rank + 1] if rank + 1 < len(hashes) else b"\xff" * 33
    for number in range(1_000_000):
        key = b"try %d" % number
        if low < sha256(key).digest() < high:
            return key
    raise AssertionError


def refused(key: bytes, proof: bytes, value: bytes | None = None, root: bytes = TREE.root) -> None:
    verify = partial(ics23.verify_absence, root, key, proof)
    if value is not None:
        verify = partial(ics23.verify_presence, root, key, value, proof)
    with pytest.raises(ProofInvalid):
        verify()


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def test_a_proof_is_written_as_the_protobuf_of_the_standard() -> None:
    sibling = bytes(range(32))
    key, value = b"a", b"b"  # SHA-256 of "a" starts with the bit 1: it is a right child.
    spelled = field(1, field(1, key) + field(2, value) + field(3, LEAF_OP) + field(4, RIGHT_OP))
    assert ics23.encode(Presence(key, value, (sibling,))) == spelled
    absence = field(2, field(1, b"k") + field(2, LEFT_LEAF))
    assert ics23.encode(Absence(b"k", Presence(b"\x00", b"b", (sibling,)), None)) == absence


LEAF_OP = bytes.fromhex("080110011801") + field(5, b"\x00")
RIGHT_OP = bytes.fromhex("0801") + field(2, b"\x01" + bytes(range(32)))
LEFT_OP = bytes.fromhex("0801") + field(2, b"\x01") + field(3, bytes(range(32)))
LEFT_LEAF = field(1, b"\x00") + field(2, b"b") + field(3, LEAF_OP) + field(4, LEFT_OP)


def test_decoding_gives_what_was_encoded() -> None:
    assert ics23.decode(PRESENCE) == leaf(KEY)
    decoded = ics23.decode(ABSENCE)
    assert isinstance(decoded, Absence)
    assert decoded.key == ABSENT
    assert ics23.encode(decoded) == ABSENCE


def test_verifying_needs_nothing_but_the_standard_library() -> None:
    program = (
        "import sys; from drystone.trees import ics23; names = {n.split('.')[0] for n in sys.modules}\n"
        "print(sorted(names & {'numpy', 'google', 'betterproto', 'cryptography', 'nacl'}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("proof", [PRESENCE, ABSENCE], ids=["presence", "absence"])
def test_every_flipped_bit_of_a_proof_is_refused(proof: bytes) -> None:
    for at in range(len(proof)):
        for bit in range(8):
            mutated = proof[:at] + bytes([proof[at] ^ 1 << bit]) + proof[at + 1 :]
            refused(KEY, mutated, VALUE)
            refused(ABSENT, mutated)


@pytest.mark.parametrize("proof", [PRESENCE, ABSENCE], ids=["presence", "absence"])
def test_every_truncation_and_extension_of_a_proof_is_refused(proof: bytes) -> None:
    for length in range(len(proof)):
        refused(KEY, proof[:length], VALUE)
        refused(ABSENT, proof[:length])
    for more in (b"\x00", b"\x0a\x00", proof, field(3, b""), field(9, b"x")):
        refused(KEY, proof + more, VALUE)
        refused(ABSENT, proof + more)


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_are_refused_with_a_typed_error(data: bytes) -> None:
    for proof in (data, field(1, data), field(2, data), field(2, field(2, data))):
        refused(KEY, proof, VALUE)
        refused(ABSENT, proof)


@settings(max_examples=200)
@given(st.data())
def test_any_splice_of_two_proofs_is_refused_or_is_one_of_them(data: st.DataObject) -> None:
    one, other = data.draw(st.permutations([PRESENCE, ABSENCE, existence_proof(TREE, *item(3))]))[
        :2
    ]
    cut, rest = data.draw(st.integers(0, len(one))), data.draw(st.integers(0, len(other)))
    spliced = one[:cut] + other[rest:]
    if spliced not in (PRESENCE, ABSENCE):
        refused(KEY, spliced, VALUE)
        refused(ABSENT, spliced)


def item(number: int) -> tuple[bytes, bytes]:
    return list(PAIRS.items())[number]


def test_a_proof_for_another_key_value_or_root_is_refused() -> None:
    refused(b"key 8", PRESENCE, VALUE)
    refused(KEY, PRESENCE, b"value 8")
    refused(KEY, PRESENCE, VALUE, root=bytes(32))
    refused(b"absent 2", ABSENCE)
    refused(ABSENT, ABSENCE, root=bytes(32))


def test_presence_does_not_prove_absence_nor_the_reverse() -> None:
    refused(KEY, PRESENCE)
    refused(ABSENT, ABSENCE, VALUE)
    refused(KEY, absence_of(KEY, RANKED[3], RANKED[4]))


def absence_of(key: bytes, left: bytes | None, right: bytes | None) -> bytes:
    return ics23.encode(
        Absence(key, None if left is None else leaf(left), None if right is None else leaf(right))
    )


def test_absence_holds_between_every_two_neighbours_and_at_both_edges() -> None:
    for rank in range(-1, len(RANKED)):
        key = between(rank)
        left = RANKED[rank] if rank >= 0 else None
        right = RANKED[rank + 1] if rank + 1 < len(RANKED) else None
        ics23.verify_absence(TREE.root, key, absence_of(key, left, right))


def test_absence_is_refused_where_another_key_lies_between() -> None:
    for rank in range(1, len(RANKED) - 2):
        key = between(rank)
        refused(key, absence_of(key, RANKED[rank - 1], RANKED[rank + 1]))
        refused(key, absence_of(key, RANKED[rank], RANKED[rank + 2]))


def test_absence_is_refused_with_one_neighbour_where_there_are_two() -> None:
    for rank in range(len(RANKED) - 1):
        key = between(rank)
        refused(key, absence_of(key, RANKED[rank], None))
        refused(key, absence_of(key, None, RANKED[rank + 1]))


def test_absence_is_refused_when_the_key_does_not_lie_between_its_neighbours() -> None:
    for rank in range(1, len(RANKED) - 2):
        key = between(rank)
        refused(key, absence_of(key, RANKED[rank + 1], RANKED[rank + 2]))
        refused(key, absence_of(key, RANKED[rank - 1], RANKED[rank]))
        refused(key, absence_of(key, RANKED[rank + 1], RANKED[rank]))
        refused(key, absence_of(key, RANKED[rank], RANKED[rank]))
    for rank in (0, 30):
        refused(RANKED[rank], absence_of(RANKED[rank], RANKED[rank], RANKED[rank + 1]))
        refused(RANKED[rank + 1], absence_of(RANKED[rank + 1], RANKED[rank], RANKED[rank + 1]))


def test_absence_at_an_edge_is_refused_from_a_key_that_is_not_the_outermost() -> None:
    first, last = between(-1), between(len(RANKED) - 1)
    refused(first, absence_of(first, None, RANKED[1]))
    refused(last, absence_of(last, RANKED[-2], None))


def test_empty_children_count_as_nothing_between() -> None:
    """Three keys, two of them behind empty children: absence on each side of the pair holds."""
    pairs = {b"%d" % number: b"v" for number in range(3)}
    tree = StateTree.build((sha256(k).digest(), sha256(v).digest()) for k, v in pairs.items())
    by_hash = {sha256(k).digest(): (k, v) for k, v in pairs.items()}
    assert any(EMPTY_CHILD in tree.path(key) for key in pairs)
    for number in range(3, 200):
        key = b"%d" % number
        left, right = tree.neighbours(sha256(key).digest())
        proof = absence_proof(
            tree,
            key,
            left=None if left is None else by_hash[left],
            right=None if right is None else by_hash[right],
        )
        ics23.verify_absence(tree.root, key, proof)


FIELDS = (field(1, KEY), field(2, VALUE), field(3, LEAF_OP))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        FIELDS[0],
        FIELDS[0] + FIELDS[1],
        FIELDS[1] + FIELDS[0] + FIELDS[2],
        FIELDS[0] + FIELDS[1] + FIELDS[2] + FIELDS[2],
        FIELDS[0] + FIELDS[0] + FIELDS[1] + FIELDS[2],
        field(1, b"") + FIELDS[1] + FIELDS[2],
        FIELDS[0] + field(2, b"") + FIELDS[2],
        field(1, bytes(STATE_KEY_BYTES_MAX + 1)) + FIELDS[1] + FIELDS[2],
        FIELDS[0] + field(2, bytes(STATE_VALUE_BYTES_MAX + 1)) + FIELDS[2],
        FIELDS[0] + FIELDS[1] + field(3, b""),
        FIELDS[0] + FIELDS[1] + field(3, bytes.fromhex("0801100118012000") + field(5, b"\x00")),
        FIELDS[0] + FIELDS[1] + field(3, bytes.fromhex("080110011802") + field(5, b"\x00")),
        FIELDS[0] + FIELDS[1] + field(3, bytes.fromhex("080110011801") + field(5, b"\x01")),
        b"".join(FIELDS) + field(4, b""),
        b"".join(FIELDS) + field(4, LEFT_OP) * 129,
        b"".join(FIELDS) + field(4, b"\x08\x01" + field(2, b"\x01\x01") + field(3, bytes(32))),
        b"".join(FIELDS) + field(4, b"\x08\x01" + field(2, b"\x01") + field(3, bytes(64))),
        b"".join(FIELDS) + field(4, b"\x08\x02" + field(2, b"\x01") + field(3, bytes(32))),
        b"".join(FIELDS) + field(4, b"\x08\x01" + field(2, b"\x01" + bytes(32)) + field(3, b"")),
        b"".join(FIELDS) + field(5, b""),
        b"\x0a\x85\x00" + KEY + FIELDS[1] + FIELDS[2],
        b"\x8a\x00\x05" + KEY + FIELDS[1] + FIELDS[2],
        b"\x08\x01" + b"".join(FIELDS),
    ],
)
def test_a_leaf_in_any_other_form_is_refused(body: bytes) -> None:
    with pytest.raises(ProofInvalid):
        ics23.decode(field(1, body))
    with pytest.raises(ProofInvalid):
        ics23.decode(field(2, field(1, b"k") + field(2, body)))


GOOD_LEAF = b"".join(FIELDS)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        field(1, b"k"),
        field(2, GOOD_LEAF),
        field(1, b"") + field(2, GOOD_LEAF),
        field(2, GOOD_LEAF) + field(1, b"k"),
        field(1, b"k") + field(3, GOOD_LEAF) + field(2, GOOD_LEAF),
        field(1, b"k") + field(2, GOOD_LEAF) * 2,
        field(1, b"k") * 2 + field(2, GOOD_LEAF),
        field(1, b"k") + field(2, GOOD_LEAF) + field(4, b""),
        field(1, bytes(STATE_KEY_BYTES_MAX + 1)) + field(2, GOOD_LEAF),
    ],
)
def test_an_absence_in_any_other_form_is_refused(body: bytes) -> None:
    with pytest.raises(ProofInvalid):
        ics23.decode(field(2, body))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x0a",
        b"\x0a\x80",
        b"\x0a\x80\x80\x80\x80\x00",
        b"\x0a\xff\xff\x7f",
        field(3, GOOD_LEAF),
        field(4, GOOD_LEAF),
        field(0, GOOD_LEAF),
        field(1, GOOD_LEAF) + field(1, GOOD_LEAF),
        bytes(STATE_PROOF_BYTES_MAX + 1),
    ],
)
def test_what_is_not_one_presence_or_absence_is_refused(data: bytes) -> None:
    with pytest.raises(ProofInvalid):
        ics23.decode(data)


def test_the_largest_proof_fits_its_limit() -> None:
    siblings = (bytes(32),) * 128
    side = Presence(bytes(STATE_KEY_BYTES_MAX), bytes(STATE_VALUE_BYTES_MAX), siblings)
    data = ics23.encode(Absence(bytes(STATE_KEY_BYTES_MAX), side, side))
    assert len(data) <= STATE_PROOF_BYTES_MAX
    assert ics23.decode(data) == Absence(bytes(STATE_KEY_BYTES_MAX), side, side)


@pytest.mark.parametrize(
    "proof",
    [
        Presence(b"", b"v", ()),
        Presence(b"k", b"", ()),
        Presence(b"k", b"v", (bytes(32),) * 129),
        Absence(b"", Presence(b"k", b"v", ()), None),
        Absence(b"k", None, None),
        Absence(b"k", None, Presence(b"k", b"", ())),
        Absence(b"k", Presence(b"", b"v", ()), None),
        Absence(b"k", Presence(b"k", b"v", (bytes(32),) * 129), None),
    ],
)
def test_what_is_no_proof_is_not_written(proof: Presence | Absence) -> None:
    with pytest.raises(InvariantBroken):
        ics23.encode(proof)


@pytest.mark.parametrize("length", [1, 126, 127, 128, 129, 16_383, 16_384, STATE_VALUE_BYTES_MAX])
def test_lengths_are_spelled_as_protobuf_spells_them(length: int) -> None:
    value = bytes(length)
    spelled = field(1, field(1, b"k") + field(2, value) + field(3, LEAF_OP))
    assert ics23.encode(Presence(b"k", value, ())) == spelled
    assert ics23.decode(spelled) == Presence(b"k", value, ())
