"""A service that shows one visitor what they may see, and refuses or leaves out everything else.

It stands before the node's own service and has the same methods, so that no view can forget to ask:
what is not allowed here is not fetched. Single things are refused before it is known whether they
exist; lists leave out rows and refuse where nothing is left. An event stream asks again with every
block whether its visitor still may. Source: issue 4 item 2, requirements S2.5, S2.6, S2.12.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from drystone.api.dag_values import DagCursor, DagPage, ForkInfo, FrontierInfo, PeerInfo
from drystone.api.gate import explicit_names
from drystone.api.guarded_contracts import GuardedContracts
from drystone.api.guarded_events import allowed_event, allowed_outcome
from drystone.api.values import (
    BlockInfo,
    EventCursor,
    FoundRecord,
    Head,
    Health,
    KnownKey,
    LedgerInfo,
    MemberInfo,
    NodeMetrics,
    OrganisationInfo,
    OutcomeInfo,
    ProfileInfo,
    ServiceEvent,
    StreamCursor,
    StreamInfo,
    StreamKey,
    VertexCursor,
    VertexInfo,
)
from drystone.errors import Refused
from drystone.limits import LIST_ROWS_MAX

if TYPE_CHECKING:
    from drystone.formats.senml import Measurement
    from drystone.gateway.answer import Answer, Wait
    from drystone.ledger.read_rights import Asker, ReadRights


class GuardedService(GuardedContracts):
    """One visitor's view of a node, with every method of the Protocol `Service`."""

    # --- for whoever may ask at all ----------------------------------------------------------

    @property
    def info(self) -> LedgerInfo:
        """The ledger and this node."""
        return self._service.info

    @property
    def sees_ledger(self) -> bool:
        """Whether the visitor may see the ledger as a whole."""
        return self._rights is None or self._rights.ledger

    def provisional(self) -> GuardedService:
        """What the node foresees, as far as the visitor may see it."""
        return GuardedService(
            self._service.provisional(),
            self._rights,
            deny=self._deny,
            renew=self._renew,
            vertex_streams=self._vertex_streams,
        )

    async def submit(self, sequence: bytes, *, wait: Wait | None) -> Sequence[Answer]:
        """Records prove themselves."""
        return await self._service.submit(sequence, wait=wait)

    async def attest(
        self, device: str, measurements: Sequence[Measurement], *, wait: Wait | None
    ) -> Answer:
        """The route has asked for the operator."""
        return await self._service.attest(device, measurements, wait=wait)

    async def head(self) -> Head:
        """The last commit: public with the checkpoint."""
        return await self._service.head()

    async def checkpoint(self) -> bytes:
        """The signed head."""
        return await self._service.checkpoint()

    async def trust(self) -> bytes:
        """The trust file."""
        return await self._service.trust()

    async def tile(self, *, level: int, index: int, width: int) -> bytes:
        """Hashes of the log."""
        return await self._service.tile(level=level, index=index, width=width)

    async def entries(self, *, index: int, width: int) -> bytes:
        """Entries of the log: hashes of records, and block entries."""
        return await self._service.entries(index=index, width=width)

    async def health(self) -> Health:
        """Whether the node does its work."""
        return await self._service.health()

    async def metrics(self) -> NodeMetrics:
        """The node's numbers."""
        return await self._service.metrics()

    async def known_key(self, iss: str, sub: str, *, kid: bytes | None) -> KnownKey | None:
        """For access itself only; nothing of it is shown."""
        return await self._service.known_key(iss, sub, kid=kid)

    async def read_rights(self, asker: Asker | None) -> ReadRights:
        """For access itself only; nothing of it is shown."""
        return await self._service.read_rights(asker)

    # --- streams, records, receipts ----------------------------------------------------------

    async def record(self, stream: StreamKey, *, epoch: int, seq: int) -> FoundRecord | None:
        """A record of a stream that may be seen."""
        await self._demand("streams", stream)
        return await self._service.record(stream, epoch=epoch, seq=seq)

    async def records(
        self,
        stream: StreamKey,
        *,
        after: StreamCursor | None,
        limit: int,
        newest_first: bool = False,
    ) -> Sequence[FoundRecord]:
        """Records of a stream that may be seen."""
        await self._demand("streams", stream)
        return await self._service.records(
            stream, after=after, limit=limit, newest_first=newest_first
        )

    async def stream(self, stream: StreamKey) -> StreamInfo | None:
        """A stream that may be seen."""
        await self._demand("streams", stream)
        return await self._service.stream(stream)

    async def streams(
        self, iss: str | None, *, after: StreamKey | None, limit: int
    ) -> Sequence[StreamInfo]:
        """Those streams that may be seen."""
        if self._rights is None:
            return await self._service.streams(iss, after=after, limit=limit)

        async def fetch(behind: StreamKey | None) -> Sequence[StreamInfo]:
            return await self._service.streams(iss, after=behind, limit=LIST_ROWS_MAX)

        async def find(name: StreamKey) -> StreamInfo | None:
            return await self._service.stream(name)

        async def allowed(one: StreamInfo) -> bool:
            return await self._may("streams", one.stream)

        names = explicit_names([self._rights.streams], iss)
        if names is not None:
            return await self._named(names, find, after=after, limit=limit, what="streams")
        return await self._filtered(
            fetch, allowed, lambda one: one.stream, after=after, limit=limit, what="streams"
        )

    async def receipt(self, stream: StreamKey, *, epoch: int, seq: int) -> bytes:
        """A receipt, where those of the stream may be seen."""
        await self._demand("receipts", stream)
        return await self._service.receipt(stream, epoch=epoch, seq=seq)

    async def completeness(self, stream: StreamKey, *, since: bytes | None) -> bytes:
        """A completeness proof, where receipts of the stream may be seen."""
        await self._demand("receipts", stream)
        return await self._service.completeness(stream, since=since)

    # --- members, organisations, profiles ----------------------------------------------------

    async def member(self, member: StreamKey) -> MemberInfo | None:
        """A member that may be seen, or whose stream or receipts may."""
        if not await self._may_member(member):
            raise self._deny(f"no rule shows member {'/'.join(member)}")
        return await self._service.member(member)

    async def members(
        self,
        iss: str | None,
        *,
        after: StreamKey | None,
        limit: int,
        roles: frozenset[str] | None = None,
    ) -> Sequence[MemberInfo]:
        """Those members that may be seen, or whose streams or receipts may."""
        rights = self._rights
        if rights is None:
            return await self._service.members(iss, after=after, limit=limit, roles=roles)

        async def fetch(behind: StreamKey | None) -> Sequence[MemberInfo]:
            return await self._service.members(iss, after=behind, limit=LIST_ROWS_MAX, roles=roles)

        async def find(name: StreamKey) -> MemberInfo | None:
            found = await self._service.member(name)
            fits = found is not None and (roles is None or not roles.isdisjoint(found.roles))
            return found if fits else None

        async def allowed(one: MemberInfo) -> bool:
            name = _name_of(one)
            kinds = (rights.members, rights.streams, rights.receipts)
            return any(named.allows(name, one.profile) for named in kinds)

        names = explicit_names([rights.members, rights.streams, rights.receipts], iss)
        if names is not None:
            return await self._named(names, find, after=after, limit=limit, what="members")
        return await self._filtered(
            fetch, allowed, _name_of, after=after, limit=limit, what="members"
        )

    async def organisations(self) -> Sequence[OrganisationInfo]:
        """All organisations, or those of which anything may be seen."""
        found = await self._service.organisations()
        rights = self._rights
        if rights is None or rights.ledger:
            return found
        return self._something([one for one in found if rights.touches(one.iss)], "organisations")

    async def profile(self, *, iss: str, name: str) -> ProfileInfo | None:
        """A profile of an organisation of which anything may be seen."""
        rights = self._rights
        if rights is not None and not (rights.ledger or rights.touches(iss)):
            mine = await self._service.member(tuple(rights.me.split("/"))) if rights.me else None
            if mine is None or (mine.iss, mine.profile) != (iss, name):
                raise self._deny(f"no rule shows anything of {iss}")
        return await self._service.profile(iss=iss, name=name)

    async def profiles(
        self, iss: str | None, *, after: tuple[str, str] | None, limit: int
    ) -> Sequence[ProfileInfo]:
        """Profiles of the organisations of which anything may be seen."""
        rights = self._rights
        if rights is None or rights.ledger:
            return await self._service.profiles(iss, after=after, limit=limit)

        async def fetch(behind: tuple[str, str] | None) -> Sequence[ProfileInfo]:
            return await self._service.profiles(iss, after=behind, limit=LIST_ROWS_MAX)

        async def allowed(one: ProfileInfo) -> bool:
            return rights.touches(one.iss)

        return await self._filtered(
            fetch,
            allowed,
            lambda one: (one.iss, one.name),
            after=after,
            limit=limit,
            what="profiles",
        )

    # --- the ledger's structure --------------------------------------------------------------

    async def block(self, height: int) -> BlockInfo | None:
        """A block, where the ledger as a whole may be seen."""
        self._demand_ledger()
        return await self._service.block(height)

    async def blocks(
        self, *, after: int | None, limit: int, newest_first: bool = False
    ) -> Sequence[BlockInfo]:
        """Blocks, where the ledger as a whole may be seen."""
        self._demand_ledger()
        return await self._service.blocks(after=after, limit=limit, newest_first=newest_first)

    async def outcomes(self, height: int) -> Sequence[OutcomeInfo]:
        """A block's outcomes; of their events those about something that may be seen."""
        self._demand_ledger()
        found = await self._service.outcomes(height)
        if self._rights is None:
            return found
        kept: list[OutcomeInfo] = []
        for one in found:
            shown = await allowed_outcome(one, self._rights, self._service, self._vertex_streams)
            if shown is not None:
                kept.append(shown)
        return kept

    async def vertex(self, vertex_id: bytes) -> VertexInfo | None:
        """A vertex; without its body unless every record in it may be seen."""
        self._demand_ledger()
        found = await self._service.vertex(vertex_id)
        if self._rights is None or found is None or found.body is None:
            return found
        for stream in await self._vertex_streams.all(vertex_id):
            if stream is None or not await self._may("streams", stream):
                return _withheld(found)
        return found

    async def vertices(
        self,
        author: tuple[str, str] | None,
        *,
        after: VertexCursor | None,
        limit: int,
        newest_first: bool = False,
    ) -> Sequence[VertexInfo]:
        """Vertices without bodies, where the ledger as a whole may be seen."""
        self._demand_ledger()
        return await self._service.vertices(
            author, after=after, limit=limit, newest_first=newest_first
        )

    async def tips(self) -> Sequence[VertexInfo]:
        """Vertices without children, where the ledger as a whole may be seen."""
        self._demand_ledger()
        return await self._service.tips()

    async def dag(self, *, after: DagCursor | None, limit: int) -> DagPage:
        """The DAG, where the ledger as a whole may be seen."""
        self._demand_ledger()
        return await self._service.dag(after=after, limit=limit)

    async def dag_changes(self, after: DagCursor | None) -> AsyncIterator[DagPage]:
        """The same as it happens; ends when the visitor may not see it any more."""
        self._demand_ledger()
        source = cast("AsyncGenerator[DagPage]", self._service.dag_changes(after))
        async with aclosing(source) as pages:
            async for page in pages:
                try:
                    self._rights = await self._renew()
                    self._demand_ledger()
                except Refused:
                    return
                yield page

    async def frontier(self) -> Sequence[FrontierInfo]:
        """Every author's last vertex, where the ledger as a whole may be seen."""
        self._demand_ledger()
        return await self._service.frontier()

    async def forks(self) -> Sequence[ForkInfo]:
        """Forks, where the ledger as a whole may be seen."""
        self._demand_ledger()
        return await self._service.forks()

    async def peers(self) -> Sequence[PeerInfo]:
        """Peers and their addresses, where the ledger as a whole may be seen."""
        self._demand_ledger()
        return await self._service.peers()

    # --- events ------------------------------------------------------------------------------

    async def events(self, after: EventCursor | None) -> AsyncIterator[ServiceEvent]:
        """Blocks, and of refusals and events those about something that may be seen.

        Ends when the visitor may not be here any more: asked again with every block.
        """
        source = cast("AsyncGenerator[ServiceEvent]", self._service.events(after))
        async with aclosing(source) as events:
            async for event in events:
                if event.kind == "block":
                    try:
                        self._rights = await self._renew()
                    except Refused:
                        return
                shown: ServiceEvent | None = event
                if self._rights is not None:
                    shown = await allowed_event(
                        event, self._rights, self._service, self._vertex_streams
                    )
                if shown is not None:
                    yield shown

    # --- what may be seen --------------------------------------------------------------------


def _name_of(info: MemberInfo) -> StreamKey:
    return (info.iss, info.sub) if info.device is None else (info.iss, info.sub, info.device)


def _withheld(info: VertexInfo) -> VertexInfo:
    return replace(info, body=None, withheld=True)
