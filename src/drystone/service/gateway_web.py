"""A gateway's HTTP front: records and readings in, its own numbers out; no framework, because memory is short.

The border, the hot route, the problem documents and the metrics are the node's own. What only a ledger can answer is
fetched from the uplink where its address is set, else refused with `not-here`. Under another read policy than `open`
everything but health and what signed records need asks for the operator token.

Source: design.md sections 7 and 10, issue 5 item 1.
"""

import asyncio
import json
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from drystone.api.attested import parse_reading
from drystone.api.border import Border, OperatorToken, allowed_hosts
from drystone.api.gateway_metrics import expose_gateway
from drystone.api.metrics import CONTENT_TYPE, Traffic
from drystone.api.problems import problem_response
from drystone.errors import (
    Broken,
    DrystoneError,
    MethodUnsupported,
    NotFound,
    Refused,
    RequestMalformed,
    TokenInvalid,
    Unavailable,
)
from drystone.gateway.answer import Answer, Wait
from drystone.home.config import read_policy
from drystone.home.layout import Identity
from drystone.limits import EPOCH_MAX, SEQUENCE_MAX
from drystone.service.gateway_service import GatewayService
from drystone.service.web_server import run_app
from drystone.transport.http import answer_row, raise_refusal, read_wait, records_route

JSON: Final = "application/json"
NOTE: Final = "text/plain; charset=utf-8"

ELSEWHERE: Final = ("receipts", "records", "streams", "devices", "completeness", "state", "blocks")
"""Resources that only a ledger has."""

Handle = Callable[[Request], Awaitable[Response]]

log = logging.getLogger(__name__)


