"""`token`, `audit` and `org policy`: their files, their answers, their exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drystone.cli import exits
from drystone.cli.access import read_policy_file
from drystone.cli.app import app
from drystone.errors import ArgumentsMalformed
from drystone.home.audit import AuditLog, Denial
from drystone.home.tokens import TokenBook, TokenFile

run = CliRunner()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "h"
    assert run.invoke(app, ["init", "--org", "ewz", "--home", str(path)]).exit_code == exits.OK
    return path


def create(home: Path, *arguments: str) -> str:
    done = run.invoke(app, ["token", "create", *arguments, "--home", str(home), "--json"])
    assert done.exit_code == exits.OK, done.output
    return str(json.loads(done.stdout)["token"])


def test_token_is_printed_once_and_kept_nowhere(home: Path) -> None:
    text = create(home, "--scope", "all", "--days", "7", "--note", "Grafana")
    listed = run.invoke(app, ["token", "list", "--home", str(home)]).stdout
    assert "Grafana" in listed
    assert text not in listed
    secret = text.split("_")[2].encode()
    kept = [path for path in home.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert kept == []
    assert TokenBook(TokenFile(home / "keys" / "tokens.json")).find(text, now_s=0).scopes == (
        "all",
    )
    opened = [path for path in (home / "keys").iterdir() if path.stat().st_mode & 0o077]
    assert opened == []


def test_token_for_people_shows_until_when(home: Path) -> None:
    arguments = ["token", "create", "--scope", "as:ewz/house-7", "--scope", "ledger"]
    shown = run.invoke(app, [*arguments, "--home", str(home)]).stdout
    assert "token   dst_" in shown
    assert "scopes  as:ewz/house-7 ledger" in shown


def test_revoked_token_is_listed_as_such(home: Path) -> None:
    identifier = create(home, "--scope", "ledger").split("_")[1]
    done = run.invoke(app, ["token", "revoke", identifier, "--home", str(home)])
    assert (done.exit_code, done.stdout.strip()) == (exits.OK, f"revoked  {identifier}")
    rows = json.loads(run.invoke(app, ["token", "list", "--home", str(home), "--json"]).stdout)
    assert [row["state"] for row in rows["rows"]] == ["revoked"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["token", "create", "--scope", "everything"], exits.REFUSED),
        (["token", "create", "--scope", "all", "--days", "9999"], exits.REFUSED),
        (["token", "create", "--scope", "all", "--days", "0"], exits.USAGE),
        (["token", "create"], exits.USAGE),
        (["token", "revoke", "00000000"], exits.REFUSED),
        (["token", "revoke"], exits.USAGE),
    ],
)
def test_token_that_cannot_be_is_refused(home: Path, arguments: list[str], code: int) -> None:
    assert run.invoke(app, [*arguments, "--home", str(home)]).exit_code == code


@pytest.mark.parametrize("command", [["token", "list"], ["token", "create", "--scope", "all"]])
def test_folder_that_is_no_home_has_no_tokens(tmp_path: Path, command: list[str]) -> None:
    done = run.invoke(app, [*command, "--home", str(tmp_path / "nothing")])
    assert done.exit_code == exits.REFUSED
    assert "home-invalid" in done.stderr


def test_token_file_open_to_others_is_refused(home: Path) -> None:
    create(home, "--scope", "all")
    (home / "keys" / "tokens.json").chmod(0o644)
    done = run.invoke(app, ["token", "list", "--home", str(home)])
    assert done.exit_code == exits.REFUSED
    assert "key-file-invalid" in done.stderr


def test_audit_shows_denials_the_newest_first(home: Path) -> None:
    log = AuditLog(home / "audit.jsonl", now_ms=lambda: 1_762_340_400_000)
    for number in range(3):
        log.write(
            Denial(
                who="ewz/house-7",
                origin="127.0.0.1",
                what=f"GET /v1/streams/ewz/m-{number}",
                code="read-denied",
                why="no rule",
            )
        )
    shown = run.invoke(app, ["audit", "--limit", "2", "--home", str(home)]).stdout.splitlines()
    assert shown[1].startswith("2025-11-05T11:00:00Z  ewz/house-7")
    assert "m-2" in shown[1]
    assert len(shown) == 3
    rows = json.loads(run.invoke(app, ["audit", "--home", str(home), "--json"]).stdout)["rows"]
    assert [row["number"] for row in rows] == [3, 2, 1]


def test_audit_without_a_denial_says_so(home: Path) -> None:
    done = run.invoke(app, ["audit", "--home", str(home)])
    assert (done.exit_code, done.stdout.strip()) == (exits.OK, "Nobody was denied anything.")


def test_policy_file_is_read_as_the_calls_arguments(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('own = "m/h"\n[[rule]]\nwho = "members"\nwhat = "streams"\nof = "{own}"\n')
    rule = {"who": "members", "what": "streams", "of": "{own}"}
    assert read_policy_file(path) == {"rules": [rule], "own": "m/h"}
    path.write_text("")
    assert read_policy_file(path) == {"rules": []}


@pytest.mark.parametrize(
    "text", [b"x = 1", b"[rule]\nwho = 1", b"rule = 5", b"\xff", b"[[", b"#" * 300_000]
)
def test_policy_file_that_is_none_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(text)
    with pytest.raises(ArgumentsMalformed):
        read_policy_file(path)


def test_policy_of_a_node_that_is_away_is_unavailable(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("")
    for arguments in (["show"], ["set", str(path)]):
        done = run.invoke(app, ["org", "policy", *arguments, "--home", str(home)])
        assert done.exit_code == exits.UNAVAILABLE
