"""The runtime: bombs of every kind end typed and small; results, steps and codes do not depend on the machine."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drystone.contracts.package import make_package
from drystone.contracts.runtime import OWN, CallDone, Program, Shown
from drystone.errors import (
    ContractFailed,
    ContractRefused,
    ContractSize,
    ContractSteps,
    Refused,
)

sys.path.insert(0, str(Path(__file__).parent))
import programs

ROOT = Path(__file__).parents[3]
SEEDS = 150


def program_of(body: str, **call: Any) -> Program:
    text = "".join(f"    {line}\n" for line in body.split("\n"))
    calls = {"run": {"args": {"n": "int"}, "limit": 200_000} | call}
    return Program(
        make_package({"name": "c", "version": 1, "calls": calls}, f"def run(ctx, n):\n{text}")
    )


def run(body: str, n: int = 3, limit: int = 200_000) -> Any:
    return (
        program_of(body)
        .call("run", ctx={}, args={"n": n}, limit=limit, host=programs.NoHost())
        .value
    )


BOMBS = {
    'return len("x" * 1000000000)': ContractSize,
    'return len(1000000000 * "x")': ContractSize,
    "return len([0] * 1000000000)": ContractSize,
    "return len((0,) * 1000000000)": ContractSize,
    's = "xx"\nfor i in range(60):\n    s = s + s\nreturn len(s)': ContractSize,
    's = "xx"\nfor i in range(60):\n    s += s\nreturn len(s)': ContractSize,
    "s = [1]\nfor i in range(60):\n    s = s + s\nreturn len(s)": ContractSize,
    "s = [1]\nfor i in range(60):\n    s.extend(s)\nreturn len(s)": ContractSize,
    "x = 3\nfor i in range(40):\n    x = x * x\nreturn 1": ContractSize,
    "x = 3\nfor i in range(2000):\n    x = x - (-x)\nreturn 1": ContractSize,
    "x = 3\nfor i in range(2000):\n    x = x + x\nreturn 1": ContractSize,
    "return 1 << 100000": ContractSize,
    "return (1 << 255) << 10": ContractSize,
    'return int("9" * 1000)': ContractSize,
    "return len(range(100000))": ContractSize,
    "return len(list(range(60000)) + list(range(60000)))": ContractSize,
    's = "x" * 16000\nreturn len(s.replace("x", s))': ContractSize,
    's = "x" * 16000\nreturn len(s.join([s, s]))': ContractSize,
    's = "x" * 16000\nreturn len("%s%s" % (s, s))': ContractSize,
    's = "x" * 16000\nt = []\nfor i in range(3000):\n    t.append(s + "y")\nreturn 1': (
        ContractSize,
        ContractSteps,
    ),
    "t = []\nfor i in range(9000):\n    t.append(list(range(5000)))\nreturn 1": (
        ContractSize,
        ContractSteps,
    ),
    "for i in range(60000):\n    for j in range(60000):\n        pass\nreturn 1": ContractSteps,
    "x = [i for i in range(60000) for j in range(60000)]\nreturn 1": ContractSteps,
    "l = [1]\nfor i in range(60):\n    l = [l, l]\nreturn l": (
        ContractFailed,
        ContractSteps,
        ContractSize,
    ),
    "l = [1]\nfor i in range(60):\n    l = [l, l]\nreturn l == [l]": (
        ContractFailed,
        ContractSteps,
    ),
    "l = (1,)\nfor i in range(60):\n    l = (l, l)\nd = {}\nd[l] = 1\nreturn 1": ContractFailed,
    "l = (1,)\nfor i in range(60):\n    l = (l, l)\nreturn {l: 1}": ContractFailed,
    "l = (1,)\nfor i in range(60):\n    l = (l, l)\nreturn {k: 1 for k in [l]}": ContractFailed,
    "l = (1,)\nfor i in range(60):\n    l = (l, l)\nreturn dict([(l, 1)])": ContractFailed,
    "l = (1,)\nfor i in range(60):\n    l = (l, l)\nreturn {}.get(l)": ContractFailed,
    "l = (1,)\nfor i in range(60):\n    l = (l, l)\nreturn l in {}": ContractFailed,
    "l = [1]\nfor i in range(60):\n    l = [l, l]\nreturn str(l)": ContractFailed,
    "l = [1]\nfor i in range(60):\n    l = [l, l]\nreturn sorted([l, l])": ContractFailed,
    'l = [1]\nfor i in range(60):\n    l = [l, l]\nreturn "%s" % l': ContractFailed,
    "l = [1]\nfor i in range(60):\n    l = [l, l]\nreturn max(l, l)": ContractFailed,
    "l = [1]\nl.append(l)\nreturn l": (ContractFailed, ContractSteps),
}


@pytest.mark.parametrize("body", BOMBS)
def test_bomb_ends_typed_and_small(body: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BOMBS[body]):
        run(body)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 128 * 1024


def test_program_that_nobody_holds_gives_its_memory_back() -> None:
    def peak_kib() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def one(body: str) -> None:
        with pytest.raises(Refused):
            run(body)

    for body in ('fail("no")', "return 1 // 0", 'return "x" * 1000000'):
        one(body)
    before = peak_kib()
    for _ in range(30):
        for body in ('fail("no")', "return 1 // 0", 'return "x" * 1000000'):
            one(body)
    assert peak_kib() - before < 40 * 1024, "90 programs once held 120 MB for ever"


@pytest.mark.parametrize(
    "body",
    [
        "return 1 // 0",
        "return [1][5]",
        'return {}["k"]',
        'return "a" + 1',
        "return 1 + True",
        'return 1 < "a"',
        "return [1] < [2]",
        "return None + 1",
        "return len(5)",
        "for i in 5:\n    pass\nreturn 1",
        'for i in "ab":\n    pass\nreturn 1',
        'return "a".append(1)',
        "return [1].keys()",
        'return int("x")',
        "return 1 << -1",
        "return None",
        "return [None]",
        "return {1: 2}",
        "x, y = [1]\nreturn 1",
        'return abs("a")',
        'return "a".replace("", "b")',
        "return undefined_below\nundefined_below = 1",
    ],
)
def test_error_of_the_program_is_contract_failed(body: str) -> None:
    if body == "return None":
        assert run(body) is None
        return
    with pytest.raises(ContractFailed):
        run(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("return 7 // 2 + 7 % 2 + -7 // 2", 0),
        ("return (1 << 200) >> 190", 1024),
        ("x = [1, 2]\nx += [3]\nreturn x", [1, 2, 3]),
        ('d = {"a": 1}\nd["a"] += 2\nd["b"] = 1\nreturn d', {"a": 3, "b": 1}),
        ('return "%s-%d" % ("a", 5)', "a-5"),
        ('return ", ".join([str(i) for i in range(3)])', "0, 1, 2"),
        ("return [x for x in [3, 1, 2] if x > 1]", [3, 2]),
        ("return {str(k): v for k, v in [(1, 2)]}", {"1": 2}),
        ("return sorted([3, 1, 2], reverse = True)", [3, 2, 1]),
        ("return [1, 2, 3][1:]", [2, 3]),
        ("return [1] == [1] and (1, 2) != (1, 3)", True),
        ('return min(3, 1) + max([1, 5]) + len("abc") + abs(-1)', 10),
        ("return 5 if n == 3 else 6", 5),
        ("return (1,\n        2)", [1, 2]),
        ("return 1 + (2 * # inner + comment\n   3)", 7),
        ('return "a,b".split(",") + ["x"] * 2', ["a", "b", "x", "x"]),
        ('return type(1) + type("") + type([])', "intstringlist"),
        ("t = 0\nfor i in range(10):\n    if i == 5:\n        break\n    t += i\nreturn t", 10),
        ('return not ("a" in ["b"]) and "a" not in "xyz"', True),
    ],
)
def test_program_computes_what_it_says(body: str, value: Any) -> None:
    assert run(body) == value


def test_constant_maps_may_have_negative_keys() -> None:
    source = "SCALE = {0: 1000, -1: 100}\n\ndef run(ctx, n):\n    return SCALE[n - 4]\n"
    package = make_package(
        {"name": "c", "version": 1, "calls": {"run": {"args": {"n": "int"}}}}, source
    )
    done = Program(package).call("run", ctx={}, args={"n": 3}, limit=100, host=programs.NoHost())
    assert done.value == 100


def test_error_names_the_authors_line() -> None:
    with pytest.raises(ContractFailed, match=r"c\.star:4:"):
        run("x = [1,\n     2]\nreturn x[7]")


def test_steps_do_not_depend_on_the_path_taken_but_on_lengths() -> None:
    program = program_of("t = 0\nfor i in range(n):\n    t += i\nreturn t")

    def steps(n: int) -> int:
        return program.call("run", ctx={}, args={"n": n}, limit=10**6, host=programs.NoHost()).steps

    assert steps(20) - steps(10) == steps(30) - steps(20) > 0


def test_exactly_the_limit_is_enough_and_one_less_is_not() -> None:
    body = "t = 0\nfor i in range(n):\n    t += i\nreturn t"
    done = program_of(body).call("run", ctx={}, args={"n": 50}, limit=10**6, host=programs.NoHost())
    assert isinstance(done, CallDone)
    assert run(body, n=50, limit=done.steps) == done.value
    with pytest.raises(ContractSteps):
        run(body, n=50, limit=done.steps - 1)


def test_contracts_own_code_is_prefixed_and_cannot_imitate_ours() -> None:
    with pytest.raises(ContractRefused) as refused:
        run('fail("no-room")')
    assert refused.value.code == "c.no-room"
    with pytest.raises(ContractRefused) as refused:
        run('fail("signature invalid!")')
    assert refused.value.code == "c.refused"


READER = """
def on_reading(ctx, old, record):
    v = record[0]["value"]
    if v == 1:
        return "one"
    if v == 2:
        fail("two")
    if v == 3:
        return 1 // 0
    if v == 4:
        return ({"x": "y" * 100000}, [])
    if v == 5:
        for i in range(50000):
            v += i
    if v == 6:
        return (v, [("e", None)])
    if v == 7:
        return (v, [(1, 2)])
    if v == 8:
        return 5
    if v == 9:
        return (v, [("e", {"n": v})])
    return ({"seen": v}, [])
