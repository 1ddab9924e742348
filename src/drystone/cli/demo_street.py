"""`drystone demo`: the show itself, step by step; each step is a command anyone can type.

The device side (the street) runs here and reaches the node over HTTP only. The node, the commands and the verifiers
are processes of their own.
"""

import sys
import time
from typing import Final

from rich.console import Console
from rich.live import Live

from drystone.apps.metering import scenario
from drystone.cli.demo_bill import CONTRACT, prepare, show_bill
from drystone.cli.demo_contract import set_up
from drystone.cli.demo_proofs import show_damage, show_proofs
from drystone.cli.demo_stage import Stage
from drystone.cli.demo_table import Rate, StreetTable
from drystone.client.rest import Client, find_endpoint
from drystone.errors import DrystoneError, NodeAbsent
from drystone.gateway.answer import ALREADY, Answer
from drystone.home.keyfolder import KeyFolder
from drystone.sim import meters as emulation
from drystone.sim.street import Sent, Street

ORGANISATION: Final = "street"
PROFILE: Final = "electricity"
STEP_MINUTES: Final = 15
DAYS_BACK: Final = 14
TICK_S: Final = 0.1
STAY_TICK_S: Final = 1.0
ENROL_AT_ONCE: Final = 64


def show_street(*, meters: int, seconds: int, seed: int, stay: bool | None, keep: bool) -> bool:
    """Run the demo; return whether every step held. Ends at once and cleanly on Ctrl-C."""
    console = Console()
    staying = sys.stdout.isatty() if stay is None else stay
    with Stage(console, keep=keep) as stage:
        try:
            return _show(stage, count=meters, seconds=seconds, seed=seed, staying=staying)
        except KeyboardInterrupt:
            stage.say("\nstopped")
            return stage.all_held
        except DrystoneError as error:
            return stage.note(f"{error.code}: {error}", held=False)


def _show(stage: Stage, *, count: int, seconds: int, seed: int, staying: bool) -> bool:
    began = time.monotonic()
    if not set_up(stage, organisation=ORGANISATION, contract=CONTRACT):
        return False
    url = find_endpoint(stage.home).url
    street = _enrol(stage, count=count, seed=seed)
    if street is None:
        return False
    installed = scenario.installations(seed=seed, count=count)
    if not prepare(stage, organisation=ORGANISATION, installed=installed):
        return False
    with Client(find_endpoint(stage.home)) as node:
        table = _stream(stage, node, street, seconds=seconds)
        _finish(stage, node, street, table)
        households = [one.household for one in installed]
        show_bill(
            stage,
            node,
            organisation=ORGANISATION,
            households=households,
            chosen=households[min(6, count - 1)],
        )
        device = street.meters[min(6, count - 1)].device
        show_proofs(stage, organisation=ORGANISATION, device=device)
        show_damage(stage, organisation=ORGANISATION, device=device)
        _summary(stage, url=url, table=table, seconds=time.monotonic() - began)
        if staying:
            _stay(stage, node, street, table)
    return stage.all_held


