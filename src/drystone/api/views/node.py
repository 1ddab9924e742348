"""The node itself: is it well, what are its numbers, what happens right now.

`/healthz` answers 503 when the node cannot do its work, so that a supervisor needs no parser.
Source: the issue's item 5, conventions.md (Prometheus, resumable events).
"""

from typing import Annotated, Final, cast

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from drystone.api.documents import HealthDocument, health_document
from drystone.api.events import MEDIA_TYPE, EventStreams
from drystone.api.metrics import CONTENT_TYPE, Traffic, expose
from drystone.api.views.requests import MetricsNode, PublicNode, ViewedNode, media, refusals
from drystone.errors import Overloaded, RequestMalformed

router = APIRouter(tags=["node"])

METRICS: Final = "text/plain"

EventsAfter = Annotated[
    str | None,
    Query(
        pattern=r"^[0-9]{1,15}\.[0-9]{1,15}$",
        description="An event's id, `height.number`; `0.0` starts behind the genesis.",
    ),
]


@router.get(
    "/healthz", responses={503: {"model": HealthDocument, "description": "It is not well."}}
)
async def get_health(service: PublicNode, response: Response) -> HealthDocument:
    """Whether the node does its work, in one sentence and in parts."""
    health = await service.health()
    response.status_code = 200 if health.ok else 503
    return health_document(health)


@router.get(
    "/metrics",
    responses=media(METRICS, "Prometheus' text format."),
    response_class=Response,
)
async def get_metrics(request: Request, service: MetricsNode) -> Response:
    """The node's numbers, for Prometheus."""
    traffic = cast("Traffic", request.app.state.traffic)
    return Response(expose(traffic, await service.metrics()), media_type=CONTENT_TYPE)


@router.get(
    "/v1/events",
    responses={
        **media(MEDIA_TYPE, "Events as they happen."),
        **refusals(Overloaded, RequestMalformed),
    },
    response_class=StreamingResponse,
)
async def get_events(
    request: Request, service: ViewedNode, after: EventsAfter = None
) -> StreamingResponse:
    """Blocks, refusals and events as server-sent events; resumes behind `Last-Event-ID`."""
    streams = cast("EventStreams", request.app.state.event_streams)
    return streams.respond(request, after, service)
