"""A street of electricity meters that never existed: households, sun, registers, all drawn from one seed.

Lives here: what a household draws from the grid in each minute of a day, what its roof gives back, and the two
registers (import, export) that a real meter would show. May not: sign, send, read a clock, or use a float. The same
seed, meter and minute give the same watt on every machine, so a demo or a failing test can be replayed.
Place in a record's life: before it; `sim/street.py` turns what stands here into signed records.
Source: the shapes follow published standard load profiles for households (evening peak, weekend noon); the figures
are round and made up.
"""

import random
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

MINUTES_PER_DAY: Final = 1_440
SECONDS_PER_DAY: Final = 86_400
WATT_MINUTES_PER_WH: Final = 60
DEVICES_MAX: Final = 999_999


def _hours(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split())


# Mean watts by hour of day, beside the base load: (workday, weekend).
_SHAPES: Final[dict[str, tuple[tuple[int, ...], tuple[int, ...]]]] = {
    "flat": (
        _hours("20 10 10 10 10 40 160 190 90 60 60 80 110 80 70 70 90 180 310 360 330 260 160 60"),
        _hours("40 20 10 10 10 20 60 140 200 210 200 240 280 220 180 160 170 220 300 340 320 260")
        + _hours("180 90"),
    ),
    "house": (
        _hours("60 50 40 40 50 110 320 360 210 160 150 220 280 200 180 190 260 420 610 680 590 430")
        + _hours("260 120"),
        _hours("90 60 50 40 50 70 150 290 390 420 430 520 590 450 390 370 400 500 620 660 580 440")
        + _hours("300 160"),
    ),
    "heatpump": (
        _hours("900 900 950 1000 1100 1200 1250 1000 700 550 480 450 450 430 430 480 580 850 1100")
        + _hours("1150 1100 1000 950 900"),
        _hours("900 900 950 1000 1050 1100 1150 1100 900 750 650 600 580 540 540 560 640 880 1100")
        + _hours("1150 1100 1000 950 900"),
    ),
}

# What a household switches on: (watts, minutes at least, minutes at most, earliest hour, latest hour).
_APPLIANCES: Final = {
    "kettle": (2_000, 2, 4, 6, 22),
    "cooking": (2_600, 15, 45, 11, 20),
    "washing": (1_900, 25, 40, 8, 21),
    "dishes": (1_500, 30, 50, 13, 22),
    "car": (7_400, 60, 240, 17, 23),
}

_DAYLIGHT_MINUTES: Final = (500, 590, 710, 820, 920, 970, 940, 850, 740, 630, 520, 470)
_SUN_PER_MILLE: Final = (300, 450, 650, 800, 920, 1000, 980, 900, 750, 550, 350, 250)


class Household(NamedTuple):
    """What stands behind one meter: a shape of the day, watts that never go off, a roof, what it owns."""

    kind: str
    base_w: int
    pv_peak_w: int
    appliances: tuple[tuple[str, int], ...]
    """(name, starts per week)"""


class Meter(NamedTuple):
    """One emulated meter: who it is, what it measures, what it showed when the street was built."""

    device: str
    seed: int
    household: Household
    import_start_wh: int
    export_start_wh: int
    clock: bool
    """Whether it knows the time; a meter without a clock claims none."""


class Register(NamedTuple):
    """What a meter has counted up to `minute` (minutes since 1970-01-01 UTC), in watt-minutes."""

    minute: int
    import_wmin: int
    export_wmin: int


class Reading(NamedTuple):
    """What a meter shows at one moment: registers in Wh, mean power of the last interval in W (+ draws)."""

    time_s: int | None
    import_wh: int
    export_wh: int
    power_w: int


def street(*, seed: int, count: int) -> tuple[Meter, ...]:
    """Build `count` meters, named `m-000001` on; about a third have a roof with solar cells.

    Pure: equal arguments give equal meters, and a longer street begins with the shorter one.
    Raises: ValueError when `count` is not within 1 to `DEVICES_MAX`.
    """
    if not 1 <= count <= DEVICES_MAX:
        raise ValueError(f"a street has 1 to {DEVICES_MAX} meters, not {count}")
    return tuple(_build_meter(seed, number) for number in range(1, count + 1))


def start(meter: Meter, *, time_s: int) -> Register:
    """Return the meter's registers as they stand at the minute of `time_s` (Unix seconds)."""
    return Register(
        minute=time_s // 60,
        import_wmin=meter.import_start_wh * WATT_MINUTES_PER_WH,
        export_wmin=meter.export_start_wh * WATT_MINUTES_PER_WH,
    )


def advance(meter: Meter, register: Register, *, minutes: int) -> tuple[Register, Reading]:
    """Let `minutes` pass and return the registers after them with what the meter then shows.

    Registers never fall; the energy of an interval does not depend on how it is cut into steps.
    Raises: ValueError when `minutes` is not positive.
    """
    if minutes < 1:
        raise ValueError(f"time only runs forward: {minutes} minutes")
    imported, exported = 0, 0
    for minute in range(register.minute, register.minute + minutes):
        net_w = net_watts(meter, minute=minute)
        if net_w >= 0:
            imported += net_w
        else:
            exported -= net_w
    after = Register(
        minute=register.minute + minutes,
        import_wmin=register.import_wmin + imported,
        export_wmin=register.export_wmin + exported,
    )
    reading = Reading(
        time_s=after.minute * 60 if meter.clock else None,
        import_wh=after.import_wmin // WATT_MINUTES_PER_WH,
        export_wh=after.export_wmin // WATT_MINUTES_PER_WH,
        power_w=(imported - exported) // minutes,
    )
    return after, reading


