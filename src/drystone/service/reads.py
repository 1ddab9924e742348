"""Reads of a node's databases: records, streams, blocks and vertices by their addresses.

Blocking and for one thread: the service calls it in the reader's. It sees what is committed; a record on its way is
found under its vertex, not under its stream. Lists go by the order that can be resumed exactly: positions, heights,
places. Nothing here proves anything (`proofs.py`) and nothing is checked again: these are this node's own files.
Source: design.md sections 3 and 7.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final, NamedTuple, cast

from drystone import limits
from drystone.api.values import (
    BlockInfo,
    EventInfo,
    FoundRecord,
    OutcomeInfo,
    Place,
    StreamCursor,
    StreamKey,
    VertexCursor,
    VertexInfo,
)
from drystone.errors import DatabaseCorrupt, InvariantBroken, NotFound
from drystone.formats import cbor
from drystone.ledger import keyspace
from drystone.ledger.change import ACCEPTED
from drystone.records.stream import Stream, decode
from drystone.records.vertex import decode_header
from drystone.storage.blocks import StoredBlock
from drystone.storage.ledger import LedgerDB
from drystone.storage.ledger import Place as LedgerPlace
from drystone.storage.outcomes import all_outcomes
from drystone.storage.vertices import StoredVertex, VertexDB

BODIES_REMEMBERED: Final = 16
BLOCKS_REMEMBERED: Final = 64

EMPTY_HEAD: Final = bytes(32)
"""Parent of the genesis block."""


class Body(NamedTuple):
    """A stored vertex and its records' bytes, None once pruned."""

    vertex: StoredVertex
    records: list[bytes] | None


class Position(NamedTuple):
    """A position that a stream holds."""

    epoch: int
    seq: int


