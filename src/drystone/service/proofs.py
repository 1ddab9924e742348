"""Proofs a node hands out: checkpoint, receipt, state value, completeness.

Only this file and `gateway/` use the node's key. What is signed here is what is committed: the log's size and root of
a stored block. A receipt carries the checkpoint it belongs to, so that it needs nobody afterwards; every block since
the record's own serves, the last one is taken. Blocking, in the reader's thread, but for the question to the executor,
which holds the state tree.

Place in a record's life: its last station. Source: design.md section 3.8, formats.md (receipt, completeness, point).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from drystone import limits
from drystone.api.values import StateProof, StreamKey
from drystone.errors import (
    NotFound,
    ReceiptMismatch,
    TooLarge,
    Unavailable,
)
from drystone.formats import note
from drystone.home.layout import Identity
from drystone.ledger import keyspace
from drystone.proof.block import decode_block
from drystone.proof.completeness import (
    Completeness,
    ForkPoint,
    Point,
    decode_completeness,
    encode_completeness,
    read_stream,
)
from drystone.proof.finality import node_finality, sign_checkpoint
from drystone.proof.interval import Interval
from drystone.proof.receipt import attach_receipts, issue_receipt
from drystone.proof.verdict import Item
from drystone.records.record import check_form
from drystone.service.intervals import Intervals
from drystone.service.reads import Reads, key_parts
from drystone.trees.log import inclusion_path
from drystone.workers.messages import ProvedState

POSTINGS_PAGE: Final = 4_096

FORKS_MAX: Final = limits.COMPLETENESS_FORKS_MAX

TOGETHER_TRIES: Final = 5
"""How often several values are asked for until no block has come between them."""


Prove = Callable[[bytes], Awaitable[ProvedState]]
"""Asks the executor for a state value with its proof."""


class SignedHead(NamedTuple):
    """A committed head of the log and this node's note over it."""

    size: int
    root: bytes
    note: bytes


