"""What kind of value an expression surely has: so that the splice need not ask again when the contract runs.

Sure means: whenever the expression ends with a value at all, it is of this kind. A local name has a kind when all that
is ever assigned to it in its function has it, in whatever order; a parameter and what a loop brings have none, save the
numbers of a `range`. Lives here: these kinds. May not: look at two functions together, or guess.

Place in a contract's life: between guard and interpreter, under `splice.py`. Source: ADR 28.
"""

import ast
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, cast

Kind: TypeAlias = Literal["int", "string", "bool", "none"] | None
"""None: any."""

_UNSET: Final = "unset"
_CALLS: Final[dict[str, Kind]] = {
    "abs": "int", "all": "bool", "any": "bool", "bool": "bool", "int": "int", "len": "int", "str": "string",
    "type": "string",
}  # fmt: skip
_METHODS: Final[dict[str, Kind]] = {
    "endswith": "bool", "find": "int", "join": "string", "lower": "string", "lstrip": "string", "replace": "string",
    "rstrip": "string", "startswith": "bool", "strip": "string", "upper": "string",
}  # fmt: skip
_NUMBERS: Final = (
    ast.Sub, ast.FloorDiv, ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr, ast.BitXor,
)  # fmt: skip
"""Operators that give a number or fail."""


class Kinds:
    """The kinds of one function's expressions (None: of what stands outside all); `constants` are the module's."""

    def __init__(self, function: ast.FunctionDef | None, constants: Mapping[str, ast.expr]) -> None:
        self._constants = constants
        self._names: dict[str, object] = {}
        assigned, unknown = ({}, set[str]()) if function is None else _assignments(function)
        self._names.update(dict.fromkeys(unknown))
        for name in assigned.keys() - unknown:
            self._names[name] = _UNSET
        changed = True
        while changed:
            changed = False
            for name in assigned.keys() - unknown:
                found: object = _UNSET
                for value in assigned[name]:
                    found = _join(found, self._of(value))
                if found != self._names[name]:
                    self._names[name] = found
                    changed = True

    def of(self, node: ast.expr) -> Kind:
        """Return the kind of an expression of this function."""
        found = self._of(node)
        return None if found == _UNSET else cast("Kind", found)

    def number(self, node: ast.expr) -> int | None:
        """Return the whole number that stands here, written or under a constant's name; None for anything else."""
        if isinstance(node, ast.Name) and node.id not in self._names:
            node = self._constants.get(node.id, node)
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return node.value
        return None

    def _of(self, node: ast.expr) -> object:
        match node:
            case ast.Constant(value=value):
                return _kind_of_constant(value)
            case ast.Name(id=name):
                if name in self._names:
                    return self._names[name]
                literal = self._constants.get(name)
                return None if literal is None else self._of(literal)
            case ast.BinOp():
                return self._of_operator(node.op, self._of(node.left), self._of(node.right))
            case ast.UnaryOp(op=op):
                return "bool" if isinstance(op, ast.Not) else "int"
            case ast.Compare():
                return "bool"
            case ast.BoolOp(values=values):
                return self._of_all(values)
            case ast.IfExp(body=body, orelse=orelse):
                return self._of_all([body, orelse])
            case ast.Call(func=ast.Name(id=name)):
                return _CALLS.get(name)
            case ast.Call(func=ast.Attribute(attr=name)):
                return _METHODS.get(name)
            case ast.Subscript(value=ast.Name(id=name), slice=index):
                literal = self._constants.get(name)
                if isinstance(literal, ast.List) and not isinstance(index, ast.Slice):
                    return self._of_all(literal.elts) if literal.elts else None
                return None
            case _:
                return None

    def _of_all(self, nodes: list[ast.expr]) -> object:
        found: object = _UNSET
        for node in nodes:
            found = _join(found, self._of(node))
        return found

    def _of_operator(self, op: ast.operator, left: object, right: object) -> object:
        if isinstance(op, _NUMBERS):
            return "int"
        if isinstance(op, ast.Add):
            # A number and a text are added to their own kind only.
            for kind in ("int", "string"):
                if kind in (left, right):
                    return kind
            return _UNSET if _UNSET in (left, right) else None
        if isinstance(op, ast.Mod):
            return left if left in ("int", "string", _UNSET) else None
        if left == right == "int":
            return "int"
        return _UNSET if {left, right} <= {"int", _UNSET} else None


def _kind_of_constant(value: object) -> object:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "bool"
    return "int" if isinstance(value, int) else "string"


def _join(one: object, other: object) -> object:
    if _UNSET in (one, other):
        return other if one == _UNSET else one
    return one if one == other else None


def _assignments(function: ast.FunctionDef) -> tuple[dict[str, list[ast.expr]], set[str]]:
    """Return what is assigned to each name, and the names of which nothing is known."""
    assigned: dict[str, list[ast.expr]] = {}
    unknown = {arg.arg for arg in function.args.args}
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                assigned.setdefault(name, []).append(value)
            case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                whole = ast.BinOp(ast.Name(target.id, ast.Load()), op, value)
                assigned.setdefault(name, []).append(whole)
            case ast.For(target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range"))):
                assigned.setdefault(name, []).append(ast.Constant(0))
            case ast.Assign(targets=[target]) | ast.For(target=target):
                unknown |= _names_in(target)
            case ast.comprehension(target=target):
                unknown |= _names_in(target)
            case _:
                pass
    return assigned, unknown


def _names_in(target: ast.expr) -> set[str]:
    """Return the names that an assignment's target sets."""
    return {
        node.id
        for node in ast.walk(target)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
