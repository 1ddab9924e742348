"""A record's life, station by station: who had it, when as far as anyone knows, and where to look.

The stations are those of `docs/life-of-a-record.md`, seen for one record: the sensor that measured, the device that
signed, the gateway that sealed, the gateways that built on it, the validators that ordered, the ledger that decided,
the log that keeps. A time says who vouches for it: whoever claims it, or a block. Nothing is fetched but vertex and
block, and only for who may see the ledger as a whole. Source: requirement S1.32, design.md section 3.
"""

from typing import Literal

from pydantic import Field

from drystone.api.cells import iso_ms, iso_seconds
from drystone.api.lists import Row
from drystone.api.rows import KINDS, readings_of, record_path
from drystone.api.service import Service
from drystone.api.values import BlockInfo, FoundRecord, VertexInfo
from drystone.records.record import Record, check_form

Vouched = Literal["claim", "block"]


class StageRow(Row):
    """One station of a record."""

    number: int
    stage: str = Field(
        description="`measured`, `signed`, `sealed`, `witnessed`, `ordered`, `decided`, `logged`."
    )
    done: bool
    who: str | None = Field(description="Who did it.")
    time: str | None
    vouched: Vouched | None = Field(
        description="`claim`: whoever did it says so; `block`: the ledger's time, which is proved."
    )
    says: str = Field(description="What happened, in a few words.")
    path: str | None = Field(description="Where to look.")


async def stage_rows(service: Service, found: FoundRecord) -> list[StageRow]:
    """The stations of a record that the ledger has, or that this node foresees."""
    vertex = block = None
    if service.sees_ledger:
        vertex = await service.vertex(found.vertex)
        block = None if found.height is None else await service.block(found.height)
    record = None if found.raw is None else check_form(found.raw)
    rows = [
        *_at_the_device(found, record),
        _sealed(found, vertex),
        _witnessed(found, whole=service.sees_ledger),
        *_at_the_ledger(service, found, block),
    ]
    return [row.model_copy(update={"number": number}) for number, row in enumerate(rows, 1)]


def _at_the_device(found: FoundRecord, record: Record | None) -> list[StageRow]:
    iss, sub, *device = found.stream
    readings = readings_of(record)
    times = [time for *_, time in readings if time is not None]
    kind = "pruned" if record is None else KINDS[record.content_type]
    if kind == "reading":
        count = len(readings)
        measured = f"{count} measurement{'' if count == 1 else 's'}"
    else:
        words = {"call": "a call of a contract", "sealed": "sealed content", "pruned": "pruned"}
        measured = words[kind]
    signed = f"number {found.seq} of epoch {found.epoch}"
    if record is not None:
        signed += f", key {record.kid.hex()}"
        signed += "" if record.anchor is None else f", after state {record.anchor.hex()}"
    if device:
        signed += "; the device has no key"
    issued = None if record is None else iso_seconds(record.iat)
    where = f"/devices/{iss}/{sub}" + (f"?device={device[0]}" if device else "")
    return [
        StageRow(
            number=0,
            stage="measured",
            done=True,
            who=f"{iss}/{device[0] if device else sub}",
            time=iso_seconds(times[0]) if times else None,
            vouched="claim" if times else None,
            says=measured,
            path=where,
        ),
        StageRow(
            number=0,
            stage="signed",
            done=True,
            who=f"{iss}/{sub}",
            time=issued,
            vouched=None if issued is None else "claim",
            says=signed,
            path=f"/devices/{iss}/{sub}",
        ),
    ]


def _sealed(found: FoundRecord, vertex: VertexInfo | None) -> StageRow:
    place = found.place
    says = f"item {place.index} of vertex {place.epoch}/{place.seq}"
    if vertex is not None:
        says += f", which holds {vertex.count}"
    time = None if vertex is None else iso_ms(vertex.time_ms)
    return StageRow(
        number=0,
        stage="sealed",
        done=True,
        who=f"{place.iss}/{place.sub}",
        time=time,
        vouched=None if time is None else "claim",
        says=says,
        path=None if vertex is None else f"/vertices/{found.vertex.hex()}",
    )


def _witnessed(found: FoundRecord, *, whole: bool) -> StageRow:
    count = found.witnesses or 0
    return StageRow(
        number=0,
        stage="witnessed",
        done=count > 0,
        who=None,
        time=None,
        vouched=None,
        says=f"{count} other gateway{'' if count == 1 else 's'} built on its vertex",
        path="/dag" if whole else None,
    )


def _at_the_ledger(service: Service, found: FoundRecord, block: BlockInfo | None) -> list[StageRow]:
    final = found.height is not None
    time = iso_ms(found.time_ms) if final else None
    ordered = "no block orders its vertex yet"
    if final:
        ordered = f"block {found.height}"
        if block is not None:
            place = block.vertices.index(found.vertex) + 1
            ordered += f", vertex {place} of {len(block.vertices)}"
    logged = "not in the log yet"
    if found.log_index is not None:
        logged = f"entry {found.log_index} of the log; its receipt proves it offline"
    receipt = record_path(found.stream, epoch=found.epoch, seq=found.seq, under="receipts")
    vouched: Vouched | None = "block" if final else None
    where = None if block is None else f"/blocks/{found.height}"
    engine = service.info.engine
    return [
        StageRow(
            number=0,
            stage="ordered",
            done=final,
            who=f"{engine} engine",
            time=time,
            vouched=vouched,
            says=ordered,
            path=where,
        ),
        StageRow(
            number=0,
            stage="decided",
            done=final,
            who=service.info.origin,
            time=time,
            vouched=vouched,
            says=found.outcome if final else f"{found.outcome}, provisional",
            path=where,
        ),
        StageRow(
            number=0,
            stage="logged",
            done=found.log_index is not None,
            who=service.info.origin,
            time=time,
            vouched=vouched,
            says=logged,
            path=receipt if final else None,
        ),
    ]
