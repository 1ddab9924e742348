"""`demo`: a street of meters, live, ending in a receipt verified without a network; `demo real`: a real week."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from drystone.cli.command import command, help_text
from drystone.cli.exits import CheckFailed, guard

app = typer.Typer(
    help="See it work: a street of meters, live.",
    invoke_without_command=True,
)


class Link(StrEnum):
    """Links of `sim/profiles.py` on which a branch can live."""

    WIFI = "wifi"
    ZIGBEE = "zigbee"
    BLE = "ble"
    GSM = "gsm"


Keep = Annotated[bool, typer.Option("--keep", help="Leave the temporary folder where it is.")]
Stay = Annotated[
    bool | None,
    typer.Option(
        "--stay/--no-stay",
        help="Go on until Ctrl-C. Without it: on a terminal yes, elsewhere no.",
        show_default=False,
    ),
]


def street(
    context: typer.Context,
    meters: Annotated[
        int, typer.Option("--meters", min=1, max=500, help="Meters in the street.")
    ] = 24,
    seconds: Annotated[
        int,
        typer.Option("--seconds", min=1, max=3_600, help="How long it streams before the proofs."),
    ] = 8,
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another street.")] = 7,
    stay: Stay = None,
    keep: Keep = False,
) -> None:
    """See it work: a street of meters, live.

    Starts a node in a temporary folder, deploys the contract `metering`, enrols a street of
    emulated meters, streams their signed readings, bills every household, takes one reading's
    receipt and verifies it in a process without network, verifies a completeness proof, flips one
    bit in a copy of the database and lets fsck name it. Ends with 0 only if all of it held.

    Examples:
      drystone demo
      drystone demo --meters 100 --seconds 20 --no-stay
      drystone demo real --data FOLDER
    """
    if context.invoked_subcommand is not None:
        return
    from drystone.cli.demo_street import show_street

    if not show_street(meters=meters, seconds=seconds, seed=seed, stay=stay, keep=keep):
        raise CheckFailed


app.callback(help=help_text(street))(guard(street))


@command(app)
def real(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Folder with swiss_537homes_15min_w44.csv.",
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    keep: Keep = False,
) -> None:
    """Put a recorded week of 537 Swiss homes on a ledger: every reading accounted for.

    One signed record per home and day goes in over HTTP: 3,759 records, 360,864 readings, digit
    for digit as they were recorded, odd ones included. Bills every home by the hour, prints counts by
    outcome, the log's size, readings per second, and verifies one home's completeness proof offline.

    Example:
      drystone demo real --data recordings
    """
    from drystone.cli.demo_real import show_real

    if not show_real(data, keep=keep):
        raise CheckFailed


@command(app)
def battery(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Folder with recorded cells. Without it: emulated ones.",
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[
        int, typer.Option("--seconds", min=1, max=3_600, help="How long emulated modules stream.")
    ] = 8,
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another pack.")] = 7,
    keep: Keep = False,
) -> None:
    """A pack of five battery modules: status without a master, a faulty cell found.

    Deploys the contract `battery`, enrols five modules, enters their owner by commitments, streams
    signed readings and asset changes, shows the pack as the ledger keeps it, finds the cell with
    an injected short (recorded cells must raise no alarm), follows BatteryEvent over SSE, and
    verifies a receipt offline. Ends with 0 only if all of it held.

    Examples:
      drystone demo battery
      drystone demo battery --data recordings
    """
    from drystone.cli.demo_battery import show_battery

    if not show_battery(data, seconds=seconds, seed=seed, keep=keep):
        raise CheckFailed


@command(app)
def maintenance(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Folder with a recorded pump. Without it: emulated ones.",
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another plant.")] = 7,
    keep: Keep = False,
) -> None:
    """Machines that ask for their own service, and two firms that deal with it.

    Deploys the contract `maintenance`, admits the maintenance firm as a second organisation,
    streams signed readings, counts exceedances: 1,000 ask for nothing, the next one requests
    service or orders a part. The part is paid with tokens, both orders are accepted, completed
    and rated; every count is compared with one made apart; a receipt is verified offline. Ends
    with 0 only if all of it held.

    Examples:
      drystone demo maintenance
      drystone demo maintenance --data recordings
    """
    from drystone.cli.demo_maintenance import show_maintenance

    if not show_maintenance(data, seed=seed, keep=keep):
        raise CheckFailed


@command(app)
def village(
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another village.")] = 7,
    stay: Stay = None,
    keep: Keep = False,
) -> None:
    """Three gateways whose cables are cut, neighbours who go on trading, and the merge.

    Starts a node and three gateways with homes of their own, linked over TLS through cables that
    can be cut. Two homes behind each gateway trade surplus under the contract `trading`. Each
    gateway is cut off once, sides write on separately, the cables are mended: all know the same
    vertices, each record is ordered once, what was traded alone stands, what both sides sold went
    to one. Ends with equal frontiers, a receipt from behind each gateway verified offline, the
    share of vertices with two live parents, bytes on each link. Ends with 0 only if all of it held.

    Example:
      drystone demo village
    """
    from drystone.cli.demo_village import show_village

    if not show_village(seed=seed, stay=stay, keep=keep):
        raise CheckFailed


@command(app)
def branches(
    count: Annotated[int, typer.Option("--count", min=1, max=200, help="Branches.")] = 50,
    minutes: Annotated[
        int, typer.Option("--minutes", min=1, max=1_440, help="How long the meters read.")
    ] = 5,
    link: Annotated[
        Link, typer.Option("--link", help="What ties a branch to the node.")
    ] = Link.GSM,
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another valley.")] = 7,
) -> None:
    """How a valley grows with its branches, in the simulator's time.

    Each branch is a gateway with a meter behind it, linked to one node. The real code runs on
    simulated machines and links: what a server does that emulates a segment of the network. Prints
    records, vertices, blocks, the delay until all is ordered everywhere, and bytes per branch, for
    one branch, a fifth of them, and all. Ends with 0 only if each record is in the log once.

    Examples:
      drystone demo branches --count 50
      drystone demo branches --count 20 --minutes 30 --link zigbee
    """
    from drystone.cli.demo_branches import show_branches

    if not show_branches(count=count, minutes=minutes, link=link.value, seed=seed):
        raise CheckFailed
