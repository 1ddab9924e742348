"""Where machines' readings come from: seeded pumps, or the recorded pump of a test bed.

Lives here: one shape of sample for both, and how a few seconds of samples become one pack of measurements. May not:
sign or send. Recorded is the Skoltech Anomaly Benchmark (SKAB, one sample a second, twelve runs), which the project
does not ship.

Place in a record's life: before it.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

from drystone.formats.senml import Measurement
from drystone.importer.rows import exact
from drystone.sim.pump import Pump

FILE: Final = "skab_pump_testbed_1hz.csv"
SECONDS_A_RECORD: Final = 10
"""Samples that one signed record carries: what a reading may cost in steps allows for six channels."""

STANDARD_GRAVITY: Final = Decimal("9.80665")
PASCAL_PER_BAR: Final = 100_000

MACHINE: Final = {"vibration": "Hz", "temperature": "Cel", "pressure": "Pa", "voltage": "V"}
PUMP: Final = {
    "vibration": "m/s2",
    "temperature": "Cel",
    "pressure": "Pa",
    "voltage": "V",
    "current": "A",
}
"""Channels of the two profiles, with their units."""

RECORDED_LIMITS: Final = {
    "vibration": ("", "2.942"),
    "temperature": ("", "90"),
    "voltage": ("207", "253"),
}
"""Lower and upper limits for the recorded pump: 0.3 g, 90 degrees, 230 V and a tenth either way."""


class Sample(NamedTuple):
    """What a machine shows at one moment, by channel; `time_s` is seconds since 1970 or since the start."""

    time_s: int
    values: Mapping[str, Decimal]


def emulated(pump: Pump, *, seconds: int) -> list[Sample]:
    """Let a pump run for some seconds and return what it showed."""
    shown = [pump.step() for _ in range(seconds)]
    return [
        Sample(one.second, {name: Decimal(getattr(one, name)).scaleb(-3) for name in MACHINE})
        for one in shown
    ]


def recorded(file: Path) -> Iterator[Sample]:
    """Yield the recorded pump's samples, run after run as they stand in the file.

    Times are taken as UTC; they step back between the first two runs, which overlap. Vibration is the first
    accelerometer in m/s2, rounded to a millionth; pressure is in Pa, exactly. Raises KeyError when a column is missing.
    """
    with file.open(newline="") as table:
        for row in csv.DictReader(table):
            moment = datetime.fromisoformat(row["datetime"]).replace(tzinfo=UTC)
            vibration = Decimal(row["accelerometer1_rms_g"]) * STANDARD_GRAVITY
            values = {
                "vibration": vibration.quantize(Decimal("0.000001")),
                "temperature": Decimal(row["temperature_engine_c"]),
                "pressure": Decimal(row["pressure_bar"]) * PASCAL_PER_BAR,
                "voltage": Decimal(row["voltage_v"]),
                "current": Decimal(row["current_a"]),
            }
            yield Sample(int(moment.timestamp()), values)


def packs(samples: Iterable[Sample], *, seconds: int = SECONDS_A_RECORD) -> Iterator[list[Sample]]:
    """Cut samples into records of up to `seconds` samples; within one no time falls."""
    waiting: list[Sample] = []
    for sample in samples:
        if waiting and (len(waiting) == seconds or sample.time_s < waiting[-1].time_s):
            yield waiting
            waiting = []
        waiting.append(sample)
    if waiting:
        yield waiting


def measurements(
    samples: Sequence[Sample], *, units: Mapping[str, str], start_s: int = 0
) -> list[Measurement]:
    """Return samples as one pack, digit for digit; `start_s` is added to their times."""
    return [
        Measurement(name, units[name], exact(str(value)), start_s + sample.time_s)
        for sample in samples
        for name, value in sample.values.items()
    ]


def exceedances(samples: Sequence[Sample], channel: str, *, lower: str, upper: str) -> int:
    """Count how many samples lie beyond the limits, apart from the contract; "" is no limit."""
    count = 0
    for sample in samples:
        value = sample.values[channel]
        count += bool(upper and value > Decimal(upper)) or bool(lower and value < Decimal(lower))
    return count
