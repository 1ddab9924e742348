"""The HTTP server: uvicorn in the front's own loop, told when to stop by the process, not by signals.

Knows an ASGI application and a listening socket, nothing else. Source: design.md sections 7 and 10.
"""

import asyncio
import contextlib
import importlib.util
import socket
from collections.abc import Generator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

KEEP_ALIVE_S: Final = 75
"""Seconds that an idle connection stays open."""

GRACE_S: Final = 3
"""Seconds that open requests get when the process stops."""

BACKLOG: Final = 1_024


class Server(uvicorn.Server):
    """Uvicorn without its own signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the process."""
        yield


async def run_app(app: ASGIApp, listener: socket.socket, stop: asyncio.Event) -> None:
    """Answer HTTP on a listening socket until `stop`, then give open requests a little time."""
    server = Server(
        uvicorn.Config(
            app,
            http="httptools" if importlib.util.find_spec("httptools") else "h11",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
            backlog=BACKLOG,
        )
    )
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        # A part of the node has died, or all went well: either way nothing answers after this line.
        stopping.cancel()
        await _end(server, serving)


async def _end(server: Server, serving: asyncio.Future[None]) -> None:
    """Let a server go at once: no new connection, no request that still reads or writes what its caller now closes."""
    server.should_exit = server.force_exit = True
    await asyncio.wait({serving})
    requests = list(server.server_state.tasks)
    for request in requests:
        request.cancel()
    if requests:
        await asyncio.wait(requests)
