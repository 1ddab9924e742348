"""The demo's stage prints what fits, counts what held, and says when a system cannot cut off the network."""

import io
import subprocess
from collections.abc import Iterator

import pytest
from rich.console import Console

from drystone.cli import demo_stage
from drystone.cli.demo_proofs import said
from drystone.cli.demo_stage import Result, Stage, offline_prefix, run_command


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage(Console(file=io.StringIO(), width=80), keep=False) as made:
        yield made


def printed(stage: Stage) -> list[str]:
    assert isinstance(stage.console.file, io.StringIO)
    return stage.console.file.getvalue().splitlines()


def test_notes_and_their_details_fit_eighty_columns(stage: Stage) -> None:
    stage.note("word " * 30, held=True, detail="word " * 40 + "[red]not markup[/red]")
    assert all(len(line) <= 80 for line in printed(stage))
    assert any("[red]not" in line for line in printed(stage))


def test_everything_held_only_if_every_step_did(stage: Stage) -> None:
    assert not stage.all_held
    stage.note("one", held=True)
    assert stage.all_held
    stage.note("two", held=False)
    assert not stage.all_held
    assert any("FAILED" in line for line in printed(stage))


def test_the_folder_goes_with_the_stage() -> None:
    with Stage(Console(file=io.StringIO()), keep=False) as made:
        folder = made.folder
        assert folder.is_dir()
    assert not folder.exists()


def test_a_system_without_a_way_to_cut_off_the_network_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(*_args: object, **_kwargs: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", absent)
    assert offline_prefix() == []


def test_what_a_command_printed_is_kept() -> None:
    done = run_command([*demo_stage.program(), "--version"])
    assert done.code == 0
    assert done.stdout.startswith("drystone ")


def test_what_is_no_json_is_an_empty_answer() -> None:
    assert Result(1, "not json", "").json() == {}


def test_a_report_is_told_in_a_sentence_its_figures_and_its_signature() -> None:
    report = (
        "Verified: this\n  reading.\n\n  from:         x\n  import:       7 Wh\n"
        "                continued\n  log:          l\n\nProved:\n  + The log.\n"
        "  + The device's own signature is\n    valid.\n\nNot proved:\n  - more\n"
    )
    assert said(report) == "Verified: this reading."
    assert said(report, figures=True).splitlines() == [
        "Verified: this reading.",
        "  import:       7 Wh",
        "The device's own signature is valid.",
    ]
