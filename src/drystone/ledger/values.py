"""What a contract keeps, in its two spellings: CBOR for the state, JSON for the crossing into the interpreter.

Lives here: each of them made from the other, fast for what contracts usually keep: flat maps of numbers and short
texts. The bytes are those of `formats/cbor`, the texts mean what `json.dumps` says (the interpreter sorts a map's keys
itself, so their order in the text means nothing); both tested. A text that was just seen is remembered under its bytes,
so that a device's value is not taken apart and put together again at its every reading. May not: decide anything.

Place in a record's life: inside `apply`, around a contract. Source: ADR 15.
"""

import json
from functools import lru_cache
from struct import Struct
from typing import Any, Final, NamedTuple, cast

from drystone.errors import ContractSize
from drystone.formats import cbor
from drystone.limits import CONTRACT_VALUE_BYTES_MAX, MEMO_ROWS_MAX

REMEMBERED_BYTES_MAX: Final = 2_048
"""Longer values are not remembered: the memory of all of them has a bound."""

WORD_BYTES_MAX: Final = 32
"""Longer texts are encoded anew each time."""


class _Shape(NamedTuple):
    """A map's keys, encoded and in the order of their bytes."""

    head: bytes
    pairs: tuple[tuple[str, bytes], ...]


_four: Final = Struct(">BI").pack
_eight: Final = Struct(">BQ").pack
_words: Final[dict[str, bytes]] = {}
_texts: Final[dict[bytes, str]] = {}
_shapes: Final[dict[tuple[str, ...], _Shape]] = {}


@lru_cache(maxsize=MEMO_ROWS_MAX)
def quoted(text: str) -> str:
    """Return a text as JSON."""
    return json.dumps(text)


def text_of(data: bytes | None) -> str:
    """Return a state value as JSON; `null` where there is none."""
    if data is None:
        return "null"
    text = _texts.get(data)
    if text is None:
        text = json.dumps(cbor.decode(data))
        remember(data, text)
    return text


def remember(data: bytes, text: str) -> None:
    """Remember that `text` is JSON of the value that `data` encodes."""
    if len(data) > REMEMBERED_BYTES_MAX:
        return
    if len(_texts) >= MEMO_ROWS_MAX:
        _texts.clear()
    _texts[data] = text


def encode_value(value: object) -> bytes:
    """Return a contract's value as state bytes: exactly `cbor.encode(value)`. Raises ContractSize."""
    out: list[bytes] = []
    _encode(value, out)
    data = b"".join(out)
    if len(data) > CONTRACT_VALUE_BYTES_MAX:
        raise ContractSize(f"a value of {len(data)} bytes, at most {CONTRACT_VALUE_BYTES_MAX}")
    return data


def _encode(value: object, out: list[bytes]) -> None:
    kind: type[object] = type(value)
    if kind is dict:
        pairs = cast("dict[str, object]", value)
        shape = _shapes.get(tuple(pairs)) or _learnt(tuple(pairs))
        out.append(shape.head)
        for key, name in shape.pairs:
            item = pairs[key]
            sort = type(item)
            if sort is int and 0 <= (number := cast("int", item)) < 1 << 64:
                if number < 1 << 16:
                    out += (name, cbor.head(cbor.UINT, number))
                else:  # The same, without a call: times and counters are most of what contracts keep.
                    out += (name, _four(26, number) if number < 1 << 32 else _eight(27, number))
            elif sort is str:
                text = cast("str", item)
                out += (name, _words.get(text) or _word(text))
            else:
                out.append(name)
                _encode(item, out)
    elif kind is str:
        out.append(_word(cast("str", value)))
    elif kind is int and 0 <= (number := cast("int", value)) < 1 << 64:
        out.append(cbor.head(cbor.UINT, number))
    elif kind is list:
        items = cast("list[object]", value)
        out.append(cbor.head(cbor.ARRAY, len(items)))
        for item in items:
            _encode(item, out)
    else:
        out.append(cbor.encode(cast("Any", value)))


def _word(text: str) -> bytes:
    """Return a text encoded; a short one is remembered, names and kinds come with every reading."""
    raw = text.encode()
    data = cbor.head(cbor.TEXT, len(raw)) + raw
    if len(raw) <= WORD_BYTES_MAX:
        if len(_words) >= MEMO_ROWS_MAX:
            _words.clear()
        _words[text] = data
    return data


def _learnt(keys: tuple[str, ...]) -> _Shape:
    """Remember the order of a map's keys; keys that come from data make as many shapes as there are data."""
    pairs = tuple(sorted(((key, cbor.encode(key)) for key in keys), key=lambda pair: pair[1]))
    shape = _Shape(cbor.head(cbor.MAP, len(keys)), pairs)
    if len(_shapes) >= MEMO_ROWS_MAX:
        _shapes.clear()
    _shapes[keys] = shape
    return shape
