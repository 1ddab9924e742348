"""`init` and `up`: make a node's home, and run the node in it."""

import os
from typing import Annotated

import typer

from drystone.cli import options
from drystone.cli.output import emit, facts


def init(
    org: Annotated[
        str,
        typer.Option("--org", help="Alias of your organisation: short, for ever, in each record."),
    ],
    node: Annotated[
        str, typer.Option("--node", help="Id of this node in the organisation.")
    ] = "node-1",
    origin: Annotated[
        str | None,
        typer.Option(
            "--origin",
            help="Name of the log, as in checkpoints and receipts. Without it: ORG.example/drystone.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Full name of the organisation.", show_default=False),
    ] = None,
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Make a home: the first node of a new ledger.

    Nothing is overwritten. Afterwards the home holds config.toml (settings), genesis.cbor (the
    ledger's start), keys/ (secret: the node's key, the operator's key and token), the two
    databases, and trust.json, which is what others need to check this ledger's receipts.

    Examples:
      drystone init --org ewz
      drystone init --org ewz --origin ledger.example/main --home /srv/drystone
    """
    from drystone.home.layout import init_home

    made = init_home(
        home,
        org=org,
        node_name=node,
        origin=origin or f"{org.lower()}.example/drystone",
        org_name=name,
    )
    emit(
        {
            "ok": True,
            "home": str(home),
            "ledger": made.ledger,
            "origin": made.genesis.origin,
            "organisation": org,
            "node": node,
            "trust": str(home / "trust.json"),
        },
        as_json=as_json,
        text=lambda: facts(
            [
                ("home", home),
                ("ledger", made.ledger.hex()),
                ("origin", made.genesis.origin),
                ("node", f"{org}/{node}"),
                ("operator", f"{org}/operator (enrols devices)"),
                ("trust file", home / "trust.json"),
                ("next", f"drystone up --home {home}"),
            ]
        ),
    )


def up(
    host: Annotated[
        str | None,
        typer.Option(
            "--host", help="Address to listen on; overrides config.toml.", show_default=False
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65_535,
            help="Port; 0 picks a free one; overrides config.toml.",
            show_default=False,
        ),
    ] = None,
    home: options.Home = options.HOME_DEFAULT,
) -> None:
    """Run the node of a home.

    Runs until Ctrl-C or SIGTERM; its address is in HOME/run/endpoints.json. The node is several
    processes under one supervisor: when one dies all are started again from their files, and
    nothing acknowledged is lost. It listens on loopback unless told otherwise.

    Examples:
      drystone up
      drystone up --port 0 --home /srv/drystone
    """
    from drystone.home.layout import open_home
    from drystone.node.supervisor import become

    if host is not None:
        os.environ["DRYSTONE__HTTP__HOST"] = host
    if port is not None:
        os.environ["DRYSTONE__HTTP__PORT"] = str(port)
    open_home(home)
    become(home)
