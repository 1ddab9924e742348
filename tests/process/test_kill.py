"""kill -9 of each of a node's processes while clients send: the short form of `make torture`."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from running_node import STREAM, RunningNode, make_home, reading

pytestmark = pytest.mark.process


def tool(name: str) -> ModuleType:
    """One of the programs in `tools`."""
    path = Path(__file__).parents[2] / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Dataclasses look their module up.
    spec.loader.exec_module(module)
    return module


def test_nothing_acknowledged_is_missing_or_doubled_after_kills_at_any_moment() -> None:
    report = tool("kills").torture(kills=5, seed=3)
    assert report.faults == []
    assert report.acknowledged > 0


@pytest.mark.parametrize("victim", ["front", "executor", "verifiers"])
def test_a_replay_is_already_after_a_restart_s2_29(tmp_path: Path, victim: str) -> None:
    make_home(tmp_path / "home")
    with RunningNode(tmp_path / "home") as node:
        with node.client() as client:
            node.enrol_meter(client)
            assert [a.code for a in client.submit([reading(0), reading(1)])] == ["stored"] * 2
        node.kill(victim)
        with node.client() as client:
            answers = client.deliver([reading(1), reading(0), reading(2)], wait="committed")
            assert [a.code for a in answers] == ["already", "already", "stored"]
            (run,) = client.get(f"/v1/streams/{STREAM.path}")["there"]
            assert (run["first"], run["last"]) == (0, 2)
        assert node.stop() == 0
