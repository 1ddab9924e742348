"""`record send` and `record get`: one reading in, one record out."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from drystone.cli import exits, options
from drystone.cli.command import command
from drystone.cli.output import emit, facts, table

if TYPE_CHECKING:
    from drystone.client.rest import Client, StreamName
    from drystone.formats.senml import Measurement
    from drystone.gateway.answer import Answer, Wait
    from drystone.home.keyfolder import KeyFolder

app = typer.Typer(help="Send and read records.", no_args_is_help=True)

Time = Annotated[
    str, typer.Option("--time", help="now, none, Unix seconds, or ISO 8601 with offset.")
]
Anchor = Annotated[
    bool,
    typer.Option(
        "--anchor",
        help="Name the ledger's last state in the record: its receipt proves it is younger.",
    ),
]
Epoch = Annotated[
    int | None,
    typer.Option("--epoch", min=0, help="Begin this epoch: after a restored backup, the next one."),
]

_VALUE: Final = re.compile(r"([+-]?[0-9.]+)([A-Za-z%/].*)?", re.ASCII)


WAIT_HELP = "stored, sealed (its place), provisional (its outcome as foreseen) or committed."


@command(app)
def send(
    device: options.Device,
    measurements: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=VALUE[UNIT]...]",
            help="What was measured: import=48211337Wh, temperature=21.5Cel, open=true.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            exists=True,
            dir_okay=False,
            help="Send this file instead: records that devices signed, one behind the other.",
            show_default=False,
        ),
    ] = None,
    time: Time = "now",
    epoch: Epoch = None,
    wait: Annotated[str, typer.Option("--wait", help=WAIT_HELP)] = "committed",
    anchor: Anchor = False,
    keys: options.Keys = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Sign one reading with a device's key from the key folder and send it.

    The values are signed digit for digit: 21.50 stays 21.50. The position in the stream is
    reserved on disk before the record is signed. For a device that does not sign
    (ORGANISATION/GATEWAY/DEVICE) the gateway signs; that needs the operator token.

    Examples:
      drystone record send m-004217 import=48211337Wh power=512W
      drystone record send m-004217 import=48211400Wh --time 2026-11-20T12:00:00Z
      drystone record send m-004217 import=48211401Wh --anchor
      drystone record send ewz/gw-1/water-7 level=3.20m
      drystone record send ewz/m-004217 --file signed.cborseq --wait stored
    """
    from drystone.cli.node_access import connect, key_folder, read_stream
    from drystone.errors import RequestMalformed

    if (file is None) == (not measurements):
        raise RequestMalformed("give measurements or --file, one of the two")
    if wait not in {"stored", "sealed", "provisional", "committed"}:
        raise RequestMalformed(f"--wait is stored, sealed, provisional or committed, not {wait!r}")
    stream = read_stream(device, home)
    until: Any = None if wait == "stored" else wait
    with connect(home, url) as node:
        if file is not None:
            answers = node.deliver(split_records(file.read_bytes()), wait=until)
        else:
            taken = read_measurements(measurements or [], time)
            if stream.device is not None:
                answers = [node.attest(stream, taken, wait=until)]
            else:
                folder = key_folder(home, keys)
                seen = read_anchor(node) if anchor else None
                answers = [
                    _send_signed(node, folder, stream, taken, epoch=epoch, wait=until, anchor=seen)
                ]
    show_answers(answers, as_json=as_json)


