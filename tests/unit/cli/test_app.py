"""The program as a whole: quick to start, every command explained, every error an exit code."""

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main
from typer.testing import CliRunner

from drystone.cli import exits
from drystone.cli.app import app
from drystone.cli.command import command, help_text
from drystone.cli.reference import reference
from drystone.errors import DatabaseCorrupt, DrystoneError, MemberUnknown, Overloaded

HEAVY = ("httpx", "fastapi", "pydantic", "numpy", "cryptography", "rich", "apsw", "uvicorn")
WITHOUT_JSON = {
    *("demo", "demo battery", "demo branches", "demo maintenance", "demo real", "demo village"),
    *("dev", "gateway up", "up"),
}

run = CliRunner()


def leaves() -> Iterator[tuple[str, Any]]:
    def below(name: str, group: Any) -> Iterator[tuple[str, Any]]:
        for child, value in group.commands.items():
            path = f"{name} {child}".strip()
            if hasattr(value, "commands"):
                yield from below(path, value)
            else:
                yield path, value

    yield from below("", typer.main.get_command(app))


COMMANDS = dict(leaves())


def test_help_loads_nothing_heavy() -> None:
    code = f"import sys, drystone.cli.app; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    text = COMMANDS[name].help
    assert "Example" in text
    assert f"drystone {name}" in text


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - WITHOUT_JSON))
def test_every_command_can_answer_in_json(name: str) -> None:
    assert any("--json" in param.opts for param in COMMANDS[name].params)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_and_argument_is_explained(name: str) -> None:
    assert not [param.name for param in COMMANDS[name].params if not param.help]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_fits_eighty_columns(name: str) -> None:
    done = run.invoke(app, [*name.split(), "--help"], terminal_width=80)
    assert done.exit_code == 0
    assert [line for line in done.output.splitlines() if len(line) > 80] == []


def test_the_list_of_commands_is_not_cut_off() -> None:
    listed = run.invoke(app, ["--help"], terminal_width=80).output.partition("Commands:")[2]
    assert "..." not in listed


def test_the_reference_names_every_command_and_every_exit_code() -> None:
    page = reference()
    assert [name for name in COMMANDS if f"## drystone {name}\n" not in page] == []
    assert [code for code in exits.MEANINGS if f"| {code} | " not in page] == []


def test_the_version_is_told() -> None:
    assert run.invoke(app, ["--version"]).output.startswith("drystone 0")


def test_no_command_is_a_usage_error() -> None:
    assert run.invoke(app, ["mortar"]).exit_code == exits.USAGE


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemberUnknown("no m-9"), exits.REFUSED),
        (Overloaded("full"), exits.UNAVAILABLE),
        (DatabaseCorrupt("row 7"), exits.BROKEN),
        (exits.CheckFailed(), exits.FAILED),
        (OSError(errno.ENOSPC, "No space left on device"), exits.UNAVAILABLE),
        (OSError(errno.EIO, "Input/output error", "ledger.db"), exits.BROKEN),
    ],
)
def test_each_family_of_errors_has_its_exit_code(error: Exception, code: int) -> None:
    assert failing(error).exit_code == code


def failing(error: Exception, *arguments: str) -> Any:
    program = typer.Typer()

    @command(program, "fail")
    def fail(as_json: bool = typer.Option(False, "--json")) -> None:
        raise error

    return run.invoke(program, list(arguments))


def test_an_error_is_shown_with_its_code_and_what_to_do() -> None:
    done = failing(MemberUnknown("no m-9"))
    assert "member-unknown: no m-9" in done.stderr
    assert "fix: Enrol the device first" in done.stderr


def test_an_error_in_json_is_one_document_on_stdout() -> None:
    done = failing(MemberUnknown("no m-9"), "--json")
    shown = json.loads(done.stdout)
    assert (shown["ok"], shown["code"], shown["detail"]) == (False, "member-unknown", "no m-9")


def test_examples_keep_their_lines() -> None:
    def documented() -> None:
        """Do it.

        Examples:
          drystone do
          drystone do --again
        """

    assert "\n\n\b\nExamples:\n  drystone do\n" in help_text(documented)


def test_every_error_family_is_known_to_the_exit_codes() -> None:
    assert exits.exit_code(DrystoneError("?")) == exits.REFUSED


def test_a_command_without_a_node_says_how_to_start_one(tmp_path: Path) -> None:
    done = run.invoke(app, ["device", "list", "--home", str(tmp_path)])
    assert done.exit_code == exits.UNAVAILABLE
    assert "drystone up" in done.stderr


def test_a_device_without_organisation_needs_a_home_with_an_operator(tmp_path: Path) -> None:
    arguments = ["record", "get", "m-1", "0", "--home", str(tmp_path)]
    done = run.invoke(app, [*arguments, "--url", "http://127.0.0.1:9"])
    assert done.exit_code == exits.REFUSED
    assert "name the organisation" in done.stderr
