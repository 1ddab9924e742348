"""Errors as RFC 9457 problem documents: one status per class, the code and the fix with it.

The status is HTTP's view of a rule; the stable thing is `code`. What is unforeseen answers 500
without a detail and goes on to the server's log. Nothing here decides anything, or
needs the framework (`problem_handlers.py` does): a gateway answers with these as well. Place in a
record's life: the way back out. Source: RFC 9457, formats.md A7, errors.py.
"""

import json
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, Field
from starlette.responses import Response

from drystone import errors
from drystone.errors import DrystoneError, Unavailable

MEDIA_TYPE: Final = "application/problem+json"
CHALLENGES: Final = ('Bearer realm="drystone"', 'Basic realm="drystone", charset="UTF-8"')
"""A browser asks for a password then, and the token is one; programs send `Bearer` or sign. One line
each: browsers do not look behind a comma.
"""

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
