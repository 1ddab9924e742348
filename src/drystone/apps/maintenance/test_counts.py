"""What the maintenance contract promises of limits and counts: the published table, exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from drystone.apps.maintenance import scenario
from drystone.apps.maintenance.conftest import MACHINE, PROVIDER, UNIT, limited
from drystone.formats.senml import Measurement
from drystone.sim.pump import Pump

if TYPE_CHECKING:
    from drystone.sim.world import Actor
    from drystone.workshop.actors import Device, Organisation
    from drystone.workshop.chain import Chain, Clock

Make = Callable[..., "Device"]

UNITS = {**scenario.MACHINE, "displacement": "mm"}
DAY_S = 86_400
START_S = 1_762_000_000


def values(channel: str, *numbers: Any, at_s: int | None = None) -> list[Measurement]:
    """Return one pack with these values of a channel, a second apart if they have a time at all."""
    return [
        Measurement(channel, UNITS[channel], number, None if at_s is None else at_s + second)
        for second, number in enumerate(numbers)
    ]


def exceed(chain: Chain, machine: Device, channel: str, times: int, value: Any = 201) -> None:
    """Let a machine exceed a limit so many times, 50 values a record and 20 records a vertex."""
    sizes = [min(50, times - done) for done in range(0, times, 50)]
    for begin in range(0, len(sizes), 20):
        items = [
            (machine, values(channel, *[value] * size, at_s=START_S))
            for size in sizes[begin : begin + 20]
        ]
        assert {outcome.code for outcome in chain.batch(items)} == {"accepted"}


def told(chain: Chain) -> list[str]:
    """Return the names of the contract's requests so far."""
    names = ("requestService", "orderPart")
    return [e.name for e in chain.events if e.contract == "maintenance" and e.name in names]


