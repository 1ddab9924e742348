"""Packs of the usual shapes, read by regular expressions instead of item by item.

What lives here: a second way to read a pack whose records after the first all have the same labels and plain numbers,
which is what meters send. It answers None for every other pack, and for every pack that breaks a rule: then
`senml.read_pack` reads it item by item and finds the words for what is wrong. What may not: accepting anything that the
slow way refuses, or another result; a property test holds the two against each other.

Place in a record's life: inside `senml.read_pack`, and nowhere else.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import chain, repeat
from typing import Final, TypeAlias

from drystone.formats.number import Number
from drystone.formats.units import SECONDARY, UNITS
from drystone.limits import INTEGER_BITS_MAX, NAME_LENGTH_MAX

Row: TypeAlias = tuple[str, str | None, Number, int | None]
"""Name, unit, value, time of one measurement."""

_Column: TypeAlias = Sequence[bytes]
"""One field of the records after the first, as whole CBOR items; empty where they lack it."""

# Each alternative starts with other bytes, so there is one way to match; only shortest heads match.
_INT: Final = (
    rb"([\x00-\x17\x20-\x37]|[\x18\x38][\x18-\xff]|[\x19\x39](?!\x00).{2}"
    rb"|[\x1a\x3a](?!\x00\x00).{4}|[\x1b\x3b](?!\x00\x00\x00\x00).{8})"
)
_EXPONENT: Final = rb"(\xc4\x82[\x20-\x28])?"
# No label and no map head is among the letters of a name or unit, so a run of them ends where the text does.
_NAME: Final = rb"([\x61-\x77][-A-Za-z0-9:./_]+)"
_UNIT: Final = rb"([\x61-\x68][A-Za-z0-9/%]+)"

_FIRST: Final = re.compile(
    rb"[\xa1-\xaa](?:\x00" + _NAME + rb")?(?:\x01" + _UNIT + rb")?\x02" + _EXPONENT + _INT
    + rb"(?:\x06" + _INT + rb")?(\x20\x18\x1a)?(?:\x21" + _NAME + rb")?(?:\x22" + _INT + rb")?"
    rb"(?:\x23" + _UNIT + rb")?(?:\x24" + _EXPONENT + _INT + rb")?",
    re.DOTALL,
)  # fmt: skip
_ONE: Final = re.compile(
    rb"\x81[\xa2-\xa5]\x00" + _NAME + rb"(?:\x01" + _UNIT + rb")?\x02" + _EXPONENT + _INT
    + rb"(?:\x06" + _INT + rb")?(\x20\x18\x1a)?",
    re.DOTALL,
)  # fmt: skip
_SHAPE: Final = re.compile(
    rb"[\xa1-\xa4](?:\x00" + _NAME + rb")?(?:\x01" + _UNIT + rb")?\x02" + _EXPONENT + _INT
    + rb"(\x06)?",
    re.DOTALL,
)  # fmt: skip

_MASK: Final = (0, 0x1F, 0xFF, 0xFFFF, 0, 0xFFFFFFFF, 0, 0, 0, 0xFFFFFFFFFFFFFFFF)
"""What an integer item of n bytes holds beside its head."""

_TIME_MIN: Final = 1 << 28
_TIME_END: Final = 1 << INTEGER_BITS_MAX
_ALNUM: Final = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_PRIMARY: Final = {bytes((0x60 + len(unit),)) + unit.encode(): unit for unit in UNITS}
_ALL: Final = _PRIMARY | {bytes((0x60 + len(u),)) + u.encode(): u for u in SECONDARY}


def read_rows(payload: bytes) -> list[Row] | None:
    """Return what `senml.read_pack` returns for this payload, as plain tuples, or None to have it read item by item."""
    if payload[:1] == b"\x81":
        one = _ONE.fullmatch(payload)
        if one is not None:
            return _read_one(payload, *one.groups(b""))
    head = payload[:2]
    if b"\x81" <= head < b"\x98":
        count, at = head[0] & 31, 1
    elif b"\x98\x18" <= head < b"\x99":
        count, at = head[1], 2
    else:
        return None
    first = _FIRST.match(payload, at)
    if first is None:
        return None
    fields = first.groups(b"")
    name, unit, exponent, value, time, version, base_name, base_time, base_unit = fields[:9]
    base_exponent, base_value = fields[9:]
    labels = 11 - fields.count(b"") - (exponent != b"") - (base_exponent != b"")
    if payload[at] != 0xA0 + labels or (base_value and base_exponent != exponent):
        return None
    rest = _columns(payload, first.end(), count - 1, exponent)
    if rest is None:
        return None
    values = _values((value, *rest[2]), base_value)
    times = _times((time, *(rest[3] or repeat(b"", count - 1))), base_time)
    names = _names((name, *(rest[0] or repeat(b"", count - 1))), base_name)
    units = _units(
        (unit, *(rest[1] or repeat(b"", count - 1))), base_unit, _ALL if version else _PRIMARY
    )
    if values is None or times is None or names is None or units is None:
        return None
    numbers: Iterable[Number] = values
    if exponent:
        numbers = zip(repeat(0x1F - exponent[2]), values, strict=False)
    return list(zip(names, units, numbers, times, strict=True))


def _read_one(
    payload: bytes,
    name_item: bytes,
    unit_item: bytes,
    exponent: bytes,
    value_item: bytes,
    time_item: bytes,
    version: bytes,
) -> list[Row] | None:
    """Return the one measurement of a pack without bases, the most frequent payload of all."""
    name = _name(b"", name_item)
    value = _integer(value_item)
    time = _integer(time_item) if time_item else None
    unit = (_ALL if version else _PRIMARY).get(unit_item)
    if (
        payload[1] != 0xA2 + (unit_item != b"") + (time_item != b"") + (version != b"")
        or not name
        or (unit is None and unit_item)
        or value.bit_length() > INTEGER_BITS_MAX
        or (time is not None and not _TIME_MIN <= time < _TIME_END)
    ):
        return None
    return [(name, unit, (0x1F - exponent[2], value) if exponent else value, time)]


def _integer(item: bytes) -> int:
    number = int.from_bytes(item) & _MASK[len(item)]
    return number if item[0] < 0x20 else ~number


def _columns(
    payload: bytes, at: int, count: int, exponent: bytes
) -> tuple[_Column, _Column, _Column, _Column] | None:
    """Return names, units, values and times of the `count` records at `at`, of one shape, which end the payload."""
    if count == 0:
        return ((), (), (), ()) if at == len(payload) else None
    shape = _SHAPE.match(payload, at)
    if shape is None:
        return None
    name, unit, _, _, time = map(bool, shape.groups())
    pattern, left_out = _pattern(name=name, unit=unit, time=time, exponent=exponent)
    rows: list[tuple[bytes, ...]] = pattern.findall(payload, at)
    # The groups and what stands between them have to cover every byte: `findall` skips what does not match.
    covered = sum(map(len, chain.from_iterable(rows))) + count * left_out
    if len(rows) != count or at + covered != len(payload):
        return None
    columns = zip(*rows, strict=True)
    _ = next(columns)
    return (
        next(columns) if name else (),
        next(columns) if unit else (),
        next(columns),
        next(columns) if time else (),
    )


@cache
def _pattern(
    *, name: bool, unit: bool, time: bool, exponent: bytes
) -> tuple[re.Pattern[bytes], int]:
    """Return the expression for a record of this shape, its head in a group, and the bytes outside of its groups."""
    parts = (
        b"(" + bytes((0xA1 + name + unit + time,)) + b")",
        (rb"\x00" + _NAME) * name,
        (rb"\x01" + _UNIT) * unit,
        b"\x02" + re.escape(exponent) + _INT,
        (rb"\x06" + _INT) * time,
    )
    return re.compile(b"".join(parts), re.DOTALL), 1 + name + unit + time + len(exponent)


def _integers(tokens: Sequence[bytes]) -> list[int] | None:
    number = int.from_bytes
    mask = _MASK
    integers = [
        number(token) & mask[len(token)] if token[0] < 0x20 else ~(number(token) & mask[len(token)])
        for token in tokens
    ]
    return integers if _in_bounds(integers) else None


def _in_bounds(integers: list[int]) -> bool:
    return (
        max(integers).bit_length() <= INTEGER_BITS_MAX
        and min(integers).bit_length() <= INTEGER_BITS_MAX
    )


def _values(tokens: _Column, base: bytes) -> list[int] | None:
    values = _integers(tokens)
    if values is None or not base:
        return values
    start = _integers((base,))
    if start is None:
        return None
    values = [start[0] + value for value in values]
    return values if _in_bounds(values) else None


def _times(tokens: _Column, base: bytes) -> list[int] | list[None] | None:
    if not any(tokens) and not base:
        return [None] * len(tokens)
    if not base and not all(tokens):
        return None
    times = _values([token or b"\x00" for token in tokens], base)
    if times is None or times[0] < _TIME_MIN or times != sorted(times):
        return None
    return times


def _names(tokens: _Column, base: bytes) -> list[str] | None:
    names = [_name(base, token) for token in tokens]
    return names if all(names) else None


@lru_cache(maxsize=1024)
def _name(base: bytes, token: bytes) -> str:
    """Return the resolved name of two text items, or nothing when it breaks a rule or a head lies about a length."""
    if (base and base[0] - 0x5F != len(base)) or (token and token[0] - 0x5F != len(token)):
        return ""
    name = (base[1:] + token[1:]).decode()
    return name if len(name) <= NAME_LENGTH_MAX and name[:1] in _ALNUM else ""


def _units(tokens: _Column, base: bytes, known: dict[bytes, str]) -> list[str | None] | None:
    if not known.keys() >= set(filter(None, (base, *tokens))):
        return None
    shared = known.get(base)
    return [known[token] if token else shared for token in tokens]
