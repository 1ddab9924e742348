"""The guard: which syntax, names and calls a contract may hold, and what it calls through to.

A whitelist over the syntax tree. What is not listed is refused with file, line and rule. Function and builtin names
may stand only where they are called, so the call graph is known here and recursion is refused here; nothing may be
shadowed, so a name means one thing. Values that grow are not this file's business: `splice.py` wraps every operation
that can grow one.

Place in a contract's life: between source and splice, at submit and at load. Source: design section 5.
"""

import ast
from typing import Final, NamedTuple

from drystone.errors import ContractSource

BUILTINS: Final = frozenset(
    "abs all any bool dict enumerate int len list max min range reversed sorted str tuple type zip".split()
)
HOST: Final = frozenset({"get", "put", "delete", "scan", "emit", "fail", "call"})
"""What a call may ask of the ledger; a reading handler may use `fail` only."""
METHODS: Final = frozenset(
    "append clear endswith extend find get insert items join keys lower lstrip pop remove replace rsplit rstrip"
    " setdefault split startswith strip update upper values".split()
)
RESERVED: Final = frozenset(
    "and as assert async await break class continue def del elif else except finally for from global if import in is"
    " json lambda load nonlocal not or pass raise return struct True False None try while with yield".split()
)
PARAMETERS_MAX: Final = 16
FUNCTIONS_MAX: Final = 128

_STATEMENTS: Final = (
    ast.Return, ast.Assign, ast.AugAssign, ast.For, ast.If, ast.Pass, ast.Break, ast.Continue, ast.Expr,
)  # fmt: skip
_EXPRESSIONS: Final = (
    ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Name, ast.Constant, ast.List, ast.Tuple,
    ast.Dict, ast.Subscript, ast.Slice, ast.IfExp, ast.ListComp, ast.DictComp, ast.Attribute,
)  # fmt: skip
_OPERATORS: Final = (
    ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.LShift, ast.RShift,
    ast.BitAnd, ast.BitOr, ast.BitXor,
)  # fmt: skip
_COMPARISONS: Final = (
    ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn,
)  # fmt: skip


class Function(NamedTuple):
    """A function of a contract: its parameters, what it calls, and whether it asks the host."""

    node: ast.FunctionDef
    parameters: tuple[str, ...]
    required: int
    calls: frozenset[str]
    host: frozenset[str]


class Checked(NamedTuple):
    """A source that passed: its tree and functions, in an order in which each comes after those it calls."""

    name: str
    tree: ast.Module
    functions: dict[str, Function]

    def reach(self, function: str) -> frozenset[str]:
        """Return the host functions that `function` may use, directly or through others."""
        found = self.functions[function]
        return found.host.union(*(self.reach(name) for name in found.calls))


def check(name: str, tree: ast.Module) -> Checked:
    """Return the checked source.

    Raises:
        ContractSource: naming file, line and rule.
    """
    defined = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    names = {node.name for node in defined}
    if len(names) != len(defined):
        raise ContractSource(f"{name}:1: a function is defined twice")
    if len(defined) > FUNCTIONS_MAX:
        raise ContractSource(f"{name}:1: more than {FUNCTIONS_MAX} functions")
    constants = _module_names(name, tree, names)
    functions = {node.name: _Body(name, node, names, constants).check() for node in defined}
    return Checked(name, tree, _in_call_order(name, functions))


def _module_names(name: str, tree: ast.Module, functions: set[str]) -> set[str]:
    """Check what stands at the top: a docstring, constants, functions; return the constants' names."""
    constants: set[str] = set()
    for index, node in enumerate(tree.body):
        if isinstance(node, ast.FunctionDef):
            _check_name(name, node.lineno, node.name, taken=set())
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if not isinstance(target, ast.Name):
                raise ContractSource(f"{name}:{node.lineno}: a constant has one plain name")
            _check_name(name, node.lineno, target.id, taken=functions | constants)
            _check_literal(name, node.value)
            constants.add(target.id)
        elif not (index == 0 and _is_docstring(node)):
            raise ContractSource(
                f"{name}:{node.lineno}: only functions, constants and a docstring at the top"
            )
    return constants


