"""What people do to a meter: install, exchange, correct, estimate, switch. Everything leaves a note."""

from typing import Any, ClassVar

import pytest

from drystone.apps.metering.town import (
    DAY_MS,
    HOUR_MS,
    MIDNIGHT_MS,
    NewDevice,
    flags,
    installed,
    intervals,
)
from drystone.records.record import Record
from drystone.workshop.chain import Chain, Clock


def record_ids(town: Chain) -> list[str]:
    """Return the ids of the records in the last vertex."""
    items = town.world.blocks[-1].vertices[0].records
    return [item.id.hex() for item in items if isinstance(item, Record)]


class TestNotes:
    """Beyond 12: original, corrected, who and why stay readable in state and events."""

    def note(self, town: Chain, count: int = 1) -> dict[str, Any]:
        return town.state("metering", f"note/ewz/m-1/{count:06d}")

    def test_exchange_counts_to_the_end_of_the_old_and_from_the_start_of_the_new_s2_24(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, start=1_000)
        town.reading(meter, 1_100)
        fitter = town.member("fitter", roles=("meter_operator",))
        args = {"meter": "ewz/m-1", "final": 1_150, "start": 3, "why": "calibration ran out"}
        town.call(fitter, "metering.exchange", **args)
        town.reading(meter, 13)
        assert sum(town.state("metering", meter)["use"].values()) == 100 + 50 + 10
        note = self.note(town)
        assert (note["before"], note["final"], note["start"]) == (1_100, 1_150, 3)
        assert (note["by"], note["why"]) == ("ewz/fitter", "calibration ran out")
        assert town.events_of("metering.exchanged")[0]["meter"] == "ewz/m-1"

    def test_exchange_cannot_take_back_what_was_counted(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, start=1_000)
        town.reading(meter, 1_100)
        with town.refused("metering.backwards"):
            args = {"meter": "ewz/m-1", "final": 1_099, "start": 0, "why": "x"}
            town.call(town.org(), "metering.exchange", **args)

    def test_correction_of_an_interval_keeps_the_original(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, "interval")
        town.reading(meter, intervals(["0.5", "-6.37"], MIDNIGHT_MS))
        args = {"original": -6_370_000_000, "corrected": 370_000_000, "why": "sign of the CT"}
        when = MIDNIGHT_MS + 900_000
        town.call(town.org(), "metering.correct", meter="ewz/m-1", time_ms=when, **args)
        assert town.state("metering", meter)["value"] == 870_000_000
        note = self.note(town)
        assert note | args == note
        assert (note["by"], note["effect"], note["time_ms"]) == ("ewz/ops", 6_740_000_000, when)
        (event,) = town.events_of("metering.corrected")
        assert event | args | {"by": "ewz/ops", "meter": "ewz/m-1"} == event
        assert note["record"] in record_ids(town)

    def test_correction_of_the_last_counter_value_lets_the_meter_go_on(
        self, town: Chain, device: NewDevice, clock: Clock
    ) -> None:
        meter = installed(town, device, start=1_000)
        when = clock.ms
        town.reading(meter, 9_100, at=when)
        with town.refused("metering.backwards"):
            town.reading(meter, 1_110)
        args = {"original": 9_100, "corrected": 1_100, "why": "misread digit"}
        town.call(town.org(), "metering.correct", meter="ewz/m-1", time_ms=when, **args)
        town.reading(meter, 1_110)
        assert sum(town.state("metering", meter)["use"].values()) == 110

    def test_correction_of_an_earlier_counter_value_changes_no_sum(
        self, town: Chain, device: NewDevice, clock: Clock
    ) -> None:
        meter = installed(town, device, start=0)
        when = clock.ms
        town.reading(meter, 50, at=when)
        town.reading(meter, 60)
        before = town.state("metering", meter)
        args = {"original": 50, "corrected": 40, "why": "misread digit"}
        town.call(town.org(), "metering.correct", meter="ewz/m-1", time_ms=when, **args)
        assert town.state("metering", meter) == before
        assert self.note(town)["effect"] == 0

    def test_estimate_of_a_counter_gives_way_to_the_meter(
        self, town: Chain, device: NewDevice, clock: Clock
    ) -> None:
        meter = installed(town, device, start=0)
        town.reading(meter, 100)
        clock.tick(30 * 86_400)
        args = {"meter": "ewz/m-1", "quantity": 900, "why": "nobody at home"}
        town.call(town.org(), "metering.estimate", time_ms=clock.ms - 1, **args)
        assert sum(town.state("metering", meter)["use"].values()) == 900
        clock.tick(86_400)
        with town.refused("metering.backwards"):
            town.reading(meter, 99)
        town.reading(meter, 750)
        value = town.state("metering", meter)
        assert (value["value"], sum(value["use"].values())) == (750, 750)
        assert "special" not in value
        assert town.events_of("metering.estimate-settled")[0]["difference"] == -150
        note = self.note(town)
        assert (note["original"], note["estimate"], note["why"]) == (100, 900, "nobody at home")

    def test_estimate_of_a_day_gives_way_to_its_intervals(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, "interval")
        town.reading(meter, intervals([1] * 24, MIDNIGHT_MS - 3 * DAY_MS), seq=0)
        when = MIDNIGHT_MS - DAY_MS
        args = {"meter": "ewz/m-1", "quantity": 9 * 10**9, "why": "gateway was down"}
        town.call(town.org(), "metering.estimate", time_ms=when, **args)
        with town.refused("metering.estimated-already"):
            town.call(town.org(), "metering.estimate", time_ms=when + HOUR_MS, **args)
        assert town.state("metering", meter)["value"] == 33 * 10**9
        town.reading(meter, intervals([1, 3] * 12, when), seq=1)
        value = town.state("metering", meter)
        assert value["value"] == sum(value["use"].values()) == 72 * 10**9
        assert value["today"] == 48 * 10**9
        assert "special" not in value

    @pytest.mark.parametrize("after_ms", [-1, DAY_MS])
    def test_estimate_is_of_the_past_and_after_the_last_reading(
        self, town: Chain, device: NewDevice, clock: Clock, after_ms: int
    ) -> None:
        meter = installed(town, device, start=0)
        when = clock.ms
        town.reading(meter, 100, at=when)
        with town.refused("metering.bad-time"):
            args = {"meter": "ewz/m-1", "quantity": 900, "why": "x"}
            town.call(town.org(), "metering.estimate", time_ms=when + after_ms, **args)

    def test_nobody_changes_a_meter_without_a_reason(self, town: Chain, device: NewDevice) -> None:
        installed(town, device, start=0)
        with town.refused("metering.no-reason"):
            args = {"meter": "ewz/m-1", "final": 0, "start": 0, "why": ""}
            town.call(town.org(), "metering.exchange", **args)

    def test_operator_of_another_organisation_cannot_touch_a_meter(
        self, town: Chain, device: NewDevice
    ) -> None:
        installed(town, device, start=0)
        stranger = town.member("clerk", roles=("meter_operator",), org="bkw")
        args = {"meter": "ewz/m-1", "final": 0, "start": 0, "why": "x"}
        with town.refused("metering.not-yours"):
            town.call(stranger, "metering.exchange", **args)


