"""A generator of random contract programs, seeded: most run, some fail, none may hurt.

Run as a program with a seed and a count it prints a digest over all results, so that two interpreters can be compared.
"""

import hashlib
import json
import random
import re
import sys
from typing import Any

from drystone.contracts.package import make_package
from drystone.contracts.runtime import Program
from drystone.errors import Refused

FORMS = {
    "int": [
        "1", "7", "-3", "0", "a", "x", "len({text})", "len({list})", "({int} + {int})", "({int} - {int})",
        "({int} * {int})", "({int} // {int})", "({int} % {int})", "({int} << {int})", "({int} >> {int})",
        "({int} & {int})", "({int} | {int})", "({int} ^ {int})", "abs({int})", "min({int}, {int})",
        "max({list})", "int({text})", "({list})[{int}]", "({text}).find({text})", "({int} if {bool} else {int})",
        "{{int}: {int}}.get({int}, 5)", "-{int}",
    ],
    "text": [
        '"t"', '"ab"', "b", "str({int})", "({text} + {text})", "({text} * {int})", "({text}).upper()",
        "({text}).replace({text}, {text})", "({text}).join([{text}, {text}])", '"%s-%s" % ({int}, {text})',
        "({text})[{int}:{int}]", "type({list})", "({text}).strip()",
    ],
    "list": [
        "[]", "[{int}, {int}]", "list(range({int}))", "[i for i in {list}]", "[i for i in {list} if {bool}]",
        "sorted({list})", "({list} + {list})", "({list} * {int})", "({list})[{int}:]", "list(reversed({list}))",
        "[p[0] for p in enumerate({list})]", "[p[1] for p in zip({list}, {list})]", "({text}).split({text})",
        "{k: {int} for k in {list}}.values()",
    ],
    "bool": [
        "True", "{int} == {int}", "{int} < {int}", "{text} != {text}", "{int} in {list}", "{text} not in {text}",
        "not {bool}", "({bool} and {bool})", "({bool} or {bool})", "any({list})", "{list} == {list}", "bool({int})",
    ],
}  # fmt: skip
PLAIN = {"int": 6, "text": 3, "list": 2, "bool": 1}
"""How many of a kind's forms hold no other expression."""
HOLE = re.compile(r"\{(int|text|list|bool)\}")
AT_ONCE = 40
"""Programs compiled together when many are run."""
ODD = 0.01
"""Share of expressions of a wrong kind."""


class _Writer:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def expression(self, kind: str, depth: int) -> str:
        if self.rng.random() < ODD:
            kind = self.rng.choice(list(FORMS))
        plain = depth <= 0 or self.rng.random() < 0.3
        form = self.rng.choice(FORMS[kind][: PLAIN[kind]] if plain else FORMS[kind])
        return HOLE.sub(lambda hole: self.expression(hole[1], depth - 1), form)

    def block(self, depth: int, indent: str) -> list[str]:
        rng = self.rng
        lines: list[str] = []
        for _ in range(rng.randint(1, 3)):
            kind = rng.random()
            if kind < 0.2 and depth > 0:
                lines.append(f"{indent}for i in {self.expression('list', 1)}:")
                lines += self.block(depth - 1, indent + "    ")
            elif kind < 0.4 and depth > 0:
                lines.append(f"{indent}if {self.expression('bool', 2)}:")
                lines += self.block(depth - 1, indent + "    ")
            elif kind < 0.5:
                lines.append(
                    f"{indent}x {rng.choice(['+', '-', '*', '%'])}= {self.expression('int', 2)}"
                )
            elif kind < 0.6:
                lines.append(f"{indent}y.append({self.expression('int', 2)})")
            elif kind < 0.7:
                lines.append(f"{indent}y[0] = {self.expression('text', 2)}")
            else:
                lines.append(f"{indent}x = {self.expression('int', 3)}")
        return lines


def source_of(seed: int) -> str:
    """Return the program of a seed."""
    writer = _Writer(random.Random(seed))
    body = writer.block(3, "    ")
    loop = ["    for n in range(9):", *writer.block(2, "        ")]
    start = ["def run(ctx, a, b):", "    x = a", "    y = [b]"]
    lines = [*start, *body, *loop, "    return [x % 1000003, y]"]
    return "\n".join(lines) + "\n"


MANIFEST: dict[str, Any] = {
    "name": "random",
    "version": 1,
    "calls": {"run": {"args": {"a": "int", "b": "text"}, "limit": 100_000}},
}


class NoHost:
    """A host that has nothing."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"random programs do not ask for {name}")


def result_of(seed: int) -> tuple[str, Any]:
    """Run a seed's program; return its code and value with steps."""
    try:
        program = Program(make_package(MANIFEST, source_of(seed)))
    except Refused as error:
        return error.code, None
    return _end_of(program, "run", seed)


def results_of(seeds: range) -> list[tuple[str, Any]]:
    """Run the programs of some seeds as functions of one contract: the same results in a quarter of the time."""
    names = [f"run_{seed}" for seed in seeds]
    spec = MANIFEST["calls"]["run"]
    sources = [source_of(seed).replace("def run(", f"def run_{seed}(", 1) for seed in seeds]
    try:
        manifest = MANIFEST | {"calls": dict.fromkeys(names, spec)}
        program = Program(make_package(manifest, "\n".join(sources)))
    except Refused:
        # One of them is no program at all.
        return [result_of(seed) for seed in seeds]
    return [_end_of(program, name, seed) for name, seed in zip(names, seeds, strict=True)]


def _end_of(program: Program, function: str, seed: int) -> tuple[str, Any]:
    args = {"a": seed, "b": "s"}
    try:
        done = program.call(function, ctx={}, args=args, limit=100_000, host=NoHost())
    except Refused as error:
        return error.code, None
    return "accepted", list(done)


def main() -> None:
    """Print counts by code and a digest over the results of seeds."""
    first, count = int(sys.argv[1]), int(sys.argv[2])
    digest = hashlib.sha256()
    codes: dict[str, int] = {}
    for start in range(first, first + count, AT_ONCE):
        seeds = range(start, min(start + AT_ONCE, first + count))
        for seed, (code, value) in zip(seeds, results_of(seeds), strict=True):
            codes[code] = codes.get(code, 0) + 1
            digest.update(json.dumps([seed, code, value], sort_keys=True).encode())
    print(json.dumps({"codes": dict(sorted(codes.items())), "digest": digest.hexdigest()}))


if __name__ == "__main__":
    main()
