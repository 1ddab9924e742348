"""A gateway's HTTP front without a gateway behind it: routes, refusals, and who may ask."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from drystone.api.border import Border
from drystone.api.gateway_metrics import GATEWAY_GAUGES, GatewayMetrics, PeerNumbers
from drystone.api.metrics import Traffic
from drystone.api.values import Health, HealthCheck
from drystone.errors import NotHere
from drystone.gateway.answer import Answer
from drystone.home.admission import init_gateway_home
from drystone.home.layout import Identity, init_home
from drystone.service.gateway_web import GatewayFront

NUMBERS = GatewayMetrics(
    **{name: 0 for name in GatewayMetrics.__slots__ if name not in {"peers", "answers_by_code"}},
    answers_by_code={"stored": 3},
    peers={
        "ewz/node": PeerNumbers(linked=True, received_bytes=10, sent_bytes=20, faults=1),
    },
)


class Gateway:
    """Answers what the front asks for, and notes it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.well = True
        self.failing: Exception | None = None

    def open_dag(self, demand: Any) -> Any:
        return SimpleNamespace(routes=())

    async def submit(self, sequence: bytes, *, wait: str | None) -> list[Answer]:
        if self.failing is not None:
            raise self.failing
        self.asked.append((sequence, wait))
        return [Answer("stored", "", bytes(32))]

    async def attest(self, reading: Any, *, wait: str | None) -> Answer:
        self.asked.append((reading.device, wait))
        return Answer("stored", "", bytes(32), place=("ewz", "gw", 0, 1, 2))

    async def health(self) -> Health:
        checks = (HealthCheck(name="disk", ok=self.well, detail="there is room"),)
        return Health(ok=self.well, sentence="All is well.", checks=checks, records_last_minute=0)

    async def metrics(self) -> GatewayMetrics:
        return NUMBERS

    def ledger(self) -> dict[str, Any]:
        return {"ledger": "00"}

    async def status(self) -> dict[str, Any]:
        return {"ok": True}

    def frontier(self) -> list[dict[str, Any]]:
        return [{"iss": "ewz"}]

    def peers(self) -> list[dict[str, Any]]:
        return []

    async def outcome(self, *, epoch: int, seq: int) -> dict[str, Any]:
        raise NotHere(f"{epoch}/{seq}")

    def checkpoint(self) -> bytes:
        return b"note\n"

    async def fetch(self, path: str, accept: str) -> tuple[bytes, str]:
        self.asked.append((path, accept))
        return b"receipt", "application/cose"


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    node = init_home(tmp_path / "node", org="ewz", node_name="node", origin="l.example/x")
    trust = node.home.trust.read_bytes()
    return init_gateway_home(
        tmp_path / "gw", genesis=node.genesis_bytes, trust=trust, org="ewz", name="gw"
    )


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def ask(
    gateway: Gateway, identity: Identity, method: str, path: str, **arguments: Any
) -> httpx.Response:
    """One request, through the border."""
    traffic = Traffic()
    front = GatewayFront(gateway, identity, traffic)  # type: ignore[arg-type]
    app = Border(
        front, hosts=frozenset({"127.0.0.1"}), on_answer=traffic.count, clock_s=lambda: 0.0
    )

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **arguments)

    return asyncio.run(send())


def bearer(identity: Identity) -> dict[str, str]:
    return {"Authorization": f"Bearer {identity.token}"}


def members_only(identity: Identity) -> Identity:
    read = identity.settings.read.model_copy(update={"policy": "members", "metrics": "members"})
    return identity._replace(settings=identity.settings.model_copy(update={"read": read}))


def test_records_go_in_as_on_a_node(gateway: Gateway, identity: Identity) -> None:
    headers = {"Content-Type": "application/cbor-seq"}
    answer = ask(
        gateway, identity, "POST", "/v1/records?wait=committed", content=b"\x01", headers=headers
    )
    assert answer.json()["answers"][0]["code"] == "stored"
    assert gateway.asked == [(b"\x01", "committed")]


