"""Rows of lists: flat, one line each, ready for a table, a spreadsheet or a dashboard.

Every row is a pydantic model, so that OpenAPI describes it and CSV knows its columns. Bytes are
hex in JSON and CSV; times are ISO 8601; numbers are exact (`cells.py`). Made from the values of
`values.py`; nothing is fetched here. Source: the issue's item 5 (lists), conventions.md (Grafana).
"""

import json
from collections.abc import Iterator
from typing import Literal, cast

from pydantic import Field

from drystone.api.cells import iso_ms, iso_seconds, plain, value_cell
from drystone.api.lists import Hex, Row
from drystone.api.values import (
    BlockInfo,
    FoundRecord,
    MemberInfo,
    OrganisationInfo,
    OutcomeInfo,
    ProfileInfo,
    StreamInfo,
    StreamKey,
    VertexInfo,
)
from drystone.formats import cose
from drystone.gateway.answer import FINAL, PROVISIONAL, Finality
from drystone.records.payload import Reading
from drystone.records.record import Record, check_form
from drystone.records.stream import gaps

Kind = Literal["reading", "call", "sealed", "pruned"]
FINALITY = "`final`: the ledger's order says so; `provisional`: this node foresees it."
KINDS: dict[int, Kind] = {cose.SENML: "reading", cose.CBOR: "call", cose.ENCRYPT0: "sealed"}


def device_of(stream: StreamKey) -> str | None:
    """The attested device of a stream, None where the member signs for itself."""
    return stream[2] if len(stream) == 3 else None


def record_path(stream: StreamKey, *, epoch: int, seq: int, under: str) -> str:
    """Path of a record's resource, `under` being `v1/records`, `v1/receipts` or `receipts`."""
    device = device_of(stream)
    query = f"?device={device}" if device else ""
    return f"/{under}/{stream[0]}/{stream[1]}/{epoch}/{seq}{query}"


class RecordRow(Row):
    """One accepted record."""

    iss: str
    sub: str
    device: str | None = Field(description="The unsigned device that `sub`, a gateway, attests.")
    epoch: int
    seq: int
    kind: Kind
    finality: Finality = Field(description=FINALITY)
    claimed: str | None = Field(description="Time the record claims; nobody vouches for it.")
    committed: str | None = Field(
        description="Time of the block: the record existed by then; null while provisional."
    )
    height: int | None
    log_index: int | None
    measurements: int
    length: int | None = Field(description="Bytes of the record; null once pruned.")
    id: Hex | None
    vertex: Hex
    vertex_index: int = Field(description="Of the record within the vertex, from 0.")
    receipt: str | None = Field(description="Path of the record's receipt; null while provisional.")


def record_row(found: FoundRecord) -> RecordRow:
    """The row of an accepted record, parsed from its bytes where they are kept."""
    record = None if found.raw is None else check_form(found.raw)
    readings = readings_of(record)
    claimed = readings[0][3] if readings and readings[0][3] is not None else None
    if record is not None and claimed is None:
        claimed = record.iat
    return RecordRow(
        iss=found.stream[0],
        sub=found.stream[1],
        device=device_of(found.stream),
        epoch=found.epoch,
        seq=found.seq,
        kind="pruned" if record is None else KINDS[record.content_type],
        finality=finality_of(final=found.height is not None),
        claimed=iso_seconds(claimed),
        committed=iso_ms(found.time_ms),
        height=found.height,
        log_index=found.log_index,
        measurements=len(readings),
        length=None if found.raw is None else len(found.raw),
        id=None if record is None else record.id,
        vertex=found.vertex,
        vertex_index=found.place.index,
        receipt=_receipt_path(found),
    )


def finality_of(*, final: bool) -> Finality:
    """The mark that records, values and outcomes carry."""
    return FINAL if final else PROVISIONAL


def _receipt_path(found: FoundRecord) -> str | None:
    if found.height is None:
        return None
    return record_path(found.stream, epoch=found.epoch, seq=found.seq, under="v1/receipts")


def readings_of(record: Record | None) -> tuple[Reading, ...]:
    """The measurements of a reading; empty for a call, a sealed or a pruned record."""
    if record is None or record.content_type != cose.SENML:
        return ()
    return cast("tuple[Reading, ...]", record.content)


class ReadingRow(Row):
    """One measurement of an accepted record."""

    iss: str
    sub: str
    device: str | None
    epoch: int
    seq: int
    name: str
    value: int | str | bool = Field(
        description="As signed: an integer, or exact decimal digits as text."
    )
    unit: str | None
    time: str | None = Field(description="Time the device claims for this measurement.")
    finality: Finality = Field(description=FINALITY)
    committed: str | None
    height: int | None
    log_index: int | None
    receipt: str | None


def reading_rows(found: FoundRecord) -> Iterator[ReadingRow]:
    """The rows of an accepted record's measurements; none for calls, sealed and pruned records."""
    if found.raw is None:
        return
    record = check_form(found.raw)
    for name, unit, value, time in readings_of(record):
        yield ReadingRow(
            iss=found.stream[0],
            sub=found.stream[1],
            device=device_of(found.stream),
            epoch=found.epoch,
            seq=found.seq,
            name=name,
            value=cast("int | str | bool", value_cell(value)),
            unit=unit,
            time=iso_seconds(time if time is not None else record.iat),
            finality=finality_of(final=found.height is not None),
            committed=iso_ms(found.time_ms),
            height=found.height,
            log_index=found.log_index,
            receipt=_receipt_path(found),
        )


