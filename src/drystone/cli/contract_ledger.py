"""`contract`, the part that needs a node: submit, approve, deploy, call, list, show.

What is sent is a call that the operator (or `--as`) signs; what is printed the ledger has decided.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drystone.cli import options
from drystone.cli.command import command
from drystone.cli.contract import app
from drystone.cli.output import emit, facts, table

if TYPE_CHECKING:
    from drystone.client.rest import Client

Which = Annotated[
    str,
    typer.Argument(
        metavar="FOLDER|NAME@VERSION", help="The contract's folder, or its name and version."
    ),
]


@command(app)
def submit(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The contract's folder.")],
    sign_as: options.SignAs = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Put a contract's version on the ledger; it is your organisation's approval at once.

    The first version makes your organisation the owner. Other organisations then approve the
    printed hash, or the folder from which they see the same hash.

    Example:
      drystone contract submit frost-alarm
    """
    from drystone.cli import contract_life as life
    from drystone.cli.node_access import caller, connect
    from drystone.workshop.folder import read_folder

    found = read_folder(folder)
    with connect(home, url) as node:
        answer = life.submit(caller(node, home, sign_as), found)
    package_hash = found.package.hash()
    emit(
        {
            "ok": True,
            "contract": found.name,
            "version": found.version,
            "hash": package_hash,
            "height": answer.height,
        },
        as_json=as_json,
        text=lambda: facts(
            [
                ("submitted", f"{found.name}@{found.version}"),
                ("hash", package_hash.hex()),
                ("in block", answer.height),
            ]
        ),
    )


@command(app)
def approve(
    which: Which,
    package_hash: Annotated[
        str | None,
        typer.Option(
            "--hash",
            metavar="HEX",
            help="Hash of what you reviewed. Without it: the folder's.",
            show_default=False,
        ),
    ] = None,
    sign_as: options.SignAs = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Approve a version for your organisation: exactly what you reviewed, by its hash.

    Examples:
      drystone contract approve frost-alarm
      drystone contract approve frost-alarm@1 --hash 5f0c81d2a9b34e77...
    """
    from drystone.cli import contract_life as life
    from drystone.cli.node_access import caller, connect
    from drystone.errors import RequestMalformed

    one = life.read_which(which)
    if package_hash is not None:
        try:
            reviewed = bytes.fromhex(package_hash)
        except ValueError:
            raise RequestMalformed(f"--hash {package_hash!r} is not hex") from None
    elif one.folder is not None:
        reviewed = one.folder.package.hash()
    else:
        raise RequestMalformed("give the hash you reviewed (--hash), or the folder you reviewed")
    with connect(home, url) as node:
        answer = life.approve(caller(node, home, sign_as), one, reviewed)
        by: list[str] = life.version_of(node, one.name, one.version)["approvals"]
    emit(
        {"ok": True, "contract": one.text, "approvals": by, "height": answer.height},
        as_json=as_json,
        text=lambda: facts(
            [("approved", one.text), ("by now", ", ".join(by)), ("in block", answer.height)]
        ),
    )


@command(app)
def deploy(
    which: Which,
    at: Annotated[
        int | None,
        typer.Option(
            "--at",
            metavar="HEIGHT",
            min=1,
            help="Block from which it runs. Without it: the next.",
            show_default=False,
        ),
    ] = None,
    sign_as: options.SignAs = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Let an approved version run. By its owner.

    From a folder, and without --at, also registers the folder's profiles that your organisation
    does not have yet.

    Examples:
      drystone contract deploy frost-alarm
      drystone contract deploy frost-alarm@2 --at 41000
    """
    from drystone.cli import contract_life as life
    from drystone.cli.node_access import caller, connect

    one = life.read_which(which)
    with connect(home, url) as node:
        by = caller(node, home, sign_as)
        answer = life.deploy(by, one.name, one.version, at=at)
        added = life.add_profiles(by, one.folder.profiles) if one.folder and at is None else []
    starts = at if at is not None else (answer.height or 0) + 1
    emit(
        {"ok": True, "contract": one.text, "runs_from": starts, "profiles": added},
        as_json=as_json,
        text=lambda: facts(
            [
                ("deployed", one.text),
                ("runs from block", starts),
                *(("profile", name) for name in added),
            ]
        ),
    )


@command(app)
def call(
    what: Annotated[
        str, typer.Argument(metavar="NAME.FUNCTION", help="The contract and its function.")
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=VALUE]...",
            help="Arguments, read by the types in the contract's manifest; lists and maps as JSON.",
            show_default=False,
        ),
    ] = None,
    sign_as: options.SignAs = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Call a contract's function, and wait for what the ledger decides.

    Ends with 3 when it is refused: by a rule of the ledger, or by the contract with a code of
    its own (NAME.CODE).

    Examples:
      drystone contract call frost-alarm.set_limit value=40
      drystone contract call token.transfer to=ann amount=5 --as bob.key
      drystone contract call contracts.pause name=frost-alarm
    """
    from drystone.cli import contract_life as life
    from drystone.cli.node_access import caller, connect
    from drystone.errors import RequestMalformed

    name, dot, function = what.partition(".")
    if not dot or not name or not function:
        raise RequestMalformed(f"{what!r} is not NAME.FUNCTION")
    with connect(home, url) as node:
        package = life.running_package(node, name)
        spec = None if package is None else package.manifest.calls.get(function)
        args = life.read_arguments(arguments or [], spec)
        answer = caller(node, home, sign_as).call(name, function, args)
        told = life.outcome_of(node, answer)
    events: list[dict[str, Any]] = told.get("events", [])
    emit(
        {"ok": True, "call": what, "height": answer.height, **told},
        as_json=as_json,
        text=lambda: facts(
            [
                ("accepted", what),
                ("in block", answer.height),
                ("steps", told.get("steps")),
                *(("event", f"{event['name']} {_short(event['data'])}") for event in events),
            ]
        ),
    )


@command(app, "list")
def list_(
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """List the contracts on the ledger.

    Example:
      drystone contract list
    """
    from drystone.cli.node_access import connect

    with connect(home, url) as node:
        rows = list(node.rows("/v1/contracts"))
    emit(
        {"ok": True, "rows": rows},
        as_json=as_json,
        text=lambda: table(
            ("contract", "version", "status", "owner"),
            [(row["name"], row["version"], row["status"], row["owner"]) for row in rows],
            right=frozenset({"version"}),
        ),
    )


@command(app)
def show(
    name: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="The contract.")],
    source: Annotated[
        bool, typer.Option("--source", help="Print the source, exactly as it was approved.")
    ] = False,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Show a contract: status, owner, the version's hash and approvals, its functions.

    Without @VERSION: the version that runs, or the first one while none does.

    Examples:
      drystone contract show frost-alarm
      drystone contract show frost-alarm@2 --source
    """
    from drystone.cli.node_access import connect

    with connect(home, url) as node:
        shown = _shown(node, name)
    text: str | None = shown["source"]
    emit(
        shown,
        as_json=as_json,
        text=lambda: (text or "").rstrip("\n") if source else _show_text(shown),
    )


