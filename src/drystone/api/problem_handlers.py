"""Every error of a route as a problem document: what the application's framework raises, and what is ours.

Lives here: the framework's own refusals in our words, and the handlers that answer with `problems.py`. Nothing here
decides anything. Place in a record's life: the way back out. Source: RFC 9457, errors.py.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from drystone import errors
from drystone.api.problems import Problem, challenged, problem_of, problem_response
from drystone.errors import DrystoneError, Unavailable

RESTART_MS: Final = 2_000
"""What a start takes, about."""

API_PATHS: Final = ("/v1/", "/tile/", "/checkpoint", "/healthz", "/metrics", "/openapi.json")


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
    """Any exception of a request as one of ours; what is unforeseen becomes `Broken`.

    Where a process of the node has just died the node starts again: who asked may ask again in a moment.
    """
    if isinstance(error, errors.ChannelClosed):
        return Unavailable("the node is starting again", retry_after_ms=RESTART_MS)
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

    ours = (errors.Refused, Unavailable, errors.ChannelClosed)
    for kind in (*ours, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, handle)
