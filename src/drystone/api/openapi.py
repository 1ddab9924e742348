"""The machine-readable description of the REST API, complete: every route, every refusal.

FastAPI describes what it validates; this file adds the hot route, which is none of FastAPI's, the
problem document, and the refusals that any route may answer with. `/docs` and the reference page
are made from the result. Source: OpenAPI 3.1, RFC 9457.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from drystone.api.access import GUARDS
from drystone.api.attested import AttestedReading
from drystone.api.lists import CBOR, JSON
from drystone.api.problems import Problem
from drystone.api.views.requests import refusals
from drystone.errors import (
    Broken,
    CborMalformed,
    CoseMalformed,
    DiskFull,
    HostForeign,
    MediaTypeUnsupported,
    MemberUnknown,
    MethodUnsupported,
    Overloaded,
    ReadDenied,
    RecordMalformed,
    RequestMalformed,
    RequestUnsigned,
    SignatureInvalid,
    StreamGaps,
    TooLarge,
    Unavailable,
)
from drystone.transport.http import CBOR_SEQUENCE, COSE, PATH

SUMMARY: Final = "A ledger for devices in the field."
DESCRIPTION: Final = (
    "Devices sign their readings; this node collects, orders and commits them; anyone checks them"
    " offline. A record proves itself by its signature, so sending one needs no login. Errors are"
    " RFC 9457 problem documents whose `code` never changes meaning. Lists end with a cursor `next`"
    " and come as JSON, CSV and CBOR: by `Accept`, or by `.json`, `.csv`, `.cbor` behind the path."
)
TAGS: Final = (
    ("records", "Send records and readings; read streams, records and measurements."),
    ("proofs", "Receipts, completeness proofs and state values: files that verify offline."),
    ("members", "Devices, other members, organisations, and the profiles of devices."),
    ("contracts", "What runs, who approved it, how it is called, and what it keeps."),
    ("blocks", "Blocks, vertices and tips."),
    ("dag", "The DAG as a drawing, live; frontier, forks and peers."),
    ("ledger", "The ledger itself, and whom to trust."),
    ("log", "Checkpoint and tiles of the log, as C2SP lays them down."),
    ("node", "Health, metrics and events of this node."),
)
ANY_ROUTE: Final = (RequestMalformed, HostForeign, Broken, Unavailable, MethodUnsupported)
"""What every route may answer beside its own refusals."""

GUARDED_ROUTE: Final = (RequestUnsigned, ReadDenied)
"""What a route behind the read policy may answer too; others of these statuses say more exactly why."""

SCHEMES: Final[dict[str, dict[str, str]]] = {
    "operator": {
        "type": "http",
        "scheme": "bearer",
        "description": "The operator token in the home's keys folder.",
    },
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of `drystone token create`, as far as its scopes go.",
    },
    "signature": {
        "type": "http",
        "scheme": "signature",
        "description": "An enrolled member's signature over the request (RFC 9421).",
    },
}

_ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["code"],
    "properties": {
        "code": {"type": "string", "description": "`stored`, `already`, or an error's code."},
        "detail": {"type": "string"},
        "id": {"type": "string", "description": "Record id, hex."},
        "place": {
            "type": "object",
            "description": "Address of the record once it is sealed.",
            "properties": {
                "iss": {"type": "string"},
                "sub": {"type": "string"},
                "epoch": {"type": "integer"},
                "seq": {"type": "integer"},
                "index": {"type": "integer"},
            },
        },
        "outcome": {"type": "string", "description": "`accepted`, `already`, or an error's code."},
        "finality": {
            "type": "string",
            "enum": ["final", "provisional"],
            "description": "Of the outcome; absent without one.",
        },
        "height": {"type": "integer", "description": "Block that holds the outcome."},
        "retry_after_ms": {"type": "integer"},
    },
}

_ANSWERS: Final[dict[str, Any]] = {
    "oneOf": [
        {"$ref": "#/components/schemas/Answer"},
        {
            "type": "object",
            "required": ["answers"],
            "properties": {
                "answers": {"type": "array", "items": {"$ref": "#/components/schemas/Answer"}}
            },
        },
    ]
}


def _records_operation() -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        "tags": ["records"],
        "summary": "Post Records",
        "description": (
            "Takes signed records: one COSE_Sign1 as `application/cose`, or many as a CBOR sequence"
            " (`application/cbor-seq`). One record answers with its own fate, or with a problem;"
            " many answer for each, in order, and the status is 200. `stored` means that the record"
            " survives power loss; `wait` asks for more."
        ),
        "operationId": "post_records_v1_records_post",
        "parameters": [
            {
                "name": "wait",
                "in": "query",
                "required": False,
                "description": "Answer when this is known: the place, the outcome as this node"
                " foresees it, or the outcome.",
                "schema": {"type": "string", "enum": ["sealed", "provisional", "committed"]},
            }
        ],
        "requestBody": {"required": True, "content": {COSE: binary, CBOR_SEQUENCE: binary}},
        "responses": {
            "200": {
                "description": "What became of the record, or of each.",
                "content": {JSON: {"schema": _ANSWERS}, CBOR: {}},
            },
            **_text_keys(
                refusals(
                    RequestMalformed,
                    CborMalformed,
                    CoseMalformed,
                    SignatureInvalid,
                    MemberUnknown,
                    StreamGaps,
                    TooLarge,
                    MediaTypeUnsupported,
                    RecordMalformed,
                    Overloaded,
                    DiskFull,
                )
            ),
        },
    }


def guarded_paths(app: FastAPI) -> set[tuple[str, str]]:
    """Method and path of every described route that asks the read policy."""
    found: set[tuple[str, str]] = set()
    for route in flat_routes(app.routes):
        asks = any(one.call in GUARDS for one in route.dependant.dependencies)
        if asks and route.include_in_schema:
            path = re.sub(r"{(\w+):path}", r"{\1}", route.path)
            found |= {(method.lower(), path) for method in route.methods or ()}
    return found


def flat_routes(routes: Sequence[Any]) -> list[APIRoute]:
    """The framework's routes, of an application and of every router included in it."""
    found: list[APIRoute] = []
    for route in routes:
        if isinstance(route, APIRoute):
            found.append(route)
        else:
            router = getattr(route, "original_router", None)
            found += flat_routes(router.routes) if router is not None else []
    return found


