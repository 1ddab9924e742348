"""Deterministic CBOR with exactly one spelling for each value (RFC 8949 section 4.2.1).

What lives here: `encode` and `decode` for integers of 64 bits, byte strings, text, booleans, null, arrays, maps and the
tags that a Drystone format uses. What may not: floats, bignums, other simple values, and any leniency. A value that
`decode` returns encodes to the very bytes it came from, so a hash over bytes is a hash over the value.

Place in a record's life: the first thing that touches bytes from outside and the last thing before a hash.

Readers are looked up by an item's first byte; each takes `(data, at, depth)` and returns `(value, end)`. Reading past
the end of `data` raises IndexError inside, and only `decode`, `decode_prefix`, `item_end` turn it into `CborMalformed`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias, cast

from drystone.errors import (
    CborMalformed,
    CborNotDeterministic,
    CborTooDeep,
    CborUnsupported,
    TooLarge,
)
from drystone.limits import CBOR_DEPTH_MAX

Key: TypeAlias = int | str | bytes
Value: TypeAlias = "int | bytes | str | bool | list[Value] | dict[Key, Value] | Tag | None"
Encodable: TypeAlias = "int | bytes | str | bool | Tag | Sequence[Encodable] | _Map | None"
_Map: TypeAlias = "Mapping[int, Encodable] | Mapping[str, Encodable] | Mapping[Key, Encodable]"


class Tag(NamedTuple):
    """A tagged item."""

    number: int
    value: Value


TAGS: Final = frozenset({4, 18})
"""Decimal fraction and COSE_Sign1: the only tags in any Drystone format."""

UINT, NINT, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
"""Major types."""

_Reader: TypeAlias = Callable[[bytes, int, int], tuple[Value, int]]


def encode(value: Encodable) -> bytes:
    """Return the one spelling of `value`; maps are sorted by their encoded keys, tuples are arrays.

    Raises CborUnsupported for what `decode` could not return, CborTooDeep beyond `CBOR_DEPTH_MAX`.
    """
    out: list[bytes] = []
    _encode(value, out, 0)
    return b"".join(out)


def decode(data: bytes) -> Value:
    """Return the value of exactly one item that fills `data`.

    Checks everything RFC 8949 section 4.2.1 demands; does not check what the value means, nor its size.

    Raises CborMalformed, CborNotDeterministic, CborUnsupported, CborTooDeep.
    """
    try:
        value, end = _READERS[data[0]](data, 0, 0)
    except IndexError:
        raise CborMalformed("the item ends too early") from None
    if end != len(data):
        raise CborMalformed(f"{len(data) - end} bytes after the end of the item")
    return value


def decode_prefix(data: bytes, offset: int = 0) -> tuple[Value, int]:
    """Return the value of the item at `offset` and the offset after it; what follows is not looked at.

    Raises as `decode`.
    """
    assert offset >= 0
    try:
        return _READERS[data[offset]](data, offset, 0)
    except IndexError:
        raise CborMalformed("the item ends too early") from None


def item_end(data: bytes, offset: int = 0) -> int:
    """Return the offset after the item at `offset` without building it, so in constant memory.

    Accepts and refuses exactly what `decode_prefix` does. Raises as `decode`.
    """
    assert offset >= 0
    try:
        return _skip(data, offset, 0)
    except IndexError:
        raise CborMalformed("the item ends too early") from None


def split_sequence(data: bytes, *, items_max: int) -> list[bytes]:
    """Return the raw items of a CBOR sequence (RFC 8742), each one checked as by `decode`.

    Raises TooLarge beyond `items_max` items, else as `decode`.
    """
    items: list[bytes] = []
    at = 0
    while at < len(data):
        if len(items) == items_max:
            raise TooLarge(f"more than {items_max} items in a sequence")
        end = item_end(data, at)
        items.append(data[at:end])
        at = end
    return items


def head(major: int, argument: int) -> bytes:
    """Return an item's first bytes: major type and shortest argument (0 to 2**64 - 1)."""
    if argument < 24:
        return _ONE_BYTE[major << 5 | argument]
    if argument < 0x100:
        return bytes((major << 5 | 24, argument))
    if argument < 0x10000:
        return (major << 21 | 25 << 16 | argument).to_bytes(3)
    if argument < 0x1_0000_0000:
        return (major << 37 | 26 << 32 | argument).to_bytes(5)
    return (major << 69 | 27 << 64 | argument).to_bytes(9)


_ONE_BYTE: Final = tuple(bytes((byte,)) for byte in range(256))


