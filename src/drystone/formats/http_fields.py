"""Structured field values of HTTP (RFC 9651): dictionaries, inner lists, items, parameters; read strictly.

Lives here: the part that message signatures and digests use. Integers, strings, tokens, byte sequences and booleans;
no decimals, dates or display strings: a field that holds one is refused. May not: know any field's meaning.

Source: RFC 9651 sections 3 and 4 (which updates RFC 8941).
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

from drystone.errors import FieldMalformed

FIELD_LENGTH_MAX: Final = 8_192
"""Characters of one field that are read."""

MEMBERS_MAX: Final = 32
"""Members of a dictionary, items of an inner list, parameters of one of them."""

_KEY: Final = re.compile(r"[a-z*][a-z0-9_\-.*]*")
_INTEGER: Final = re.compile(r"-?[0-9]{1,15}(?![0-9.])")
_STRING: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_TOKEN: Final = re.compile(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*")
_BYTES: Final = re.compile(r":([A-Za-z0-9+/=]*):")
_SPACES: Final = re.compile(r" *")
_BETWEEN: Final = re.compile(r"[ \t]*,[ \t]*")


class Token(str):
    """A token: text that stands without quotes."""

    __slots__ = ()


Bare: TypeAlias = int | str | bytes | bool
"""An item's value; a `Token` is a `str` of its own kind."""

Parameters: TypeAlias = dict[str, Bare]


class Item(NamedTuple):
    """A value with its parameters."""

    value: Bare
    params: Parameters


class InnerList(NamedTuple):
    """Items in brackets, and the parameters of the whole."""

    items: tuple[Item, ...]
    params: Parameters


Member: TypeAlias = Item | InnerList


def parse_dictionary(text: str) -> dict[str, Member]:
    """Read a dictionary, its members in order; an empty text is an empty one.

    Stricter than the RFC in one thing: a key that stands twice is refused. Raises FieldMalformed.
    """
    if len(text) > FIELD_LENGTH_MAX or not text.isascii():
        raise FieldMalformed(
            f"a field of {len(text)} characters, {FIELD_LENGTH_MAX} of ASCII are read"
        )
    read = _Reader(text.strip(" "))
    found: dict[str, Member] = {}
    while not read.at_end():
        key = read.key()
        if key in found or len(found) >= MEMBERS_MAX:
            raise FieldMalformed(f"member {key!r} stands twice or is one too many")
        found[key] = read.member() if read.take("=") else Item(value=True, params=read.parameters())
        if read.at_end():
            break
        if not read.match(_BETWEEN) or read.at_end():
            raise FieldMalformed(f"a comma and another member are expected at {read.at}")
    return found


def serialize_inner_list(items: tuple[Item, ...], params: Mapping[str, Bare]) -> str:
    """Return an inner list in its one spelling."""
    return f"({' '.join(map(serialize_item, items))}){_serialize_params(params)}"


def serialize_item(item: Item) -> str:
    """Return an item in its one spelling."""
    return serialize_bare(item.value) + _serialize_params(item.params)


def serialize_bare(value: Bare) -> str:
    """Return a value in its one spelling. Raises FieldMalformed for text that no string can hold."""
    if isinstance(value, bool):
        return f"?{int(value)}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return f":{base64.b64encode(value).decode()}:"
    if isinstance(value, Token):
        return str(value)
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    if not _STRING.fullmatch(f'"{quoted}"'):
        raise FieldMalformed("a string of a field holds printable ASCII only")
    return f'"{quoted}"'


def _serialize_params(params: Mapping[str, Bare]) -> str:
    return "".join(
        f";{key}" if value is True else f";{key}={serialize_bare(value)}"
        for key, value in params.items()
    )


class _Reader:
    """A text and how far it has been read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def at_end(self) -> bool:
        return self.at >= len(self.text)

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def take(self, character: str) -> bool:
        if self.text.startswith(character, self.at):
            self.at += 1
            return True
        return False

    def key(self) -> str:
        found = self.match(_KEY)
        if found is None:
            raise FieldMalformed(f"a key is expected at {self.at}")
        return found[0]

    def member(self) -> Member:
        if not self.take("("):
            return self.item()
        items: list[Item] = []
        while True:
            self.match(_SPACES)
            if self.take(")"):
                return InnerList(tuple(items), self.parameters())
            if len(items) >= MEMBERS_MAX:
                raise FieldMalformed(f"an inner list has at most {MEMBERS_MAX} items")
            items.append(self.item())
            if self.text[self.at : self.at + 1] not in {" ", ")"}:
                raise FieldMalformed(f"a space or ) is expected at {self.at}")

    def item(self) -> Item:
        return Item(self.bare(), self.parameters())

    def parameters(self) -> Parameters:
        found: Parameters = {}
        while self.take(";"):
            self.match(_SPACES)
            key = self.key()
            if key in found or len(found) >= MEMBERS_MAX:
                raise FieldMalformed(f"parameter {key!r} stands twice or is one too many")
            found[key] = self.bare() if self.take("=") else True
        return found

    def bare(self) -> Bare:
        if found := self.match(_INTEGER):
            return int(found[0])
        if found := self.match(_STRING):
            return re.sub(r"\\(.)", r"\1", found[1])
        if found := self.match(_TOKEN):
            return Token(found[0])
        if found := self.match(_BYTES):
            try:
                return base64.b64decode(found[1], validate=True)
            except binascii.Error as error:
                raise FieldMalformed(f"no base64 before {self.at}") from error
        if self.take("?") and self.text[self.at : self.at + 1] in {"0", "1"}:
            self.at += 1
            return self.text[self.at - 1] == "1"
        raise FieldMalformed(f"a value is expected at {self.at}")
