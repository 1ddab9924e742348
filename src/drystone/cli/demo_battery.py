"""`drystone demo battery`: a pack of five modules that sign; a faulty cell, or recorded cells that are none.

The modules run here and reach the node over HTTP only; what the table shows is what the ledger keeps.
"""

import itertools
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.live import Live

from drystone.apps.battery import scenario
from drystone.apps.battery.scenario import Sample
from drystone.cli.demo_contract import (
    Device,
    Follower,
    Pace,
    decide,
    enrol,
    kept,
    set_up,
    summary,
    units,
)
from drystone.cli.demo_proofs import show_proofs
from drystone.cli.demo_stage import Stage
from drystone.client.rest import Client, find_endpoint
from drystone.errors import DrystoneError
from drystone.sim.cell import Short

if TYPE_CHECKING:
    from rich.table import Table

ORGANISATION: Final = "fleet"
CONTRACT: Final = "battery"
PACK: Final = "pack-1"
MODULES: Final = tuple(f"PI-{number}" for number in range(1, scenario.MODULES + 1))
OWNER: Final = "anna"
NAMES: Final = {"firstName": "Anna", "lastName": "Keller"}

TICK_S: Final = 0.1
STEP_S: Final = 10
SHORT_MODULE: Final = "PI-3"
SHORT_CELL: Final = 5
FOUND_WITHIN: Final = 10
SHOWN_EVERY: Final = 5
UPDATED_EVERY: Final = 10
"""Ticks from one PowerTransaction of each module to the next."""

WHERE: Final = f"""\
There is no {{file}}.

With --data this demo replays recorded cells, which the project does not ship: a
folder with {scenario.FILE},
rows of cell_id, cycle_idx, time_s, voltage_measured_v, current_measured_a and
temperature_measured_c from the NASA Ames Prognostics Center of Excellence
(B. Saha and K. Goebel 2007). Without --data it emulates cells."""


def show_battery(data: Path | None, *, seconds: int, seed: int, keep: bool) -> bool:
    """Run the demo; return whether every step held. Ends at once and cleanly on Ctrl-C."""
    console = Console()
    file = None if data is None else data / scenario.FILE
    if file is not None and not file.is_file():
        console.print(WHERE.format(file=file), highlight=False, soft_wrap=True)
        return False
    with Stage(console, keep=keep) as stage:
        try:
            return _show(stage, Samples(file, seconds=seconds, seed=seed))
        except KeyboardInterrupt:
            stage.say("\nstopped")
            return False
        except DrystoneError as error:
            return stage.note(f"{error.code}: {error}", held=False)


class Samples:
    """What the five modules show, tick by tick: an emulated pack with one fault, or recorded cells of five ages."""

    def __init__(self, file: Path | None, *, seconds: int, seed: int) -> None:
        """`file` None: emulate for as many ticks as `seconds` hold."""
        self.fault_tick: int | None = None
        self.ticks: dict[int, int] = {}
        """Tick of each reading of the module with the fault, by its number in the stream."""
        self.cells = scenario.cell.CELLS
        if file is not None:
            self.source = f"cells {', '.join(scenario.GROUP)}, recorded, at five ages"
            self.cells = len(scenario.GROUP)
            self._modules = [list(scenario.recorded(file, cycle=age)) for age in scenario.AGES]
            return
        ticks = max(int(seconds / TICK_S), 2 * FOUND_WITHIN)
        self.fault_tick = ticks // 2
        self.source = "emulated, an internal short in one cell half-way"
        self._modules = [
            list(itertools.islice(self._emulated(seed, number), ticks))
            for number in range(len(MODULES))
        ]

    def _emulated(self, seed: int, number: int) -> Iterator[Sample]:
        assert self.fault_tick is not None
        short = Short(cell=SHORT_CELL, after_s=self.fault_tick * STEP_S)
        fault = short if MODULES[number] == SHORT_MODULE else None
        return scenario.emulated(seed=seed, module=number, step_s=STEP_S, fault=fault)

    def __iter__(self) -> Iterator[list[Sample | None]]:
        """Yield one sample of each module; None for one that has ended."""
        return map(list, itertools.zip_longest(*self._modules))

    @property
    def last_s(self) -> int:
        """How long the longest module runs."""
        return max(int(samples[-1].time_s) for samples in self._modules)


