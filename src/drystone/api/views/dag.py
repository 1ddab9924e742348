"""The DAG: its newest part as rows for a drawing, live; frontier, forks and peers.

Tips and single vertices stand with the blocks. Everything here needs the right to see the ledger as a whole. What
came twice replaces what came before, so a reader may start again wherever it likes.
Source: issue 5 item 8, requirement S1.16, design.md sections 3.3 and 3.4.
"""

from typing import Annotated, Final, cast

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from drystone.api.dag_rows import (
    DagDocument,
    ForkRow,
    FrontierRow,
    PeerRow,
    fork_row,
    frontier_row,
    peer_row,
)
from drystone.api.dag_wire import dag_content, dag_frame, dag_json, read_dag_cursor
from drystone.api.events import MEDIA_TYPE, EventStreams
from drystone.api.lists import (
    CBOR,
    CURSOR_LENGTH_MAX,
    JSON,
    ROWS_DEFAULT,
    Listed,
    negotiate,
    page_of,
    render,
)
from drystone.api.views.requests import Node, add_list, media, refusals
from drystone.errors import NotAcceptable, Overloaded, RequestMalformed
from drystone.formats import cbor
from drystone.limits import DAG_ROWS_MAX

router = APIRouter(tags=["dag"])

After = Annotated[
    str | None,
    Query(max_length=CURSOR_LENGTH_MAX, description="The `cursor` of an earlier answer."),
]
Vertices = Annotated[int, Query(ge=1, le=DAG_ROWS_MAX, description="Vertices of this answer.")]

LIVE: Final = "/v1/dag/live"


@router.get(
    "/v1/dag",
    response_model=DagDocument,
    responses={
        **media(CBOR, "The newest part of the DAG, as JSON or CBOR."),
        **refusals(NotAcceptable, RequestMalformed),
    },
)
async def get_dag(
    request: Request, service: Node, after: After = None, limit: Vertices = ROWS_DEFAULT
) -> Response:
    """The newest vertices with their links, or with `after` those that are new or changed since."""
    kind = negotiate(request.headers.get("accept"), (JSON, CBOR))
    page = await service.dag(after=read_dag_cursor(after), limit=limit)
    if kind == CBOR:
        data = cbor.encode(dag_content(page, hexadecimal=False))
        return Response(data, media_type=CBOR, headers={"Vary": "Accept"})
    return Response(dag_json(page), media_type=JSON, headers={"Vary": "Accept"})


@router.get(
    LIVE,
    responses={
        **media(MEDIA_TYPE, "Changes of the DAG as they happen."),
        **refusals(Overloaded, RequestMalformed),
    },
    response_class=StreamingResponse,
)
async def get_dag_live(request: Request, service: Node, after: After = None) -> StreamingResponse:
    """What is new or changed in the DAG as server-sent events; resumes behind `Last-Event-ID`."""
    streams = cast("EventStreams", request.app.state.event_streams)
    cursor = read_dag_cursor(request.headers.get("last-event-id") or after)
    # Asked once before the answer begins, so that who may not see it is refused and not cut off.
    await service.dag(after=cursor, limit=1)
    return streams.respond_dag(cursor, service, dag_frame)


@add_list(router, "/v1/frontier", row=FrontierRow)
async def list_frontier(request: Request, service: Node, listed: Listed) -> Response:
    """The last vertex of every author that is known here."""
    page, following = page_of([frontier_row(one) for one in await service.frontier()], listed)
    return render(request, FrontierRow, page, following)


@add_list(router, "/v1/forks", row=ForkRow)
async def list_forks(request: Request, service: Node, listed: Listed) -> Response:
    """Places with two signed things: what is held here, and what the ledger has evidence of."""
    page, following = page_of([fork_row(one) for one in await service.forks()], listed)
    return render(request, ForkRow, page, following)


@add_list(router, "/v1/peers", row=PeerRow)
async def list_peers(request: Request, service: Node, listed: Listed) -> Response:
    """Whom this node exchanges vertices with, how the links are, and who broke which rule."""
    page, following = page_of([peer_row(one) for one in await service.peers()], listed)
    return render(request, PeerRow, page, following)
