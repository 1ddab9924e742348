"""Recorded cells and a recorded pump under their contracts, where DRYSTONE_DATA names the folder with the recordings.

Not beside the contracts: what the tests there take in steps is compared with a snapshot, which recordings would change.
"""

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from drystone.apps.battery import scenario as battery
from drystone.apps.maintenance import scenario as maintenance
from drystone.workshop.actors import Device
from drystone.workshop.chain import Chain

Make = Callable[..., Device]
UNIT = "ewz/hall-3"


def recording(name: str) -> Path:
    folder = os.environ.get("DRYSTONE_DATA", "")
    file = Path(folder) / name
    if not folder or not file.is_file():
        pytest.skip(f"DRYSTONE_DATA names no folder with {name}")
    return file


@pytest.mark.slow
class TestCells:
    """S0.11: three cells that share one clock stand for a module of three."""

    @pytest.fixture
    def samples(self) -> list[battery.Sample]:
        return list(battery.recorded(recording(battery.FILE)))

    @pytest.fixture
    def module(self, chain: Chain, device: Make) -> Device:
        chain.deploy("battery")
        return device("battery-module", "PI-1")

    def test_sixteen_healthy_hours_raise_no_alarm_s0_11(
        self, chain: Chain, module: Device, samples: list[battery.Sample]
    ) -> None:
        assert len(samples) > 3_000
        for begin in range(0, len(samples), 200):
            chain.batch([(module, battery.told(s)) for s in samples[begin : begin + 200]])
        assert chain.state("battery", module)["seq"] == len(samples) - 1
        assert chain.events_of("battery.cell-fault") == []

    def test_fault_put_into_the_recording_is_found_within_ten_readings_s0_11(
        self, chain: Chain, module: Device, samples: list[battery.Sample]
    ) -> None:
        for index, sample in enumerate(samples[:150]):
            cells = list(sample.cells)
            if index >= 80:
                cells[1] -= Decimal("0.12")
            chain.reading(module, battery.told(sample._replace(cells=tuple(cells))))
            if chain.outcome.events:
                break
        assert [event["cell"] for event in chain.events_of("battery.cell-fault")] == [2]
        assert 80 < chain.state("battery", module)["seq"] <= 90

    def test_one_cycle_is_the_part_of_the_recording_that_it_was(
        self, samples: list[battery.Sample]
    ) -> None:
        first = list(battery.recorded(recording(battery.FILE), cycle=1))
        assert first == samples[: len(first)]


@pytest.mark.slow
def test_recorded_pump_asks_as_often_as_counting_apart_gives_s3_85(
    chain: Chain, device: Make
) -> None:
    samples = list(maintenance.recorded(recording(maintenance.FILE)))
    chain.deploy("maintenance")
    pump, unit = device("pump", "skab"), chain.member("hall-3", roles=("unit",))
    row = {"machine": "ewz/skab", "unit": UNIT, "provider": UNIT, "equipment": {}}
    chain.call(unit, "maintenance.declare_machine", **row)
    for channel in maintenance.PUMP:
        lower, upper = maintenance.RECORDED_LIMITS.get(channel, ("", ""))
        limit = {"machine": "ewz/skab", "channel": channel, "lower": lower, "upper": upper}
        chain.call(unit, "maintenance.set_limits", **limit, count=1_000, window_s=0)
    packs = list(maintenance.packs(samples))
    for begin in range(0, len(packs), 100):
        items = [
            (pump, maintenance.measurements(pack, units=maintenance.PUMP))
            for pack in packs[begin : begin + 100]
        ]
        assert {outcome.code for outcome in chain.batch(items)} == {"accepted"}
    kept = chain.state("maintenance", pump)
    for channel, (lower, upper) in maintenance.RECORDED_LIMITS.items():
        apart = maintenance.exceedances(samples, channel, lower=lower, upper=upper)
        assert kept["beyond"][channel] == apart
        assert kept["counts"][channel] == apart % 1_001
    assert kept["counts"]["voltage"] == 999, "two short of a request"
    asked = [e.name for e in chain.events if e.name in {"orderPart", "requestService"}]
    assert sorted(asked) == ["orderPart", "requestService"]
