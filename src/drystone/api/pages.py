"""Pages to look at: server-rendered, readable on a phone, with nothing from outside.

They show what the REST API answers and nothing else, through the same rows and documents. Scripts
only refresh what the server rendered and draw charts: every page says all it has without them. The
policy allows this node's own files and no inline script. Source: the issue's item 8, requirement
S3.8 (fields of a data block), design.md section 2 (words).
"""

import re
from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import RedirectResponse

from drystone.api import contract_pages, dag_pages, reference, rows, sheets
from drystone.api.documents import (
    health_document,
    ledger_document,
    member_document,
    record_document,
    stream_document,
)
from drystone.api.lists import Listed, decode_cursor, encode_cursor
from drystone.api.problems import Problem
from drystone.api.proof_documents import block_document, receipt_document, vertex_document
from drystone.api.service import Service
from drystone.api.stages import stage_rows
from drystone.api.templates import HTML, render_page, static_response, verify_response
from drystone.api.values import BlockInfo, FoundRecord, OrganisationInfo, StreamCursor
from drystone.api.views.members import name_of
from drystone.api.views.requests import (
    ID_PATTERN,
    Epoch,
    Hash,
    Height,
    Node,
    OnlyIss,
    Seq,
    StreamName,
)
from drystone.errors import NotFound, Refused
from drystone.ledger import keyspace
from drystone.proof import moments, report
from drystone.proof.completeness import Point, encode_point
from drystone.proof.receipt import detach_receipts
from drystone.proof.trust import parse_trust
from drystone.proof.verdict import Verdict
from drystone.proof.verify import verify
from drystone.records.record import check_form

router = APIRouter(include_in_schema=False, default_response_class=HTML)

BLOCKS_SHOWN: Final = 40
BLOCKS_PAGE: Final = 50
VERTICES_SHOWN: Final = 100
DEVICES_SHOWN: Final = 8
DEVICES_ASKED: Final = 24
DEVICES_PAGE: Final = 50
RECORDS_SHOWN: Final = 25

ID: Final = re.compile(ID_PATTERN.strip("^$"))

Find = Annotated[str | None, Query(max_length=200)]


@router.get("/")
async def overview(request: Request, service: Node) -> Response:
    """Is it well, what came last, who is there."""
    blocks: Sequence[BlockInfo] = ()
    organisations: Sequence[OrganisationInfo] = ()
    if service.sees_ledger:
        blocks = await service.blocks(after=None, limit=BLOCKS_SHOWN, newest_first=True)
        organisations = await service.organisations()
    devices = await sheets.device_lines(service, None, after=None, limit=DEVICES_ASKED)
    return render_page(
        request,
        "overview.html",
        health=health_document(await service.health()),
        ledger=ledger_document(service.info, await service.head()),
        blocks=[rows.block_row(one) for one in blocks],
        devices=sheets.busiest(devices, DEVICES_SHOWN),
        more=len(devices) > DEVICES_SHOWN,
        organisations=[rows.organisation_row(one) for one in organisations],
        whole=service.sees_ledger,
    )


@router.get("/devices")
async def device_list(
    request: Request, service: Node, listed: Listed, iss: OnlyIss = None, find: Find = None
) -> Response:
    """Devices, a page at a time; `find` goes straight to one."""
    if find is not None:
        parts = tuple(part for part in find.strip().split("/") if part)
        if len(parts) in {2, 3} and all(map(ID.fullmatch, parts)) and await service.member(parts):
            return RedirectResponse(sheets.device_path(parts), status_code=303)
    lines = await sheets.device_lines(service, iss, after=name_of(listed.after), limit=DEVICES_PAGE)
    return render_page(
        request,
        "devices.html",
        devices=lines,
        iss=iss,
        find=find,
        first=listed.after is None,
        following=encode_cursor(*lines[-1].name) if len(lines) == DEVICES_PAGE else None,
    )


@router.get("/devices/{iss}/{sub}")
async def device(request: Request, service: Node, stream: StreamName, listed: Listed) -> Response:
    """One device: its readings as chart and table, what is missing, its keys."""
    member = await service.member(stream)
    if member is None:
        raise NotFound(f"no member {'/'.join(stream)}")
    state = await service.stream(stream)
    foreseen = await service.provisional().stream(stream)
    after = None
    if listed.after is not None:
        after = StreamCursor(*decode_cursor(listed.after, int, int))
    sheet = await sheets.record_sheet(service, stream, after=after, limit=RECORDS_SHOWN)
    profile = None
    if member.profile is not None:
        profile = await service.profile(iss=member.iss, name=member.profile)
    return render_page(
        request,
        "device.html",
        who="/".join(stream),
        member=member_document(member),
        attested=member.device is not None,
        stream=None if state is None else stream_document(state),
        foreseen=None if foreseen is None or foreseen.final else stream_document(foreseen),
        profile=None if profile is None else rows.profile_row(profile),
        sheet=sheet,
        newest=after is None,
        path=sheets.device_path(stream),
        following=encode_cursor(*sheet.next) if sheet.next else None,
    )


