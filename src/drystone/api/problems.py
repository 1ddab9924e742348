"""Errors as RFC 9457 problem documents: one status per class, the code and the fix with it.

The status is HTTP's view of a rule; the stable thing is `code`. What is unforeseen answers 500
without a detail and goes on to the server's log. Nothing here decides anything. Place in a
record's life: the way back out. Source: RFC 9457, formats.md A7, errors.py.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from drystone import errors
from drystone.errors import DrystoneError, Unavailable

MEDIA_TYPE: Final = "application/problem+json"
CHALLENGES: Final = ('Bearer realm="drystone"', 'Basic realm="drystone", charset="UTF-8"')
"""A browser asks for a password then, and the token is one; programs send `Bearer` or sign. One line
each: browsers do not look behind a comma.
"""
API_PATHS: Final = ("/v1/", "/tile/", "/checkpoint", "/healthz", "/metrics", "/openapi.json")

STATUS: Final[Mapping[type[DrystoneError], int]] = {
    errors.Refused: 422,
    errors.Unavailable: 503,
    errors.Broken: 500,
    DrystoneError: 500,
    # formats, and records of another shape: the bytes are wrong whoever sends them
    errors.CborMalformed: 400,
    errors.CborNotDeterministic: 400,
    errors.CborUnsupported: 400,
    errors.CborTooDeep: 400,
    errors.CoseMalformed: 400,
    errors.RequestMalformed: 400,
    errors.TooLarge: 413,
    # who asks
    errors.TokenInvalid: 401,
    errors.RequestUnsigned: 401,
    errors.RequestSignature: 401,
    errors.RequestStale: 401,
    errors.RequestReplayed: 401,
    errors.FieldMalformed: 400,
    errors.ReadDenied: 403,
    errors.SignatureMalformed: 403,
    errors.SignatureInvalid: 403,
    errors.MemberUnknown: 403,
    errors.MemberSuspended: 403,
    errors.KeyUnknown: 403,
    errors.KeyRevoked: 403,
    errors.KeyMismatch: 403,
    errors.RoleMissing: 403,
    # what is there already
    errors.AlreadyExists: 409,
    errors.StreamGaps: 409,
    errors.RegisterOrder: 409,
    errors.VertexFork: 409,
    errors.VertexPlace: 409,
    # HTTP's own
    errors.NotFound: 404,
    errors.MethodUnsupported: 405,
    errors.NotAcceptable: 406,
    errors.MediaTypeUnsupported: 415,
    errors.HostForeign: 421,
}
"""Looked up along the class's bases, so that a new rule has its family's status at once."""


class Problem(BaseModel):
    """Why a request was refused, and what to do about it (RFC 9457)."""

    type: str = Field(description="Address of the error's description.")
    title: str = Field(description="The rule that was broken; the same for every instance.")
    status: int
    detail: str = Field(description="What was expected and what was there.")
    instance: str = Field(description="Path of the request.")
    code: str = Field(description="Stable code; never changes meaning.")
    fix: str = Field(description="What an operator or integrator does about it.")
    retry_after_ms: int | None = Field(
        default=None, description="Only with status 503: send again after this time."
    )


def status_of(error: type[DrystoneError]) -> int:
    """HTTP status of an error class: its own, or its nearest base's."""
    return next(STATUS[base] for base in error.__mro__ if base in STATUS)


def title_of(error: type[DrystoneError]) -> str:
    """The rule in one sentence, without the full stop."""
    return (error.__doc__ or error.code).partition("\n")[0].rstrip(".")


def problem_of(error: DrystoneError, *, instance: str) -> Problem:
    """Describes an error for the client.

    `Broken` and its like give no detail: it may hold what only the operator should read.
    """
    kind = type(error)
    status = status_of(kind)
    return Problem(
        type=f"/docs/errors#{kind.code}",
        title=title_of(kind),
        status=status,
        detail=str(error) if status != 500 else "the node's log says more",
        instance=instance,
        code=kind.code,
        fix=kind.fix,
        retry_after_ms=error.retry_after_ms if isinstance(error, Unavailable) else None,
    )


def problem_response(
    error: DrystoneError, *, instance: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Answers with the problem document, and with the headers its status asks for."""
    problem = problem_of(error, instance=instance)
    sent = dict(headers or {})
    if problem.retry_after_ms is not None:
        sent["Retry-After"] = str(max(1, -(-problem.retry_after_ms // 1000)))
    body = json.dumps(problem.model_dump(exclude_none=True), ensure_ascii=False)
    answer = Response(
        body.encode(), status_code=problem.status, headers=sent, media_type=MEDIA_TYPE
    )
    return challenged(answer)


def challenged(answer: Response) -> Response:
    """The same answer; a 401 also says how to name oneself."""
    if answer.status_code == 401:
        for challenge in CHALLENGES:
            answer.headers.append("WWW-Authenticate", challenge)
    return answer


def from_validation(error: RequestValidationError) -> errors.RequestMalformed:
    """The framework's complaints about path, query and body as one of ours, without the input."""
    parts: list[str] = []
    for entry in cast("Sequence[Mapping[str, Any]]", error.errors())[:8]:
        where = ".".join(str(step) for step in entry["loc"])
        parts.append(f"{where}: {entry['msg']}")
    return errors.RequestMalformed("; ".join(parts) or "the request is not what the route takes")


def from_http(error: HTTPException, *, method: str, path: str) -> DrystoneError:
    """The framework's own refusals (no such route, no such method, unreadable body) as ours."""
    if error.status_code == 404:
        return errors.NotFound(f"no route {path}")
    if error.status_code == 405:
        return errors.MethodUnsupported(f"{path} does not take {method}")
    if error.status_code == 413:
        return errors.TooLarge("the body is larger than the route takes")
    return errors.RequestMalformed(str(error.detail))


def as_error(error: Exception, *, method: str, path: str) -> DrystoneError:
    """Any exception of a request as one of ours; what is unforeseen becomes `Broken`."""
    if isinstance(error, DrystoneError):
        return error
    if isinstance(error, RequestValidationError):
        return from_validation(error)
    if isinstance(error, HTTPException):
        return from_http(error, method=method, path=path)
    return errors.Broken("unforeseen")


def wants_page(request: Request) -> bool:
    """Whether a browser navigates to something that is no part of the REST API."""
    accept = request.headers.get("accept", "").lower()
    return (
        request.method == "GET"
        and accept.startswith("text/html")
        and not request.url.path.startswith(API_PATHS)
    )


Show = Callable[[Request, Problem], Response]
"""Renders a problem as a page."""

Methods = Callable[[FastAPI, str], Sequence[str]]
"""The methods that a path takes."""


def install(app: FastAPI, *, show: Show, methods: Methods) -> None:
    """Has the application answer every error with a problem document, or with a page for people.

    A page where the client is a browser that asked for a page; `show` renders it.
    `Broken` and the unforeseen pass through the outermost handler, which answers 500 and raises on
    to the server, so that they are logged and never hidden.
    """

    def handle(request: Request, error: Exception) -> Response:
        path = request.url.path
        ours = as_error(error, method=request.method, path=path)
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        if "Allow" in headers and (taken := methods(app, path)):
            # The framework names the methods of one route; a path may have two.
            headers["Allow"] = ", ".join(taken)
        if wants_page(request):
            return challenged(show(request, problem_of(ours, instance=path)))
        return problem_response(ours, instance=path, headers=headers)

    for kind in (errors.Refused, Unavailable, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, handle)
