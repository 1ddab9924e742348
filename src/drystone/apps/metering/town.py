"""A town of meters for this folder's tests: how they install a meter and write down a pack of intervals.

Lives here: words that several of the tests use. The fixture `town` itself stands in conftest.py.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from drystone.formats.senml import Measurement
from drystone.workshop.actors import Device
from drystone.workshop.chain import Chain

NewDevice = Callable[..., Device]
MIDNIGHT_MS: Final = 1_762_300_800_000
"""2025-11-05 00:00 UTC; a chain's clock begins eleven hours later."""
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
NIGHT, DAY = 21_350, 27_940


def home_group(town: Chain, group: str, server: str) -> None:
    town.call(town.org(), "metering.home_group", group=group, server=server)


def installed(
    town: Chain, device: NewDevice, kind: str = "electricity", sub: str = "m-1", **more: Any
) -> Device:
    """Enrol and install one meter of a household."""
    meter = device(kind, sub)
    household = more.pop("household", "ewz/home-1")
    one = {"meter": f"ewz/{sub}", "kind": kind, "group": "north", "household": household}
    args = one | {"supplier": "ewz"} | more
    town.call(town.org(), "metering.install", meters=[args])
    return meter


def intervals(values: list[Any], begin_ms: int, *, minutes: int = 15) -> list[Measurement]:
    """Return a pack of kWh decimals, each named by the beginning of its interval."""
    return [
        Measurement("energy", "kWh", number(value), begin_ms // 1000 + 60 * minutes * index)
        for index, value in enumerate(values)
    ]


def number(value: Any) -> int | tuple[int, int]:
    if isinstance(value, int):
        return value
    sign, digits, exponent = Decimal(value).as_tuple()
    mantissa = int("".join(map(str, digits))) * (-1 if sign else 1)
    assert isinstance(exponent, int)
    return (exponent, mantissa) if exponent else mantissa


def flags(town: Chain) -> list[str]:
    return [data["flag"] for data in town.events_of("metering.flag")]