class TestTable:
    """S3 Table 1: TempThreshold 200, TempCountThreshold 1000, VibraThreshold 100, VibraCountThreshold 1000."""

    def test_thousand_exceedances_ask_for_nothing_s3_85(
        self, chain: Chain, machine: Device
    ) -> None:
        exceed(chain, machine, "vibration", 1_000, 101)
        exceed(chain, machine, "temperature", 1_000)
        assert told(chain) == []
        kept = chain.state("maintenance", machine)
        assert kept["counts"] == {"vibration": 1_000, "temperature": 1_000}

    def test_the_next_vibration_requests_service_for_the_machine_and_resets_its_count_s3_86(
        self, chain: Chain, machine: Device
    ) -> None:
        exceed(chain, machine, "vibration", 1_000, 101)
        exceed(chain, machine, "temperature", 5)
        chain.reading(machine, values("vibration", 101))
        (event,) = chain.events_of("maintenance.requestService")
        assert event == {
            "addr1": UNIT,
            "addr2": MACHINE,
            "addr3": PROVIDER,
            "channel": "vibration",
            "count": 1_001,
            "order": 1,
        }
        assert chain.state("maintenance", machine)["counts"] == {"vibration": 0, "temperature": 5}

    def test_the_next_temperature_orders_a_part_at_the_unit_and_resets_its_count_s3_87(
        self, chain: Chain, machine: Device
    ) -> None:
        exceed(chain, machine, "temperature", 1_000)
        chain.reading(machine, values("temperature", 201))
        (event,) = chain.events_of("maintenance.orderPart")
        assert (event["addr1"], event["channel"], event["count"]) == (UNIT, "temperature", 1_001)
        assert chain.state("maintenance", machine)["counts"] == {"temperature": 0}

    def test_it_takes_1001_more_for_the_next_request(self, chain: Chain, machine: Device) -> None:
        exceed(chain, machine, "vibration", 1_001, 101)
        exceed(chain, machine, "vibration", 1_000, 101)
        assert told(chain) == ["requestService"]
        chain.reading(machine, values("vibration", 101))
        assert told(chain) == ["requestService"] * 2
        waiting = chain.state("maintenance", machine)["waiting"]["vibration"]
        assert (waiting["order"], waiting["times"]) == (1, 2)

    def test_count_passes_its_threshold_within_one_record(
        self, chain: Chain, machine: Device
    ) -> None:
        exceed(chain, machine, "vibration", 980, 101)
        chain.reading(machine, values("vibration", *[101] * 50, at_s=START_S))
        assert told(chain) == ["requestService"]
        assert chain.state("maintenance", machine)["counts"]["vibration"] == 29

    def test_value_at_the_limit_does_not_exceed_it(self, chain: Chain, machine: Device) -> None:
        exact = values(
            "vibration", 100, (-6, 100_000_000), (-6, 100_000_001), (-9, 100_000_000_001)
        )
        chain.reading(machine, exact)
        chain.reading(machine, values("temperature", 200, (-3, 200_001)))
        counts = chain.state("maintenance", machine)["counts"]
        assert counts == {"vibration": 1, "temperature": 1}

    def test_machine_that_nobody_declared_is_counted_by_the_table_too(
        self, chain: Chain, device: Make, unit: Actor
    ) -> None:
        stray = device("machine", "stray")
        exceed(chain, stray, "vibration", 1_001, 101)
        (event,) = chain.events_of("maintenance.requestService")
        assert (event["addr1"], event["addr2"], event["addr3"]) == ("", "ewz/stray", "")

    def test_published_call_counts_one_by_one_and_fires_with_the_1001st_s3_84_s3_85(
        self, chain: Chain, machine: Device
    ) -> None:
        args: dict[str, Any] = {"addr1": UNIT, "addr2": MACHINE, "addr3": PROVIDER, "T": 20}
        calls = [
            chain.sign_call(machine, "maintenance.maintenanceService", **args, V=101)
            for _ in range(1_000)
        ]
        for begin in range(0, 1_000, 250):
            outcomes = chain.batch(calls[begin : begin + 250])
            assert [o.code for o in outcomes] == ["accepted"] * 250
        assert told(chain) == []
        chain.call(machine, "maintenance.maintenanceService", **args, V=100)
        assert told(chain) == []
        chain.call(machine, "maintenance.maintenanceService", **args, V=101)
        assert told(chain) == ["requestService"]
        assert chain.state("maintenance", machine)["counts"]["vibration"] == 0

    def test_readings_and_calls_share_one_count(
        self, chain: Chain, machine: Device, unit: Actor
    ) -> None:
        exceed(chain, machine, "temperature", 1_000)
        args: dict[str, Any] = {"addr1": UNIT, "addr2": MACHINE, "addr3": PROVIDER}
        chain.call(unit, "maintenance.maintenanceService", **args, T=201, V=0)
        assert told(chain) == ["orderPart"]
        assert chain.state("maintenance", machine)["last"]["temperature"] == 201_000_000

    def test_published_call_is_the_machines_and_its_units_only(
        self, chain: Chain, machine: Device, org: Organisation
    ) -> None:
        args: dict[str, Any] = {"addr1": UNIT, "addr2": MACHINE, "addr3": PROVIDER, "T": 1, "V": 1}
        with chain.refused("maintenance.not-yours"):
            chain.call(org, "maintenance.maintenanceService", **args)
        with chain.refused("maintenance.other-machine"):
            chain.call(machine, "maintenance.maintenanceService", **args | {"addr3": "ewz/x"})
        with chain.refused("maintenance.unknown-machine"):
            chain.call(machine, "maintenance.maintenanceService", **args | {"addr2": "ewz/x"})
        with chain.refused("arguments-malformed"):
            chain.call(machine, "maintenance.maintenanceService", **args | {"T": "1"})


