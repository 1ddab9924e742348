"""What the battery contract promises of modules: their last values, and cells that differ from their neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from drystone.apps.battery import scenario
from drystone.sim.cell import Short

if TYPE_CHECKING:
    from drystone.workshop.actors import Device, Organisation
    from drystone.workshop.chain import Chain, Clock

Make = Callable[..., "Device"]

HEALTHY = [3_899_000, 3_901_000, 3_900_000, 3_898_500, 3_902_000, 3_900_500]


def told(cells: Sequence[int] = HEALTHY, **more: Any) -> dict[str, Any]:
    """Return what a module says: its cells in microvolts, with a string's voltage and a current."""
    values: dict[str, Any] = {"voltage": (-6, sum(cells)), "current": (-3, 3456)}
    values |= {f"cell-{n}": (-6, cell) for n, cell in enumerate(cells, 1)}
    return values | more


def pulled(cell: int, *, down: int) -> list[int]:
    """Return healthy cells of which one, counted from 1, lies `down` microvolts lower."""
    cells = list(HEALTHY)
    cells[cell - 1] -= down
    return cells


@pytest.fixture
def module(chain: Chain, device: Make) -> Device:
    """A module that signs, on a chain with the contract."""
    chain.deploy()
    return device("battery-module", "PI-1")


class TestReadings:
    def test_last_values_are_kept_with_their_time_and_height_s0_42(
        self, chain: Chain, module: Device, clock: Clock
    ) -> None:
        moment = clock.ms
        chain.reading(module, told(soc=Decimal("0.899"), temperature=Decimal("24.33")))
        kept = chain.state("battery", module)
        assert kept["voltage"] == sum(HEALTHY)
        assert kept["current"] == 3_456_000
        assert kept["temperature"] == 24_330_000
        assert kept["soc"] == 899_000
        assert kept["cells"] == HEALTHY
        assert kept["block_ms"] == kept["claimed_ms"] == moment
        assert (kept["epoch"], kept["seq"]) == (0, 0)
        assert kept["height"] == chain.world.view.height

    def test_recorded_digits_are_kept_to_the_millionth(self, chain: Chain, module: Device) -> None:
        chain.reading(module, {"voltage": Decimal("4.19149"), "current": Decimal("-0.00490012")})
        kept = chain.state("battery", module)
        assert (kept["voltage"], kept["current"]) == (4_191_490, -4_901)

    def test_whole_volts_are_the_same_number(self, chain: Chain, module: Device) -> None:
        chain.reading(module, {"voltage": 48, "current": 0})
        assert chain.state("battery", module)["voltage"] == 48_000_000

    def test_late_reading_does_not_replace_the_last_values(
        self, chain: Chain, module: Device
    ) -> None:
        chain.reading(module, told(), seq=0)
        chain.reading(module, told(soc=Decimal("0.8")), seq=2)
        chain.reading(module, told(soc=Decimal("0.9")), seq=1)
        assert chain.state("battery", module)["soc"] == 800_000

    @pytest.mark.parametrize(
        ("values", "code"),
        [
            ({"voltage": 3}, "incomplete"),
            ({"current": 3, "cell-1": 3}, "incomplete"),
            ({"voltage": "much", "current": 3}, "not-a-number"),
            ({"voltage": True, "current": 3}, "not-a-number"),
            ({"voltage": 3, "current": 3, "cell-2": 3}, "cells-missing"),
        ],
    )
    def test_reading_that_says_less_than_it_must_is_refused(
        self, chain: Chain, module: Device, values: Mapping[str, Any], code: str
    ) -> None:
        with chain.refused(f"battery.{code}"):
            chain.reading(module, values)
        assert chain.state("battery", module) is None

    def test_voltage_that_no_number_here_can_hold_is_refused(
        self, chain: Chain, module: Device
    ) -> None:
        with chain.refused("contract-size"):
            chain.reading(module, {"voltage": 2**62, "current": 3})

    def test_measurement_that_stands_twice_is_refused(self, chain: Chain, module: Device) -> None:
        from drystone.formats.senml import Measurement

        twice = [Measurement(n, u, 3, None) for n, u in (("voltage", "V"), ("current", "A"))] * 2
        with chain.refused("battery.twice"):
            chain.reading(module, twice)


