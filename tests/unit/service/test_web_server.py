"""The HTTP server ends with the process's part in it: nothing answers, or reads, behind its end."""

import asyncio
import contextlib
import socket

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from drystone.service.web_server import run_app
from drystone.workers.processes import listen, url_of


class Stuck:
    """An application whose answers never come."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.ended: list[str] = []

    async def __call__(self, _scope: Scope, _receive: Receive, _send: Send) -> None:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append("request")


async def ask(listener: socket.socket) -> None:
    with contextlib.suppress(httpx.HTTPError):
        async with httpx.AsyncClient() as client:
            await client.get(url_of(listener))


def test_cancelled_server_takes_its_open_requests_with_it() -> None:
    async def scene() -> list[str]:
        app, listener = Stuck(), listen("127.0.0.1", 0)
        serving = asyncio.create_task(run_app(app, listener, asyncio.Event()))
        asking = asyncio.create_task(ask(listener))
        await app.asked.wait()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        ended = [*app.ended, "server"]
        await asking
        return ended

    # In this order: who closes databases next must not be read from any more.
    assert asyncio.run(asyncio.wait_for(scene(), 20)) == ["request", "server"]


def test_server_told_to_stop_gives_open_requests_their_time_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("drystone.service.web_server.GRACE_S", 0)

    async def scene() -> list[str]:
        app, listener, stop = Stuck(), listen("127.0.0.1", 0), asyncio.Event()
        serving = asyncio.create_task(run_app(app, listener, stop))
        asking = asyncio.create_task(ask(listener))
        await app.asked.wait()
        stop.set()
        await serving
        ended = [*app.ended, "server"]
        await asking
        return ended

    assert asyncio.run(asyncio.wait_for(scene(), 20)) == ["request", "server"]