def readings(meter: Meter, *, start_s: int, step_minutes: int) -> Iterator[Reading]:
    """Yield the meter's readings without end, one each `step_minutes`, the first one step after `start_s`."""
    register = start(meter, time_s=start_s)
    while True:
        register, reading = advance(meter, register, minutes=step_minutes)
        yield reading


def net_watts(meter: Meter, *, minute: int) -> int:
    """Return load less solar power in W during one minute since 1970-01-01 UTC; negative feeds the grid."""
    day, offset = divmod(minute, MINUTES_PER_DAY)
    return _day_net_watts(meter, day)[offset]


@lru_cache(maxsize=4_096)
def _day_net_watts(meter: Meter, day: int) -> tuple[int, ...]:
    """A day's 1,440 net watts. Every draw comes from (seed, device, day), so days can be asked in any order."""
    draw = random.Random(f"{meter.seed}/{meter.device}/{day}")
    shape = _SHAPES[meter.household.kind][day % 7 in (2, 3)]  # day 0 was a Thursday
    watts = _base_load(meter.household, shape, draw)
    for name, per_week in meter.household.appliances:
        _add_appliance(watts, name, per_week, draw)
    if meter.household.pv_peak_w:
        sun = _day_sun(meter.seed, day)
        peak_w = meter.household.pv_peak_w
        watts = [load - peak_w * light // 1_000 for load, light in zip(watts, sun, strict=True)]
    return tuple(watts)


def _base_load(household: Household, shape: tuple[int, ...], draw: random.Random) -> list[int]:
    mood = draw.randrange(80, 121)  # a quiet or a busy day, per cent
    watts: list[int] = []
    for minute in range(MINUTES_PER_DAY):
        hour, past = divmod(minute, 60)
        mean = (shape[hour] * (60 - past) + shape[(hour + 1) % 24] * past) // 60
        fridge = 70 if (minute + household.base_w) % 47 < 14 else 0
        watts.append(household.base_w + fridge + mean * mood * draw.randrange(60, 141) // 10_000)
    return watts


def _add_appliance(watts: list[int], name: str, per_week: int, draw: random.Random) -> None:
    power_w, shortest, longest, earliest, latest = _APPLIANCES[name]
    starts = per_week // 7 + (draw.randrange(7) < per_week % 7)
    for _ in range(starts):
        begin = draw.randrange(earliest * 60, latest * 60)
        end = min(begin + draw.randrange(shortest, longest + 1), MINUTES_PER_DAY)
        for minute in range(begin, end):
            watts[minute] += power_w


@lru_cache(maxsize=64)
def _day_sun(seed: int, day: int) -> tuple[int, ...]:
    """Sunlight by minute in per mille of a roof's peak; one sky over the whole street."""
    draw = random.Random(f"{seed}/sky/{day}")
    month = day % 365 * 12 // 365
    length = _DAYLIGHT_MINUTES[month]
    rise = (MINUTES_PER_DAY - length) // 2
    clear = draw.randrange(250, 1_001)
    cloud = clear
    light: list[int] = []
    for minute in range(MINUTES_PER_DAY):
        past = minute - rise
        cloud = min(1_000, max(clear // 3, cloud + draw.randrange(-40, 41) + (clear - cloud) // 20))
        if not 0 <= past < length:
            light.append(0)
            continue
        height = 4_000 * past * (length - past) // (length * length)
        light.append(height * _SUN_PER_MILLE[month] * cloud // 1_000_000)
    return tuple(light)


def _build_meter(seed: int, number: int) -> Meter:
    draw = random.Random(f"{seed}/meter/{number}")
    kind = draw.choice(("flat", "flat", "flat", "house", "house", "heatpump"))
    base_w = draw.randrange(40, 90) if kind == "flat" else draw.randrange(90, 220)
    appliances = [("kettle", draw.randrange(7, 28)), ("cooking", draw.randrange(3, 11))]
    appliances += [("washing", draw.randrange(1, 5)), ("dishes", draw.randrange(0, 8))]
    if kind != "flat" and draw.randrange(3) == 0:
        appliances.append(("car", draw.randrange(2, 7)))
    has_roof = draw.randrange(100) < (15 if kind == "flat" else 55)
    pv_peak_w = draw.randrange(30, 120) * 100 if has_roof else 0
    return Meter(
        device=f"m-{number:06d}",
        seed=seed,
        household=Household(kind, base_w, pv_peak_w, tuple(appliances)),
        import_start_wh=draw.randrange(100_000, 60_000_000),
        export_start_wh=draw.randrange(10_000, 20_000_000) if pv_peak_w else 0,
        clock=draw.randrange(10) != 0,
    )
