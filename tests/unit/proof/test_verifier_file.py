"""The joined verifier: one file, the same bytes everywhere, the same verdicts, and nothing but `cryptography`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from proof_vectors import named, vectors

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tools"))

import build_verifier  # noqa: E402

BARE = """
import json, runpy, sys
for name in ("nacl", "drystone", "numpy", "cbor2", "pydantic"):
    sys.modules[name] = None
names = runpy.run_path(sys.argv[1], run_name="joined")
parts = names["_parts"]
trust, verify, errors = (parts["drystone." + n] for n in ("proof.trust", "proof.verify", "errors"))
answers = []
for file, believed, key in json.load(sys.stdin):
    try:
        verify.verify_file(bytes.fromhex(file), trust.parse_trust(believed.encode()), key_point=bytes.fromhex(key) if key else None)
        answers.append(None)
    except errors.DrystoneError as error:
        answers.append(error.code)
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist") / "drystone-verify.py"
    target.write_text(build_verifier.build(), encoding="utf-8")
    return target


def call(joined: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(joined), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    vector = named("the worked record in a log of three entries, its key proved")
    assert vector.key is not None
    (tmp_path / "reading.cbor").write_bytes(vector.file)
    (tmp_path / "key.cbor").write_bytes(vector.key)
    (tmp_path / "trust.json").write_text(vector.trust, encoding="utf-8")
    return tmp_path


def test_joined_file_gives_every_vector_its_code_with_cryptography_alone(joined: Path) -> None:
    cases = [(v.file.hex(), v.trust, v.key.hex() if v.key else None) for v in vectors()]
    done = subprocess.run(
        [sys.executable, "-I", "-c", BARE, str(joined)],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [vector.error for vector in vectors()]


def test_joined_file_is_the_same_every_time() -> None:
    assert build_verifier.build() == build_verifier.build()


def test_joined_file_holds_only_the_rooms_of_a_verifier(joined: Path) -> None:
    names = [
        build_verifier.name_of(path) for path in build_verifier.ordered(build_verifier.COMMAND)
    ]
    rooms = {name.split(".")[1] for name in names if name.startswith("drystone.")}
    assert rooms == {"errors", "limits", "formats", "trees", "records", "proof"}
    assert "drystone.trees.state" not in names
    assert "drystone.records.vertex" not in names
    assert "import drystone" not in joined.read_text(encoding="utf-8")


def test_joined_file_ends_with_0_and_a_report(joined: Path, files: Path) -> None:
    done = call(joined, files / "reading.cbor", "--trust", files / "trust.json")
    assert done.returncode == 0
    assert done.stdout.startswith("Verified: ledger.example/main accepted this reading")


def test_joined_file_answers_in_json(joined: Path, files: Path) -> None:
    done = call(
        joined,
        files / "reading.cbor",
        *("--trust", files / "trust.json", "--key", files / "key.cbor", "--json"),
    )
    answer = json.loads(done.stdout)
    assert (answer["verified"], answer["signature"]["checked"]) == (True, True)


def test_joined_file_ends_with_1_and_the_code_when_a_byte_was_changed(
    joined: Path, files: Path
) -> None:
    path = files / "reading.cbor"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    done = call(joined, path, "--trust", files / "trust.json", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["code"] == "proof-invalid"
    words = call(joined, path, "--trust", files / "trust.json")
    assert words.stdout.startswith("NOT VERIFIED (proof-invalid): ")


def test_joined_file_ends_with_1_for_a_bad_trust_file(joined: Path, files: Path) -> None:
    (files / "trust.json").write_text("{}", encoding="utf-8")
    done = call(joined, files / "reading.cbor", "--trust", files / "trust.json")
    assert done.returncode == 1
    assert "trust-malformed" in done.stdout


def test_joined_file_ends_with_2_when_a_file_is_missing(joined: Path, files: Path) -> None:
    done = call(joined, files / "none.cbor", "--trust", files / "trust.json")
    assert done.returncode == 2
    assert "none.cbor" in done.stderr


def test_joined_file_ends_with_2_without_a_trust_file(joined: Path, files: Path) -> None:
    assert call(joined, files / "reading.cbor").returncode == 2


def test_joining_refuses_what_a_bare_machine_does_not_have(tmp_path: Path) -> None:
    module = tmp_path / "greedy.py"
    module.write_text('"""x"""\nimport numpy\n', encoding="utf-8")
    with pytest.raises(SystemExit, match="numpy"):
        build_verifier.ordered(module)


def test_joining_refuses_rooms_that_a_verifier_must_not_need(tmp_path: Path) -> None:
    module = tmp_path / "greedy.py"
    module.write_text('"""x"""\nfrom drystone.storage import ledger\n', encoding="utf-8")
    with pytest.raises(SystemExit, match="storage"):
        build_verifier.ordered(module)


def test_joining_refuses_a_string_of_several_lines(tmp_path: Path) -> None:
    module = tmp_path / "long.py"
    module.write_text('"""x"""\nTEXT = """a\nb"""\n', encoding="utf-8")
    with pytest.raises(SystemExit, match="several lines"):
        build_verifier.joined(module)