class TestChannels:
    """The papers' contradiction 7: all four channels (and any other that has limits), above and below."""

    @pytest.mark.parametrize("channel", UNITS)
    def test_each_channel_counts_above_and_below_its_limits_s3_82(
        self, chain: Chain, machine: Device, unit: Actor, channel: str
    ) -> None:
        limit = limited(channel, count=3, lower="-1.5", upper="2.25")
        chain.call(unit, "maintenance.set_limits", **limit)
        chain.reading(machine, values(channel, (-1, -15), (-2, 225), 0))
        assert chain.state("maintenance", machine)["counts"] == {}
        chain.reading(machine, values(channel, (-3, -1_501), (-3, 2_251), 3))
        assert told(chain) == []
        chain.reading(machine, values(channel, -2))
        asked = "orderPart" if channel == "temperature" else "requestService"
        assert told(chain) == [asked]

    def test_pressure_and_voltage_have_no_limits_until_they_are_set(
        self, chain: Chain, machine: Device
    ) -> None:
        chain.reading(machine, values("pressure", 10**9) + values("voltage", 0))
        assert chain.state("maintenance", machine)["counts"] == {}

    def test_limits_taken_away_count_nothing(
        self, chain: Chain, machine: Device, unit: Actor
    ) -> None:
        chain.call(unit, "maintenance.set_limits", **limited("vibration", count=1, upper=""))
        chain.reading(machine, values("vibration", 900))
        assert chain.state("maintenance", machine)["counts"] == {}
        assert chain.state("maintenance", machine)["last"] == {"vibration": 900_000_000}

    def test_new_limits_begin_a_new_count(self, chain: Chain, machine: Device, unit: Actor) -> None:
        exceed(chain, machine, "vibration", 5, 101)
        chain.call(unit, "maintenance.set_limits", **limited("vibration", count=9, upper="90"))
        exceed(chain, machine, "vibration", 9, 91)
        assert told(chain) == []
        assert chain.state("maintenance", machine)["beyond"]["vibration"] == 14

    def test_text_is_kept_as_a_status_but_is_no_number(self, chain: Chain, machine: Device) -> None:
        chain.reading(machine, {"state": "running"})
        assert chain.state("maintenance", machine)["last"] == {"state": "running"}
        with chain.refused("maintenance.not-a-number"):
            chain.reading(machine, {"vibration": "strong"})
        with chain.refused("maintenance.too-long"):
            chain.reading(machine, {"state": "x" * 501})

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ({"upper": "ten"}, "decimal"),
            ({"upper": "1.2.3"}, "decimal"),
            ({"upper": "1."}, "decimal"),
            ({"upper": ".5"}, "decimal"),
            ({"upper": "-"}, "decimal"),
            ({"upper": "1.0000001"}, "decimal"),
            ({"upper": "1234567890123"}, "decimal"),
            ({"count": 0}, "limits"),
            ({"window_s": -1}, "limits"),
            ({"machine": "ewz/other"}, "unknown-machine"),
        ],
    )
    def test_limits_without_sense_are_refused(
        self, chain: Chain, machine: Device, unit: Actor, wrong: dict[str, Any], code: str
    ) -> None:
        limit: dict[str, Any] = {
            "machine": MACHINE,
            "channel": "voltage",
            "lower": "",
            "upper": "1",
        }
        with chain.refused(f"maintenance.{code}"):
            chain.call(
                unit, "maintenance.set_limits", **limit | {"count": 1, "window_s": 0} | wrong
            )

    def test_limits_are_the_units_or_its_governors(
        self, chain: Chain, machine: Device, org: Organisation
    ) -> None:
        limit: dict[str, Any] = {
            "machine": MACHINE,
            "channel": "voltage",
            "lower": "",
            "upper": "1",
        }
        limit |= {"count": 1, "window_s": 0}
        with chain.refused("role-missing"):
            chain.call(machine, "maintenance.set_limits", **limit)
        with chain.refused("maintenance.not-yours"):
            chain.call(chain.org("bkw"), "maintenance.set_limits", **limit)
        chain.call(org, "maintenance.set_limits", **limit)


