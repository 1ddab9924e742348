"""Foreign programs judge fresh proofs of the log and of the state map, and altered ones, next to our own verdict.

Go: sumdb/tlog and transparency-dev/merkle (log), tessera (paths, bundles), cosmos/ics23 (state). Rust: crate ics23.
The Go program is the one that makes the vectors. Whatever we accept they must accept; where they accept more, it is
another spelling of a true proof. Each test asks one process many questions.
"""

import json
import random
import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from drystone.errors import DrystoneError
from drystone.trees import ics23, log, state, tiles

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "interop"
GO = ROOT / "vectors" / "generators" / "trees"
RUST = ROOT / "tests" / "interop" / "trees-rust"

Question = dict[str, Any]
Ask = Callable[[list[Question]], list[bool]]


def asker(command: list[str]) -> Ask:
    def ask(questions: list[Question]) -> list[bool]:
        lines = "\n".join(json.dumps(question) for question in questions)
        run = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        answers = [json.loads(line)["accepted"] for line in run.stdout.splitlines()]
        assert len(answers) == len(questions)
        return answers

    return ask


@pytest.fixture(scope="session")
def go() -> Ask:
    if shutil.which("go") is None:
        pytest.skip("no Go")
    program = CACHE / "trees-go"
    subprocess.run(["go", "build", "-o", program, "."], cwd=GO, check=True)
    return asker([str(program), "verify"])


@pytest.fixture(scope="session")
def rust() -> Ask:
    if shutil.which("cargo") is None:
        pytest.skip("no Rust")
    target = CACHE / "trees-rust"
    build = ["cargo", "build", "--quiet", "--release", "--target-dir", target]
    subprocess.run(build, cwd=RUST, check=True)
    return asker([str(target / "release" / "trees")])


