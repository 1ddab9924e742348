"""Goal: no check in the proof room is idle. Method: take each one out of the source, and some vector must then fail.

A check is an `if` whose body raises, a call statement of something named `check_*` or `verify_*` (or `.verify`), a
reader that bounds a value (`read_uint`, `read_bytes`, `check_id` ...), a refusing `case _`, or one side of an `and` or
`or` in a condition that raises. The changed room is loaded beside the real one, which stays as it is.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from proof_vectors import Vector, code_of, facts_of, trust_vectors, vectors

import drystone.proof
from drystone.errors import DrystoneError
from drystone.proof.verdict import Verdict

ROOM = Path(drystone.proof.__file__).parent
ORDER = ("block", "trust", "finality", "interval", "receipt", "completeness", "verify")
READERS = {"read_uint", "read_bytes", "check_id", "_uint", "_hash", "_id", "_text", "_hexadecimal"}
CHECKS = ("check_", "_check_", "verify_", "_verify_", "_integer")

IDLE = {
    # Bounds that spare work before anything is parsed; each has a test of its own.
    "completeness._decode: removed: if len(data) > limits.PROOF_BYTES_MAX:",
    "completeness.decode_completeness: without part 1: not isinstance(items, list)"
    " or len(items) > limits.COMPLETENESS_ITEMS_MAX",
    "receipt._read_statement: removed: if len(data) > limits.PROOF_BYTES_MAX:",
    # For whoever issues a receipt, not for whoever verifies one; has a test of its own.
    "receipt.attach_receipts: removed: if sign1.unprotected:",
    # Types for the reader: whatever is no text or list breaks a later rule all the same.
    'trust.parse_trust: unread: _text(members["origin"], "origin")',
    "completeness.decode_completeness: without part 0: not isinstance(value, list)"
    " or len(value) < 6 or value[0] != COMPLETENESS_TAG",
    "completeness.read_evidence: without part 0: not isinstance(ids, list) or len(ids) != 2",
}
"""Checks that no vector can reach, and why that is right."""

DIRECT = {
    "receipt": "verify",
    "completeness": "verify_completeness",
    "point": "verify_state_value",
}


class Mutant(NamedTuple):
    module: str
    where: str
    what: str
    tree: ast.Module


def source(module: str) -> str:
    return (ROOM / f"{module}.py").read_text(encoding="utf-8")


def name_of(call: ast.expr) -> str:
    if not isinstance(call, ast.Call):
        return ""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def is_check(statement: ast.AST) -> bool:
    if isinstance(statement, ast.If):
        return isinstance(statement.body[-1], ast.Raise) and not statement.orelse
    if isinstance(statement, ast.Expr):
        name = name_of(statement.value)
        return name.startswith(CHECKS) or name == "verify"
    return False


def parts(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Every place to change, as (node, what is done to it)."""
    for node in ast.walk(tree):
        if is_check(node):
            yield node, "removed"
        if isinstance(node, ast.If) and is_check(node) and isinstance(node.test, ast.BoolOp):
            for index in range(len(node.test.values)):
                yield node.test, f"without part {index}"
        if isinstance(node, ast.Call) and name_of(node) in READERS:
            yield node, "unread"


class Change(ast.NodeTransformer):
    def __init__(self, target: ast.AST, what: str) -> None:
        self.target, self.what = target, what

    def visit(self, node: ast.AST) -> Any:
        if node is not self.target:
            return self.generic_visit(node)
        if self.what == "removed":
            return ast.copy_location(ast.Pass(), node)
        if self.what == "unread":
            assert isinstance(node, ast.Call)
            return node.args[0]
        assert isinstance(node, ast.BoolOp)
        del node.values[int(self.what.split()[-1])]
        return node if len(node.values) > 1 else node.values[0]


def function_of(tree: ast.Module, line: int) -> str:
    inside = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return inside[-1].name if inside else ""


def mutants(module: str) -> list[Mutant]:
    found: list[Mutant] = []
    text = source(module)
    tree = ast.parse(text)
    for index, (node, what) in enumerate(parts(tree)):
        fresh = ast.parse(text)
        target = list(parts(fresh))[index][0]
        line: int = getattr(node, "lineno", 0)
        changed = ast.fix_missing_locations(Change(target, what).visit(fresh))
        first = (ast.get_source_segment(text, node) or "").split("\n")[0]
        found.append(Mutant(module, function_of(tree, line), f"{what}: {first}", changed))
    return found


@cache
def code(module: str) -> Any:
    return compile(source(module), f"{module}.py", "exec")


def load(mutant: Mutant | None, patch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """Execute the room's modules again, in import order, one of them changed."""
    loaded: dict[str, ModuleType] = {}
    for module in ORDER:
        name = f"drystone.proof.{module}"
        fresh = ModuleType(name)
        patch.setitem(sys.modules, name, fresh)
        patch.setattr(drystone.proof, module, fresh, raising=False)
        changed = mutant is not None and mutant.module == module
        exec(
            compile(mutant.tree, name, "exec") if changed and mutant else code(module), vars(fresh)
        )
        loaded[module] = fresh
    return loaded


def holds(loaded: dict[str, ModuleType], vector: Vector) -> bool:
    """Whether a vector gives what it says through `verify_file`, and without a key through its own function."""
    parsed = loaded["trust"].parse_trust(vector.trust.encode())
    whole = partial(loaded["verify"].verify_file, vector.file, parsed, key_point=vector.key)
    direct = partial(getattr(loaded["verify"], DIRECT[vector.suite]), vector.file, parsed)
    return gives(whole, vector) and (vector.key is not None or gives(direct, vector))


def gives(verify: Callable[[], Verdict], vector: Vector) -> bool:
    try:
        verdict = verify()
    except DrystoneError as error:
        return error.code == vector.error
    except Exception:
        return False
    facts = facts_of(verdict)
    return not vector.error and all(facts[k] == v for k, v in vector.expect.items())


def trust_holds(loaded: dict[str, ModuleType], vector: dict[str, Any]) -> bool:
    try:
        got = code_of(lambda: loaded["trust"].parse_trust(vector["trust"].encode()))
    except Exception:
        return False
    return got == vector.get("error")


def survives(loaded: dict[str, ModuleType], module: str) -> bool:
    if module == "trust":
        return all(trust_holds(loaded, vector) for vector in trust_vectors())
    return all(holds(loaded, vector) for vector in vectors())


def test_the_room_loaded_again_unchanged_passes_every_vector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = load(None, monkeypatch)
    assert survives(loaded, "verify")
    assert survives(loaded, "trust")


@pytest.mark.parametrize("module", ORDER)
def test_taking_out_any_check_makes_some_vector_fail(module: str) -> None:
    alive: list[str] = []
    for mutant in mutants(module):
        with pytest.MonkeyPatch.context() as patch:
            if survives(load(mutant, patch), module):
                alive.append(f"{module}.{mutant.where}: {mutant.what}")
    assert set(alive) == {idle for idle in IDLE if idle.startswith(f"{module}.")}