@router.get("/blocks")
async def block_list(request: Request, service: Node, listed: Listed) -> Response:
    """Blocks, the newest first."""
    after = None if listed.after is None else decode_cursor(listed.after, int)[0]
    found = await service.blocks(after=after, limit=BLOCKS_PAGE, newest_first=True)
    return render_page(
        request,
        "blocks.html",
        blocks=[rows.block_row(one) for one in found],
        first=after is None,
        following=encode_cursor(found[-1].height) if len(found) == BLOCKS_PAGE else None,
    )


@router.get("/blocks/{height}")
async def block(request: Request, service: Node, height: Height) -> Response:
    """One block: the fields of a data block, and what it holds."""
    found = await service.block(height)
    if found is None:
        raise NotFound(f"no block {height}")
    outcomes = await service.outcomes(height)
    vertices = [await service.vertex(one) for one in found.vertices[:VERTICES_SHOWN]]
    return render_page(
        request,
        "block.html",
        block=block_document(found),
        latest=(await service.head()).height,
        engine=service.info.engine,
        vertices=[rows.vertex_row(one) for one in vertices if one is not None],
        outcomes=[rows.outcome_row(one, height=height) for one in outcomes],
        events=[row for one in outcomes for row in rows.event_rows(one, height=height)],
    )


@router.get("/vertices/{vertex_id}")
async def vertex(request: Request, service: Node, vertex_id: Hash) -> Response:
    """One vertex: who sealed it, on what it stands, which records it holds."""
    found = await service.vertex(bytes.fromhex(vertex_id))
    if found is None:
        raise NotFound(f"no vertex {vertex_id}")
    return render_page(
        request, "vertex.html", vertex=vertex_document(found), lines=sheets.body_lines(found)
    )


async def _key_point(service: Service, found: FoundRecord) -> bytes | None:
    """Proof of the key that the record names, so that its own signature is checked too."""
    if found.raw is None:
        return None
    record = check_form(found.raw)
    proof = await service.state(keyspace.member_key(record.iss, record.sub, record.kid))
    return encode_point(Point(proof.value, proof.ics23, proof.block, proof.receipt))


@router.get("/receipts/{iss}/{sub}/{epoch}/{seq}")
async def receipt(
    request: Request, service: Node, stream: StreamName, epoch: Epoch, seq: Seq
) -> Response:
    """One record's receipt: what it says, what it proves, what it does not, and the files."""
    found = await service.record(stream, epoch=epoch, seq=seq)
    if found is None:
        raise NotFound(f"no record at {'/'.join(stream)}, epoch {epoch}, sequence {seq}")
    statement = await service.receipt(stream, epoch=epoch, seq=seq)
    try:
        trust = parse_trust(await service.trust())
        verdict: Verdict | None = verify(
            statement, trust, key_point=await _key_point(service, found)
        )
        doubt = ""
    except Refused as error:
        verdict, doubt = None, f"{error.code}: {error}"
    return render_page(
        request,
        "receipt.html",
        who="/".join(stream),
        path=sheets.device_path(stream),
        record=record_document(found),
        readings=list(rows.reading_rows(found)),
        receipt=receipt_document(statement, detach_receipts(statement)),
        files=rows.record_path(stream, epoch=epoch, seq=seq, under="v1/receipts"),
        verdict=verdict,
        doubt=doubt,
        proved=report.proved(verdict) if verdict else [],
        unproved=report.unproved(verdict) if verdict else [],
        proven=moments.rows(verdict) if verdict else [],
        stages=await stage_rows(service, found),
    )


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The REST API for people, made from its description."""
    description = reference.document(request.app)
    return render_page(
        request,
        "docs.html",
        text=description["info"]["description"],
        groups=reference.groups(description),
    )


@router.get("/docs/errors")
async def docs_errors(request: Request) -> Response:
    """Every code with what to do about it; problem documents point here."""
    return render_page(request, "errors.html", errors=reference.error_lines())


@router.get("/verify.html")
async def verify_page() -> Response:
    """The verifier that runs in the browser, with no network."""
    return verify_response()


@router.get("/static/{path:path}")
async def static(request: Request, path: str) -> Response:
    """One of the styles and scripts of these pages."""
    return static_response(request, path)


def problem_page(request: Request, problem: Problem) -> Response:
    """A problem as a page, for people who followed a link."""
    return render_page(request, "problem.html", problem.status, problem=problem)


def install(app: FastAPI) -> None:
    """Adds the pages to the application."""
    app.include_router(router)
    app.include_router(contract_pages.router)
    app.include_router(dag_pages.router)
