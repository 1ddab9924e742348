"""The plant of `drystone demo maintenance`: its machines, the unit that runs them, the mechanic of another firm.

Lives here: who is there, what their limits are, what each machine has sent, and the table of what the ledger keeps.
`demo_maintenance.py` lets it run.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from drystone.apps.maintenance import scenario
from drystone.apps.maintenance.scenario import Sample
from drystone.cli.demo_contract import Device, decide, deploy, enrol, kept
from drystone.cli.demo_stage import Stage
from drystone.cli.node_access import caller
from drystone.client.rest import Client
from drystone.sim.pump import Pump

if TYPE_CHECKING:
    from rich.table import Table

FACTORY: Final = "factory"
SERVICER: Final = "servicer"
UNIT: Final = "hall-3"
MECHANIC: Final = "mechanic"
CONTRACT: Final = "maintenance"
PART: Final = "bearing-6204"
PARTS: Final = 10
PRICE: Final = 40
FUNDS: Final = 100
THRESHOLD: Final = 1_000
HEADINGS: Final = {"vibration": "vibr.", "temperature": "temp.", "voltage": "V", "pressure": "kPa"}
"""Channels as the table shows them, in its order."""
ASKS: Final = {"service": "service", "replacement": "part"}
PAST_S: Final = 4_000
"""How far back the emulated machines' clocks begin."""
PUMPS: Final[Mapping[str, int | None]] = {"pump-1": 60, "pump-2": None, "pump-3": 700}
"""Seconds after which each pump's bearing begins to wear."""


class Limit(NamedTuple):
    """A channel's limits as decimals, "" for none."""

    lower: str
    upper: str


PUBLISHED: Final = {"vibration": Limit("", "100"), "temperature": Limit("", "200")}
RECORDED: Final = {name: Limit(*pair) for name, pair in scenario.RECORDED_LIMITS.items()}


@dataclass(slots=True)
class Machine:
    """A machine of the demo: who signs for it, where its samples come from, what it has sent."""

    device: Device
    units: Mapping[str, str]
    packs: Iterator[list[Sample]]
    start_s: int
    pump: Pump | None = None
    sent: list[Sample] = field(default_factory=list[Sample])

    def records(self, count: int) -> list[bytes]:
        """Sign the next records, at most so many."""
        signed: list[bytes] = []
        for _, pack in zip(range(count), self.packs, strict=False):
            self.sent += pack
            taken = scenario.measurements(pack, units=self.units, start_s=self.start_s)
            signed.append(self.device.reading(taken))
        return signed

    def exceeded(self, channel: str, limit: Limit) -> int:
        """Count the exceedances sent so far, apart from the contract."""
        return scenario.exceedances(self.sent, channel, lower=limit.lower, upper=limit.upper)


@dataclass(frozen=True, slots=True)
class Plant:
    """Everybody on this demo's ledger, and the limits that machines have."""

    machines: list[Machine]
    unit: Device
    mechanic: Device
    limits: Mapping[str, Limit]


def admit(stage: Stage) -> bool:
    """Admit the maintenance firm as an organisation of its own, with its own keys."""
    keys = stage.folder / SERVICER
    proof = stage.folder / "servicer.proof"
    name = f"{SERVICER}/operator"
    proved = stage.run("device", "prove", name, "--keys", str(keys), "-o", str(proof))
    added = stage.run("org", "add", SERVICER, "--name", "Servicer Ltd", "--proof", str(proof))
    return stage.note(
        "drystone org add: the maintenance firm is an organisation with keys of its own",
        held=proved.code == 0 and added.code == 0,
        detail=proved.stderr + added.stderr,
    )


def build_plant(stage: Stage, node: Client, file: Path | None, *, seed: int) -> Plant | None:
    """Enrol machines, the unit that runs them and the mechanic."""
    names = ["pump"] if file else list(PUMPS)
    profile = "pump" if file else "machine"
    devices = enrol(stage, node, FACTORY, names, "--profile", profile)
    unit = enrol(stage, node, FACTORY, [UNIT], "--role", "unit")
    mechanic = enrol(stage, node, SERVICER, [MECHANIC], "--role", "provider")
    held = bool(devices and unit and mechanic)
    stage.note(
        f"drystone device enrol: {', '.join(names)}, {FACTORY}/{UNIT}, {SERVICER}/{MECHANIC}",
        held=held,
    )
    if not held:
        return None
    if file:
        packs = scenario.packs(scenario.recorded(file))
        machines = [Machine(devices[0], scenario.PUMP, packs, start_s=0)]
        return Plant(machines, unit[0], mechanic[0], RECORDED)
    start_s = int(time.time()) - PAST_S
    machines: list[Machine] = []
    for number, device in enumerate(devices):
        pump = Pump(seed=seed, number=number, wears_after_s=PUMPS[device.member])
        packs = _endless(pump)
        machines.append(Machine(device, scenario.MACHINE, packs, start_s=start_s, pump=pump))
    return Plant(machines, unit[0], mechanic[0], PUBLISHED)