class TestInstalling:
    GOOD: ClassVar = {
        "meter": "ewz/m-1",
        "kind": "gas",
        "group": "north",
        "household": "ewz/home-1",
    }

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"kind": "steam"}, "unknown-kind"),
            ({"kind": 5}, "bad-kind"),
            ({"group": "south"}, "unknown-group"),
            ({"meter": "bkw/m-1"}, "not-yours"),
            ({"meter": "ewz"}, "not-yours"),
            ({"household": "bkw/home-1"}, "not-yours"),
            ({"start": -1}, "bad-start"),
            ({"start": True}, "bad-start"),
            ({"modulus": 2}, "bad-modulus"),
            ({"supplier": "bkw"}, "no-tariff"),
            ({"colour": "red"}, "unknown-setting"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, town: Chain, change: dict[str, Any], code: str
    ) -> None:
        with town.refused(f"metering.{code}"):
            town.call(town.org(), "metering.install", meters=[self.GOOD | change])

    def test_meter_is_installed_once(self, town: Chain) -> None:
        with town.refused("metering.installed-already"):
            town.call(town.org(), "metering.install", meters=[self.GOOD, self.GOOD])
        assert town.state("metering", "device/ewz/m-1") is None

    def test_forty_meters_fit_a_call_and_forty_one_do_not(self, town: Chain) -> None:
        many = [
            self.GOOD | {"meter": f"ewz/m-{n}", "household": f"ewz/h-{n}"} for n in range(100, 141)
        ]
        town.call(town.org(), "metering.install", meters=many[:40])
        with town.refused("metering.too-many"):
            town.call(town.org(), "metering.install", meters=many)

    @pytest.mark.parametrize(
        "settings", [{"decimals": 9}, {"stuck_h": 0}, {"jump": {"steam": 1}}, {"colour": 1}]
    )
    def test_setting_that_means_nothing_is_refused(
        self, town: Chain, settings: dict[str, Any]
    ) -> None:
        with pytest.raises(AssertionError, match="metering\\."):
            town.call(town.org(), "metering.configure", settings=settings)


