"""The application: every route, the border before them, problems behind them.

Built once per front by `node/wiring.py`, or in a test around an in-memory service. Nothing here has a
rule of its own; the order of this file is the order in which a request meets things. Source:
design.md section 7 (api).
"""

from collections.abc import Sequence
from typing import Final

from fastapi import FastAPI, Request, Response

from drystone.api import pages, problem_handlers, reference
from drystone.api.access import Access
from drystone.api.border import ApiSettings, Border
from drystone.api.events import EventStreams
from drystone.api.metrics import Traffic
from drystone.api.service import Service
from drystone.api.views import (
    audit,
    blocks,
    contracts,
    dag,
    ledger,
    members,
    node,
    proofs,
    readings,
    streams,
)
from drystone.gateway.answer import Answer, Wait
from drystone.transport.http import records_route

ROUTERS: Final = (
    readings.router,
    streams.router,
    proofs.router,
    members.router,
    contracts.router,
    blocks.router,
    dag.router,
    ledger.router,
    node.router,
    audit.router,
)


def create_app(service: Service, settings: ApiSettings) -> FastAPI:
    """Builds the application for one node.

    Starts nothing: the caller runs it in a server whose `Server` header is off. Event streams end
    when the service's events end.
    """
    traffic = Traffic()
    app = FastAPI(
        title="Drystone",
        version=service.info.version,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.state.settings = settings
    app.state.traffic = traffic
    app.state.access = Access(service, settings, on_denial=traffic.deny)
    app.state.event_streams = EventStreams(keepalive_s=settings.keepalive_s)

    async def submit(sequence: bytes, wait: Wait | None) -> Sequence[Answer]:
        return await service.submit(sequence, wait=wait)

    app.router.routes.append(records_route(submit))
    for router in ROUTERS:
        app.include_router(router)
    pages.install(app)

    app.add_route("/openapi.json", get_openapi, methods=["GET"], include_in_schema=False)
    problem_handlers.install(app, show=pages.problem_page, methods=reference.methods_at)
    app.add_middleware(
        Border, hosts=settings.hosts, on_answer=traffic.count, clock_s=settings.clock_s
    )
    return app


async def get_openapi(request: Request) -> Response:
    """The description of the REST API (OpenAPI 3.1)."""
    return Response(reference.document_json(request.app), media_type="application/json")