def flipped(data: bytes, rng: random.Random) -> bytes:
    bit = rng.randrange(8 * len(data))
    return (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big")


def hexed(question: Question) -> Question:
    """Spell bytes as hex, as the programs read them."""
    spelled: Question = {}
    for name, value in question.items():
        if isinstance(value, bytes):
            spelled[name] = value.hex()
        elif isinstance(value, list):
            spelled[name] = [part.hex() for part in value]
        else:
            spelled[name] = value
    return spelled


def accepted(question: Question) -> bool:
    """Our own verdict."""
    members = {name: value for name, value in question.items() if name != "kind"}
    try:
        if question["kind"] == "inclusion":
            log.verify_inclusion(**members)
        elif question["kind"] == "consistency":
            log.verify_consistency(**members)
        elif question["kind"] == "presence":
            ics23.verify_presence(**members)
        else:
            ics23.verify_absence(**members)
    except DrystoneError:
        return False
    return True


def log_questions(rng: random.Random) -> list[Question]:
    leaves = [log.leaf_hash(rng.randbytes(rng.randrange(200))) for _ in range(3000)]
    rows = [leaves]
    while len(rows[-1]) > 1:
        pairs = zip(rows[-1][::2], rows[-1][1::2], strict=False)
        rows.append([log.node_hash(left, right) for left, right in pairs])

    def node(level: int, index: int) -> bytes:
        return rows[level][index]

    questions: list[Question] = []
    for _ in range(400):
        new = rng.choice((rng.randrange(1, 40), rng.randrange(1, 3001)))
        index, old = rng.randrange(new), rng.randrange(1, new + 1)
        roots = [log.tree_root(leaves[:size]) for size in (old, new)]
        path = log.inclusion_path(index, new, node)
        questions.append(
            {"kind": "inclusion", "root": roots[1], "size": new, "index": index}
            | {"leaf": leaves[index], "path": path}
        )
        path = log.consistency_path(old, new, node)
        questions.append(
            {"kind": "consistency", "old_size": old, "old_root": roots[0]}
            | {"new_size": new, "new_root": roots[1], "path": path}
        )
    return questions


def altered(question: Question, rng: random.Random) -> Question:
    """Change one member of a question about the log."""
    name = rng.choice([name for name in question if name != "kind"])
    value = question[name]
    if isinstance(value, int):
        return {**question, name: max(1, value + rng.choice((-2, -1, 1, 2, 100)))}
    if isinstance(value, bytes):
        return {**question, name: flipped(value, rng)}
    path = list(value)
    change = rng.randrange(4)
    if change == 0 or not path:
        path.insert(rng.randrange(len(path) + 1), rng.randbytes(32))
    elif change == 1:
        path.pop(rng.randrange(len(path)))
    elif change == 2:
        path.reverse()
    else:
        at = rng.randrange(len(path))
        path[at] = flipped(path[at], rng)
    return {**question, name: path}


def test_go_accepts_every_fresh_proof_of_the_log(go: Ask) -> None:
    questions = log_questions(random.Random(1))
    assert all(map(accepted, questions))
    assert all(go([hexed(question) for question in questions]))


def test_go_gives_our_verdict_on_every_altered_proof_of_the_log(go: Ask) -> None:
    rng = random.Random(2)
    questions = [altered(question, rng) for question in log_questions(rng) for _ in range(4)]
    verdicts = [accepted(question) for question in questions]
    assert verdicts.count(False) > len(questions) // 2
    assert go([hexed(question) for question in questions]) == verdicts


def state_questions(rng: random.Random) -> list[Question]:
    """Proofs of both kinds from trees of many sizes, each reached by blocks of changes and deletions."""
    questions: list[Question] = []
    for count in (1, 2, 3, 4, 7, 50, 1000, 5000):
        tree, pairs = state.StateTree(arrays=bool(rng.randrange(2))), dict[bytes, bytes]()
        for block in range(4):
            changes: dict[bytes, bytes | None] = {
                rng.randbytes(8): rng.randbytes(rng.randrange(1, 200)) for _ in range(count)
            }
            if block:
                changes |= dict.fromkeys(rng.sample(sorted(pairs), len(pairs) - 1))
            tree.install(tree.plan(changes))
            pairs = {k: v for k, v in (pairs | changes).items() if v is not None}
        by_hash = {sha256(key).digest(): (key, value) for key, value in pairs.items()}
        for key in rng.sample(sorted(pairs), min(60, len(pairs))):
            proof = state.existence_proof(tree, key, pairs[key])
            questions.append(
                {"kind": "presence", "root": tree.root, "key": key}
                | {"value": pairs[key], "proof": proof}
            )
        for _ in range(60):
            key = rng.randbytes(rng.randrange(1, 40))
            if key in pairs:
                continue
            near = tree.neighbours(sha256(key).digest())
            left, right = (None if at is None else by_hash[at] for at in near)
            proof = state.absence_proof(tree, key, left=left, right=right)
            questions.append({"kind": "absence", "root": tree.root, "key": key, "proof": proof})
    return questions


def altered_state(question: Question, rng: random.Random) -> Question:
    name = rng.choice(("proof", "proof", "proof", "root", "key"))
    value: bytes = question[name]
    change = rng.randrange(4)
    if change == 0:
        return {**question, name: flipped(value, rng)}
    at = rng.randrange(len(value))
    if change == 1:
        return {**question, name: value[:at] + rng.randbytes(1) + value[at:]}
    if change == 2 and len(value) > 1:
        return {**question, name: value[:at] + value[at + 1 :]}
    return {**question, name: value[:at] + rng.randbytes(1) + value[at + 1 :]}


@pytest.mark.parametrize("program", ["go", "rust"])
def test_foreign_ics23_accepts_every_fresh_proof_of_the_state(
    program: str, request: pytest.FixtureRequest
) -> None:
    ask: Ask = request.getfixturevalue(program)
    questions = state_questions(random.Random(3))
    assert len(questions) > 500
    assert all(map(accepted, questions))
    assert all(ask([hexed(question) for question in questions]))


@pytest.mark.parametrize("program", ["go", "rust"])
def test_foreign_ics23_accepts_all_that_we_accept_of_altered_proofs(
    program: str, request: pytest.FixtureRequest
) -> None:
    """And next to nothing more: other spellings of a true proof, never of another root or key."""
    ask: Ask = request.getfixturevalue(program)
    rng = random.Random(4)
    true = [question for question in state_questions(rng) for _ in range(5)]
    questions = [altered_state(question, rng) for question in true]
    ours = [accepted(question) for question in questions]
    theirs = ask([hexed(question) for question in questions])
    more = 0
    for question, origin, own, other in zip(questions, true, ours, theirs, strict=True):
        assert own <= other, question
        if own < other:
            more += 1
            assert question["root"] == origin["root"]
            assert question["key"] == origin["key"] or question["kind"] == "absence"
    assert more < len(questions) // 20


@pytest.mark.parametrize("program", ["go", "rust"])
def test_foreign_ics23_judges_the_vectors_as_they_say(
    program: str, request: pytest.FixtureRequest
) -> None:
    ask: Ask = request.getfixturevalue(program)
    file = json.loads((ROOT / "vectors" / "state-proof.json").read_text())
    vectors = [
        vector | {"kind": kind}
        for kind in ("presence", "absence")
        for vector in file[kind] + file[f"{kind}_refused"]
    ]
    verdicts = ask(vectors)
    assert verdicts == [vector["ics23"] == "accepted" for vector in vectors]


def test_go_gives_our_verdict_on_paths_and_bundles(go: Ask) -> None:
    rng = random.Random(5)
    alphabet = "tile/0123456789x.pentries/"
    names, bundles = [], []
    for _ in range(1500):
        level, index = (
            rng.choice((None, rng.randrange(64))),
            rng.randrange(10 ** rng.randrange(1, 12)),
        )
        name = tiles.tile_path(level, index, rng.choice((256, rng.randrange(1, 257))))
        at = rng.randrange(len(name))
        names += [name, name[:at] + rng.choice(alphabet) + name[at + rng.randrange(2) :]]
        entries = [rng.randbytes(rng.randrange(9)) for _ in range(rng.randrange(1, 9))]
        bundle = tiles.entry_bundle(entries)
        bundles += [bundle, flipped(bundle, rng), bundle[: rng.randrange(len(bundle))]]
    ours = [parses(tiles.parse_tile_path, name) for name in names]
    ours += [parses(tiles.parse_entry_bundle, bundle) for bundle in bundles]
    questions: list[Question] = [{"kind": "path", "name": name} for name in names]
    questions += [{"kind": "bundle", "bundle": bundle.hex()} for bundle in bundles]
    assert 0 < ours.count(False) < len(ours)
    assert go(questions) == ours


def parses(parse: Callable[[Any], object], data: str | bytes) -> bool:
    try:
        parse(data)
    except DrystoneError:
        return False
    return True


def test_vectors_are_what_the_foreign_programs_write_today(tmp_path: Path, go: Ask) -> None:
    subprocess.run([CACHE / "trees-go", tmp_path], check=True)
    for name in ("tree.json", "tiles.json", "state-proof.json"):
        assert (tmp_path / name).read_text() == (ROOT / "vectors" / name).read_text()
