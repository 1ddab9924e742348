"""Tables as pages show them: a line per device, a line per record with its measurements beside it.

The REST API's rows are flat; people read a record's measurements side by side. Everything here is
made from those rows and fetched through the same service. Source: the issue's item 8.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from drystone.api import rows
from drystone.api.service import Service
from drystone.api.templates import says_of
from drystone.api.values import FoundRecord, MemberInfo, StreamCursor, StreamKey, VertexInfo
from drystone.api.views.members import DEVICE_ROLES, member_name
from drystone.errors import Refused
from drystone.records.record import check_form, stream_id

COLUMNS_MAX: Final = 4
BODY_LINES_MAX: Final = 200


def device_path(stream: StreamKey) -> str:
    """Path of a device's page."""
    query = f"?device={stream[2]}" if len(stream) == 3 else ""
    return f"/devices/{stream[0]}/{stream[1]}{query}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLine:
    """A device as lists show it: who it is, how its stream stands, what it said last."""

    name: StreamKey
    path: str
    member: rows.MemberRow
    stream: rows.StreamRow | None
    last: rows.ReadingRow | None


async def _device_line(service: Service, info: MemberInfo) -> DeviceLine:
    name = member_name(info)
    state, newest = await asyncio.gather(
        service.stream(name), service.records(name, after=None, limit=1, newest_first=True)
    )
    return DeviceLine(
        name=name,
        path=device_path(name),
        member=rows.member_row(info),
        stream=None if state is None else rows.stream_row(state),
        last=next(iter(rows.reading_rows(newest[0])), None) if newest else None,
    )


async def device_lines(
    service: Service, iss: str | None, *, after: StreamKey | None, limit: int
) -> list[DeviceLine]:
    """Lines of up to `limit` devices behind a cursor, in the order of their state keys."""
    found = await service.members(iss, after=after, limit=limit, roles=DEVICE_ROLES)
    return [await _device_line(service, info) for info in found]


def busiest(lines: Sequence[DeviceLine], count: int) -> list[DeviceLine]:
    """The `count` lines whose last reading is the newest; silent devices come last."""
    order = sorted(lines, key=lambda line: (line.last and line.last.committed) or "", reverse=True)
    return order[:count]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLine:
    """A record with its measurements under the sheet's columns; `others` did not find one."""

    record: rows.RecordRow
    time: str | None
    values: tuple[rows.ReadingRow | None, ...]
    others: int
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSheet:
    """Records as lines, measurements as columns: `(name, unit)` of each."""

    columns: tuple[tuple[str, str | None], ...]
    lines: tuple[RecordLine, ...]
    next: StreamCursor | None


async def record_sheet(
    service: Service, stream: StreamKey, *, after: StreamCursor | None, limit: int
) -> RecordSheet:
    """The newest records behind a cursor; the columns are the first few measurements they have.

    A record that measures one name several times (a packed series) shows the last of them.
    """
    found = await service.records(stream, after=after, limit=limit, newest_first=True)
    measured = [list(rows.reading_rows(one)) for one in found]
    seen = dict.fromkeys((row.name, row.unit) for one in measured for row in one)
    columns = tuple(seen)[:COLUMNS_MAX]
    last = found[-1] if len(found) == limit else None
    return RecordSheet(
        columns=columns,
        lines=tuple(
            _record_line(one, own, columns) for one, own in zip(found, measured, strict=True)
        ),
        next=StreamCursor(last.epoch, last.seq) if last else None,
    )


def _record_line(
    found: FoundRecord,
    measured: Sequence[rows.ReadingRow],
    columns: tuple[tuple[str, str | None], ...],
) -> RecordLine:
    by_column = {(row.name, row.unit): row for row in measured}
    values = tuple(by_column.get(column) for column in columns)
    record = rows.record_row(found)
    return RecordLine(
        record=record,
        time=measured[-1].time if measured else record.claimed,
        values=values,
        others=len(measured) - sum(value is not None for value in values),
        page=rows.record_path(found.stream, epoch=found.epoch, seq=found.seq, under="receipts"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLine:
    """A record of a vertex's body: whose, what it says, or why it is unreadable."""

    index: int
    name: str
    path: str
    says: str
    receipt: str | None


def body_lines(info: VertexInfo) -> list[BodyLine]:
    """The first records of a vertex's body; empty where it was pruned."""
    return [
        _body_line(index, raw, ordered=info.height is not None)
        for index, raw in enumerate((info.body or ())[:BODY_LINES_MAX])
    ]


def _body_line(index: int, raw: bytes, *, ordered: bool) -> BodyLine:
    try:
        record = check_form(raw)
    except Refused as error:
        # The ledger keeps what a gateway sealed, readable or not: its outcome has the same code.
        return BodyLine(index=index, name="", path="", says=error.code, receipt=None)
    name = stream_id(record)
    measured = rows.readings_of(record)
    receipt = rows.record_path(name, epoch=record.epoch, seq=record.seq, under="receipts")
    return BodyLine(
        index=index,
        name="/".join(name),
        path=device_path(name),
        says=says_of(measured) if measured else rows.KINDS[record.content_type],
        receipt=receipt if ordered else None,
    )