class StreamRow(Row):
    """One stream."""

    iss: str
    sub: str
    device: str | None
    records: int
    runs: int
    missing: int = Field(description="Sequence numbers that lie in gaps.")
    epoch: int | None
    last: int | None = Field(description="Highest sequence number of the last epoch.")
    digest: Hex
    finality: Finality = Field(description=FINALITY)


def stream_row(info: StreamInfo) -> StreamRow:
    """The row of a stream's state."""
    state = info.state
    last = state.runs[-1] if state.runs else None
    return StreamRow(
        iss=info.stream[0],
        sub=info.stream[1],
        device=device_of(info.stream),
        records=state.count,
        runs=len(state.runs),
        missing=sum(gap.last - gap.first + 1 for gap in gaps(state)),
        epoch=last.epoch if last else None,
        last=last.last if last else None,
        digest=state.digest,
        finality=finality_of(final=info.final),
    )


class MemberRow(Row):
    """One member: a device, a gateway, an enroller ... by its roles."""

    iss: str
    sub: str
    device: str | None = Field(description="The attested device; `sub` is then its gateway.")
    status: str
    roles: str = Field(description="Separated by spaces.")
    profile: str | None
    kid: Hex | None


def member_row(info: MemberInfo) -> MemberRow:
    """The row of a member."""
    return MemberRow(
        iss=info.iss,
        sub=info.sub,
        device=info.device,
        status=info.status,
        roles=" ".join(info.roles),
        profile=info.profile,
        kid=info.kid or None,
    )


class OrganisationRow(Row):
    """One organisation."""

    iss: str
    name: str
    status: str
    members: int


def organisation_row(info: OrganisationInfo) -> OrganisationRow:
    """The row of an organisation."""
    return OrganisationRow(iss=info.iss, name=info.name, status=info.status, members=info.members)


class ProfileRow(Row):
    """One kind of device."""

    iss: str
    name: str
    rule: str
    visibility: str
    measurements: str = Field(description="`name unit` of each, separated by commas.")
    register_name: str | None
    register_exponent: int | None


def profile_row(info: ProfileInfo) -> ProfileRow:
    """The row of a profile."""
    listed = [f"{name} {unit}" if unit else name for name, unit in info.measurements]
    return ProfileRow(
        iss=info.iss,
        name=info.name,
        rule=info.rule,
        visibility=info.visibility,
        measurements=", ".join(listed),
        register_name=info.register[0] if info.register else None,
        register_exponent=info.register[1] if info.register else None,
    )


class BlockRow(Row):
    """One block."""

    height: int
    time: str
    records: int
    accepted: int
    vertices: int
    log_size: int
    head: Hex
    state: Hex


def block_row(info: BlockInfo) -> BlockRow:
    """The row of a block."""
    return BlockRow(
        height=info.height,
        time=cast("str", iso_ms(info.time_ms)),
        records=info.records,
        accepted=info.codes.get("accepted", 0),
        vertices=len(info.vertices),
        log_size=info.size,
        head=info.head,
        state=info.state,
    )


class VertexRow(Row):
    """One vertex."""

    iss: str
    sub: str
    epoch: int
    seq: int
    id: Hex
    parent: Hex | None
    links: int
    claimed: str | None
    records: int
    length: int
    witnesses: int
    height: int | None = Field(description="Block that orders it; null while it is pending.")
    finality: Finality = Field(description=FINALITY)


def vertex_row(info: VertexInfo) -> VertexRow:
    """The row of a vertex."""
    return VertexRow(
        iss=info.iss,
        sub=info.sub,
        epoch=info.epoch,
        seq=info.seq,
        id=info.id,
        parent=info.parent,
        links=len(info.links),
        claimed=iso_ms(info.time_ms),
        records=info.count,
        length=info.length,
        witnesses=info.witnesses,
        height=info.height,
        finality=finality_of(final=info.height is not None),
    )


class OutcomeRow(Row):
    """What became of a record that was not plainly accepted, or of a whole vertex."""

    height: int
    vertex: Hex
    record: int | None = Field(description="Index within the vertex; null: the whole vertex.")
    code: str
    steps: int
    events: int
    finality: Finality = Field(description=FINALITY)


def outcome_row(info: OutcomeInfo, *, height: int) -> OutcomeRow:
    """The row of an outcome in the block of this height."""
    return OutcomeRow(
        height=height,
        vertex=info.vertex,
        record=info.record,
        code=info.code,
        steps=info.steps,
        events=len(info.events),
        finality=FINAL,
    )


class EventRow(Row):
    """What the ledger or a contract says about a record."""

    height: int
    vertex: Hex
    record: int | None
    contract: str
    name: str
    data: str = Field(description="JSON, bytes as hex.")


def event_rows(info: OutcomeInfo, *, height: int) -> Iterator[EventRow]:
    """The rows of an outcome's events."""
    for event in info.events:
        yield EventRow(
            height=height,
            vertex=info.vertex,
            record=info.record,
            contract=event.contract,
            name=event.name,
            data=json.dumps(plain(event.data), ensure_ascii=False, sort_keys=True),
        )
