"""The short way for posted records: same border, same answers, no framework between."""

import json
import socket
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from drystone.api.border import ApiSettings, OperatorToken
from drystone.api.metrics import Traffic
from drystone.errors import ChannelClosed, InvariantBroken, Overloaded, PortTaken, Refused
from drystone.gateway.answer import AllStored, Answer
from drystone.service.web import short_way
from drystone.transport.http import all_stored_json, answer_row
from drystone.workers.processes import listen, url_of

IDS = bytes(range(64))


class Service:
    """Answers every request alike."""

    def __init__(self, answer: Sequence[Answer] | Exception) -> None:
        self.answer = answer

    async def submit(self, sequence: bytes, *, wait: object) -> Sequence[Answer]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def post(answer: Sequence[Answer] | Exception, *, host: str = "localhost") -> httpx.Response:
    """The answer to a post of records, on the short way."""
    import asyncio

    app = FastAPI()
    app.state.traffic = Traffic()
    settings = ApiSettings(token=OperatorToken(secret=b"x"), clock_s=lambda: 0.0, now_s=lambda: 0)
    way = short_way(app, Service(answer), settings)  # type: ignore[arg-type]

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(way, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            headers = {"Content-Type": "application/cbor-seq"}
            return await client.post("/v1/records", content=b"x", headers=headers)

    return asyncio.run(run())


def test_answers_of_stored_records_are_the_same_text_both_ways() -> None:
    answers = AllStored(IDS)
    rows = {"answers": [answer_row(answer) for answer in answers]}
    text = json.dumps(rows, default=bytes.hex, separators=(",", ":"), ensure_ascii=False)
    assert all_stored_json(answers) == text.encode()
    assert post(answers).content == post(list(answers)).content == text.encode()


def test_all_stored_is_a_sequence_of_answers() -> None:
    answers = AllStored(IDS)
    assert len(answers) == 2
    assert answers[1] == Answer("stored", "", IDS[32:]) == answers[-1]
    assert answers[:1] == [answers[0]]
    with pytest.raises(IndexError):
        answers[2]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Overloaded("later", retry_after_ms=1), 503, "overloaded"),
        (Refused("no"), 422, "refused"),
        (ChannelClosed("the executor is gone"), 503, "unavailable"),
        (InvariantBroken("ours"), 500, "invariant-broken"),
        (ZeroDivisionError(), 500, "broken"),
    ],
)
def test_errors_are_problems_on_the_short_way_too(error: Exception, status: int, code: str) -> None:
    answer = post(error)
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_border_stands_before_the_short_way() -> None:
    answer = post(AllStored(IDS), host="evil.example")
    assert answer.json()["code"] == "host-foreign"
    assert post(AllStored(IDS)).headers["x-content-type-options"] == "nosniff"


def test_a_listening_socket_says_where_it_listens() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert url_of(listener) == f"http://127.0.0.1:{port}"
        with pytest.raises(PortTaken, match="in use"):
            listen("127.0.0.1", port)
    with listen("0.0.0.0", 0) as everywhere:
        assert url_of(everywhere).startswith("http://127.0.0.1:")
    with pytest.raises(PortTaken):
        listen("host.invalid", 0)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_address_of_ipv6_stands_in_brackets() -> None:
    with listen("::1", 0) as listener:
        assert url_of(listener).startswith("http://[::1]:")
