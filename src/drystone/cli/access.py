"""`token`, `audit` and `org policy`: who may read here, and who was denied.

Tokens and the audit log are files of the home: these commands work on them beside a running node. A policy stands on
the ledger and is laid down by a governor's call. What scopes and rules mean: docs/operating/access.md.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from drystone.cli import options
from drystone.cli.command import command
from drystone.cli.output import emit, facts, table

if TYPE_CHECKING:
    from drystone.home.audit import Entry
    from drystone.home.tokens import Token, TokenFile

POLICY_BYTES_MAX: Final = 262_144

token = typer.Typer(
    help="Tokens for readers that cannot sign: create, list, revoke.", no_args_is_help=True
)
policy = typer.Typer(
    help="Who may read what of your organisation: show it, lay it down.", no_args_is_help=True
)


@command(token)
def create(
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope",
            help="all, as:ORG/MEMBER, streams:ORG/PATTERN, receipts:..., members:...,"
            " states:CONTRACT/PATH, ledger, attest. May be given several times.",
        ),
    ],
    days: Annotated[int, typer.Option("--days", min=1, help="How long it is valid.")] = 30,
    note: Annotated[str, typer.Option("--note", help="What it is for; shown in the list.")] = "",
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Make a token and print it, once: the home keeps only its hash.

    Send it as `Authorization: Bearer`, or give it to a browser as the password.

    Examples:
      drystone token create --scope all --days 7 --note "Grafana"
      drystone token create --scope as:ewz/house-7
    """
    import os
    import time

    from drystone.home.tokens import ID_BYTES, SECRET_BYTES

    made, text = _tokens(home).create(
        scope,
        days=days,
        note=note,
        now_s=int(time.time()),
        entropy=os.urandom(ID_BYTES + SECRET_BYTES),
    )
    row = _row(made)
    shown = [("id", made.id), ("until", row["expires"]), ("scopes", " ".join(made.scopes))]
    emit(
        {"ok": True, "token": text, **row},
        as_json=as_json,
        text=lambda: facts([("token", text), *shown]),
    )


@command(token, "list")
def list_(
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """List tokens, ended ones included; the tokens themselves are nowhere kept.

    Example:
      drystone token list
    """
    rows = [_row(one) for one in _tokens(home).read()]
    emit(
        {"ok": True, "rows": rows},
        as_json=as_json,
        text=lambda: table(
            ("id", "state", "until", "scopes", "note"),
            [
                (row["id"], row["state"], row["expires"], " ".join(row["scopes"]), row["note"])
                for row in rows
            ],
        ),
    )


@command(token)
def revoke(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The token's id, 8 hex digits.")],
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """End a token at once, in a running node too.

    Example:
      drystone token revoke 5f0c81d2
    """
    import time

    ended = _tokens(home).revoke(identifier, now_s=int(time.time()))
    emit({"ok": True, **_row(ended)}, as_json=as_json, text=lambda: facts([("revoked", ended.id)]))


def audit(
    limit: options.Limit = 50,
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Show who was denied what, when and why; the newest first.

    Example:
      drystone audit --limit 20
    """
    from drystone.home.audit import read_entries
    from drystone.home.layout import Home

    entries = list(read_entries(Home(home).audit, before=None, limit=limit))
    rows = [_denial(one) for one in entries]
    emit(
        {"ok": True, "rows": rows},
        as_json=as_json,
        text=lambda: (
            table(
                ("time", "who", "from", "what", "code", "why"),
                [
                    tuple(row[name] for name in ("time", "who", "origin", "what", "code", "why"))
                    for row in rows
                ],
            )
            if rows
            else "Nobody was denied anything."
        ),
    )


@command(policy)
def show(
    organisation: Annotated[
        str | None,
        typer.Argument(metavar="[ORGANISATION]", help="Without it: your own."),
    ] = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the rules by which an organisation lets others read.

    Example:
      drystone org policy show ewz
    """
    from drystone.cli.node_access import connect, own_organisation
    from drystone.ledger import keyspace

    iss = organisation or own_organisation(home)
    with connect(home, url) as node:
        document = node.get(f"/v1/state/{keyspace.policy(iss).hex()}")
    kept = cast("dict[str, Any]", document["decoded"] or {"rules": [], "own": None})
    rules: list[dict[str, Any]] = [
        {"who": who, "what": what, "of": of} for who, what, of in kept["rules"]
    ]
    emit(
        {"ok": True, "organisation": iss, "own": kept["own"], "rules": rules},
        as_json=as_json,
        text=lambda: _policy_text(iss, kept["own"], rules),
    )


@command(policy, "set")
def set_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, help="Rules as TOML: own, [[rule]]."
        ),
    ],
    sign_as: options.SignAs = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Lay down who may read what of your organisation; the file replaces the rules before.

    Example:
      drystone org policy set policy.toml
    """
    from drystone.cli.node_access import caller, connect

    arguments = read_policy_file(file)
    with connect(home, url) as node:
        answer = caller(node, home, sign_as).call("registry", "policy", arguments)
    count = len(arguments["rules"])
    emit(
        {"ok": True, "rules": count, "height": answer.height},
        as_json=as_json,
        text=lambda: facts([("rules", count), ("in block", answer.height)]),
    )


def read_policy_file(file: Path) -> dict[str, Any]:
    """Read the arguments of `registry.policy` from TOML. The ledger checks the rules themselves.

    Raises: ArgumentsMalformed when it is not TOML or holds something else.
    """
    import tomllib

    from drystone.errors import ArgumentsMalformed

    data = file.read_bytes()
    try:
        if len(data) > POLICY_BYTES_MAX:
            raise ArgumentsMalformed(f"{file}: at most {POLICY_BYTES_MAX} bytes")
        tables = tomllib.loads(data.decode())
    except ValueError as error:
        raise ArgumentsMalformed(f"{file} is not TOML: {error}") from error
    unknown = sorted(tables.keys() - {"own", "rule"})
    if unknown or not isinstance(tables.get("rule", []), list):
        raise ArgumentsMalformed(f"{file}: `own` and [[rule]] are expected, not {unknown}")
    arguments: dict[str, Any] = {"rules": tables.get("rule", [])}
    if "own" in tables:
        arguments["own"] = tables["own"]
    return arguments


def _policy_text(iss: str, own: str | None, rules: list[dict[str, Any]]) -> str:
    if not rules:
        return f"{iss} has no rules: only its governors and enrollers see what is its own."
    shown = table(("who", "what", "of"), [tuple(rule.values()) for rule in rules])
    return shown if own is None else f"{shown}\n\nown: {own}"


def _tokens(home: Path) -> "TokenFile":
    from drystone.errors import HomeInvalid
    from drystone.home.layout import Home
    from drystone.home.tokens import TokenFile

    kept = Home(home)
    if not kept.keys.is_dir():
        raise HomeInvalid(f"{home} is no home: there is no keys folder")
    return TokenFile(kept.tokens)


def _row(one: "Token") -> dict[str, Any]:
    import time

    return {
        "id": one.id,
        "state": one.state(now_s=int(time.time())),
        "expires": _moment(one.expires_s),
        "scopes": list(one.scopes),
        "note": one.note,
    }


def _denial(entry: "Entry") -> dict[str, Any]:
    denial = entry.denial
    return {
        "number": entry.number,
        "time": _moment(entry.time_ms // 1000),
        "who": denial.who,
        "origin": denial.origin,
        "what": denial.what,
        "code": denial.code,
        "why": denial.why,
        "missed": entry.missed,
    }


def _moment(seconds: int) -> str:
    from drystone.api.cells import iso_seconds

    return iso_seconds(seconds) or ""
