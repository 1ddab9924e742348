"""The blobs of a block that was not flushed yet: one spelling back, no other one taken."""

import pytest

from drystone.errors import DatabaseCorrupt
from drystone.storage import recent
from drystone.storage.recent import BlockPostings, Unflushed

NONE = BlockPostings([], [], [])
WRITES: dict[bytes, bytes | None] = {b"a": b"1", b"bb": None, b"ccc": b"", b"d": b"x" * 70_000}


@pytest.mark.parametrize("writes", [{}, WRITES, {b"k": None}])
def test_changes_come_back_in_order(writes: dict[bytes, bytes | None]) -> None:
    back = recent.decode_changes(recent.encode_changes(writes))
    assert list(back.items()) == list(writes.items())


def test_postings_come_back_in_order() -> None:
    postings = BlockPostings([b"bb", b"a", b"bb"], [0, 2**32 - 1, 0], [0, 2**53 - 1, 1])
    assert recent.decode_postings(recent.encode_postings(postings, WRITES), WRITES) == postings
    assert recent.decode_postings(recent.encode_postings(NONE, WRITES), WRITES) == NONE


@pytest.mark.parametrize("cut", [0, 3, 5, 19, -1])
def test_cut_off_blobs_are_corrupt(cut: int) -> None:
    with pytest.raises(DatabaseCorrupt):
        recent.decode_changes(recent.encode_changes(WRITES)[:cut])
    with pytest.raises(DatabaseCorrupt):
        recent.decode_postings(
            recent.encode_postings(BlockPostings([b"a"], [1], [2]), WRITES)[:cut], WRITES
        )


def test_blobs_with_more_behind_them_are_corrupt() -> None:
    with pytest.raises(DatabaseCorrupt):
        recent.decode_changes(recent.encode_changes(WRITES) + b"\x00")
    with pytest.raises(DatabaseCorrupt):
        recent.decode_postings(recent.encode_postings(NONE, WRITES) + b"\x00", WRITES)
    with pytest.raises(DatabaseCorrupt):
        recent.decode_leaves(bytes(33))


def test_a_posting_of_a_stream_that_did_not_change_is_corrupt() -> None:
    blob = recent.encode_postings(BlockPostings([b"d"], [1], [2]), WRITES)
    with pytest.raises(DatabaseCorrupt, match="did not change"):
        recent.decode_postings(blob, {b"a": None})


def test_the_overlay_gathers_blocks() -> None:
    overlay = Unflushed(height=4, size=100)
    overlay.add(
        5,
        writes={b"a": b"1", b"s": b"2"},
        leaves=[b"x", b"y", b"z"],
        postings=BlockPostings([b"s", b"s"], [0, 0], [0, 1]),
        size=10,
    )
    overlay.add(
        6,
        writes={b"a": None},
        leaves=[b"u", b"v"],
        postings=BlockPostings([b"s"], [0], [2]),
        size=20,
    )
    assert overlay.blocks == 2
    assert overlay.bytes == 30
    assert overlay.writes == {b"a": None, b"s": b"2"}
    assert overlay.streams == {b"s": [(0, 0, 100), (0, 1, 101), (0, 2, 103)]}