def _show(stage: Stage, samples: Samples) -> bool:
    began = time.monotonic()
    if not set_up(stage, organisation=ORGANISATION, contract=CONTRACT):
        return False
    endpoint = find_endpoint(stage.home)
    with Client(endpoint) as node:
        modules = enrol(stage, node, ORGANISATION, MODULES, "--profile", "battery-module")
        stage.note("drystone device enrol: five modules, a key each", held=bool(modules))
        owners = enrol(stage, node, ORGANISATION, [OWNER])
        if not modules or not owners or not _enter(stage, node, owners[0], modules):
            return False
        height = node.get("/v1/ledger")["head"]["height"]
        with Follower(endpoint, contract=CONTRACT, height=height) as follower:
            sent = _stream(stage, node, modules, samples)
            _check_status(stage, node, samples)
            _check_cells(stage, follower, samples)
            _check_events(stage, follower, sent)
        show_proofs(stage, organisation=ORGANISATION, device=SHORT_MODULE)
        summary(stage, node, seconds=time.monotonic() - began)
    return stage.all_held


def _enter(stage: Stage, node: Client, owner: Device, modules: Sequence[Device]) -> bool:
    """Enter the owner, by commitments, its five batteries, and the pack they form."""
    salts = {name: os.urandom(scenario.SALT_BYTES) for name in NAMES}
    hidden = {name: scenario.commitment(text, salt=salts[name]) for name, text in NAMES.items()}
    calls = [owner.call(CONTRACT, "PowerParticipant", {"participantId": "P-1", **hidden})]
    for module in modules:
        asset = {"batteryId": module.member, "owner": "P-1", "valuenumbr": 0}
        asset |= {"current": 0, "voltage": 0, "soc": 0}
        calls.append(owner.call(CONTRACT, "BatteryInfo", asset))
    refused = decide(node, calls)
    shown = kept(node, CONTRACT, "PowerParticipant/P-1")["PowerParticipant/P-1"]
    stage.note(
        "PowerParticipant: names stand as salted hashes; who forgets the salt has erased them",
        held=not refused and all(shown[name] == hidden[name] for name in NAMES),
        detail=f"firstName {shown['firstName'][:24]}..." if not refused else ", ".join(refused),
    )
    addresses = "[" + ",".join(f'"{module.address}"' for module in modules) + "]"
    call = f"{CONTRACT}.declare_pack"
    done = stage.run("contract", "call", call, f"pack={PACK}", f"modules={addresses}")
    assets = kept(node, CONTRACT, "BatteryInfo")
    return stage.note(
        f"BatteryInfo: five batteries of one owner; {PACK}: its five modules",
        held=done.code == 0 and not refused and len(assets) == len(modules),
        detail=done.stderr,
    )


def _stream(
    stage: Stage, node: Client, modules: Sequence[Device], samples: Samples
) -> list[dict[str, Any]]:
    """Stream every sample while the table shows what the ledger keeps; return what was sent as PowerTransactions."""
    start_s = int(time.time()) - samples.last_s
    transactions: list[dict[str, Any]] = []
    refused: list[str] = []
    readings = 0
    terminal = stage.console.is_terminal
    live = Live(console=stage.console, refresh_per_second=8)
    pace = Pace(TICK_S if samples.fault_tick is not None else TICK_S / 4)
    stage.say(f"   modules: {samples.source}")
    if terminal:
        live.start()
    try:
        for tick, row in enumerate(samples):
            records: list[bytes] = []
            for module, sample in zip(modules, row, strict=True):
                if sample is None:
                    continue
                if module.member == SHORT_MODULE:
                    samples.ticks[module.seq] = tick
                taken_s = start_s + int(sample.time_s)
                records.append(module.reading(scenario.measurements(sample, time_s=taken_s)))
                readings += 1
                if tick % UPDATED_EVERY == 0:
                    change = {"battery": module.member, "newValue": _asset_values(sample)}
                    transactions.append(change)
                    records.append(module.call(CONTRACT, "PowerTransaction", change))
            refused += decide(node, records)
            if tick % SHOWN_EVERY == 0:
                _draw(stage, node, live if terminal else None, readings, tick)
            pace.wait()
        _draw(stage, node, live if terminal else None, readings, 0)
    finally:
        if terminal:
            live.stop()
    stage.note(
        f"streamed {readings:,} signed readings and {len(transactions)} PowerTransactions,"
        f" {len(refused)} refused",
        held=readings > 0 and not refused,
        detail=", ".join(sorted(set(refused))),
    )
    return transactions


def _asset_values(sample: Sample) -> dict[str, Any]:
    """Give a sample as an asset's fields, in millionths."""
    names = ("voltage", "current", "soc")
    return {name: int(getattr(sample, name).scaleb(6)) for name in names}


def _draw(stage: Stage, node: Client, live: Live | None, readings: int, tick: int) -> None:
    if live is not None:
        live.update(pack_table(node, readings))
    elif tick % (4 * SHOWN_EVERY) == 0:
        stage.say(f"   {readings:,} readings: " + ", ".join(_row_text(row) for row in _rows(node)))


