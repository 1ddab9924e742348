"""The splice: a checked source rewritten so that every step is counted and every value bounded, line by line.

Text is inserted by position, never re-printed, so line numbers in an error are the author's. Each function gets a
hidden first parameter, the meter; a call pays the static cost of what it calls, a loop pays its length times the cost
of its body before it starts; every operator and method that can grow a value becomes a helper of `prelude.py`. What is
paid is an upper bound that depends on the source and the lengths alone, never on the interpreter.

An operation stays as the author wrote it where nothing can go wrong but what the interpreter itself refuses: where a
kind is sure (`kinds.py`), a plain comparison, subtraction or division is no helper's. A sum of numbers is held against
256 bits where it leaves its expression, not at each sign in it.

Place in a contract's life: between guard and interpreter. Source: design section 5.
"""

import ast
import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

from drystone.contracts.guard import BUILTINS, HOST, Checked
from drystone.contracts.kinds import Kinds

METER: Final = "_m"
_BINARY: Final[dict[type[ast.operator], tuple[str, str]]] = {
    ast.Add: ("+", "_add"), ast.Sub: ("-", "_sub"), ast.Mult: ("*", "_mul"),
    ast.FloorDiv: ("//", "_fdiv"), ast.Mod: ("%", "_mod"), ast.LShift: ("<<", "_shl"),
    ast.RShift: (">>", "_shr"), ast.BitAnd: ("&", "_and"), ast.BitOr: ("|", "_or"),
    ast.BitXor: ("^", "_xor"),
}  # fmt: skip
_COMPARE: Final[dict[type[ast.cmpop], tuple[str, str]]] = {
    ast.Eq: ("==", "_eq"), ast.NotEq: ("!=", "_ne"), ast.Lt: ("<", "_lt"), ast.LtE: ("<=", "_le"),
    ast.Gt: (">", "_gt"), ast.GtE: (">=", "_ge"), ast.In: ("in", "_in"),
    ast.NotIn: ("not in", "_not_in"),
}  # fmt: skip
_PLAIN_BUILTINS: Final = frozenset({"abs", "bool", "len", "type"})
"""Builtins that make nothing large and walk nothing."""
_DIVISOR_MIN: Final = 1024
"""A divisor that makes up for what a sum of one statement's length can be above 256 bits."""
_COMMENT: Final = re.compile(r"#[^\n]*")


def splice(source: str, checked: Checked) -> str:
    """Return the metered source: as many lines as before, each statement on its own line."""
    return _Splicer(source, checked).whole()


def entry_costs(checked: Checked) -> dict[str, int]:
    """Return what a call of each function costs before its loops."""
    return {name: _cost(function.node.body) for name, function in checked.functions.items()}


def loop_costs(checked: Checked) -> dict[str, list[tuple[int, int]]]:
    """Return the loops of each function in source order: line, and what one turn costs, inner loops by themselves."""
    found: dict[str, list[tuple[int, int]]] = {}
    for name, function in checked.functions.items():
        loops = found[name] = []
        loops += [
            (node.lineno, _turn_cost(node))
            for node in ast.walk(function.node)
            if isinstance(node, ast.For | ast.ListComp | ast.DictComp)
        ]
        loops.sort()
    return found


def _turn_cost(node: ast.For | ast.ListComp | ast.DictComp) -> int:
    """Count what one turn of a loop or a comprehension pays."""
    if isinstance(node, ast.For):
        return _cost(node.body) + 1
    results = [node.elt] if isinstance(node, ast.ListComp) else [node.key, node.value]
    return _cost([*results, *(test for g in node.generators for test in g.ifs)]) + 2


def _cost(nodes: Iterable[ast.AST]) -> int:
    """Count the nodes that run once, and not those of loops within."""
    total = 0
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        total += 1
        if isinstance(node, ast.For):
            waiting += [node.target, node.iter]
        elif isinstance(node, ast.ListComp | ast.DictComp):
            waiting.append(node.generators[0].iter)
        elif not isinstance(node, ast.Load | ast.Store | ast.FunctionDef):
            waiting += ast.iter_child_nodes(node)
    return total