# --- encoding --------------------------------------------------------------------------------------


def _encode(value: object, out: list[bytes], depth: int) -> None:
    if value is None:
        out.append(b"\xf6")
    elif isinstance(value, bool):
        out.append(b"\xf5" if value else b"\xf4")
    elif isinstance(value, int):
        out.append(_encode_int(value))
    elif isinstance(value, bytes):
        out.append(head(BYTES, len(value)))
        out.append(value)
    elif isinstance(value, str):
        out.append(_encode_text(value))
    elif depth >= CBOR_DEPTH_MAX:
        raise CborTooDeep(f"nested deeper than {CBOR_DEPTH_MAX}")
    elif isinstance(value, Tag):
        if value.number not in TAGS:
            raise CborUnsupported(f"tag {value.number}")
        out.append(head(TAG, value.number))
        _encode(value.value, out, depth + 1)
    elif isinstance(value, (list, tuple)):
        items = cast("Sequence[object]", value)
        out.append(head(ARRAY, len(items)))
        for item in items:
            _encode(item, out, depth + 1)
    elif isinstance(value, Mapping):
        _encode_map(cast("Mapping[object, object]", value), out, depth)
    else:
        raise CborUnsupported(f"a {type(value).__name__} has no spelling")


def _encode_map(value: Mapping[object, object], out: list[bytes], depth: int) -> None:
    out.append(head(MAP, len(value)))
    pairs = [(_encode_key(key), item) for key, item in value.items()]
    pairs.sort(key=lambda pair: pair[0])
    for key, item in pairs:
        out.append(key)
        _encode(item, out, depth + 1)


def _encode_key(key: object) -> bytes:
    if isinstance(key, int) and not isinstance(key, bool):
        return _encode_int(key)
    if isinstance(key, str):
        return _encode_text(key)
    if isinstance(key, bytes):
        return head(BYTES, len(key)) + key
    raise CborUnsupported(f"a {type(key).__name__} is no map key")


def _encode_int(value: int) -> bytes:
    major, argument = (UINT, value) if value >= 0 else (NINT, -1 - value)
    if argument >= 1 << 64:
        raise CborUnsupported("an integer beyond 64 bits")
    return head(major, argument)


def _encode_text(value: str) -> bytes:
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise CborUnsupported("text with a lone surrogate has no UTF-8") from None
    return head(TEXT, len(raw)) + raw


# --- decoding: one reader per first byte -----------------------------------------------------------


def _ends_early() -> NoReturn:
    raise CborMalformed("the item ends too early")


def _refuse_head(first: int, at: int) -> NoReturn:
    """Refuse a first byte whose low five bits are 28 to 31: reserved, or an indefinite length."""
    if first & 31 == 31 and first >> 5 in (BYTES, TEXT, ARRAY, MAP):
        raise CborNotDeterministic(f"indefinite length at byte {at}")
    raise CborMalformed(f"reserved first byte {first:#04x} at byte {at}")


def _argument(data: bytes, at: int) -> tuple[int, int]:
    """Return the argument of the head at `at` and the offset after the head."""
    low = data[at] & 31
    if low < 24:
        return low, at + 1
    if low == 24:
        argument = data[at + 1]
        if argument < 24:
            raise CborNotDeterministic(f"not the shortest head at byte {at}")
        return argument, at + 2
    if low > 27:
        _refuse_head(data[at], at)
    width = 1 << (low - 24)
    end = at + 1 + width
    if end > len(data):
        _ends_early()
    argument = int.from_bytes(data[at + 1 : end])
    if argument >> (width << 2) == 0:
        raise CborNotDeterministic(f"not the shortest head at byte {at}")
    return argument, end


def _tiny(value: Value) -> _Reader:
    def read(_data: bytes, at: int, _depth: int) -> tuple[Value, int]:
        return value, at + 1

    return read


