"""`doctor` finds what is not well and says what to do; one broken thing never hides another."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drystone.cli import doctor as doctor_module
from drystone.cli import exits
from drystone.cli.app import app
from drystone.errors import HomeInvalid

run = CliRunner()


def diagnose(home: Path, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    done = run.invoke(app, ["doctor", "--json", "--home", str(home), *options])
    shown = json.loads(done.stdout)
    return done.exit_code, {finding["what"]: finding for finding in shown["findings"]}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    done = run.invoke(app, ["init", "--org", "ewz", "--home", str(tmp_path / "home")])
    assert done.exit_code == 0, done.output
    return tmp_path / "home"


def test_a_new_home_is_well_but_for_a_node_that_does_not_run(home: Path) -> None:
    code, findings = diagnose(home)
    assert code == exits.OK
    assert [what for what, one in findings.items() if one["status"] != "ok"] == ["node"]


def test_a_warning_fails_where_one_is_strict(home: Path) -> None:
    assert diagnose(home, "--strict")[0] == exits.FAILED


def test_a_folder_that_is_no_home_fails_with_what_to_do(tmp_path: Path) -> None:
    code, findings = diagnose(tmp_path)
    assert code == exits.FAILED
    assert "drystone init" in findings["home"]["fix"]


def test_a_key_that_others_can_read_fails(home: Path) -> None:
    (home / "keys" / "node.key").chmod(0o644)
    code, findings = diagnose(home)
    assert code == exits.FAILED
    assert "chmod" in findings["keys"]["fix"]


def test_a_missing_database_fails_and_the_other_is_still_looked_at(home: Path) -> None:
    (home / "ledger.db").unlink()
    _, findings = diagnose(home)
    assert findings["ledger.db"]["status"] == "fail"
    assert findings["vertices.db"]["status"] == "ok"


def test_a_setting_out_of_bounds_fails_and_is_named(home: Path) -> None:
    (home / "config.toml").write_text("[http]\nport = 99999\n")
    _, findings = diagnose(home)
    assert "http.port" in findings["home"]["detail"]


def test_a_clock_that_was_never_set_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("time.time", lambda: 3_600.0)
    (finding,) = doctor_module.check_clock(tmp_path)
    assert finding.status == "fail"


@pytest.mark.parametrize(("free", "status"), [(0, "fail"), (200_000_000, "warn"), (10**12, "ok")])
def test_a_full_disk_fails_before_it_is_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, status: str
) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage)
    assert next(doctor_module.check_disk(tmp_path)).status == status


def test_an_endpoint_that_nobody_answers_at_fails(home: Path) -> None:
    (home / "run").mkdir(exist_ok=True)
    (home / "run" / "endpoints.json").write_text('{"url": "http://127.0.0.1:9"}')
    _, findings = diagnose(home)
    assert findings["node"]["status"] == "fail"


def test_people_get_a_line_for_each_finding_and_a_fix_under_it(home: Path) -> None:
    shown = run.invoke(app, ["doctor", "--home", str(home)]).stdout
    assert "warn  node" in shown
    assert "fix: drystone up" in shown


def test_every_refusal_is_a_finding() -> None:
    def broken(_home: Path):
        raise HomeInvalid("nothing here")
        yield

    broken.__name__ = "check_it"
    (finding,) = doctor_module._safely(broken, Path())
    assert finding == ("it", "fail", "home-invalid: nothing here", HomeInvalid.fix)