class Proofs:
    """Makes what convinces a stranger offline."""

    def __init__(self, identity: Identity, reads: Reads) -> None:
        self._identity = identity
        self._reads = reads
        self._intervals = Intervals(reads.ledger)
        self._signed: SignedHead | None = None

    def checkpoint(self) -> bytes:
        """Give the last commit as a C2SP signed note."""
        return self.signed_head().note

    def signed_head(self) -> SignedHead:
        """Give the last committed head with this node's note; signed once per head."""
        last = self._reads.ledger.last
        if self._signed is None or self._signed.size != last.size:
            self._signed = self._sign(size=last.size, root=last.root)
        return self._signed

    def receipt(self, stream_key: StreamKey, *, epoch: int, seq: int) -> bytes:
        """Give the record at a position as a transparent statement with one receipt.

        Raises:
            NotFound: no record is there, or its body was pruned.
        """
        found = self._reads.record(stream_key, epoch=epoch, seq=seq)
        if found is None:
            raise NotFound(f"no record at {epoch}, {seq} of {'/'.join(stream_key)}")
        if found.raw is None:
            raise NotFound("the record's body was pruned; its entry stays in the log")
        assert found.log_index is not None, "what the ledger has is in its log"
        assert found.height is not None, "and in a block"
        signed = self.signed_head()
        interval = self._intervals.around(
            height=found.height,
            index=found.log_index,
            anchor=check_form(found.raw).anchor,
            size=signed.size,
        )
        receipt = self._receipt(signed, index=found.log_index, interval=interval)
        return attach_receipts(found.raw, [receipt])

    def state(self, key: bytes, proved: ProvedState) -> StateProof:
        """Add the receipt of the block entry to what the executor proved."""
        point = self._point(proved)
        return StateProof(
            key=key,
            value=point.value,
            ics23=point.ics23,
            block=point.block,
            height=proved.height,
            receipt=point.receipt,
        )

    def forks_of(self, stream_key: StreamKey) -> list[bytes]:
        """Give the state keys of the evidence that the ledger holds of forks in a stream, by epoch."""
        prefix = keyspace.key(keyspace.EVIDENCE, stream_key[0], stream_key[-1], "record")
        return [key for key, _ in self._reads.ledger.scan(prefix, limit=FORKS_MAX)]

    def completeness(
        self,
        stream_key: StreamKey,
        proved: ProvedState,
        *,
        forks: Sequence[tuple[bytes, ProvedState]] = (),
        since: bytes | None,
    ) -> bytes:
        """Prove that a stream has no hidden gap up to what the executor proved.

        `forks` are the evidence's state keys, proved at the same height.

        Raises:
            NotFound: the stream has no record.
            ReceiptMalformed, ReceiptMismatch: `since` is no proof, or another stream's.
            TooLarge: more records than one proof holds; prove in pieces.
        """
        if proved.value is None:
            raise NotFound(f"no record of {'/'.join(stream_key)} has been accepted")
        iss, sub, *device = stream_key
        start: Point | None = None
        skip = 0
        if since is not None:
            before = decode_completeness(since)
            if (before.iss, before.sub, before.device) != (iss, sub, device[0] if device else None):
                raise ReceiptMismatch("the proof to go on from is another stream's")
            start = before.end
            skip = read_stream(start.value).count
        count = read_stream(proved.value).count
        if count - skip > limits.COMPLETENESS_ITEMS_MAX:
            raise TooLarge(f"{count - skip} records, one proof has {limits.COMPLETENESS_ITEMS_MAX}")
        proof = Completeness(
            iss=iss,
            sub=sub,
            device=device[0] if device else None,
            start=start,
            items=tuple(self._items(stream_key, skip=skip, count=count)),
            end=self._point(proved),
            forks=tuple([_fork_point(key, one) for key, one in forks]),
        )
        return encode_completeness(proof)

    def _items(self, stream_key: StreamKey, *, skip: int, count: int) -> list[Item]:
        """Give positions and ids of a stream's records number `skip` to `count` in accepted order."""
        items: list[Item] = []
        key = keyspace.stream(stream_key)
        while skip + len(items) < count:
            limit = min(POSTINGS_PAGE, count - skip - len(items))
            page = self._reads.ledger.postings(key, start=skip + len(items), limit=limit)
            for posting in page:
                found = self._reads.record(stream_key, epoch=posting.epoch, seq=posting.seq)
                if found is None or found.raw is None:
                    raise NotFound(
                        f"the body of {posting.epoch}, {posting.seq} was pruned: its id is gone"
                    )
                items.append(Item(posting.epoch, posting.seq, check_form(found.raw).id))
            if not page:
                raise NotFound(f"the stream has {count} records, {skip + len(items)} were found")
        return items

    def _point(self, proved: ProvedState) -> Point:
        receipt = self._receipt(self._head_at(proved), index=proved.leaf)
        return Point(proved.value, proved.ics23, proved.block_entry, receipt)

    def _head_at(self, proved: ProvedState) -> SignedHead:
        """Give a signed head whose log holds the proved block entry: the last one."""
        signed = self.signed_head()
        assert signed.size >= proved.size, "the reader sees what the executor committed"
        assert decode_block(proved.block_entry).height == proved.height
        return signed

    def _receipt(
        self, signed: SignedHead, *, index: int, interval: Interval | None = None
    ) -> bytes:
        identity = self._identity
        parsed = note.decode_note(signed.note)
        with self._reads.ledger.snapshot():
            path = inclusion_path(index, signed.size, self._reads.ledger.nodes(signed.size))
        return issue_receipt(
            secret=identity.node.secret,
            origin=identity.genesis.origin,
            node=identity.node.member,
            size=signed.size,
            index=index,
            path=path,
            root=signed.root,
            finality=node_finality(parsed.text, parsed.signatures),
            interval=interval,
        )

    def _sign(self, *, size: int, root: bytes) -> SignedHead:
        checkpoint = note.Checkpoint(self._identity.genesis.origin, size, root)
        line = sign_checkpoint(self._identity.node.secret, checkpoint)
        signed = note.Note(note.checkpoint_text(checkpoint), (line,))
        return SignedHead(size, root, note.encode_note(signed))


def _fork_point(key: bytes, proved: ProvedState) -> ForkPoint:
    epoch = key_parts(key)[3]
    assert isinstance(epoch, int), "evidence stands under its epoch"
    assert proved.value is not None, "the ledger forgets no evidence"
    return ForkPoint(epoch, proved.value, proved.ics23)


async def prove_together(prove: Prove, keys: Sequence[bytes]) -> list[ProvedState]:
    """Give several state values with proofs at one height.

    Raises:
        Unavailable: blocks come too fast.
    """
    for _ in range(TOGETHER_TRIES):
        proved = await asyncio.gather(*[prove(key) for key in keys])
        if len({one.height for one in proved}) == 1:
            return proved
    raise Unavailable("blocks come too fast to prove several values at one height")
