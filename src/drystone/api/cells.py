"""How a value becomes a cell of a row: exact numbers, ISO times, and nothing rounded.

A reading's value is an integer or a decimal fraction and is shown digit for digit, never through
a binary float. Integers that JavaScript cannot hold exactly become text. Pure; knows no HTTP.
Source: formats.md A3 and B (numbers, times), the issue's item 5 (lists).
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from drystone.formats.cbor import Tag
from drystone.formats.number import Number

INTEGER_EXACT_MAX: Final = 2**53 - 1
"""Largest integer that every JSON reader keeps exactly."""

SECONDS_MAX: Final = 253_402_300_799
"""Last second that ISO 8601 writes with four digits of year."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def decimal_text(number: Number) -> str:
    """Digits of a number as it was signed: `(-1, 215)` is `21.5`, `(-2, 2150)` is `21.50`."""
    if isinstance(number, int):
        return str(number)
    exponent, mantissa = number
    digits = str(abs(mantissa)).rjust(1 - exponent, "0")
    sign = "-" if mantissa < 0 else ""
    return f"{sign}{digits[:exponent]}.{digits[exponent:]}" if exponent else sign + digits


def value_cell(value: Number | str | bytes | bool | None) -> int | str | bool | None:
    """A measurement's value as a JSON cell: small integers as numbers, all else exact as text.

    Bytes become hex, decimal fractions their digits, integers beyond 2**53 their digits.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, int) and abs(value) <= INTEGER_EXACT_MAX:
        return value
    return decimal_text(value)


def iso_seconds(seconds: Number | None) -> str | None:
    """A Unix time in seconds as ISO 8601 in UTC with the digits it was signed with.

    Beyond the year 9999 the seconds themselves: a device may claim anything.
    """
    if seconds is None:
        return None
    whole, _, fraction = decimal_text(seconds).partition(".")
    if not 0 <= int(whole) <= SECONDS_MAX:
        return decimal_text(seconds)
    moment = (EPOCH + timedelta(seconds=int(whole))).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{fraction}Z" if fraction else f"{moment}Z"


def iso_ms(time_ms: int | None) -> str | None:
    """A Unix time in milliseconds as ISO 8601 in UTC."""
    return None if time_ms is None else iso_seconds((-3, time_ms))


def plain(value: object) -> Any:
    """A CBOR value as a JSON value: bytes as hex, keys as text, large integers as text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value)
        return {
            key.hex() if isinstance(key, bytes) else str(key): plain(item)
            for key, item in entries.items()
        }
    if isinstance(value, Tag):
        return {"tag": value.number, "value": plain(value.value)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[object]", value)]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > INTEGER_EXACT_MAX:
        return str(value)
    return value