def _check_literal(name: str, node: ast.expr) -> None:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant):
            _check_constant(name, part)
        elif not isinstance(
            part, ast.List | ast.Tuple | ast.Dict | ast.UnaryOp | ast.USub | ast.Load
        ):
            raise ContractSource(f"{name}:{node.lineno}: a constant is a literal")


def _check_constant(name: str, node: ast.Constant) -> None:
    if node.value is not None and type(node.value) not in (int, str, bool):
        raise ContractSource(
            f"{name}:{node.lineno}: {type(node.value).__name__} is not allowed; use integers"
        )


def _check_name(name: str, line: int, word: str, *, taken: set[str]) -> None:
    if word.startswith(("_", "entry_")):
        raise ContractSource(f"{name}:{line}: {word!r}: names may not start with _ or entry_")
    if word in taken or word in BUILTINS or word in HOST or word in RESERVED:
        raise ContractSource(f"{name}:{line}: {word!r} is taken")


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


class _Body:
    """One function's check."""

    def __init__(
        self, name: str, node: ast.FunctionDef, functions: set[str], constants: set[str]
    ) -> None:
        self._name = name
        self._node = node
        self._functions = functions
        self._taken = functions | constants
        self._known = set(constants)
        self._calls: set[str] = set()
        self._host: set[str] = set()
        self._called: set[int] = set()

    def check(self) -> Function:
        node = self._node
        parameters = self._parameters()
        self._known.update(parameters)
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                _check_name(self._name, part.lineno, part.id, taken=self._taken)
                self._known.add(part.id)
        for index, statement in enumerate(node.body):
            if not (index == 0 and _is_docstring(statement)):
                self._statement(statement)
        required = len(parameters) - len(node.args.defaults)
        return Function(node, parameters, required, frozenset(self._calls), frozenset(self._host))

    def _refuse(self, node: ast.AST, what: str) -> ContractSource:
        return ContractSource(f"{self._name}:{getattr(node, 'lineno', 1)}: {what}")

    def _parameters(self) -> tuple[str, ...]:
        node, args = self._node, self._node.args
        if node.decorator_list or node.returns or args.posonlyargs or args.kwonlyargs:
            raise self._refuse(node, "no decorators, annotations or special parameters")
        if args.vararg or args.kwarg or any(arg.annotation for arg in args.args):
            raise self._refuse(node, "plain parameters only, no * and no annotations")
        if len(args.args) > PARAMETERS_MAX:
            raise self._refuse(node, f"at most {PARAMETERS_MAX} parameters")
        for default in args.defaults:
            if not isinstance(default, ast.Constant):
                raise self._refuse(default, "a default is a plain constant")
            _check_constant(self._name, default)
        names = tuple(arg.arg for arg in args.args)
        for word in names:
            _check_name(self._name, node.lineno, word, taken=self._taken)
        return names

    def _statement(self, node: ast.stmt) -> None:
        if not isinstance(node, _STATEMENTS):
            raise self._refuse(node, f"{type(node).__name__} is not allowed in a contract")
        match node:
            case ast.Assign():
                if len(node.targets) != 1:
                    raise self._refuse(node, "assign to one target at a time")
                self._target(node.targets[0])
                self._expression(node.value)
            case ast.AugAssign():
                if not isinstance(node.target, ast.Name | ast.Subscript):
                    raise self._refuse(node, "assign to a name or an item")
                if node.target.lineno != node.target.end_lineno:
                    raise self._refuse(node, "the target of an assignment stands on one line")
                self._operator(node, node.op)
                self._target(node.target)
                self._expression(node.value)
            case ast.For():
                if node.orelse:
                    raise self._refuse(node, "no else after a loop")
                self._target(node.target)
                self._expression(node.iter)
                self._block(node.body)
            case ast.If():
                self._expression(node.test)
                self._block(node.body)
                self._block(node.orelse)
            case ast.Return():
                if node.value is not None:
                    self._expression(node.value)
            case ast.Expr():
                if not isinstance(node.value, ast.Call):
                    raise self._refuse(node, "an expression that nobody uses")
                self._expression(node.value)
            case _:
                pass

    def _block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self._statement(statement)

    def _target(self, node: ast.expr) -> None:
        if isinstance(node, ast.Tuple):
            for item in node.elts:
                if not isinstance(item, ast.Name):
                    raise self._refuse(item, "unpack into plain names")
        elif isinstance(node, ast.Subscript):
            if isinstance(node.slice, ast.Slice):
                raise self._refuse(node, "no assignment to a slice")
            self._expression(node.value)
            self._expression(node.slice)
        elif not isinstance(node, ast.Name):
            raise self._refuse(node, "assign to a name, an item or a tuple of names")

    def _operator(self, node: ast.AST, operator: ast.operator) -> None:
        if isinstance(operator, ast.Div):
            raise self._refuse(node, "/ makes floats; use // for whole numbers")
        if not isinstance(operator, _OPERATORS):
            raise self._refuse(node, f"operator {type(operator).__name__} is not allowed")

    def _expression(self, node: ast.expr) -> None:
        if not isinstance(node, _EXPRESSIONS):
            raise self._refuse(node, f"{type(node).__name__} is not allowed in a contract")
        match node:
            case ast.Constant():
                _check_constant(self._name, node)
            case ast.Name():
                self._name_read(node)
            case ast.Attribute():
                raise self._refuse(node, f".{node.attr} may only be called")
            case ast.Call():
                self._call(node)
            case ast.BinOp():
                self._operator(node, node.op)
                self._children(node)
            case ast.UnaryOp():
                if not isinstance(node.op, ast.Not | ast.USub):
                    raise self._refuse(node, f"operator {type(node.op).__name__} is not allowed")
                self._children(node)
            case ast.Compare():
                if len(node.ops) != 1 or not isinstance(node.ops[0], _COMPARISONS):
                    raise self._refuse(node, "one comparison at a time, and no `is`")
                self._children(node)
            case ast.Dict():
                if None in node.keys:
                    raise self._refuse(node, "no ** in a dict")
                self._children(node)
            case ast.ListComp() | ast.DictComp():
                for generator in node.generators:
                    if generator.is_async:
                        raise self._refuse(node, "async is not allowed")
                    self._target(generator.target)
                self._children(node)
            case _:
                self._children(node)

    def _children(self, node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.comprehension):
                self._expression(child.iter)
                for test in child.ifs:
                    self._expression(test)
            elif isinstance(child, ast.expr):
                self._expression(child)

    def _name_read(self, node: ast.Name) -> None:
        if node.id in self._functions or node.id in BUILTINS or node.id in HOST:
            raise self._refuse(node, f"{node.id!r} may only be called")
        if node.id not in self._known:
            raise self._refuse(node, f"{node.id!r} is not defined")

    def _call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Attribute):
            if function.attr not in METHODS:
                raise self._refuse(node, f".{function.attr}() is not allowed")
            if node.keywords:
                raise self._refuse(node, "methods take no named arguments")
            self._expression(function.value)
        elif isinstance(function, ast.Name):
            self._plain_call(node, function.id)
        else:
            raise self._refuse(node, "only functions by name and methods are called")
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                raise self._refuse(argument, "no * in a call")
            self._expression(argument)
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self._refuse(node, "no ** in a call")
            self._expression(keyword.value)

    def _plain_call(self, node: ast.Call, name: str) -> None:
        if name in self._functions:
            self._calls.add(name)
        elif name in HOST:
            self._host.add(name)
            if node.keywords:
                raise self._refuse(node, f"{name} takes no named arguments")
        elif name not in BUILTINS:
            raise self._refuse(node, f"{name!r} is no function of this contract")
        elif any(keyword.arg != "reverse" or name != "sorted" for keyword in node.keywords):
            raise self._refuse(node, f"{name} takes no such named argument")


def _in_call_order(name: str, functions: dict[str, Function]) -> dict[str, Function]:
    """Sort so that callees come first; a circle is recursion and refused."""
    done: dict[str, Function] = {}
    while len(done) < len(functions):
        ready = [key for key, f in functions.items() if key not in done and f.calls <= done.keys()]
        if not ready:
            stuck = next(f for key, f in functions.items() if key not in done)
            raise ContractSource(f"{name}:{stuck.node.lineno}: recursion is not allowed")
        done.update((key, functions[key]) for key in ready)
    return done