def _shown(node: "Client", text: str) -> dict[str, Any]:
    """What `show` prints. Raises: ContractUnknown."""
    from drystone.cli import contract_life as life

    name, _, number = text.partition("@")
    found = life.contract(node, name)
    newest = max((one["version"] for one in found["versions"]), default=0)
    version = int(number) if number.isdigit() else found["version"] or newest
    return {
        "ok": True,
        **life.version_of(node, name, version),
        "contract_status": found["status"],
        "owner": found["owner"],
        "runs": found["version"],
        "needed": found["needed"],
        "waiting": life.waiting_version(found),
    }


def _show_text(shown: dict[str, Any]) -> str:
    manifest: dict[str, Any] = shown["manifest"] or {}
    due: dict[str, Any] | None = shown["waiting"]
    runs = f", version {shown['runs']} runs" if shown["runs"] else ""
    waits = due and f"version {due['version']}, with the first record from block {due['height']} on"
    pairs: list[tuple[str, object]] = [
        ("contract", shown["contract"]),
        ("status", f"{shown['contract_status']}{runs}"),
        ("waiting", waits),
        ("owner", shown["owner"]),
        ("version", f"{shown['version']}, {shown['status']}"),
        ("hash", shown["hash"]),
        ("approved by", f"{', '.join(shown['approvals'])} ({shown['needed']} needed)"),
        ("from block", shown["height"]),
    ]
    if "reading" in manifest:
        reading = manifest["reading"]
        pairs.append(("readings", f"{reading['function']}, at most {reading['limit']} steps"))
    for word, spec in manifest.get("calls", {}).items():
        args = ", ".join(f"{name}: {kind}" for name, kind in spec["args"].items())
        pairs.append(("call", f"{word}({args})  {'/'.join(spec['roles'])}, {spec['limit']} steps"))
    return facts(pairs)


def _short(data: object) -> str:
    import json

    return json.dumps(data, ensure_ascii=False)
