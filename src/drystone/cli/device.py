"""`device`: enrol, rotate, revoke and list devices; make keys and proofs of possession."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from drystone.cli import options
from drystone.cli.command import command
from drystone.cli.output import emit, facts, table
from drystone.cli.profile import app as profile_app

app = typer.Typer(help="Devices: enrol, rotate, revoke, list, profile.", no_args_is_help=True)
app.add_typer(profile_app, name="profile")

ALGORITHMS: Final = {"ed25519": -8, "es256": -7}

Algorithm = Annotated[
    str, typer.Option("--alg", help="ed25519, or es256 for hardware that has it.")
]
ProofFile = Annotated[
    Path | None,
    typer.Option(
        "--proof",
        exists=True,
        dir_okay=False,
        help="Proof of possession that the device made itself; no key is made here.",
        show_default=False,
    ),
]


@command(app)
def enrol(  # tidy: long, because its parameters are the command's options
    devices: Annotated[
        list[str], typer.Argument(metavar="DEVICE...", help="Devices of your organisation.")
    ],
    profile: Annotated[
        str | None, typer.Option("--profile", help="The devices' profile.", show_default=False)
    ] = None,
    alg: Algorithm = "ed25519",
    proof: ProofFile = None,
    attested_by: Annotated[
        str | None,
        typer.Option(
            "--attested-by",
            metavar="GATEWAY",
            help="The devices do not sign: this gateway signs for them, and their records say so.",
            show_default=False,
        ),
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            "--role", help="device, gateway, enroller, governor, validator.", show_default="device"
        ),
    ] = None,
    keys: options.Keys = None,
    sign_as: options.SignAs = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Enrol devices: from the next block on the ledger takes what they sign.

    A key is made for each, in the folder of device keys (0600). A device that makes its own key
    brings a proof of possession instead (--proof, one device at a time).

    Examples:
      drystone device enrol m-004217 --profile meter
      drystone device enrol m-1 m-2 m-3 --profile meter --alg es256
      drystone device enrol m-004217 --profile meter --proof m-004217.proof
      drystone device enrol water-7 --profile water --attested-by gw-1
    """
    from drystone.cli.enrolment import attach, enrol_members, make_members
    from drystone.cli.node_access import caller, connect, key_folder, read_stream
    from drystone.errors import RequestMalformed

    if proof is not None and len(devices) != 1:
        raise RequestMalformed("--proof goes with one device")
    streams = [read_stream(device, home, sign_as=sign_as) for device in devices]
    folder = key_folder(home, keys)
    with connect(home, url) as node:
        by = caller(node, home, sign_as)
        if attested_by is not None:
            height = attach(by, streams, gateway=attested_by, profile=profile)
        else:
            members = make_members(
                node,
                folder,
                streams,
                alg=algorithm(alg),
                proof=proof,
                profile=profile,
                roles=role,
            )
            height = enrol_members(by, members)
    names = [stream.text for stream in streams]
    emit(
        {"ok": True, "devices": names, "height": height, "keys": str(folder.root)},
        as_json=as_json,
        text=lambda: facts(
            [
                ("enrolled", ", ".join(names)),
                ("in block", height),
                ("keys", None if proof or attested_by else folder.root),
            ]
        ),
    )


