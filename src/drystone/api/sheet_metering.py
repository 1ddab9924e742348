"""A household's bill as the metering contract keeps it, so that every line can be added up by hand.

Quantities and prices are whole numbers; a line shows what each price comes to, exactly, what was
carried in from the bill before and what is carried on, so that the sum is the sum. Nothing is
rounded here: what is shown is what the ledger holds. Source: apps/metering, requirement S2.21.
"""

from dataclasses import dataclass
from typing import Final, cast

from drystone.api import kept
from drystone.api.kept import Fields, Kept
from drystone.api.service import Service

PRICE_DECIMALS: Final = 5
EXPONENTS: Final = {"electricity": -3, "interval": -9, "gas": -3, "water": -3, "heat": 0}
"""Quantities of a kind of meter are whole numbers of 10^exponent of its unit."""
UNITS: Final = {
    "electricity": "kWh",
    "interval": "kWh",
    "gas": "m³",
    "water": "m³",
    "heat": "kWh",
}
NOTES_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class UseLine:
    """What was used, or fed in, at one price."""

    quantity: str
    price: str
    amount: str
    fed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterLine:
    """One meter with one supplier on a bill."""

    meter: str
    page: str | None
    kind: str
    unit: str
    supplier: str
    uses: tuple[UseLine, ...]
    carried_in: str
    carried_out: str
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """One bill."""

    number: int
    time: str | None
    lines: tuple[MeterLine, ...]
    total: str
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterNow:
    """A meter of the household as it stands."""

    meter: str
    page: str | None
    kind: str
    value: str
    unit: str
    time: str | None
    today: str
    supplier: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteLine:
    """What a person changed about a meter: the values before and after, who and why."""

    meter: str
    what: str
    before: str
    after: str
    unit: str
    by: str
    why: str
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseholdSheet:
    """All that a household's page shows."""

    name: str
    bills: int
    total: str
    bill: Bill | None
    meters: tuple[MeterNow, ...]
    notes: tuple[NoteLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseholdLine:
    """A household in a list."""

    name: str
    path: str
    meters: int
    bills: int
    total: str


async def households(service: Service, contract: str) -> list[HouseholdLine]:
    """The households that a metering contract bills."""
    found = await kept.kept_below(service, contract, "household")
    decimals = await _decimals(service, contract)
    return [
        HouseholdLine(
            name=one.path.removeprefix("household/"),
            path=f"/contracts/{contract}/households/{one.path.removeprefix('household/')}",
            meters=len(kept.listed(one.fields, "meters")),
            bills=kept.whole(one.fields, "bills"),
            total=kept.scaled(kept.whole(one.fields, "total"), -decimals, places=decimals),
        )
        for one in found
    ]


async def _decimals(service: Service, contract: str) -> int:
    """Decimals of the smallest coin; two where no bill says it."""
    bills = await service.contract_values(contract, path="bill", after=None, limit=1)
    if not bills:
        return 2
    first = await kept.kept_value(service, contract, bills[0].path)
    return 2 if first is None else kept.whole(first.fields, "decimals", 2)


async def household_sheet(
    service: Service, contract: str, name: str, number: int | None
) -> HouseholdSheet | None:
    """A household's page with one of its bills, the last one without `number`."""
    house = await kept.kept_value(service, contract, f"household/{name}")
    if house is None:
        return None
    bills = kept.whole(house.fields, "bills")
    bill = None
    decimals = 2
    if bills:
        wanted = bills if number is None else number
        found = await kept.kept_value(service, contract, f"bill/{name}/{wanted:06d}")
        if found is not None:
            bill = _bill(wanted, found)
            decimals = kept.whole(found.fields, "decimals", 2)
    meters = [one for one in kept.listed(house.fields, "meters") if isinstance(one, str)]
    now: list[MeterNow] = []
    notes: list[NoteLine] = []
    for meter in meters:
        value = await kept.kept_value(service, contract, f"device/{meter}")
        if value is not None:
            now.append(_meter_now(meter, value.fields))
            notes += await _notes(service, contract, meter, kept.text(value.fields, "kind"))
    return HouseholdSheet(
        name=name,
        bills=bills,
        total=kept.scaled(kept.whole(house.fields, "total"), -decimals, places=decimals),
        bill=bill,
        meters=tuple(now),
        notes=tuple(notes[-NOTES_SHOWN:]),
    )


def _bill(number: int, found: Kept) -> Bill:
    decimals = kept.whole(found.fields, "decimals", 2)
    lines = [
        _line(cast("Fields", one), decimals)
        for one in kept.listed(found.fields, "lines")
        if isinstance(one, dict)
    ]
    return Bill(
        number=number,
        time=kept.moment(found.fields, "time_ms"),
        lines=tuple(lines),
        total=kept.scaled(kept.whole(found.fields, "coins"), -decimals, places=decimals),
        proof=found.proof,
    )


def _line(line: Fields, decimals: int) -> MeterLine:
    kind = kept.text(line, "kind")
    exponent = EXPONENTS.get(kind, 0)
    exact = exponent - PRICE_DECIMALS
    counted: list[tuple[int, int, bool]] = []
    for name, fed in (("use", False), ("fed", True)):
        amounts = kept.below(line, name)
        prices = sorted(filter(str.isdecimal, amounts), key=int)
        counted += [(kept.whole(amounts, price), int(price), fed) for price in prices]
    counted = [one for one in counted if one[0]]
    sums = [quantity * price * (-1 if fed else 1) for quantity, price, fed in counted]
    coin = 10 ** (-exact - decimals)
    coins, carried = kept.whole(line, "coins"), kept.whole(line, "carried")
    before = coins * coin + carried - sum(sums)
    meter = kept.text(line, "meter")
    # As many decimals in a column as its longest figure needs, so that digits stand under digits.
    sum_places = max(_places(one, exact) for one in (*sums, before, carried, 0))
    quantity_places = max((_places(one[0], exponent) for one in counted), default=0)
    price_places = max((_places(one[1], -PRICE_DECIMALS) for one in counted), default=0)
    uses = [
        UseLine(
            quantity=kept.scaled(quantity, exponent, places=quantity_places),
            price=kept.scaled(price, -PRICE_DECIMALS, places=price_places),
            amount=kept.scaled(amount, exact, places=max(sum_places, decimals)),
            fed=fed,
        )
        for (quantity, price, fed), amount in zip(counted, sums, strict=True)
    ]
    return MeterLine(
        meter=meter,
        page=kept.device_page(meter),
        kind=kind,
        unit=UNITS.get(kind, ""),
        supplier=kept.text(line, "supplier"),
        uses=tuple(uses),
        carried_in=kept.scaled(before, exact, places=sum_places) if before else "",
        carried_out=kept.scaled(-carried, exact, places=sum_places) if carried else "",
        amount=kept.scaled(coins, -decimals, places=decimals),
    )


def _places(value: int, exponent: int) -> int:
    """How many decimals a whole number of 10^exponent needs."""
    return len(kept.scaled(value, exponent).partition(".")[2])


def _meter_now(meter: str, value: Fields) -> MeterNow:
    kind = kept.text(value, "kind")
    exponent = EXPONENTS.get(kind, 0)
    flags = kept.below(kept.below(value, "special"), "flags")
    return MeterNow(
        meter=meter,
        page=kept.device_page(meter),
        kind=kind,
        value=kept.scaled(kept.whole(value, "value"), exponent),
        unit=UNITS.get(kind, ""),
        time=kept.moment(value, "time_ms"),
        today=kept.scaled(kept.whole(value, "today"), exponent),
        supplier=kept.text(value, "tariff").partition("/")[0],
        flags=tuple(sorted(flags)),
    )


NOTE_FIELDS: Final = {
    "corrected": ("original", "corrected"),
    "estimated": ("original", "estimate"),
    "exchanged": ("final", "start"),
}
"""Which fields of a note are the value before and after."""


async def _notes(service: Service, contract: str, meter: str, kind: str) -> list[NoteLine]:
    found = await kept.kept_below(service, contract, f"note/{meter}", limit=NOTES_SHOWN)
    exponent = EXPONENTS.get(kind, 0)
    lines: list[NoteLine] = []
    for one in found:
        what = kept.text(one.fields, "what")
        before, after = NOTE_FIELDS.get(what, ("", ""))
        lines.append(
            NoteLine(
                meter=meter,
                what=what,
                before=kept.scaled(kept.whole(one.fields, before), exponent) if before else "",
                after=kept.scaled(kept.whole(one.fields, after), exponent) if after else "",
                unit=UNITS.get(kind, ""),
                by=kept.text(one.fields, "by"),
                why=kept.text(one.fields, "why"),
                proof=one.proof,
            )
        )
    return lines
