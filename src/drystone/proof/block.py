"""The block entry and the one commitment: what a whole block comes down to in the log.

At the end of every non-empty block the log gets one *block entry*: height, time, state root, outcomes root, hash of
the validator set, protocol version. Its deterministic bytes are the leaf itself: they start 0x87 and are never 32
bytes long, so that no record's entry (always 32 bytes) can pass for one, nor the reverse. The application hash, `head`,
commits to the log's size and root, and thereby to everything. Last station of a record's life before the receipt.
Nothing here reads a log or a state. Source: formats.md part B (`block`, "head = app hash").
"""

from hashlib import sha256
from typing import Final, NamedTuple

from drystone.errors import DrystoneError, ReceiptMalformed
from drystone.formats import cbor
from drystone.formats.cbor import Value
from drystone.records.header import HASH_LENGTH, UINT_MAX, read_bytes, read_uint

BLOCK_TAG: Final = "drystone/block/1"
HEAD_TAG: Final = b"drystone/head/1\n"


class BlockEntry(NamedTuple):
    """A block in the log; `time_ms` is Unix milliseconds, the three roots are 32 bytes each."""

    height: int
    time_ms: int
    state: bytes
    outcomes: bytes
    validators: bytes
    protocol: int


def encode_block(block: BlockEntry) -> bytes:
    """Return the bytes that stand in the log; checks nothing."""
    return cbor.encode([BLOCK_TAG, *block])


def decode_block(data: bytes) -> BlockEntry:
    """Read a block entry from its one spelling.

    Checks tag, count, types and ranges; not that the entry is in any log. Raises: ReceiptMalformed.
    """
    try:
        value = cbor.decode(data)
    except DrystoneError as error:
        raise ReceiptMalformed(f"block entry: {error}") from error
    if not isinstance(value, list) or len(value) != 7 or value[0] != BLOCK_TAG:
        raise ReceiptMalformed(f"block entry: expected seven items that start {BLOCK_TAG!r}")
    return BlockEntry(
        height=_uint(value[1], "height"),
        time_ms=_uint(value[2], "time"),
        state=_hash(value[3], "state root"),
        outcomes=_hash(value[4], "outcomes root"),
        validators=_hash(value[5], "validators"),
        protocol=_uint(value[6], "protocol"),
    )


def app_head(*, size: int, root: bytes) -> bytes:
    """Return the application hash of a log of `size` entries with this root."""
    return sha256(HEAD_TAG + size.to_bytes(8, "big") + root).digest()


def _uint(value: Value, name: str) -> int:
    return read_uint(value, UINT_MAX, ReceiptMalformed, name)


def _hash(value: Value, name: str) -> bytes:
    return read_bytes(value, HASH_LENGTH, ReceiptMalformed, name)
