"""`gateway`: a gateway of an existing ledger: make its home, let it in, run it, look at it.

Two machines, one command on each: `init` on the gateway makes key and request, `admit` on a node signs the enrolment
and issues the certificate. The whole way stands in docs/operating/gateway.md.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drystone.cli import options
from drystone.cli.command import command
from drystone.cli.output import emit, facts, size, table

if TYPE_CHECKING:
    from drystone.cli.node_access import Caller
    from drystone.home.admission import Request
    from drystone.home.config import PeerSettings

app = typer.Typer(help="Gateways: init, admit, up, status, peers.", no_args_is_help=True)

PEER_HELP = "ORG/MEMBER@HOST:PORT, or ORG/MEMBER alone when it dials. May be given several times."


@command(app)
def init(  # tidy: long, because its parameters are the command's options
    org: Annotated[str, typer.Option("--org", help="The organisation that it works for.")],
    name: Annotated[str, typer.Option("--name", help="Id of this gateway in the organisation.")],
    genesis: Annotated[
        Path,
        typer.Option("--genesis", exists=True, dir_okay=False, help="The ledger's genesis file."),
    ] = Path("genesis.cbor"),
    trust: Annotated[
        Path,
        typer.Option("--trust", exists=True, dir_okay=False, help="The ledger's trust file."),
    ] = Path("trust.json"),
    uplink: Annotated[
        list[str] | None,
        typer.Option("--uplink", help=f"From whom order comes: {PEER_HELP}", show_default=False),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option("--peer", help=f"Another gateway: {PEER_HELP}", show_default=False),
    ] = None,
    listen: Annotated[
        str,
        typer.Option("--listen", help="HOST:PORT on which others may link.", show_default=False),
    ] = "",
    follower: Annotated[
        bool,
        typer.Option("--follower", help="A follower: executes what others ordered, takes nothing."),
    ] = False,
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Make the home of a gateway of an existing ledger, with its key and a request to be let in.

    Nothing is overwritten. The key never leaves the home; HOME/request.json goes to the operator of
    a node, who answers with an admission (`drystone gateway admit`). Until then the gateway may run:
    it takes and keeps what comes, cut off.

    Example:
      drystone gateway init --org ewz --name gw-7 --uplink ewz/n-1@10.0.0.1:8421
    """
    from drystone.home.admission import REQUEST_FILE, init_gateway_home

    peers = [_peer(text, uplink=True) for text in uplink or ()]
    peers += [_peer(text, uplink=False) for text in peer or ()]
    made = init_gateway_home(
        home,
        genesis=genesis.read_bytes(),
        trust=trust.read_bytes(),
        org=org,
        name=name,
        role="follower" if follower else "gateway",
        listen=listen,
        peers=tuple(peers),
    )
    request = home / REQUEST_FILE
    emit(
        {
            "ok": True,
            "home": str(home),
            "ledger": made.ledger,
            "gateway": f"{org}/{name}",
            "request": str(request),
        },
        as_json=as_json,
        text=lambda: facts(
            [
                ("home", home),
                ("ledger", made.ledger.hex()),
                ("gateway", f"{org}/{name}"),
                ("request", request),
                ("next", f"on a node: drystone gateway admit {request.name} -o admission.json"),
            ]
        ),
    )


