"""Costs: counted in the text, measured in tests, compared with a snapshot."""

from pathlib import Path

import pytest

from drystone.contracts.package import Package, make_package
from drystone.errors import ContractFailed
from drystone.workshop.costs import (
    Cost,
    Measured,
    as_json,
    compare,
    costs_of,
    from_json,
    measure,
    snapshot_text,
    table,
)
from drystone.workshop.watch import Use

SOURCE = """
def on_reading(ctx, old, record):
    total = 0
    for one in record:
        total += one["value"]
    return ({"total": total, "all": [m["value"] for m in record]}, [])

def pay(ctx, to):
    note(to)

def note(to):
    put(to, 1)
"""


@pytest.fixture
def package() -> Package:
    """Return a contract with two functions and two loops."""
    manifest = {
        "name": "sum",
        "version": 1,
        "reading": {"function": "on_reading", "limit": 900},
        "calls": {"pay": {"args": {"to": "text"}, "limit": 800}},
    }
    return make_package(manifest, SOURCE)


def use(function: str, steps: int, **more: int) -> Use:
    return Use("sum", function, steps, more.get("cells", 0), more.get("kept_bytes", 0))


class TestMeasure:
    def test_successful_runs_give_lowest_median_and_highest(self) -> None:
        uses = [use("pay", steps, cells=steps // 10) for steps in (30, 10, 20)]
        failed = use("pay", 99)._replace(error=ContractFailed("x"))
        found = measure([*uses, failed, use("on_reading", 5, kept_bytes=7)])["sum"]
        assert found["pay"] == Measured(3, (10, 20, 30), 3, 0)
        assert found["on_reading"] == Measured(1, (5, 5, 5), 0, 7)

    def test_measurements_survive_the_way_through_a_file(self) -> None:
        found = measure([use("pay", 3), use("on_reading", 4)])
        assert from_json(as_json(found)) == found

    def test_text_gives_entry_and_loops(self, package: Package) -> None:
        reading, pay, note = costs_of(package, {})
        assert (reading.function, reading.limit) == ("on_reading", 900)
        assert [line for line, _ in reading.loops] == [4, 6]
        assert all(turn > 0 for _, turn in reading.loops)
        assert (pay.function, pay.limit, pay.loops) == ("pay", 800, ())
        assert 0 < pay.entry < reading.entry
        assert (note.function, note.limit) == ("note", None)

    def test_table_has_a_line_a_function(self, package: Package) -> None:
        measured = {"pay": Measured(3, (10, 20, 30), 4, 5)}
        head, reading, pay, note = table(costs_of(package, measured)).splitlines()
        assert head.split()[:3] == ["function", "limit", "entry"]
        assert reading.split()[-6:] == ["0", "-", "-", "-", "-", "-"]
        assert pay.split()[-6:] == ["3", "10", "20", "30", "4", "5"]
        assert note.split() == ["note", "-", "7", "-", "-", "-", "-", "-", "-", "-"]


class TestCompare:
    def costs(self, *, entry: int = 10, steps: int = 100, turn: int = 7) -> list[Cost]:
        measured = Measured(1, (steps, steps, steps), 3, 4)
        return [Cost("pay", 800, entry, ((4, turn),), measured)]

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """Return a snapshot of the usual costs."""
        path = tmp_path / "cost.json"
        path.write_text(snapshot_text("sum", self.costs()))
        return path

    def test_same_costs_compare_equal(self, path: Path) -> None:
        assert compare(path, "sum", self.costs()) == ([], [])

    def test_what_grew_is_named(self, path: Path) -> None:
        assert compare(path, "sum", self.costs(entry=11)).grown == ["pay: entry 10 -> 11"]
        assert compare(path, "sum", self.costs(steps=101)).grown == ["pay: steps 100 -> 101"]
        assert compare(path, "sum", self.costs(turn=8)).grown == ["pay: turns [7] -> [8]"]

    def test_what_shrank_is_only_news(self, path: Path) -> None:
        found = compare(path, "sum", self.costs(entry=9, steps=90, turn=6))
        assert found.grown == []
        assert len(found.news) == 3

    def test_new_function_needs_a_new_snapshot(self, path: Path) -> None:
        costs = [*self.costs(), Cost("buy", 800, 1, (), None)]
        assert compare(path, "sum", costs).grown == ["buy: not in the snapshot"]

    def test_function_that_went_is_news(self, path: Path) -> None:
        assert compare(path, "sum", []) == ([], ["pay: gone"])

    def test_function_that_is_no_longer_tested_is_named(self, path: Path) -> None:
        costs = [self.costs()[0]._replace(measured=None)]
        grown = compare(path, "sum", costs).grown
        assert grown == [f"pay: {w} is not measured any more" for w in ("steps", "cells", "bytes")]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (None, "is missing"),
            ("{", "is not JSON"),
            ("[]", "is no snapshot"),
            ("{}", "is no snap"),
        ],
    )
    def test_snapshot_that_is_none_counts_as_grown(
        self, path: Path, text: str | None, words: str
    ) -> None:
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
        (grown,) = compare(path, "sum", self.costs()).grown
        assert words in grown

    def test_snapshot_of_another_contract_is_refused(self, path: Path) -> None:
        assert "is no snapshot of 'water'" in compare(path, "water", self.costs()).grown[0]
