"""Kinds that are sure, the plain operators they allow, and that a number's bound holds all the same."""

import ast
from typing import Any, cast

import programs
import pytest

from drystone.contracts.kinds import Kinds
from drystone.contracts.package import make_package
from drystone.contracts.runtime import Program
from drystone.contracts.splice import splice
from drystone.errors import ContractFailed, ContractSize

CONSTANTS = "HOUR = 3600000\nTENS = [1, 10]\nMIXED = [1, 'a']\nNAMES = {'a': 1}\nWORD = 'w'\n"


def kinds_of(body: str) -> tuple[Kinds, ast.FunctionDef]:
    text = "".join(f"    {line}\n" for line in body.split("\n"))
    tree = ast.parse(f"{CONSTANTS}def f(a, b):\n{text}")
    constants = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    function = tree.body[-1]
    assert isinstance(function, ast.FunctionDef)
    return Kinds(function, constants), function


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("1", "int"),
        ("-1", "int"),
        ("True", "bool"),
        ("None", "none"),
        ('"t"', "string"),
        ("a", None),
        ("a[0]", None),
        ("a - b", "int"),
        ("a // b", "int"),
        ("a & b", "int"),
        ("a + b", None),
        ("a + 1", "int"),
        ('a + "t"', "string"),
        ("a * 2", None),
        ("len(a) * 2", "int"),
        ("a % 2", None),
        ("len(a) % b", "int"),
        ('"%s" % a', "string"),
        ("a or 1", None),
        ("(a - b) or 1", "int"),
        ("1 if a else 2", "int"),
        ("1 if a else None", None),
        ("not a", "bool"),
        ("a == b", "bool"),
        ("HOUR", "int"),
        ("TENS[a]", "int"),
        ("TENS[a:]", None),
        ("MIXED[a]", None),
        ("NAMES[a]", None),
        ("WORD", "string"),
        ("min(a, b)", None),
        ("a.find(b)", "int"),
        ("a.strip()", "string"),
        ("a.get(b)", None),
        ("[a]", None),
    ],
)
def test_expression_has_the_kind_that_is_sure(expression: str, kind: str | None) -> None:
    kinds, function = kinds_of(f"return {expression}")
    (node,) = function.body
    assert isinstance(node, ast.Return)
    assert node.value is not None
    assert kinds.of(node.value) == kind


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("x = 1\nreturn x", "int"),
        ("x = 1\nx = a\nreturn x", None),
        ("x = 1\nx += a\nreturn x", "int"),
        ("x = a\nx += 1\nreturn x", None),
        ("x = a\nx = x - 1\nreturn x", None),
        ("x = 1\ny = x\nx = y + a\nreturn y", "int"),
        ("y = 1\nx = y\ny = a\nreturn x", None),
        ("x, y = 1, 2\nreturn x", None),
        ("for x in range(3):\n    pass\nreturn x", "int"),
        ("for x in a:\n    pass\nreturn x", None),
        ("x = 1\nfor x in a:\n    pass\nreturn x", None),
        ("x = 1\ny = [x for x in a]\nreturn x", None),
        ("a = 1\nreturn a", None),
        ("x = 1\nif a:\n    x = 'n'\nreturn x", None),
    ],
)
def test_name_has_a_kind_only_when_all_that_is_assigned_to_it_has(
    body: str, kind: str | None
) -> None:
    kinds, function = kinds_of(body)
    last = function.body[-1]
    assert isinstance(last, ast.Return)
    assert last.value is not None
    assert kinds.of(last.value) == kind


def program_of(body: str) -> Program:
    text = "".join(f"    {line}\n" for line in body.split("\n"))
    calls = {"run": {"args": {"n": "int"}, "limit": 200_000}}
    manifest = {"name": "c", "version": 1, "calls": calls}
    return Program(make_package(manifest, f"{CONSTANTS}\ndef run(ctx, n):\n{text}"))


def run(body: str, n: int = 3) -> Any:
    host = cast("Any", programs.NoHost())
    return program_of(body).call("run", ctx={}, args={"n": n}, limit=200_000, host=host).value


LARGE = "x = (1 << 255) + ((1 << 255) - 1)\n"
"""The largest number there is."""


@pytest.mark.parametrize(
    "body",
    [
        "y = x + 1\nreturn 0",
        "y = x - (-1)\nreturn 0",
        "y = -x - 1\nreturn 0",
        "x += 1\nreturn 0",
        "x -= -1\nreturn 0",
        "return [x + 1] == []",
        "d = {}\nd[x + 1] = 1\nreturn 0",
        "d = [x]\nd[0] += 1\nreturn 0",
        "return len([x + 1])",
        "y = (x + x + x) // 3\nreturn 0",
        "y = x * 2\nreturn 0",
        "y = x * x // HOUR\nreturn 0",
        "y = abs(-x - 1)\nreturn 0",
        "y = -(x + 1)\nreturn 0",
        "y = x * x * x == 0\nreturn 0",
        "y = (x + 1) * 2 == 0\nreturn 0",
    ],
)
def test_number_beyond_its_bound_goes_nowhere(body: str) -> None:
    with pytest.raises(ContractSize):
        run(LARGE + body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("return (x + x) // HOUR // x", 0),
        ("return (x + x + 1) % 7 + n", (2**257 - 1) % 7 + 3),
        ("return x + 1 > x", True),
        ("return x * x > x", True),
        ("return x + x - x == x", True),
    ],
)
def test_number_may_be_larger_on_its_way_to_being_small(body: str, value: Any) -> None:
    assert run(LARGE + body) == value


@pytest.mark.parametrize(
    "body",
    [
        "return n + True",
        "return [1] + 1",
        "return [2] - 1",
        "return [2] // 1",
        "return (n + 1) % [2]",
        "return 1 < True",
        "return n < None",
        "return [] < 1",
        'return "a" > n + 1',
        "return {}.get(1, 2, 3)",
        "return [1].get(1)",
        "return abs(True)",
        "return len(n)",
        'x = "a"\nx -= 1\nreturn x',
        "x = [1]\nx += 1\nreturn 0",
    ],
)
def test_plain_operator_fails_as_its_helper_did(body: str) -> None:
    with pytest.raises(ContractFailed):
        run(body)


def test_what_stays_plain_and_what_becomes_a_helper() -> None:
    source = (
        "def run(ctx, n):\n"
        "    a = (n + 7 - len(ctx)) // 86400\n"
        "    b = n == 1 and n < 5 or n == ctx\n"
        "    c = ctx.get('k', 0) + ctx.get(n) + a\n"
        "    a += 2\n"
        "    return [a % 24, n % 24, ctx[a], ctx[n], n < ctx]\n"
    )
    calls = {"run": {"args": {"n": "int"}}}
    package = make_package({"name": "c", "version": 1, "calls": calls}, source)
    assert splice(package.source, package.checked).split("\n")[1:6] == [
        "    a = (n + 7 - len(ctx)) // 86400",
        "    b = n == 1 and n < 5 or _eq(_m, n , ctx)",
        "    c = _i(_add(_m, ctx.get('k', 0) , _x_get(_m, ctx, n)) + a)",
        "    a = _i(a + ( 2))",
        "    return [a % 24, _mod(_m, n , 24), ctx[a], ctx[_k(_m, n)], _lt(_m, n , ctx)]",
    ]
