"""Commands that need no node: their files, their answers, their exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drystone.cli import exits
from drystone.cli.app import app
from drystone.cli.importing import summary_text
from drystone.cli.maintenance import findings_text
from drystone.importer.delivery import Summary
from drystone.storage.fsck import Finding

ROOT = Path(__file__).parents[3]
MAPPING = ROOT / "tests" / "scripts" / "import" / "homes.toml"
TABLE = ROOT / "tests" / "scripts" / "import" / "homes.csv"

run = CliRunner()


def test_init_says_what_it_made_and_overwrites_nothing(tmp_path: Path) -> None:
    arguments = ["init", "--org", "ewz", "--home", str(tmp_path / "h"), "--json"]
    made = run.invoke(app, arguments)
    assert json.loads(made.stdout)["origin"] == "ewz.example/drystone"
    again = run.invoke(app, arguments)
    assert again.exit_code == exits.REFUSED
    assert json.loads(again.stdout)["code"] == "home-invalid"


@pytest.mark.parametrize("org", ["", "-x", "a b", "x" * 49, "ü"])
def test_init_refuses_an_alias_that_is_no_id(org: str, tmp_path: Path) -> None:
    done = run.invoke(app, ["init", "--org", org, "--home", str(tmp_path / "h")])
    assert done.exit_code == exits.REFUSED
    assert not (tmp_path / "h").exists()


def test_up_refuses_a_folder_that_is_no_home(tmp_path: Path) -> None:
    done = run.invoke(app, ["up", "--home", str(tmp_path)])
    assert done.exit_code == exits.REFUSED
    assert "home-invalid" in done.stderr


def test_verify_of_something_else_ends_with_one_and_a_code(tmp_path: Path) -> None:
    run.invoke(app, ["init", "--org", "ewz", "--home", str(tmp_path / "h")])
    (tmp_path / "x").write_bytes(b"\xd2\x80")
    done = run.invoke(app, ["verify", str(tmp_path / "x"), "--home", str(tmp_path / "h"), "--json"])
    assert done.exit_code == exits.FAILED
    assert json.loads(done.stdout)["ok"] is False


def test_verify_without_a_trust_file_ends_with_one(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xd2")
    done = run.invoke(app, ["verify", str(tmp_path / "x"), "--home", str(tmp_path)])
    assert done.exit_code == exits.FAILED
    assert "trust-malformed" in done.stderr


def test_verify_of_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    assert run.invoke(app, ["verify", str(tmp_path / "x")]).exit_code == exits.USAGE


def test_a_dry_run_reads_the_whole_table_and_names_the_bad_row(tmp_path: Path) -> None:
    done = run.invoke(app, ["import", str(TABLE), "--map", str(MAPPING), "--dry-run", "--json"])
    assert done.exit_code == exits.FAILED
    summary = json.loads(done.stdout)
    assert (summary["records"], summary["measurements"], summary["devices"]) == (4, 8, 2)
    assert summary["bad"] == ["line 4, column V003: 'n/a' is not a number"]


@pytest.mark.parametrize("data", [b"\xff\xfe", b"x" * 70_000, b"layout ="])
def test_a_mapping_that_is_none_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_bytes(data)
    done = run.invoke(app, ["import", str(TABLE), "--map", str(tmp_path / "m.toml"), "--dry-run"])
    assert done.exit_code == exits.REFUSED
    assert "import-malformed" in done.stderr


def test_a_summary_says_what_was_there_already_and_which_rows_were_bad() -> None:
    text = summary_text(Summary(records=5, resumed=2, bad=["line 4: x"]))
    assert "2 were there already" in text
    assert text.endswith("  line 4: x")


def test_findings_name_table_row_and_column(tmp_path: Path) -> None:
    found = [Finding("ledger.db", "tiles", "0/0", "hashes", "hash 7 is not that of the log")]
    text = findings_text(tmp_path, found)
    assert text.splitlines() == [
        "damaged: ledger.db, table tiles, row 0/0, column hashes",
        "  hash 7 is not that of the log",
    ]


def test_a_thousand_findings_are_counted_not_listed(tmp_path: Path) -> None:
    found = [Finding("ledger.db", "state", str(n), "value", "differs") for n in range(1_000)]
    assert findings_text(tmp_path, found).endswith("and 980 more")


def test_fsck_of_a_new_home_is_clean(tmp_path: Path) -> None:
    run.invoke(app, ["init", "--org", "ewz", "--home", str(tmp_path / "h")])
    done = run.invoke(app, ["fsck", "--home", str(tmp_path / "h"), "--json"])
    assert (done.exit_code, json.loads(done.stdout)) == (exits.OK, {"ok": True, "findings": []})


def test_a_backup_is_restored_and_nothing_is_overwritten(tmp_path: Path) -> None:
    run.invoke(app, ["init", "--org", "ewz", "--home", str(tmp_path / "h")])
    copy, again = str(tmp_path / "copy"), str(tmp_path / "again")
    assert run.invoke(app, ["backup", copy, "--home", str(tmp_path / "h")]).exit_code == exits.OK
    assert run.invoke(app, ["restore", copy, "--home", again]).exit_code == exits.OK
    assert run.invoke(app, ["restore", copy, "--home", again]).exit_code == exits.REFUSED
    assert (tmp_path / "again" / "keys" / "node.key").stat().st_mode & 0o777 == 0o600


def test_the_demo_of_real_data_says_where_to_get_some() -> None:
    done = run.invoke(app, ["demo", "real"])
    assert done.exit_code == exits.FAILED
    assert "ResidentialEnergyConsumption" in done.stdout


def test_an_unknown_algorithm_is_wrong_usage(tmp_path: Path) -> None:
    arguments = ["device", "prove", "ewz/m-1", "--ledger", "00" * 32, "--alg", "rot13"]
    done = run.invoke(app, [*arguments, "--keys", str(tmp_path)])
    assert done.exit_code == exits.USAGE


def test_a_proof_is_made_without_a_node_and_its_key_is_kept(tmp_path: Path) -> None:
    arguments = ["device", "prove", "ewz/m-1", "--ledger", "00" * 32, "--keys", str(tmp_path / "k")]
    output = ["-o", str(tmp_path / "p")]
    assert run.invoke(app, [*arguments, *output]).exit_code == exits.OK
    first = (tmp_path / "p").read_bytes()
    assert run.invoke(app, [*arguments, *output]).exit_code == exits.OK
    assert (tmp_path / "p").read_bytes() == first
