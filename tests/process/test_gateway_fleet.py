"""Several gateways as real processes: partitions that meet, and kill -9: the short forms of `tools/`."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import gateway_kills
import partitions
from fleet import Fleet, Meter, fsck

pytestmark = pytest.mark.process


def test_two_partitions_write_on_and_everything_is_ordered_once_when_they_meet_s1_18() -> None:
    report = partitions.run(vertices=60)
    assert report.faults == []
    assert report.vertices == 2 * 6 * 20
    assert report.memory_max_bytes < 80_000_000


def test_nothing_acknowledged_is_lost_when_a_gateway_is_killed_at_any_moment() -> None:
    report = gateway_kills.torture(kills=6, seed=5, meters=2)
    assert report.faults == []
    assert report.acknowledged > 0


def restored(fleet: Fleet, meter: Meter, backup: Path) -> None:
    """Let a gateway write on behind a backup, be ordered, and come back from the backup; it does not run then."""
    gateway = fleet.gateways["gw-1"]
    fleet.start_gateways()
    fleet.wait_for_registry()
    with gateway.client() as client:
        for _ in range(3):
            client.submit(meter.next(2), wait="committed")
    assert gateway.stop() == 0
    shutil.copytree(gateway.home, backup)
    gateway.start()
    with gateway.client() as client:
        for _ in range(4):
            client.submit(meter.next(2), wait="committed")
    assert gateway.stop() == 0
    shutil.rmtree(gateway.home)
    shutil.copytree(backup, gateway.home)


def with_a_meter(fleet: Fleet) -> Meter:
    fleet.admit()
    meter = Meter("m-1", 1)
    with fleet.node.client() as client:
        fleet.enrol(client, [meter])
    return meter


def test_a_restored_gateway_that_recovers_goes_on_in_a_new_epoch_without_a_fork(
    tmp_path: Path,
) -> None:
    with Fleet(tmp_path, ("gw-1",)) as fleet:
        meter = with_a_meter(fleet)
        restored(fleet, meter, tmp_path / "backup")
        gateway = fleet.gateways["gw-1"]
        (gateway.home / "recover").touch()
        gateway.start()
        with gateway.client() as client:
            (answer,) = client.submit(meter.next(1), wait="committed")
            assert answer.outcome == "accepted"
            assert answer.place is not None
            assert answer.place[2:] == (1, 1, 0)
            # What it took behind the backup is known again, from its peers.
            assert client.submit([meter.reading(9)])[0].code == "already"
        assert not (gateway.home / "recover").exists()
        fleet.wait_until_ordered()
        with fleet.node.client() as node:
            assert node.get("/v1/forks")["rows"] == []
            assert fleet.runs(node, meter) == [(0, 14)]


def test_a_restored_gateway_that_forked_loses_no_acknowledged_record(tmp_path: Path) -> None:
    with Fleet(tmp_path, ("gw-1",)) as fleet:
        meter = with_a_meter(fleet)
        restored(fleet, meter, tmp_path / "backup")
        gateway = fleet.gateways["gw-1"]
        fleet.node.stop()
        gateway.start()
        with gateway.client() as client:
            for _ in range(3):
                assert {a.code for a in client.submit(meter.next(2), wait="sealed")} == {"stored"}
        fleet.node.start()
        fleet.wait_for(
            "gw-1", lambda s: s["uplink_height"] > 0 and s["buffered_records"] == 0, "all ordered"
        )
        with gateway.client() as client:
            (answer,) = client.submit(meter.next(1), wait="committed")
            assert answer.outcome == "accepted"
        fleet.wait_until_ordered()
        with fleet.node.client() as node:
            assert {row["sub"] for row in node.get("/v1/forks")["rows"]} == {"gw-1"}
            assert fleet.runs(node, meter) == [(0, 20)]
        assert fleet.node.stop() == 0
        assert gateway.stop() == 0
        assert fsck(gateway.home) == []
        assert fsck(fleet.node.home) == []


def test_a_frame_that_three_gateways_heard_is_one_entry_and_its_copies_are_already(
    tmp_path: Path,
) -> None:
    names = ("gw-1", "gw-2", "gw-3")
    with Fleet(tmp_path, names) as fleet:
        meter = with_a_meter(fleet)
        fleet.start_gateways()
        fleet.wait_for_registry()
        fleet.node.stop()
        frame = meter.next(1)
        for name in names:
            with fleet.gateways[name].client() as client:
                assert client.submit(frame, wait="sealed")[0].code == "stored"
        fleet.node.start()
        fleet.wait_until_ordered()
        outcomes: list[dict[str, str]] = []
        for name in names:
            with fleet.gateways[name].client() as client:
                outcomes.append(client.get("/v1/outcomes/0/0")["refused"])
                assert client.submit(frame)[0].code == "already"
        assert sorted(outcomes, key=len) == [{}, {"0": "already"}, {"0": "already"}]
        with fleet.node.client() as node:
            assert fleet.runs(node, meter) == [(0, 0)]
