"""Interval meters, clocks, days, plausibility: what a reading may look like, and what becomes of it."""

from typing import Any

import pytest

from drystone.apps.metering.town import (
    DAY_MS,
    HOUR_MS,
    MIDNIGHT_MS,
    NIGHT,
    NewDevice,
    flags,
    installed,
    intervals,
)
from drystone.formats.senml import Measurement
from drystone.workshop.chain import Chain, Clock


class TestIntervals:
    def test_pack_of_96_decimals_is_summed_exactly(self, town: Chain, device: NewDevice) -> None:
        meter = installed(town, device, "interval")
        values = ["0.1", "0.02", "0.003", "0.000000001"] * 24
        outcome = town.reading(meter, intervals(values, MIDNIGHT_MS - DAY_MS))
        assert outcome.steps < 10_000
        value = town.state("metering", meter)
        assert value["value"] == 24 * 123_000_001
        assert sum(value["use"].values()) == value["value"]
        assert value["use"][str(NIGHT)] == 8 * 123_000_001

    @pytest.mark.parametrize("exponent", range(-9, 1))
    def test_every_exponent_is_exact(self, town: Chain, device: NewDevice, exponent: int) -> None:
        meter = installed(town, device, "interval")
        value = (exponent, 7) if exponent else 7
        town.reading(meter, [Measurement("energy", "kWh", value, MIDNIGHT_MS // 1000)])
        assert town.state("metering", meter)["value"] == 7 * 10 ** (9 + exponent)

    def test_longest_day_with_everything_odd_fits_the_limit(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, "interval")
        dynamic = [[hour, 10_000 + hour] for hour in range(24)]
        tariff = {"trade": "electricity", "steps": dynamic, "feed_in": 0}
        town.call(town.org(), "metering.set_tariff", **tariff)
        for day in range(62, 2, -1):
            town.reading(meter, intervals([1], MIDNIGHT_MS - day * DAY_MS, minutes=60))
        tariff["steps"] = [[hour, 20_000 + hour] for hour in range(24)]
        town.call(town.org(), "metering.set_tariff", **tariff)
        town.reading(meter, intervals([1] * 24, MIDNIGHT_MS - 2 * DAY_MS, minutes=60))
        args = {"meter": "ewz/m-1", "quantity": 5 * 10**9, "why": "gateway was down"}
        when = MIDNIGHT_MS - 10 * HOUR_MS
        town.call(town.org(), "metering.estimate", time_ms=when - 10 * HOUR_MS, **args)
        tariff["steps"] = [[hour, 30_000 + hour] for hour in range(24)]
        town.call(town.org(), "metering.set_tariff", **tariff)
        values: list[Any] = ["-6.37", *([200] * 95)]
        outcome = town.reading(meter, intervals(values, when - 11 * HOUR_MS))
        assert 9_500 < outcome.steps < 9_900
        assert flags(town)[-2:] == ["negative", "jump"]

    def test_records_beyond_the_bounds_are_refused_with_a_word(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, "interval")
        with town.refused("metering.pack-too-long"):
            town.reading(meter, intervals([1] * 97, MIDNIGHT_MS - DAY_MS))
        with town.refused("metering.pack-too-long"):
            town.reading(meter, intervals([1] * 40, MIDNIGHT_MS - 2 * DAY_MS, minutes=60))

    def test_negative_interval_is_kept_counted_and_flagged(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, "interval")
        town.reading(meter, intervals(["0.5", "-6.37", "0.5", "0.5"], MIDNIGHT_MS))
        assert town.state("metering", meter)["value"] == -4_870_000_000
        assert flags(town) == ["negative"]
        assert town.state("metering", meter)["special"]["flags"] == {"negative": 1}

    @pytest.mark.parametrize("value", [0, "0.004"])
    def test_home_that_never_moves_is_flagged_once_and_loses_nothing(
        self, town: Chain, device: NewDevice, value: Any
    ) -> None:
        meter = installed(town, device, "interval")
        for day in range(7, 0, -1):
            town.reading(meter, intervals([value] * 96, MIDNIGHT_MS - day * DAY_MS))
        assert flags(town) == ["stuck"]
        assert len(town.state("metering", meter)["days"].split(" ")) == 6

    def test_late_pack_is_added_to_its_own_day(self, town: Chain, device: NewDevice) -> None:
        meter = installed(town, device, "interval")
        for seq, day in ((0, 3), (2, 1)):
            town.reading(meter, intervals([1] * 24, MIDNIGHT_MS - day * DAY_MS), seq=seq)
        assert town.state("metering", meter)["days"] == f"- {24 * 10**9}"
        town.reading(meter, intervals([2] * 24, MIDNIGHT_MS - 2 * DAY_MS), seq=1)
        value = town.state("metering", meter)
        assert value["days"] == f"{48 * 10**9} {24 * 10**9}"
        assert value["value"] == sum(value["use"].values()) == 96 * 10**9
        assert town.events_of("metering.late")[0]["quantity"] == 48 * 10**9

    def test_intervals_that_were_sent_before_are_flagged_and_not_counted_twice(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, "interval")
        town.reading(meter, intervals([1] * 8, MIDNIGHT_MS))
        town.reading(meter, intervals([1] * 8, MIDNIGHT_MS))
        assert town.state("metering", meter)["value"] == 8 * 10**9
        assert flags(town) == ["twice"]

    def test_meter_without_a_clock_counts_in_the_hour_of_the_ledger(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, "interval")
        pack = [Measurement("energy", "kWh", 1, None)]
        town.reading(meter, pack)
        town.reading(meter, pack)
        assert town.state("metering", meter)["value"] == 2 * 10**9
        assert flags(town) == []


class TestClocks:
    def test_clock_ahead_is_flagged_and_the_ledgers_time_counts(
        self, town: Chain, device: NewDevice, clock: Clock
    ) -> None:
        meter = installed(town, device, start=0)
        now = clock.ms
        town.reading(meter, 5, at=now + DAY_MS)
        assert town.state("metering", meter)["time_ms"] == now
        assert flags(town) == ["clock"]

    def test_clock_that_ran_back_never_moves_time_back(
        self, town: Chain, device: NewDevice, clock: Clock
    ) -> None:
        meter = installed(town, device, start=0)
        now = clock.ms
        town.reading(meter, 5, at=now)
        town.reading(meter, 6, at=now - DAY_MS)
        assert town.state("metering", meter)["time_ms"] == now
        assert flags(town) == ["clock"]

    def test_days_begin_at_local_midnight_s2_18(self, town: Chain, device: NewDevice) -> None:
        town.call(town.org(), "metering.configure", settings={"utc_offset_min": 60})
        meter = installed(town, device, start=0)
        town.reading(meter, 10, at=MIDNIGHT_MS - HOUR_MS)
        town.reading(meter, 30, at=MIDNIGHT_MS)
        value = town.state("metering", meter)
        assert (value["days"], value["today"]) == ("10", 20)
        (event,) = town.events_of("metering.day")
        assert event == {"meter": "ewz/m-1", "date": "2025-11-04", "quantity": 10}

    def test_report_keeps_62_days(self, town: Chain, device: NewDevice) -> None:
        meter = installed(town, device, start=0)
        for day in range(70):
            town.reading(meter, day + 1, at=MIDNIGHT_MS + (day - 70) * DAY_MS)
        assert town.state("metering", meter)["days"].split(" ") == ["1"] * 62

    def test_days_without_a_reading_are_marked(self, town: Chain, device: NewDevice) -> None:
        meter = installed(town, device, start=0)
        for day, value in ((200, 5), (198, 6), (100, 9), (97, 10)):
            town.reading(meter, value, at=MIDNIGHT_MS - day * DAY_MS)
        assert town.state("metering", meter)["days"] == "- - 3" + " -" * 59

    @pytest.mark.parametrize(
        ("day", "date"),
        [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (20_513, "2026-03-01"),
            (22_339, "2031-03-01"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ],
    )
    def test_dates_are_those_of_the_calendar(
        self, town: Chain, device: NewDevice, clock: Clock, day: int, date: str
    ) -> None:
        if day:
            clock.set((day + 2) * DAY_MS)
            meter = installed(town, device, start=0)
            for after in (HOUR_MS, DAY_MS + HOUR_MS):
                town.reading(meter, 1, at=day * DAY_MS + after)
            assert town.events_of("metering.day")[0]["date"] == date


class TestPlausibility:
    def test_jump_is_taken_and_flagged_s2_15(
        self, town: Chain, device: NewDevice, clock: Clock
    ) -> None:
        meter = installed(town, device, start=0)
        town.reading(meter, 100)
        clock.tick(900)
        town.reading(meter, 200_000)
        assert flags(town) == ["jump"]
        assert town.state("metering", meter)["value"] == 200_000

    def test_counter_that_stands_still_is_flagged_until_somebody_looks_s2_15(
        self, town: Chain, device: NewDevice, clock: Clock
    ) -> None:
        meter = installed(town, device, start=0)
        for _ in range(5):
            clock.tick(86_400)
            town.reading(meter, 7)
        assert flags(town) == ["stuck"]
        clock.tick(3_600)
        town.reading(meter, 8)
        special = town.state("metering", meter)["special"]
        assert "still_ms" not in special
        town.call(town.org(), "metering.clear", meter="ewz/m-1", why="holidays")
        assert "special" not in town.state("metering", meter)
        with town.refused("metering.no-flag"):
            town.call(town.org(), "metering.clear", meter="ewz/m-1", why="again")
