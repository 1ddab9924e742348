"""The pytest plugin as an author meets it: a folder's own tests, failures that read, costs that are written down."""

import shutil
from pathlib import Path

import pytest

from drystone.errors import WorkshopAbsent
from drystone.workshop import testing
from drystone.workshop.costs import table
from drystone.workshop.folder import read_folder
from drystone.workshop.start import begin
from drystone.workshop.testing import run_tests

METER = Path(__file__).parent / "meter"
PASSING = """
def test_limit_is_kept(chain, org):
    chain.deploy()
    chain.call(org, "meter.set_limit", value=7)
    assert chain.state("meter", "limit") == 7
"""
FAILING = """
def test_limit_is_kept(chain, org, device, clock):
    chain.deploy()
    meter = device("electricity", "m-1")
    chain.reading(meter, 3)
    clock.tick(60)
    chain.call(org, "meter.half", value=7)
"""
WRONG = PASSING.replace("== 7", "== 8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the folder `meter`, to which tests are added."""
    return Path(shutil.copytree(METER, tmp_path / "meter"))


def test_passing_tests_tell_what_functions_take(folder: Path) -> None:
    (folder / "test_meter.py").write_text(PASSING)
    done = run_tests(read_folder(folder), show=False)
    assert (done.passed, done.tests, done.failed) == (True, 1, 0)
    by_name = {cost.function: cost for cost in done.costs}
    measured = by_name["set_limit"].measured
    assert measured is not None
    assert measured.runs == 1
    assert measured.steps[0] == measured.steps[2] > by_name["set_limit"].entry
    assert by_name["half"].measured is None
    assert "set_limit" in table(done.costs)


def test_refused_call_shows_code_line_and_dropped_state(folder: Path) -> None:
    (folder / "test_meter.py").write_text(FAILING)
    done = run_tests(read_folder(folder), show=False)
    assert (done.passed, done.failed) == (False, 1)
    for words in (
        "LedgerRefused: meter.too-much",
        "contract.star:29, in check",
        'fail("too-much")',
        "meter: limit: nothing -> 7",
        "what happened on the chain",
        "reading 3 of ewz/m-1: accepted",
    ):
        assert words in done.output
    assert "org = <organisation ewz>" in done.output
    assert "ground.py" not in done.output, "the author sees the test and the contract only"


def test_wrong_expectation_shows_what_the_last_calls_changed(folder: Path) -> None:
    (folder / "test_meter.py").write_text(WRONG)
    done = run_tests(read_folder(folder), show=False)
    assert "assert 7 == 8" in done.output
    assert "meter.set_limit(value=7) by ewz/ops: accepted" in done.output
    assert "meter: limit: nothing -> 7" in done.output


def test_folder_without_tests_does_not_pass(folder: Path) -> None:
    done = run_tests(read_folder(folder), show=False)
    assert not done.passed
    assert done.tests == 0


def test_words_for_pytest_are_handed_on(folder: Path) -> None:
    (folder / "test_meter.py").write_text(PASSING + WRONG.replace("limit_is_kept", "other"))
    done = run_tests(read_folder(folder), more=["-k", "limit"], show=False)
    assert done.passed


def test_without_pytest_the_author_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(WorkshopAbsent, match="pytest"):
        run_tests(read_folder(folder), show=False)


def test_new_contract_is_green_at_once(tmp_path: Path) -> None:
    begin("frost", tmp_path / "frost")
    done = run_tests(read_folder(tmp_path / "frost"), show=False)
    assert done.passed, done.output
    assert all(cost.measured is not None for cost in done.costs if cost.limit is not None)


def test_template_is_laid_out() -> None:
    from drystone.workshop.layout import layout
    from drystone.workshop.start import TEMPLATE

    source = (TEMPLATE / "contract.star").read_text()
    assert layout("contract.star", source) == source