def _enrol(stage: Stage, *, count: int, seed: int) -> Street | None:
    """Enrol the street's meters under the contract's profile; their keys then lie in the key folder."""
    devices = [meter.device for meter in emulation.street(seed=seed, count=count)]
    codes: list[int] = []
    for begin in range(0, count, ENROL_AT_ONCE):
        some = devices[begin : begin + ENROL_AT_ONCE]
        done = stage.run("device", "enrol", *some, "--profile", PROFILE)
        codes.append(done.code)
        if done.code:
            stage.say(done.stderr)
    held = not any(codes)
    stage.note(f"drystone device enrol: {count} meters, a key each", held=held)
    if not held:
        return None
    folder = KeyFolder(stage.home / "devices")
    secrets = {
        device: folder.load(organisation=ORGANISATION, member=device).secret for device in devices
    }
    now_s = int(time.time())
    start_s = (now_s // 86_400 - DAYS_BACK) * 86_400
    return Street(
        seed=seed,
        secrets=secrets,
        organisation=ORGANISATION,
        start_s=start_s,
        step_minutes=STEP_MINUTES,
    )


def _stream(stage: Stage, node: Client, street: Street, *, seconds: int) -> StreetTable:
    """Stream readings for some seconds while the table updates."""
    table = StreetTable(street.meters)
    rate = Rate()
    terminal = stage.console.is_terminal
    begin = time.monotonic()
    next_tick = next_line = begin
    live = Live(table.draw(), console=stage.console, refresh_per_second=8, transient=False)
    if terminal:
        live.start()
    try:
        while time.monotonic() - begin < seconds:
            _one_tick(node, street, table, rate)
            if terminal:
                live.update(table.draw())
            elif time.monotonic() >= next_line:
                stage.say(f"   {table.line()}")
                next_line = time.monotonic() + 2
            next_tick += TICK_S
            time.sleep(max(0.0, next_tick - time.monotonic()))
    finally:
        if terminal:
            live.stop()
    return table


def _one_tick(node: Client, street: Street, table: StreetTable, rate: Rate) -> None:
    tick = street.tick()
    answers = node.deliver([sent.data for sent in tick.arriving])
    _count(table, answers)
    table.rate = rate.add(time.monotonic(), len(answers))
    table.update(tick.readings)
    table.clock = time.strftime("%a %d %b, %H:%M", time.gmtime(tick.time_s))
    head = node.get("/v1/ledger")["head"]
    table.height, table.size = head["height"], head["size"]


def _count(table: StreetTable, answers: list[Answer]) -> None:
    for answer in answers:
        if answer.code == "stored":
            table.records += 1
        elif answer.code == ALREADY:
            table.already += 1
        else:
            table.refused += 1


def _finish(stage: Stage, node: Client, street: Street, table: StreetTable) -> None:
    """Let the radio's last records arrive and wait until the ledger has decided on all of them."""
    late: list[Sent] = street.flush()
    tick = street.tick()
    late += [*tick.arriving, *street.flush()]
    answers = node.deliver([sent.data for sent in late], wait="committed")
    _count(table, answers)
    head = node.get("/v1/ledger")["head"]
    table.height, table.size = head["height"], head["size"]
    refused = [answer for answer in answers if answer.outcome not in {None, "accepted"}]
    stage.note(
        f"streamed {table.records:,} signed readings over HTTP,"
        f" {table.already:,} heard twice, {table.refused:,} refused",
        held=table.records > 0 and not table.refused and not refused,
    )
    streams = list(node.rows("/v1/streams", {"iss": ORGANISATION}))
    missing = sum(row["missing"] for row in streams)
    counted = sum(row["records"] for row in streams if row["sub"] in _names(street))
    stage.note(
        f"each accounted for: {counted:,} records in {len(_names(street))} streams,"
        f" {missing or 'no'} number missing",
        held=counted == table.records and not missing,
    )


def _names(street: Street) -> set[str]:
    return {meter.device for meter in street.meters}


def _summary(stage: Stage, *, url: str, table: StreetTable, seconds: float) -> None:
    failed = [text for text, held in stage.held if not held]
    stage.say("")
    if failed:
        stage.say(f"[red]{len(failed)} of {len(stage.held)} steps did not hold[/red]")
    else:
        stage.say(
            f"[bold]All {len(stage.held)} steps held[/bold] in {seconds:.0f} s:"
            f" {table.records:,} records, {table.height:,} blocks, {table.size:,} log entries."
        )
    stage.say(f"Look at it: [bold]{url}[/bold]")


def _stay(stage: Stage, node: Client, street: Street, table: StreetTable) -> None:
    """Go on with a step a second until Ctrl-C; once the street's clock has caught up, in real time."""
    stage.say("The street goes on; Ctrl-C ends it and removes everything.\n")
    rate = Rate(5.0)
    with stage.console.status("") as status:
        while True:
            if street.time_s + STEP_MINUTES * 60 <= time.time():
                try:
                    _one_tick(node, street, table, rate)
                except NodeAbsent as error:
                    stage.note(f"the node went away: {error}", held=False)
                    return
            status.update(f"{table.clock} · {table.records:,} records · block {table.height:,}")
            time.sleep(STAY_TICK_S)