class TestWindow:
    """The papers' contradiction 8: faithful without a window, and a window as an option."""

    def limit(self, chain: Chain, unit: Actor, *, window_s: int) -> None:
        limit = limited("vibration", count=10, window_s=window_s)
        chain.call(unit, "maintenance.set_limits", **limit)

    def test_exceedances_over_years_fire_without_a_window(
        self, chain: Chain, machine: Device, unit: Actor, clock: Clock
    ) -> None:
        self.limit(chain, unit, window_s=0)
        for _ in range(11):
            clock.tick(400 * DAY_S)
            chain.reading(machine, {"vibration": 101})
        assert told(chain) == ["requestService"]

    def test_exceedances_that_lie_further_apart_than_the_window_fire_nothing(
        self, chain: Chain, machine: Device, unit: Actor, clock: Clock
    ) -> None:
        self.limit(chain, unit, window_s=10 * DAY_S)
        for _ in range(40):
            clock.tick(DAY_S)
            chain.reading(machine, {"vibration": 101})
        assert told(chain) == []
        assert chain.state("maintenance", machine)["counts"]["vibration"] == 10
        assert len(chain.state("maintenance", machine)["limits"]["vibration"]["spread"]) == 10

    def test_as_many_within_the_window_fire(
        self, chain: Chain, machine: Device, unit: Actor, clock: Clock
    ) -> None:
        self.limit(chain, unit, window_s=10 * DAY_S)
        for _ in range(20):
            clock.tick(DAY_S // 2)
            chain.reading(machine, {"vibration": 101})
        assert told(chain) == ["requestService"]
        assert chain.state("maintenance", machine)["counts"]["vibration"] == 9

    def test_readings_count_when_they_were_taken_not_when_the_radio_came_back(
        self, chain: Chain, machine: Device, unit: Actor, clock: Clock
    ) -> None:
        self.limit(chain, unit, window_s=10 * DAY_S)
        clock.tick(60 * DAY_S)
        start = clock.ms
        for days in range(-50, 0, 2):
            chain.reading(machine, {"vibration": 101}, at=start + days * DAY_S * 1000)
        assert told(chain) == []

    def test_machine_that_claims_the_future_is_taken_at_the_ledgers_time(
        self, chain: Chain, machine: Device, unit: Actor, clock: Clock
    ) -> None:
        self.limit(chain, unit, window_s=10 * DAY_S)
        for days in range(11):
            chain.reading(machine, {"vibration": 101}, at=clock.ms + days * 90 * DAY_S * 1000)
        assert told(chain) == ["requestService"]

    def test_late_reading_counts_once_in_its_own_tenth(
        self, chain: Chain, machine: Device, unit: Actor, clock: Clock
    ) -> None:
        self.limit(chain, unit, window_s=10 * DAY_S)
        clock.tick(60 * DAY_S)
        now = clock.ms
        for seq in (0, 2, 4, 6):
            chain.reading(machine, {"vibration": 101}, seq=seq, at=now)
        for seq, days in ((1, 1), (3, 2), (5, 40)):
            chain.reading(machine, {"vibration": 150}, seq=seq, at=now - days * DAY_S * 1000)
        kept = chain.state("maintenance", machine)
        assert kept["counts"]["vibration"] == 6
        assert kept["last"]["vibration"] == 101_000_000


class TestStreams:
    def test_emulated_machine_asks_at_the_second_that_counting_apart_gives(
        self, chain: Chain, machine: Device
    ) -> None:
        pump, seen, before = Pump(seed=7, number=1, wears_after_s=0), 0, 0
        while not told(chain):
            samples = scenario.emulated(pump, seconds=scenario.SECONDS_A_RECORD)
            before = seen
            seen += scenario.exceedances(samples, "vibration", lower="", upper="100")
            pack = scenario.measurements(samples, units=scenario.MACHINE, start_s=START_S)
            assert chain.batch([(machine, pack)])[0].code == "accepted"
        assert before <= 1_000 < seen
        assert chain.state("maintenance", machine)["counts"]["vibration"] == seen - 1_001
