"""The program `drystone`: which commands there are. Imports nothing heavy: commands do, when they run."""

import sys
from typing import Annotated, Final

import typer
from typer.core import TyperGroup

from drystone import __version__
from drystone.cli import (
    access,
    ca,
    contract_ledger,
    dag,
    dev,
    device,
    doctor,
    exits,
    gateway,
    importing,
    maintenance,
    node,
    org,
    proofs,
    record,
)
from drystone.cli.command import command
from drystone.cli.demo import app as demo_app

EPILOG: Final = "Exit codes: " + "; ".join(
    f"{code} {word}"
    for code, word in (
        (exits.OK, "it worked"),
        (exits.FAILED, "a check does not hold"),
        (exits.USAGE, "wrong usage"),
        (exits.REFUSED, "refused by a rule"),
        (exits.UNAVAILABLE, "not now, try again"),
        (exits.BROKEN, "a file or invariant is broken"),
    )
)

ORDER: Final = (
    *(
        "demo",
        "init",
        "up",
        "gateway",
        "org",
        "device",
        "record",
        "import",
        "receipt",
        "completeness",
    ),
    *("contract", "dev", "verify", "dag", "tips", "frontier", "forks", "peers"),
    *("fsck", "backup", "restore", "token", "audit", "ca", "doctor"),
)
"""Commands as a newcomer meets them."""


class Ordered(TyperGroup):
    """A group whose help lists commands in `ORDER`."""

    def list_commands(  # pyright: ignore[reportIncompatibleMethodOverride] - typer vendors click
        self, ctx: typer.Context
    ) -> list[str]:
        """Give the commands' names."""
        return sorted(super().list_commands(ctx), key=ORDER.index)


app = typer.Typer(
    name="drystone",
    cls=Ordered,
    help="A ledger for devices in the field: signed readings, one order, receipts anyone can check offline.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

command(app, "init")(node.init)
command(app, "up")(node.up)
app.add_typer(gateway.app, name="gateway")
org.app.add_typer(access.policy, name="policy")
app.add_typer(org.app, name="org")
app.add_typer(device.app, name="device")
app.add_typer(record.app, name="record")
command(app, "import")(importing.import_)
app.add_typer(proofs.receipt, name="receipt")
app.add_typer(contract_ledger.app, name="contract")
command(app, "dev")(dev.dev)
command(app, "verify")(proofs.verify)
command(app, "completeness")(proofs.completeness)
command(app, "dag")(dag.dag)
command(app, "tips")(dag.tips)
command(app, "frontier")(dag.frontier)
command(app, "forks")(dag.forks)
command(app, "peers")(dag.peers)
command(app, "fsck")(maintenance.fsck)
command(app, "backup")(maintenance.backup)
command(app, "restore")(maintenance.restore)
app.add_typer(access.token, name="token")
app.add_typer(ca.app, name="ca")
command(app, "audit")(access.audit)
command(app, "doctor")(doctor.doctor)
app.add_typer(demo_app, name="demo")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"drystone {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and end.",
            is_eager=True,
            callback=_show_version,
        ),
    ] = False,
) -> None:
    """Take what stands before the command."""
    del version  # its callback has done it


def main() -> None:
    """Run the program: what an unforeseen error leaves is a traceback and exit code 5."""
    try:
        app(prog_name="drystone")
    except KeyboardInterrupt:
        sys.exit(exits.INTERRUPTED)
    except Exception:  # the program's root: log and stop
        import traceback

        traceback.print_exc()
        typer.echo("This is a bug in drystone, not in what you did; please report it.", err=True)
        sys.exit(exits.BROKEN)
