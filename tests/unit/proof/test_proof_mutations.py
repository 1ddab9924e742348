"""Nothing in a proof can be changed: every bit of every byte is covered, and every other spelling is refused."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proof_vectors import Vector, code_of, named, vectors

from drystone.errors import DrystoneError, Refused
from drystone.formats import cbor
from drystone.proof import completeness, trust, verify
from drystone.trees import ics23

GOOD = [v for v in vectors() if not v.error]
SMALL = [
    named("the same without a proved key"),
    named("two of three nodes and one of two witnesses"),
    named("a stretch without records", among="completeness"),
    named("an organisation", among="point"),
]


def label(vector: Vector) -> str:
    return f"{vector.suite}: {vector.name}"


def accepts(vector: Vector, parsed: trust.Trust, data: bytes, key: bytes | None) -> bool:
    """Whether a changed file verifies; anything but a refusal with a code is a failure of its own."""
    try:
        verdict = verify.verify_file(data, parsed, key_point=key)
    except Refused:
        return False
    # A proof of absence names its own key: another key that is absent too is another true statement.
    if vector.suite == "point" and vector.expect["value"] is None:
        return verdict.state is None or verdict.state.key.hex() == vector.expect["key"]
    return True


@pytest.mark.parametrize("vector", SMALL, ids=label)
def test_a_proof_with_any_one_bit_flipped_is_refused(vector: Vector) -> None:
    parsed = trust.parse_trust(vector.trust.encode())
    data = bytearray(vector.file)
    for at in range(len(data)):
        for bit in range(8):
            data[at] ^= 1 << bit
            assert not accepts(vector, parsed, bytes(data), None), (at, bit)
            data[at] ^= 1 << bit


@pytest.mark.parametrize("vector", GOOD, ids=label)
def test_a_proof_with_a_bit_flipped_in_any_byte_is_refused(vector: Vector) -> None:
    parsed = trust.parse_trust(vector.trust.encode())
    data = bytearray(vector.file)
    chosen = random.Random(1)
    for at in range(0, len(data), 1 + len(data) // 1200):
        bit = chosen.randrange(8)
        data[at] ^= 1 << bit
        assert not accepts(vector, parsed, bytes(data), vector.key), (at, bit)
        data[at] ^= 1 << bit


@pytest.mark.parametrize("vector", [v for v in GOOD if v.key], ids=label)
def test_a_key_point_with_a_bit_flipped_in_any_byte_is_refused(vector: Vector) -> None:
    parsed = trust.parse_trust(vector.trust.encode())
    key = bytearray(vector.key or b"")
    chosen = random.Random(2)
    for at in range(len(key)):
        bit = chosen.randrange(8)
        key[at] ^= 1 << bit
        assert not accepts(vector, parsed, vector.file, bytes(key)), (at, bit)
        key[at] ^= 1 << bit


@pytest.mark.parametrize("vector", GOOD, ids=label)
def test_a_proof_cut_anywhere_or_with_a_byte_more_is_refused(vector: Vector) -> None:
    parsed = trust.parse_trust(vector.trust.encode())
    for at in range(0, len(vector.file), 7):
        assert not accepts(vector, parsed, vector.file[:at], vector.key)
    assert not accepts(vector, parsed, vector.file + b"\x00", vector.key)


def respellings(data: bytes) -> Iterator[bytes]:
    """Yield `data` with one head, anywhere in it or in the CBOR that its byte strings hold, longer than it must be."""
    for at, end in heads(data, 0):
        first = data[at]
        argument = first & 31 if first & 31 < 24 else int.from_bytes(data[at + 1 : end])
        for low, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
            if width > end - at - 1 and argument < 1 << 8 * width:
                head = bytes((first & 0xE0 | low,)) + argument.to_bytes(width)
                yield data[:at] + head + data[end:]
        if first >> 5 in (2, 3, 4, 5):
            yield data[:at] + bytes((first | 31,)) + data[end:]


def heads(data: bytes, at: int) -> list[tuple[int, int]]:
    """Offsets of every head of the item at `at`, itself first."""
    found: list[tuple[int, int]] = []
    todo = [at]
    while todo:
        start = todo.pop()
        first = data[start]
        low = first & 31
        end = start + 1 + (0 if low < 24 else 1 << (low - 24))
        found.append((start, end))
        major = first >> 5
        argument = low if low < 24 else int.from_bytes(data[start + 1 : end])
        children = {4: argument, 5: 2 * argument, 6: 1}.get(major, 0)
        for _ in range(children):
            todo.append(end)
            end = cbor.item_end(data, end)
    return sorted(found)


@pytest.mark.parametrize("vector", GOOD, ids=label)
def test_every_other_spelling_of_a_proof_is_refused(vector: Vector) -> None:
    parsed = trust.parse_trust(vector.trust.encode())
    for other in respellings(vector.file):
        assert not accepts(vector, parsed, other, vector.key)


def nested(data: bytes) -> Iterator[bytes]:
    """Yield every byte string inside `data` that is CBOR itself."""
    for at, _ in heads(data, 0):
        if data[at] >> 5 == 2:
            value, _ = cbor.decode_prefix(data, at)
            assert isinstance(value, bytes)
            try:
                cbor.decode(value)
            except DrystoneError:
                continue
            yield value
            yield from nested(value)


@pytest.mark.parametrize("vector", GOOD, ids=label)
def test_every_other_spelling_inside_a_byte_string_is_refused(vector: Vector) -> None:
    """The wrapping byte string is spelled again around the longer item, so only the inner rule can refuse."""
    parsed = trust.parse_trust(vector.trust.encode())
    for inner in list(nested(vector.file)):
        for other in respellings(inner):
            old = cbor.encode(inner)
            changed = vector.file.replace(old, cbor.encode(other), 1)
            assert not accepts(vector, parsed, changed, vector.key)


def test_an_absent_key_must_be_the_one_that_is_asked_for() -> None:
    vector = named("no organisation iwb", among="point")
    parsed = trust.parse_trust(vector.trust.encode())
    wanted = bytes.fromhex(vector.expect["key"])
    assert verify.verify_state_value(vector.file, parsed, key=wanted).state is not None
    with pytest.raises(Refused):
        verify.verify_state_value(vector.file, parsed, key=wanted + b"x")
    point = completeness.decode_point(vector.file)
    assert ics23.decode(point.ics23).key == wanted


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300), start=st.sampled_from([b"", b"\xd2\x84", b"\x84", b"\x86"]))
def test_random_bytes_are_refused_with_a_code(data: bytes, start: bytes) -> None:
    parsed = trust.parse_trust(SMALL[0].trust.encode())
    with pytest.raises(Refused):
        verify.verify_file(start + data, parsed)


@settings(max_examples=500, deadline=None)
@given(
    which=st.integers(0, len(GOOD) - 1),
    at=st.integers(0, 5000),
    cut=st.integers(0, 40),
    put=st.binary(max_size=40),
)
def test_a_proof_with_a_piece_replaced_is_refused_with_a_code(
    which: int, at: int, cut: int, put: bytes
) -> None:
    vector = GOOD[which]
    at %= len(vector.file)
    changed = vector.file[:at] + put + vector.file[at + cut :]
    if changed != vector.file:
        parsed = trust.parse_trust(vector.trust.encode())
        assert not accepts(vector, parsed, changed, vector.key)


@settings(max_examples=300, deadline=None)
@given(
    at=st.integers(0, 2000),
    cut=st.integers(0, 10),
    put=st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
)
def test_a_trust_file_with_a_piece_replaced_is_read_or_refused_with_a_code(
    at: int, cut: int, put: str
) -> None:
    text = SMALL[1].trust
    at %= len(text)
    changed = (text[:at] + put + text[at + cut :]).encode()
    assert code_of(lambda: trust.parse_trust(changed)) in (None, "trust-malformed")
