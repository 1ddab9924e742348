"""The uplink's word about a gateway's own vertices: checked, kept, and only then believed.

A vertex counts as ordered when the block that holds it leads to a checkpoint that the trust file's keys signed: the
outcomes root is recomputed from the outcomes that came, the block entry that commits to it lies in the log of that
checkpoint. From one checkpoint to the next the log may only grow: where the uplink repeats the block that the last
checkpoint ended with, its path under the new one contains the old root. What was checked is stored in one transaction;
on return the bodies may go.

Pure but for the mirror. It may not decide what an outcome means. Place in a record's life: behind its commit, on the
way back. Source: design.md sections 3.2 and 3.8; RFC 9162 section 2.1.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from drystone.engine.vouched import check_vouched
from drystone.errors import BlockForged, DatabaseCorrupt, ReceiptMalformed
from drystone.formats import note
from drystone.gateway.sync.messages import Done, OrderedBlock
from drystone.ledger.change import ACCEPTED, outcomes_root
from drystone.limits import LIST_ROWS_MAX
from drystone.proof.trust import Trust
from drystone.storage.mirror import MirrorDB, OrderedHere, SeenBlock
from drystone.storage.outcomes import (
    BlockOutcomes,
    accepted_count,
    all_outcomes,
    decode_outcomes,
)
from drystone.trees import log


class Settled(NamedTuple):
    """Vertices that are ordered, as a peer told and as was checked; not stored yet."""

    ordered: Sequence[OrderedHere]
    """With the codes of their records that were not accepted; only what was not known before."""
    done: Done
    checkpoint: note.Checkpoint


def read_outcomes(block: OrderedBlock) -> BlockOutcomes:
    """Give the outcomes of a block that a peer sent, checked against its own block entry.

    Checks that outcomes, counts and log size fit the entry's outcomes root; not that the entry is in any log.

    Raises:
        BlockForged: they do not.
    """
    try:
        kept = decode_outcomes(block.exceptions)
        fields = block.fields
        accepted = accepted_count(kept)
        root = outcomes_root(list(all_outcomes(kept)))
    except (DatabaseCorrupt, ReceiptMalformed, LookupError, TypeError, ValueError) as error:
        raise BlockForged(f"a block's outcomes cannot be read: {error}") from error
    if kept.counts != tuple(count for _, count in block.vertices):
        raise BlockForged(f"block {fields.height}: outcomes of other vertices than it holds")
    if root != fields.outcomes:
        raise BlockForged(f"block {fields.height}: the outcomes do not lead to its outcomes root")
    if block.size - block.first_leaf != accepted + 1:
        raise BlockForged(f"block {fields.height}: its log size does not fit its outcomes")
    return kept


def check_grown(last: note.Checkpoint, again: OrderedBlock, now: note.Checkpoint) -> None:
    """Check that the log of `now` begins with the log of `last`, by the block that ended the latter.

    `again` is that block, with its path under `now` checked before. The left siblings of a log's last leaf are all the
    whole subtrees before it: with the leaf they make the old root.

    Raises:
        BlockForged: the log was rewritten.
    """
    if now.size < last.size or (now.size == last.size and now.root != last.root):
        raise BlockForged(f"the log of {last.size} entries became one of {now.size}")
    if again.size != last.size:
        return  # Another block: it says nothing about that checkpoint.
    index, end = again.size - 1, now.size - 1
    hash_ = log.leaf_hash(again.entry)
    for sibling in again.path:
        if index & 1 or index == end:
            hash_ = log.node_hash(sibling, hash_)
            while not index & 1 and index:
                index >>= 1
                end >>= 1
        index >>= 1
        end >>= 1
    if hash_ != last.root:
        raise BlockForged(f"the log's first {last.size} entries are not those of before")


class Uplink:
    """Follows the order that others make, as far as it concerns what is held here."""

    def __init__(
        self,
        *,
        mirror: MirrorDB,
        trust: Trust,
        held: Callable[[bytes], bool],
    ) -> None:
        """Go on where the mirror stands; `held` says whether a vertex is in vertices.db."""
        self._mirror = mirror
        self._trust = trust
        self._held = held
        self._checkpoint = _checkpoint_of(mirror)

    @property
    def checkpoint(self) -> note.Checkpoint | None:
        """The newest checkpoint that was believed."""
        return self._checkpoint

    def check(self, done: Done) -> Settled | None:
        """Check outcomes of own vertices; None where there is nothing. Blocks.

        Raises:
            BlockForged: something does not lead to a signed checkpoint.
        """
        if not done.blocks:
            return None
        outcomes = [read_outcomes(block) for block in done.blocks]
        checkpoint = check_vouched(done.blocks, trust=self._trust)
        before = self._checkpoint
        if before is not None:
            if checkpoint.size < before.size:
                raise BlockForged(f"the log shrank from {before.size} to {checkpoint.size}")
            for block in done.blocks:
                check_grown(before, block, checkpoint)
        ordered = [
            one
            for block, kept in zip(done.blocks, outcomes, strict=True)
            for one in self._ordered(block, kept)
        ]
        # A block that holds several own vertices may come with each of them: what is known is not told again.
        known = self._known([one.vertex for one in ordered])
        return Settled([one for one in ordered if one.vertex not in known], done, checkpoint)

    def store(self, settled: Settled) -> None:
        """Store what was checked; on return it survives power loss, and the bodies may go. Blocks.

        Raises: DiskFull, Broken: as `Database.transaction`.
        """
        done = settled.done
        self._mirror.follow(
            [SeenBlock(block.height, block.size, block.entry) for block in done.blocks],
            ordered=settled.ordered,
            checkpoint=done.blocks[-1].checkpoint or b"",
            place=done.place,
        )
        self._checkpoint = settled.checkpoint

    def _known(self, vertices: Sequence[bytes]) -> set[bytes]:
        """Give those whose outcome is here already."""
        known: set[bytes] = set()
        for begin in range(0, len(vertices), LIST_ROWS_MAX):
            known |= self._mirror.ordered_among(vertices[begin : begin + LIST_ROWS_MAX])
        return known

    def _ordered(self, block: OrderedBlock, kept: BlockOutcomes) -> list[OrderedHere]:
        """Give the block's vertices that are held here, with the codes of records that were not accepted."""
        codes = codes_of(kept)
        return [
            OrderedHere(own_id, block.height, position, codes.get(position, {}))
            for position, (own_id, _) in enumerate(block.vertices)
            if self._held(own_id)
        ]


def codes_of(kept: BlockOutcomes) -> Mapping[int, dict[int, str]]:
    """Give, by vertex of the block, the codes of its records that were not accepted, by index."""
    codes: dict[int, dict[int, str]] = {}
    for one in kept.exceptions:
        of_vertex = codes.setdefault(one.vertex, {})
        if one.record is None:
            of_vertex.update(dict.fromkeys(range(kept.counts[one.vertex]), one.code))
        elif one.code != ACCEPTED:
            of_vertex[one.record] = one.code
    return codes


def _checkpoint_of(mirror: MirrorDB) -> note.Checkpoint | None:
    """Give the mirror's checkpoint; it was checked when it was stored."""
    signed = mirror.last.checkpoint
    return note.parse_checkpoint(note.decode_note(signed).text) if signed else None
