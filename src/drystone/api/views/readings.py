"""Readings of devices that cannot sign: JSON in, a record signed by this gateway out.

The record says for ever that the gateway attests it. Needs the operator token, or one with the
scope `attest`, because nothing in the request proves who measured (`attested.py` reads it).
Source: design.md section 3 (unsigned devices), formats.md B.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from drystone.api.attested import JSON, parse_reading
from drystone.api.lists import Hex, Row
from drystone.api.views.requests import CurrentAccess, PublicNode, refusals
from drystone.errors import (
    DiskFull,
    MediaTypeUnsupported,
    MemberUnknown,
    Overloaded,
    ProfileMismatch,
    RequestMalformed,
    SenmlUnit,
    TokenInvalid,
)
from drystone.gateway.answer import Answer, Finality, Wait, refusal

router = APIRouter(tags=["records"])


class AnswerDocument(Row):
    """What became of a reading so far."""

    code: Literal["stored", "already"]
    detail: str
    id: Hex | None
    place: str | None = Field(description="`iss/sub/epoch/seq/index` once sealed.")
    outcome: str | None
    finality: Finality | None = Field(description="Of the outcome; null without one.")
    height: int | None


@router.post(
    "/v1/readings",
    responses=refusals(
        TokenInvalid, MemberUnknown, ProfileMismatch, SenmlUnit, MediaTypeUnsupported,
        RequestMalformed, Overloaded, DiskFull,
    ),
    openapi_extra={
        "security": [{"operator": []}],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/AttestedReading"}}},
        },
    },
)  # fmt: skip
async def post_reading(
    request: Request,
    service: PublicNode,
    access: CurrentAccess,
    wait: Annotated[Wait | None, Query(description="Answer when this is known.")] = None,
) -> AnswerDocument:
    """Attests an unsigned device's reading; the record says for ever who signed it."""
    await access.demand_attesting(request)
    content_type = request.headers.get("content-type", "")
    reading = parse_reading(await request.body(), content_type=content_type)
    answer = await service.attest(reading.device, reading.measurements, wait=wait)
    error = refusal(answer)
    if error is not None:
        raise error
    return _document(answer)


def _document(answer: Answer) -> AnswerDocument:
    return AnswerDocument(
        code="already" if answer.code == "already" else "stored",
        detail=answer.detail,
        id=answer.record_id,
        place=None if answer.place is None else "/".join(map(str, answer.place)),
        outcome=answer.outcome,
        finality=answer.finality,
        height=answer.height,
    )
