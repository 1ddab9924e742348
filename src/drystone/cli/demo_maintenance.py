"""`drystone demo maintenance`: machines that ask for their own service, and what becomes of it between two firms.

The machines run here and reach the node over HTTP only; what the table shows is what the ledger keeps. Every count is
compared with one made here, apart from the contract.
"""

import time
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.live import Live

from drystone.apps.maintenance import scenario
from drystone.cli.demo_contract import Follower, Pace, decide, kept, set_up, summary
from drystone.cli.demo_plant import (
    CONTRACT,
    FACTORY,
    FUNDS,
    PART,
    PARTS,
    PRICE,
    THRESHOLD,
    Machine,
    Plant,
    admit,
    balance,
    build_plant,
    declare,
    fund,
    machine_table,
    values_of,
)
from drystone.cli.demo_proofs import show_proofs
from drystone.cli.demo_stage import Stage
from drystone.client.rest import Client, find_endpoint
from drystone.errors import DrystoneError

TICK_S: Final = 0.05
RECORDS_A_TICK: Final = 2
RECORDED_A_TICK: Final = 48
TICKS_MAX: Final = 200
TICKS_AFTER: Final = 8
SHOWN_EVERY: Final = 4

WHERE: Final = f"""\
There is no {{file}}.

With --data this demo replays a recorded pump, which the project does not ship: a
folder with {scenario.FILE}, rows of
datetime, accelerometer1_rms_g, pressure_bar, temperature_engine_c, voltage_v and
current_a from the Skoltech Anomaly Benchmark. Without --data it emulates pumps."""


def show_maintenance(data: Path | None, *, seed: int, keep: bool) -> bool:
    """Run the demo; return whether every step held. Ends at once and cleanly on Ctrl-C."""
    console = Console()
    file = None if data is None else data / scenario.FILE
    if file is not None and not file.is_file():
        console.print(WHERE.format(file=file), highlight=False, soft_wrap=True)
        return False
    with Stage(console, keep=keep) as stage:
        try:
            return _show(stage, file, seed=seed)
        except KeyboardInterrupt:
            stage.say("\nstopped")
            return False
        except DrystoneError as error:
            return stage.note(f"{error.code}: {error}", held=False)


def _show(stage: Stage, file: Path | None, *, seed: int) -> bool:
    began = time.monotonic()
    if not set_up(stage, organisation=FACTORY, contract=CONTRACT) or not admit(stage):
        return False
    endpoint = find_endpoint(stage.home)
    with Client(endpoint) as node:
        plant = build_plant(stage, node, file, seed=seed)
        if plant is None or not declare(stage, node, plant, recorded=file is not None):
            return False
        if not fund(stage, node, plant):
            return False
        height = node.get("/v1/ledger")["head"]["height"]
        with Follower(endpoint, contract=CONTRACT, height=height) as follower:
            _stream(stage, node, plant, follower, recorded=file is not None)
            _check_counts(stage, node, plant, follower)
            _serve(stage, node, plant, follower)
        show_proofs(stage, organisation=FACTORY, device=plant.machines[0].device.member)
        summary(stage, node, seconds=time.monotonic() - began)
    return stage.all_held


def _stream(
    stage: Stage, node: Client, plant: Plant, follower: Follower, *, recorded: bool
) -> None:
    """Stream until both requests came (emulated), or the recording ends, while the table shows the ledger's counts."""
    refused: list[str] = []
    terminal = stage.console.is_terminal
    live = Live(console=stage.console, refresh_per_second=8)
    pace = Pace(TICK_S)
    records = 0
    if terminal:
        live.start()
    try:
        for tick in range(TICKS_MAX):
            batch = [
                record
                for machine in plant.machines
                for record in machine.records(RECORDED_A_TICK if recorded else RECORDS_A_TICK)
            ]
            if not batch:
                break
            records += len(batch)
            refused += decide(node, batch)
            if tick % SHOWN_EVERY == 0:
                _draw(stage, node, plant, live if terminal else None, tick)
            if not recorded and follower.seen("requestService") and follower.seen("orderPart"):
                break
            pace.wait()
        _draw(stage, node, plant, live if terminal else None, 0)
    finally:
        if terminal:
            live.stop()
    samples = sum(len(machine.sent) for machine in plant.machines)
    stage.note(
        f"streamed {records:,} signed records with {samples:,} samples, {len(refused)} refused",
        held=records > 0 and not refused,
        detail=", ".join(sorted(set(refused))),
    )