@command(app)
def sign(
    device: options.Device,
    measurements: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE[UNIT]...", help="As in `record send`.")
    ],
    time: Time = "now",
    epoch: Epoch = None,
    output: options.Output = None,
    keys: options.Keys = None,
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Sign one reading and write it to a file; needs no node.

    For a machine that is offline: carry the file to one that is not and `record send --file` it.
    The position comes from the key folder alone, so keep to one folder for each device.

    Examples:
      drystone record sign ewz/m-004217 import=48211337Wh -o reading.cose
      drystone record send ewz/m-004217 --file reading.cose
    """
    from drystone.cli.node_access import key_folder, read_stream
    from drystone.cli.signing import sign_reading
    from drystone.errors import RequestMalformed

    stream = read_stream(device, home)
    if stream.device is not None:
        raise RequestMalformed("an attested device does not sign")
    taken = read_measurements(measurements, time)
    signed = sign_reading(key_folder(home, keys), stream, taken, epoch=epoch, seen=0)
    position = signed.position
    path = output or Path(f"{stream.member}-{position.epoch}-{position.seq}.cose")
    path.write_bytes(signed.record)
    emit(
        {"ok": True, "file": str(path), "epoch": position.epoch, "seq": position.seq},
        as_json=as_json,
        text=lambda: f"{path}  epoch {position.epoch}, number {position.seq}",
    )


@command(app)
def get(
    device: options.Device,
    seq: Annotated[int, typer.Argument(metavar="SEQ", min=0, help="Number in the stream.")],
    epoch: Annotated[int, typer.Option("--epoch", min=0, help="The stream's epoch.")] = 0,
    output: options.Output = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Read one accepted record; with -o also its bytes, exactly as the device signed them.

    What a node shows is not proved: `drystone receipt get` and `drystone verify` do that.

    Examples:
      drystone record get m-004217 41807
      drystone record get ewz/m-004217 41807 -o reading.cose
    """
    from drystone.cli.node_access import connect, read_stream

    stream = read_stream(device, home)
    with connect(home, url) as node:
        found = node.record(stream, epoch=epoch, seq=seq)
    if output is not None:
        output.write_bytes(bytes.fromhex(found["raw"] or ""))
    emit({"ok": True, **found}, as_json=as_json, text=lambda: _record_text(stream.text, found))