class Reads:
    """Answers what is asked of both databases."""

    def __init__(self, ledger: LedgerDB, vertices: VertexDB) -> None:
        self.ledger = ledger
        self.vertices = vertices
        self._bodies: OrderedDict[bytes, Body] = OrderedDict()
        self._blocks: OrderedDict[int, StoredBlock] = OrderedDict()

    # --- records and streams -----------------------------------------------------------------------

    def record(self, stream_key: StreamKey, *, epoch: int, seq: int) -> FoundRecord | None:
        """Give the accepted record at a position."""
        place = self.ledger.find(keyspace.stream(stream_key), epoch=epoch, seq=seq)
        if place is None:
            return None
        return self._found(stream_key, Position(epoch, seq), place)

    def records(
        self,
        stream_key: StreamKey,
        *,
        after: StreamCursor | None,
        limit: int,
        newest_first: bool,
    ) -> list[FoundRecord]:
        """Give accepted records by position, behind a cursor."""
        state = self.stream(stream_key)
        found: list[FoundRecord] = []
        if state is None:
            return found
        for position in positions(state, after=after, newest_first=newest_first):
            if len(found) >= limit:
                break
            one = self.record(stream_key, epoch=position.epoch, seq=position.seq)
            if one is None:
                raise DatabaseCorrupt(f"ledger.db: {stream_key} at {position} has no place")
            found.append(one)
        return found

    def stream(self, stream_key: StreamKey) -> Stream | None:
        """Give a stream's state."""
        value = self.ledger.get(keyspace.stream(stream_key))
        return None if value is None else decode(value)

    def streams(
        self, iss: str | None, *, after: StreamKey | None, limit: int
    ) -> list[tuple[StreamKey, Stream]]:
        """Give streams in the order of their keys."""
        prefix = keyspace.key(keyspace.STREAM, *([] if iss is None else [iss]))
        behind = None if after is None else keyspace.stream(after)
        rows = self.ledger.scan(prefix, after=behind, limit=limit)
        return [(text_parts(key), decode(value)) for key, value in rows]

    def _found(self, stream_key: StreamKey, position: Position, place: LedgerPlace) -> FoundRecord:
        block = self.stored_block(place.height)
        body = self.body(place.vertex)
        if block is None or body is None:
            raise DatabaseCorrupt(f"vertices.db: vertex {place.vertex.hex()} was ordered, is gone")
        vertex = body.vertex
        return FoundRecord(
            stream=stream_key,
            epoch=position.epoch,
            seq=position.seq,
            raw=None if body.records is None else body.records[place.index],
            place=Place(
                iss=vertex.iss,
                sub=vertex.sub,
                epoch=vertex.epoch,
                seq=vertex.seq,
                index=place.index,
            ),
            vertex=place.vertex,
            height=place.height,
            time_ms=block.fields.time_ms,
            log_index=place.leaf,
            outcome=ACCEPTED,
        )

    # --- blocks ------------------------------------------------------------------------------------

    def block(self, height: int) -> BlockInfo | None:
        """Give one block."""
        stored = self.stored_block(height)
        return None if stored is None else self._block_info(stored)

    def blocks(self, *, after: int | None, limit: int, newest_first: bool) -> list[BlockInfo]:
        """Give blocks by height, behind a height."""
        listed = self.ledger.blocks(after=after, limit=limit, newest_first=newest_first)
        return [self._block_info(stored) for stored in listed]

    def outcomes(self, height: int) -> list[OutcomeInfo]:
        """Give a block's outcomes other than a plain `accepted`."""
        stored = self.stored_block(height)
        if stored is None:
            return []
        return [
            OutcomeInfo(
                vertex=stored.vertices[one.vertex],
                record=one.record,
                code=one.code,
                steps=one.steps,
                events=tuple(
                    EventInfo(
                        contract=event.contract,
                        name=event.name,
                        data=cast("cbor.Value", event.data),
                    )
                    for event in one.events
                ),
            )
            for one in stored.outcomes.exceptions
        ]

    def stored_block(self, height: int) -> StoredBlock | None:
        """Give a block as it is stored; remembered, because a block never changes."""
        stored = self._blocks.get(height)
        if stored is None:
            stored = self.ledger.block(height)
            if stored is not None:
                self._blocks[height] = stored
                if len(self._blocks) > BLOCKS_REMEMBERED:
                    self._blocks.popitem(last=False)
        return stored

    def _block_info(self, stored: StoredBlock) -> BlockInfo:
        before = self.stored_block(stored.height - 1) if stored.height else None
        fields = stored.fields
        return BlockInfo(
            height=stored.height,
            time_ms=fields.time_ms,
            protocol=fields.protocol,
            parent=EMPTY_HEAD if before is None else before.head,
            head=stored.head,
            size=stored.size,
            root=stored.root,
            state=fields.state,
            outcomes=fields.outcomes,
            validators=fields.validators,
            entry=stored.entry,
            vertices=stored.vertices,
            records=stored.records,
            codes=count_codes(stored),
        )

    def entries(self, *, first: int, count: int) -> list[bytes]:
        """Give log entries from index `first` on, fewer where the log ends.

        Raises:
            NotFound: a body that the entries are hashes of was pruned.
        """
        entries: list[bytes] = []
        while len(entries) < count:
            block = self.ledger.block_of_leaf(first + len(entries))
            if block is None:
                break
            skip = first + len(entries) - block.first_leaf
            entries += self._block_entries(block)[skip : skip + count - len(entries)]
        return entries

    def _block_entries(self, block: StoredBlock) -> list[bytes]:
        """Give what a block put into the log: its accepted records' hashes, then its own bytes."""
        entries: list[bytes] = []
        for outcome in all_outcomes(block.outcomes):
            if outcome.code != ACCEPTED or outcome.record is None:
                continue
            vertex_id = block.vertices[outcome.vertex]
            body = self.body(vertex_id)
            if body is None or body.records is None:
                raise NotFound(f"the body of vertex {vertex_id.hex()} was pruned")
            entries.append(sha256(body.records[outcome.record]).digest())
        return [*entries, block.entry]

    # --- vertices ----------------------------------------------------------------------------------

    def vertex(self, vertex_id: bytes) -> VertexInfo | None:
        """Give one vertex with its body."""
        body = self.body(vertex_id)
        return None if body is None else self._vertex_info(body)

    def vertices_by_place(
        self,
        author: tuple[str, str] | None,
        *,
        after: VertexCursor | None,
        limit: int,
        newest_first: bool,
    ) -> list[VertexInfo]:
        """Give vertices by place, without bodies."""
        listed = self.vertices.listed(author, after=after, limit=limit, newest_first=newest_first)
        return [self._vertex_info(Body(stored, None)) for stored in listed]

    def headers(self, vertex_ids: Sequence[bytes]) -> list[VertexInfo]:
        """Give those vertices of a list that are here, without bodies."""
        stored = [self.vertices.find(one) for one in vertex_ids]
        return [self._vertex_info(Body(one, None)) for one in stored if one is not None]

    def body(self, vertex_id: bytes) -> Body | None:
        """Give a vertex and its records' bytes; the last few are remembered."""
        body = self._bodies.get(vertex_id)
        if body is not None:
            return body
        stored = self.vertices.find(vertex_id)
        if stored is None:
            return None
        data = self.vertices.body(stored.number)
        records = None
        if data is not None:
            records = cbor.split_sequence(data, items_max=limits.VERTEX_RECORDS_MAX)
        body = self._bodies[vertex_id] = Body(stored, records)
        if len(self._bodies) > BODIES_REMEMBERED:
            self._bodies.popitem(last=False)
        return body

    def _vertex_info(self, body: Body) -> VertexInfo:
        header = decode_header(body.vertex.header)
        order = self.ledger.order_of(body.vertex.id)
        return VertexInfo(
            id=body.vertex.id,
            iss=header.iss,
            sub=header.sub,
            epoch=header.epoch,
            seq=header.seq,
            parent=header.parent,
            links=header.links,
            time_ms=header.time_ms,
            count=header.count,
            length=header.length,
            root=header.root,
            height=None if order is None else order.height,
            position=None if order is None else order.position,
            witnesses=0,
            header=body.vertex.header,
            body=None if body.records is None else tuple(body.records),
        )


