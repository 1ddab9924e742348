"""Readings under a contract, many at a time: gathered while they cannot touch one another, run in one crossing.

A reading's handler sees one value, its device's own (`device/iss/sub`), and the values its manifest declares. So the
readings of a block are independent until a device comes twice; there, at a call, and at the end of the block the
gathered ones run. The outcomes are those of running each by itself, in order (tested).

Place in a record's life: inside `apply`. Source: design section 5, ADR 15, 28.
"""

from functools import lru_cache
from typing import Any, NamedTuple, cast

from drystone.contracts.runtime import Program, ReadingDone, ReadingRefused, Shown
from drystone.errors import ContractFailed, ContractSize, Refused
from drystone.formats.number import Number
from drystone.ledger import keyspace
from drystone.ledger.values import encode_value, quoted, remember, text_of
from drystone.ledger.view import Overlay
from drystone.limits import EVENTS_PER_OUTCOME_MAX, MEMO_ROWS_MAX
from drystone.records.payload import Reading
from drystone.records.record import Record
from drystone.records.stream import Placement

MILLISECONDS = -3

_new = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
"""A NamedTuple's own constructor costs three times as much; used where every reading passes."""


class Gathered(NamedTuple):
    """A reading that passed everything but its contract; `slot` is its outcome's, `vertex` and `position` its place."""

    slot: int
    vertex: int
    position: int
    record: Record
    stream_key: bytes
    placement: Placement
    register: int | None
    data_key: bytes


class Handled(NamedTuple):
    """What became of a gathered reading: its device's new value (None: as it was), or a refusal's code."""

    value: bytes | None
    events: tuple[tuple[str, Any], ...]
    steps: int
    code: str | None


@lru_cache(maxsize=MEMO_ROWS_MAX)
def data_key(contract: str, iss: str, sub: str, device: str | None) -> bytes:
    """Return the state key of the one value that a reading's handler may change."""
    more = () if device is None else (device,)
    return keyspace.key(keyspace.CONTRACT_DATA, contract, "device", iss, sub, *more)


def run(
    program: Program,
    items: list[Gathered],
    *,
    overlay: Overlay,
    gateway: str,
    height: int,
    time_ms: int,
) -> list[Handled]:
    """Run the handler over `items`, no two of one device, all sealed by `gateway`; what became of each, in order."""
    name = program.package.manifest.name
    spec = program.package.manifest.reading
    if spec is None:
        error = ContractFailed(f"{name} handles no readings")
        return [Handled(None, (), 0, error.code) for _ in items]
    reads = [
        f"{quoted(path)}:{text_of(overlay.get(keyspace.contract_data(name, path)))}"
        for path in spec.reads
    ]
    shown = Shown(gateway, height, time_ms, "{" + ",".join(reads) + "}")
    names = program.names
    moving = tuple(name in names for name in ("epoch", "seq", "placed", "register", "record"))
    get = overlay.get
    crossing = [_reading(item, names, moving, text_of(get(item[7]))) for item in items]
    return [_handled(result) for result in program.readings(crossing, shown)]


def _reading(item: Gathered, names: tuple[str, ...], moving: tuple[bool, ...], old: str) -> str:
    """Return a reading as the text that crosses; `contracts/runtime.py` says what stands where.

    `moving` tells which of the names are there that every reading has anew.
    """
    _, _, _, record, _, placement, register, _ = item
    (_, _, _, _, iss, sub, _, epoch, seq, _, device, _, _, _, record_id, _, content) = record
    with_epoch, with_seq, with_placed, with_register, with_record = moving
    measured = ",".join([_measurement(*one) for one in cast("tuple[Reading, ...]", content)])
    text = f"[[{measured}],{old}{_sender(names, iss, sub, device)}"
    if with_epoch:
        text += f",{epoch}"
    if with_seq:
        text += f",{seq}"
    if with_placed:
        text += f',"{placement[0]}"'
    if with_register:
        text += ",null" if register is None else f",{register}"
    if with_record:
        text += f',"{record_id.hex()}"'
    return text + "]"


@lru_cache(maxsize=MEMO_ROWS_MAX)
def _sender(names: tuple[str, ...], iss: str, sub: str, device: str | None) -> str:
    """Return what of a reading is the same with every reading of its device, as JSON behind a comma."""
    texts = {
        "iss": quoted(iss),
        "sub": quoted(device or sub),
        "attested": "false" if device is None else "true",
    }
    return "".join([f",{text}" for name, text in texts.items() if name in names])


def _measurement(
    name: str,
    unit: str | None,
    value: Number | str | bool | bytes,
    time: Number | None,
) -> str:
    """Return one measurement as a contract sees it: a whole number with an exponent, its time in milliseconds."""
    if type(value) is int and type(time) is int:
        return f"[{_name_and_unit(name, unit)},{value},0,{time * 1_000}]"  # What most measurements are.
    exponent = 0
    if isinstance(value, tuple):
        exponent, value = value
    elif isinstance(value, bool):
        value = "true" if value else "false"
    elif not isinstance(value, int):
        value = quoted(value.hex() if isinstance(value, bytes) else value)
    if time is None:
        moment: int | str = "null"
    elif isinstance(time, int):
        moment = time * 1_000
    else:
        shift = time[0] - MILLISECONDS
        moment = time[1] * 10**shift if shift >= 0 else time[1] // 10**-shift
    return f"[{_name_and_unit(name, unit)},{value},{exponent},{moment}]"


@lru_cache(maxsize=MEMO_ROWS_MAX)
def _name_and_unit(name: str, unit: str | None) -> str:
    """Return a measurement's first two as JSON."""
    return f"{quoted(name)},{'null' if unit is None else quoted(unit)}"


def _handled(result: ReadingDone | ReadingRefused) -> Handled:
    if isinstance(result, ReadingRefused):
        return Handled(None, (), result.steps, result.error.code)
    value, events, steps, _, text = result
    if events and len(events) > EVENTS_PER_OUTCOME_MAX:
        error = ContractSize(f"more than {EVENTS_PER_OUTCOME_MAX} events")
        return Handled(None, (), steps, error.code)
    if value is None:
        return Handled(None, events, steps, None)
    try:
        data = encode_value(value)
    except Refused as error:
        return Handled(None, (), steps, error.code)
    remember(data, text)
    return _new(Handled, (data, events, steps, None))
