"""What a contract's text may hold: each refusal names file, line and rule; what is allowed passes."""

import pytest

from drystone.contracts.guard import Checked, check
from drystone.contracts.source import read_source
from drystone.errors import ContractSource


def checked(source: str) -> Checked:
    return check("c.star", read_source("c.star", source))


def body(*lines: str) -> str:
    return "def f(a, b):\n" + "".join(f"    {line}\n" for line in lines)


ALLOWED = [
    '"""Only a docstring."""\n',
    'RATE = 3\nNAMES = ["a", (1, -2), {"k": True}]\n',
    body("return a + b - a * b // 2 % 3"),
    body("return (a << 1) | (b >> 1) & a ^ b"),
    body("x, y = a, b", "x += y", "return x"),
    body("d = {}", 'd["k"] = 1', 'd["k"] += 2', "return d"),
    body(
        "for i in range(a):",
        "    if i == b:",
        "        break",
        "    else:",
        "        continue",
        "return 1",
    ),
    body("return [i * 2 for i in a if i > b]"),
    body("return {k: v for k, v in a}"),
    body("return a if b else None"),
    body("return not a and b or -a"),
    body("return a in b or a not in b"),
    body("return a[1:2]", ""),
    body('return ", ".join(sorted(a, reverse = True))'),
    body("pass"),
    body('"""Doc."""', "return"),
    'def g(a, b = 3, c = "x"):\n    return a\n\ndef f(a):\n    return g(a, c = 4)\n',
    "def f(a):\n    return a  # a + comment; with \\ and $\n",
    "def f(a):\n    return (a +  # why not\n            1)\n",
    "X = 0x1f\nY = 0\n",
]

REFUSED = {
    "import os\n": 1,
    "from os import path\n": 1,
    "x = 1.5\n": 1,
    "x = 1e9\n": 1,
    "x = 1_000\n": 1,
    "x = 0o17\n": 1,
    "x = 0b1\n": 1,
    "x = 007\n": 1,
    "x = 1j\n": 1,
    'x = b"a"\n': 1,
    'x = f"{1}"\n': 1,
    'x = r"a"\n': 1,
    'x = u"a"\n': 1,
    "x = y\n": 1,
    "x = 1 + 1\n": 1,
    "x = len([])\n": 1,
    "x = 1\nx = 2\n": 2,
    "x, y = 1, 2\n": 1,
    "len = 1\n": 1,
    "get = 1\n": 1,
    "json = 1\n": 1,
    "_x = 1\n": 1,
    "entry_x = 1\n": 1,
    "for i in [1]:\n    pass\n": 1,
    "f(1)\n": 1,
    "def f():\n    pass\n\ndef f():\n    pass\n": 1,
    "def len():\n    pass\n": 1,
    "x = 1\ndef x():\n    pass\n": 1,
    "def f(*a):\n    pass\n": 1,
    "def f(**a):\n    pass\n": 1,
    "def f(a, *, b):\n    pass\n": 1,
    "def f(a, /):\n    pass\n": 1,
    "def f(a: int):\n    pass\n": 1,
    "def f() -> int:\n    pass\n": 1,
    "def f(a = [1]):\n    pass\n": 1,
    "def f(a = len):\n    pass\n": 1,
    "@f\ndef f():\n    pass\n": 2,
    "def f(_a):\n    pass\n": 1,
    "def f(len):\n    pass\n": 1,
    "async def f():\n    pass\n": 1,
    "class A:\n    pass\n": 1,
    body("while True:", "    pass"): 2,
    body("try:", "    pass", "except:", "    pass"): 2,
    body("return lambda: 1"): 2,
    body("return a / b"): 2,
    body("return a ** b"): 2,
    body("return a @ b"): 2,
    body("return ~a"): 2,
    body("return +a"): 2,
    body("return a < b < 3"): 2,
    body("return a is b"): 2,
    body("return a.b"): 2,
    body("a.b = 1"): 2,
    body("return ().__class__"): 2,
    body("return a.__class__()"): 2,
    body("return a.format(b)"): 2,
    body("return a.elems()"): 2,
    body("return hash(a)"): 2,
    body("return repr(a)"): 2,
    body("return getattr(a, b)"): 2,
    body("return dir(a)"): 2,
    body("print(a)"): 2,
    body("return eval(a)"): 2,
    body("return a(b)"): 2,
    body("return a[0](b)"): 2,
    body("return f"): 2,
    body("return len"): 2,
    body("x = get"): 2,
    body("return [len]"): 2,
    body("return sorted(a, key = b)"): 2,
    body("return max(a, key = b)"): 2,
    body("return len(*a)"): 2,
    body("return dict(**a)"): 2,
    body("return {**a}"): 2,
    body("return [*a]"): 2,
    body("return put(key = a)"): 2,
    body("return a.get(k = 1)"): 2,
    body("a[1:2] = b"): 2,
    body("a = b = 1"): 2,
    body("[a, b] = [1, 2]"): 2,
    body("(a, (b, c)) = 1"): 2,
    body("a, b[0] = 1, 2"): 2,
    body("a: int = 1"): 2,
    body("del a"): 2,
    body("global a"): 2,
    body("assert a"): 2,
    body("raise a"): 2,
    body("yield a"): 2,
    body("a"): 2,
    body("1"): 2,
    body("a + b"): 2,
    body("return (c := 1)"): 2,
    body("return {a}"): 2,
    body("return (i for i in a)"): 2,
    body("return {i for i in a}"): 2,
    body("return unknown"): 2,
    body("return unknown(1)"): 2,
    body("return f(a, b)"): 1,
    body("len = 1"): 2,
    body("f = 1"): 2,
    body("_x = 1"): 2,
    body("return [_x for _x in a]"): 2,
    body("for len in a:", "    pass"): 2,
    body("for i in a:", "    pass", "else:", "    pass"): 2,
    body("def g():", "    pass"): 2,
    body("import os"): 2,
    body("return 1.5"): 2,
    body("return a; return b"): 2,
    body("match a:", "    case 1:", "        pass"): 2,
    body("with a:", "    pass"): 2,
    body("a[\n0] += 1"): 2,
    "x = 'a\tb'\n": 1,
    "x = 'ä'\n": 1,
    "x = 1\r\n": 1,
    "x = \x00\n": 1,
    "x = 1": 1,
    "x = (\n": 1,
    "x = \\\n  1\n": 1,
    "x = 1 $ 2\n": 1,
}


