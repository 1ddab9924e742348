"""`ca`: files, answers and exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from drystone.cli import exits
from drystone.cli.app import app
from drystone.home.authority import TlsFiles
from drystone.home.certificates import read_own, read_revoked
from drystone.home.keyfolder import read_key_file

run = CliRunner()


def do(*arguments: str, code: int = exits.OK) -> str:
    done = run.invoke(app, [*arguments])
    assert done.exit_code == code, done.output
    return done.output


def told(*arguments: str) -> dict[str, Any]:
    return json.loads(do(*arguments, "--json"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "h"
    do("init", "--org", "ewz", "--home", str(path))
    do("ca", "init", "--home", str(path))
    return path


@pytest.fixture
def gateway(tmp_path: Path) -> Path:
    path = tmp_path / "g"
    do("init", "--org", "ewz", "--node", "gw-7", "--home", str(path))
    return path


def test_a_node_enrols_itself_and_has_all_three_files(home: Path) -> None:
    do("ca", "enrol", "ewz/node-1", "--home", str(home))
    files = TlsFiles(home / "tls")
    own = read_own(files.read()[1])
    assert (own.iss, own.sub) == ("ewz", "node-1")
    assert own.key == read_key_file(home / "keys" / "node.key").secret.public
    assert {path.name for path in files.folder.iterdir()} == {"ca.pem", "node.pem", "crl.pem"}


def test_a_gateways_home_gets_its_files_over_its_own_key(home: Path, gateway: Path) -> None:
    row = told("ca", "enrol", "ewz/gw-7", "--home", str(home), "--into", str(gateway))
    key = read_key_file(gateway / "keys" / "node.key").secret.public
    assert row["kid"] == key.kid().hex()
    shown = told("ca", "show", "--home", str(gateway))
    assert (shown["member"], shown["serial"]) == ("ewz/gw-7", row["serial"])
    assert shown["revoked"] is False
    assert len(shown["authorities"]) == 1


def test_files_for_a_key_given_by_hand_go_into_a_folder(home: Path, tmp_path: Path) -> None:
    key = read_key_file(home / "keys" / "operator.key").secret.public
    done = ["ca", "enrol", "wwz/gw-1", "--public", key.raw.hex(), "-o", str(tmp_path / "out")]
    do(*done, "--days", "30", "--home", str(home))
    assert read_own((tmp_path / "out" / "node.pem").read_bytes()).key == key


def test_revoking_reaches_this_home_and_those_named(home: Path, gateway: Path) -> None:
    do("ca", "enrol", "ewz/node-1", "--home", str(home))
    do("ca", "enrol", "ewz/gw-7", "--home", str(home), "--into", str(gateway))
    row = told("ca", "revoke", "ewz/gw-7", "--home", str(home), "--into", str(gateway))
    serial = row["rows"][0]["serial"]
    for one in (home, gateway):
        revoked = read_revoked((one / "tls" / "crl.pem").read_bytes())
        assert {number for _, number in revoked} == {int(serial, 16)}
    assert "state    revoked" in do("ca", "show", "--home", str(gateway))
    states = {
        one["member"]: one["state"] for one in told("ca", "list", "--home", str(home))["rows"]
    }
    assert states == {"ewz/node-1": "valid", "ewz/gw-7": "revoked"}


def test_renewing_signs_a_list_that_revokes_the_same(home: Path) -> None:
    do("ca", "enrol", "ewz/node-1", "--home", str(home))
    do("ca", "revoke", "ewz/node-1", "--home", str(home))
    do("ca", "renew", "--home", str(home))
    assert len(read_revoked((home / "tls" / "crl.pem").read_bytes())) == 1


def test_authoritys_files_are_for_their_owner(home: Path) -> None:
    assert (home / "ca").stat().st_mode & 0o777 == 0o700
    assert (home / "ca" / "ca.key").stat().st_mode & 0o777 == 0o600


def test_no_output_of_a_command_holds_a_secret(home: Path, gateway: Path) -> None:
    into = ["--home", str(home), "--into", str(gateway)]
    said = do("ca", "enrol", "ewz/gw-7", *into)
    said += do("ca", "list", "--home", str(home)) + do("ca", "show", "--home", str(gateway))
    for key in (home / "ca" / "ca.key", gateway / "keys" / "node.key"):
        secret = json.loads(key.read_text())["secret"]
        assert secret not in said
        kept = [path for path in (gateway / "tls").iterdir() if secret in path.read_text()]
        assert kept == []


def test_a_second_authority_is_refused(home: Path) -> None:
    assert "already-exists" in do("ca", "init", "--home", str(home), code=exits.REFUSED)


def test_enrolling_another_member_needs_a_place_for_its_files(home: Path) -> None:
    said = do("ca", "enrol", "ewz/gw-7", "--home", str(home), code=exits.REFUSED)
    assert "give --into or --output" in said


def test_a_key_that_lies_nowhere_is_asked_of_a_node(home: Path, tmp_path: Path) -> None:
    enrol = ["ca", "enrol", "ewz/gw-9", "-o", str(tmp_path / "o"), "--home", str(home)]
    assert "node-absent" in do(*enrol, code=exits.UNAVAILABLE)


@pytest.mark.parametrize("key", ["", "00", "zz" * 32, "00" * 32, "11" * 33])
def test_a_public_key_that_is_none_is_refused(home: Path, tmp_path: Path, key: str) -> None:
    enrol = ["ca", "enrol", "ewz/gw-9", "-o", str(tmp_path / "o"), "--public", key]
    do(*enrol, "--home", str(home), code=exits.REFUSED)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["enrol", "ewz/x", "-o", "o", "--public", "00" * 32],
        ["revoke", "ewz/x"],
        ["list"],
        ["renew"],
    ],
)
def test_a_home_without_an_authority_says_so(
    gateway: Path, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "enrol":
        key = read_key_file(gateway / "keys" / "operator.key").secret.public
        arguments = [*arguments[:-1], key.raw.hex()]
    said = do("ca", *arguments, "--home", str(gateway), code=exits.REFUSED)
    assert "authority-invalid" in said


def test_a_home_that_does_not_link_has_nothing_to_show(home: Path) -> None:
    assert "tls-files-invalid" in do("ca", "show", "--home", str(home), code=exits.REFUSED)


def test_name_of_a_member_is_two_ids(home: Path, tmp_path: Path) -> None:
    key = read_key_file(home / "keys" / "operator.key").secret.public
    enrol = ["ca", "enrol", "no-slash", "--public", key.raw.hex(), "-o", str(tmp_path / "o")]
    assert "id-malformed" in do(*enrol, "--home", str(home), code=exits.REFUSED)
