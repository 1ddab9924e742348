"""Streams, their records and their measurements.

A record is addressed by its stream position: there is no index by record id. The readings' list
unfolds packs, so one record may give many rows; its cursor stands between two measurements.
Source: design.md section 3 (streams as runs), the issue's item 5.
"""

from itertools import islice

from fastapi import APIRouter, Request, Response

from drystone.api import rows
from drystone.api.documents import (
    RecordDocument,
    StreamDocument,
    record_document,
    stream_document,
)
from drystone.api.lists import (
    Listed,
    Order,
    decode_cursor,
    encode_cursor,
    negotiate,
    page_of,
    render,
)
from drystone.api.service import Service
from drystone.api.stages import StageRow, stage_rows
from drystone.api.values import FoundRecord, StreamCursor, StreamKey
from drystone.api.views.requests import (
    Epoch,
    Node,
    OnlyIss,
    Seq,
    StreamName,
    ViewedNode,
    add_list,
    media,
    refusals,
)
from drystone.errors import NotAcceptable, NotFound, RequestMalformed

router = APIRouter(tags=["records"])

COSE = "application/cose"
RECORDS_AT_ONCE = 64
"""Records fetched together while packs are unfolded: a pack may be large."""


@add_list(router, "/v1/streams", row=rows.StreamRow)
async def list_streams(
    request: Request, service: ViewedNode, listed: Listed, iss: OnlyIss = None
) -> Response:
    """Streams, of one organisation or of all."""
    after: StreamKey | None = None
    if listed.after is not None:
        after = _stream_of(listed.after)
    found = await service.streams(iss, after=after, limit=listed.limit)
    following = encode_cursor(*found[-1].stream) if len(found) == listed.limit else None
    return render(request, rows.StreamRow, [rows.stream_row(one) for one in found], following)


def _stream_of(cursor: str) -> StreamKey:
    """The stream in a cursor, attested or not."""
    for shape in ((str, str), (str, str, str)):
        try:
            return tuple(decode_cursor(cursor, *shape))
        except RequestMalformed:
            continue
    raise RequestMalformed("after: not a cursor of this list")


@router.get("/v1/streams/{iss}/{sub}", responses=refusals(NotFound, RequestMalformed))
async def get_stream(service: ViewedNode, stream: StreamName) -> StreamDocument:
    """One stream: how many records, which are there, which are missing."""
    found = await service.stream(stream)
    if found is None:
        raise NotFound(f"no record of stream {'/'.join(stream)} was accepted yet")
    return stream_document(found)


@add_list(router, "/v1/streams/{iss}/{sub}/records", row=rows.RecordRow)
async def list_records(
    request: Request, service: Node, stream: StreamName, listed: Listed, order: Order = "asc"
) -> Response:
    """A stream's accepted records, by position; only what is final."""
    after = None
    if listed.after is not None:
        after = StreamCursor(*decode_cursor(listed.after, int, int))
    found = await service.records(
        stream, after=after, limit=listed.limit, newest_first=order == "desc"
    )
    last = found[-1] if len(found) == listed.limit else None
    following = encode_cursor(last.epoch, last.seq) if last else None
    return render(request, rows.RecordRow, [rows.record_row(one) for one in found], following)


@add_list(router, "/v1/streams/{iss}/{sub}/readings", row=rows.ReadingRow)
async def list_readings(
    request: Request, service: Node, stream: StreamName, listed: Listed, order: Order = "asc"
) -> Response:
    """A stream's measurements, one row each: packs unfolded, calls left out; only what is final."""
    page, following = await readings_page(
        service, stream, after=listed.after, limit=listed.limit, newest_first=order == "desc"
    )
    return render(request, rows.ReadingRow, page, following)


async def readings_page(
    service: Service,
    stream: StreamKey,
    *,
    after: str | None,
    limit: int,
    newest_first: bool,
) -> tuple[list[rows.ReadingRow], str | None]:
    """Up to `limit` measurements behind a cursor, and the cursor behind them.

    The cursor is (epoch, seq, measurements of that record already seen).

    Raises: RequestMalformed (the cursor).
    """
    page: list[rows.ReadingRow] = []
    position: StreamCursor | None = None
    seen = 0
    if after is not None:
        epoch, seq, seen = decode_cursor(after, int, int, int)
        position = StreamCursor(epoch, seq)
        found = await service.record(stream, epoch=epoch, seq=seq)
        if found is not None:
            page += islice(_unfold(found, newest_first=newest_first), seen, seen + limit)
            seen += len(page)
    while len(page) < limit:
        batch = await service.records(
            stream,
            after=position,
            limit=min(RECORDS_AT_ONCE, limit),
            newest_first=newest_first,
        )
        for found in batch:
            position, before = StreamCursor(found.epoch, found.seq), len(page)
            page += islice(_unfold(found, newest_first=newest_first), limit - before)
            seen = len(page) - before
            if len(page) == limit:
                break
        if len(batch) < min(RECORDS_AT_ONCE, limit):
            break
    if len(page) < limit or position is None:
        return page, None
    return page, encode_cursor(*position, seen)


def _unfold(found: FoundRecord, *, newest_first: bool) -> list[rows.ReadingRow]:
    measured = list(rows.reading_rows(found))
    return measured[::-1] if newest_first else measured


@router.get(
    "/v1/records/{iss}/{sub}/{epoch}/{seq}",
    response_model=RecordDocument,
    responses={
        **media(COSE, "The record as JSON, or verbatim."),
        **refusals(NotFound, NotAcceptable, RequestMalformed),
    },
)
async def get_record(
    request: Request, service: ViewedNode, stream: StreamName, epoch: Epoch, seq: Seq
) -> Response:
    """One record: as JSON, or with `Accept: application/cose` the signed bytes themselves."""
    found = await service.record(stream, epoch=epoch, seq=seq)
    if found is None:
        raise NotFound(f"no record at {'/'.join(stream)}, epoch {epoch}, sequence {seq}")
    kind = negotiate(request.headers.get("accept"), ("application/json", COSE))
    if kind == COSE:
        if found.raw is None:
            raise NotFound("the record's body was pruned; its place and its receipts remain")
        return Response(found.raw, media_type=COSE, headers={"Vary": "Accept"})
    document = record_document(found)
    return Response(
        document.model_dump_json(), media_type="application/json", headers={"Vary": "Accept"}
    )


@add_list(router, "/v1/records/{iss}/{sub}/{epoch}/{seq}/stages", row=StageRow, also=(NotFound,))
async def list_stages(
    request: Request,
    service: ViewedNode,
    stream: StreamName,
    epoch: Epoch,
    seq: Seq,
    listed: Listed,
) -> Response:
    """A record's way from the sensor to the log: each station, who, when, and who vouches for when."""
    found = await service.record(stream, epoch=epoch, seq=seq)
    if found is None:
        raise NotFound(f"no record at {'/'.join(stream)}, epoch {epoch}, sequence {seq}")
    page, following = page_of(await stage_rows(service, found), listed)
    return render(request, StageRow, page, following)
