"""Metering's own data for demos and tests: profiles, tariffs, the calls that make it ready, what a display shows.

Lives here: pure values; the same arguments give the same calls. May not: sign or send anything, read a clock.
`installations` follows the street of `sim/meters.py`, so what a household owes can be worked out from the emulator
alone (`cost`) and held against the ledger's bill.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final, NamedTuple

from drystone.sim import meters

CONTRACT: Final = "metering"
PRICE_DECIMALS: Final = 5
"""Prices are whole numbers of 10^-5 of the currency unit per kWh or m3."""
AT_ONCE: Final = 40
"""Meters or households in one call."""
GROUP_METERS: Final = 100
HOUR_MS: Final = 3_600_000
EXPONENTS: Final = {"electricity": -3, "interval": -9, "gas": -3, "water": -3, "heat": 0}
"""Quantities of a kind are whole numbers of 10^exponent kWh or m3."""
UNITS: Final = {
    "electricity": "kWh",
    "interval": "kWh",
    "gas": "m3",
    "water": "m3",
    "heat": "kWh",
}


class Call(NamedTuple):
    """A call that a governor of the organisation signs."""

    contract: str
    function: str
    args: dict[str, Any]


class Tariff(NamedTuple):
    """Prices of one trade: (hour from which on, price), and what feeding in is paid with."""

    steps: tuple[tuple[int, int], ...]
    feed_in: int = 0

    def price(self, hour: int) -> int:
        """Return the price in an hour of the day, 0 to 23."""
        return next(price for begin, price in reversed(self.steps) if begin <= hour)


TARIFFS: Final[dict[str, Tariff]] = {
    "electricity": Tariff(((0, 21_350), (6, 27_940), (22, 21_350)), feed_in=9_800),
    "gas": Tariff(((0, 112_000),)),
    "heat": Tariff(((0, 14_275),)),
    "water": Tariff(((0, 185_000),)),
}
"""Made up, of the size that households pay: 0.21350 a kWh at night, 1.85 a m3 of water."""


class Installation(NamedTuple):
    """A meter to be put into service; `start` and `export` are what its counters show (None: its first reading)."""

    device: str
    kind: str
    household: str
    start: int | None = None
    export: int | None = None


@cache
def profiles() -> tuple[dict[str, Any], ...]:
    """Return the arguments of `registry.profile`, one for each kind of meter; they stand in profiles.toml."""
    text = resources.files("drystone.apps.metering").joinpath("profiles.toml").read_text("utf-8")
    return tuple(tomllib.loads(text)["profile"])


def installations(*, seed: int, count: int) -> list[Installation]:
    """Return the meters of the emulated street `seed`, each with a household of its own, as they stand when built."""
    return [
        Installation(
            device=meter.device,
            kind="electricity",
            household=meter.device.replace("m-", "home-"),
            start=meter.import_start_wh,
            export=meter.export_start_wh if meter.household.pv_peak_w else None,
        )
        for meter in meters.street(seed=seed, count=count)
    ]


def setup_calls(
    *,
    organisation: str,
    gateway: str,
    installed: Sequence[Installation],
    tariffs: Mapping[str, Tariff] = TARIFFS,
    utc_offset_min: int = 0,
) -> list[Call]:
    """Return the calls that make metering ready, in order: area, server, groups, tariffs, meters.

    `gateway` (a member of `organisation`) collects for all groups, the organisation supplies. The contract must be
    deployed, the meters enrolled. Calls are for a governor, to be sent one after another.
    """
    server = f"{organisation}/{gateway}"
    groups = [f"quarter-{1 + start // GROUP_METERS}" for start in range(0, len(installed), 100)]
    calls = [
        Call(CONTRACT, "configure", {"settings": {"utc_offset_min": utc_offset_min}}),
        Call(CONTRACT, "allow_server", {"server": server}),
    ]
    calls += [Call(CONTRACT, "home_group", {"group": group, "server": server}) for group in groups]
    calls += [tariff_call(trade, tariff) for trade, tariff in sorted(tariffs.items())]
    members = [
        _member(one, organisation=organisation, group=groups[index // GROUP_METERS])
        for index, one in enumerate(installed)
    ]
    for start in range(0, len(members), AT_ONCE):
        args = {"meters": members[start : start + AT_ONCE]}
        calls.append(Call(CONTRACT, "install", args))
    return calls


def tariff_call(trade: str, tariff: Tariff) -> Call:
    """Return the call by which a supplier sets its prices."""
    steps = [list(step) for step in tariff.steps]
    args = {"trade": trade, "steps": steps, "feed_in": tariff.feed_in}
    return Call(CONTRACT, "set_tariff", args)


def bill_calls(*, organisation: str, households: Sequence[str]) -> list[Call]:
    """Return the calls that bill `households` for everything since their last bill."""
    names = [f"{organisation}/{household}" for household in households]
    return [
        Call(CONTRACT, "bill", {"households": names[start : start + AT_ONCE]})
        for start in range(0, len(names), AT_ONCE)
    ]


def _member(one: Installation, *, organisation: str, group: str) -> dict[str, Any]:
    member: dict[str, Any] = {
        "meter": f"{organisation}/{one.device}",
        "kind": one.kind,
        "group": group,
        "household": f"{organisation}/{one.household}",
        "supplier": organisation,
    }
    if one.start is not None:
        member["start"] = one.start
    if one.export is not None:
        member["export"] = one.export
    return member


def cost(
    steps: Iterable[tuple[int, int]], tariff: Tariff, *, utc_offset_min: int = 0, ends: int = 1
) -> int:
    """Return what quantities come to, exactly: the sum of quantity times price.

    `steps` are (time in Unix ms, quantity). `ends` is 1 where the quantity was used before that time, 0 where after.
    """
    exact = 0
    for time_ms, quantity in steps:
        hour = (time_ms + utc_offset_min * 60_000 - ends) // HOUR_MS % 24
        exact += quantity * tariff.price(hour)
    return exact


def coin(kind: str, *, decimals: int = 2) -> int:
    """Return how much of an exact cost makes one of the smallest coin."""
    return int(10 ** (PRICE_DECIMALS - decimals - EXPONENTS[kind]))


def display(value: Mapping[str, Any]) -> str:
    """Return what the control panel of a meter shows of the value that the ledger keeps for it."""
    kind = value["kind"]
    decimals = -EXPONENTS[kind]
    whole, fraction = divmod(value["value"], 10**decimals)
    shown = f"{whole:06d}" if not decimals else f"{whole:06d}.{fraction:0{decimals}d}"[:10]
    return f"{shown} {UNITS[kind]}"
