"""Readings under a contract, many at a time: gathered while they cannot touch one another, run in one crossing.

A reading's handler sees one value, its device's own (`device/iss/sub`), and the values its manifest declares. So the
readings of one vertex are independent until a device comes twice; there, at a call, and at the end of the vertex the
gathered ones run. The outcomes are those of running each by itself, in order (tested).

Place in a record's life: inside `apply`. Source: design section 5, ADR 15.
"""

from functools import lru_cache
from typing import Any, NamedTuple, cast

from drystone.contracts.runtime import Program, ReadingDone, ReadingRefused, Shown
from drystone.errors import ContractFailed, ContractSize, Refused
from drystone.formats.number import Number
from drystone.ledger import keyspace
from drystone.ledger.rights import Rights
from drystone.ledger.values import encode_value, quoted, remember, text_of
from drystone.ledger.view import Overlay
from drystone.limits import EVENTS_PER_OUTCOME_MAX, MEMO_ROWS_MAX
from drystone.records.payload import Reading
from drystone.records.record import Record
from drystone.records.stream import Placement

MILLISECONDS = -3


class Gathered(NamedTuple):
    """A reading that passed everything but its contract; `slot` is its outcome's, `position` its index in the body."""

    slot: int
    position: int
    record: Record
    rights: Rights
    placement: Placement
    register: int | None
    data_key: bytes


class Handled(NamedTuple):
    """What became of a gathered reading: its device's new value (None: as it was), or a refusal."""

    item: Gathered
    value: bytes | None
    events: tuple[tuple[str, Any], ...]
    steps: int
    error: Refused | None


def data_key_of(contract: str, record: Record) -> bytes:
    """Return the state key of the one value that a reading's handler may change."""
    return _data_key(contract, record.iss, record.sub, record.device)


@lru_cache(maxsize=MEMO_ROWS_MAX)
def _data_key(contract: str, iss: str, sub: str, device: str | None) -> bytes:
    more = () if device is None else (device,)
    return keyspace.key(keyspace.CONTRACT_DATA, contract, "device", iss, sub, *more)


def run(
    program: Program,
    items: list[Gathered],
    *,
    overlay: Overlay,
    author: tuple[str, str],
    height: int,
    time_ms: int,
) -> list[Handled]:
    """Run the handler over `items`, no two of one device; `author` is the vertex's gateway."""
    name = program.package.manifest.name
    spec = program.package.manifest.reading
    if spec is None:
        error = ContractFailed(f"{name} handles no readings")
        return [Handled(item, None, (), 0, error) for item in items]
    reads = [
        f"{quoted(path)}:{text_of(overlay.get(keyspace.contract_data(name, path)))}"
        for path in spec.reads
    ]
    shown = Shown(f"{author[0]}/{author[1]}", height, time_ms, "{" + ",".join(reads) + "}")
    crossing = [_reading(item, text_of(overlay.get(item.data_key))) for item in items]
    results = program.readings(crossing, shown)
    return [_handled(item, result) for item, result in zip(items, results, strict=True)]


def _reading(item: Gathered, old: str) -> str:
    """Return a reading as the text that crosses; `contracts/runtime.py` says what stands where."""
    record = item.record
    measurements = ",".join(
        [_measurement(*one) for one in cast("tuple[Reading, ...]", record.content)]
    )
    return (
        f"[{quoted(record.iss)},{quoted(record.device or record.sub)},"
        f"{'false' if record.device is None else 'true'},{record.epoch},{record.seq},"
        f'"{item.placement.kind}",{"null" if item.register is None else item.register},'
        f'"{record.id.hex()}",[{measurements}],{old}]'
    )


def _measurement(
    name: str,
    unit: str | None,
    value: Number | str | bool | bytes,
    time: Number | None,
) -> str:
    """Return one measurement as a contract sees it: a whole number with an exponent, its time in milliseconds."""
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
    unit_text = "null" if unit is None else quoted(unit)
    return f"[{quoted(name)},{unit_text},{value},{exponent},{moment}]"


def _handled(item: Gathered, result: ReadingDone | ReadingRefused) -> Handled:
    if isinstance(result, ReadingRefused):
        return Handled(item, None, (), result.steps, result.error)
    if len(result.events) > EVENTS_PER_OUTCOME_MAX:
        error = ContractSize(f"more than {EVENTS_PER_OUTCOME_MAX} events")
        return Handled(item, None, (), result.steps, error)
    if result.value is None:
        return Handled(item, None, result.events, result.steps, None)
    try:
        value = encode_value(result.value)
    except Refused as error:
        return Handled(item, None, (), result.steps, error)
    remember(value, result.text)
    return Handled(item, value, result.events, result.steps, None)
