"""Readings under a contract, many at a time: gathered while they cannot touch one another, run in one crossing.

A reading's handler sees one value, its device's own (`device/iss/sub`), and the values its manifest declares. So the
readings of one vertex are independent until a device comes twice; there, at a call, and at the end of the vertex the
gathered ones run. The outcomes are those of running each by itself, in order (tested).

Place in a record's life: inside `apply`. Source: design section 5, ADR 15.
"""

from typing import Any, NamedTuple, cast

from drystone.contracts.runtime import Program, ReadingDone, ReadingRefused
from drystone.errors import ContractFailed, Refused
from drystone.formats import cbor
from drystone.formats.number import split
from drystone.ledger import keyspace
from drystone.ledger.host import encode_value
from drystone.ledger.rights import Rights
from drystone.ledger.view import Overlay
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
    parts = ("device", record.iss, record.sub)
    more = () if record.device is None else (record.device,)
    return keyspace.key(keyspace.CONTRACT_DATA, contract, *parts, *more)


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
    shared = {
        "gateway": f"{author[0]}/{author[1]}",
        "height": height,
        "time_ms": time_ms,
        "reads": {
            path: _decoded(overlay.get(keyspace.contract_data(name, path))) for path in spec.reads
        },
    }
    crossing = [
        (_context(item, shared), _decoded(overlay.get(item.data_key)), _record(item.record))
        for item in items
    ]
    results = program.readings(crossing)
    return [_handled(item, result) for item, result in zip(items, results, strict=True)]


def _decoded(value: bytes | None) -> Any:
    return None if value is None else cbor.decode(value)


def _context(item: Gathered, shared: dict[str, Any]) -> dict[str, Any]:
    record = item.record
    return {
        **shared,
        "iss": record.iss,
        "sub": record.device or record.sub,
        "attested": record.device is not None,
        "epoch": record.epoch,
        "seq": record.seq,
        "placed": item.placement.kind,
        "register": item.register,
        "record": record.id.hex(),
    }


def _record(record: Record) -> list[dict[str, Any]]:
    """Return the measurements as a contract sees them: whole numbers with an exponent, times in milliseconds."""
    out: list[dict[str, Any]] = []
    for name, unit, value, time in cast("tuple[Reading, ...]", record.content):
        one: dict[str, Any] = {"name": name, "unit": unit, "exponent": 0, "time_ms": None}
        if isinstance(value, tuple):
            one["exponent"], one["value"] = value
        else:
            one["value"] = value.hex() if isinstance(value, bytes) else value
        if time is not None:
            exponent, mantissa = split(time)
            shift = exponent - MILLISECONDS
            one["time_ms"] = mantissa * 10**shift if shift >= 0 else mantissa // 10**-shift
        out.append(one)
    return out


def _handled(item: Gathered, result: ReadingDone | ReadingRefused) -> Handled:
    if isinstance(result, ReadingRefused):
        return Handled(item, None, (), result.steps, result.error)
    try:
        value = None if result.value is None else encode_value(result.value)
    except Refused as error:
        return Handled(item, None, (), result.steps, error)
    return Handled(item, value, result.events, result.steps, None)
