"""A reading of a device that cannot sign, as JSON: the document's model, and its numbers digit for digit.

`21.50` is the decimal fraction (-2, 2150), never a binary float. Who may hand it in is the route's to ask; the record
that comes of it is the gateway's (`gateway/attest.py`). Source: design.md section 3 (unsigned devices), formats.md B.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drystone.errors import MediaTypeUnsupported, RequestMalformed
from drystone.formats.number import Number
from drystone.formats.senml import Measurement
from drystone.limits import (
    EXPONENT_MIN,
    ID_LENGTH_MAX,
    INTEGER_BITS_MAX,
    NAME_LENGTH_MAX,
    PACK_MEASUREMENTS_MAX,
)

ID_PATTERN: Final = rf"^[A-Za-z0-9][A-Za-z0-9._\-]{{0,{ID_LENGTH_MAX - 1}}}$"
"""What an id looks like, as the API's description says it."""

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


class DeviceReading(NamedTuple):
    """Which device measured what."""

    device: str
    measurements: Sequence[Measurement]


def parse_reading(body: bytes, *, content_type: str) -> DeviceReading:
    """Read the document. Raises: MediaTypeUnsupported, RequestMalformed."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind != JSON:
        raise MediaTypeUnsupported(f"{kind or 'no content type'}; send {JSON}")
    try:
        loaded = json.loads(body, parse_float=_exact, parse_constant=_no_constant)
        reading = AttestedReading.model_validate(loaded)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise RequestMalformed(f"{where}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise RequestMalformed("the body is not JSON") from error
    return DeviceReading(
        reading.device,
        [
            Measurement(
                one.name,
                one.unit,
                _value(one.value),
                None if one.time is None else _number(one.time),
            )
            for one in reading.measurements
        ],
    )


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
