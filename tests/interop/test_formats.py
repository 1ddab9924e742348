"""Foreign programs judge our encoding and our specification: fxamacker/cbor (Go) and the crate cddl (Rust).

Goal: what we accept is what fxamacker/cbor calls the deterministic spelling, on fresh random values and on mutants of
them; and docs/spec is CDDL to a program that is not ours, with the same verdicts as our own reader of it.
"""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from drystone.errors import Refused
from drystone.formats import cbor
from drystone.formats.cbor import Tag

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "interop"
RUST_LENIENT = 2
"""Neighbours that the crate lets pass: its regular expressions are not anchored, its negative ranges not checked."""


def run(command: list[str | Path], lines: list[str]) -> list[str]:
    text = "\n".join(lines) + "\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = done.stdout.splitlines()
    assert len(answers) == len(lines)
    return answers


@pytest.fixture(scope="session")
def go() -> Path:
    if shutil.which("go") is None:
        pytest.skip("no Go")
    program = CACHE / "formats-go"
    folder = ROOT / "vectors" / "generators" / "formats"
    subprocess.run(["go", "build", "-o", program, "."], cwd=folder, check=True)
    return program


@pytest.fixture(scope="session")
def rust() -> Path:
    if shutil.which("cargo") is None:
        pytest.skip("no Rust")
    target = CACHE / "cddl-rust"
    build = ["cargo", "build", "--quiet", "--release", "--target-dir", str(target)]
    subprocess.run(build, cwd=ROOT / "tests" / "interop" / "cddl-rust", check=True)
    return target / "release" / "spec"


def value(rng: random.Random, depth: int = 0) -> cbor.Value:
    kind = rng.randrange(9 if depth < 4 else 6)
    if kind == 0:
        return rng.getrandbits(rng.randint(1, 64))
    if kind == 1:
        return -1 - rng.getrandbits(rng.randint(1, 64))
    if kind == 2:
        return rng.randbytes(rng.randrange(40))
    if kind == 3:
        return "".join(rng.choice("aZ9é水𐅑") for _ in range(rng.randrange(30)))
    if kind == 4:
        return rng.choice([True, False, None])
    if kind == 5:
        return rng.randrange(-30, 30)
    if kind == 6:
        return [value(rng, depth + 1) for _ in range(rng.randrange(6))]
    if kind == 7:
        return {
            rng.choice([rng.randrange(-300, 300), str(depth)]): value(rng, depth + 1)
            for _ in range(5)
        }
    return Tag(rng.choice([4, 18]), value(rng, depth + 1))


def ours(data: bytes) -> str:
    try:
        cbor.decode(data)
    except Refused as error:
        return error.code
    return "accepted"


def test_fresh_values_have_the_foreign_spelling(go: Path) -> None:
    rng = random.Random(1)
    lines = [cbor.encode(value(rng)).hex() for _ in range(3000)]

    assert set(run([go, "judge"], lines)) == {"same spelling"}


def test_mutants_get_the_verdict_of_the_foreign_program(go: Path) -> None:
    """Only kinds that Drystone does not use may be deterministic there and refused here."""
    rng = random.Random(2)
    mutants: list[bytes] = []
    while len(mutants) < 20_000:
        data = bytearray(cbor.encode(value(rng)))
        for _ in range(rng.randint(1, 2)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        mutants.append(bytes(data))

    verdicts = run([go, "judge"], [mutant.hex() for mutant in mutants])

    assert "same spelling" in verdicts
    for mutant, verdict in zip(mutants, verdicts, strict=True):
        if ours(mutant) == "accepted":
            assert verdict == "same spelling", mutant.hex()
        if verdict == "same spelling":
            assert ours(mutant) in ("accepted", "cbor-unsupported", "cbor-too-deep"), mutant.hex()


def test_specification_is_cddl_to_a_foreign_program(rust: Path, tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "tests" / "spec"))
    from test_cddl import FOLDER, NEIGHBOURS, emitted

    rules = tmp_path / "all.cddl"
    rules.write_text("\n".join(path.read_text() for path in sorted(FOLDER.glob("*.cddl"))))
    good = [f"{rule} {data.hex()}" for rule, data in emitted()]
    bad = [f"{rule} {make().hex()}" for rule, make in NEIGHBOURS]

    assert set(run([rust, rules], good)) == {"true"}
    assert run([rust, rules], bad).count("true") <= RUST_LENIENT
