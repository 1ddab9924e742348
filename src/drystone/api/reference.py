"""The REST API's reference for people: the description taken apart into groups of operations.

`/docs` renders it, `docs/reference/rest.md` and `metrics.md` are written from it, so that page,
file and code cannot disagree. Reads the OpenAPI document and `errors.py`; knows no route by name.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from fastapi import FastAPI
from starlette.routing import compile_path

from drystone.api import gateway_metrics, metrics
from drystone.api.openapi import describe
from drystone.api.problems import status_of, title_of
from drystone.errors import DrystoneError, Unavailable
from drystone.gateway.answer import ERRORS

EVERYWHERE: Final = ("400", "401", "403", "405", "421", "500", "503")
"""Statuses that any route may answer with; told once."""

METHODS: Final = ("get", "post", "put", "delete", "patch")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterLine:
    """A path or query parameter."""

    name: str
    where: str
    required: bool
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLine:
    """One status a route answers with."""

    status: str
    lines: tuple[str, ...]
    media: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one route."""

    method: str
    path: str
    title: str
    text: str
    token: bool
    guarded: bool
    parameters: tuple[ParameterLine, ...]
    body: tuple[str, ...]
    answers: tuple[AnswerLine, ...]
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Operations of one subject."""

    name: str
    text: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorLine:
    """One error code."""

    code: str
    status: int
    title: str
    fix: str
    family: str


def document(app: FastAPI) -> dict[str, Any]:
    """The application's OpenAPI document, made once."""
    if getattr(app.state, "openapi", None) is None:
        app.state.openapi = describe(app)
    return cast("dict[str, Any]", app.state.openapi)


def document_json(app: FastAPI) -> bytes:
    """The OpenAPI document as JSON."""
    return json.dumps(document(app), ensure_ascii=False).encode()


def methods_at(app: FastAPI, path: str) -> list[str]:
    """The methods that the described routes take at a path; none where no route matches."""
    return [
        method.upper()
        for route, item in document(app)["paths"].items()
        if compile_path(route)[0].match(path)
        for method in item
    ]


def groups(description: Mapping[str, Any]) -> list[Group]:
    """The operations by subject, in the order of the description's tags."""
    made: list[Group] = []
    for tag in description["tags"]:
        listed = [
            _operation(method, path, item[method])
            for path, item in description["paths"].items()
            for method in METHODS
            if method in item and tag["name"] in item[method]["tags"]
        ]
        made.append(Group(name=tag["name"], text=tag["description"], operations=tuple(listed)))
    return made


def _operation(method: str, path: str, item: Mapping[str, Any]) -> Operation:
    body = tuple(cast("Mapping[str, Any]", item.get("requestBody", {})).get("content", {}))
    return Operation(
        method=method.upper(),
        path=path,
        title=item.get("description", "").split(". ")[0].split(": ")[0].rstrip("."),
        text=item.get("description", ""),
        token=_needs_operator(item),
        guarded={"signature": []} in item.get("security", []),
        parameters=tuple(_parameter(one) for one in item.get("parameters", [])),
        body=body,
        answers=tuple(
            AnswerLine(
                status=status,
                lines=tuple(answer["description"].split("\n\n")),
                media=tuple(cast("Mapping[str, Any]", answer.get("content", {}))),
            )
            for status, answer in item["responses"].items()
        ),
        example=_example(method, path, body, token=_needs_operator(item)),
    )


def _needs_operator(item: Mapping[str, Any]) -> bool:
    return {"operator": []} in item.get("security", [])


def _parameter(item: Mapping[str, Any]) -> ParameterLine:
    schema: Mapping[str, Any] = item["schema"]
    options = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    first: Mapping[str, Any] = options[0] if options else {}
    kind = " or ".join(first["enum"]) if "enum" in first else str(first.get("type", "text"))
    return ParameterLine(
        name=item["name"],
        where=item["in"],
        required=item.get("required", False),
        kind=kind,
        text=item.get("description", ""),
    )


def _example(method: str, path: str, body: tuple[str, ...], *, token: bool) -> str:
    parts = ["curl"]
    if token:
        parts.append("-H 'Authorization: Bearer TOKEN'")
    if body:
        parts.append(f"-H 'Content-Type: {body[0]}' --data-binary @FILE")
    elif method == "post":
        parts.append("-X POST")
    parts.append(f'"$NODE{path}"')
    return " ".join(parts)


