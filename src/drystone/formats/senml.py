"""Drystone's profile of SenML in CBOR (RFC 8428, RFC 8798): packs of measurements, resolved and checked.

What lives here: `read_pack`, which resolves base fields and refuses whatever the profile leaves out, and `write_pack`,
which spells measurements as small as it can. What may not: floats, a clock (relative times are refused), conversion of
units. A number stays as it was signed: an integer, or (exponent, mantissa).

Place in a record's life: the payload of a reading, between the COSE shell and the profile's rules. `docs/spec/senml.md`
has the profile and why it deviates.
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from drystone.errors import (
    Refused,
    SenmlMalformed,
    SenmlName,
    SenmlTimeFalling,
    SenmlTimeRelative,
    SenmlUnit,
)
from drystone.formats import cbor
from drystone.formats.cbor import Key, Tag, Value
from drystone.formats.number import Number, add, check_magnitude, compare, join, scale, split
from drystone.formats.rows import read_rows
from drystone.formats.units import SECONDARY, UNIT_DISCOURAGED, UNITS
from drystone.limits import (
    EXPONENT_MIN,
    INTEGER_BITS_MAX,
    NAME_LENGTH_MAX,
    PACK_MEASUREMENTS_MAX,
)

__all__ = [
    "SECONDARY",
    "UNITS",
    "Measurement",
    "Number",
    "compare",
    "read_pack",
    "scale",
    "write_pack",
]


class Measurement(NamedTuple):
    """One resolved measurement; `unit` None: none given; `time` in Unix seconds, None: the device claims none."""

    name: str
    unit: str | None
    value: Number | str | bool | bytes
    time: Number | None


# A NamedTuple's own constructor costs twice as much. The ignore: typeshed leaves the item type of __new__ open.
_measurement: Final = partial(tuple.__new__, Measurement)  # pyright: ignore[reportUnknownMemberType]

NAME, UNIT, VALUE, STRING, BOOLEAN, TIME, DATA = 0, 1, 2, 3, 4, 6, 8
BASE_VERSION, BASE_NAME, BASE_TIME, BASE_UNIT, BASE_VALUE = -1, -2, -3, -4, -5
VALUE_LABELS: Final = (VALUE, STRING, BOOLEAN, DATA)
BASE_LABELS: Final = (BASE_VERSION, BASE_NAME, BASE_TIME, BASE_UNIT, BASE_VALUE)
LABELS: Final = frozenset((NAME, UNIT, TIME, *VALUE_LABELS, *BASE_LABELS))

VERSION: Final = 26
"""10 + 2**4: RFC 8428 with secondary units (RFC 9100)."""

TIME_MIN: Final = 1 << 28
"""Times below are relative to now (RFC 8428 section 4.5.3)."""

_NAME: Final = re.compile(rf"[A-Za-z0-9][-A-Za-z0-9:./_]{{0,{NAME_LENGTH_MAX - 1}}}")


def read_pack(payload: bytes, *, iss: str, sub: str) -> tuple[Measurement, ...]:
    """Return the resolved measurements of a pack of 1 to 256 records, in the pack's order.

    Checks every rule of `docs/spec/senml.md`. Does not check whether the device's profile knows the names and units,
    nor whether the times are plausible. `iss` and `sub` stand in the messages only: names are unique under them.

    Raises SenmlMalformed, SenmlUnit, SenmlName, SenmlTimeRelative, SenmlTimeFalling, and what `cbor.decode` raises.
    """
    rows = read_rows(payload)
    if rows is not None:
        return tuple(map(_measurement, rows))
    try:
        return tuple(_resolve(cbor.decode(payload)))
    except Refused as error:
        raise type(error)(f"pack of {iss}/{sub}: {error}") from error


# --- reading ---------------------------------------------------------------------------------------


def _resolve(pack: Value) -> list[Measurement]:
    if not isinstance(pack, list) or not 1 <= len(pack) <= PACK_MEASUREMENTS_MAX:
        raise SenmlMalformed(f"an array of 1 to {PACK_MEASUREMENTS_MAX} records expected")
    base_name = ""
    base_time = base_value = base_unit = last_time = None
    secondary = False
    measurements: list[Measurement] = []
    for index, entry in enumerate(pack):
        if not isinstance(entry, dict):
            raise SenmlMalformed(f"record {index} is not a map")
        if not LABELS.issuperset(entry):
            raise SenmlMalformed(f"record {index} has a label outside the profile")
        if BASE_VERSION in entry:
            secondary = _read_version(entry[BASE_VERSION], index)
        if BASE_NAME in entry:
            base_name = _read_text(entry[BASE_NAME])
        if BASE_TIME in entry:
            base_time = _read_number(entry[BASE_TIME])
        if BASE_UNIT in entry:
            base_unit = _read_unit(entry[BASE_UNIT], secondary=secondary)
        if BASE_VALUE in entry:
            base_value = _read_number(entry[BASE_VALUE])
        name = base_name + _read_text(entry[NAME]) if NAME in entry else base_name
        if not _NAME.fullmatch(name):
            raise SenmlName(f"record {index}: {name[: NAME_LENGTH_MAX + 1]!r}")
        unit = _read_unit(entry[UNIT], secondary=secondary) if UNIT in entry else base_unit
        time = add(base_time, _read_number(entry[TIME])) if TIME in entry else base_time
        if time is not None:
            if compare(time, TIME_MIN) < 0:
                raise SenmlTimeRelative(f"record {index}: a time below 2**28 is relative to now")
            if last_time is not None and compare(time, last_time) < 0:
                raise SenmlTimeFalling(f"record {index}: the time falls")
            last_time = time
        measurements.append(Measurement(name, unit, _read_value(entry, index, base_value), time))
    return measurements


def _read_version(value: Value, index: int) -> bool:
    if value != VERSION or index:
        raise SenmlMalformed(f"base version {VERSION}, in the first record, or none at all")
    return True


def _read_text(value: Value) -> str:
    if not isinstance(value, str):
        raise SenmlMalformed("a name or unit is not text")
    return value


def _read_number(value: Value) -> Number:
    if type(value) is int:
        check_magnitude(value)
        return value
    if isinstance(value, Tag) and value.number == 4:
        pair = value.value
        if isinstance(pair, list) and len(pair) == 2:
            exponent, mantissa = pair
            if type(exponent) is int and type(mantissa) is int:
                check_magnitude(mantissa)
                if EXPONENT_MIN <= exponent <= -1:
                    return exponent, mantissa
    raise SenmlMalformed(
        f"an integer or a decimal fraction of exponent {EXPONENT_MIN} to -1 expected"
    )


def _read_unit(value: Value, *, secondary: bool) -> str:
    unit = _read_text(value)
    if unit in UNITS or (secondary and unit in SECONDARY):
        return unit
    if unit in SECONDARY:
        raise SenmlUnit(f"the secondary unit {unit!r} needs base version {VERSION}")
    if unit == UNIT_DISCOURAGED:
        raise SenmlUnit("'%' is the ratio 0 to 1; say '/' for a ratio or '/100' for percent")
    raise SenmlUnit(f"{unit[:16]!r} is not in IANA's list")


def _read_value(
    entry: dict[Key, Value], index: int, base: Number | None
) -> Number | str | bool | bytes:
    present = [label for label in VALUE_LABELS if label in entry]
    if len(present) != 1:
        raise SenmlMalformed(f"record {index} has {len(present)} values instead of one")
    label = present[0]
    value = entry[label]
    if label == VALUE:
        return add(base, _read_number(value))
    if label == STRING and isinstance(value, str):
        return value
    if label == BOOLEAN and isinstance(value, bool):
        return value
    if label == DATA and isinstance(value, bytes):
        return value
    raise SenmlMalformed(f"record {index}: the value does not fit its label")


# --- writing ---------------------------------------------------------------------------------------

_Entries: TypeAlias = list[dict[int, cbor.Encodable]]


def write_pack(measurements: Sequence[Measurement], *, base_name: str = "") -> bytes:
    """Return a small pack of `measurements`: bases where they save bytes, `bver` where a unit needs it.

    `base_name` is the base name to write, a prefix of every name; empty: the longest common one, where it saves bytes.
    The result is read back, so what is returned resolves to exactly the measurements given.

    Raises as `read_pack` when the measurements break the profile, CborUnsupported for text that has no UTF-8.
    """
    entries: _Entries = [{} for _ in measurements]
    if measurements:
        _write_names([m.name for m in measurements], entries, base_name=base_name)
        _write_units([m.unit for m in measurements], entries)
        _write_values([m.value for m in measurements], entries)
        _write_times([m.time for m in measurements], entries)
        if any(m.unit in SECONDARY for m in measurements):
            entries[0][BASE_VERSION] = VERSION
    pack = cbor.encode(entries)
    if [_typed(m) for m in _resolve(cbor.decode(pack))] != [_typed(m) for m in measurements]:
        raise SenmlMalformed("the measurements have no spelling as one pack")
    return pack


def _typed(measurement: Measurement) -> tuple[object, ...]:
    """Return what tells measurements apart; True and 1 are equal to Python."""
    return (type(measurement.value), *measurement)


def _write_names(names: list[str], entries: _Entries, *, base_name: str) -> None:
    shared = base_name or _common_prefix(names)
    plain = sum(len(name) + 2 for name in names)
    based = len(shared) + 2 + sum(len(name) - len(shared) + 2 for name in names if name != shared)
    if base_name or based < plain:
        entries[0][BASE_NAME] = shared
    else:
        shared = ""
    for name, entry in zip(names, entries, strict=True):
        if name != shared:
            entry[NAME] = name.removeprefix(shared)


def _common_prefix(names: list[str]) -> str:
    low, high = min(names), max(names)
    count = 0
    while count < len(low) and low[count] == high[count]:
        count += 1
    return low[:count]


def _write_units(units: list[str | None], entries: _Entries) -> None:
    base = None
    if len(units) > 1 and None not in units:
        base = max(sorted({unit for unit in units if unit}), key=units.count, default=None)
    if base is not None:
        entries[0][BASE_UNIT] = base
    for unit, entry in zip(units, entries, strict=True):
        if unit is not None and unit != base:
            entry[UNIT] = unit


def _write_values(values: list[Number | str | bool | bytes], entries: _Entries) -> None:
    numbers: list[tuple[dict[int, cbor.Encodable], Number]] = []
    for value, entry in zip(values, entries, strict=True):
        if isinstance(value, str):
            entry[STRING] = value
        elif isinstance(value, bool):
            entry[BOOLEAN] = value
        elif isinstance(value, bytes):
            entry[DATA] = value
        else:
            numbers.append((entry, _checked(value)))
    base = _best_base([number for _, number in numbers], start=None)
    if base is not None:
        entries[0][BASE_VALUE] = _spell(base)
    for entry, number in numbers:
        entry[VALUE] = _spell(_subtract(number, base))


def _write_times(times: list[Number | None], entries: _Entries) -> None:
    known = [_checked(time) for time in times if time is not None]
    base = _best_base(known, start=known[0]) if len(known) == len(times) else None
    if base is not None:
        entries[0][BASE_TIME] = _spell(base)
    for time, entry in zip(times, entries, strict=True):
        if time is not None and time != base:
            entry[TIME] = _spell(_subtract(time, base))


def _checked(number: Number) -> Number:
    """Return the number; raise SenmlMalformed for one that no pack could hold, whatever its type."""
    return _read_number(Tag(4, list(number)) if isinstance(number, tuple) else number)


def _best_base(numbers: list[Number], *, start: Number | None) -> Number | None:
    """Return the base that makes `numbers` smallest, or None; `start`: the one base allowed, equal numbers left out."""
    exponents = {split(number)[0] for number in numbers}
    if len(numbers) < 2 or len(exponents) > 1:
        return None
    exponent = exponents.pop()
    mantissas = [split(number)[1] for number in numbers]
    low, high = min(mantissas), max(mantissas)
    candidates = [split(start)[1]] if start is not None else [low, (low + high) >> 1]
    best = None
    smallest = sum(_bytes_of(number) for number in numbers)
    for candidate in candidates:
        if max(high - candidate, candidate - low).bit_length() > INTEGER_BITS_MAX:
            continue
        base = join(exponent, candidate)
        spelt = [n for n in numbers if start is None or n != start]
        size = 1 + _bytes_of(base) + sum(_bytes_of(_subtract(n, base)) for n in spelt)
        size -= len(numbers) - len(spelt)
        if size < smallest:
            best, smallest = base, size
    return best


def _subtract(number: Number, base: Number | None) -> Number:
    if base is None:
        return number
    exponent, mantissa = split(number)
    return join(exponent, mantissa - split(base)[1])


def _spell(number: Number) -> cbor.Encodable:
    return number if isinstance(number, int) else Tag(4, list(number))


def _bytes_of(number: Number) -> int:
    return len(cbor.encode(_spell(number)))
