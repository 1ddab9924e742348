"""What contracts keep, read for pages: values by path, exact numbers in words, links to what proves them.

Pages of particular contracts (`sheet_*.py`) stand on these. A value is whatever its contract put
there: read leniently, so that a contract of the same name with other values gives an empty page
and never a broken one. Source: docs/concepts/contracts.md (paths).
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, cast

from drystone.api.cells import decimal_text, iso_ms
from drystone.api.service import Service
from drystone.api.values import ContractValue, StreamKey
from drystone.formats import cbor
from drystone.limits import LIST_ROWS_MAX

Fields = Mapping[str, object]
"""A value that is a map."""

MICRO: Final = -6
"""Exponent of numbers that are kept in millionths."""


class Kept(NamedTuple):
    """One value that a contract keeps."""

    path: str
    fields: Fields
    proof: str


async def kept_value(service: Service, contract: str, path: str) -> Kept | None:
    """The value at a path, if it is a map."""
    found = await service.contract_values(contract, path=path, after=None, limit=1)
    return _kept(found[0]) if found and found[0].path == path else None


async def kept_below(
    service: Service, contract: str, path: str, *, limit: int = LIST_ROWS_MAX
) -> list[Kept]:
    """The maps at and below a path, in the order of their state keys."""
    found = await service.contract_values(contract, path=path, after=None, limit=limit)
    return [_kept(one) for one in found]


def _kept(one: ContractValue) -> Kept:
    value = cbor.decode(one.value)
    fields: Fields = cast("Fields", value) if isinstance(value, dict) else {}
    return Kept(one.path, fields, f"/v1/state/{one.key.hex()}")


def whole(fields: Fields, name: str, default: int = 0) -> int:
    """A whole number among a value's fields."""
    value = fields.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def text(fields: Fields, name: str) -> str:
    """A text among a value's fields; empty where there is none."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def below(fields: Fields, name: str) -> Fields:
    """A map among a value's fields; empty where there is none."""
    value = fields.get(name)
    return cast("Fields", value) if isinstance(value, dict) else {}


def listed(fields: Fields, name: str) -> Sequence[object]:
    """A list among a value's fields; empty where there is none."""
    value = fields.get(name)
    return cast("Sequence[object]", value) if isinstance(value, list) else ()


def scaled(value: int, exponent: int, *, places: int = 0) -> str:
    """A whole number of 10^exponent, exact, without zeros at its end beyond so many places."""
    digits = decimal_text((exponent, value)) if exponent < 0 else str(value * 10**exponent)
    head, _, tail = digits.partition(".")
    tail = tail.rstrip("0").ljust(places, "0")
    return f"{head}.{tail}" if tail else head


def micro(fields: Fields, name: str, *, places: int = 0) -> str | None:
    """A number kept in millionths, exact; None where there is none."""
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return scaled(value, MICRO, places=places)


def moment(fields: Fields, name: str) -> str | None:
    """A time in milliseconds as ISO 8601; None where there is none."""
    value = whole(fields, name)
    return iso_ms(value) if value > 0 else None


def stream_of(address: str) -> StreamKey | None:
    """The stream of ORGANISATION/NAME or ORGANISATION/GATEWAY/NAME; None for anything else."""
    parts = tuple(address.split("/"))
    return parts if len(parts) in {2, 3} and all(parts) else None


def receipt_path(address: str, fields: Fields) -> str | None:
    """Path of the receipt page of the record that a device's value came from."""
    stream = stream_of(address)
    if stream is None or "seq" not in fields:
        return None
    device = f"?device={stream[2]}" if len(stream) == 3 else ""
    where = f"{whole(fields, 'epoch')}/{whole(fields, 'seq')}"
    return f"/receipts/{stream[0]}/{stream[1]}/{where}{device}"


def device_page(address: str) -> str | None:
    """Path of a device's page."""
    stream = stream_of(address)
    if stream is None:
        return None
    return f"/devices/{stream[0]}/{stream[1]}" + (
        f"?device={stream[2]}" if len(stream) == 3 else ""
    )


def age_text(age_ms: int) -> str:
    """How long ago, in the two words that matter."""
    seconds = max(0, age_ms) // 1000
    for size, word in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {word}"
    return f"{seconds} s"