class GatewayFront:
    """The routes of a gateway."""

    def __init__(self, service: GatewayService, identity: Identity, traffic: Traffic) -> None:
        self._service = service
        self._traffic = traffic
        self._token = OperatorToken(secret=identity.token.encode())
        self._open = read_policy(identity.settings) == "open"
        self._metrics_open = identity.settings.read.metrics == "open"
        self.dag = service.open_dag(self._demand_reader)
        self.routes: Sequence[Route] = (
            records_route(self._submit),
            Route("/v1/readings", self.post_reading, methods=["POST"]),
            Route("/healthz", self.get_health),
            Route("/metrics", self.get_metrics),
            Route("/v1/ledger", self.get_ledger),
            Route("/v1/gateway", self.get_status),
            Route("/v1/frontier", self.get_frontier),
            Route("/v1/peers", self.get_peers),
            Route("/v1/outcomes/{epoch:int}/{seq:int}", self.get_outcome),
            Route("/checkpoint", self.get_checkpoint),
            *self.dag.routes,
            *(Route(f"/v1/{kind}/{{rest:path}}", self.get_elsewhere) for kind in ELSEWHERE),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        answer: Response
        try:
            answer = await self._route(scope)(request)
        except (Refused, Unavailable) as error:
            answer = problem_response(error, instance=scope["path"])
        except Exception as error:
            log.exception("a request could not be answered")
            ours = error if isinstance(error, DrystoneError) else Broken("unforeseen")
            answer = problem_response(ours, instance=scope["path"])
        await answer(scope, receive, send)

    def _route(self, scope: Scope) -> Handle:
        path = scope["path"]
        partly = False
        for route in self.routes:
            match, child = route.matches(scope)
            if match is Match.FULL:
                scope.update(child)
                scope["route"] = route
                return route.endpoint
            partly = partly or match is Match.PARTIAL
        if partly:
            raise MethodUnsupported(f"{path} does not take {scope['method']}")
        raise NotFound(f"no route {path}")

    # --- writes ------------------------------------------------------------------------------------

    async def _submit(self, sequence: bytes, wait: Wait | None) -> Sequence[Answer]:
        return await self._service.submit(sequence, wait=wait)

    async def post_reading(self, request: Request) -> Response:
        """Attest an unsigned device's reading."""
        self._demand_operator(request)
        wait = read_wait(request)
        content_type = request.headers.get("content-type", "")
        reading = parse_reading(await request.body(), content_type=content_type)
        answer = await self._service.attest(reading, wait=wait)
        raise_refusal(answer)
        row = answer_row(answer)
        if answer.place is not None:
            row["place"] = "/".join(map(str, answer.place))
        return _json(
            {"detail": "", "id": None, "place": None, "outcome": None, "height": None} | row
        )

    # --- reads -------------------------------------------------------------------------------------

    async def get_health(self, _request: Request) -> Response:
        """Whether the gateway does its work."""
        health = await self._service.health()
        checks = [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in health.checks]
        fields: dict[str, Any] = {"ok": health.ok, "sentence": health.sentence, "checks": checks}
        fields["records_last_minute"] = health.records_last_minute
        return _json(fields, status=200 if health.ok else 503)

    async def get_metrics(self, request: Request) -> Response:
        """The gateway's numbers, for Prometheus."""
        if not self._metrics_open:
            self._demand_operator(request)
        numbers = await self._service.metrics()
        return Response(expose_gateway(self._traffic, numbers), media_type=CONTENT_TYPE)

    async def get_ledger(self, _request: Request) -> Response:
        """Which ledger this is a gateway of."""
        return _json(self._service.ledger())

    async def get_status(self, request: Request) -> Response:
        """Everything an operator asks for."""
        self._demand_reader(request)
        return _json(await self._service.status())

    async def get_frontier(self, request: Request) -> Response:
        """Where every author's chain ends here."""
        self._demand_reader(request)
        return _json({"rows": self._service.frontier(), "next": None})

    async def get_peers(self, request: Request) -> Response:
        """Peers and their links."""
        self._demand_reader(request)
        return _json({"rows": self._service.peers(), "next": None})

    async def get_outcome(self, request: Request) -> Response:
        """What became of an own vertex."""
        self._demand_reader(request)
        epoch, seq = int(request.path_params["epoch"]), int(request.path_params["seq"])
        if epoch > EPOCH_MAX or seq > SEQUENCE_MAX:
            raise RequestMalformed("a vertex is named by its epoch and sequence")
        return _json(await self._service.outcome(epoch=epoch, seq=seq))

    async def get_checkpoint(self, request: Request) -> Response:
        """The newest checkpoint that was believed."""
        self._demand_reader(request)
        return Response(self._service.checkpoint(), media_type=NOTE)

    async def get_elsewhere(self, request: Request) -> Response:
        """What only the ledger can answer: fetched from the uplink."""
        self._demand_reader(request)
        query = request.url.query
        path = request.url.path + (f"?{query}" if query else "")
        data, kind = await self._service.fetch(path, request.headers.get("accept", "*/*"))
        return Response(data, media_type=kind or None)

    # --- who asks ----------------------------------------------------------------------------------

    def _demand_reader(self, request: Request) -> None:
        if not self._open:
            self._demand_operator(request)

    def _demand_operator(self, request: Request) -> None:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._token.equals(text.strip()):
            raise TokenInvalid("this needs `Authorization: Bearer` and the operator token")


def _json(fields: dict[str, Any], *, status: int = 200) -> Response:
    text = json.dumps(fields, default=bytes.hex, separators=(",", ":"), ensure_ascii=False)
    return Response(text.encode(), status_code=status, media_type=JSON)


async def serve_gateway(
    service: GatewayService, identity: Identity, listener: socket.socket, stop: asyncio.Event
) -> None:
    """Answer HTTP on a listening socket until `stop`, then give open requests a little time."""
    traffic = Traffic()
    front = GatewayFront(service, identity, traffic)

    async def end_streams() -> None:
        await stop.wait()
        front.dag.stop()

    ending = asyncio.ensure_future(end_streams())
    try:
        await run_app(_behind_border(front, identity, traffic), listener, stop)
    finally:
        ending.cancel()


def gateway_application(service: GatewayService, identity: Identity) -> ASGIApp:
    """Give a gateway's own routes behind the border."""
    traffic = Traffic()
    return _behind_border(GatewayFront(service, identity, traffic), identity, traffic)


def _behind_border(front: GatewayFront, identity: Identity, traffic: Traffic) -> ASGIApp:
    http = identity.settings.http
    return Border(
        front,
        hosts=allowed_hosts(host=http.host, public_url=http.public_url),
        on_answer=traffic.count,
        clock_s=time.monotonic,
    )
