"""`drystone contract` and `drystone dev` without a node: findings, layout, snapshots, and how arguments are read."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from drystone.cli import contract_life as life
from drystone.cli import exits
from drystone.cli.app import app
from drystone.cli.dev import fingerprint
from drystone.client.rest import Client, Endpoint
from drystone.contracts.package import CallSpec
from drystone.errors import ArgumentsMalformed, ContractUnknown, NotFound, RequestMalformed

METER = Path(__file__).parents[1] / "workshop" / "meter"
TEST = """
def test_limit(chain, org):
    chain.deploy()
    chain.call(org, "meter.set_limit", value=7)
"""
run = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of a small contract with a test."""
    path = Path(shutil.copytree(METER, tmp_path / "meter"))
    (path / "test_meter.py").write_text(TEST)
    return path


def invoke(*words: str | Path, code: int = 0) -> str:
    done = run.invoke(app, ["contract", *map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


class TestCheck:
    def test_sound_contract_shows_its_hash(self, folder: Path) -> None:
        assert invoke("check", folder).startswith("meter 1  hash ")

    def test_every_folder_is_checked_and_all_findings_are_shown(self, folder: Path) -> None:
        (folder / "contract.star").write_text("def f(ctx):\n    while True:\n        pass\n")
        out = invoke("check", folder, METER, folder.parent, code=exits.FAILED)
        assert f"{folder}/contract.star:2: While is not allowed" in out
        assert "a contract's folder holds contract.toml" in out

    def test_findings_are_json_with_json(self, folder: Path) -> None:
        (folder / "contract.toml").write_text("name = 3\n")
        found = json.loads(invoke("check", folder, "--json", code=exits.FAILED))
        assert found["ok"] is False
        assert found["findings"] == [f"{folder}/contract.toml:1: manifest: 'name' must be str"]


class TestFmt:
    def test_file_is_laid_out_once(self, folder: Path) -> None:
        file = folder / "contract.star"
        neat = file.read_text()
        file.write_text(neat.replace("    ", "  ").replace("\n\n", "\n\n\n"))
        assert "would change" in invoke("fmt", folder, "--check", code=exits.FAILED)
        assert "laid out" in invoke("fmt", folder)
        assert file.read_text() == neat
        assert "nothing to do" in invoke("fmt", folder)

    def test_text_that_does_not_parse_is_left_alone(self, folder: Path) -> None:
        file = folder / "contract.star"
        file.write_text("def f(:\n")
        assert "contract.star:1: not valid syntax" in invoke("fmt", folder, code=exits.REFUSED)
        assert file.read_text() == "def f(:\n"


class TestTestsAndGas:
    def test_costs_are_written_compared_and_told(self, folder: Path) -> None:
        invoke("gas", folder, "--check", code=exits.FAILED)
        invoke("gas", folder, "--snapshot")
        invoke("gas", folder, "--check")
        file = folder / "contract.star"
        file.write_text(file.read_text().replace('put("limit", value)', 'put("limit", value + 0)'))
        out = json.loads(invoke("gas", folder, "--check", "--json", code=exits.FAILED))
        assert out["grown"][0].startswith("half: entry ")
        assert out["functions"][0]["function"] == "on_reading"

    def test_failing_tests_end_with_one(self, folder: Path) -> None:
        (folder / "test_meter.py").write_text(TEST.replace("set_limit", "nothing"))
        out = json.loads(invoke("test", folder, "--json", code=exits.FAILED))
        assert (out["ok"], out["failed"]) == (False, 1)
        assert "no meter.nothing" in out["output"]
        assert "nothing can be measured" in invoke("gas", folder, code=exits.FAILED)

    def test_unsound_contract_is_not_tested(self, folder: Path) -> None:
        (folder / "contract.star").write_text("x\n")
        assert "contract.star:1: " in invoke("test", folder, code=exits.FAILED)


class TestArguments:
    SPEC = CallSpec(
        ("anyone",),
        {"n": "int", "on": "bool", "to": "id", "why": "text", "all": "list", "by": "map"},
        1000,
    )

    def test_words_are_read_by_the_manifest(self) -> None:
        words = ["n=-5", "on=true", "to=12", "why=a=b", "all=[1]", 'by={"a":1}']
        assert life.read_arguments(words, self.SPEC) == {
            "n": -5,
            "on": True,
            "to": "12",
            "why": "a=b",
            "all": [1],
            "by": {"a": 1},
        }

    @pytest.mark.parametrize(
        ("word", "sentence"),
        [
            ("n=1.5", "wants int"),
            ("n=true", "wants int"),
            ("on=1", "wants bool"),
            ("all=x", "wants list"),
            ("by=[]", "wants map"),
            ("x=1", "no argument 'x'; there are: n, on"),
            ("n", "is not NAME=VALUE"),
            ("=1", "is not NAME=VALUE"),
        ],
    )
    def test_word_that_does_not_fit_is_refused(self, word: str, sentence: str) -> None:
        with pytest.raises(ArgumentsMalformed, match=sentence):
            life.read_arguments([word], self.SPEC)

    def test_missing_and_doubled_arguments_are_named(self) -> None:
        with pytest.raises(ArgumentsMalformed, match="missing: on, to"):
            life.read_arguments(["n=1", "why=x", "all=[]", "by={}"], self.SPEC)
        with pytest.raises(ArgumentsMalformed, match="twice"):
            life.read_arguments(["n=1", "n=2"], self.SPEC)
        with pytest.raises(ArgumentsMalformed, match="there are: none"):
            life.read_arguments(["n=1"], CallSpec((), {}, 1))

    @pytest.mark.parametrize(
        ("text", "value"),
        [("7", 7), ("x", "x"), ("1.5", "1.5"), ("null", "null"), ("[1]", [1]), ('"7"', "7")],
    )
    def test_without_a_manifest_words_are_json_or_text(self, text: str, value: object) -> None:
        assert life.read_arguments([f"a={text}"], None) == {"a": value}


class TestWhich:
    def test_version_is_named_by_folder_or_name(self, folder: Path) -> None:
        assert life.read_which(str(folder)).text == "meter@1"
        assert life.read_which("token@12") == ("token", 12, None)

    @pytest.mark.parametrize("text", ["token", "token@0", "Token@1", "token@x", "@1", "/none"])
    def test_other_words_are_refused(self, text: str) -> None:
        with pytest.raises(RequestMalformed, match="neither"):
            life.read_which(text)


class TestWithoutAnAnswer:
    class Empty(Client):
        """A node on whose ledger nothing is."""

        def get(self, path: str, params: Any = None) -> dict[str, Any]:
            raise NotFound(path)

    def test_ledger_without_the_contract_says_so(self) -> None:
        with self.Empty(Endpoint(url="http://localhost")) as node:
            assert life.running_package(node, "token") is None
            with pytest.raises(ContractUnknown, match="no contract 'token'"):
                life.contract(node, "token")
            with pytest.raises(ContractUnknown, match="no version 1 of 'token'"):
                life.version_of(node, "token", 1)

    def test_version_that_waits_is_the_deployed_one_above_the_running(self) -> None:
        versions = [
            {"version": 1, "status": "replaced"},
            {"version": 2, "status": "deployed"},
            {"version": 3, "status": "submitted"},
        ]
        assert life.waiting_version({"version": 2, "versions": versions}) is None
        assert life.waiting_version({"version": 1, "versions": versions}) == versions[1]
        assert life.waiting_version({"version": 0, "versions": []}) is None

    @pytest.mark.parametrize("what", ["token", ".x", "token.", ""])
    def test_call_needs_a_contract_and_a_function(self, what: str) -> None:
        assert "is not NAME.FUNCTION" in invoke("call", what, code=exits.REFUSED)

    def test_approval_needs_what_was_reviewed(self, folder: Path) -> None:
        assert "hash you reviewed" in invoke("approve", "token@1", code=exits.REFUSED)
        assert "not hex" in invoke("approve", folder, "--hash", "xyz", code=exits.REFUSED)


def test_fingerprint_follows_every_file_that_counts(folder: Path) -> None:
    seen = {fingerprint(folder)}
    for name in ("contract.star", "contract.toml", "profiles.toml", "test_meter.py"):
        (folder / name).write_text((folder / name).read_text() + "# more\n")
        seen.add(fingerprint(folder))
    assert len(seen) == 5
    (folder / "notes.txt").write_text("x")
    assert fingerprint(folder) in seen
    (folder / "profiles.toml").unlink()
    assert fingerprint(folder) not in seen