class TestCells:
    def test_cell_that_differs_is_flagged_with_the_nth_reading_s0_11(
        self, chain: Chain, module: Device
    ) -> None:
        for _ in range(4):
            chain.reading(module, told(pulled(3, down=60_000)))
        assert chain.events_of("battery.cell-fault") == []
        chain.reading(module, told(pulled(3, down=60_000)))
        (fault,) = chain.events_of("battery.cell-fault")
        assert (fault["module"], fault["cell"], fault["voltage"]) == ("PI-1", 3, 3_840_000)
        assert fault["median"] == 3_899_750
        assert chain.state("battery", module)["faulty"] == [3]

    def test_flagged_cell_is_told_once_and_recovers_after_as_many_readings(
        self, chain: Chain, module: Device
    ) -> None:
        for _ in range(12):
            chain.reading(module, told(pulled(3, down=60_000)))
        for _ in range(5):
            chain.reading(module, told())
        assert len(chain.events_of("battery.cell-fault")) == 1
        assert len(chain.events_of("battery.cell-recovered")) == 1
        assert chain.state("battery", module)["faulty"] == []

    def test_one_good_reading_between_begins_the_count_anew(
        self, chain: Chain, module: Device
    ) -> None:
        for _ in range(3):
            for _ in range(4):
                chain.reading(module, told(pulled(3, down=60_000)))
            chain.reading(module, told())
        assert chain.events_of("battery.cell-fault") == []

    def test_modules_that_spread_widely_as_a_whole_flag_no_cell(
        self, chain: Chain, module: Device
    ) -> None:
        for _ in range(6):
            chain.reading(module, told([3_900_000 + n * 40_000 for n in range(6)]))
        assert chain.events_of("battery.cell-fault") == []

    def test_cells_below_the_knee_are_not_compared(self, chain: Chain, module: Device) -> None:
        for _ in range(6):
            chain.reading(module, told([cell - 600_000 for cell in pulled(2, down=300_000)]))
        assert chain.events_of("battery.cell-fault") == []

    def test_two_cells_cannot_say_which_of_them_is_wrong(
        self, chain: Chain, module: Device
    ) -> None:
        for _ in range(6):
            chain.reading(module, told([3_900_000, 3_600_000]))
        assert chain.events_of("battery.cell-fault") == []

    def test_reading_without_cells_leaves_the_flag(self, chain: Chain, module: Device) -> None:
        for _ in range(5):
            chain.reading(module, told(pulled(3, down=60_000)))
        chain.reading(module, {"voltage": 23, "current": 3})
        assert chain.state("battery", module)["faulty"] == [3]

    def test_limits_are_the_fleet_operators(
        self, chain: Chain, module: Device, org: Organisation
    ) -> None:
        limits = {"samples": 2, "deviation": 20_000, "ratio": 2, "above": 3_000_000}
        with chain.refused("role-missing"):
            chain.call(module, "battery.set_limits", **limits)
        chain.call(org, "battery.set_limits", **limits)
        with chain.refused("battery.not-yours"):
            chain.call(chain.org("bkw"), "battery.set_limits", **limits)
        for _ in range(2):
            chain.reading(module, told(pulled(3, down=30_000)))
        assert len(chain.events_of("battery.cell-fault")) == 1

    @pytest.mark.parametrize(
        "wrong", [{"samples": 0}, {"deviation": 0}, {"ratio": -1}, {"above": -1}]
    )
    def test_limits_without_sense_are_refused(
        self, chain: Chain, org: Organisation, wrong: dict[str, int]
    ) -> None:
        chain.deploy()
        limits = {"samples": 2, "deviation": 20_000, "ratio": 2, "above": 3_000_000} | wrong
        with chain.refused("battery.limits"):
            chain.call(org, "battery.set_limits", **limits)


class TestEmulated:
    """S0.11 with the seeded emulator: a fault found within N readings, and none where there is none."""

    def test_injected_fault_is_found_within_ten_readings(
        self, chain: Chain, module: Device
    ) -> None:
        cells = scenario.emulated(seed=7, module=0, fault=Short(cell=5, after_s=120))
        seen: list[int] = []
        for second in range(180):
            chain.reading(module, scenario.told(next(cells)))
            seen += [second] * len(chain.outcome.events)
        assert len(seen) == 1
        assert 120 < seen[0] <= 130
        assert chain.state("battery", module)["faulty"] == [5]

    def test_healthy_modules_raise_no_alarm(self, chain: Chain, device: Make) -> None:
        chain.deploy()
        for number in range(scenario.MODULES):
            one = device("battery-module", f"PI-{number + 1}")
            cells = scenario.emulated(seed=7, module=number, step_s=60)
            chain.batch([(one, scenario.told(next(cells))) for _ in range(90)])
        assert [act.outcome.code for act in chain.acts[-90:]] == ["accepted"] * 90
        assert chain.events_of("battery.cell-fault") == []