def test_a_reading_is_attested_with_the_operators_token_only(
    gateway: Gateway, identity: Identity
) -> None:
    body = json.dumps({"device": "old", "measurements": [{"name": "e", "unit": "Wh", "value": 7}]})
    headers = {"Content-Type": "application/json"}
    denied = ask(gateway, identity, "POST", "/v1/readings", content=body, headers=headers)
    assert (denied.status_code, denied.json()["code"]) == (401, "token-invalid")
    headers |= bearer(identity)
    taken = ask(gateway, identity, "POST", "/v1/readings", content=body, headers=headers)
    assert taken.json()["place"] == "ewz/gw/0/1/2"
    assert gateway.asked == [("old", None)]
    wrong = ask(gateway, identity, "POST", "/v1/readings", content="{}", headers=headers)
    assert wrong.status_code == 400


def test_what_only_a_ledger_has_is_fetched_from_the_uplink(
    gateway: Gateway, identity: Identity
) -> None:
    path = "/v1/receipts/ewz/m-1/0/3?device=x"
    answer = ask(gateway, identity, "GET", path, headers={"Accept": "application/cose"})
    assert answer.content == b"receipt"
    assert gateway.asked == [(path, "application/cose")]


def test_an_outcome_that_has_not_come_is_not_here_and_says_when_to_ask_again(
    gateway: Gateway, identity: Identity
) -> None:
    answer = ask(gateway, identity, "GET", "/v1/outcomes/0/7")
    assert (answer.status_code, answer.json()["code"]) == (503, "not-here")
    assert "retry-after" in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/", 404),
        ("DELETE", "/v1/records", 405),
        ("POST", "/healthz", 405),
        ("GET", "/v1/outcomes/0/99999999999999999999", 400),
        ("GET", "/v1/outcomes/0/-1", 404),
        ("POST", "/v1/records", 415),
    ],
)
def test_what_is_no_request_is_refused_with_a_problem(
    gateway: Gateway, identity: Identity, method: str, path: str, status: int
) -> None:
    answer = ask(gateway, identity, method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["fix"]


def test_an_error_of_ours_tells_nothing_of_itself(gateway: Gateway, identity: Identity) -> None:
    gateway.failing = ZeroDivisionError("secret")
    headers = {"Content-Type": "application/cose"}
    answer = ask(gateway, identity, "POST", "/v1/records", content=b"\x01", headers=headers)
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_health_and_metrics_tell_how_it_is(gateway: Gateway, identity: Identity) -> None:
    assert ask(gateway, identity, "GET", "/healthz").status_code == 200
    text = ask(gateway, identity, "GET", "/metrics").text
    assert [gauge.name for gauge in GATEWAY_GAUGES if f"\n{gauge.name} 0.0" not in text] == []
    assert 'drystone_peer_received_bytes_total{peer="ewz/node"} 10.0' in text
    assert 'drystone_answers_total{code="stored"} 3.0' in text
    gateway.well = False
    assert ask(gateway, identity, "GET", "/healthz").status_code == 503


@pytest.mark.parametrize(
    "path",
    ["/v1/gateway", "/v1/peers", "/v1/frontier", "/metrics", "/checkpoint", "/v1/receipts/a/b/0/0"],
)
def test_members_only_means_the_operators_token(
    gateway: Gateway, identity: Identity, path: str
) -> None:
    closed = members_only(identity)
    assert ask(gateway, closed, "GET", path).status_code == 401
    wrong = ask(gateway, closed, "GET", path, headers={"Authorization": "Bearer no"})
    assert wrong.status_code == 401
    assert ask(gateway, closed, "GET", path, headers=bearer(identity)).status_code == 200
    assert ask(gateway, closed, "GET", "/healthz").status_code == 200
    assert ask(gateway, identity, "GET", path).status_code == 200


def test_another_host_is_not_answered(gateway: Gateway, identity: Identity) -> None:
    answer = ask(gateway, identity, "GET", "/healthz", headers={"Host": "evil.example"})
    assert answer.status_code == 421
