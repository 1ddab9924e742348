"""Settings: file, environment, bounds."""

import tomllib
from pathlib import Path

import pytest

from drystone import limits
from drystone.errors import ConfigInvalid
from drystone.home.config import (
    FILE_BYTES_MAX,
    Settings,
    parse_settings,
    read_policy,
    read_settings,
    sample,
)


def test_without_a_file_every_setting_has_its_default_and_listens_on_loopback(
    tmp_path: Path,
) -> None:
    settings = read_settings(tmp_path / "config.toml", {})
    assert settings == Settings()
    assert settings.http.host == "127.0.0.1"
    assert settings.intake.records_max == limits.INTAKE_RECORDS_MAX


def test_the_sample_names_every_setting_and_changes_none() -> None:
    text = sample()
    assert parse_settings(text, {}) == Settings()
    shown = tomllib.loads(
        text.replace("# Drystone node settings. Uncomment a line to change it.", "")
    )
    assert set(shown) == set(Settings.model_fields)
    uncommented = "\n".join(
        line.removeprefix("# ") if " = " in line or line.startswith("[") else ""
        for line in text.splitlines()
    )
    assert parse_settings(uncommented, {}) == Settings()


def test_the_environment_overrides_the_file() -> None:
    text = '[http]\nport = 1\nhost = "::1"\n'
    settings = parse_settings(text, {"DRYSTONE__HTTP__PORT": "0", "OTHER": "x"})
    assert (settings.http.port, settings.http.host) == (0, "::1")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[http]\nprot = 1\n", "http.prot"),
        ("[htpp]\nport = 1\n", "htpp"),
        ("[http]\nport = 65536\n", "http.port"),
        ("[http]\nport = -1\n", "http.port"),
        ('[http]\nport = "no"\n', "http.port"),
        ("[intake]\nrecords_max = 0\n", "intake.records_max"),
        (f"[intake]\nrecords_max = {limits.INTAKE_RECORDS_MAX + 1}\n", "intake.records_max"),
        ('[engine]\nkind = "cometbft"\n', "engine.kind"),
        ('[node]\nprocesses = "two"\n', "node.processes"),
        ("http = 1\n", "http"),
        ("[http\n", "TOML"),
    ],
)
def test_an_unknown_or_impossible_setting_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(ConfigInvalid, match=named):
        parse_settings(text, {})


@pytest.mark.parametrize(
    "environment",
    [
        {"DRYSTONE__HTTP": "1"},
        {"DRYSTONE__HTTP__PORT__X": "1"},
        {"DRYSTONE____PORT": "1"},
        {"DRYSTONE__HTTP__NO": "1"},
        {"DRYSTONE__HTTP__PORT": "x"},
    ],
)
def test_a_variable_that_is_no_setting_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigInvalid):
        parse_settings("", environment)


def test_a_variable_over_a_table_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="table"):
        parse_settings("http = 1\n", {"DRYSTONE__HTTP__PORT": "1"})


@pytest.mark.parametrize("data", [b"\xff", b"#" * (FILE_BYTES_MAX + 1)])
def test_a_file_that_is_no_text_or_too_long_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(data)
    with pytest.raises(ConfigInvalid):
        read_settings(path, {})


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", "open"),
        ('[http]\nhost = "localhost"', "open"),
        ('[http]\nhost = "::1"', "open"),
        ('[http]\nhost = "127.9.9.9"', "open"),
        ('[http]\nhost = "0.0.0.0"', "members"),
        ('[http]\nhost = "::"', "members"),
        ('[http]\nhost = "192.168.1.5"', "members"),
        ('[http]\nhost = "127.evil.example"', "members"),
        ('[http]\nhost = ""', "members"),
        ('[http]\npublic_url = "https://ledger.example"', "members"),
        ('[read]\npolicy = "rules"', "rules"),
        ('[http]\nhost = "0.0.0.0"\n[read]\npolicy = "open"', "open"),
    ],
)
def test_whoever_others_can_reach_asks_who_they_are(text: str, policy: str) -> None:
    assert read_policy(parse_settings(text, {})) == policy


@pytest.mark.parametrize(
    "text",
    [
        '[read]\npolicy = "everybody"',
        "[read]\npolicy = true",
        '[read]\nlog = "rules"',
        "[read]\nx=1",
    ],
)
def test_read_policy_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid):
        parse_settings(text, {})
