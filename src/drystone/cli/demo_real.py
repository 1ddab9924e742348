"""`drystone demo real`: a recorded week of 537 Swiss homes, every reading accounted for.

Uses `drystone import` as anyone would, and compares what the ledger counts with what the table holds.
"""

import csv
import subprocess
import time
from importlib import resources
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from drystone.apps.metering.scenario import Installation
from drystone.cli.demo_bill import CONTRACT, prepare, show_bill
from drystone.cli.demo_contract import set_up
from drystone.cli.demo_proofs import said
from drystone.cli.demo_stage import Result, Stage, program
from drystone.cli.output import number, size
from drystone.client.rest import Client, find_endpoint
from drystone.errors import DrystoneError

FILE: Final = "swiss_537homes_15min_w44.csv"
ORGANISATION: Final = "homes"
READINGS_PER_RECORD: Final = 96
ENROL_AT_ONCE: Final = 64

WHERE: Final = f"""\
This demo replays recorded data, which the project does not ship. It needs a
folder with {FILE}: one row per home, columns VID and
V001 to V672, kWh per quarter-hour, Monday first. The readings come from the R
package ResidentialEnergyConsumption (CC BY-SA 4.0; Weigert, Hopf, Weinig,
Staake 2020).

  make demo-real DATA=FOLDER
  drystone demo real --data FOLDER

Any table of your own goes in with `drystone import`; `drystone demo` needs no data."""


def show_real(data: Path | None, *, keep: bool) -> bool:
    """Run the demo; return whether every step held."""
    console = Console()
    table = None if data is None else data / FILE
    if table is None or not table.is_file():
        if table is not None:
            console.print(f"There is no {table}.\n", highlight=False, soft_wrap=True)
        console.print(WHERE, highlight=False, soft_wrap=True)
        return False
    with Stage(console, keep=keep) as stage:
        try:
            return _show(stage, table)
        except KeyboardInterrupt:
            stage.say("\nstopped")
            return False
        except DrystoneError as error:
            return stage.note(f"{error.code}: {error}", held=False)


def _show(stage: Stage, table: Path) -> bool:
    began = time.monotonic()
    homes = _homes(table)
    if not set_up(stage, organisation=ORGANISATION, contract=CONTRACT):
        return False
    if not _enrol(stage, homes):
        return False
    installed = [
        Installation(device=home, kind="interval", household=_household(home)) for home in homes
    ]
    if not prepare(stage, organisation=ORGANISATION, installed=installed):
        return False
    mapping = stage.folder / "swiss.toml"
    mapping.write_text(resources.files("drystone.sim").joinpath("swiss.toml").read_text())
    done = _import(stage, table, mapping)
    summary = done.json()
    rows, cells = _count_table(table)
    expected = cells // READINGS_PER_RECORD
    held = stage.note(
        f"drystone import: {number(expected)} records of {number(rows)} homes, signed and sent",
        held=done.code == 0 and summary.get("records") == expected,
        detail=_outcomes(summary),
    )
    if not held:
        return False
    with Client(find_endpoint(stage.home)) as node:
        _account(stage, node, rows=rows, cells=cells)
        show_bill(
            stage,
            node,
            organisation=ORGANISATION,
            households=[_household(home) for home in homes],
            chosen=_household(homes[0]),
        )
        home = _completeness(stage, node, table)
        _size(stage, node, summary, cells=cells)
    stage.say("")
    verdict = "All" if stage.all_held else "NOT all"
    stage.say(
        f"[bold]{verdict} {len(stage.held)} steps held[/bold] in"
        f" {time.monotonic() - began:.0f} s; {home} is proved complete, offline."
    )
    return stage.all_held


def _homes(table: Path) -> list[str]:
    """Name the devices as the mapping does."""
    with table.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return [f"home-{row[0]}" for row in rows]


def _household(home: str) -> str:
    return home.replace("home-", "house-")