def positions(
    state: Stream, *, after: StreamCursor | None, newest_first: bool
) -> Iterator[Position]:
    """Yield the positions that a stream holds, rising or falling, behind a cursor."""
    runs = sorted(state.runs, key=lambda run: (run.epoch, run.first), reverse=newest_first)
    for run in runs:
        first, last = run.first, run.last
        if after is not None and run.epoch == after.epoch:
            if newest_first:
                last = min(last, after.seq - 1)
            else:
                first = max(first, after.seq + 1)
        elif after is not None and (run.epoch < after.epoch) != newest_first:
            continue
        numbers = range(last, first - 1, -1) if newest_first else range(first, last + 1)
        for seq in numbers:
            yield Position(run.epoch, seq)


def count_codes(stored: StoredBlock) -> dict[str, int]:
    """Give how many records of a block have each outcome code."""
    counts = stored.outcomes.counts
    codes = {ACCEPTED: sum(counts)}
    for one in stored.outcomes.exceptions:
        if one.code != ACCEPTED:
            number = counts[one.vertex] if one.record is None else 1
            codes[one.code] = codes.get(one.code, 0) + number
            codes[ACCEPTED] -= number
    return {code: count for code, count in codes.items() if count}


def key_parts(state_key: bytes) -> Sequence[cbor.Value]:
    """Give the parts of a state key behind its space."""
    return [cbor.decode(item) for item in cbor.split_sequence(state_key, items_max=8)][1:]


def text_parts(state_key: bytes) -> tuple[str, ...]:
    """Give the parts of a state key that has only text behind its space."""
    parts = key_parts(state_key)
    if not all(isinstance(part, str) for part in parts):
        raise InvariantBroken(f"state key {state_key.hex()} has a part that is no text")
    return tuple(str(part) for part in parts)
