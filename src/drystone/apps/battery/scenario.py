"""Where modules' readings come from: the seeded emulator, or recorded cells that stand for a module.

Lives here: one shape of sample for both, how a sample becomes measurements, how a name becomes a commitment. May not:
sign or send. Recorded are the discharge cycles of the NASA Ames Prognostics Center of Excellence (B. Saha and K. Goebel
2007), which the project does not ship; three of its cells share one clock and can stand for a module of three.

Place in a record's life: before it.
"""

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

from drystone.formats.senml import Measurement
from drystone.importer.rows import exact
from drystone.sim import cell

MODULES: Final = 5
FILE: Final = "nasa_pcoe_10cells_discharge_cycles1-16.csv"
GROUP: Final = ("B0005", "B0006", "B0007")
RATED_AH: Final = Decimal(2)
REST_S: Final = 3_600
"""Between two recorded cycles; the recording does not say how long the cells rested."""
AGES: Final = (1, 4, 7, 10, 13)
"""Cycles that stand for five modules of different age in a pack."""
SALT_BYTES: Final = 16
UNITS: Final = {"voltage": "V", "current": "A", "temperature": "Cel", "soc": "/"}


class Sample(NamedTuple):
    """What a module shows at one moment: V, A, degrees Celsius, charge from 0 to 1, and its cells' V."""

    time_s: Decimal
    voltage: Decimal
    current: Decimal
    temperature: Decimal
    soc: Decimal
    cells: tuple[Decimal, ...]


def emulated(
    *, seed: int, module: int, step_s: int = 1, fault: cell.Short | None = None
) -> Iterator[Sample]:
    """Yield samples of an emulated module without end, one each `step_s` seconds."""
    for shown in cell.emulate(seed=seed, module=module, step_s=step_s, short=fault):
        yield Sample(Decimal(shown.second), *shown[1:])


def recorded(
    file: Path, *, cells: Sequence[str] = GROUP, cycle: int | None = None
) -> Iterator[Sample]:
    """Yield what recorded cells, in series, would have shown as one module: one cycle, or one after the other.

    The cells share one clock and one load. Voltage is their sum, current their median, temperature their highest; the
    charge is counted from the current and the rated capacity. Raises KeyError when a column or a cell is missing.
    """
    start = Decimal(0)
    for number, rows in _cycles(file, cells):
        if cycle not in {None, number}:
            continue
        used = last = Decimal(0)
        for moment in rows:
            time = Decimal(moment[0]["time_s"])
            currents = sorted(Decimal(row["current_measured_a"]) for row in moment)
            current = currents[len(currents) // 2]
            used -= current * (time - last) / 3600
            last = time
            volts = tuple(Decimal(row["voltage_measured_v"]) for row in moment)
            yield Sample(
                time_s=start + time,
                voltage=sum(volts, Decimal(0)),
                current=current,
                temperature=max(Decimal(row["temperature_measured_c"]) for row in moment),
                soc=(1 - used / RATED_AH).quantize(Decimal("0.001")),
                cells=volts,
            )
        start += last + REST_S


def _cycles(
    file: Path, cells: Sequence[str]
) -> Iterator[tuple[int, list[tuple[dict[str, str], ...]]]]:
    """Yield each cycle's number and its rows, those of one moment together."""
    found: dict[int, dict[str, list[dict[str, str]]]] = defaultdict(lambda: defaultdict(list))
    with file.open(newline="") as table:
        for row in csv.DictReader(table):
            if row["cell_id"] in cells:
                found[int(row["cycle_idx"])][row["cell_id"]].append(row)
    for cycle in sorted(found):
        yield cycle, list(zip(*(found[cycle][name] for name in cells), strict=True))


def told(sample: Sample) -> dict[str, Decimal]:
    """Return a sample by the names of the profile's measurements."""
    values = {name: getattr(sample, name) for name in UNITS}
    return values | {f"cell-{n}": volts for n, volts in enumerate(sample.cells, 1)}


def measurements(sample: Sample, *, time_s: int) -> list[Measurement]:
    """Return a sample as it is signed, digit for digit; `time_s` is what the module claims (Unix seconds)."""
    return [
        Measurement(name, UNITS.get(name, "V"), exact(str(value)), time_s)
        for name, value in told(sample).items()
    ]


def commitment(text: str, *, salt: bytes) -> str:
    """Return the salted SHA-256 of a personal field as hex; forgetting the salt erases what it stands for.

    The salt is `SALT_BYTES` random bytes of each field's own, kept by whoever may name the person.
    """
    tagged = b"drystone/commitment/1\n" + len(salt).to_bytes(1, "big") + salt + text.encode()
    return hashlib.sha256(tagged).hexdigest()
