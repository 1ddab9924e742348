"""Blocks, vertices and tips: what was ordered, and what waits to be.

Heights rise without gaps among non-empty blocks; an empty block appends nothing and has none.
Source: design.md sections 3.3 to 3.7, requirement S3.8.
"""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from drystone.api import rows
from drystone.api.lists import (
    CBOR,
    Listed,
    Order,
    decode_cursor,
    encode_cursor,
    negotiate,
    page_of,
    render,
)
from drystone.api.proof_documents import (
    BlockDocument,
    VertexDocument,
    block_document,
    vertex_document,
)
from drystone.api.service import Service
from drystone.api.values import OutcomeInfo, VertexCursor
from drystone.api.views.requests import (
    ID_PATTERN,
    Hash,
    Height,
    Node,
    OnlyIss,
    add_list,
    media,
    refusals,
)
from drystone.errors import NotAcceptable, NotFound, RequestMalformed
from drystone.records.vertex import encode_vertex

router = APIRouter(tags=["blocks"])

OnlySub = Annotated[
    str | None, Query(pattern=ID_PATTERN, description="Only this author's; needs `iss`.")
]


@add_list(router, "/v1/blocks", row=rows.BlockRow)
async def list_blocks(
    request: Request, service: Node, listed: Listed, order: Order = "asc"
) -> Response:
    """Blocks by height."""
    after = None
    if listed.after is not None:
        (after,) = decode_cursor(listed.after, int)
    found = await service.blocks(after=after, limit=listed.limit, newest_first=order == "desc")
    following = encode_cursor(found[-1].height) if len(found) == listed.limit else None
    return render(request, rows.BlockRow, [rows.block_row(one) for one in found], following)


@router.get("/v1/blocks/{height}", responses=refusals(NotFound, RequestMalformed))
async def get_block(service: Node, height: Height) -> BlockDocument:
    """One block: version, previous head, time, roots, and what it holds."""
    found = await service.block(height)
    if found is None:
        raise NotFound(f"no block {height}")
    return block_document(found)


@add_list(router, "/v1/blocks/{height}/outcomes", row=rows.OutcomeRow, also=(NotFound,))
async def list_outcomes(
    request: Request, service: Node, height: Height, listed: Listed
) -> Response:
    """A block's outcomes other than a plain `accepted`: refusals, duplicates, and events."""
    listing = [rows.outcome_row(one, height=height) for one in await _outcomes(service, height)]
    page, following = page_of(listing, listed)
    return render(request, rows.OutcomeRow, page, following)


@add_list(router, "/v1/blocks/{height}/events", row=rows.EventRow, also=(NotFound,))
async def list_block_events(
    request: Request, service: Node, height: Height, listed: Listed
) -> Response:
    """What ledger and contracts said about a block's records: a gap opened, a key rotated ..."""
    listing = [
        row
        for one in await _outcomes(service, height)
        for row in rows.event_rows(one, height=height)
    ]
    page, following = page_of(listing, listed)
    return render(request, rows.EventRow, page, following)


async def _outcomes(service: Service, height: int) -> Sequence[OutcomeInfo]:
    if await service.block(height) is None:
        raise NotFound(f"no block {height}")
    return await service.outcomes(height)


@add_list(router, "/v1/vertices", row=rows.VertexRow)
async def list_vertices(
    request: Request,
    service: Node,
    listed: Listed,
    iss: OnlyIss = None,
    sub: OnlySub = None,
    order: Order = "asc",
) -> Response:
    """Vertices by author and number; of one author with `iss` and `sub`, or of all."""
    if (iss is None) != (sub is None):
        raise RequestMalformed("an author is named by iss and sub together")
    after = None
    if listed.after is not None:
        after = VertexCursor(*decode_cursor(listed.after, str, str, int, int))
    found = await service.vertices(
        None if iss is None or sub is None else (iss, sub),
        after=after,
        limit=listed.limit,
        newest_first=order == "desc",
    )
    last = found[-1] if len(found) == listed.limit else None
    following = encode_cursor(last.iss, last.sub, last.epoch, last.seq) if last else None
    return render(request, rows.VertexRow, [rows.vertex_row(one) for one in found], following)


@router.get(
    "/v1/vertices/{vertex_id}",
    response_model=VertexDocument,
    responses={
        **media(CBOR, "The vertex as JSON, or verbatim."),
        **refusals(NotFound, NotAcceptable, RequestMalformed),
    },
)
async def get_vertex(request: Request, service: Node, vertex_id: Hash) -> Response:
    """One vertex: as JSON, or with `Accept: application/cbor` its bytes, header and body."""
    found = await service.vertex(bytes.fromhex(vertex_id))
    if found is None:
        raise NotFound(f"no vertex {vertex_id}")
    kind = negotiate(request.headers.get("accept"), ("application/json", CBOR))
    if kind == CBOR:
        data = encode_vertex(found.header, found.body)
        return Response(data, media_type=CBOR, headers={"Vary": "Accept"})
    text = vertex_document(found).model_dump_json()
    return Response(text, media_type="application/json", headers={"Vary": "Accept"})


@add_list(router, "/v1/tips", row=rows.VertexRow)
async def list_tips(request: Request, service: Node, listed: Listed) -> Response:
    """Vertices on which nothing is built yet."""
    found = sorted(await service.tips(), key=lambda one: (one.iss, one.sub, one.epoch, one.seq))
    if listed.after is not None:
        behind = tuple(decode_cursor(listed.after, str, str, int, int))
        found = [one for one in found if (one.iss, one.sub, one.epoch, one.seq) > behind]
    page = found[: listed.limit]
    last = page[-1] if len(found) > len(page) else None
    following = encode_cursor(last.iss, last.sub, last.epoch, last.seq) if last else None
    return render(request, rows.VertexRow, [rows.vertex_row(one) for one in page], following)
