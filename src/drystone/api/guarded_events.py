"""Events as one visitor may see them: those about a record, a member or a contract that they may see.

An event belongs to the record it came from, and so to that record's stream. Gateways' vertices mix
many streams: which record is whose is read from their bodies, once per vertex. Source: issue 4
item 2, requirement S2.5.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from drystone.api.values import EventInfo, OutcomeInfo, ServiceEvent, StreamKey
from drystone.errors import Refused
from drystone.records.record import check_form, stream_id

if TYPE_CHECKING:
    from drystone.api.service import Service
    from drystone.formats.cbor import Value
    from drystone.ledger.read_rights import Named, ReadRights

VERTICES_REMEMBERED: Final = 64
PUBLIC_BLOCK: Final = frozenset({"height", "time_ms", "size"})
"""What of a block's event the public checkpoint says too."""
REGISTRY: Final = "registry"
OWN_PARTS: Final = frozenset({"contracts", "governance"})


class VertexStreams:
    """Which stream each record of a vertex belongs to; the last vertices are remembered."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._known: OrderedDict[bytes, tuple[StreamKey | None, ...]] = OrderedDict()

    async def all(self, vertex_id: bytes) -> Sequence[StreamKey | None]:
        """The stream of each record; None where it is unreadable; nothing where the body is gone."""
        known = self._known.get(vertex_id)
        if known is None:
            found = await self._service.vertex(vertex_id)
            body = () if found is None or found.body is None else found.body
            known = self._known[vertex_id] = tuple(map(_stream_of, body))
            if len(self._known) > VERTICES_REMEMBERED:
                self._known.popitem(last=False)
        return known

    async def at(self, vertex_id: bytes, record: int | None) -> StreamKey | None:
        """The stream of one record; None where nobody can tell."""
        streams = await self.all(vertex_id) if record is not None else ()
        return streams[record] if record is not None and record < len(streams) else None


def _stream_of(raw: bytes) -> StreamKey | None:
    try:
        return stream_id(check_form(raw))
    except Refused:
        return None


async def allowed_outcome(
    info: OutcomeInfo, rights: ReadRights, service: Service, streams: VertexStreams
) -> OutcomeInfo | None:
    """An outcome with those of its events that may be seen; None where nothing is left to say."""
    stream = await streams.at(info.vertex, info.record)
    events: list[EventInfo] = []
    for one in info.events:
        data = cast("Mapping[str, Value]", one.data if isinstance(one.data, dict) else {})
        if await _may_hear(one.contract, data, stream, rights, service):
            events.append(one)
    if info.code == "accepted" and not events:
        return None
    return replace(info, events=tuple(events))


async def allowed_event(
    event: ServiceEvent, rights: ReadRights, service: Service, streams: VertexStreams
) -> ServiceEvent | None:
    """An event as a visitor may hear it; None: not at all."""
    if event.kind == "block":
        if rights.ledger:
            return event
        told = {name: value for name, value in event.data.items() if name in PUBLIC_BLOCK}
        return replace(event, data=told)
    vertex, record = bytes.fromhex(str(event.data["vertex"])), event.data["record"]
    stream = await streams.at(vertex, record if isinstance(record, int) else None)
    if event.kind == "outcome":
        heard = rights.ledger or await _may_see(stream, rights.streams, service)
        return event if heard else None
    data = event.data["data"]
    about = cast("Mapping[str, Value]", data if isinstance(data, dict) else {})
    if await _may_hear(str(event.data["contract"]), about, stream, rights, service):
        return event
    return None


async def _may_hear(
    contract: str,
    data: Mapping[str, Value],
    stream: StreamKey | None,
    rights: ReadRights,
    service: Service,
) -> bool:
    if contract in OWN_PARTS:
        return rights.ledger
    if contract == REGISTRY:
        return await _may_hear_registry(data, rights, service)
    if await _may_see(stream, rights.streams, service):
        return True
    if contract == "stream":
        return False
    found = await service.contract(contract)
    return found is not None and rights.allows_value(found.owner, contract, ())


async def _may_hear_registry(
    data: Mapping[str, Value], rights: ReadRights, service: Service
) -> bool:
    """Events of the registry name a member, or an organisation alone."""
    iss, sub, device = (data.get(name) for name in ("iss", "sub", "device"))
    if not isinstance(iss, str):
        return rights.ledger
    if not isinstance(sub, str):
        return rights.ledger or rights.touches(iss)
    name = (iss, sub) if not isinstance(device, str) else (iss, sub, device)
    kinds = (rights.members, rights.streams, rights.receipts)
    return any([await _may_see(name, kind, service) for kind in kinds])


async def _may_see(stream: StreamKey | None, named: Named, service: Service) -> bool:
    if stream is None:
        return False
    if named.allows(stream):
        return True
    if not any(iss == stream[0] for iss, _ in named.profiles):
        return False
    member = await service.member(stream)
    return member is not None and named.allows(stream, member.profile)
