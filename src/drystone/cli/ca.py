"""`ca`: the authority for links between gateways, nodes and followers: make it, issue, revoke, list, show.

These commands work on files; only `enrol` asks a node, for a member's key, when it lies nowhere else. What a
certificate is worth and how it is carried to a gateway: docs/operating/links.md.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from drystone.cli import options
from drystone.cli.command import command
from drystone.cli.output import emit, facts, table

if TYPE_CHECKING:
    from drystone.home.authority import Authority
    from drystone.home.certificates import Issued
    from drystone.records.key import PublicKey

app = typer.Typer(help="Certificates for links: make, issue, revoke, list.", no_args_is_help=True)

SERIAL_BYTES: Final = 16
KEY_BYTES: Final = 32

Into = Annotated[
    list[Path] | None,
    typer.Option(
        "--into",
        metavar="HOME",
        file_okay=False,
        help="Put the files into this home's tls/ folder. May be given several times.",
        show_default=False,
    ),
]
Days = Annotated[int, typer.Option("--days", min=1, help="How long it is valid.")]


@command(app)
def init(
    organisation: Annotated[
        str | None,
        typer.Option("--org", help="Whose it is. Without it: the home's.", show_default=False),
    ] = None,
    days: Days = 3_650,
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Make a certificate authority in HOME/ca. Its key lets members in: keep it where few are.

    Example:
      drystone ca init --org ewz
    """
    import os
    import time

    from drystone.cli.node_access import own_organisation

    authority = _authority(home)
    named = organisation or own_organisation(home)
    authority.create(
        organisation=named,
        now_s=int(time.time()),
        entropy=os.urandom(KEY_BYTES + SERIAL_BYTES),
        days=days,
    )
    rows = [("authority", named), ("in", authority.folder), ("days", days)]
    emit({"ok": True, "organisation": named}, as_json=as_json, text=lambda: facts(rows))


@command(app)
def enrol(
    member: Annotated[str, typer.Argument(metavar="ORG/MEMBER", help="Gateway, node or follower.")],
    into: Into = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            file_okay=False,
            help="Put the three files into this folder, to be carried to the member's tls/.",
            show_default=False,
        ),
    ] = None,
    public: Annotated[
        str | None,
        typer.Option("--public", help="Its public key, 64 hex digits.", show_default=False),
    ] = None,
    days: Days = 730,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Issue a member's certificate over its registered key, for links.

    The key is the one of --into's home if that is the member's, else the one that the ledger has
    for it. Without --into and --output the files go into the member's own home, if it is this one.

    Examples:
      drystone ca enrol ewz/gw-1 --into ../gw-1-data
      drystone ca enrol ewz/gw-1 -o gw-1-tls
    """
    import os
    import time

    from drystone.errors import ArgumentsMalformed
    from drystone.home.authority import TlsFiles, install
    from drystone.home.layout import Home

    iss, _, sub = member.partition("/")
    homes = [*(into or [])]
    if not homes and output is None:
        if _key_in(home, member) is None:
            raise ArgumentsMalformed(f"{member} is not this home's node: give --into or --output")
        homes = [home]
    key = _public_key(public) if public is not None else None
    for one in homes:
        key = key or _key_in(one, member)
    key = key or _key_on_ledger(home, url, iss=iss, sub=sub)
    authority = _authority(home)
    issued, pem = authority.enrol(
        iss=iss,
        sub=sub,
        key=key,
        now_s=int(time.time()),
        entropy=os.urandom(SERIAL_BYTES),
        days=days,
    )
    folders = [Home(one).tls for one in homes] + ([output] if output is not None else [])
    for folder in folders:
        install(TlsFiles(folder), ca=authority.pem, node=pem, crl=authority.crl_pem)
    row = _row(issued)
    shown = [("enrolled", member), ("serial", issued.serial), ("kid", issued.kid)]
    shown += [("until", row["ends"]), *(("files", str(folder)) for folder in folders)]
    emit({"ok": True, **row}, as_json=as_json, text=lambda: facts(shown))


@command(app)
def revoke(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="ORG/MEMBER (all of its), or a serial number.")
    ],
    into: Into = None,
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Revoke certificates: links end where the new list is, at once.

    The list is HOME/ca/crl.pem; bring it to every node's tls/crl.pem (--into does, on one machine).

    Example:
      drystone ca revoke ewz/gw-1 --into ../gw-2-data
    """
    import time

    authority = _authority(home)
    revoked = authority.revoke(name, now_s=int(time.time()))
    _spread(authority, home, into)
    emit(
        {"ok": True, "rows": [_row(one) for one in revoked]},
        as_json=as_json,
        text=lambda: facts([("revoked", f"{one.iss}/{one.sub} {one.serial}") for one in revoked]),
    )


