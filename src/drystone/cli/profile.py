"""`device profile`: what a kind of device measures, in which units, and which measurement is its register."""

from typing import Annotated, Any

import typer

from drystone.cli import options
from drystone.cli.command import command
from drystone.cli.output import emit, facts, table

app = typer.Typer(help="Kinds of devices: what they measure.", no_args_is_help=True)


@command(app)
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The profile's name, used once.")],
    measurement: Annotated[
        list[str],
        typer.Option(
            "--measurement",
            "-m",
            metavar="NAME[=UNIT]",
            help="One measurement and its SenML unit; repeat the option.",
        ),
    ],
    register: Annotated[
        str | None,
        typer.Option(
            "--register",
            metavar="NAME[@EXPONENT]",
            help="The measurement that only rises, as an integer at 10**EXPONENT; a late record"
            " must then fit between its neighbours.",
            show_default=False,
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option("--rule", help="The rule that judges readings: accept.", show_default=False),
    ] = None,
    sign_as: options.SignAs = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Register a profile of your organisation. A name is registered once and never changed.

    Examples:
      drystone device profile add meter -m import=Wh -m power=W --register import
      drystone device profile add interval -m energy=kWh
    """
    from drystone.cli.enrolment import add_profile
    from drystone.cli.node_access import caller, connect

    arguments: dict[str, Any] = {
        "name": name,
        "measurements": [_measurement(text) for text in measurement],
    }
    if register is not None:
        arguments["register"] = _register(register)
    if rule is not None:
        arguments["rule"] = rule
    with connect(home, url) as node:
        height = add_profile(caller(node, home, sign_as), arguments)
    emit(
        {"ok": True, "profile": name, "height": height},
        as_json=as_json,
        text=lambda: facts([("profile", name), ("in block", height)]),
    )


@command(app, "list")
def list_(
    organisation: Annotated[
        str | None, typer.Argument(metavar="[ORGANISATION]", help="Only its profiles.")
    ] = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """List profiles.

    Example:
      drystone device profile list
    """
    from drystone.cli.node_access import connect

    with connect(home, url) as node:
        rows = list(node.rows("/v1/profiles", {"iss": organisation}))
    emit(
        {"ok": True, "rows": rows},
        as_json=as_json,
        text=lambda: table(
            ("profile", "measurements", "register", "rule"),
            [
                (
                    f"{row['iss']}/{row['name']}",
                    row["measurements"],
                    row["register_name"],
                    row["rule"],
                )
                for row in rows
            ],
        ),
    )


def _measurement(text: str) -> dict[str, str]:
    name, equals, unit = text.partition("=")
    return {"name": name, "unit": unit} if equals else {"name": name}


def _register(text: str) -> dict[str, Any]:
    name, _, exponent = text.partition("@")
    try:
        return {"name": name, "exponent": int(exponent or "0")}
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not NAME or NAME@EXPONENT", param_hint="--register"
        ) from None
