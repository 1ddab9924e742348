"""After a start: what was acknowledged and never ordered goes on from where it was, once.

Two kinds of leftovers lie in vertices.db. An own vertex that ledger.db does not know is checked again, body and
signatures, and handed to the engine; another author's goes the way of those that come (`feeder.py`). An intake row is
checked again and sealed. Both hold their records' stream positions, as before the process died, before the node takes
anything new. A record whose key has gone in the meantime is still
sealed: what was acknowledged gets its outcome from `apply`, not from here.

Place in a record's life: between any two of its stations. Source: design.md section 8.2.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

from drystone import limits
from drystone.errors import DatabaseCorrupt, Refused
from drystone.formats import cbor
from drystone.gateway.batch import Batch, Sealed
from drystone.gateway.positions import Positions
from drystone.gateway.reopen import Reopened, read_body
from drystone.gateway.seal import Author, Engine, Sealer
from drystone.gateway.verifiers import RecordChecker
from drystone.ledger.change import OrderedVertex, Unreadable
from drystone.records.key import SecretKey
from drystone.records.record import Record, Verified
from drystone.records.vertex import (
    VertexHeader,
    check_vertex_signature,
)
from drystone.storage.vertices import StoredVertex, VertexDB
from drystone.workers.checked import Packed

PAGE: Final = 256
"""Rows read at a time."""

log = logging.getLogger(__name__)


class Ordered(Protocol):
    """Who knows which vertices have been ordered."""

    def order_of(self, own_id: bytes, /) -> object | None:
        """Give the vertex's place in the order, or None."""
        ...


class Recovered(NamedTuple):
    """What a start found: counts, for the log."""

    vertices: int
    batches: int
    records: int


class Recovery:
    """Hands what is left in vertices.db to sealer and engine; used once, before anything new comes in."""

    def __init__(
        self,
        *,
        store: VertexDB,
        ordered: Ordered,
        checker: RecordChecker,
        positions: Positions,
        sealer: Sealer,
        engine: Engine,
        author: Author,
        ledger: bytes,
        foreign: Callable[[StoredVertex], None] | None = None,
    ) -> None:
        """Begin with nothing adopted; `foreign` takes over other authors' vertices, in the order of arrival."""
        self._store = store
        self._reopened = Reopened(store=store, checker=checker)
        self._ordered = ordered
        self._positions = positions
        self._sealer = sealer
        self._engine = engine
        self._author = author
        self._ledger = ledger
        self._foreign = foreign

    async def run(self) -> Recovered:
        """Adopt every leftover.

        Raises:
            DatabaseCorrupt: a stored vertex or row is not what was stored.
        """
        vertices = batches = records = 0
        for stored in self._unordered():
            records += await self._adopt_vertex(stored)
            vertices += 1
        after = 0
        while rows := self._store.intake(after=after, limit=PAGE):
            for row in rows:
                batch = await self._batch(row.records, where=f"intake row {row.number}")
                batch.row = row.number
                self._positions.adopt(batch)
                self._sealer.adopt(batch)
                batches += 1
                records += batch.count
            after = rows[-1].number
        return Recovered(vertices, batches, records)

    def _unordered(self) -> Iterator[StoredVertex]:
        after: int | None = None
        while rows := self._store.unordered(after=after, limit=PAGE):
            for stored in rows:
                if self._ordered.order_of(stored.id) is None:
                    yield stored
            after = rows[-1].number

    async def _adopt_vertex(self, stored: StoredVertex) -> int:
        if (stored.iss, stored.sub) != (self._author.iss, self._author.sub):
            if self._foreign is not None:
                self._foreign(stored)
            return 0
        where = f"vertices row {stored.number}"
        header, body = self._read(stored, where)
        try:
            check_vertex_signature(header, self._author.secret.public, self._ledger)
        except Refused as error:
            raise DatabaseCorrupt(f"vertices.db: {where}: {error}") from error
        batch = await self._batch(b"".join(body), where=where)
        batch.where = Sealed(stored.id, stored.iss, stored.sub, stored.epoch, stored.seq, 0)
        batch.sealed.set_result(batch.where)
        self._positions.adopt(batch)
        self._sealer.adopt_sealed(stored, batch)
        items = Packed([batch.packet], count=batch.count)
        author_key = self._author.secret.public.cose_key()
        self._engine.submit(OrderedVertex(header, author_key, items), stored.id)
        return len(items)

    def _read(self, stored: StoredVertex, where: str) -> tuple[VertexHeader, list[bytes]]:
        sequence = self._store.body(stored.number)
        if sequence is None:
            raise DatabaseCorrupt(f"vertices.db: {where} has no body and was never ordered")
        return read_body(stored, sequence)

    async def _batch(self, sequence: bytes, *, where: str) -> Batch:
        """Check stored records again and make them a batch; every one of them was acknowledged."""
        items = await self._reopened.items(
            cbor.split_sequence(sequence, items_max=limits.VERTEX_RECORDS_MAX)
        )
        records: list[Verified | Record] = []
        for item in items:
            if isinstance(item, Unreadable):
                raise DatabaseCorrupt(f"vertices.db: {where} holds no record: {item.code}")
            records.append(item)
        return Batch.of_items(records)


def find_author(store: VertexDB, *, iss: str, sub: str, secret: SecretKey) -> Author:
    """Give the gateway as author, at the end of the chain of its stored vertices."""
    last = store.frontier().get((iss, sub))
    if last is None:
        return Author(iss, sub, secret, 0, 0, None)
    return Author(iss, sub, secret, last.epoch, last.seq + 1, last.id)
