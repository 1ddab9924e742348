"""What a reading's handler looks at: the names of its context that its text can ask for.

A name that nothing asks for need not cross. Asked is what stands as `ctx["name"]`, in the handler or in a function that
it hands its context on to; where the context goes anywhere else (into a value, a loop, a comparison, under another
name), everything is asked. Lives here: this reading of a checked source. May not: change what a handler computes, what
it costs in steps, or where it fails; a name that is not there is not there either way.

Place in a contract's life: when it is compiled. Source: ADR 28.
"""

import ast
from typing import Final

from drystone.contracts.guard import Checked

CONTEXT: Final = (
    *("attested", "epoch", "gateway", "height", "iss", "placed"),
    *("reads", "record", "register", "seq", "sub", "time_ms"),
)
"""All names of a reading's context, in their order."""


def context_names(checked: Checked, function: str) -> tuple[str, ...]:
    """Return the names of the context that `function`, the handler, can ask for, sorted."""
    asked = _asked(checked, function, 0, {})
    return CONTEXT if asked is None else tuple(name for name in CONTEXT if name in asked)


def _asked(
    checked: Checked,
    function: str,
    place: int,
    known: dict[tuple[str, int], frozenset[str] | None],
) -> frozenset[str] | None:
    """Return what one parameter of a function is asked for, None for all; calls make no circle (guard)."""
    if (function, place) in known:
        return known[function, place]
    found = known[function, place] = _asked_here(checked, function, place, known)
    return found


def _asked_here(
    checked: Checked,
    function: str,
    place: int,
    known: dict[tuple[str, int], frozenset[str] | None],
) -> frozenset[str] | None:
    called = checked.functions[function]
    if place >= len(called.parameters):
        return None
    name = called.parameters[place]
    asked: set[str] = set()
    seen = 0
    for node in ast.walk(called.node):
        if isinstance(node, ast.Subscript) and _is(node.value, name):
            if not _asks(node):
                return None
            seen += 1
            asked.add(_text(node.slice))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            for at, argument in enumerate(node.args):
                if not _is(argument, name):
                    continue
                if node.func.id not in checked.functions:
                    return None
                below = _asked(checked, node.func.id, at, known)
                if below is None:
                    return None
                seen += 1
                asked |= below
    uses = sum(_is(node, name) for node in ast.walk(called.node))
    return frozenset(asked) if uses == seen else None


def _is(node: ast.AST, name: str) -> bool:
    """Whether this is the parameter itself, read or set."""
    return isinstance(node, ast.Name) and node.id == name


def _asks(node: ast.Subscript) -> bool:
    """Whether this reads one name that stands in the text."""
    return (
        isinstance(node.ctx, ast.Load)
        and isinstance(node.slice, ast.Constant)
        and type(node.slice.value) is str
    )


def _text(node: ast.expr) -> str:
    assert isinstance(node, ast.Constant)
    return str(node.value)
