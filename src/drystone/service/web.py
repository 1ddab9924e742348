"""A node's HTTP: the API in a server (`web_server.py`), with a short way for posted records.

Source: design.md sections 7 and 10.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Sequence

from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from drystone.api.app import create_app
from drystone.api.border import ApiSettings, Border, OperatorToken, allowed_hosts
from drystone.api.problem_handlers import as_error
from drystone.api.problems import problem_response
from drystone.api.service import Service
from drystone.errors import ChannelClosed, Refused, Unavailable
from drystone.gateway.answer import Answer, Wait
from drystone.home.audit import AuditLog
from drystone.home.config import read_policy
from drystone.home.layout import Identity
from drystone.home.tokens import TokenBook, TokenFile
from drystone.service.web_server import run_app
from drystone.transport.http import PATH, records_route

log = logging.getLogger(__name__)


def short_way(app: FastAPI, service: Service, settings: ApiSettings) -> ASGIApp:
    """Give the application with a short way for posted records: the same border and route, no framework between.

    The framework's layers cost as much as a hundred records' whole way through intake.
    """

    async def submit(sequence: bytes, wait: Wait | None) -> Sequence[Answer]:
        return await service.submit(sequence, wait=wait)

    route = records_route(submit)

    async def post(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = route
        answer: Response
        try:
            answer = await route.endpoint(Request(scope, receive))
        except (Refused, Unavailable, ChannelClosed) as error:
            ours = as_error(error, method="POST", path=PATH)
            answer = problem_response(ours, instance=PATH)
        except Exception as error:
            log.exception("posted records could not be answered")
            ours = as_error(error, method="POST", path=PATH)
            answer = problem_response(ours, instance=PATH)
        await answer(scope, receive, send)

    hot = Border(
        post, hosts=settings.hosts, on_answer=app.state.traffic.count, clock_s=settings.clock_s
    )

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        short = scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST"
        await (hot if short else app)(scope, receive, send)

    return choose


async def serve(
    service: Service, identity: Identity, listener: socket.socket, stop: asyncio.Event
) -> None:
    """Answer HTTP on a listening socket until `stop`, then give open requests a little time."""
    await run_app(application(service, identity), listener, stop)


def application(service: Service, identity: Identity) -> ASGIApp:
    """Give the whole API of a home, with the short way."""
    http = identity.settings.http
    settings = ApiSettings(
        token=OperatorToken(secret=identity.token.encode()),
        hosts=allowed_hosts(host=http.host, public_url=http.public_url),
        clock_s=time.monotonic,
        now_s=lambda: int(time.time()),
        policy=read_policy(identity.settings),
        log_open=identity.settings.read.log == "open",
        metrics_open=identity.settings.read.metrics == "open",
        tokens=TokenBook(TokenFile(identity.home.tokens)),
        audit=AuditLog(identity.home.audit, now_ms=lambda: time.time_ns() // 1_000_000),
    )
    return short_way(create_app(service, settings), service, settings)