"""


SHOWN = Shown("ewz/g-1", 5, 1_700_000_000_000, '{"s": [0]}')


def reading(program: Program, value: Any, *, old: Any = None) -> str:
    """A reading of one measurement, as `ledger/readings.py` writes it."""
    own = {
        "iss": "ewz", "sub": "m-1", "attested": False, "epoch": 0, "seq": 7, "placed": "next",
        "register": 5, "record": "ab" * 32,
    }  # fmt: skip
    measurement = ["e", "Wh", value, 0, 1_000]
    return json.dumps([[measurement], old, *[own[name] for name in program.names]])


def test_batch_equals_one_by_one_whatever_fails() -> None:
    manifest = {"name": "r", "version": 1, "reading": {"function": "on_reading", "limit": 5000}}
    program = Program(make_package(manifest, READER))
    items = [reading(program, v) for v in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)]

    def shown(results: list[Any]) -> list[Any]:
        return [r.error.code if hasattr(r, "error") else (r.value, r.events) for r in results]

    together = shown(program.readings(items, SHOWN))
    alone = [shown(program.readings([item], SHOWN))[0] for item in items]
    assert together == alone
    assert together[0] == ({"seen": 0}, ())
    assert together[1:6] == ["r.one", "r.two", "contract-failed", "contract-size", "contract-steps"]
    assert together[9] == (9, (("e", {"n": 9}),))


def reader_of(source: str) -> Program:
    manifest = {"name": "r", "version": 1, "reading": {"function": "on_reading", "reads": ["s"]}}
    return Program(make_package(manifest, source))


def run_reading(body: str, *values: Any, old: Any = None) -> list[Any]:
    program = reader_of(f"def on_reading(ctx, old, record):\n    {body}\n")
    return program.readings([reading(program, value, old=old) for value in values], SHOWN)


def test_handler_sees_context_and_measurements_by_name_in_the_order_of_names() -> None:
    (done,) = run_reading("return ([ctx, record, old], [])", 5, old={"z": 1, "a": [True]})
    assert done.value == [
        {
            "attested": False, "epoch": 0, "gateway": "ewz/g-1", "height": 5, "iss": "ewz",
            "placed": "next", "reads": {"s": [0]}, "record": "ab" * 32, "register": 5, "seq": 7,
            "sub": "m-1", "time_ms": 1_700_000_000_000,
        },
        [{"exponent": 0, "name": "e", "time_ms": 1_000, "unit": "Wh", "value": 5}],
        {"a": [True], "z": 1},
    ]  # fmt: skip
    (done,) = run_reading(
        'return ([" ".join(ctx.keys()), " ".join(old.keys())], [])', 5, old={"z": 1, "a": 2}
    )
    assert done.value == [" ".join(sorted(done.value[0].split(" "))), "a z"]


def test_text_of_a_kept_value_is_its_json_on_one_line() -> None:
    body = 'return ({"a": record[0]["value"], "b": [1, True]}, [])'
    (done,) = run_reading(body, 'x\n"y')
    assert "\n" not in done.text
    assert json.loads(done.text) == done.value == {"a": 'x\n"y', "b": [1, True]}


def test_no_reading_can_change_what_the_next_is_shown() -> None:
    results = run_reading('return (len(ctx["reads"]["s"].append(1) or []), [])', 1, 2)
    assert [r.error.code for r in results] == ["contract-failed"] * 2
    results = run_reading('return (len(ctx["reads"]["s"]), [])', 1, 2)
    assert [r.value for r in results] == [1, 1]


def test_other_declared_values_are_shown_from_the_next_crossing_on() -> None:
    source = 'def on_reading(ctx, old, record):\n    return (ctx["reads"]["s"], [])\n'
    program = reader_of(source)
    item = reading(program, 1)
    seen = [program.readings([item], SHOWN._replace(reads=f'{{"s": {n}}}'))[0] for n in (1, 2, 1)]
    assert [done.value for done in seen if not hasattr(done, "error")] == [1, 2, 1]


@pytest.mark.parametrize(
    ("events", "code"),
    [("[]", ""), ("()", ""), ("{}", ""), ("None", "failed"), ("0", "failed"), ('""', "failed")],
)
def test_handler_that_tells_nothing_returns_a_list_all_the_same(events: str, code: str) -> None:
    (done,) = run_reading(f"return (1, {events})", 1)
    assert getattr(getattr(done, "error", None), "code", "") == (code and f"contract-{code}")


ASKING = {
    'return (ctx["seq"], [])': ("seq",),
    'return ([ctx["iss"], ctx["reads"]["s"], ctx["height"]], [])': ("iss",),
    "return (below(1, ctx), [])": ("sub", "record"),
    "return (None, [])": (),
    'return (ctx["nothing"], [])': (),
    'return ("sub" in ctx, [])': OWN,
    'return (ctx[record[0]["name"]], [])': OWN,
    'return ([c["seq"] for c in [ctx]], [])': OWN,
    "return ([below(1, ctx), below(2, ctx), deeper(ctx)], [])": ("sub", "record"),
    "return (deeper(ctx, ctx), [])": OWN,
    "return (len(ctx), [])": OWN,
    'ctx["seq"] = 1\n    return (1, [])': OWN,
    "return (other(ctx), [])": OWN,
    "return (below(1, this = ctx), [])": OWN,
    'return (ctx.get("seq", 0), [])': OWN,
}


@pytest.mark.parametrize("body", ASKING)
def test_only_what_a_handler_asks_for_crosses(body: str) -> None:
    program = reader_of(
        f"def on_reading(ctx, old, record):\n    {body}\n\n"
        'def below(n, this):\n    return [this["sub"], deeper(this)]\n\n'
        'def deeper(that):\n    return that["record"]\n\n'
        "def other(ctx):\n    held = ctx\n    return held\n"
    )
    assert program.names == tuple(name for name in OWN if name in ASKING[body])
    (narrow,) = program.readings([reading(program, 7)], SHOWN)
    wide = reader_of(program.package.source.replace("record):\n", "record):\n    x = [ctx]\n", 1))
    assert wide.names == OWN
    (all_of_it,) = wide.readings([reading(wide, 7)], SHOWN)
    assert getattr(narrow, "value", None) == getattr(all_of_it, "value", None)
    assert getattr(narrow, "error", None).__class__ is getattr(all_of_it, "error", None).__class__


def test_random_programs_end_typed() -> None:
    codes = {programs.result_of(seed)[0] for seed in range(SEEDS)}
    assert "accepted" in codes
    assert "contract-failed" in codes


def test_random_programs_in_one_contract_give_what_each_gives_alone() -> None:
    together = programs.results_of(range(60, 80))
    assert together == [programs.result_of(seed) for seed in range(60, 80)]


def digest_under(python: str, hash_seed: str) -> str:
    command = [python, str(Path(__file__).parent / "programs.py"), "0", str(SEEDS)]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["digest"]


def test_random_programs_give_equal_results_under_two_hash_seeds() -> None:
    assert digest_under(sys.executable, "1") == digest_under(sys.executable, "2")


def test_random_programs_give_equal_results_under_a_second_python() -> None:
    second = os.environ.get("DRYSTONE_SECOND_PYTHON")
    if not second:
        pytest.skip("DRYSTONE_SECOND_PYTHON names no second interpreter with the dependencies")
    assert digest_under(sys.executable, "0") == digest_under(second, "0")


def test_typed_error_is_a_refusal() -> None:
    with pytest.raises(Refused):
        run('return "x" * 1000000')
