"""Several gateways as real processes: partitions that meet, and kill -9: the short forms of `tools/`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import gateway_kills
import partitions

pytestmark = pytest.mark.process


def test_two_partitions_write_on_and_everything_is_ordered_once_when_they_meet() -> None:
    report = partitions.run(vertices=60)
    assert report.faults == []
    assert report.vertices == 2 * 6 * 20
    assert report.memory_max_bytes < 80_000_000


def test_nothing_acknowledged_is_lost_when_a_gateway_is_killed_at_any_moment() -> None:
    report = gateway_kills.torture(kills=6, seed=5, meters=2)
    assert report.faults == []
    assert report.acknowledged > 0