def _enrol(stage: Stage, homes: list[str]) -> bool:
    """Enrol every home under the contract's profile for intervals; keys then lie in the key folder."""
    failed = ""
    for start in range(0, len(homes), ENROL_AT_ONCE):
        some = homes[start : start + ENROL_AT_ONCE]
        done = stage.run("device", "enrol", *some, "--profile", "interval")
        failed = failed or (done.stderr if done.code else "")
    return stage.note(
        f"drystone device enrol: {number(len(homes))} homes, a key each",
        held=not failed,
        detail=failed,
    )


def _import(stage: Stage, table: Path, mapping: Path) -> Result:
    """Run the import with its progress bars on this terminal; what it prints is JSON."""
    command = [*program(), "import", str(table), "--map", str(mapping), "--json"]
    done = subprocess.run(
        command, env=stage.environment(), stdout=subprocess.PIPE, text=True, check=False
    )
    return Result(done.returncode, done.stdout, "")


def _count_table(table: Path) -> tuple[int, int]:
    """Count homes and cells of the table itself, apart from the importer."""
    with table.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        counts = [len(row) - 1 for row in rows]
    return len(counts), sum(counts)


def _outcomes(summary: dict[str, Any]) -> str:
    if "code" in summary:
        return f"{summary['code']}: {summary['detail']}"
    codes = summary.get("codes", {})
    listed = ", ".join(f"{number(count)} {code}" for code, count in sorted(codes.items()))
    return f"outcomes: {listed}" if codes else "\n".join(summary.get("bad", []))


def _account(stage: Stage, node: Client, *, rows: int, cells: int) -> None:
    """Compare what the ledger holds with what the table holds."""
    streams = [
        row
        for row in node.rows("/v1/streams", {"iss": ORGANISATION})
        if row["sub"].startswith("home-")
    ]
    records = sum(row["records"] for row in streams)
    stage.note(
        f"the ledger accounts for each: {number(len(streams))} streams,"
        f" {number(records)} records, {number(records * READINGS_PER_RECORD)} readings",
        held=len(streams) == rows
        and records * READINGS_PER_RECORD == cells
        and not any(row["missing"] for row in streams),
    )


def _completeness(stage: Stage, node: Client, table: Path) -> str:
    """Prove one home's week complete: the home with the odd, negative cell, if the table has one."""
    with table.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        chosen, odd = "", ""
        for row in rows:
            negative = next((cell for cell in row[1:] if cell.startswith("-")), "")
            if not chosen or negative:
                chosen, odd = row[0], negative
            if negative:
                break
    home = f"{ORGANISATION}/home-{chosen}"
    if odd:
        _show_odd(stage, node, home, odd)
    proof = stage.folder / "home.completeness.cbor"
    got = stage.run("completeness", home, "-o", str(proof))
    trust = str(stage.home / "trust.json")
    shown = stage.run("verify", str(proof), "--trust", trust, offline=True)
    stage.note(
        f"completeness of {home}: verified without network"
        + (f", {size(proof.stat().st_size)}" if got.code == 0 else ""),
        held=got.code == 0 and shown.code == 0,
        detail=got.stderr + shown.stderr or said(shown.stdout),
    )
    return home


def _show_odd(stage: Stage, node: Client, home: str, odd: str) -> None:
    """An odd cell is a reading like any other: what was recorded is what the ledger says."""
    values = {str(row["value"]) for row in node.rows(f"/v1/streams/{home}/readings")}
    stage.note(f"the negative cell {odd} kWh stands as it was recorded", held=odd in values)


def _size(stage: Stage, node: Client, summary: dict[str, Any], *, cells: int) -> None:
    head = node.get("/v1/ledger")["head"]
    disk = sum(path.stat().st_size for path in stage.home.glob("*.db*"))
    sent = max(summary.get("sent_bytes", 0), 1)
    millis = max(summary.get("send_ms", 0), 1)
    stage.say("")
    stage.say(f"log size       {number(head['size'])} entries in {number(head['height'])} blocks")
    stage.say(f"on the wire    {size(sent)}, {sent / max(cells, 1):.1f} B per reading")
    stage.say(f"on disk        {size(disk)}, {disk / sent:.2f} times the wire")
    stage.say(
        f"speed          {number(cells * 1000 // millis)} readings/s,"
        f" {number(cells // READINGS_PER_RECORD * 1000 // millis)} records/s"
        ", signing and commit included"
    )