@pytest.mark.parametrize("source", ALLOWED)
def test_allowed_source_passes(source: str) -> None:
    checked(source)


@pytest.mark.parametrize("source", REFUSED)
def test_refused_source_names_file_and_line(source: str) -> None:
    with pytest.raises(ContractSource) as refused:
        checked(source)
    name, line, _ = str(refused.value).split(":", 2)
    assert name == "c.star"
    assert int(line) <= REFUSED[source]


MONSTERS = {
    "a megabyte": "#" * 1_000_000 + "\n",
    "brackets": "x = " + "[" * 33 + "]" * 33 + "\n",
    "brackets that nobody closes": "x = " + "(" * 40_000 + "\n",
    "indentation": "def f():\n" + "".join(" " * (4 * i) + "if 1:\n" for i in range(1, 40)),
    "a long line": "x = " + "1" * 300 + "\n",
    "a long number": "x = " + "9" * 81 + "\n",
    "a long statement": "x = [\n" + "1,\n" * 2_000 + "]\n",
    "a chain of sums": "def f(a):\n    return (" + " + a\n".join(["a"] * 900) + ")\n",
    "a chain of minus": "def f(a):\n    return " + "-" * 150 + "a\n",
    "a chain of not": "def f(a):\n    return (" + "not\n" * 400 + "a)\n",
    "a chain of calls": "def f(a):\n    return a"
    + ".strip()" * 20
    + ".strip(\n).strip()" * 90
    + "\n",
    "a chain of items": "def f(a):\n    return a"
    + "[0]" * 60
    + "\n" * 1
    + "    return a\n" * 3_000,
    "a chain of elif": "def f(a):\n    if a:\n        pass\n" + "    elif a:\n        pass\n" * 101,
    "too many lines": "\n" * 2_001,
    "too many functions": "".join(f"def f{n}():\n    pass\n" for n in range(129)),
    "too many parameters": "def f(" + ", ".join(f"a{n}" for n in range(17)) + "):\n    pass\n",
}


@pytest.mark.parametrize("name", MONSTERS)
def test_monster_is_refused_with_a_typed_error(name: str) -> None:
    with pytest.raises(ContractSource):
        checked(MONSTERS[name])


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    return f()\n",
        "def f():\n    return g()\n\ndef g():\n    return f()\n",
        "def f():\n    return [g(i) for i in []]\n\ndef g(a):\n    return h()\n\ndef h():\n    return f()\n",
    ],
)
def test_recursion_is_refused_before_anything_runs(source: str) -> None:
    with pytest.raises(ContractSource, match="recursion"):
        checked(source)


def test_host_functions_in_reach_are_found_through_calls() -> None:
    found = checked(
        'def f():\n    return g()\n\ndef g():\n    put("a", 1)\n    return h()\n\ndef h():\n    fail("x")\n'
    )
    assert found.reach("f") == {"put", "fail"}
    assert found.reach("h") == {"fail"}