def _rows(node: Client) -> list[dict[str, Any]]:
    """Return the pack as the ledger keeps it: its modules in order, each with its last values."""
    pack = kept(node, CONTRACT, f"pack/{PACK}")[f"pack/{PACK}"]
    values = kept(node, CONTRACT, "device")
    return [
        {"address": address, **values.get(f"device/{address}", {})} for address in pack["modules"]
    ]


def _row_text(row: dict[str, Any]) -> str:
    name = row["address"].rpartition("/")[2]
    return f"{name} {units(row.get('voltage'))} V" + (" !" if row.get("faulty") else "")


def pack_table(node: Client, readings: int) -> "Table":
    """Draw the pack with the published columns and, beside them, cells and ages; at most 80 columns wide."""
    from rich import box
    from rich.table import Table

    height = node.get("/v1/ledger")["head"]["height"]
    rows = _rows(node)
    charges = [row["soc"] for row in rows if "soc" in row]
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{PACK}, as the ledger keeps it",
        title_justify="left",
        title_style="bold",
        caption=f"{readings:,} readings · block {height:,}"
        + (f" · least charge {units(min(charges))}" if charges else ""),
        caption_justify="left",
        caption_style="",
        padding=(0, 1),
    )
    for heading in ("Id", "Address"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Voltage(V)", "Current(I)", "SOC", "cells V", "age"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_row_cells(row, height))
    return table


def _row_cells(row: dict[str, Any], height: int) -> list[str]:
    cells = row.get("cells") or [0]
    spread = f"{units(min(cells))}-{units(max(cells))}" if row.get("cells") else "-"
    if row.get("faulty"):
        spread = f"[red]cell {', '.join(map(str, row['faulty']))}[/red] {units(min(cells))}"
    return [
        row["address"].rpartition("/")[2],
        row["address"],
        *(units(row.get(name)) for name in ("voltage", "current", "soc")),
        spread,
        f"{height - row['height']} blocks" if "height" in row else "never",
    ]


def _check_status(stage: Stage, node: Client, samples: Samples) -> None:
    rows = _rows(node)
    stage.note(
        f"pack status from the state: {len(rows)} modules, {samples.cells} cells each, with their age",
        held=len(rows) == len(MODULES)
        and all(len(row["cells"]) == samples.cells and "height" in row for row in rows),
        detail=", ".join(_row_text(row) for row in rows),
    )


def _check_cells(stage: Stage, follower: Follower, samples: Samples) -> None:
    """The injected fault and no other was found, soon; recorded healthy cells raised no alarm."""
    faults = follower.seen("cell-fault")
    if samples.fault_tick is None:
        stage.note(
            "recorded healthy cells raised no alarm", held=not faults, detail=str(faults or "")
        )
        return
    follower.wait("cell-fault")
    faults = follower.seen("cell-fault")
    right = [(f["module"], f["cell"]) for f in faults] == [(SHORT_MODULE, SHORT_CELL)]
    after = samples.ticks[faults[0]["seq"]] - samples.fault_tick + 1 if right else 0
    stage.note(
        f"cell-fault: the short in cell {SHORT_CELL} of {SHORT_MODULE} was found with reading"
        f" {after} after it began, and nothing else was flagged",
        held=right and 0 < after <= FOUND_WITHIN,
        detail="" if right else str(faults),
    )


def _check_events(stage: Stage, follower: Follower, sent: Sequence[dict[str, Any]]) -> None:
    """A subscriber saw each change of an asset, with the value before and the value after."""
    follower.wait("BatteryEvent", count=len(sent))
    events = follower.seen("BatteryEvent")
    last: dict[str, dict[str, Any]] = {}
    chained = len(events) == len(sent)
    for event, change in zip(events, sent, strict=False):
        battery = event["battery"]
        before = last.get(battery)
        chained = chained and battery == change["battery"]
        chained = chained and change["newValue"].items() <= event["newValue"].items()
        chained = chained and (before is None or event["oldValue"] == before)
        last[battery] = event["newValue"]
    stage.note(
        f"BatteryEvent: a subscriber (SSE) saw {len(events)} changes, each old value the new one before",
        held=chained and bool(events),
        detail=_event_text(events[-1]) if events else "none came",
    )


def _event_text(event: dict[str, Any]) -> str:
    old, new = event["oldValue"], event["newValue"]
    return f"{event['battery']}: soc {units(old['soc'])} to {units(new['soc'])}, value {new['valuenumbr']}"
