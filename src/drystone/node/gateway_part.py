"""A gateway's part in the exchange: the uplink's word goes into the mirror, and from there to whoever waits for it.

Outcomes: checked and stored (`gateway/uplink.py`), then the sealer's waiters are told, refused records give their
positions back, bodies may go. The registry: compared row by row, then rights are looked up anew. Nothing here decides.

Place in a record's life: behind its commit, on the way back. Source: design.md section 3.2.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from drystone.errors import (
    DatabaseCorrupt,
    DiskFull,
    MemberSuspended,
    Refused,
    VertexFork,
    VertexPlace,
)
from drystone.formats import cbor
from drystone.gateway.batch import Batch
from drystone.gateway.buffer import Buffer, Pruner
from drystone.gateway.own_streams import OwnStreams
from drystone.gateway.positions import Positions
from drystone.gateway.registry_copy import Asked, RegistryCopy
from drystone.gateway.reopen import Reopened
from drystone.gateway.seal import Sealer
from drystone.gateway.senders import Senders
from drystone.gateway.sync.effects import Arrived, Effects, PeerName
from drystone.gateway.sync.messages import Done, Rows
from drystone.gateway.uplink import Uplink
from drystone.gateway.verifiers import RecordChecker
from drystone.home.room import DiskRoom
from drystone.ledger.change import ALREADY, Unreadable
from drystone.limits import LIST_ROWS_MAX, VERTEX_RECORDS_MAX
from drystone.node.exchange import Exchange, Run
from drystone.node.gateway_epoch import GatewayEpoch
from drystone.records.record import Verified, check_form
from drystone.records.vertex import VertexHeader, decode_header
from drystone.storage.mirror import MirrorDB, OrderedHere
from drystone.storage.vertices import StoredVertex, VertexDB
from drystone.workers.checked import Position, position_of

ROWS_S: Final = 5.0
"""The registry is compared again this long after the uplink has grown, at the earliest ..."""

ROWS_IDLE_S: Final = 600.0
"""... and this long after the last time at the latest, while there is a link."""

SAVE_S: Final = 2.0
"""How often it is looked whether the own streams are worth a transaction."""

TAKEN: Final = frozenset({ALREADY})
"""Codes after which a position is taken all the same."""

FORKED: Final = frozenset({VertexFork.code, VertexPlace.code, MemberSuspended.code})
"""Codes with which a vertex is refused as a whole because its author's chain forked, or was suspended for that."""

log = logging.getLogger("drystone.node")