@command(app)
def admit(
    request: Annotated[
        Path,
        typer.Argument(
            metavar="REQUEST", exists=True, dir_okay=False, help="The gateway's request.json."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", dir_okay=False, help="Where the admission is written."),
    ] = Path("admission.json"),
    days: Annotated[int, typer.Option("--days", min=1, help="Days of its certificate.")] = 730,
    sign_as: options.SignAs = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Let a gateway in: enrol its key on the ledger as a gateway, and issue its certificate for links.

    Needs a running node, the enroller's key, and an authority in HOME/ca (`drystone ca init`). Put
    the admission into the gateway's home as admission.json and start it. A gateway that is enrolled
    already only gets a new certificate.

    Example:
      drystone gateway admit request.json -o admission.json
    """
    import time

    from drystone.cli.node_access import caller, connect, ledger_id
    from drystone.home.admission import Admission, read_request, write_admission
    from drystone.home.authority import Authority
    from drystone.home.layout import Home, write_public

    with connect(home, url) as node:
        ledger = ledger_id(node)
        asked = read_request(request.read_bytes(), ledger=ledger)
        authority = Authority(Home(home).ca)
        ca = authority.pem
        height = _enrol(caller(node, home, sign_as), asked)
    issued, certificate = authority.enrol(
        iss=asked.organisation,
        sub=asked.member,
        key=asked.key,
        now_s=int(time.time()),
        entropy=os.urandom(16),
        days=days,
    )
    admission = Admission(
        asked.organisation, asked.member, ca=ca, node=certificate, crl=authority.crl_pem
    )
    write_public(output, write_admission(admission, ledger=ledger))
    name = f"{asked.organisation}/{asked.member}"
    emit(
        {"ok": True, "gateway": name, "height": height, "serial": issued.serial, "to": str(output)},
        as_json=as_json,
        text=lambda: facts(
            [
                ("admitted", name),
                ("in block", "enrolled before" if height is None else height),
                ("admission", output),
                ("next", f"put it into the gateway's home as {output.name}, start the gateway"),
            ]
        ),
    )


@command(app)
def up(
    host: Annotated[
        str | None,
        typer.Option("--host", help="Address to listen on for HTTP.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=0, max=65_535, help="Its port; 0 picks a free one.", show_default=False
        ),
    ] = None,
    home: options.Home = options.HOME_DEFAULT,
) -> None:
    """Run the gateway of a home: take, seal, exchange; keep everything until it is ordered.

    Runs until Ctrl-C or SIGTERM, one process under a supervisor; its address is in
    HOME/run/endpoints.json. An admission.json in the home is installed first.

    Example:
      drystone gateway up --home /srv/gateway
    """
    from drystone.errors import HomeInvalid
    from drystone.home.layout import open_home
    from drystone.node.supervisor import become

    if host is not None:
        os.environ["DRYSTONE__HTTP__HOST"] = host
    if port is not None:
        os.environ["DRYSTONE__HTTP__PORT"] = str(port)
    if open_home(home).settings.node.role == "node":
        raise HomeInvalid(f"{home} is a node's: start it with `drystone up`")
    become(home)


@command(app)
def recover(
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """After restoring a gateway from a backup: let it find out where it stopped, before it seals.

    The gateway must not run. When it is started it takes and stores what comes, seals nothing, and
    asks its peers what they have of it; once an uplink has told, it goes on in a new epoch.

    Example:
      drystone gateway recover --home /srv/gateway
    """
    from drystone.errors import HomeInvalid
    from drystone.home.layout import open_home
    from drystone.node.gateway_epoch import MARKER
    from drystone.workers.processes import locked

    identity = open_home(home)
    if identity.settings.node.role != "gateway":
        raise HomeInvalid(f"{home} is no gateway's: its config.toml has another role")
    with locked(identity.home):
        (home / MARKER).touch(mode=0o600)
    emit(
        {"ok": True, "home": str(home)},
        as_json=as_json,
        text=lambda: facts([("recovers", home), ("next", f"drystone gateway up --home {home}")]),
    )


@command(app)
def status(
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Say how a running gateway is: what waits, for how long there is room, who is linked.

    Example:
      drystone gateway status
    """
    found = _ask(home, url, "/v1/gateway")
    linked = sum(peer["connected"] for peer in found["peers"])
    lag_s = found["lag_ms"] // 1000
    emit(
        found,
        as_json=as_json,
        text=lambda: facts(
            [
                ("gateway", found["gateway"]),
                ("", found["sentence"]),
                (
                    "waiting",
                    f"{found['buffered_records']} records in {found['buffered_vertices']} vertices,"
                    f" {size(found['buffered_bytes'])}",
                ),
                ("oldest", f"{lag_s} s" if found["buffered_vertices"] else None),
                ("hours left", f"{found['hours_left']:.0f}"),
                ("last block", found["uplink_height"]),
                ("registry as of", found["rows_height"]),
                ("peers", f"{linked} of {len(found['peers'])} linked"),
                ("memory", size(found["memory_bytes"])),
            ]
        ),
    )


@command(app)
def peers(
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """List a running gateway's peers: who is linked, who is degraded and why, bytes both ways.

    Example:
      drystone gateway peers
    """
    rows = _ask(home, url, "/v1/peers")["rows"]
    shown = [
        (
            f"{row['iss']}/{row['sub']}",
            row["role"] or "",
            ("uplink " if row["uplink"] else "") + ("linked" if row["connected"] else "cut off"),
            row["behind"],
            size(row["bytes_in"]),
            size(row["bytes_out"]),
            row["degraded"] or row["faults"] or row["problem"],
        )
        for row in rows
    ]
    columns = ("peer", "role", "link", "behind", "received", "sent", "faults")
    emit(
        {"peers": rows},
        as_json=as_json,
        text=lambda: table(columns, shown, right=frozenset({"behind", "received", "sent"})),
    )


def _enrol(by: "Caller", asked: "Request") -> int | None:
    """Enrol a gateway's key; give the call's block, None for one that is enrolled already. Raises: as `send_call`."""
    from drystone.cli.enrolment import enrol_members
    from drystone.errors import AlreadyExists

    member = {"sub": asked.member, "proof": asked.proof.hex(), "roles": ["gateway"]}
    try:
        return enrol_members(by, [member])
    except AlreadyExists:
        known = by.node.get(f"/v1/devices/{asked.organisation}/{asked.member}")
        if known["kid"] != asked.key.kid().hex():
            raise
        return None


def _peer(text: str, *, uplink: bool) -> "PeerSettings":
    """Read ORG/MEMBER@HOST:PORT. Raises: ArgumentsMalformed."""
    from pydantic import ValidationError

    from drystone.errors import ArgumentsMalformed
    from drystone.home.config import PeerSettings

    name, _, address = text.partition("@")
    try:
        return PeerSettings(name=name, address=address, uplink=uplink)
    except ValidationError as error:
        raise ArgumentsMalformed(f"{text!r}: ORG/MEMBER@HOST:PORT is expected") from error


def _ask(home: Path, url: str | None, path: str) -> dict[str, Any]:
    """Get a document of a running gateway, with the operator's token where the home has one."""
    import httpx

    from drystone.client.messages import problem_of
    from drystone.client.rest import find_endpoint, read_token
    from drystone.errors import NodeAbsent

    base = url or find_endpoint(home).url
    token = read_token(home)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.get(base.rstrip("/") + path, headers=headers, timeout=10, trust_env=False)
    except httpx.TransportError as error:
        raise NodeAbsent(f"{base} does not answer: {error}") from error
    if answer.is_error:
        raise problem_of(answer)
    return answer.json()
