"""Blocks as a peer passes them on: whether those whom this home trusts have signed the log that they stand in.

A peer's word counts nothing. Each block entry is proved, by its inclusion path, to stand in the log of one checkpoint,
and the checkpoint is signed by enough of the keys of `trust.json`. What a block's vertices are is not in its entry:
who executes the block and comes to the same entry knows that too. Pure.

Place in a record's life: between another's commit and ours. Source: design.md section 3.7, docs/spec/sync.md.
"""

from collections.abc import Sequence
from typing import Protocol

from drystone.errors import BlockForged, Refused
from drystone.formats.note import Checkpoint
from drystone.proof.block import BlockEntry, decode_block
from drystone.proof.finality import NodeFinality, check_finality
from drystone.proof.trust import Trust
from drystone.trees.log import leaf_hash, verify_inclusion


class PassedOn(Protocol):
    """A block as peers send it (`gateway/sync/messages.py`, `OrderedBlock`)."""

    @property
    def entry(self) -> bytes:
        """The block entry."""
        ...

    @property
    def first_leaf(self) -> int:
        """Log entries before the block."""
        ...

    @property
    def size(self) -> int:
        """Log entries after it."""
        ...

    @property
    def vertices(self) -> Sequence[tuple[bytes, int]]:
        """Id and record count of each vertex, in order."""
        ...

    @property
    def checkpoint(self) -> bytes | None:
        """A signed checkpoint, on the last block of a message and for all of them."""
        ...

    @property
    def path(self) -> Sequence[bytes]:
        """Inclusion path of the entry in the checkpoint's log."""
        ...


def check_vouched(blocks: Sequence[PassedOn], *, trust: Trust) -> Checkpoint:
    """Check that every block's entry is in the log of the last one's checkpoint, and give that.

    Checks the checkpoint's signatures against `trust`. Does not check that the blocks follow one another, nor that
    they come from these vertices.

    Raises:
        BlockForged: one of them is not proved.
    """
    if not blocks or blocks[-1].checkpoint is None:
        raise BlockForged("blocks come without a checkpoint")
    try:
        note = NodeFinality(blocks[-1].checkpoint.decode())
        checkpoint = check_finality(note, trust=trust).checkpoint
        for block in blocks:
            verify_inclusion(
                root=checkpoint.root,
                size=checkpoint.size,
                index=block.size - 1,
                leaf=leaf_hash(block.entry),
                path=block.path,
            )
    except (Refused, UnicodeDecodeError) as error:
        raise BlockForged(f"nobody trusted here vouches for these blocks: {error}") from error
    return checkpoint


def check_follows(blocks: Sequence[PassedOn], *, height: int, size: int, time_ms: int) -> None:
    """Check that blocks follow one another without a gap, behind the block of this height, log size and time.

    Raises:
        BlockForged: they do not.
    """
    for block in blocks:
        fields = read_entry(block)
        if fields.height != height + 1 or block.first_leaf != size or block.size <= size:
            raise BlockForged(f"block {fields.height} does not follow block {height}")
        if fields.time_ms < time_ms:
            raise BlockForged(f"block {fields.height} is older than the one before it")
        height, size, time_ms = fields.height, block.size, fields.time_ms


def read_entry(block: PassedOn) -> BlockEntry:
    """Return what a block entry says. Raises: BlockForged."""
    try:
        return decode_block(block.entry)
    except Refused as error:
        raise BlockForged(str(error)) from error
