"""What the last blocks changed, until it is flushed: the blobs beside a block, and the overlay.

A commit writes its state changes, leaves and postings as three blobs into one row, which costs a
tenth of writing them where they belong. Every few blocks a flush moves what has gathered there, in
sorted order, and the rows go. Between the two an `Unflushed` in memory holds the same things, so
that reading never sees the difference; the writer keeps it as it commits, a reader loads it.

Source: `budget.md`, "State rows".
"""

import struct
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Final, NamedTuple

from drystone.errors import DatabaseCorrupt
from drystone.trees.log import HASH_BYTES

GONE: Final = 0xFFFFFFFF
"""Stands for the length of a value that was deleted."""

TABLE: Final = """
    CREATE TABLE recent (
        height INTEGER PRIMARY KEY, changes BLOB NOT NULL, leaves BLOB NOT NULL,
        postings BLOB NOT NULL, "check" BLOB NOT NULL
    )"""


class BlockPostings(NamedTuple):
    """The records that a block accepted, in log order, as columns: stream's state key, position."""

    streams: list[bytes]
    epochs: list[int]
    seqs: list[int]


class Unflushed:
    """Everything since the last flush, over what the tables hold."""

    def __init__(self, *, height: int, size: int) -> None:
        """Start empty behind the block at `height` and a log of `size`, which are flushed."""
        self.flushed_height = height
        self.flushed_size = size
        self.height = height
        self.writes: dict[bytes, bytes | None] = {}
        self.leaves: list[bytes] = []
        self.streams: dict[bytes, list[tuple[int, int, int]]] = {}
        """By stream (epoch, sequence, log index): plain, because there is one per record."""
        self.bytes = 0

    @property
    def blocks(self) -> int:
        """How many blocks wait to be flushed."""
        return self.height - self.flushed_height

    def add(
        self,
        height: int,
        *,
        writes: Mapping[bytes, bytes | None],
        leaves: Sequence[bytes],
        postings: BlockPostings,
        size: int,
    ) -> None:
        """Take in one block: its height, what it changed, and the bytes its row has."""
        leaf = self.flushed_size + len(self.leaves)
        self.height = height
        self.writes.update(writes)
        self.leaves += leaves
        self.bytes += size
        streams = self.streams
        places = zip(postings.epochs, postings.seqs, count(leaf), strict=False)
        for stream, place in zip(postings.streams, places, strict=False):
            if stream in streams:
                streams[stream].append(place)
            else:
                streams[stream] = [place]


def encode_changes(writes: Mapping[bytes, bytes | None]) -> bytes:
    """Return the blob of state changes: count, key lengths, value lengths, keys, values.

    Numbers are 4 bytes, big-endian. Keys come in the mapping's order.
    """
    values = writes.values()
    lengths = [GONE if value is None else len(value) for value in values]
    return b"".join(
        (
            _numbers([len(writes)]),
            _numbers([len(key) for key in writes]),
            _numbers(lengths),
            *writes,
            *(value for value in values if value is not None),
        )
    )


def decode_changes(data: bytes) -> dict[bytes, bytes | None]:
    """Read what `encode_changes` wrote.

    Raises:
        DatabaseCorrupt: the bytes are anything else.
    """
    count, offset = _read_numbers(data, 0, 1)
    key_lengths, offset = _read_numbers(data, offset, count[0])
    value_lengths, offset = _read_numbers(data, offset, count[0])
    keys: list[bytes] = []
    for length in key_lengths:
        keys.append(data[offset : offset + length])
        offset += length
    values: list[bytes | None] = []
    for length in value_lengths:
        if length == GONE:
            values.append(None)
            continue
        values.append(data[offset : offset + length])
        offset += length
    if offset != len(data):
        raise DatabaseCorrupt("a blob of changes has another length than it says")
    return dict(zip(keys, values, strict=True))


def encode_postings(postings: BlockPostings, writes: Mapping[bytes, object]) -> bytes:
    """Return the blob of accepted records in log order: stream numbers, epochs, sequences.

    A stream is named by where its key stands among the block's changes: an accepted record always
    changes its stream.
    """
    numbers = {key: number for number, key in enumerate(writes)}
    size = len(postings.streams)
    return b"".join(
        (
            _numbers([size]),
            _numbers([numbers[stream] for stream in postings.streams]),
            _numbers(postings.epochs),
            struct.pack(f">{size}Q", *postings.seqs),
        )
    )


def decode_postings(data: bytes, writes: Mapping[bytes, object]) -> BlockPostings:
    """Read what `encode_postings` wrote, with the same changes.

    Raises:
        DatabaseCorrupt: the bytes are anything else.
    """
    size, offset = _read_numbers(data, 0, 1)
    numbers, offset = _read_numbers(data, offset, size[0])
    epochs, offset = _read_numbers(data, offset, size[0])
    if offset + 8 * size[0] != len(data):
        raise DatabaseCorrupt("a blob of postings has another length than it says")
    seqs = struct.unpack_from(f">{size[0]}Q", data, offset)
    keys = list(writes)
    try:
        streams = [keys[number] for number in numbers]
    except IndexError as error:
        raise DatabaseCorrupt("a blob of postings names a stream that did not change") from error
    return BlockPostings(streams, list(epochs), list(seqs))


def decode_leaves(data: bytes) -> list[bytes]:
    """Split a blob of leaf hashes.

    Raises:
        DatabaseCorrupt: it does not hold whole hashes.
    """
    if len(data) % HASH_BYTES:
        raise DatabaseCorrupt("a blob of leaves does not hold whole hashes")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def _numbers(values: Sequence[int]) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def _read_numbers(data: bytes, offset: int, count: int) -> tuple[tuple[int, ...], int]:
    end = offset + 4 * count
    if end > len(data):
        raise DatabaseCorrupt("a blob ends too early")
    return struct.unpack_from(f">{count}I", data, offset), end