@command(app)
def stages(
    device: options.Device,
    seq: Annotated[int, typer.Argument(metavar="SEQ", min=0, help="Number in the stream.")],
    epoch: Annotated[int, typer.Option("--epoch", min=0, help="The stream's epoch.")] = 0,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Show a record's way, station by station: from the sensor that measured to the log that keeps it.

    A time in brackets is what the station claims; the others are the ledger's, which receipts prove.

    Example:
      drystone record stages m-004217 41807
    """
    from drystone.cli.node_access import connect, read_stream

    stream = read_stream(device, home)
    with connect(home, url) as node:
        path = f"/v1/records/{stream.path}/{epoch}/{seq}/stages"
        found = list(node.rows(path, stream.query))
    emit({"ok": True, "stages": found}, as_json=as_json, text=lambda: stages_text(found))


def stages_text(found: list[dict[str, Any]]) -> str:
    """Lay out a record's stations as a table."""
    rows = [
        (
            one["number"],
            one["stage"] if one["done"] else f"({one['stage']})",
            one["who"],
            f"[{one['time']}]" if one["vouched"] == "claim" else one["time"],
            one["says"],
        )
        for one in found
    ]
    return table(("", "stage", "who", "when", "what"), rows)


def read_measurements(texts: list[str], time: str) -> list["Measurement"]:
    """Read NAME=VALUE[UNIT] words. Raises: RequestMalformed, ImportMalformed."""
    from drystone.errors import RequestMalformed
    from drystone.formats.senml import Measurement
    from drystone.importer.rows import exact

    moment = read_time(time)
    taken: list[Measurement] = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise RequestMalformed(f"{text!r} is not NAME=VALUE[UNIT]")
        match = _VALUE.fullmatch(value)
        if value in {"true", "false"}:
            taken.append(Measurement(name, None, value == "true", moment))
        elif match is None:
            taken.append(Measurement(name, None, value, moment))
        else:
            taken.append(Measurement(name, match[2] or None, exact(match[1]), moment))
    return taken


def read_anchor(node: "Client") -> bytes:
    """Ask the node for the start of the last application hash: what a record names as its anchor."""
    from drystone.records.record import ANCHOR_LENGTH

    return bytes.fromhex(node.get("/v1/ledger")["head"]["head"])[:ANCHOR_LENGTH]


def read_time(text: str) -> int | tuple[int, int] | None:
    """Read now, none, Unix seconds or ISO 8601 with an offset. Raises: RequestMalformed."""
    import time
    from datetime import UTC, datetime

    from drystone.errors import ImportMalformed, RequestMalformed
    from drystone.importer.rows import exact

    if text == "none":
        return None
    if text == "now":
        return int(time.time())
    try:
        return exact(text)
    except ImportMalformed:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise RequestMalformed(f"--time {text!r}: {error}") from error
    if moment.tzinfo is None:
        raise RequestMalformed(f"--time {text!r} has no offset; add Z or +01:00")
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = since.days * 86_400 + since.seconds
    return (-6, seconds * 10**6 + since.microseconds) if since.microseconds else seconds


def split_records(data: bytes) -> list[bytes]:
    """Cut a CBOR sequence of records into its items. Raises: CborMalformed and its kin."""
    from drystone.formats.cbor import item_end

    records: list[bytes] = []
    begin = 0
    while begin < len(data):
        end = item_end(data, begin)
        records.append(data[begin:end])
        begin = end
    return records


def show_answers(answers: list["Answer"], *, as_json: bool) -> None:
    """Print what became of each record; a refused one ends the command with its code."""
    from drystone.client.messages import error_of

    refused = [
        answer
        for answer in answers
        if answer.code not in {"stored", "already"}
        or answer.outcome not in {None, "accepted", "already"}
    ]
    if len(answers) == 1 and refused:
        answer = refused[0]
        code = answer.code if answer.outcome is None else answer.outcome
        raise error_of(code, answer.detail or "the ledger refused the record")
    emit(
        {"ok": not refused, "answers": [_answer_json(answer) for answer in answers]},
        as_json=as_json,
        text=lambda: "\n\n".join(_answer_text(answer) for answer in answers),
    )
    if refused:
        raise typer.Exit(exits.REFUSED)


def _send_signed(
    node: "Client",
    folder: "KeyFolder",
    stream: "StreamName",
    measurements: list["Measurement"],
    *,
    epoch: int | None,
    wait: "Wait | None",
    anchor: bytes | None,
) -> "Answer":
    """Reserve a position, sign, send; give the position back if the record was refused."""
    from drystone.cli.node_access import deliver_or_release, next_sequence
    from drystone.cli.signing import sign_reading

    current = epoch
    if current is None:
        current = folder.epoch(organisation=stream.organisation, member=stream.member)
    seen = next_sequence(node, stream, epoch=current)
    record, position = sign_reading(
        folder, stream, measurements, epoch=epoch, seen=seen, anchor=anchor
    )
    return deliver_or_release(node, folder, stream, record, position=position, wait=wait)


def _answer_json(answer: "Answer") -> dict[str, Any]:
    shown = {name: value for name, value in answer._asdict().items() if value not in {None, ""}}
    if answer.place is not None:
        shown["place"] = list(answer.place)
    if answer.finality is not None:
        shown["finality"] = answer.finality
    return shown


def _answer_text(answer: "Answer") -> str:
    place = answer.place
    return facts(
        [
            (answer.code, answer.record_id.hex() if answer.record_id else answer.detail),
            (
                "vertex",
                f"{place[0]}/{place[1]} {place[2]}/{place[3]}, index {place[4]}" if place else None,
            ),
            ("outcome", answer.outcome),
            (
                "in block",
                "not yet: provisional" if answer.finality == "provisional" else answer.height,
            ),
        ]
    )


def _witness_text(count: int | None) -> str | None:
    """Say how many other gateways built on the record's vertex; an older node does not tell."""
    if count is None:
        return None
    return f"{count} other {'gateway' if count == 1 else 'gateways'} built on its vertex"


def _record_text(name: str, found: dict[str, Any]) -> str:
    pairs: list[tuple[str, object]] = [
        ("record", f"{name}, epoch {found['epoch']}, number {found['seq']}"),
        ("kind", found["kind"]),
    ]
    for reading in found["readings"]:
        when = f"  at {reading['time']} (claimed)" if reading["time"] else ""
        pairs.append(
            (reading["name"], f"{reading['value']} {reading['unit'] or ''}".rstrip() + when)
        )
    if found["call"]:
        pairs.append(("calls", f"{found['call']['contract']}.{found['call']['function']}"))
    pairs += [
        ("committed", f"{found['committed']} in block {found['height']}"),
        ("witnesses", _witness_text(found.get("witnesses"))),
        ("log index", found["log_index"]),
        ("id", found["id"]),
        ("bytes", found["length"]),
    ]
    return facts(pairs)