class _Splicer:
    def __init__(self, source: str, checked: Checked) -> None:
        self._source = source
        self._checked = checked
        self._costs = entry_costs(checked)
        self._constants = {
            node.targets[0].id: node.value
            for node in checked.tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        self._kinds = Kinds(None, self._constants)
        self._loose: set[tuple[int, int]] = set()
        """Where sums stand that go straight into an operation that makes them small again."""
        lengths = (len(line) + 1 for line in source.split("\n"))
        self._starts = list(accumulate(lengths, initial=0))

    def whole(self) -> str:
        return self._pieces(0, len(self._source), self._checked.tree.body)

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.end_lineno - 1] + node.end_col_offset

    def _at(self, node: ast.expr) -> tuple[int, int]:
        return self._start(node), self._end(node)

    def _pieces(self, start: int, end: int, nodes: Iterable[ast.expr | ast.stmt]) -> str:
        """Return the source from `start` to `end` with each of `nodes` rewritten."""
        out: list[str] = []
        at = start
        for node in sorted(nodes, key=self._start):
            out += [self._source[at : self._start(node)], self._node(node)]
            at = self._end(node)
        out.append(self._source[at:end])
        return "".join(out)

    def _node(self, node: ast.expr | ast.stmt) -> str:
        match node:
            case ast.FunctionDef():
                return self._function(node)
            case ast.AugAssign():
                return self._augmented(node)
            case ast.For():
                return self._loop(node)
            case ast.BinOp():
                return self._binary(node)
            case ast.Compare():
                return self._compare(node)
            case ast.Call():
                return self._call(node)
            case ast.Subscript():
                return self._subscript(node)
            case ast.Dict():
                return self._dict(node)
            case ast.ListComp():
                return self._comprehension(node, [node.elt])
            case ast.DictComp():
                return self._comprehension(node, [node.key, node.value])
            case _:
                return self._plain(node)

    def _plain(self, node: ast.expr | ast.stmt) -> str:
        children = [c for c in ast.iter_child_nodes(node) if isinstance(c, ast.expr | ast.stmt)]
        return self._pieces(self._start(node), self._end(node), children)

    def _function(self, node: ast.FunctionDef) -> str:
        self._kinds = Kinds(node, self._constants)
        start = self._start(node)
        opening = self._source.index("(", start) + 1
        hidden = f"{METER}, " if node.args.args else METER
        body = self._pieces(opening, self._end(node), node.body)
        return self._source[start:opening] + hidden + body

    def _binary(self, node: ast.BinOp) -> str:
        kinds, op = self._kinds, node.op
        left, right = kinds.of(node.left), kinds.of(node.right)
        if isinstance(op, ast.Sub) or (isinstance(op, ast.Add) and "int" in (left, right)):
            loose = self._at(node) in self._loose
            self._loosen(node.left, node.right)
            return self._plain(node) if loose else f"_i({self._plain(node)})"
        if isinstance(op, ast.Mult) and left == right == "int":
            return (
                self._plain(node) if self._at(node) in self._loose else f"_i({self._plain(node)})"
            )
        if isinstance(op, ast.FloorDiv):
            if (kinds.number(node.right) or 0) >= _DIVISOR_MIN:
                self._loosen(node.left)
            return self._plain(node)
        if isinstance(op, ast.Mod) and left == "int":
            self._loosen(node.left)
            return self._plain(node)
        return self._infix(node, node.left, node.right, *_BINARY[type(op)])

    def _loosen(self, *nodes: ast.expr) -> None:
        """Let sums and differences among `nodes` be as large as they come."""
        for node in nodes:
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
                self._loose.add(self._at(node))

    def _compare(self, node: ast.Compare) -> str:
        left, op, right = node.left, node.ops[0], node.comparators[0]
        one, other = self._kinds.of(left), self._kinds.of(right)
        equality = isinstance(op, ast.Eq | ast.NotEq)
        order = isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE)
        if (equality and (one or other)) or (order and {one, other} & {"int", "string"}):
            self._loosen(left, right)
            for side in (left, right):
                if isinstance(side, ast.BinOp) and isinstance(side.op, ast.Mult):
                    self._loose.add(self._at(side))
            return self._plain(node)
        return self._infix(node, left, right, *_COMPARE[type(op)])

    def _operator_at(self, start: int, end: int, symbol: str) -> tuple[int, int]:
        """Find the operator between two operands, past brackets and comments."""
        gap = _COMMENT.sub(lambda m: " " * len(m.group()), self._source[start:end])
        pattern = r"not\s+in" if symbol == "not in" else re.escape(symbol)
        found = re.search(pattern, gap)
        assert found is not None, "the parser saw an operator here"
        return start + found.start(), start + found.end()

    def _infix(
        self, node: ast.expr, left: ast.expr, right: ast.expr, symbol: str, helper: str
    ) -> str:
        at, after = self._operator_at(self._end(left), self._start(right), symbol)
        lines = "\n" * self._source.count("\n", at, after)
        first = self._pieces(self._start(node), at, [left])
        second = self._pieces(after, self._end(node), [right])
        return f"{helper}({METER}, {first},{lines}{second})"

    def _augmented(self, node: ast.AugAssign) -> str:
        symbol, helper = _BINARY[type(node.op)]
        target = self._node(node.target)
        _, after = self._operator_at(self._end(node.target), self._start(node.value), symbol + "=")
        value = self._pieces(after, self._end(node), [node.value])
        if isinstance(node.op, ast.Sub) or (
            isinstance(node.op, ast.Add)
            and "int" in (self._kinds.of(node.target), self._kinds.of(node.value))
        ):
            return f"{target} = _i({target} {symbol} ({value}))"
        return f"{target} = {helper}({METER}, {target}, {value})"

    def _paid(self, iterable: ast.expr, cost: int) -> str:
        return f"_loop({METER}, {self._node(iterable)}, {cost})"

    def _loop(self, node: ast.For) -> str:
        head = self._source[self._start(node) : self._start(node.iter)]
        paid = self._paid(node.iter, _turn_cost(node))
        return head + paid + self._pieces(self._end(node.iter), self._end(node), node.body)

    def _comprehension(self, node: ast.ListComp | ast.DictComp, results: list[ast.expr]) -> str:
        inner = _turn_cost(node)
        parts: dict[int, tuple[int, str]] = {}
        for result in results:
            text = self._node(result)
            if isinstance(node, ast.DictComp) and result is node.key:
                text = f"_k({METER}, {text})"
            parts[self._start(result)] = (self._end(result), text)
        for generator in node.generators:
            iterable = generator.iter
            parts[self._start(iterable)] = (self._end(iterable), self._paid(iterable, inner))
            for test in generator.ifs:
                parts[self._start(test)] = (self._end(test), self._node(test))
        return self._replaced(node, parts)

    def _replaced(self, node: ast.expr, parts: dict[int, tuple[int, str]]) -> str:
        out: list[str] = []
        at = self._start(node)
        for start, (end, text) in sorted(parts.items()):
            out += [self._source[at:start], text]
            at = end
        out.append(self._source[at : self._end(node)])
        return "".join(out)

    def _dict(self, node: ast.Dict) -> str:
        parts: dict[int, tuple[int, str]] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            assert key is not None, "the guard refuses ** in a dict"
            parts[self._start(key)] = (self._end(key), self._key(key))
            parts[self._start(value)] = (self._end(value), self._node(value))
        return self._replaced(node, parts)

    def _key(self, node: ast.expr) -> str:
        if self._kinds.of(node) is not None:
            return self._node(node)
        return f"_k({METER}, {self._node(node)})"

    def _subscript(self, node: ast.Subscript) -> str:
        at = self._source.index("[", self._end(node.value))
        value = self._pieces(self._start(node), at, [node.value])
        if not isinstance(node.slice, ast.Slice):
            start, end = self._start(node.slice), self._end(node.slice)
            tail = (
                self._source[at:start] + self._key(node.slice) + self._source[end : self._end(node)]
            )
            return value + tail
        bounds = [b for b in (node.slice.lower, node.slice.upper, node.slice.step) if b is not None]
        return f"_slice({METER}, {value})" + self._pieces(at, self._end(node), bounds)

    def _call(self, node: ast.Call) -> str:
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        function = node.func
        opening = self._source.index("(", self._end(function)) + 1
        rest = self._pieces(opening, self._end(node), arguments)
        comma = ", " if arguments else ""
        if isinstance(function, ast.Attribute):
            if function.attr == "get" and node.args and self._kinds.of(node.args[0]) is not None:
                return self._plain(node)
            dot = self._source.rindex(".", self._end(function.value), self._end(function))
            value = self._pieces(self._start(node), dot, [function.value])
            lines = "\n" * self._source.count("\n", dot, opening)
            return f"_x_{function.attr}({METER}, {value}{lines}{comma}{rest}"
        assert isinstance(function, ast.Name)
        name = function.id
        if name in _PLAIN_BUILTINS:
            return self._plain(node)
        if name in BUILTINS:
            return f"_b_{name}({METER}{comma}{rest}"
        if name in HOST:
            return f"_h_{name}({METER}{comma}{rest}"
        return f"{name}(_t({METER}, {self._costs[name]}){comma}{rest}"
