"""Battery modules that never existed: cells of an equivalent circuit in series, every draw from one seed.

Lives here: what twelve cells of a module show second by second while they are discharged and charged again, and
what a cell with an internal short shows. May not: sign, send, read a clock. Inside it counts with floats, as models
do; what it gives are exact decimals of a thousandth, so that what is signed has the digits a module would print. Only
the four basic operations are used, so the same seed gives the same digits on every machine.

Place in a record's life: before it. Source: a first-order Thevenin circuit (open-circuit voltage, series resistance,
one RC pair) with a lumped heat balance; capacity and curve are those of a common 18650 pair, rounded.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple

CELLS: Final = 12
CAPACITY_AH: Final = 12.0
CURRENT_MA: Final = 3_456
SERIES_OHM: Final = 0.015
PAIR_OHM: Final = 0.006
PAIR_TAU_S: Final = 30.0
HEAT_TAU_S: Final = 900.0
KELVIN_PER_WATT: Final = 6.0
AMBIENT_C: Final = 24.0
SOC_LOW: Final = 0.25
SOC_HIGH: Final = 0.92
SHORT_AT_ONCE_V: Final = 0.080
SHORT_V_PER_S: Final = 0.002
SHORT_MOST_V: Final = 0.400

# Open-circuit volts of a cell at 0, 10, ... 100 per cent charge.
_OPEN_V: Final = (3.00, 3.55, 3.68, 3.74, 3.79, 3.85, 3.91, 3.97, 4.05, 4.13, 4.20)


class Shown(NamedTuple):
    """What a module shows at one moment, in V, A (positive: discharge), degrees Celsius; `soc` is 0 to 1."""

    second: int
    voltage: Decimal
    current: Decimal
    temperature: Decimal
    soc: Decimal
    cells: tuple[Decimal, ...]


class Short(NamedTuple):
    """An internal short of one cell (counted from 1), from a second on."""

    cell: int
    after_s: int


@dataclass(slots=True)
class _Cell:
    """One cell's parameters and its state; it has been under load before the first second."""

    capacity_ah: float
    series_ohm: float
    soc: float
    pair_v: float = CURRENT_MA * PAIR_OHM / 1000.0

    def step(self, current_a: float, *, seconds: int) -> float:
        """Let time pass at a current and return the terminal voltage."""
        self.soc -= current_a * seconds / (3600.0 * self.capacity_ah)
        share = seconds / PAIR_TAU_S
        self.pair_v = (self.pair_v + share * current_a * PAIR_OHM) / (1.0 + share)
        return open_circuit(self.soc) - current_a * self.series_ohm - self.pair_v


@dataclass(slots=True)
class _Module:
    cells: list[_Cell]
    draw: random.Random
    temperature_c: float = AMBIENT_C
    charging: bool = field(default=False)


def open_circuit(soc: float) -> float:
    """Return a resting cell's volts at a state of charge; flat beyond empty and full."""
    place = min(max(soc, 0.0), 1.0) * 10.0
    below = min(int(place), 9)
    share = place - below
    return _OPEN_V[below] * (1.0 - share) + _OPEN_V[below + 1] * share


def emulate(
    *, seed: int, module: int, step_s: int = 1, short: Short | None = None
) -> Iterator[Shown]:
    """Yield what module number `module` shows, one each `step_s` seconds, without end.

    Modules of one seed begin at 0.9, 0.85, 0.8, ... of their charge. Raises ValueError when the step is not positive.
    """
    if step_s < 1:
        raise ValueError(f"time only runs forward: {step_s} seconds")
    one = _build(seed, module)
    second = 0
    while True:
        yield _step(one, second, step_s, short)
        second += step_s


def _build(seed: int, module: int) -> _Module:
    draw = random.Random(f"{seed}/module/{module}")
    start = 0.9 - 0.05 * (module % 9)
    cells = [
        _Cell(
            capacity_ah=CAPACITY_AH * (1.0 + draw.randrange(-15, 16) / 1000.0),
            series_ohm=SERIES_OHM * (1.0 + draw.randrange(-80, 81) / 1000.0),
            soc=start + draw.randrange(-5, 6) / 1000.0,
        )
        for _ in range(CELLS)
    ]
    return _Module(cells, draw)


def _step(one: _Module, second: int, step_s: int, short: Short | None) -> Shown:
    mean = sum(cell.soc for cell in one.cells) / len(one.cells)
    if mean < SOC_LOW or mean > SOC_HIGH:
        one.charging = mean < SOC_LOW
    ripple = one.draw.randrange(-20, 21)
    milliamperes = -CURRENT_MA - ripple if one.charging else CURRENT_MA + ripple
    current_a = milliamperes / 1000.0
    volts = [
        cell.step(current_a, seconds=step_s) + one.draw.randrange(-5, 6) / 10_000.0
        for cell in one.cells
    ]
    if short is not None and second >= short.after_s:
        fallen = SHORT_AT_ONCE_V + SHORT_V_PER_S * (second - short.after_s)
        volts[short.cell - 1] -= min(fallen, SHORT_MOST_V)
    heat = current_a * current_a * SERIES_OHM * len(one.cells) * KELVIN_PER_WATT
    share = step_s / HEAT_TAU_S
    one.temperature_c = (one.temperature_c + share * (AMBIENT_C + heat)) / (1.0 + share)
    cells = tuple(_thousandths(volt) for volt in volts)
    return Shown(
        second=second,
        voltage=sum(cells, Decimal(0)),
        current=Decimal(milliamperes).scaleb(-3),
        temperature=_thousandths(one.temperature_c),
        soc=_thousandths(sum(cell.soc for cell in one.cells) / len(one.cells)),
        cells=cells,
    )


def _thousandths(value: float) -> Decimal:
    return Decimal(round(value * 1000.0)).scaleb(-3)
