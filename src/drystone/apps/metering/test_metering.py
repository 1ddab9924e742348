"""What metering promises about servers and counters. Run by `drystone contract test metering`, or by plain pytest."""

from decimal import Decimal
from typing import Any

import pytest

from drystone.apps.metering import scenario
from drystone.apps.metering.town import (
    DAY,
    MIDNIGHT_MS,
    NIGHT,
    NewDevice,
    flags,
    home_group,
    installed,
)
from drystone.formats.senml import Measurement
from drystone.workshop.chain import Chain


class TestServers:
    def test_reading_through_its_own_server_is_taken_s2_22(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, start=1_000)
        assert town.reading(meter, 1_500).code == "accepted"
        assert town.state("metering", meter)["value"] == 1_500

    def test_allowed_server_of_another_group_is_refused_s2_22(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device)
        other = town.gateway("g-2")
        town.call(town.org(), "metering.allow_server", server="ewz/g-2")
        with town.refused("metering.foreign-server"):
            town.reading(meter, 1, gateway=other)

    def test_group_moves_to_another_server_s2_22(self, town: Chain, device: NewDevice) -> None:
        meter = installed(town, device)
        other = town.gateway("g-2")
        town.call(town.org(), "metering.allow_server", server="ewz/g-2")
        home_group(town, "north", "ewz/g-2")
        assert town.reading(meter, 1, gateway=other).code == "accepted"
        with town.refused("metering.foreign-server"):
            town.reading(meter, 2)
        (moved,) = town.events_of("metering.re-homed")[-1:]
        assert (moved["before"], moved["server"]) == ("ewz/g-1", "ewz/g-2")

    def test_meter_moves_to_another_group_s2_22(self, town: Chain, device: NewDevice) -> None:
        meter = installed(town, device)
        other = town.gateway("g-2")
        town.call(town.org(), "metering.allow_server", server="ewz/g-2")
        home_group(town, "south", "ewz/g-2")
        town.call(town.org(), "metering.regroup", meter="ewz/m-1", group="south")
        assert town.reading(meter, 1, gateway=other).code == "accepted"

    def test_server_that_was_removed_is_refused_until_the_group_has_another_s2_23(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device)
        town.reading(meter, 1)
        outcome = town.call(town.org(), "metering.remove_server", server="ewz/g-1")
        assert outcome.events[0].data["groups"] == ["north"]
        with town.refused("metering.server-not-allowed"):
            town.reading(meter, 2)
        town.call(town.org(), "metering.allow_server", server="ewz/g-1")
        home_group(town, "north", "ewz/g-1")
        assert town.reading(meter, 2).code == "accepted"

    def test_server_of_another_organisation_can_be_allowed_s2_23(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device)
        theirs = town.gateway("g-9", org="bkw")
        town.call(town.org(), "metering.allow_server", server="bkw/g-9")
        home_group(town, "north", "bkw/g-9")
        assert town.reading(meter, 1, gateway=theirs).code == "accepted"

    def test_group_cannot_move_to_a_server_that_is_not_allowed_s2_26(self, town: Chain) -> None:
        with town.refused("metering.server-not-allowed"):
            home_group(town, "north", "ewz/g-2")

    def test_only_a_governor_changes_the_list_s2_23(self, town: Chain) -> None:
        operator = town.member("clerk", roles=("meter_operator",))
        with town.refused("role-missing"):
            town.call(operator, "metering.allow_server", server="ewz/g-2")

    def test_governor_of_another_organisation_changes_only_its_own_area(self, town: Chain) -> None:
        other = town.org("bkw")
        with town.refused("metering.no-area"):
            town.call(other, "metering.remove_server", server="ewz/g-1")
        town.call(other, "metering.configure", settings={})
        with town.refused("metering.no-server"):
            town.call(other, "metering.remove_server", server="ewz/g-1")

    def test_unknown_meter_is_refused(self, town: Chain, device: NewDevice) -> None:
        with town.refused("metering.not-installed"):
            town.reading(device("electricity", "m-9"), 1)

    def test_unsigned_meter_counts_under_its_gateways_name_s1_22(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = device("water", "w-7", attested=True)
        one = {"kind": "water", "group": "north", "household": "ewz/home-1", "supplier": "ewz"}
        args = [one | {"meter": "ewz/g-1/w-7", "start": 0}]
        town.call(town.org(), "metering.install", meters=args)
        town.reading(meter, Decimal("1.250"))
        assert town.state("metering", "device/ewz/g-1/w-7")["value"] == 1_250


class TestCounters:
    @pytest.mark.parametrize(
        ("kind", "shown", "quantity"),
        [
            ("electricity", 1_234, 1_234),
            ("gas", Decimal("12.345"), 12_345),
            ("water", Decimal("0.5"), 500),
            ("heat", 77, 77),
        ],
    )
    def test_every_kind_counts_in_its_own_unit_s1_10(
        self, town: Chain, device: NewDevice, kind: str, shown: Any, quantity: int
    ) -> None:
        meter = installed(town, device, kind, start=0)
        town.reading(meter, shown)
        assert town.state("metering", meter)["value"] == quantity

    def test_profiles_and_kinds_are_the_same_words_s1_10(self) -> None:
        assert {profile["name"] for profile in scenario.profiles()} == set(scenario.EXPONENTS)

    def test_equal_reading_is_taken_and_lower_one_refused_s2_24(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, start=1_000)
        assert town.reading(meter, 1_000).code == "accepted"
        with town.refused("metering.backwards"):
            town.reading(meter, 999)
        assert town.state("metering", meter)["value"] == 1_000

    def test_meter_without_a_start_begins_with_its_first_reading(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device)
        town.reading(meter, 5_000)
        town.reading(meter, 5_700)
        value = town.state("metering", meter)
        assert (value["value"], value["today"], sum(value["use"].values())) == (5_700, 700, 700)
        assert "special" not in value

    def test_number_written_with_a_needless_decimal_is_the_same_number(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, start=0)
        town.reading(meter, Decimal("12.0"))
        assert town.state("metering", meter)["value"] == 12

    def test_rollover_goes_on_from_zero_s2_24(self, town: Chain, device: NewDevice) -> None:
        meter = installed(town, device, start=99_990, modulus=100_000)
        town.reading(meter, 15)
        assert sum(town.state("metering", meter)["use"].values()) == 25
        (event,) = town.events_of("metering.rollover")
        assert (event["before"], event["after"]) == (99_990, 15)
        assert flags(town) == []

    def test_fall_that_is_no_rollover_is_refused_s2_24(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, start=50_000, modulus=100_000)
        with town.refused("metering.backwards"):
            town.reading(meter, 15)

    def test_late_reading_between_its_neighbours_leaves_sums_alone(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, start=100)
        town.reading(meter, 110, seq=0)
        town.reading(meter, 150, seq=2)
        before = town.state("metering", meter)
        town.reading(meter, 130, seq=1)
        assert town.state("metering", meter) == before
        assert town.events_of("metering.late")[0]["seq"] == 1

    def test_several_values_of_one_record_count_each_in_its_hour(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, start=0)
        times = [MIDNIGHT_MS // 1000 + 3_600 * hour for hour in (5, 6, 7, 8)]
        pack = [Measurement("import", "Wh", 10 * n, t) for n, t in enumerate(times, 1)]
        town.reading(meter, pack)
        assert town.state("metering", meter)["use"] == {str(NIGHT): 20, str(DAY): 20}

    def test_value_that_falls_within_a_record_refuses_the_record(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, start=0)
        time = MIDNIGHT_MS // 1000
        with town.refused("metering.backwards"):
            pack = [Measurement("import", "Wh", v, time + n) for n, v in enumerate((10, 9))]
            town.reading(meter, pack)

    def test_record_of_sixty_values_fits(self, town: Chain, device: NewDevice) -> None:
        meter = installed(town, device, start=0)
        begin = MIDNIGHT_MS // 1000
        pack = [Measurement("import", "Wh", n, begin + 60 * n) for n in range(62)]
        assert town.reading(meter, pack).steps < 10_000
        with town.refused("metering.pack-too-long"):
            later = [Measurement("import", "Wh", 62 + n, begin + 5_000 + n) for n in range(65)]
            town.reading(meter, later)

    def test_what_the_roof_gives_is_counted_and_credited_s1_9(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, start=0, export=1_000)
        town.reading(meter, {"import": 400, "export": 3_000, "power": -900})
        assert town.state("metering", meter)["fed"] == {"9800": 2_000}
        town.call(town.org(), "metering.bill", households=["ewz/home-1"])
        exact = 400 * DAY - 2_000 * 9_800
        assert town.state("metering", "payout/ewz")["coins"] == exact // 10**6


def test_other_contract_is_shown_a_meter_of_its_caller_only(
    town: Chain, device: NewDevice, tmp_path: Any
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "contract.toml").write_text(
        'name = "shop"\nversion = 1\n[calls.look]\nargs = { meter = "text" }\n'
    )
    (folder / "contract.star").write_text(
        "def look(ctx, meter):\n"
        '    put("seen", call("metering", "shown", {"meter": meter})["value"])\n'
    )
    town.deploy(folder)
    meter = installed(town, device, start=0)
    town.reading(meter, 42)
    home = town.member("home-1", roles=("consumer",))
    town.call(home, "shop.look", meter="ewz/m-1")
    assert town.state("shop", "seen") == 42
    with town.refused("metering.not-yours"):
        town.call(town.member("home-2", roles=("consumer",)), "shop.look", meter="ewz/m-1")
