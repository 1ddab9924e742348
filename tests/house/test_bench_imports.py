"""The bench's modules form no circle, not even one that only a type checker sees."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


def imports_of(path: Path) -> set[str]:
    """Names of the bench's own modules that one of them imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "bench":
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("bench."):
            found.add(node.module.removeprefix("bench."))
    return found


def test_bench_has_no_import_circle() -> None:
    graph = {path.stem: imports_of(path) for path in sorted(BENCH.glob("*.py"))}
    assert graph["throughput"] >= {"flood", "stage"}
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("stage") < order.index("flood") < order.index("__main__")


def test_a_circle_would_be_found() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter({"stage": {"flood"}, "flood": {"stage"}}).prepare()