@command(app)
def renew(
    into: Into = None,
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Sign the list of revoked certificates anew: it is valid for two years from now.

    Example:
      drystone ca renew --into ../gw-1-data
    """
    import time

    authority = _authority(home)
    authority.renew(now_s=int(time.time()))
    _spread(authority, home, into)
    emit(
        {"ok": True},
        as_json=as_json,
        text=lambda: facts([("renewed", authority.folder / "crl.pem")]),
    )


@command(app, "list")
def list_(
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """List the certificates that the authority issued, ended ones included.

    Example:
      drystone ca list
    """
    rows = [_row(one) for one in _authority(home).issued()]
    columns = ("member", "state", "ends", "kid", "serial")
    emit(
        {"ok": True, "rows": rows},
        as_json=as_json,
        text=lambda: table(columns, [tuple(row[name] for name in columns) for row in rows]),
    )


@command(app)
def show(
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Show what this home links with: its certificate, whom it trusts, what is revoked.

    Example:
      drystone ca show
    """
    from drystone.home.authority import TlsFiles
    from drystone.home.certificates import read_authorities, read_own, read_revoked
    from drystone.home.layout import Home

    files = TlsFiles(Home(home).tls)
    ca, node, crl = files.read()
    own = read_own(node)
    trusted = read_authorities(ca)
    revoked = read_revoked(crl)
    mine = (own.issuer, own.serial) in revoked
    row = {
        "member": f"{own.iss}/{own.sub}",
        "serial": f"{own.serial:032x}",
        "kid": own.key.kid().hex(),
        "ends": _moment(own.ends_s),
        "revoked": mine,
        "authorities": [{"name": name, "ends": _moment(ends_s)} for name, ends_s in trusted],
        "revoked_here": len(revoked),
    }
    shown: list[tuple[str, object]] = [
        ("member", row["member"]),
        ("state", "revoked" if mine else f"valid until {row['ends']}"),
        ("serial", row["serial"]),
        ("kid", row["kid"]),
        *(("trusts", f"{name} until {_moment(ends_s)}") for name, ends_s in trusted),
        ("revoked", f"{len(revoked)} certificates"),
    ]
    emit({"ok": True, **row}, as_json=as_json, text=lambda: facts(shown))


def _authority(home: Path) -> "Authority":
    from drystone.home.authority import Authority
    from drystone.home.layout import Home

    return Authority(Home(home).ca)


def _spread(authority: "Authority", home: Path, into: list[Path] | None) -> None:
    """Bring the list to the homes named, and to this one if it links."""
    from drystone.home.authority import TlsFiles, install
    from drystone.home.layout import Home

    folders = [Home(one).tls for one in into or []]
    if Home(home).tls.is_dir():
        folders.append(Home(home).tls)
    for folder in folders:
        install(TlsFiles(folder), ca=authority.pem, node=None, crl=authority.crl_pem)


def _key_in(home: Path, member: str) -> "PublicKey | None":
    """Give the public key of a home's node, if it is this member."""
    from drystone.errors import KeyFileInvalid
    from drystone.home.keyfolder import read_key_file
    from drystone.home.layout import Home

    try:
        found = read_key_file(Home(home).node_key)
    except KeyFileInvalid:
        return None
    return found.secret.public if f"{found.organisation}/{found.member}" == member else None


def _public_key(text: str) -> "PublicKey":
    from drystone.errors import ArgumentsMalformed
    from drystone.formats.cose import ALG_EDDSA
    from drystone.records.key import PublicKey, parse_cose_key

    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ArgumentsMalformed(f"--public: {2 * KEY_BYTES} hex digits of an Ed25519 key")
    return parse_cose_key(PublicKey(ALG_EDDSA, raw).cose_key())


def _key_on_ledger(home: Path, url: str | None, *, iss: str, sub: str) -> "PublicKey":
    """Ask the node for the key that a member has now. Raises: NotFound, NodeAbsent, KeyMalformed."""
    from drystone.cli.node_access import connect
    from drystone.errors import MemberUnknown
    from drystone.ledger import keyspace
    from drystone.records.key import trusted_cose_key

    with connect(home, url) as node:
        row = node.get(f"/v1/state/{keyspace.member(iss, sub).hex()}")["decoded"]
        if row is None:
            raise MemberUnknown(f"no member {sub!r} in {iss!r}")
        kid = bytes.fromhex(row[3])
        key = node.get(f"/v1/state/{keyspace.member_key(iss, sub, kid).hex()}")["decoded"]
    return trusted_cose_key(bytes.fromhex(key[0]))


def _row(one: "Issued") -> dict[str, Any]:
    import time

    return {
        "member": f"{one.iss}/{one.sub}",
        "serial": one.serial,
        "kid": one.kid,
        "state": one.state(now_s=int(time.time())),
        "ends": _moment(one.ends_s),
    }


def _moment(seconds: int) -> str:
    from drystone.api.cells import iso_seconds

    return iso_seconds(seconds) or ""