def _uint(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    return _argument(data, at)


def _nint(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    argument, end = _argument(data, at)
    return -1 - argument, end


def _bytes_tiny(count: int) -> _Reader:
    past = count + 1

    def read(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
        end = at + past
        if end > len(data):
            _ends_early()
        return data[at + 1 : end], end

    return read


def _bytes(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    count, start = _argument(data, at)
    end = start + count
    if end > len(data):
        _ends_early()
    return data[start:end], end


def _text(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    count, start = _argument(data, at)
    end = start + count
    if end > len(data):
        _ends_early()
    try:
        return data[start:end].decode(), end
    except UnicodeDecodeError:
        raise CborMalformed(f"text at byte {at} is not UTF-8") from None


def _array(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    count, at = (data[at] & 31, at + 1) if data[at] & 31 < 24 else _argument(data, at)
    if depth >= CBOR_DEPTH_MAX:
        raise CborTooDeep(f"nested deeper than {CBOR_DEPTH_MAX} at byte {at}")
    depth += 1
    readers = _READERS
    items: list[Value] = []
    append = items.append
    for _ in range(count):
        item, at = readers[data[at]](data, at, depth)
        append(item)
    return items, at


def _map(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    count, at = (data[at] & 31, at + 1) if data[at] & 31 < 24 else _argument(data, at)
    if depth >= CBOR_DEPTH_MAX:
        raise CborTooDeep(f"nested deeper than {CBOR_DEPTH_MAX} at byte {at}")
    depth += 1
    readers = _READERS
    pairs: dict[Any, Value] = {}
    last_first = -1
    last_start = last_end = at
    for _ in range(count):
        start = at
        first = data[at]
        if first < 24:
            key = first
            at += 1
        elif first < 0x80:
            key, at = readers[first](data, at, depth)
        else:
            raise CborUnsupported(f"map key at byte {at} is no integer, text or byte string")
        # A greater first byte decides the order; only else the keys' bytes have to be compared.
        if first <= last_first and data[start:at] <= data[last_start:last_end]:
            raise CborNotDeterministic(f"map key at byte {start} is a duplicate or out of order")
        last_first, last_start, last_end = first, start, at
        first = data[at]
        if first < 24:
            pairs[key] = first
            at += 1
        else:
            pairs[key], at = readers[first](data, at, depth)
    return pairs, at


def _tag(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    number, inner = _argument(data, at)
    if number not in TAGS:
        raise CborUnsupported(f"tag {number} at byte {at}")
    if depth >= CBOR_DEPTH_MAX:
        raise CborTooDeep(f"nested deeper than {CBOR_DEPTH_MAX} at byte {at}")
    value, end = _READERS[data[inner]](data, inner, depth + 1)
    return Tag(number, value), end


def _simple(data: bytes, at: int, _depth: int) -> tuple[Value, int]:
    low = data[at] & 31
    if low > 27:
        _refuse_head(data[at], at)
    if low == 24 and data[at + 1] < 32:
        raise CborMalformed(f"a simple value below 32 in two bytes at byte {at}")
    raise CborUnsupported(f"a float or simple value at byte {at}")


def _readers() -> list[_Reader]:
    by_major: list[_Reader] = [_uint, _nint, _bytes, _text, _array, _map, _tag, _simple]
    readers = [by_major[first >> 5] for first in range(256)]
    for low in range(24):
        readers[UINT << 5 | low] = _tiny(low)
        readers[NINT << 5 | low] = _tiny(-1 - low)
        readers[BYTES << 5 | low] = _bytes_tiny(low)
    readers[0xF4], readers[0xF5], readers[0xF6] = _tiny(value=False), _tiny(value=True), _tiny(None)
    return readers


_READERS: Final = _readers()


def _skip(data: bytes, at: int, depth: int) -> int:
    """Return the offset after the item at `at`, with every check of the readers above."""
    first = data[at]
    major = first >> 5
    if major in (SIMPLE, TEXT):
        return _READERS[first](data, at, depth)[1]
    argument, inner = (first & 31, at + 1) if first & 31 < 24 else _argument(data, at)
    if major == BYTES:
        if inner + argument > len(data):
            _ends_early()
        return inner + argument
    if major <= NINT:
        return inner
    if major == TAG and argument not in TAGS:
        raise CborUnsupported(f"tag {argument} at byte {at}")
    if depth >= CBOR_DEPTH_MAX:
        raise CborTooDeep(f"nested deeper than {CBOR_DEPTH_MAX} at byte {at}")
    if major == TAG:
        return _skip(data, inner, depth + 1)
    if major == MAP:
        return _skip_pairs(data, inner, depth + 1, count=argument) if argument else inner
    for _ in range(argument):
        inner = _skip(data, inner, depth + 1)
    return inner


def _skip_pairs(data: bytes, at: int, depth: int, *, count: int) -> int:
    last = b""
    for _ in range(count):
        if data[at] >= 0x80:
            raise CborUnsupported(f"map key at byte {at} is no integer, text or byte string")
        end = _skip(data, at, depth)
        key = data[at:end]
        if key <= last:
            raise CborNotDeterministic(f"map key at byte {at} is a duplicate or out of order")
        last = key
        at = _skip(data, end, depth)
    return at
