"""A gateway's start: what was acknowledged and not sealed is sealed, what was sealed is known to be taken.

Intake rows are adopted like a node's. Own vertices are not handed over again: the next session's frontier tells peers
what they miss. Only the positions of those sealed since the streams were last saved are read back, a few vertices.

Place in a record's life: between any two of its stations. Source: design.md section 8.2.
"""

import logging
from typing import Final, NamedTuple

from drystone import limits
from drystone.errors import DatabaseCorrupt, Refused
from drystone.formats import cbor
from drystone.gateway.batch import Batch
from drystone.gateway.own_streams import OwnStreams
from drystone.gateway.positions import Positions
from drystone.gateway.reopen import Reopened
from drystone.gateway.seal import Author, Sealer
from drystone.gateway.verifiers import RecordChecker
from drystone.ledger.change import Unreadable
from drystone.records.record import Record, Verified, check_form
from drystone.storage.vertices import VertexDB
from drystone.workers.checked import Position, position_of

PAGE: Final = 256

log = logging.getLogger("drystone.node")


class Recovered(NamedTuple):
    """What a start found: counts, for the log."""

    vertices: int
    batches: int
    records: int


class GatewayRecovery:
    """Used once, before anything new comes in."""

    def __init__(
        self,
        *,
        store: VertexDB,
        checker: RecordChecker,
        positions: Positions,
        streams: OwnStreams,
        sealer: Sealer,
        author: Author,
    ) -> None:
        self._store = store
        self._reopened = Reopened(store=store, checker=checker)
        self._positions = positions
        self._streams = streams
        self._sealer = sealer
        self._author = author

    async def run(self) -> Recovered:
        """Adopt every leftover.

        Raises:
            DatabaseCorrupt: a stored vertex or row is not what was stored.
        """
        vertices = self._replay_streams()
        batches = records = after = 0
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

    def _replay_streams(self) -> int:
        """Enter the positions of own vertices that were sealed since the streams were saved."""
        own = (self._author.iss, self._author.sub)
        after = self._streams.through
        count = 0
        while found := self._store.arrived(after=after, limit=PAGE):
            for stored in found:
                if (stored.iss, stored.sub) != own:
                    continue
                body = self._store.body(stored.number)
                positions = [] if body is None else _positions_of(body, number=stored.number)
                self._streams.replay(positions, number=stored.number)
                count += 1
            after = found[-1].number
        return count

    async def _batch(self, sequence: bytes, *, where: str) -> Batch:
        """Check stored records again and make them a batch; every one of them was acknowledged."""
        items = await self._reopened.items(
            cbor.split_sequence(sequence, items_max=limits.VERTEX_RECORDS_MAX)
        )
        good: list[Verified | Record] = []
        for item in items:
            if isinstance(item, Unreadable):
                raise DatabaseCorrupt(f"vertices.db: {where} holds no record: {item.code}")
            good.append(item)
        return Batch.of_items(good)


def _positions_of(body: bytes, *, number: int) -> list[Position]:
    try:
        raws = cbor.split_sequence(body, items_max=limits.VERTEX_RECORDS_MAX)
        return [position_of(check_form(raw)) for raw in raws]
    except Refused as error:
        raise DatabaseCorrupt(f"vertices.db: vertices row {number}: {error}") from error
