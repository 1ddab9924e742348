"""`drystone demo village`: three gateways and a node, cables that are cut, neighbours who go on trading, and the merge.

Every process is one that an operator would start, each link is TLS over a proxy that is told to cut. The homes sign
here and reach their own gateway over HTTP only. What each process knows of the DAG is asked of itself.
"""

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rich.console import Console
from rich.live import Live

from drystone.apps.trading import scenario
from drystone.apps.trading.scenario import Books
from drystone.cli.demo_contract import Device, Follower, decide, deploy, enrol
from drystone.cli.demo_gateways import GATEWAYS, NODE, ORGANISATION, Village
from drystone.cli.demo_neighbours import (
    LAST_SLOT,
    Quarter,
    balances,
    build_quarters,
    first_slot,
    homes_of,
)
from drystone.cli.demo_stage import Stage
from drystone.cli.demo_village_end import show_end
from drystone.cli.demo_village_table import Observer, draw, line
from drystone.client.rest import Client, find_endpoint
from drystone.errors import DrystoneError

ROUND_S: Final = 0.4
STAY_S: Final = 2.0
SAY_S: Final = 3.0
MERGE_S_MAX: Final = 40.0
LOOK_S: Final = 0.2
ROUNDS_TOGETHER: Final = 6
ROUNDS_CUT: Final = 14
ROUNDS_AFTER: Final = 6
CLERK: Final = "clerk"
FIRST_CUT: Final = GATEWAYS[0]


class Foreseen(NamedTuple):
    """A home's balance behind a cut: as decided before it, as its gateway foresaw it, as it became final."""

    home: str
    decided: int
    foreseen: int
    final: int


@dataclass(slots=True)
class Show:
    """What goes on: who is there, who is cut off, what was found so far."""

    stage: Stage
    village: Village
    quarters: list[Quarter]
    gateways: dict[str, Client]
    town: Observer
    observers: list[Observer]
    cut: frozenset[str] = frozenset()
    title: str = ""
    live: Live | None = None
    said_s: float = 0.0
    last_slot: int = 0
    """The slot of the surplus that is sold on both sides of a cut."""
    told_last: dict[str, str] = field(default_factory=dict[str, str])
    """What each side's gateway told at once of the home that took it."""
    foreseen: list[Foreseen] = field(default_factory=list[Foreseen])

    def look(self) -> None:
        """Ask every process what it knows, and show it."""
        for one in self.observers:
            one.look()
        if self.live is not None:
            self.live.update(draw(self.observers, cut=self.cut, title=self.title))
        elif not self.stage.console.is_terminal and time.monotonic() - self.said_s > SAY_S:
            self.stage.say(f"   {line(self.observers, cut=self.cut, title=self.title)}")
            self.said_s = time.monotonic()

    def rounds(self, count: int, title: str) -> None:
        """Let so many slots pass in every quarter, at an even pace."""
        self.title = title
        following = time.monotonic()
        for _ in range(count):
            for quarter in self.quarters:
                quarter.send(self.gateways[quarter.name], quarter.live())
            self.look()
            following += ROUND_S
            time.sleep(max(0.0, following - time.monotonic()))

    def wait(self, true: Callable[[], bool], title: str) -> bool:
        """Look until something is true; say whether it became so in time."""
        self.title = title or self.title
        deadline = time.monotonic() + MERGE_S_MAX
        while time.monotonic() < deadline:
            self.look()
            if true():
                return True
            time.sleep(LOOK_S)
        return False

    def sever(self, *names: str) -> None:
        """Cut every link of these gateways."""
        for name in names:
            self.village.links.cut(name)
        self.cut = frozenset(names)

    def mend(self) -> None:
        """Mend every link."""
        for name in self.cut:
            self.village.links.heal(name)
        self.cut = frozenset()

    def equal(self) -> bool:
        """Say whether all know the same vertices and everything that was sent is ordered."""
        sent = sum(quarter.sent for quarter in self.quarters)
        return (
            all(one.frontier == self.town.frontier for one in self.observers)
            and all(one.height == self.town.height for one in self.observers)
            and not any(one.waiting for one in self.observers)
            and self.town.ordered(GATEWAYS) == sent
        )


def show_village(*, seed: int, stay: bool | None, keep: bool) -> bool:
    """Run the demo; return whether every step held. Ends at once and cleanly on Ctrl-C."""
    console = Console()
    staying = sys.stdout.isatty() if stay is None else stay
    with Stage(console, keep=keep) as stage:
        try:
            with Village(stage, seed=seed) as village:
                return _show(stage, village, seed=seed, staying=staying)
        except KeyboardInterrupt:
            stage.say("\nstopped")
            return False
        except DrystoneError as error:
            return stage.note(f"{error.code}: {error}", held=False)


def _show(stage: Stage, village: Village, *, seed: int, staying: bool) -> bool:
    began = time.monotonic()
    if not village.prepare_node():
        return False
    url = stage.start_node()
    stage.note(f"node runs, in processes of its own: {url}", held=True)
    if not deploy(stage, scenario.CONTRACT):
        return False
    endpoint = find_endpoint(stage.home)
    with Client(endpoint) as node:
        quarters = _settle_in(stage, node, seed=seed)
        if quarters is None:
            return False
        gateways = village.open_gateways(height=node.get("/v1/ledger")["head"]["height"])
        if not gateways:
            return False
        town = Observer(NODE, node)
        others = [Observer(name, gateways[name]) for name in GATEWAYS]
        last = quarters[0].first + LAST_SLOT
        show = Show(stage, village, quarters, gateways, town, [town, *others], last_slot=last)
        stage.say(f"   look at it: [bold]{url}/dag[/bold]")
        mill = gateways[FIRST_CUT].endpoint
        with Follower(mill, contract="provisional", height=0, view="provisional") as changes:
            _play(show)
            show_end(show, changes, seconds=time.monotonic() - began)
        if staying:
            _stay(show)
    return stage.all_held


