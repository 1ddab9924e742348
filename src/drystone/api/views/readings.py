"""Readings of devices that cannot sign: JSON in, a record signed by this gateway out.

The record says for ever that the gateway attests it. Needs the operator token, or one with the
scope `attest`, because nothing in the request proves who measured. Numbers are read digit for
digit: `21.50` is the decimal fraction (-2, 2150), never a binary float.
Source: design.md section 3 (unsigned devices), formats.md B.
"""

import json
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drystone.api.access import Access
from drystone.api.lists import Hex, Row
from drystone.api.views.requests import ID_PATTERN, CurrentAccess, PublicNode, refusals
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
from drystone.formats.number import Number
from drystone.formats.senml import Measurement
from drystone.gateway.answer import Answer, Wait, refusal
from drystone.limits import EXPONENT_MIN, INTEGER_BITS_MAX, NAME_LENGTH_MAX, PACK_MEASUREMENTS_MAX

router = APIRouter(tags=["records"])

JSON: Final = "application/json"
DIGITS_MAX: Final = 40

Exact = int | Decimal


class MeasuredValue(BaseModel):
    """One measurement as an unsigned device's driver reports it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(min_length=1, max_length=NAME_LENGTH_MAX)
    value: bool | Exact | str = Field(
        description="A JSON number with at most nine decimals, kept digit by digit; or text."
    )
    unit: str | None = Field(default=None, max_length=32, description="A SenML unit.")
    time: Exact | None = Field(default=None, description="Unix seconds; null: no clock.")


class AttestedReading(BaseModel):
    """What one unsigned device measured."""

    model_config = ConfigDict(extra="forbid", strict=True)

    device: str = Field(pattern=ID_PATTERN, description="Attached to this gateway beforehand.")
    measurements: list[MeasuredValue] = Field(min_length=1, max_length=PACK_MEASUREMENTS_MAX)


class AnswerDocument(Row):
    """What became of a reading so far."""

    code: Literal["stored", "already"]
    detail: str
    id: Hex | None
    place: str | None = Field(description="`iss/sub/epoch/seq/index` once sealed.")
    outcome: str | None
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
    reading = await _read(request, access)
    measurements = [
        Measurement(
            one.name, one.unit, _value(one.value), None if one.time is None else _number(one.time)
        )
        for one in reading.measurements
    ]
    answer = await service.attest(reading.device, measurements, wait=wait)
    error = refusal(answer)
    if error is not None:
        raise error
    return _document(answer)


async def _read(request: Request, access: Access) -> AttestedReading:
    """The body, after the token was checked; the body's bound is the border's."""
    await access.demand_attesting(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise MediaTypeUnsupported(f"{kind or 'no content type'}; send {JSON}")
    try:
        body = json.loads(await request.body(), parse_float=_exact, parse_constant=_no_constant)
        return AttestedReading.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise RequestMalformed(f"{where}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise RequestMalformed("the body is not JSON") from error


def _exact(digits: str) -> Decimal:
    if len(digits) > DIGITS_MAX:
        raise ValueError("a number of too many digits")
    return Decimal(digits)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _value(value: bool | Exact | str) -> Number | str | bool:
    return value if isinstance(value, bool | str) else _number(value)


def _number(value: Exact) -> Number:
    """A JSON number as the integer or decimal fraction with the digits it was written with.

    Raises: RequestMalformed (more decimals or digits than a record can carry).
    """
    if isinstance(value, int):
        number: Number = value
        mantissa = value
    else:
        sign, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int) or not EXPONENT_MIN <= exponent <= DIGITS_MAX:
            raise RequestMalformed(f"{value}: a number has at most {-EXPONENT_MIN} decimals")
        mantissa = int("".join(map(str, digits))) * (-1 if sign else 1)
        if exponent >= 0:
            mantissa *= 10**exponent
        number = mantissa if exponent >= 0 else (exponent, mantissa)
    if mantissa.bit_length() > INTEGER_BITS_MAX:
        raise RequestMalformed(f"a number has at most {INTEGER_BITS_MAX} bits")
    return number


def _document(answer: Answer) -> AnswerDocument:
    return AnswerDocument(
        code="already" if answer.code == "already" else "stored",
        detail=answer.detail,
        id=answer.record_id,
        place=None if answer.place is None else "/".join(map(str, answer.place)),
        outcome=answer.outcome,
        height=answer.height,
    )