def _text_keys(responses: dict[int | str, dict[str, Any]]) -> dict[str, Any]:
    return {str(status): response for status, response in responses.items()}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an application; the same for every call."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=SUMMARY,
        description=DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in TAGS],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    document["paths"] = {PATH: {"post": _records_operation()}, **document["paths"]}
    components = document.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    for model in (Problem, AttestedReading):
        schema = TypeAdapter(model).json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    schemas["Answer"] = _ANSWER
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    components["securitySchemes"] = SCHEMES
    everywhere = _text_keys(refusals(*ANY_ROUTE))
    behind_policy = _text_keys(refusals(*GUARDED_ROUTE))
    guarded = guarded_paths(app)
    for name, path in document["paths"].items():
        for method, operation in path.items():
            if (method, name) in guarded:
                operation["security"] = [{}, {"token": []}, {"signature": []}]
                for status, response in behind_policy.items():
                    operation["responses"].setdefault(status, response)
            answers: dict[str, Any] = operation["responses"]
            answers.pop("422", None) if _is_framework(answers.get("422")) else None
            for status, response in everywhere.items():
                answers.setdefault(status, response)
            if answers.get("200", {}).get("description") == "Successful Response":
                answers["200"]["description"] = "The answer."
            operation["responses"] = dict(sorted(answers.items()))
    return document


def _is_framework(response: Any) -> bool:
    """Whether a 422 is the framework's own, which `problems.py` turned into a 400."""
    return response is not None and "HTTPValidationError" in str(response)
