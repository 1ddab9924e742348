"""The description of the API is complete, and what people read is made from it."""

import re
from pathlib import Path
from typing import Any

import pytest
from api_desk import Desk
from api_world import problem_of
from starlette.routing import Route

from drystone.api import gateway_metrics, metrics, reference
from drystone.api.lists import SUFFIXES
from drystone.gateway.answer import ERRORS

DOCS = Path(__file__).parents[3] / "docs" / "reference"
HIDDEN = (
    "/static/",
    "/verify.html",
    "/openapi.json",
    "/docs",
    "/devices",
    "/blocks",
    "/vertices",
    "/receipts",
    "/contracts",
    "/dag",
    "/forks",
)


@pytest.fixture
def description(desk: Desk) -> dict[str, Any]:
    return desk.get("/openapi.json").json()


def routes_of(desk: Desk) -> set[tuple[str, str]]:
    """Method and path of every route that is no page and no suffixed twin of a list."""
    found: set[tuple[str, str]] = set()
    for route in flat(desk.world.app.routes):
        path = re.sub(r"{(\w+):path}", r"{\1}", route.path)
        if path == "/" or path.startswith(HIDDEN) or path.endswith(tuple(SUFFIXES)):
            continue
        found |= {(method, path) for method in route.methods or () if method != "HEAD"}
    return found


def flat(routes: Any) -> list[Route]:
    """Routes of the application and of every router included in it."""
    found: list[Route] = []
    for route in routes:
        if isinstance(route, Route):
            found.append(route)
        else:
            found += flat(getattr(getattr(route, "original_router", route), "routes", []))
    return found


def test_every_route_is_described_and_nothing_else(desk: Desk, description: dict[str, Any]) -> None:
    described = {
        (method.upper(), path) for path, item in description["paths"].items() for method in item
    }
    assert len(described) > 25
    assert described == routes_of(desk)


def test_every_operation_and_parameter_has_a_text(description: dict[str, Any]) -> None:
    silent: list[str] = []
    for group in reference.groups(description):
        for one in group.operations:
            if not one.text:
                silent.append(one.path)
            silent += [f"{one.path} {given.name}" for given in one.parameters if not given.text]
    assert silent == []


def test_every_operation_belongs_to_a_known_subject(description: dict[str, Any]) -> None:
    listed = [one.path for group in reference.groups(description) for one in group.operations]
    assert sorted(listed) == sorted(
        path for path, item in description["paths"].items() for _ in item
    )


def test_every_list_tells_its_three_forms(description: dict[str, Any]) -> None:
    content = description["paths"]["/v1/blocks"]["get"]["responses"]["200"]["content"]
    assert set(content) == {"application/json", "text/csv", "application/cbor"}


def test_framework_error_shapes_are_gone(description: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in str(description)


def test_references_within_the_description_lead_somewhere(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    named = set(re.findall(r"'#/components/schemas/([\w\[\]]+)'", str(description)))
    assert named <= set(schemas)


def test_description_names_no_error_code_that_does_not_exist(description: dict[str, Any]) -> None:
    codes: set[str] = set()
    for item in description["paths"].values():
        for operation in item.values():
            for status, answer in operation["responses"].items():
                if not status.startswith("2"):
                    codes |= set(re.findall(r"^`([a-z-]+)`", answer["description"], re.MULTILINE))
    assert codes
    assert codes <= set(ERRORS)


def test_reference_page_is_made_from_the_description(description: dict[str, Any]) -> None:
    page = reference.rest_page(description)
    assert page.count("\n### ") == sum(len(item) for item in description["paths"].values())
    assert "Needs the operator token." in page
    of_peers = sum(not one.rises for one in gateway_metrics.PER_PEER)
    gauges = len(metrics.GAUGES) + len(gateway_metrics.GATEWAY_GAUGES) + of_peers
    assert reference.metrics_page().count("| gauge |") == gauges


def test_reference_page_has_every_route(desk: Desk) -> None:
    page = (DOCS / "rest.md").read_text()
    assert [path for _, path in sorted(routes_of(desk)) if f" {path}\n" not in page] == []


def test_error_page_has_every_code() -> None:
    page = (DOCS / "errors.md").read_text()
    assert [code for code in ERRORS if f"`{code}`" not in page] == []


def test_metrics_page_has_every_metric_that_a_node_shows(desk: Desk) -> None:
    desk.get("/v1/ledger")
    shown = set(re.findall(r"^# TYPE (\S+)", desk.get("/metrics").text, re.MULTILINE))
    assert len(shown) == len(metrics.GAUGES) + len(metrics.TALLIES) + len(metrics.TRAFFIC)
    page = (DOCS / "metrics.md").read_text()
    assert [name for name in shown if f"`{name}`" not in page] == []


def test_events_page_has_every_kind_and_the_ledgers_own_names() -> None:
    page = (DOCS / "events.md").read_text()
    for word in (
        "`block`",
        "`outcome`",
        "`event`",
        "`stream.gap`",
        "`stream.late`",
        "Last-Event-ID",
    ):
        assert word in page


def test_docs_page_shows_every_operation_without_anything_from_outside(desk: Desk) -> None:
    page = desk.get("/docs").text
    for _, path in routes_of(desk):
        assert f"<code>{path}</code>" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script>" not in page


def test_docs_page_of_errors_has_an_anchor_for_each(desk: Desk) -> None:
    page = desk.get("/docs/errors").text
    assert [code for code in ERRORS if f'id="{code}"' not in page] == []


def test_examples_name_the_body_and_the_token() -> None:
    description: dict[str, Any] = {
        "tags": [{"name": "records", "description": ""}],
        "paths": {
            "/x": {
                "post": {
                    "tags": ["records"],
                    "security": [{"operator": []}],
                    "requestBody": {"content": {"application/json": {}}},
                    "responses": {},
                }
            }
        },
    }
    (group,) = reference.groups(description)
    example = group.operations[0].example
    assert "Bearer TOKEN" in example
    assert "application/json" in example


def test_method_that_a_route_does_not_take_is_a_problem(desk: Desk) -> None:
    answer = desk.ask("DELETE", "/v1/blocks")
    assert (answer.status_code, problem_of(answer)["code"]) == (405, "method-unsupported")
    assert answer.headers["allow"] == "GET"


def test_path_of_two_routes_names_the_methods_of_both(desk: Desk) -> None:
    answer = desk.ask("DELETE", "/v1/completeness/ewz/m-1")
    assert answer.headers["allow"] == "GET, POST"
    assert problem_of(desk.ask("OPTIONS", "/"))["code"] == "method-unsupported"
