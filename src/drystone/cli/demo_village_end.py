"""How `drystone demo village` ends: accounts compared, frontiers, parents, bytes, and a receipt from each side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from drystone.apps.trading.scenario import Books
from drystone.cli.demo_gateways import GATEWAYS, ORGANISATION
from drystone.cli.demo_neighbours import balances, homes_of
from drystone.cli.demo_proofs import said
from drystone.cli.output import size

if TYPE_CHECKING:
    from drystone.cli.demo_contract import Follower
    from drystone.cli.demo_village import Show

EVENT_S: Final = 10.0
UNIT: Final = 100_000_000
"""An amount is a whole number of 10^-8 of the currency unit."""


def show_end(show: Show, changes: Follower, *, seconds: float) -> None:
    """Say what the village came to; `changes` hears what the gateway cut off first had foreseen wrongly."""
    _accounts(show)
    _foreseen(show)
    _sold_twice(show, changes)
    _frontiers(show)
    _receipts(show)
    _bytes(show)
    stage = show.stage
    failed = sum(not held for _, held in stage.held)
    standing, vertices = show.town.standing(GATEWAYS)
    stage.say("")
    stage.say(
        f"vertices with two live parents or more: {standing:,} of {vertices:,}"
        f" ({100 * standing // max(vertices, 1)} %)"
    )
    if failed:
        stage.say(f"[red]{failed} of {len(stage.held)} steps did not hold[/red]")
        return
    records = sum(quarter.sent for quarter in show.quarters)
    stage.say(
        f"[bold]All {len(stage.held)} steps held[/bold] in {seconds:.0f} s:"
        f" {records:,} records in {vertices:,} vertices of {len(GATEWAYS)} gateways."
    )
    stage.say(f"The page that drew it: [bold]{show.town.client.endpoint.url}/dag[/bold]")


def _accounts(show: Show) -> None:
    """Compare balances with accounts kept apart from the contract; together they are zero."""
    books = Books()
    for quarter in show.quarters:
        quarter.settle(books)
    held = balances(show.town.client)
    expected = {home: books.balances[home] for home in held}
    refused = [code for quarter in show.quarters for code in quarter.refused]
    show.stage.note(
        f"{books.delivered / 1_000:.2f} kWh from neighbour to neighbour; balances are the ones of"
        " books kept apart, and zero together",
        held=held == expected and sum(held.values()) == 0 and not refused,
        detail=", ".join(f"{home} {amount / UNIT:.4f}" for home, amount in sorted(held.items())),
    )


def _foreseen(show: Show) -> None:
    """What a gateway foresaw for its own homes behind the cut is what became final."""
    moved = sum(one.foreseen != one.decided for one in show.foreseen)
    show.stage.note(
        "contracts worked behind the cuts: what each gateway showed as provisional became final",
        held=moved > 0 and all(one.final == one.foreseen for one in show.foreseen),
        detail="\n".join(
            f"{one.home}: {one.decided / UNIT:.4f} when cut off, then {one.foreseen / UNIT:.4f}"
            f" provisional, {one.final / UNIT:.4f} final"
            for one in show.foreseen
        ),
    )


def _sold_twice(show: Show, changes: Follower) -> None:
    """What both sides of the cut had sold went to one of them; nothing else was refused."""
    refused = list(_refused(show))
    at_once = [f"{name} said {code} at once" for name, code in show.told_last.items()]
    show.stage.note(
        "but one: what was sold on both sides of a cut went to who was ordered first",
        held=refused == [(f"{ORGANISATION}/mill", "trading.sold-out")]
        and set(show.told_last.values()) == {"accepted"},
        detail=", ".join(at_once)
        + "; final: "
        + ", ".join(f"{code} in a vertex of {author}" for author, code in refused),
    )
    changes.wait("changed", seconds=EVENT_S)
    told = [(one["before"]["code"], one["after"]["code"]) for one in changes.seen("changed")]
    changed = [(before, after) for before, after in told if before != after]
    show.stage.note(
        "the mill says so: event provisional/changed",
        held=("accepted", "trading.sold-out") in changed,
        detail=", ".join(f"{before} became {after}" for before, after in changed),
    )


def _refused(show: Show) -> Iterator[tuple[str, str]]:
    """Give author and code of every record that the ledger refused."""
    town = show.town
    authors = {one.id: one.author for one in town.stones.values()}
    for height in sorted({one.height for one in town.stones.values() if one.height is not None}):
        for row in town.client.rows(f"/v1/blocks/{height}/outcomes"):
            if row["code"] not in {"accepted", "already"}:
                yield authors[row["vertex"]], row["code"]


def _frontiers(show: Show) -> None:
    """All four name the same last vertex of every author."""
    found = [one.frontier for one in show.observers]
    last = ", ".join(f"{one.author} {one.epoch}/{one.seq}" for one in sorted(found[0]))
    show.stage.note(
        "drystone frontier: equal on the node and on all three gateways",
        held=len(found[0]) > 0 and all(one == found[0] for one in found),
        detail=last,
    )


def _receipts(show: Show) -> None:
    """Take a receipt of the last record of a home behind each gateway, and verify it without a network."""
    stage = show.stage
    trust = str(stage.home / "trust.json")
    for quarter in show.quarters:
        home = f"{ORGANISATION}/{homes_of(quarter.name)[0]}"
        file = stage.folder / f"{quarter.name}.receipt.cbor"
        number = quarter.roof.device.seq - 1
        got = stage.run("receipt", "get", home, str(number), "-o", str(file))
        shown = stage.run("verify", str(file), "--trust", trust, offline=True)
        stage.note(
            f"a receipt from behind {quarter.name}: {home} {number}"
            + (f", {size(file.stat().st_size)}" if got.code == 0 else "")
            + ", verified offline",
            held=got.code == 0 and shown.code == 0,
            detail=got.stderr + shown.stderr or said(shown.stdout),
        )


def _bytes(show: Show) -> None:
    """Say what went over each link, TLS and all."""
    stage = show.stage
    stage.say("")
    for name, one in show.village.links.states().items():
        stage.say(f"link {name:<15} {size(one.there):>9} there, {size(one.back):>9} back")
