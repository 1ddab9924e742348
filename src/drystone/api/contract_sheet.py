"""A contract as its page shows it: the text that organisations approved, its calls and what they cost.

What is counted from the text is this node's own reckoning. What the contract's tests measured comes
from the snapshot that ships with the program, and is shown only where it is about this very text.
Source: ADR 15, workshop/costs.py (the snapshot), requirements S3.89, S3.90.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

from markupsafe import Markup

from drystone.api.contract_documents import CallRow, call_rows
from drystone.api.source_lines import source_lines
from drystone.contracts.package import Package
from drystone.contracts.splice import entry_costs

APPS: Final = Path(__file__).parents[1] / "apps"
COST_FORMAT: Final = "drystone/cost/1"

SHAPES: Final = (
    ("households", "Households", frozenset({"install", "bill"})),
    ("packs", "Battery packs", frozenset({"declare_pack", "pack_status"})),
    ("machines", "Machines", frozenset({"declare_machine", "maintenanceService"})),
)
"""Pages of particular contracts: path, name, and the calls by which such a contract is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """A function with its limit and cost; what tests measured is None where nobody measured."""

    call: CallRow
    line: int
    steps: int | None
    cells: int | None
    kept_bytes: int | None
    share: int
    """The most steps measured, in percent of the limit; without a measurement the entry cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractSheet:
    """The text of one version and what follows from it."""

    lines: tuple[Markup, ...]
    costs: tuple[CostLine, ...]
    measured: bool
    reads: tuple[str, ...]
    migrate: str


def contract_sheet(package: Package) -> ContractSheet:
    """The sheet of a package of the ledger."""
    manifest = package.manifest
    measured = _measured(package)
    starts = {name: one.node.lineno for name, one in package.checked.functions.items()}
    costs: list[CostLine] = []
    for call in call_rows(package):
        row = measured.get(call.function, {})
        steps = row.get("steps")
        costs.append(
            CostLine(
                call=call,
                line=starts[call.function],
                steps=steps,
                cells=row.get("cells"),
                kept_bytes=row.get("bytes"),
                share=min(100, 100 * (steps or call.entry) // call.limit),
            )
        )
    return ContractSheet(
        lines=source_lines(package.source),
        costs=tuple(costs),
        measured=bool(measured),
        reads=manifest.reading.reads if manifest.reading is not None else (),
        migrate=manifest.migrate or "",
    )


def shapes_of(package: Package, name: str) -> list[tuple[str, str]]:
    """Path and name of the pages that show what a contract of this kind keeps."""
    calls = set(package.manifest.calls)
    return [(f"/contracts/{name}/{path}", title) for path, title, known in SHAPES if known <= calls]


def _measured(package: Package) -> Mapping[str, Mapping[str, int]]:
    """What tests measured of this text; nothing where the snapshot is another text's."""
    snapshot = _snapshots().get(package.manifest.name, {})
    entries = entry_costs(package.checked)
    same = all(snapshot.get(name, {}).get("entry") == entry for name, entry in entries.items())
    return snapshot if snapshot and same else {}


@lru_cache(maxsize=1)
def _snapshots() -> dict[str, dict[str, dict[str, Any]]]:
    """The cost snapshots that ship with the program, by contract."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted(APPS.glob("*/cost.json")):
        loaded = cast("dict[str, Any]", json.loads(path.read_text("utf-8")))
        if loaded.get("format") == COST_FORMAT:
            found[loaded["contract"]] = loaded["functions"]
    return found
