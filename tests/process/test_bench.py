"""The bench as a program: it runs a line, shows budgets beside figures, and never fails because a figure is bad."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
COLUMNS_MAX = 100


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )


def test_quick_run_prints_its_figures_beside_their_budgets(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    done = bench("--quick", "--only", "h,i,j", "--json", str(out), "--folder", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= COLUMNS_MAX
    report = json.loads(out.read_text())
    assert {"processor", "cores", "memory", "kernel", "python", "libraries", "load"} <= set(
        report["machine"]
    )
    assert {row["line"] for row in report["figures"]} == {"h", "i", "j"}
    judged = [row for row in report["figures"] if "budget" in row]
    assert judged
    assert all(row["verdict"].startswith(("met", "missed by ")) for row in judged)
    assert [path.name for path in tmp_path.iterdir()] == [out.name], "it leaves nothing behind"


def test_single_writes_are_told_against_the_papers_table_s2_32(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    assert bench("--quick", "--only", "i", "--json", str(out)).returncode == 0
    names = [row["name"] for row in json.loads(out.read_text())["figures"]]
    assert "  times faster than the paper" in names


def test_a_line_that_does_not_exist_is_refused_at_once() -> None:
    done = bench("--only", "b,x")
    assert done.returncode == 2
    assert "there is no line x" in done.stderr


def test_budget_says_by_how_much_it_is_missed() -> None:
    sys.path.insert(0, str(ROOT))
    try:
        from bench.figure import at_least, at_most
    finally:
        sys.path.remove(str(ROOT))
    assert at_least(0.6).judge(0.6) == "met"
    assert at_least(0.6).judge(0.45) == "missed by 25 %"
    assert at_most(1.3).judge(1.2) == "met"
    assert at_most(10).judge(10.01) == "missed by 1 %"