@command(app)
def prove(
    device: options.Device,
    ledger: Annotated[
        str | None,
        typer.Option(
            "--ledger", help="The ledger's id (64 hex digits). Without it: the running node's."
        ),
    ] = None,
    alg: Algorithm = "ed25519",
    keys: options.Keys = None,
    output: options.Output = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a key (or take the one there is) and prove its possession, to be enrolled elsewhere.

    For a device or organisation whose key must not leave its machine: run this there, hand the
    proof to the enroller. A proof is of no use on another ledger or for another device.

    Example:
      drystone device prove ewz/m-004217 --ledger 5f0c... -o m-004217.proof
    """
    from drystone.cli.enrolment import prove_key
    from drystone.cli.node_access import connect, key_folder, ledger_id, read_stream
    from drystone.errors import RequestMalformed

    stream = read_stream(device, home)
    if ledger is None:
        with connect(home, url) as node:
            tag = ledger_id(node)
    else:
        try:
            tag = bytes.fromhex(ledger)
        except ValueError:
            raise RequestMalformed("--ledger is not hex") from None
    proof = prove_key(key_folder(home, keys), stream, alg=algorithm(alg), ledger=tag)
    path = output or Path(f"{stream.member}.proof")
    path.write_bytes(proof)
    emit({"ok": True, "file": str(path)}, as_json=as_json, text=lambda: str(path))


@command(app)
def rotate(
    device: options.Device,
    proof: ProofFile = None,
    alg: Algorithm = "ed25519",
    keys: options.Keys = None,
    sign_as: options.SignAs = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Replace a device's key; the old one signs nothing more from the next block on.

    The new key is stored beside the old one first and takes its place when the ledger has
    decided, so that a crash in between loses neither: run the command again.

    Examples:
      drystone device rotate m-004217
      drystone device rotate m-004217 --proof m-004217.new.proof
      drystone device rotate operator
    """
    from drystone.cli.enrolment import rotate_key, rotate_proved
    from drystone.cli.node_access import caller, connect, key_folder, read_stream

    stream = read_stream(device, home, sign_as=sign_as)
    with connect(home, url) as node:
        by = caller(node, home, sign_as)
        if proof is not None:
            height = rotate_proved(by, stream, proof.read_bytes())
        else:
            own = stream == by.stream
            folder = key_folder(home, keys)
            place = folder.path(organisation=stream.organisation, member=stream.member)
            height = rotate_key(by, stream, by.path if own else place, alg=algorithm(alg))
    emit(
        {"ok": True, "device": stream.text, "height": height},
        as_json=as_json,
        text=lambda: facts([("rotated", stream.text), ("in block", height)]),
    )


@command(app)
def revoke(
    device: options.Device,
    kid: Annotated[
        str | None,
        typer.Option("--kid", help="Revoke this key only (8 hex digits).", show_default=False),
    ] = None,
    sign_as: options.SignAs = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Revoke a device or one of its keys; what was accepted before stays proved.

    Examples:
      drystone device revoke m-004217
      drystone device revoke m-004217 --kid 44be5de2
    """
    from drystone.cli.node_access import caller, connect, read_stream

    stream = read_stream(device, home, sign_as=sign_as)
    arguments: dict[str, Any] = {"sub": stream.member}
    if stream.device is not None:
        arguments["device"] = stream.device
    if kid is not None:
        arguments["kid"] = kid.lower()
    with connect(home, url) as node:
        answer = caller(node, home, sign_as).call("registry", "revoke", arguments)
    emit(
        {"ok": True, "device": stream.text, "kid": kid, "height": answer.height},
        as_json=as_json,
        text=lambda: facts([("revoked", stream.text), ("key", kid), ("in block", answer.height)]),
    )


@command(app)
def accuse(
    first: Annotated[
        Path, typer.Argument(metavar="A", exists=True, dir_okay=False, help="One original.")
    ],
    second: Annotated[
        Path, typer.Argument(metavar="B", exists=True, dir_okay=False, help="The other original.")
    ],
    kind: Annotated[
        str, typer.Option("--kind", help="record, or vertex (two signed headers).")
    ] = "record",
    sign_as: options.SignAs = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Hand in two different signed records of one place: a fork.

    Both originals together convict whoever signed them, whoever hands them in: the branch is
    suspended, and its author goes on with the next epoch.

    Example:
      drystone device accuse one.cose other.cose
    """
    from drystone.cli.node_access import caller, connect

    arguments = {"kind": kind, "a": first.read_bytes().hex(), "b": second.read_bytes().hex()}
    with connect(home, url) as node:
        answer = caller(node, home, sign_as).call("registry", "fork", arguments)
    emit(
        {"ok": True, "height": answer.height},
        as_json=as_json,
        text=lambda: facts([("suspended", "the branch"), ("in block", answer.height)]),
    )


@command(app, "list")
def list_(
    organisation: Annotated[
        str | None, typer.Argument(metavar="[ORGANISATION]", help="Only its members.")
    ] = None,
    limit: options.Limit = 1000,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """List members: devices, gateways, operators, with status and current key.

    Examples:
      drystone device list
      drystone device list ewz --limit 50 --json
    """
    from drystone.cli.node_access import connect

    with connect(home, url) as node:
        rows = list(node.rows("/v1/devices", {"iss": organisation}, limit=limit))
    emit(
        {"ok": True, "rows": rows},
        as_json=as_json,
        text=lambda: table(
            ("member", "profile", "roles", "status", "key"),
            [(_name(row), row["profile"], row["roles"], row["status"], row["kid"]) for row in rows],
        ),
    )


def _name(row: dict[str, Any]) -> str:
    device = f"/{row['device']}" if row["device"] else ""
    return f"{row['iss']}/{row['sub']}{device}"


def algorithm(name: str) -> int:
    """Give the COSE number of an algorithm's name. Raises: typer.BadParameter."""
    if name not in ALGORITHMS:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(ALGORITHMS)}", param_hint="--alg")
    return ALGORITHMS[name]
