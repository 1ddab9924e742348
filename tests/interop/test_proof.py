"""Foreign programs judge the proofs of a running node: go-cose, sumdb/note, sumdb/tlog and cosmos/ics23.

A node of real processes takes readings and hands out receipts, key proofs and completeness proofs; the Go program
(the one that makes the proof vectors) verifies them with libraries that know nothing of Drystone. Beside it stand our
three verifiers: the package, the joined file, and the page in Chromium, which must say the same.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / name) for name in ("process", "unit/proof", "browser")]
sys.path.insert(0, str(ROOT / "tools"))

import build_verifier  # noqa: E402
from proof_vectors import vectors  # noqa: E402
from running_node import METER, STREAM, RunningNode, make_home, reading  # noqa: E402

from drystone.formats.senml import Measurement  # noqa: E402
from drystone.proof.trust import parse_trust  # noqa: E402
from drystone.proof.verify import verify_file  # noqa: E402

GENERATOR = ROOT / "vectors" / "generators" / "proof"
CACHE = ROOT / ".cache" / "interop"


FOREIGN_LENIENT = {
    # It chains digests, and knows no runs: not that they hide a gap, how many there may be, nor their count.
    "a state that counts one record more",
    "a state whose runs are of another epoch",
    "a state whose runs hide a gap",
    "records that would make 65 runs on the way",
}
"""Lies in Drystone's sense that the program above has no rule against."""


class Proof(NamedTuple):
    name: str
    file: bytes
    key: bytes | None


def ask(questions: list[tuple[bytes, str, bytes | None]]) -> list[dict[str, Any]]:
    """What the foreign libraries say to proofs under trust files."""
    if shutil.which("go") is None:
        pytest.skip("no Go")
    program = CACHE / "proof-go"
    subprocess.run(["go", "build", "-o", program, "."], cwd=GENERATOR, check=True)
    lines = [
        json.dumps({"file": file.hex(), "trust": trust, "key": key.hex() if key else ""})
        for file, trust, key in questions
    ]
    run = subprocess.run(
        [str(program), "verify"], input="\n".join(lines), capture_output=True, text=True, check=True
    )
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(answers) == len(questions)
    return answers


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Proof]]:
    """A node's trust file and what it proves after 120 readings with a gap, and one attested."""
    home = tmp_path_factory.mktemp("interop") / "home"
    make_home(home)
    proofs: list[Proof] = []
    with RunningNode(home) as node, node.client() as client:
        node.enrol_meter(client)
        client.deliver([reading(seq) for seq in range(60)], wait="committed")
        first = client.completeness(STREAM)
        client.deliver([reading(seq) for seq in range(61, 121)], wait="committed")
        attested = STREAM._replace(member="gw-1", device="old")
        client.attest(attested, [Measurement("e", "Wh", 5, None)], wait="committed")
        key = client.key_proof(STREAM, kid=METER.public.kid().hex())
        proofs += [
            Proof(f"receipt {seq}", client.receipt(STREAM, epoch=0, seq=seq), key)
            for seq in (0, 1, 59, 61, 120)
        ]
        proofs.append(Proof("receipt without key", client.receipt(STREAM, epoch=0, seq=7), None))
        proofs.append(Proof("attested", client.receipt(attested, epoch=0, seq=0), None))
        proofs.append(Proof("key", key, None))
        proofs.append(Proof("earlier stretch", first, None))
        proofs.append(Proof("whole stretch", client.completeness(STREAM), None))
        proofs.append(Proof("later stretch", client.completeness(STREAM, since=first), None))
        proofs.append(Proof("attested stretch", client.completeness(attested), None))
    return (home / "trust.json").read_text(encoding="utf-8"), proofs


def test_proofs_of_a_running_node_hold_for_foreign_libraries(
    fresh: tuple[str, list[Proof]],
) -> None:
    trust, proofs = fresh
    answers = ask([(proof.file, trust, proof.key) for proof in proofs])
    assert {p.name: a for p, a in zip(proofs, answers, strict=True) if "refused" in a} == {}
    found = {proof.name: answer for proof, answer in zip(proofs, answers, strict=True)}
    assert found["receipt 120"]["checked"] is True
    assert found["whole stretch"]["items"] == 120
    assert found["later stretch"]["items"] == 60


def test_proofs_of_a_running_node_hold_for_the_package_with_the_same_figures(
    fresh: tuple[str, list[Proof]],
) -> None:
    trust, proofs = fresh
    answers = ask([(proof.file, trust, proof.key) for proof in proofs])
    for proof, answer in zip(proofs, answers, strict=True):
        verdict = verify_file(proof.file, parse_trust(trust.encode()), key_point=proof.key)
        assert verdict.kind == answer["kind"]
        if verdict.kind == "record":
            place = verdict.inclusions[0]
            assert (place.index, place.size) == (answer["index"], answer["size"])
        if verdict.stretch is not None:
            assert len(verdict.stretch.items) == answer["items"]
            assert verdict.stretch.end.height == answer["height"]


def test_proofs_of_a_running_node_hold_for_the_joined_file(
    fresh: tuple[str, list[Proof]], tmp_path: Path
) -> None:
    trust, proofs = fresh
    joined = tmp_path / "drystone-verify.py"
    joined.write_text(build_verifier.build(), encoding="utf-8")
    (tmp_path / "trust.json").write_text(trust, encoding="utf-8")
    for proof in proofs:
        (tmp_path / "proof.cbor").write_bytes(proof.file)
        command = [sys.executable, "-I", joined, tmp_path / "proof.cbor", "--trust"]
        command += [tmp_path / "trust.json", "--json"]
        if proof.key is not None:
            (tmp_path / "key.cbor").write_bytes(proof.key)
            command += ["--key", tmp_path / "key.cbor"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (proof.name, done.stdout)


def test_proofs_of_a_running_node_hold_for_the_page(fresh: tuple[str, list[Proof]]) -> None:
    under_test = pytest.importorskip("page_under_test")
    if under_test.CHROMIUM is None:
        pytest.skip("no Chromium on the PATH")
    trust, proofs = fresh
    with under_test.sync_api.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=under_test.CHROMIUM, args=["--no-sandbox"]
        )
        page = chromium.new_page()
        page.goto(under_test.PAGE.as_uri())
        script = """([f, t, k]) => drystone.check(drystone.fromHex(f), drystone.utf8(t), k ? drystone.fromHex(k) : null)
            .then((answer) => answer.verified ? null : answer.code)"""
        for proof in proofs:
            key = proof.key.hex() if proof.key else None
            assert page.evaluate(script, [proof.file.hex(), trust, key]) is None, proof.name
        chromium.close()


def test_foreign_libraries_take_every_good_vector_and_no_forged_one() -> None:
    """They do not know our order of lines, our bounds or our record form; a lie they must see as well."""
    cases = vectors()
    answers = ask([(v.file or b"\x00", v.trust, v.key) for v in cases])
    good = {v.name: a for v, a in zip(cases, answers, strict=True) if not v.error}
    assert {name: answer for name, answer in good.items() if "refused" in answer} == {}
    lies = ("proof-invalid", "signature-invalid", "stream-incomplete")
    believed = {
        v.name
        for v, a in zip(cases, answers, strict=True)
        if v.error in lies and "refused" not in a
    }
    assert believed == FOREIGN_LENIENT