class GatewayPart:
    """What a gateway does with what peers tell."""

    def __init__(
        self,
        *,
        exchange: Exchange | None,
        mirror: MirrorDB,
        uplink: Uplink,
        vertices: VertexDB,
        pruner: Pruner,
        streams: OwnStreams,
        senders: Senders,
        checker: RecordChecker,
        sealer: Sealer,
        buffer: Buffer,
        room: DiskRoom,
        epoch: GatewayEpoch,
        positions: Positions,
        reopened: Reopened,
        own: tuple[str, str],
        write: Run,
        strangers: Callable[[], int] = int,
    ) -> None:
        """Take nothing yet; `strangers` counts records of senders that are not known here."""
        self._exchange = exchange
        self._mirror = mirror
        self._uplink = uplink
        self._vertices = vertices
        self._pruner = pruner
        self._streams = streams
        self._senders = senders
        self._checker = checker
        self._sealer = sealer
        self._buffer = buffer
        self._room = room
        self._epoch = epoch
        self._positions = positions
        self._reopened = reopened
        self._own = own
        self._write = write
        self._strangers = strangers
        self._strangers_seen = 0
        self._copy = RegistryCopy(mirror)
        self._copying: PeerName | None = None
        self._copied_s = float("-inf")
        self._copied_height = -1
        self._unheard: set[PeerName] = set()
        """Uplinks whose last outcomes could not be stored."""
        self._pruned_at = 0

    def check_room(self) -> None:
        """Refuse to store others' vertices when what is acknowledged here needs the room. Raises: DiskFull."""
        self._room.check()

    def kept(self, stored: Sequence[StoredVertex], arrived: Sequence[Arrived]) -> None:
        """Others' vertices lie here to be passed on; an own one that was not here says that this one was restored."""
        for one, arrival in zip(stored, arrived, strict=True):
            if (one.iss, one.sub) != self._own:
                continue
            self._epoch.pause("a peer has vertices of this gateway that it has not")
            header = arrival.header
            if arrival.body is not None:
                positions = _positions_at(arrival.body, range(header.count))
                self._streams.replay(positions, number=one.number)
                continue
            place = self._mirror.place
            if place is None or (header.epoch, header.seq) > place:  # Else its outcome came before.
                self._buffer.sealed(records=header.count, size=header.length)

    async def opened(self, peer: PeerName) -> None:
        """Ask an uplink for outcomes and for the registry."""
        exchange = self._exchange
        if exchange is None or peer not in exchange.uplinks:
            return
        await self._ask_done(exchange, peer)
        self._copying = None
        await self._compare_rows(peer)

    async def told(self, peer: PeerName, effects: Effects) -> None:
        """Take outcomes and rows from an uplink; others' are not listened to. Raises: BlockForged."""
        exchange = self._exchange
        if exchange is None:
            return
        for evidence in effects.forks:
            log.warning("a fork is known here: %d bytes of evidence are passed on", len(evidence))
        if peer not in exchange.uplinks:
            return
        try:
            for done in effects.done:
                self._unheard.add(peer)
                await self._take(done)
                await self._ask_done(exchange, peer)
            for rows in effects.rows:
                await self._take_rows(peer, rows)
        except DiskFull as error:
            # Nothing was changed; `look` asks again.
            log.warning("the uplink's word is not kept: %s", error)
            self._copying = None

    async def look(self) -> None:
        """Compare the registry where an uplink has grown, or now and then; ask again for what there was no room for."""
        exchange = self._exchange
        if exchange is None:
            return
        for peer in sorted(self._unheard):
            await self._ask_done(exchange, peer)
        if self._epoch.is_ready():
            # While nothing is sealed: what is counted here stays as it is.
            await self._retake_forked()
            self._epoch.begin(accepted=await self._write(self._last_accepted))
        now_s = asyncio.get_running_loop().time()
        since_s = now_s - self._copied_s
        for status in exchange.status():
            if not status.linked or status.name not in exchange.uplinks:
                continue
            # Somebody new sends, or the ledger has grown: the registry may have as well.
            new = self._strangers() != self._strangers_seen
            grown = new or status.height != self._copied_height
            if since_s > ROWS_IDLE_S or (grown and since_s > ROWS_S):
                self._strangers_seen = self._strangers()
                await self._compare_rows(status.name)
                return

    async def _ask_done(self, exchange: Exchange, peer: PeerName) -> None:
        """Ask an uplink for the outcomes behind those that are here."""
        self._unheard.discard(peer)
        place = self._mirror.place
        await exchange.ask(peer, lambda session, now_ms: session.have(place, now_ms))

    async def save_streams(self) -> None:
        """Save own streams now and then, until cancelled."""
        while True:
            await asyncio.sleep(SAVE_S)
            if self._streams.worth_saving:
                await self._streams.save(self.put_streams)

    async def put_streams(self, values: Mapping[bytes, bytes], through: int) -> None:
        """Store own streams in the mirror."""
        await self._write(lambda: self._mirror.put_streams(values, through=through))

    # --- outcomes ----------------------------------------------------------------------------------

    async def _take(self, done: Done) -> None:
        settled = await self._write(lambda: self._uplink.check(done))
        if settled is None:
            return
        own = await self._write(lambda: self._read_own(settled.ordered))
        # Before the outcome is stored: if the process dies in between, it is told again.
        for one in settled.ordered:
            if one.vertex in own and self._refused_whole(own[one.vertex][0], one):
                await self._retake(one)
        await self._write(lambda: self._uplink.store(settled))
        for one in settled.ordered:
            found = own.get(one.vertex)
            if found is None:
                continue
            header, refused = found
            self._buffer.ordered(records=header.count, size=header.length)
            self._streams.free(refused)
            self._sealer.settle(one.vertex, height=one.height, codes=one.codes)
        dropped = await self._write(self._pruner.run)
        if dropped:
            log.info("%d bodies that are ordered left the disk", dropped)

    def _refused_whole(self, header: VertexHeader, one: OrderedHere) -> bool:
        """Whether a vertex was refused because its author's chain forked: its records are not to blame."""
        codes = set(one.codes.values())
        if not codes or len(one.codes) < header.count:
            return False
        suspended = codes == {MemberSuspended.code} and self._epoch.is_suspended(header.epoch)
        return suspended or codes <= {VertexFork.code, VertexPlace.code}

    async def _retake_forked(self) -> None:
        """Take the records of own vertices in again that lie on a branch which may never be ordered.

        From the lowest place on at which this gateway has two vertices; what is ordered all the same is `already` then.
        """
        numbers = await self._write(self._find_forked)
        for number in numbers:
            await self._take_in_again(number)
        await self._write(
            lambda: self._buffer.load(
                self._vertices, self._mirror, iss=self._own[0], sub=self._own[1]
            )
        )

    def _last_accepted(self) -> list[bytes]:
        """Give own vertices of which one is the last that the ledger took, as far as is known here; blocking.

        The last whose outcome says so, others at places that outcomes have passed by (of a fork's branches only one is
        told), and some empty ones, of which no record tells whether they were refused; newest first.
        """
        firm, empty = list[bytes](), list[bytes]()
        through = self._mirror.place or (-1, -1)
        after: tuple[str, str, int, int] | None = None
        listed = partial(self._vertices.listed, self._own, limit=LIST_ROWS_MAX, newest_first=True)
        while page := listed(after=after):
            for one in page:
                header, told = decode_header(one.header), self._mirror.order_of(one.id)
                if told is None and (one.epoch, one.seq) > through:
                    continue
                if told is not None and self._refused_whole(header, told):
                    continue
                (firm if header.count else empty).append(one.id)
                if told is not None and header.count:
                    return [*firm[:4], *empty[:2]]
            after = (*self._own, page[-1].epoch, page[-1].seq)
        return [*firm[:4], *empty[:2]]

    def _find_forked(self) -> list[int]:
        """Give numbers of own vertices from the first forked place on that are not known to be ordered; blocking."""
        places = self._vertices.forked_places(limit=LIST_ROWS_MAX)
        forked = [place[2:] for place in places if place[:2] == self._own]
        if not forked:
            return []
        epoch, seq = min(forked)
        numbers: list[int] = []
        after = (*self._own, epoch, seq - 1)
        while found := self._vertices.listed(self._own, after=after, limit=LIST_ROWS_MAX):
            known = self._mirror.ordered_among([one.id for one in found])
            numbers += [one.number for one in found if one.id not in known]
            last = found[-1]
            after = (*self._own, last.epoch, last.seq)
        return numbers

    async def _retake(self, one: OrderedHere) -> None:
        """Take the records of a vertex that was refused as a whole in again: the next epoch's vertices hold them."""
        self._epoch.pause(f"a vertex was refused: {next(iter(one.codes.values()))}")
        stored = await self._write(lambda: self._vertices.find(one.vertex))
        if stored is not None:
            await self._take_in_again(stored.number)

    async def _take_in_again(self, number: int) -> None:
        """Make the records of an own vertex intake once more, durable before anything else is done."""
        body = await self._write(lambda: self._vertices.body(number))
        if not body:
            return
        items = await self._reopened.items(split_sequence(body))
        # What was taken in again a moment ago, out of another vertex that holds it, is on its way already.
        fresh = [
            item
            for item in items
            if not isinstance(item, Unreadable)
            and position_of(item.record if isinstance(item, Verified) else item)
            not in self._positions.pending
        ]
        if not fresh:
            return
        batch = Batch.of_items(fresh)
        (batch.row,) = await self._write(lambda: self._vertices.add_intake([batch.sequence]))
        self._positions.adopt(batch)
        self._sealer.adopt(batch)

    def _read_own(
        self, ordered: Sequence[OrderedHere]
    ) -> Mapping[bytes, tuple[VertexHeader, list[Position]]]:
        """Give headers of own vertices, and the positions of their records that were refused; blocking."""
        found: dict[bytes, tuple[VertexHeader, list[Position]]] = {}
        for one in ordered:
            stored = self._vertices.find(one.vertex)
            if stored is None or (stored.iss, stored.sub) != self._own:
                continue
            kept = TAKEN | FORKED
            refused = [index for index, code in one.codes.items() if code not in kept]
            positions: list[Position] = []
            body = self._vertices.body(stored.number) if refused else None
            if body is not None:
                positions = _positions_at(body, refused)
            found[one.vertex] = decode_header(stored.header), positions
        return found

    # --- the registry ------------------------------------------------------------------------------

    async def _compare_rows(self, peer: PeerName) -> None:
        """Begin to compare, unless that is under way with this peer."""
        if self._exchange is None or self._copying == peer:
            return
        self._copying = peer
        self._copied_s = asyncio.get_running_loop().time()
        asked = await self._write(self._copy.begin)
        if not await self._ask_rows(peer, asked):
            self._copying = None

    async def _ask_rows(self, peer: PeerName, asked: Asked) -> bool:
        assert self._exchange is not None
        after, last, digest = asked
        return await self._exchange.ask(
            peer,
            lambda session, now_ms: session.want_rows(
                after=after, last=last, digest=digest, now_ms=now_ms
            ),
        )

    async def _take_rows(self, peer: PeerName, rows: Rows) -> None:
        if self._copying != peer:
            return
        try:
            changes, asked = await self._write(lambda: self._copy.take(rows))
        except Refused:
            self._copying = None
            raise
        if changes:
            members = self._senders.change(changes)
            if members is None or members:
                await self._checker.forget(members)
            assert self._exchange is not None
            self._exchange.registry_changed()
        if asked is None:
            self._copying = None
            self._copied_height = rows.height
            self._copied_s = asyncio.get_running_loop().time()
        elif not await self._ask_rows(peer, asked):
            self._copying = None


def split_sequence(body: bytes) -> list[bytes]:
    """Give the records of an own body. Raises: DatabaseCorrupt."""
    try:
        return cbor.split_sequence(body, items_max=VERTEX_RECORDS_MAX)
    except Refused as error:
        raise DatabaseCorrupt(f"vertices.db: a body is no sequence: {error}") from error


def _positions_at(body: bytes, indexes: Sequence[int]) -> list[Position]:
    """Give the positions of some records of a body; what is no record has none."""
    positions: list[Position] = []
    wanted = set(indexes)
    for index, raw in enumerate(split_sequence(body)):
        if index not in wanted:
            continue
        try:
            positions.append(position_of(check_form(raw)))
        except Refused:
            continue
    return positions