def _check_counts(stage: Stage, node: Client, plant: Plant, follower: Follower) -> None:
    """Compare every count and every request with one made here from what was sent."""
    held, said, wanted = True, list[str](), 0
    for machine in plant.machines:
        value = values_of(node, machine)
        for channel, limit in plant.limits.items():
            apart = machine.exceeded(channel, limit)
            requests = apart // (THRESHOLD + 1)
            wanted += requests
            held = held and value["beyond"].get(channel, 0) == apart
            held = held and value["counts"].get(channel, 0) == apart % (THRESHOLD + 1)
            if apart:
                asked = f"{requests} request" if requests else "none"
                said.append(f"{machine.device.member} {channel}: {apart:,} exceedances, {asked}")
    names = ("requestService", "orderPart")
    for name in names:
        follower.wait(name, seconds=10.0)
    events = [event for name in names for event in follower.seen(name)]
    held = held and len(events) == wanted
    held = held and all(event["count"] == THRESHOLD + 1 for event in events)
    stage.note(
        "every count is the one made apart from the contract", held=held, detail="\n".join(said)
    )
    for name, addressed in zip(names, ("addr2", "addr1"), strict=True):
        seen = follower.seen(name)
        to = seen[0][addressed] if seen else "nobody"
        stage.note(
            f"{name} to {to}, seen by a subscriber (SSE), and the count began anew",
            held=bool(seen),
        )


def _serve(stage: Stage, node: Client, plant: Plant, follower: Follower) -> None:
    """Let the two firms deal with what was asked for: order the part, accept, complete, rate."""
    asked = {name: follower.seen(name)[:1] for name in ("requestService", "orderPart")}
    if not all(asked.values()):
        return
    address = asked["orderPart"][0]["addr2"]
    unit, mechanic = plant.unit, plant.mechanic
    order = {"addr1": unit.address, "addr2": address, "part": PART, "count": 1}
    refused = decide(node, [unit.call(CONTRACT, "orderPart", order)])
    numbers = [seen[0]["order"] for seen in asked.values()]
    for number in numbers:
        which = {"machine": address, "order": number}
        turns = [
            mechanic.call(CONTRACT, "accept", {**which, "due_ms": 0}),
            mechanic.call(CONTRACT, "complete", {**which, "report": "bearing replaced"}),
        ]
        refused += decide(node, turns)
        refused += decide(node, [unit.call(CONTRACT, "rate", {**which, "stars": 5, "note": ""})])
    orders = kept(node, CONTRACT, f"order/{address}").values()
    stock = kept(node, CONTRACT, f"part/{mechanic.address}").values()
    stage.note(
        f"{len(orders)} orders accepted, completed, rated; {PRICE} tokens moved, one part less",
        held=not refused
        and [row["state"] for row in orders] == ["rated"] * len(numbers)
        and [row["stock"] for row in stock] == [PARTS - 1]
        and (balance(node, unit), balance(node, mechanic)) == (FUNDS - PRICE, PRICE),
        detail=", ".join(refused) or "\n".join(_order_text(row) for row in orders),
    )
    _run_on(stage, node, plant, address)


def _order_text(row: dict[str, Any]) -> str:
    turns = ", ".join(f"{turn['state']} by {turn['by']}" for turn in row["history"])
    return f"order {row['order']}, {row['kind']}: {turns}"


def _run_on(stage: Stage, node: Client, plant: Plant, address: str) -> None:
    """After its service an emulated machine stays below its limits."""
    served = next(machine for machine in plant.machines if machine.device.address == address)
    if served.pump is None:
        return
    before = served.exceeded("vibration", plant.limits["vibration"])
    served.pump.service()
    refused = decide(node, served.records(TICKS_AFTER * RECORDS_A_TICK))
    after = values_of(node, served)["beyond"]["vibration"]
    stage.note(
        f"{served.device.member} has a new bearing: no exceedance since",
        held=not refused and after == before,
    )


def _draw(stage: Stage, node: Client, plant: Plant, live: Live | None, tick: int) -> None:
    if live is not None:
        live.update(machine_table(node, plant))
    elif tick % (4 * SHOWN_EVERY) == 0:
        told = [_line(machine, values_of(node, machine)) for machine in plant.machines]
        stage.say("   " + ", ".join(told))


def _line(machine: Machine, value: dict[str, Any]) -> str:
    counts = "/".join(f"{count:,}" for _, count in sorted(value["counts"].items()))
    return f"{machine.device.member} {counts or '0'}" + (" !" if value["waiting"] else "")
