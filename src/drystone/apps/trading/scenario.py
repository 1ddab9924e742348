"""Trading's own data for demos and tests: a street of homes, slot by slot, and what they should come to owe.

Lives here: pure values; the same arguments give the same homes, slots and calls. May not: sign or send anything, read a
clock. `Books` keeps the accounts of a market apart from the contract, so that a demo can hold the ledger against it.
"""

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final, NamedTuple

from drystone.formats.senml import Measurement
from drystone.sim import meters

CONTRACT: Final = "trading"
PROFILE: Final = "prosumer"
SLOT_MINUTES: Final = 15
SLOT_MS: Final = SLOT_MINUTES * 60_000
DAY_S: Final = 86_400
ZONE: Final = "quarter"
COIN: Final = 1_000_000
"""Amounts are whole numbers of 10^-8 of the currency unit: so many make one of the smallest coin."""
PRICE: Final = 14_500
"""Made up: 0.145 a kWh, between what a supplier pays for surplus and what it asks."""
PRODUCER: Final = meters.Household("house", 120, 8_000, (("kettle", 20), ("cooking", 5)))
CONSUMER: Final = meters.Household("heatpump", 180, 0, (("kettle", 20), ("washing", 3)))


class Call(NamedTuple):
    """A call of the contract, without who signs it."""

    contract: str
    function: str
    args: dict[str, Any]


class Slot(NamedTuple):
    """What a home's connection gave and drew in one slot, in Wh."""

    number: int
    given: int
    drawn: int


class Take(NamedTuple):
    """A part of an offer that a home has taken."""

    buyer: str
    quantity: int
    price: int


@cache
def profiles() -> tuple[dict[str, Any], ...]:
    """Return the arguments of `registry.profile`; they stand in profiles.toml."""
    text = resources.files("drystone.apps.trading").joinpath("profiles.toml").read_text("utf-8")
    return tuple(tomllib.loads(text)["profile"])


def setup_calls(
    *,
    organisation: str,
    homes: Mapping[str, str],
    zone: str = ZONE,
    settings: Mapping[str, int] | None = None,
) -> list[Call]:
    """Return the calls that make the market and let homes join: meter -> household, both members' short names.

    For a governor of the organisation, one after another; the contract must be deployed.
    """
    calls = [Call(CONTRACT, "configure", {"settings": dict(settings or {})})]
    for meter, household in sorted(homes.items()):
        args = {"meter": f"{organisation}/{meter}", "household": f"{organisation}/{household}"}
        calls.append(Call(CONTRACT, "join", {**args, "zone": zone}))
    return calls


def offer_call(*, meter: str, slot: int, quantity: int, price: int, until_ms: int = 0) -> Call:
    """Return the call that offers surplus of a slot."""
    args = {"meter": meter, "slot": slot, "quantity": quantity, "price": price}
    return Call(CONTRACT, "offer", {**args, "until_ms": until_ms})


def take_call(
    *, meter: str, seller: str, slot: int, quantity: int, price_max: int, least: int = 1
) -> Call:
    """Return the call that takes a neighbour's surplus of a slot, whole or in part."""
    args = {"meter": meter, "seller": seller, "slot": slot, "quantity": quantity}
    return Call(CONTRACT, "take", {**args, "least": least, "price_max": price_max})


def settle_call(*, seller: str, slot: int) -> Call:
    """Return the call that settles a slot of a seller."""
    return Call(CONTRACT, "settle", {"seller": seller, "slot": slot})


def close_call(*, seller: str, slot: int) -> Call:
    """Return the call that clears a slot of a seller away."""
    return Call(CONTRACT, "close", {"seller": seller, "slot": slot})


def slots(
    *, seed: int, number: int, producer: bool, first: int, days_before: int = 0
) -> Iterator[Slot]:
    """Yield an emulated home's slots without end, from slot `first` on; a producer has a roof, both draw power.

    Sun and people are those of so many days before.
    """
    household = PRODUCER if producer else CONSUMER
    meter = meters.Meter(f"home-{number}", seed, household, 0, 0, clock=True)
    register = meters.start(meter, time_s=first * SLOT_MS // 1_000 - days_before * DAY_S)
    given = drawn = 0
    at = first
    while True:
        register, reading = meters.advance(meter, register, minutes=SLOT_MINUTES)
        yield Slot(at, reading.export_wh - given, reading.import_wh - drawn)
        given, drawn, at = reading.export_wh, reading.import_wh, at + 1


def measurements(said: Sequence[Slot], *, slot_ms: int = SLOT_MS) -> list[Measurement]:
    """Return what a meter signs: two measurements a slot, their time its beginning."""
    pack: list[Measurement] = []
    for number, given, drawn in said:
        time_s = number * slot_ms // 1_000
        pack += [
            Measurement("export", "Wh", given, time_s),
            Measurement("import", "Wh", drawn, time_s),
        ]
    return pack


class Books:
    """The market's accounts, kept apart from the contract: takes are known, then readings, each slot settled once."""

    def __init__(self) -> None:
        """Begin with nothing owed."""
        self.balances: dict[str, int] = defaultdict(int)
        self.delivered = 0
        """Wh that went from neighbour to neighbour."""
        self.short = 0
        """Wh that were taken and not delivered."""
        self._paid: dict[tuple[str, int], int] = defaultdict(int)

    def settle(
        self, *, seller: str, slot: int, given: int, takes: Sequence[Take], drawn: Mapping[str, int]
    ) -> int:
        """Settle a slot of a seller that gave `given` Wh, first come first served; return what it earns.

        `drawn` is what each buyer drew in the slot; what it has paid another seller for is not paid twice.
        """
        room, earned = given, 0
        for buyer, quantity, price in takes:
            free = drawn[buyer] - self._paid[buyer, slot]
            wh = max(0, min(quantity, room, free))
            room -= wh
            self._paid[buyer, slot] += wh
            self.balances[buyer] -= wh * price
            self.balances[seller] += wh * price
            earned += wh * price
            self.delivered += wh
            self.short += quantity - wh
        return earned
