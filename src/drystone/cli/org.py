"""`org`: the organisations on a ledger, and the votes that admit or revoke one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drystone.cli import options
from drystone.cli.command import command
from drystone.cli.output import emit, facts, table

if TYPE_CHECKING:
    from drystone.gateway.answer import Answer

app = typer.Typer(help="Organisations: list, admit, revoke, vote.", no_args_is_help=True)

Alias = Annotated[str, typer.Argument(metavar="ORGANISATION", help="Alias of the organisation.")]


@command(app, "list")
def list_(
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """List the organisations on the ledger.

    Example:
      drystone org list
    """
    from drystone.cli.node_access import connect

    with connect(home, url) as node:
        rows = list(node.rows("/v1/organisations"))
    emit(
        {"ok": True, "rows": rows},
        as_json=as_json,
        text=lambda: table(
            ("organisation", "name", "status", "members"),
            [(row["iss"], row["name"], row["status"], row["members"]) for row in rows],
            right=frozenset({"members"}),
        ),
    )


@command(app)
def add(
    organisation: Alias,
    proof: Annotated[
        Path,
        typer.Option(
            "--proof",
            exists=True,
            dir_okay=False,
            help="Its governor's proof of possession (`drystone device prove`).",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Full name of the organisation.")],
    governor: Annotated[
        str, typer.Option("--governor", help="Member id of its first governor.")
    ] = "operator",
    sign_as: options.SignAs = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Propose to admit an organisation, and approve it for yours.

    It is admitted in the block in which enough organisations have approved.

    Example:
      drystone org add wwz --name "Wasserwerke Zug" --proof wwz-operator.proof
    """
    arguments = {
        "kind": "admit",
        "organisation": organisation,
        "name": name,
        "sub": governor,
        "proof": proof.read_bytes().hex(),
    }
    _vote(home, url, sign_as, "propose", arguments, as_json=as_json)


@command(app)
def revoke(
    organisation: Alias,
    sign_as: options.SignAs = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Propose to revoke an organisation; its members can then send nothing more.

    Example:
      drystone org revoke wwz
    """
    arguments = {"kind": "revoke", "organisation": organisation}
    _vote(home, url, sign_as, "propose", arguments, as_json=as_json)


@command(app)
def reinstate(
    organisation: Alias,
    sign_as: options.SignAs = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Propose to reinstate a revoked organisation.

    Example:
      drystone org reinstate wwz
    """
    arguments = {"kind": "reinstate", "organisation": organisation}
    _vote(home, url, sign_as, "propose", arguments, as_json=as_json)


@command(app)
def approve(
    proposal: Annotated[str, typer.Argument(metavar="PROPOSAL", help="Its id, 32 hex digits.")],
    sign_as: options.SignAs = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Approve an open proposal for your organisation.

    Example:
      drystone org approve 5f0c81d2a9b34e77860d1a2b3c4d5e6f
    """
    _vote(home, url, sign_as, "approve", {"proposal": proposal}, as_json=as_json)


def _vote(
    home: Path,
    url: str | None,
    sign_as: Path | None,
    function: str,
    arguments: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    from drystone.cli.node_access import caller, connect

    with connect(home, url) as node:
        answer = caller(node, home, sign_as).call("governance", function, arguments)
    show_vote(answer, arguments, as_json=as_json)


def show_vote(answer: "Answer", arguments: dict[str, Any], *, as_json: bool) -> None:
    """Print a vote's proposal id (the first half of the record id) and block."""
    opened = answer.record_id[:16].hex() if answer.record_id else None
    proposal = arguments.get("proposal", opened)
    emit(
        {"ok": True, "proposal": proposal, "height": answer.height},
        as_json=as_json,
        text=lambda: facts([("proposal", proposal), ("in block", answer.height)]),
    )
