"""The part of CDDL (RFC 8610) that docs/spec uses, checked against decoded values.

Types, choices, ranges, arrays, maps, occurrence, tags, `.size`, `.regexp`, `.cbor`, comments; no sockets, no generics, no
unwrapping. Regular expressions are anchored, as RFC 8610 wants them. A rule that names an unknown rule, or text outside
of the subset, raises SyntaxError; `tests/interop` holds the crate `cddl` against the same files and values.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from drystone.errors import Refused
from drystone.formats import cbor
from drystone.formats.cbor import Tag

Check = Callable[[object], bool]
TOKEN = re.compile(
    r'\s+|;[^\n]*|(?P<string>"[^"]*")|(?P<tag>#6\.\d+)|(?P<range>\.\.)|(?P<control>\.[a-z]+)'
    r"|(?P<number>-?\d+)|(?P<name>[A-Za-z_](?:[-.]*[A-Za-z0-9_])*)|(?P<sign>//|=>|[=/?*+{}\[\](),:])"
)
PRELUDE: dict[str, Check] = {
    "int": lambda v: type(v) is int,
    "uint": lambda v: type(v) is int and v >= 0,
    "nint": lambda v: type(v) is int and v < 0,
    "tstr": lambda v: isinstance(v, str),
    "bstr": lambda v: isinstance(v, bytes),
    "bool": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
}


@dataclass(frozen=True)
class Entry:
    """A member of a group: its occurrence, its key in a map, and its type or inner group."""

    low: int
    high: int
    key: Check | None
    value: Check | None
    group: "list[list[Entry]] | None"


def literal(expected: object) -> Check:
    """Return a check for exactly this value; 1 is not True."""
    return lambda value: type(value) is type(expected) and value == expected


class Specification:
    """Rules by name, from the text of one or more files."""

    def __init__(self, text: str) -> None:
        self.tokens = list(self.split(text))
        self.at = 0
        self.rules: dict[str, Check] = {}
        self.used: set[str] = set()
        while self.at < len(self.tokens):
            name = self.take("name")
            self.take("sign", "=")
            if name in self.rules:
                raise SyntaxError(f"{name} is defined twice")
            self.rules[name] = self.type()
        if unknown := self.used - self.rules.keys() - PRELUDE.keys():
            raise SyntaxError(f"undefined: {sorted(unknown)}")

    def holds(self, rule: str, data: bytes) -> bool:
        """Return whether the CBOR item `data` is what the rule says."""
        return self.rules[rule](cbor.decode(data))

    @staticmethod
    def split(text: str) -> Iterator[tuple[str, str]]:
        """Yield (kind, text) of each token."""
        at = 0
        while at < len(text):
            match = TOKEN.match(text, at)
            if match is None:
                raise SyntaxError(f"at {text[at : at + 40]!r}")
            if match.lastgroup:
                yield match.lastgroup, match[0]
            at = match.end()

    def peek(self, kind: str, *texts: str, ahead: int = 0) -> bool:
        """Return whether the token `ahead` is of this kind and one of these texts."""
        at = self.at + ahead
        if at >= len(self.tokens) or self.tokens[at][0] != kind:
            return False
        return not texts or self.tokens[at][1] in texts

    def take(self, kind: str, *texts: str) -> str:
        """Return the next token, which has to be of this kind and one of these texts."""
        if not self.peek(kind, *texts):
            raise SyntaxError(f"{kind} {texts} expected at {self.tokens[self.at : self.at + 4]}")
        self.at += 1
        return self.tokens[self.at - 1][1]

    def type(self) -> Check:
        """Parse a choice of types."""
        choices = [self.type1()]
        while self.peek("sign", "/"):
            self.at += 1
            choices.append(self.type1())
        return choices[0] if len(choices) == 1 else lambda v: any(check(v) for check in choices)

    def type1(self) -> Check:
        """Parse a type with its range or control."""
        if self.peek("range", ahead=1):
            low = int(self.take("number"))
            self.at += 1
            high = int(self.take("number"))
            return lambda v: type(v) is int and low <= v <= high
        check = self.type2()
        if not self.peek("control"):
            return check
        control = self.take("control")
        if control == ".size":
            count = int(self.take("number"))
            return lambda v: (
                check(v)
                and (
                    v < 256**count if isinstance(v, int) else len(v) == count  # type: ignore[operator, arg-type]
                )
            )
        if control == ".regexp":
            pattern = re.compile(self.take("string")[1:-1])
            return lambda v: isinstance(v, str) and pattern.fullmatch(v) is not None
        if control == ".cbor":
            inner = self.type2()
            return lambda v: isinstance(v, bytes) and self.inside(v, inner)
        raise SyntaxError(control)

    @staticmethod
    def inside(data: bytes, check: Check) -> bool:
        """Return whether the bytes hold one item that fits."""
        try:
            return check(cbor.decode(data))
        except Refused:
            return False

    def type2(self) -> Check:
        """Parse a literal, a name, a map, an array, a tag, or a type in parentheses."""
        if self.peek("number"):
            return literal(int(self.take("number")))
        if self.peek("string"):
            return literal(self.take("string")[1:-1])
        if self.peek("tag"):
            number = int(self.take("tag")[3:])
            self.take("sign", "(")
            inner = self.type()
            self.take("sign", ")")
            return lambda v: isinstance(v, Tag) and v.number == number and inner(v.value)
        if self.peek("name"):
            name = self.take("name")
            self.used.add(name)
            return lambda v: (self.rules.get(name) or PRELUDE[name])(v)
        opening = self.take("sign", "{", "[", "(")
        if opening == "(":
            check = self.type()
            self.take("sign", ")")
            return check
        group = self.group("}" if opening == "{" else "]")
        if opening == "{":
            return lambda v: isinstance(v, dict) and any(not rest for rest in in_map(group, v))
        return lambda v: isinstance(v, list) and len(v) in in_array(group, v, 0)

    def group(self, closing: str) -> list[list[Entry]]:
        """Parse a choice of entry lists up to the closing sign."""
        choices: list[list[Entry]] = [[]]
        while not self.peek("sign", closing):
            if self.peek("sign", "//"):
                self.at += 1
                choices.append([])
                continue
            choices[-1].append(self.entry())
            if self.peek("sign", ","):
                self.at += 1
        self.at += 1
        return choices

    def entry(self) -> Entry:
        """Parse one member."""
        low, high = self.occurrence()
        if self.peek("sign", "("):
            self.at += 1
            return Entry(low, high, None, None, self.group(")"))
        if self.peek("sign", ":", ahead=1):
            kind, text = self.tokens[self.at]
            self.at += 2
            key = literal(int(text) if kind == "number" else text.strip('"'))
            return Entry(low, high, key, self.type(), None)
        value = self.type()
        if self.peek("sign", "=>"):
            self.at += 1
            return Entry(low, high, value, self.type(), None)
        return Entry(low, high, None, value, None)

    def occurrence(self) -> tuple[int, int]:
        """Parse how often a member may stand."""
        many = 1 << 62
        if self.peek("sign", "?", "+"):
            return (0, 1) if self.take("sign") == "?" else (1, many)
        low = 0
        if self.peek("number") and self.peek("sign", "*", ahead=1):
            low = int(self.take("number"))
        elif not self.peek("sign", "*"):
            return 1, 1
        self.at += 1
        bounded = self.peek("number") and not self.peek("sign", ":", ahead=1)
        return low, int(self.take("number")) if bounded else many


def in_array(group: list[list[Entry]], items: list[object], start: int) -> set[int]:
    """Return where the group can end in `items` when it starts at `start`."""
    ends: set[int] = set()
    for choice in group:
        reached = {start}
        for entry in choice:
            reached = {end for at in reached for end in repeated(entry, items, at)}
        ends |= reached
    return ends


def repeated(entry: Entry, items: list[object], start: int) -> set[int]:
    """Return where `low` to `high` of the entry can end in `items`."""
    ends = {start} if entry.low == 0 else set()
    reached = {start}
    for count in range(1, min(entry.high, len(items) - start) + 1):
        if entry.group is not None:
            reached = {end for at in reached for end in in_array(entry.group, items, at)}
        else:
            assert entry.value is not None
            reached = {at + 1 for at in reached if at < len(items) and entry.value(items[at])}
        if count >= entry.low:
            ends |= reached
        if not reached:
            break
    return ends


def in_map(group: list[list[Entry]], pairs: dict[object, object]) -> Iterator[dict[object, object]]:
    """Yield what is left of `pairs` after each way the group can take its own."""
    for choice in group:
        left: list[dict[object, object]] = [pairs]
        for entry in choice:
            left = [rest for before in left for rest in taken(entry, before)]
        yield from left


def taken(entry: Entry, pairs: dict[object, object]) -> Iterator[dict[object, object]]:
    """Yield what is left of `pairs` after the entry took what is its."""
    if entry.group is not None:
        yield from in_map(entry.group, pairs)
        return
    assert entry.key is not None
    assert entry.value is not None
    keys = [key for key in pairs if entry.key(key)]
    if entry.low <= len(keys) <= entry.high and all(entry.value(pairs[key]) for key in keys):
        yield {key: value for key, value in pairs.items() if key not in keys}