def _settle_in(stage: Stage, node: Client, *, seed: int) -> list[Quarter] | None:
    """Enrol the homes under the contract's profile, and let them join the market."""
    names = [name for gateway in GATEWAYS for name in homes_of(gateway)]
    homes = enrol(stage, node, ORGANISATION, names, "--profile", scenario.PROFILE)
    clerks = enrol(stage, node, ORGANISATION, [CLERK], "--role", "governor")
    if not homes or not clerks:
        return None
    calls = scenario.setup_calls(
        organisation=ORGANISATION, homes={name: name for name in names}, settings={"settled_h": 0}
    )
    refused = decide(
        node, [clerks[0].call(call.contract, call.function, call.args) for call in calls]
    )
    devices: dict[str, Device] = {home.member: home for home in homes}
    held = stage.note(
        f"{len(homes)} homes, two behind each gateway, one of them with a roof: all in the market",
        held=not refused,
        detail=", ".join(refused),
    )
    first = first_slot(int(time.time()))
    return build_quarters(devices, GATEWAYS, seed=seed, first=first) if held else None


def _play(show: Show) -> None:
    """Cut, trade on, mend; twice, so that every gateway was alone once."""
    stage = show.stage
    live = Live(console=stage.console, refresh_per_second=8)
    found: list[tuple[str, bool]] = []
    if stage.console.is_terminal:
        show.live = live
        live.start()
    try:
        for scene in (_together, _first_cut, _second_cut, _again):
            found.append(scene(show))
            if not found[-1][1]:
                break
    finally:
        live.stop()
        show.live = None
    for text, held in found:
        stage.note(text, held=held)


def _stay(show: Show) -> None:
    """Trade on in real time until Ctrl-C, so that the page can be looked at."""
    show.stage.say("The village goes on; Ctrl-C ends it and removes everything.\n")
    with contextlib.suppress(KeyboardInterrupt), show.stage.console.status("") as status:
        while True:
            if show.quarters[0].ends_s() < time.time():
                show.rounds(1, "the village goes on")
            show.look()
            status.update(line(show.observers, cut=show.cut, title=show.title))
            time.sleep(STAY_S)


def _together(show: Show) -> tuple[str, bool]:
    """Let everybody trade, and the quarry's roof offer what both sides of the first cut will want."""
    quarry = show.quarters[2]
    quarry.send(show.gateways[quarry.name], [quarry.offer_last(show.last_slot)])
    show.rounds(ROUNDS_TOGETHER, "all together")
    joined = show.wait(show.equal, "all together: until all know the same")
    return "together: every vertex is known to all four, and ordered", joined


def _first_cut(show: Show) -> tuple[str, bool]:
    """Cut the mill off; both sides write on, and both sell the same surplus."""
    mill, chapel, quarry = show.quarters
    show.sever(mill.name)
    for one in (chapel, mill):
        record = one.take_last(quarry.roof, show.last_slot)
        show.told_last[one.name] = one.ask(show.gateways[one.name], record)
    alone = _grown(show, ROUNDS_CUT, "the mill is cut off; both sides write on")
    text = (
        f"the mill cut off, {alone} vertices on both sides; back: all know the same, all is ordered"
    )
    return text, _mend(show, "the mill is back")


def _second_cut(show: Show) -> tuple[str, bool]:
    """Cut the chapel and the quarry off, each alone."""
    show.sever("chapel", "quarry")
    alone = _grown(show, ROUNDS_CUT, "the chapel and the quarry are cut off, each alone")
    text = f"chapel and quarry cut off, each alone, {alone} vertices; back: the union, all ordered"
    return text, _mend(show, "all are back")


def _mend(show: Show, title: str) -> bool:
    """Note what those cut off foresee, mend, wait; say whether they were apart and are not any more."""
    apart = not show.equal()
    before: dict[str, tuple[int, int]] = {}
    for quarter in show.quarters:
        if quarter.name in show.cut:
            decided = balances(show.gateways[quarter.name])
            foreseen = _foresee(show, quarter)
            before |= {home: (decided[home], foreseen[home]) for home in quarter.homes}
    show.mend()
    merged = show.wait(show.equal, title)
    final = balances(show.town.client)
    show.foreseen += [Foreseen(home, *pair, final[home]) for home, pair in before.items()]
    return apart and merged


def _foresee(show: Show, quarter: Quarter) -> dict[str, int]:
    """Wait until a gateway has foreseen what its own homes sent; give every balance as it shows them."""
    books = Books()
    quarter.settle(books)

    def shown() -> dict[str, int]:
        return balances(show.gateways[quarter.name], view="provisional")

    show.wait(lambda: all(shown()[home] == books.balances[home] for home in quarter.homes), "")
    return shown()


def _again(show: Show) -> tuple[str, bool]:
    """Trade on as in the beginning."""
    show.rounds(ROUNDS_AFTER, "together again")
    return "together again", show.wait(show.equal, "together again: until all know the same")


def _grown(show: Show, rounds: int, title: str) -> int:
    """Let slots pass; count the vertices that were sealed meanwhile."""
    before = sum(one.own for one in show.observers)
    show.rounds(rounds, title)
    return sum(one.own for one in show.observers) - before
