"""Goal: the rooms below the proof room hold it up. Method: take each signature or hash check out of them as well.

A function's code is swapped for one without the check, in place, so that every caller sees it; some proof vector must
then fail. Afterwards the code and everything that remembered a verdict is put back.
"""

import ast
import importlib
import inspect
import signal
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import pytest
from proof_vectors import code_of, facts_of, run, trust_vectors, vectors
from test_proof_source_mutation import is_check, name_of

from drystone.proof import trust
from drystone.records import stream

CHECKED = [
    "trees.log:verify_inclusion",
    "trees.ics23:verify_presence",
    "trees.ics23:verify_absence",
    "trees.ics23:_check_leads_to",
    "trees.ics23:_check_outermost",
    "trees.ics23:decode",
    "formats.note:verify_note",
    "records.ed25519:check_signature_bytes",
    "records.ed25519:check_key_bytes",
    "records.key:PublicKey.verify",
    "records.key:parse_cose_key",
    "records.key:_ed25519_verify",
    "records.key:_es256_verify",
    "records.record:check_signature",
]
IDLE = {
    # Every signature that gets here has been cut to 64 bytes by the form of a record, receipt or note.
    "records.ed25519:check_signature_bytes if len(signature) != 64:",
    "records.key:_es256_verify if len(signature) != SIGNATURE_LENGTH:",
    # A key of another length has no spelling as a COSE_Key or vkey.
    "records.ed25519:check_key_bytes if len(key) != 32:",
    # The receipt's form has cut every hash to 32 bytes.
    "trees.log:verify_inclusion _check_hashes((root, leaf, *path[: LOG_PATH_MAX + 1]))",
    # A path that ends early leads to another root all the same.
    "trees.log:verify_inclusion if last != 0:",
    # A bound, and a check whose work the comparison with the one spelling does again.
    "trees.ics23:decode if len(data) > STATE_PROOF_BYTES_MAX:",
    "trees.ics23:decode if end != len(data) or number not in (1, 2):",
    # `_check_point` has compared the keys, so that absence and presence get one answer.
    "trees.ics23:verify_absence if absence.key != key:",
    # A trust file names no key twice, and a receipt's note has been refused if it does.
    "formats.note:verify_note if len(known) != len(verifiers):",
    "formats.note:verify_note if verifier in signers:",
}
"""Checks that the proof room's own checks make unreachable from a proof; their rooms' tests reach them."""

CALLS = {"verify", "check", "_equation", "check_signature_bytes"}


def function(name: str) -> FunctionType:
    module, path = name.split(":")
    found: Any = importlib.import_module(f"drystone.{module}")
    for part in path.split("."):
        found = getattr(found, part)
    return inspect.unwrap(found)


def checks(tree: ast.AST) -> list[ast.stmt]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt)
        and (is_check(node) or (isinstance(node, ast.Expr) and name_of(node.value) in CALLS))
    ]


def without(target: FunctionType, index: int) -> tuple[str, Any]:
    """The first line of the check, and the function's code without it."""
    text = textwrap.dedent(inspect.getsource(target))
    tree = ast.parse(text)
    found = checks(tree)[index]
    for node in ast.walk(tree):
        for _, body in ast.iter_fields(node):
            if isinstance(body, list) and found in body:
                body[body.index(found)] = ast.copy_location(ast.Pass(), found)
    names: dict[str, Any] = {}
    exec(
        compile(ast.fix_missing_locations(tree), target.__name__, "exec"),
        dict(target.__globals__),
        names,
    )
    line = (ast.get_source_segment(text, found) or "").split("\n")[0]
    return line, names[target.__name__].__code__


@contextmanager
def swapped(target: FunctionType, code: Any) -> Iterator[None]:
    original = target.__code__
    target.__code__ = code
    forget()
    try:
        yield
    finally:
        target.__code__ = original
        forget()


def forget() -> None:
    stream._known.clear()


def outcome(action: Callable[[], Any]) -> Any:
    """A code, None, or the class of an error that should not be; some loops end only by the check taken out."""
    signal.setitimer(signal.ITIMER_REAL, 5)
    try:
        return code_of(action)
    except Exception as error:
        return type(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    yield
    signal.signal(signal.SIGALRM, before)


def everything_holds() -> bool:
    for vector in vectors():
        got = outcome(lambda vector=vector: run(vector))
        if got != vector.error:
            return False
        if not vector.error:
            facts = facts_of(run(vector))
            if any(facts[name] != value for name, value in vector.expect.items()):
                return False
    return all(
        outcome(lambda vector=vector: trust.parse_trust(vector["trust"].encode()))
        == vector.get("error")
        for vector in trust_vectors()
    )


@pytest.mark.parametrize("name", CHECKED)
def test_taking_out_a_check_below_the_proof_room_makes_some_vector_fail(name: str) -> None:
    target = function(name)
    count = len(checks(ast.parse(textwrap.dedent(inspect.getsource(target)))))
    assert count
    alive: set[str] = set()
    for index in range(count):
        line, code = without(target, index)
        with swapped(target, code):
            if everything_holds():
                alive.add(f"{name} {line}")
    assert alive == {idle for idle in IDLE if idle.startswith(f"{name} ")}


def test_every_vector_holds_while_nothing_is_taken_out() -> None:
    assert everything_holds()