def error_lines() -> list[ErrorLine]:
    """Every error class that an answer or a problem can carry, in the order of `errors.py`."""
    return [
        ErrorLine(
            code=code,
            status=status_of(kind),
            title=title_of(kind),
            fix=kind.fix,
            family=_family(kind),
        )
        for code, kind in ERRORS.items()
    ]


def _family(kind: type[DrystoneError]) -> str:
    if issubclass(kind, Unavailable):
        return "unavailable"
    return "broken" if status_of(kind) == 500 else "refused"


def rest_page(description: Mapping[str, Any]) -> str:
    """`docs/reference/rest.md`: every operation with its parameters and answers."""
    parts = [
        "# REST API\n\nGenerated from `src/drystone/api`. The same text is at `/docs` of a running"
        " node, and for programs at `/openapi.json`.\n\n",
        description["info"]["description"],
        "\n\nEvery route may also answer 400 `request-malformed`, 405 `method-unsupported`, 421"
        " `host-foreign`, 500 `broken` and\n503 `unavailable` (with `Retry-After`). Where the read"
        " policy is not `open`, a route that says so may\nanswer 401 (`request-unsigned`,"
        " `request-signature`, `request-stale`, `request-replayed`, `token-invalid`) and\n403"
        " (`read-denied`, `key-revoked`, `member-suspended`): see"
        " [access](../operating/access.md). Lists take `limit` and `after`.\n",
    ]
    for group in groups(description):
        parts.append(f"\n## {group.name}\n\n{group.text}\n")
        parts += [_operation_text(one) for one in group.operations]
    return "".join(parts)


def _operation_text(one: Operation) -> str:
    token = " Needs the operator token." if one.token else ""
    token += " Behind the read policy." if one.guarded else ""
    lines = [f"\n### {one.method} {one.path}\n\n{one.text}{token}\n"]
    if one.body:
        lines.append("\nBody: " + " or ".join(f"`{kind}`" for kind in one.body) + ".\n")
    if one.parameters:
        lines.append("\n| parameter | in | type | meaning |\n|---|---|---|---|\n")
        for given in one.parameters:
            name = f"`{given.name}`{' (required)' if given.required else ''}"
            lines.append(f"| {name} | {given.where} | {given.kind} | {given.text} |\n")
    lines.append("\n| status | answer |\n|---|---|\n")
    for answer in one.answers:
        if answer.status in EVERYWHERE and len(answer.lines) == 1:
            continue
        kinds = "".join(f" `{kind}`" for kind in answer.media if answer.status == "200")
        lines.append(f"| {answer.status} | {'<br>'.join(answer.lines)}{kinds} |\n")
    return "".join(lines)


def metrics_page() -> str:
    """`docs/reference/metrics.md`: every metric with its type, label and meaning."""
    lines = [
        "# Metrics\n\nGenerated from `src/drystone/api/metrics.py` and `gateway_metrics.py`; served at"
        " `/metrics` in Prometheus' text format. No metric carries an\norganisation, a device or a"
        " value, but the peers that the operator named: `/metrics` says how the node is, not what is"
        " measured.\n\n",
        "| metric | type | label | meaning |\n|---|---|---|---|\n",
    ]
    lines += [f"| `{one.name}` | gauge | | {one.help} |\n" for one in metrics.GAUGES]
    lines += [
        f"| `{one.name}_total` | counter | {one.label} | {one.help} |\n" for one in metrics.TALLIES
    ]
    lines += [
        f"| `{name}` | {kind} | {labels} | {text} |\n"
        for name, kind, labels, text in metrics.TRAFFIC
    ]
    lines += [
        "\n## Of a gateway\n\nA gateway has no ledger and tells these in place of what is above, beside"
        " the numbers of HTTP requests, answers and restarts.\n\n",
        "| metric | type | label | meaning |\n|---|---|---|---|\n",
    ]
    lines += [
        f"| `{one.name}` | gauge | | {one.help} |\n" for one in gateway_metrics.GATEWAY_GAUGES
    ]
    lines += [
        f"| `{one.name}{'_total' if one.rises else ''}` | {'counter' if one.rises else 'gauge'}"
        f" | peer | {one.help} |\n"
        for one in gateway_metrics.PER_PEER
    ]
    return "".join(lines)
