"""A gateway's HTTP with a provisional view: the whole API over its copy of the ledger, its own numbers beside it.

What only a gateway can say (how long its buffer lasts, what became of its vertices) keeps its own routes; everything
else is the API of a node. Source: design.md section 7, issue 5 items 1 and 4.
"""

import asyncio
import socket
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from drystone.home.layout import Identity
from drystone.service.gateway_service import GatewayService
from drystone.service.gateway_web import gateway_application
from drystone.service.node_service import NodeService
from drystone.service.web import application
from drystone.service.web_server import run_app

OWN: Final = ("/v1/gateway", "/v1/outcomes/", "/healthz", "/metrics")
"""Paths that begin so are the gateway's."""


async def serve_foreseeing(
    service: NodeService,
    gateway: GatewayService,
    identity: Identity,
    listener: socket.socket,
    stop: asyncio.Event,
) -> None:
    """Answer HTTP on a listening socket until `stop`, then give open requests a little time."""
    app = beside(application(service, identity), gateway_application(gateway, identity))
    await run_app(app, listener, stop)


def beside(api: ASGIApp, own: ASGIApp) -> ASGIApp:
    """Give the application that hands the gateway's own paths to `own`, all others to `api`."""

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        is_own = scope["type"] == "http" and scope["path"].startswith(OWN)
        await (own if is_own else api)(scope, receive, send)

    return choose
