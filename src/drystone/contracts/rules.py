"""Rules built into the ledger that a profile may name for its readings; Starlark contracts come to stand beside them.

A rule is the reading handler of design section 5, `(context, old, record) -> events, or a refusal`: it sees declared
values only, so readings cannot conflict. Today there is one, `accept`, which takes every reading that the profile
fits. `ledger/apply.py` asks `RULES` for the profile's rule and knows none by name: a contract package will register
here under its own name, with a price in steps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Event(NamedTuple):
    """Something that subscribers are told: who says it, what it is called, and its data (CBOR values, no bytes)."""

    contract: str
    name: str
    data: dict[str, Any]


class ReadingContext(NamedTuple):
    """What a rule may know of the record beside its values."""

    iss: str
    subject: str
    epoch: int
    seq: int
    register: int | None
    placement: str


class RuleResult(NamedTuple):
    """What a rule decided: events to emit and the steps it cost."""

    events: tuple[Event, ...]
    steps: int


Rule = Callable[[ReadingContext, tuple[tuple[object, ...], ...]], RuleResult]

_ACCEPTED = RuleResult((), 0)


def accept(_context: ReadingContext, _content: tuple[tuple[object, ...], ...]) -> RuleResult:
    """Take the reading as it is: the profile's measurements and units were checked before."""
    return _ACCEPTED


RULES: dict[str, Rule] = {"accept": accept}

TAKES_ALL = frozenset({"accept"})
"""Rules that take every reading without a look at it and at no cost: they need not be called (tested)."""