def _endless(pump: Pump) -> Iterator[list[Sample]]:
    while True:
        yield scenario.emulated(pump, seconds=scenario.SECONDS_A_RECORD)


def declare(stage: Stage, node: Client, plant: Plant, *, recorded: bool) -> bool:
    """Say whose the machines are and who serves them; set limits where they are not the published ones."""
    stocked = {"part": PART, "stock": PARTS, "price": PRICE}
    calls = [plant.mechanic.call(CONTRACT, "stock_part", stocked)]
    for machine in plant.machines:
        row = {
            "machine": machine.device.address,
            "unit": plant.unit.address,
            "provider": plant.mechanic.address,
            "equipment": {"equipment_type": "water pump", "produced": "2019-05", "parts": PART},
        }
        calls.append(plant.unit.call(CONTRACT, "declare_machine", row))
        for channel, limit in plant.limits.items() if recorded else ():
            set_to = {"machine": machine.device.address, "channel": channel, "window_s": 0}
            set_to |= {"lower": limit.lower, "upper": limit.upper, "count": THRESHOLD}
            calls.append(plant.unit.call(CONTRACT, "set_limits", set_to))
    refused = decide(node, calls)
    said = ", ".join(
        f"{channel} {limit.lower + ' to ' if limit.lower else 'up to '}{limit.upper}"
        for channel, limit in plant.limits.items()
    )
    return stage.note(
        f"machines declared; limits: {said}; the {THRESHOLD + 1:,}st exceedance asks",
        held=not refused,
        detail=", ".join(refused),
    )


def fund(stage: Stage, node: Client, plant: Plant) -> bool:
    """Begin a token, give the unit some, and let the contract pay parts with what the unit allows it."""
    if not deploy(stage, "token"):
        return False
    operator = caller(node, stage.home, None)
    operator.call("token", "create", {"name": "Service", "symbol": "SRV", "decimals": 0})
    operator.call("token", "mint", {"receiver": plant.unit.address, "amount": FUNDS})
    operator.call(CONTRACT, "configure", {"token": "token"})
    allowed = plant.unit.call("token", "allow", {"contract": CONTRACT, "amount": FUNDS})
    refused = decide(node, [allowed])
    return stage.note(
        f"{plant.unit.address} holds {FUNDS} tokens and allows {CONTRACT} to pay with them",
        held=not refused and balance(node, plant.unit) == FUNDS,
        detail=", ".join(refused),
    )


def balance(node: Client, member: Device) -> int:
    """Return how many tokens a member holds."""
    values = kept(node, "token", f"balance/{member.address}")
    return values.get(f"balance/{member.address}", 0)


def values_of(node: Client, machine: Machine) -> dict[str, Any]:
    """Return what the ledger keeps of a machine."""
    path = f"device/{machine.device.address}"
    return kept(node, CONTRACT, path)[path]


def machine_table(node: Client, plant: Plant) -> "Table":
    """Draw the machines with last values and counts as the ledger keeps them; at most 80 columns wide."""
    from rich import box
    from rich.table import Table

    head = node.get("/v1/ledger")["head"]
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"machines, as the ledger keeps them; a request with the {THRESHOLD + 1:,}st",
        title_justify="left",
        title_style="bold",
        caption=f"block {head['height']:,}",
        caption_justify="left",
        caption_style="",
        padding=(0, 1),
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("machine", no_wrap=True)
    for channel, heading in HEADINGS.items():
        table.add_column(heading, justify="right", no_wrap=True)
        if channel in plant.limits:
            table.add_column("count", justify="right", no_wrap=True)
    table.add_column("asks", no_wrap=True)
    for machine in plant.machines:
        value = values_of(node, machine)
        cells: list[str] = []
        for channel in HEADINGS:
            cells.append(_number(channel, value["last"].get(channel)))
            if channel in plant.limits:
                count = value["counts"].get(channel, 0)
                cells.append(f"[yellow]{count:,}[/yellow]" if count else "0")
        asks = ", ".join(ASKS[row["kind"]] for row in value["waiting"].values())
        table.add_row(machine.device.member, *cells, asks or "-")
    return table


def _number(channel: str, millionths: int | None) -> str:
    """Write a measured value with two decimals, a pressure in kPa."""
    if millionths is None:
        return "-"
    return f"{Decimal(millionths).scaleb(-9 if channel == 'pressure' else -6):.2f}"
