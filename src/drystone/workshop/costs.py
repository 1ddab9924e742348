"""What a contract costs: counted in its text, measured in its tests, kept in `cost.json` and compared.

Lives here: the table behind `drystone contract gas`. A function pays its entry, known from the text, and each
loop's turns; what it pays on real values only its tests show. May not: run a test.

Place in a contract's life: its tests, and every review after them. Source: ADR 15; conventions of `forge snapshot`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from drystone.contracts.package import Package
from drystone.contracts.splice import entry_costs, loop_costs
from drystone.workshop.watch import Use

FORMAT: Final = "drystone/cost/1"


class Measured(NamedTuple):
    """What the tests' runs of one function used; `steps` is lowest, median, highest, the others the highest."""

    runs: int
    steps: tuple[int, int, int]
    cells: int
    kept_bytes: int


class Cost(NamedTuple):
    """One function: its limit (None: only its own contract calls it), entry cost, loops as (line, cost of a turn)."""

    function: str
    limit: int | None
    entry: int
    loops: tuple[tuple[int, int], ...]
    measured: Measured | None


def measure(uses: Iterable[Use]) -> dict[str, dict[str, Measured]]:
    """Return what successful runs used, by contract and function."""
    grouped: dict[tuple[str, str], list[Use]] = {}
    for use in uses:
        if use.error is None:
            grouped.setdefault((use.contract, use.function), []).append(use)
    found: dict[str, dict[str, Measured]] = {}
    for (contract, function), runs in sorted(grouped.items()):
        steps = sorted(use.steps for use in runs)
        found.setdefault(contract, {})[function] = Measured(
            runs=len(runs),
            steps=(steps[0], steps[len(steps) // 2], steps[-1]),
            cells=max(use.cells for use in runs),
            kept_bytes=max(use.kept_bytes for use in runs),
        )
    return found


def as_json(measured: Mapping[str, Mapping[str, Measured]]) -> dict[str, Any]:
    """Return measurements as they are written to a file between two processes."""
    return {
        contract: {function: one._asdict() for function, one in functions.items()}
        for contract, functions in measured.items()
    }


def from_json(value: Mapping[str, Any]) -> dict[str, dict[str, Measured]]:
    """Read what `as_json` wrote."""
    return {
        contract: {
            function: Measured(one["runs"], tuple(one["steps"]), one["cells"], one["kept_bytes"])
            for function, one in functions.items()
        }
        for contract, functions in value.items()
    }


def costs_of(package: Package, measured: Mapping[str, Measured]) -> list[Cost]:
    """Return the costs of every function: first those that readings and members enter, in the manifest's order."""
    manifest, entries = package.manifest, entry_costs(package.checked)
    limits = {name: spec.limit for name, spec in manifest.calls.items()}
    if manifest.reading is not None:
        limits = {manifest.reading.function: manifest.reading.limit, **limits}
    loops = loop_costs(package.checked)
    others = [name for name in package.checked.functions if name not in limits]
    return [
        Cost(name, limits.get(name), entries[name], tuple(loops[name]), measured.get(name))
        for name in [*limits, *sorted(others)]
    ]


def snapshot_text(name: str, costs: Sequence[Cost]) -> str:
    """Return the text of `cost.json`: one line a function, so that a diff shows what grew."""
    lines = [f'  "{cost.function}": {json.dumps(_row(cost))}' for cost in costs]
    head = f'{{\n "format": "{FORMAT}",\n "contract": "{name}",\n "functions": {{\n'
    return head + ",\n".join(lines) + "\n }\n}\n"


def _row(cost: Cost) -> dict[str, Any]:
    row: dict[str, Any] = {"entry": cost.entry, "turns": [turn for _, turn in cost.loops]}
    if cost.measured is not None:
        row |= {
            "steps": cost.measured.steps[-1],
            "cells": cost.measured.cells,
            "bytes": cost.measured.kept_bytes,
        }
    return row


class Compared(NamedTuple):
    """How costs differ from a snapshot: what must not pass unseen, and what is only news."""

    grown: list[str]
    news: list[str]


def compare(path: Path, name: str, costs: Sequence[Cost]) -> Compared:
    """Compare costs with the snapshot in `path`; a snapshot that is missing or foreign counts as grown."""
    stored = _read(path, name)
    if isinstance(stored, str):
        return Compared([stored], [])
    grown: list[str] = []
    news: list[str] = []
    for cost in costs:
        before = stored.get(cost.function)
        if before is None:
            grown.append(f"{cost.function}: not in the snapshot")
            continue
        row = _row(cost)
        for word, now in row.items():
            was = before.get(word)
            if was != now:
                told = f"{cost.function}: {word} {was} -> {now}"
                (grown if was is None or _sum(now) > _sum(was) else news).append(told)
        grown += [
            f"{cost.function}: {word} is not measured any more"
            for word in before
            if word not in row
        ]
    news += [f"{word}: gone" for word in sorted(stored.keys() - {one.function for one in costs})]
    return Compared(grown, news)


def _sum(value: int | list[int]) -> int:
    return value if isinstance(value, int) else sum(value)


def _read(path: Path, name: str) -> dict[str, dict[str, Any]] | str:
    """Return the functions of a snapshot, or a sentence why there are none."""
    try:
        loaded: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"{path} is missing: take a snapshot first"
    except ValueError as error:
        return f"{path} is not JSON: {error}"
    value = cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else {}
    if value.get("format") != FORMAT or value.get("contract") != name:
        return f"{path} is no snapshot of {name!r} ({FORMAT})"
    return value["functions"]


COLUMNS: Final = (
    *("function", "limit", "entry", "loops", "runs"),
    *("steps min", "median", "max", "cells", "bytes"),
)


def table(costs: Sequence[Cost]) -> str:
    """Return a table for people: a line a function, loops as `cost of a turn@line`, what the tests used."""
    rows: list[tuple[object, ...]] = [COLUMNS]
    for cost in costs:
        loops = " ".join(f"{turn}@{line}" for line, turn in cost.loops) or "-"
        one = cost.measured
        used = ("-",) * 5 if one is None else (*one.steps, one.cells, one.kept_bytes)
        runs = "-" if cost.limit is None and one is None else one.runs if one else 0
        limit = "-" if cost.limit is None else cost.limit
        rows.append((cost.function, limit, cost.entry, loops, runs, *used))
    cells = [[str(value) for value in row] for row in rows]
    widths = [max(len(row[index]) for row in cells) for index in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(
            f"{text:<{width}}" if index in (0, 3) else f"{text:>{width}}"
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )
