"""Sync messages: one spelling each, bounded before anything is built, and never an error that is not typed."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone import limits
from drystone.errors import MessageMalformed
from drystone.formats import cbor
from drystone.gateway.sync.messages import Blocks, Body, Fork, Frontier, Heads, Ping, Point
from drystone.gateway.sync.wire import (
    Frames,
    check_items,
    decode_message,
    encode_message,
    frame,
    heads_digest,
    type_of,
)
from drystone.records.dag import Author

SUITE: dict[str, Any] = json.loads(
    (Path(__file__).parents[4] / "vectors" / "sync.json").read_text()
)
MESSAGES = [bytes.fromhex(one["message"]) for one in SUITE["valid"]]


def named(part: str) -> list[Any]:
    return [pytest.param(one, id=one["name"]) for one in SUITE[part]]


def plain(value: Any) -> object:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value


@pytest.mark.parametrize("vector", named("valid"))
def test_a_message_of_a_foreign_encoder_is_read_and_written_the_same(
    vector: dict[str, Any],
) -> None:
    data = bytes.fromhex(vector["message"])
    message = decode_message(data)
    assert encode_message(message) == data
    assert plain(cbor.decode(data)) == vector["items"]
    assert type_of(data) is type(message)


@pytest.mark.parametrize("vector", named("invalid"))
def test_what_is_no_message_is_refused_with_its_code(vector: dict[str, Any]) -> None:
    with pytest.raises(MessageMalformed) as error:
        decode_message(bytes.fromhex(vector["message"]))
    assert error.value.code == vector["error"]


def test_every_type_has_a_vector() -> None:
    numbers = {one["items"][0] for one in SUITE["valid"]}
    assert numbers == set(range(18))
    assert len(SUITE["invalid"]) > len(SUITE["valid"])


def test_an_ordered_block_knows_height_and_time_from_its_entry() -> None:
    message = decode_message(next(m for m in MESSAGES if m[1] == 9))
    assert isinstance(message, Blocks)
    assert (message.blocks[0].height, message.blocks[0].time_ms) == (7, 1_762_340_400_000)


# --- fuzz ------------------------------------------------------------------------------------------


def read(data: bytes) -> None:
    """Either a message that encodes to the same bytes, or a typed refusal; nothing else."""
    try:
        message = decode_message(data)
    except MessageMalformed:
        return
    assert encode_message(message) == data


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read(data)
    type_of(data)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(MESSAGES), st.data())
def test_any_message_with_changed_bytes_is_read_or_refused(
    message: bytes, data: st.DataObject
) -> None:
    changed = bytearray(message)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed)))
        kind = data.draw(st.sampled_from(["set", "insert", "cut"]))
        byte = data.draw(st.integers(0, 255))
        if kind == "set" and at < len(changed):
            changed[at] = byte
        elif kind == "insert":
            changed.insert(at, byte)
        else:
            del changed[at : at + 1 + byte % 8]
        if not changed:
            break
    read(bytes(changed))


_leaf = st.one_of(
    st.integers(-(2**64), 2**64 - 1), st.binary(max_size=40), st.text(max_size=10),
    st.booleans(), st.none(),
)  # fmt: skip
_tree = st.recursive(_leaf, lambda inner: st.lists(inner, max_size=8), max_leaves=30)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 18), st.lists(_tree, max_size=12))
def test_any_items_behind_a_type_are_read_or_refused(number: int, items: list[Any]) -> None:
    read(cbor.encode([number, *items]))


# --- bounds ----------------------------------------------------------------------------------------


def test_items_are_counted_without_building_them() -> None:
    few = cbor.encode([b""] * (limits.SYNC_MESSAGE_ITEMS_MAX - 1))
    check_items(few)
    with pytest.raises(MessageMalformed, match="items"):
        check_items(cbor.encode([b""] * limits.SYNC_MESSAGE_ITEMS_MAX))
    with pytest.raises(MessageMalformed, match="items"):
        check_items(b"\x81" * (limits.SYNC_MESSAGE_ITEMS_MAX + 1))
    check_items(cbor.encode(bytes(limits.SYNC_MESSAGE_BYTES_MAX - 5)))
    with pytest.raises(MessageMalformed, match="bytes"):
        check_items(bytes(limits.SYNC_MESSAGE_BYTES_MAX + 1))


@pytest.mark.parametrize("width", [24, 25, 26, 27])
def test_long_strings_are_leapt_over_whatever_their_head(width: int) -> None:
    size = {24: 200, 25: 60_000, 26: 90_000, 27: 90_000}[width]
    head = bytes([2 << 5 | width]) + size.to_bytes(1 << (width - 24))
    check_items(b"\x82" + head + bytes(size) + b"\x58" + bytes(limits.SYNC_MESSAGE_ITEMS_MAX // 2))


def test_evidence_longer_than_any_is_refused() -> None:
    decode_message(encode_message(Fork(bytes(limits.FORK_BYTES_MAX))))
    with pytest.raises(MessageMalformed):
        decode_message(encode_message(Fork(bytes(limits.FORK_BYTES_MAX + 1))))


def test_the_largest_frontier_page_is_a_message() -> None:
    names = [f"g-{number:045}" for number in range(limits.SYNC_FRONTIER_AUTHORS_MAX)]
    points = tuple(Point(0, seq, bytes(32)) for seq in range(limits.SYNC_BRANCHES_MAX))
    heads = tuple(Heads(Author("o" * 48, name), points) for name in names)
    data = encode_message(Frontier(heads, ()))
    assert len(data) <= limits.SYNC_MESSAGE_BYTES_MAX
    assert decode_message(data) == Frontier(heads, ())


def test_a_whole_message_of_parts_may_be_longer() -> None:
    data = encode_message(Body(bytes(32), 0, limits.PACKED_BYTES_MAX, bytes(1_052_000)))
    with pytest.raises(MessageMalformed):
        decode_message(data)
    decode_message(data, whole=True)


def test_the_digest_of_a_frontier_does_not_depend_on_the_order_of_telling() -> None:
    one = Heads(Author("ewz", "a"), (Point(0, 1, bytes(32)),))
    two = Heads(Author("ewz", "b"), (Point(0, 1, bytes(32)),))
    assert heads_digest([one, two]) == heads_digest([two, one])
    assert heads_digest([one]) != heads_digest([two])


# --- frames ----------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(MESSAGES), max_size=6), st.lists(st.integers(1, 50), max_size=40))
def test_frames_come_out_of_any_pieces_as_they_went_in(
    messages: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(map(frame, messages))
    frames, found, at = Frames(), list[bytes](), 0
    for cut in cuts:
        found += frames.feed(stream[at : at + cut])
        at += cut
    found += frames.feed(stream[at:])
    assert found == messages
    assert frames.held == 0


def test_half_a_message_is_held_and_no_more() -> None:
    frames = Frames()
    data = frame(encode_message(Ping(bytes(8), 0)))
    assert frames.feed(data[:-1]) == []
    assert frames.held == len(data) - 1
    assert len(frames.feed(data[-1:])) == 1


@pytest.mark.parametrize("length", [0, limits.SYNC_MESSAGE_BYTES_MAX + 1, 2**32 - 1])
def test_a_length_that_no_message_has_ends_the_stream(length: int) -> None:
    with pytest.raises(MessageMalformed, match="bytes"):
        Frames().feed(length.to_bytes(4))
