"""A call's arguments, read strictly: every name once, of one type, and none left over.

Values that cross into a call are int, str, bool, list and dict with str keys; bytes cross as lower-case hex.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from drystone.errors import ArgumentsMalformed

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}", re.ASCII)
HEX = re.compile(r"(?:[0-9a-f]{2})*")
TEXT_LENGTH_MAX = 256


class Arguments:
    """One map of arguments; each method takes one name out, `finish` refuses what is left."""

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, Mapping):
            raise ArgumentsMalformed(f"{where}: a map is expected")
        self._left: dict[str, Any] = dict(values)  # pyright: ignore[reportUnknownArgumentType] - a CBOR map
        self._where = where

    def _take(self, name: str) -> Any:
        if name not in self._left:
            raise ArgumentsMalformed(f"{self._where}: {name!r} is missing")
        return self._left.pop(name)

    def _refuse(self, name: str, expected: str) -> ArgumentsMalformed:
        return ArgumentsMalformed(f"{self._where}: {name!r} must be {expected}")

    def has(self, name: str) -> bool:
        """Say whether an optional argument is there and not yet taken."""
        return name in self._left

    def identifier(self, name: str) -> str:
        """Take an id: 1 to 48 characters of `A-Za-z0-9._-`, alphanumeric first."""
        value = self._take(name)
        if not isinstance(value, str) or not ID.fullmatch(value):
            raise self._refuse(name, "an id of 1 to 48 characters A-Z a-z 0-9 . _ -")
        return value

    def text(self, name: str) -> str:
        """Take a text of 1 to 256 characters."""
        value = self._take(name)
        if not isinstance(value, str) or not 0 < len(value) <= TEXT_LENGTH_MAX:
            raise self._refuse(name, f"a text of 1 to {TEXT_LENGTH_MAX} characters")
        return value

    def raw_text(self, name: str) -> str:
        """Take a text of any length; the call's own size bounds it."""
        value = self._take(name)
        if not isinstance(value, str):
            raise self._refuse(name, "a text")
        return value

    def of_kind(self, name: str, kind: str) -> Any:
        """Take an argument of a contract's call: `bool`, `hex`, `id`, `int`, `list`, `map` or `text`."""
        if kind == "id":
            return self.identifier(name)
        if kind == "hex":
            return self.octets(name).hex()
        value = self._take(name)
        expected = {"bool": bool, "int": int, "list": list, "map": dict, "text": str}[kind]
        if not isinstance(value, expected) or (kind == "int" and isinstance(value, bool)):
            raise self._refuse(name, f"a {kind}")
        return cast("Any", value)

    def integer(self, name: str, *, low: int, high: int) -> int:
        """Take an integer within bounds, both included."""
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._refuse(name, f"an integer from {low} to {high}")
        return value

    def octets(self, name: str) -> bytes:
        """Take bytes, given as lower-case hex."""
        value = self._take(name)
        if not isinstance(value, str) or not HEX.fullmatch(value):
            raise self._refuse(name, "lower-case hex")
        return bytes.fromhex(value)

    def items(self, name: str, *, most: int) -> list[Any]:
        """Take a list of 1 to `most` items."""
        value = self._take(name)
        if not isinstance(value, list) or not 0 < len(value) <= most:  # pyright: ignore[reportUnknownArgumentType]
            raise self._refuse(name, f"a list of 1 to {most} items")
        return value  # pyright: ignore[reportUnknownVariableType]

    def mapping(self, name: str) -> object:
        """Take a nested map, to be read by `Arguments` of its own (which checks that it is one)."""
        return self._take(name)

    def choice(self, name: str, choices: frozenset[str]) -> str:
        """Take one of the texts in `choices`."""
        value = self._take(name)
        if not isinstance(value, str) or value not in choices:
            raise self._refuse(name, f"one of {', '.join(sorted(choices))}")
        return value

    def finish(self) -> None:
        """Refuse arguments that nobody took: a misspelt option must not pass silently."""
        if self._left:
            raise ArgumentsMalformed(f"{self._where}: unknown {sorted(self._left)}")
