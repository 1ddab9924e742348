"""`receipt get`, `verify`, `completeness`: fetch proofs, and check them with no network at all."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drystone.cli import exits, options
from drystone.cli.command import command
from drystone.cli.output import emit, facts, size

if TYPE_CHECKING:
    from drystone.proof.trust import Trust
    from drystone.proof.verdict import Verdict

FIGURES_INDENT, FIGURES_TEXT = 2, 16
"""Columns of a report's labels and of what stands behind them."""

receipt = typer.Typer(help="Fetch receipts.", no_args_is_help=True)

Epoch = Annotated[int, typer.Option("--epoch", min=0, help="The stream's epoch.")]
TrustFile = Annotated[
    Path | None,
    typer.Option(
        "--trust",
        exists=True,
        dir_okay=False,
        help="The trust file. Without it: HOME/trust.json.",
        show_default=False,
    ),
]


@command(receipt, "get")
def receipt_get(
    device: options.Device,
    seq: Annotated[int, typer.Argument(metavar="SEQ", min=0, help="Number in the stream.")],
    epoch: Epoch = 0,
    output: options.Output = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            help="Also write the proof of the sender's key to this file, for `verify --key`.",
            show_default=False,
        ),
    ] = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Fetch one record with its receipt: a file that proves it offline.

    The file is a transparent statement (RFC 9942): the record as the device signed it, the
    proof that the log holds it, and the signatures under that log. `drystone verify` checks it.

    Examples:
      drystone receipt get ewz/m-004217 41807 -o reading.cbor
      drystone receipt get m-004217 41807 -o reading.cbor --key meter.key.cbor
      drystone receipt get m-004217 0 --epoch 1
    """
    from drystone.cli.node_access import connect, read_stream

    with connect(home, url) as node:
        stream = read_stream(device, home)
        statement = node.receipt(stream, epoch=epoch, seq=seq)
        if key is not None:
            kid = node.record(stream, epoch=epoch, seq=seq)["kid"]
            key.write_bytes(node.key_proof(stream, kid=kid))
    path = output or Path(f"{device.replace('/', '-')}-{epoch}-{seq}.receipt.cbor")
    path.write_bytes(statement)
    emit(
        {"ok": True, "file": str(path), "bytes": len(statement), "key": str(key) if key else None},
        as_json=as_json,
        text=lambda: f"{path}  {size(len(statement))}",
    )


def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The proof.")
    ],
    trust: TrustFile = None,
    key_point: Annotated[
        Path | None,
        typer.Option(
            "--key",
            exists=True,
            dir_okay=False,
            help="Proof of the sender's key (a state proof): the record's own signature is checked too.",
            show_default=False,
        ),
    ] = None,
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Verify a receipt or another proof, offline.

    Takes receipts, completeness proofs and state proofs; needs no network and no node. Believes
    the trust file and nothing else. Ends with 1 when anything does not hold.

    Examples:
      drystone verify reading.cbor --trust trust.json
      drystone verify week.cbor --trust trust.json --json
    """
    from drystone.errors import DrystoneError
    from drystone.proof import report
    from drystone.proof.verify import verify_file

    try:
        verdict = verify_file(
            read_bounded(file),
            load_trust(trust, home),
            key_point=None if key_point is None else read_bounded(key_point),
        )
    except DrystoneError as error:
        exits.fail(error, as_json=as_json, code=exits.FAILED)
    emit(
        {"ok": True, **report.as_json(verdict)},
        as_json=as_json,
        text=lambda: wrap_report(report.as_text(verdict)),
    )


def completeness(
    device: options.Device,
    since: Annotated[
        Path | None,
        typer.Option(
            "--since",
            exists=True,
            dir_okay=False,
            help="An earlier completeness proof: prove only what came after it.",
            show_default=False,
        ),
    ] = None,
    trust: TrustFile = None,
    output: options.Output = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Prove that a stream has no hidden gap.

    The node is asked for the proof; it is checked here, against the trust file.

    Examples:
      drystone completeness ewz/m-004217
      drystone completeness ewz/m-004217 -o week.cbor
      drystone completeness ewz/m-004217 --since week.cbor -o next.cbor
    """
    from drystone.cli.node_access import connect, read_stream
    from drystone.errors import DrystoneError
    from drystone.proof import report
    from drystone.proof.verify import verify_completeness

    believed = load_trust(trust, home)
    with connect(home, url) as node:
        proof = node.completeness(
            read_stream(device, home), since=None if since is None else read_bounded(since)
        )
    if output is not None:
        output.write_bytes(proof)
    try:
        verdict = verify_completeness(proof, believed)
    except DrystoneError as error:
        exits.fail(error, as_json=as_json, code=exits.FAILED)
    written = None if output is None else str(output)
    emit(
        {"ok": True, "file": written, "bytes": len(proof), **report.as_json(verdict)},
        as_json=as_json,
        text=lambda: completeness_text(verdict, size_bytes=len(proof), file=written),
    )


def completeness_text(verdict: "Verdict", *, size_bytes: int, file: str | None) -> str:
    """Say what a completeness proof showed, with the file it went to."""
    from drystone.proof import report

    tail = facts([("proof", size(size_bytes)), ("file", file)])
    return wrap_report(report.as_text(verdict)) + "\n\n" + tail


def load_trust(path: Path | None, home: Path) -> "Trust":
    """Read the trust file given, or the home's. Raises: TrustMalformed."""
    from drystone.errors import TrustMalformed
    from drystone.proof.trust import parse_trust

    chosen = path or home / "trust.json"
    try:
        return parse_trust(read_bounded(chosen))
    except FileNotFoundError:
        raise TrustMalformed(f"there is no {chosen}; give --trust") from None


def read_bounded(path: Path) -> bytes:
    """Read a file that a stranger may have made. Raises: TooLarge."""
    from drystone.errors import TooLarge
    from drystone.limits import PROOF_BYTES_MAX

    with path.open("rb") as file:
        data = file.read(PROOF_BYTES_MAX + 1)
    if len(data) > PROOF_BYTES_MAX:
        raise TooLarge(f"{path} has more than {PROOF_BYTES_MAX} bytes")
    return data


def wrap_report(text: str) -> str:
    """Break a report's long lines at words so that it reads well at 80 columns; hashes stay whole."""
    import textwrap

    lines: list[str] = []
    for line in text.rstrip("\n").split("\n"):
        indent = len(line) - len(line.lstrip())
        hang = indent + 2 if indent else 0
        if indent == FIGURES_INDENT and line[indent:FIGURES_TEXT].rstrip().endswith(":"):
            hang = FIGURES_TEXT
        lines += textwrap.wrap(
            line,
            width=80,
            subsequent_indent=" " * hang,
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
            replace_whitespace=False,
        ) or [""]
    return "\n".join(lines)