class TestSwitching:
    def ask(self, town: Chain, sender: Any, *, on: bool) -> int:
        args = {"meter": "ewz/m-1", "on": on, "why": "a month unpaid"}
        return town.call(sender, "metering.switch", **args).events[0].data["number"]

    def test_command_counts_as_done_when_the_meter_acknowledges_s2_2(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, start=0)
        supplier = town.member("sales", roles=("supplier",))
        number = self.ask(town, supplier, on=False)
        state = town.state("metering", "switch/ewz/m-1")
        assert (state["on"], state["confirmed"], state["by"]) == (False, False, "ewz/sales")
        town.call(meter, "metering.acknowledge", meter="ewz/m-1", number=number, on=False)
        state = town.state("metering", "switch/ewz/m-1")
        assert (state["confirmed"], state["confirmed_by"]) == (True, "ewz/m-1")

    def test_server_of_the_group_may_acknowledge_and_another_may_not_s2_2(
        self, town: Chain, device: NewDevice
    ) -> None:
        installed(town, device, start=0)
        number = self.ask(town, town.org(), on=False)
        args = {"meter": "ewz/m-1", "number": number, "on": False}
        with town.refused("metering.not-yours"):
            town.call(town.gateway("g-2").actor, "metering.acknowledge", **args)
        town.call(town.gateway("g-1").actor, "metering.acknowledge", **args)
        with town.refused("metering.acknowledged-already"):
            town.call(town.gateway("g-1").actor, "metering.acknowledge", **args)

    def test_old_command_cannot_be_acknowledged(self, town: Chain, device: NewDevice) -> None:
        meter = installed(town, device, start=0)
        number = self.ask(town, town.org(), on=False)
        self.ask(town, town.org(), on=True)
        with town.refused("metering.no-command"):
            args = {"meter": "ewz/m-1", "number": number, "on": False}
            town.call(meter, "metering.acknowledge", **args)

    def test_use_after_disconnecting_is_flagged_s2_15(self, town: Chain, device: NewDevice) -> None:
        meter = installed(town, device, start=0)
        number = self.ask(town, town.org(), on=False)
        town.call(meter, "metering.acknowledge", meter="ewz/m-1", number=number, on=False)
        town.reading(meter, 0)
        assert flags(town) == []
        town.reading(meter, 5)
        town.reading(meter, 9)
        assert flags(town) == ["off-use"]

    def test_household_switches_its_own_and_not_what_others_locked_s2_5(
        self, town: Chain, device: NewDevice
    ) -> None:
        installed(town, device, start=0)
        home = town.member("home-1", roles=("consumer",))
        neighbour = town.member("home-2", roles=("consumer",))
        self.ask(town, home, on=False)
        self.ask(town, home, on=True)
        with town.refused("metering.not-yours"):
            self.ask(town, neighbour, on=False)
        self.ask(town, town.org(), on=False)
        with town.refused("metering.locked"):
            self.ask(town, home, on=True)

    def test_supplier_of_somebody_else_switches_nothing(
        self, town: Chain, device: NewDevice
    ) -> None:
        installed(town, device, start=0)
        with town.refused("metering.not-yours"):
            self.ask(town, town.org("bkw"), on=False)
