"""The DAG of real processes: a gateway and a node tell the same, live, and the page of the gateway is there."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from fleet import Fleet, Meter

pytestmark = pytest.mark.process

GATEWAY = "gw-1"
MEMORY_BYTES_MAX = 80_000_000


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path, (GATEWAY,)) as made:
        made.admit()
        yield made


def rows_of(page: dict[str, Any]) -> dict[str, dict[str, Any]]:
    named = [dict(zip(page["columns"], row, strict=True)) for row in page["rows"]]
    return {row["id"]: row for row in named}


def test_gateway_and_node_draw_the_same_dag_and_the_gateway_draws_it_live(fleet: Fleet) -> None:
    meter = Meter("m-1", 1)
    with fleet.node.client() as node:
        fleet.enrol(node, [meter])
    fleet.start_gateways()
    fleet.wait_for_registry()
    gateway = fleet.gateways[GATEWAY]
    with gateway.client() as client, fleet.node.client() as node:
        client.submit(meter.next(2), wait="committed")
        before = client.get("/v1/dag")
        url = client.endpoint.url
        with httpx.stream("GET", f"{url}/v1/dag/live?after={before['cursor']}", timeout=20) as live:
            client.submit(meter.next(2), wait="committed")
            lines = live.iter_lines()
            event = next(line for line in lines if line.startswith("event:"))
            assert event == "event: dag"
        own = rows_of(client.get("/v1/dag"))
        theirs = rows_of(node.get("/v1/dag"))
        sealed = {key for key, row in own.items() if row["height"] is not None}
        assert len(sealed) >= 2
        assert set(own) <= set(theirs)
        for key in sealed:
            assert own[key]["height"] == theirs[key]["height"]
        place = node.get(f"/v1/records/ewz/{meter.name}/0/0")
        assert place["place"]["sub"] == GATEWAY
        tips = client.get("/v1/tips")["rows"]
        assert {tip["id"] for tip in tips} <= set(own)
        assert client.get("/v1/forks")["rows"] == []
        page = httpx.get(f"{url}/dag")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert 'id="dag" data-plain hidden' in page.text
        script = httpx.get(f"{url}/static/dag.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert httpx.get(f"{url}/static/live.js").status_code == 404
        for nonsense in ("limit=0", "limit=x", "limit=99999999999999", "after=gQA"):
            answer = httpx.get(f"{url}/v1/dag?{nonsense}")
            assert (answer.status_code, answer.json()["code"]) == (400, "request-malformed")
        assert gateway.pss_bytes() < MEMORY_BYTES_MAX
    assert gateway.stop() == 0
