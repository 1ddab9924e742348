"""Suppliers, tariffs, bills, payouts: every sum agrees. And the scenario that demos use."""

import random
from typing import Any

import pytest

from drystone.apps.metering import scenario
from drystone.apps.metering.scenario import Installation, Tariff
from drystone.apps.metering.town import (
    DAY,
    DAY_MS,
    HOUR_MS,
    MIDNIGHT_MS,
    NIGHT,
    NewDevice,
    installed,
)
from drystone.ledger.change import Outcome
from drystone.sim import meters
from drystone.workshop.actors import Organisation
from drystone.workshop.chain import Chain


class TestSuppliersAndTariffs:
    def offer(self, town: Chain, name: str, price: int) -> Organisation:
        supplier = town.org(name)
        args = {"trade": "electricity", "steps": [[0, price]], "feed_in": 0}
        town.call(supplier, "metering.set_tariff", **args)
        return supplier

    def bill(self, town: Chain) -> Outcome:
        return town.call(town.org(), "metering.bill", households=["ewz/home-1"])

    def test_price_depends_on_the_hour_of_the_day_s1_12(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, start=0)
        for hour in range(1, 25):
            town.reading(meter, 1_000 * hour, at=MIDNIGHT_MS - DAY_MS + hour * HOUR_MS)
        assert town.state("metering", meter)["use"] == {str(NIGHT): 8_000, str(DAY): 16_000}

    def test_choice_of_another_supplier_lowers_the_bill_s1_13(
        self, town: Chain, device: NewDevice
    ) -> None:
        self.offer(town, "bkw", 10_000)
        home = town.member("home-1", roles=("consumer",))
        bills: list[int] = []
        meter = installed(town, device, start=0)
        for shown, supplier in ((10_000, "bkw"), (20_000, "ewz")):
            town.reading(meter, shown)
            bills.append(self.bill(town).events[0].data["coins"])
            town.call(home, "metering.choose_supplier", meter="ewz/m-1", supplier=supplier)
        assert bills == [279, 100]

    def test_what_was_used_before_a_choice_is_owed_to_the_supplier_before_s1_9(
        self, town: Chain, device: NewDevice
    ) -> None:
        self.offer(town, "bkw", 10_000)
        meter = installed(town, device, start=0)
        town.reading(meter, 10_000)
        town.call(town.org(), "metering.choose_supplier", meter="ewz/m-1", supplier="bkw")
        town.reading(meter, 15_000)
        self.bill(town)
        payouts = town.states("metering", "payout")
        assert {path: p["coins"] for path, p in payouts.items()} == {
            "payout/ewz": 10_000 * DAY // 10**6,
            "payout/bkw": (5_000 * 10_000 + 10_000 * DAY % 10**6) // 10**6,
        }

    def test_new_price_counts_from_here_on(self, town: Chain, device: NewDevice) -> None:
        meter = installed(town, device, start=0)
        town.reading(meter, 1_000)
        self.offer(town, "ewz", 50_000)
        town.reading(meter, 3_000)
        assert town.state("metering", meter)["use"] == {str(DAY): 1_000, "50000": 2_000}

    def test_household_chooses_for_its_own_meters_only_s2_5(
        self, town: Chain, device: NewDevice
    ) -> None:
        self.offer(town, "bkw", 10_000)
        installed(town, device, start=0)
        neighbour = town.member("home-2", roles=("consumer",))
        with town.refused("metering.not-yours"):
            town.call(neighbour, "metering.choose_supplier", meter="ewz/m-1", supplier="bkw")

    def test_supplier_without_a_tariff_cannot_be_chosen(
        self, town: Chain, device: NewDevice
    ) -> None:
        town.org("bkw")
        installed(town, device, start=0)
        with town.refused("metering.no-tariff"):
            town.call(town.org(), "metering.choose_supplier", meter="ewz/m-1", supplier="bkw")

    def test_choosing_too_often_asks_for_a_bill_first(self, town: Chain, device: NewDevice) -> None:
        self.offer(town, "bkw", 10_000)
        meter = installed(town, device, start=0)
        with town.refused("metering.bill-first"):
            for turn in range(18):
                town.reading(meter, turn + 1)
                supplier = ("bkw", "ewz")[turn % 2]
                args = {"meter": "ewz/m-1", "supplier": supplier}
                town.call(town.org(), "metering.choose_supplier", **args)
        self.bill(town)
        town.call(town.org(), "metering.choose_supplier", meter="ewz/m-1", supplier="bkw")

    @pytest.mark.parametrize(
        ("steps", "code"),
        [
            ([], "bad-steps"),
            ([[6, 5]], "bad-steps"),
            ([[0, 5], [24, 6]], "bad-steps"),
            ([[0, 5], [7, 6], [6, 7]], "bad-steps"),
            ([[0, -5]], "bad-price"),
            ([[0, "5"]], "bad-price"),
        ],
    )
    def test_tariff_that_leaves_an_hour_open_is_refused(
        self, town: Chain, steps: list[Any], code: str
    ) -> None:
        args = {"trade": "electricity", "steps": steps, "feed_in": 0}
        with town.refused(f"metering.{code}"):
            town.call(town.org(), "metering.set_tariff", **args)

    def test_device_sets_no_tariff(self, town: Chain, device: NewDevice) -> None:
        meter = installed(town, device, start=0)
        args = {"trade": "electricity", "steps": [[0, 1]], "feed_in": 0}
        with town.refused("role-missing"):
            town.call(meter, "metering.set_tariff", **args)


class TestBills:
    def test_bill_of_a_street_is_the_emulators_truth_to_the_cent_s2_9(
        self, town: Chain, device: NewDevice
    ) -> None:
        street = meters.street(seed=7, count=6)
        listed = scenario.installations(seed=7, count=6)
        devices = [device("electricity", meter.device) for meter in street]
        for call in scenario.setup_calls(organisation="ewz", gateway="g-1", installed=listed):
            town.call(town.org(), f"{call.contract}.{call.function}", **call.args)
        owed = dict.fromkeys([one.household for one in listed], 0)
        start = (MIDNIGHT_MS - 2 * DAY_MS) // 1000
        for meter, one, signer in zip(street, listed, devices, strict=True):
            register = meters.start(meter, time_s=start)
            shown = register.import_wmin // 60
            back = register.export_wmin // 60
            for step in range(1, 33):
                register, reading = meters.advance(meter, register, minutes=90)
                when = (start + step * 5_400) * 1000
                exact = scenario.cost(
                    [(when, reading.import_wh - shown)], scenario.TARIFFS["electricity"]
                )
                values = {"import": reading.import_wh, "power": reading.power_w}
                if one.export is not None:
                    values["export"] = reading.export_wh
                    exact -= (reading.export_wh - back) * 9_800
                town.reading(signer, values, at=when)
                owed[one.household] += exact
                shown, back = reading.import_wh, reading.export_wh
        households = sorted(owed)
        for call in scenario.bill_calls(organisation="ewz", households=households):
            town.call(town.org(), f"{call.contract}.{call.function}", **call.args)
        bills = {name: town.state("metering", f"bill/ewz/{name}/000001") for name in households}
        coin = scenario.coin("electricity")
        assert {name: bill["coins"] for name, bill in bills.items()} == {
            name: exact // coin for name, exact in owed.items()
        }

    @pytest.mark.parametrize("seed", range(4))
    def test_bills_payouts_and_remainders_are_one_sum_s1_9(
        self, town: Chain, device: NewDevice, seed: int
    ) -> None:
        """Random meters, readings, choices, tariffs, bills: no coin appears or goes.

        Sum of bills = sum of payouts, and bills with the remainders carried = the exact cost of every reading.
        """
        draw = random.Random(seed)
        prices = {name: draw.randrange(1, 60_000) for name in ("ewz", "bkw")}
        for name, price in prices.items():
            args = {"trade": "electricity", "steps": [[0, price]], "feed_in": 0}
            town.call(town.org(name), "metering.set_tariff", **args)
        homes = [f"ewz/home-{n}" for n in range(3)]
        street = [
            installed(town, device, "electricity", f"m-{n}", start=0, household=homes[n % 3])
            for n in range(5)
        ]
        shown, supplier = [0] * 5, ["ewz"] * 5
        exact = 0
        for _ in range(60):
            n = draw.randrange(5)
            turn = draw.randrange(10)
            if turn == 0:
                supplier[n] = draw.choice(("ewz", "bkw"))
                args = {"meter": f"ewz/m-{n}", "supplier": supplier[n]}
                town.call(town.org(), "metering.choose_supplier", **args)
            elif turn == 1:
                homes_now = draw.sample(homes, draw.randrange(1, 4))
                town.call(town.org(), "metering.bill", households=homes_now)
            else:
                step = draw.choice((0, 1, draw.randrange(5_000)))
                shown[n] += step
                exact += step * prices[supplier[n]]
                town.reading(street[n], shown[n])
        town.call(town.org(), "metering.bill", households=homes)
        billed = sum(bill["coins"] for bill in town.states("metering", "bill").values())
        assert billed == sum(p["coins"] for p in town.states("metering", "payout").values())
        assert billed == sum(h["total"] for h in town.states("metering", "household").values())
        carried = sum(about["rest"] for about in town.states("metering", "about").values())
        assert billed * scenario.coin("electricity") + carried == exact

    def test_part_of_a_coin_is_carried_to_the_next_bill(
        self, town: Chain, device: NewDevice
    ) -> None:
        args = {"trade": "electricity", "steps": [[0, 30_000]], "feed_in": 0}
        town.call(town.org(), "metering.set_tariff", **args)
        meter = installed(town, device, start=0)
        coins: list[int] = []
        for shown in (20, 40, 60, 80, 100):
            town.reading(meter, shown)
            outcome = town.call(town.org(), "metering.bill", households=["ewz/home-1"])
            coins.append(outcome.events[0].data["coins"])
        assert coins == [0, 1, 0, 1, 1]

    def test_tariff_of_every_hour_keeps_the_meter_small_and_the_sum_exact(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, start=0)
        exact = 0
        for day in range(4):
            steps = [[hour, 10_000 + 100 * day + hour] for hour in range(24)]
            args = {"trade": "electricity", "steps": steps, "feed_in": 0}
            town.call(town.org(), "metering.set_tariff", **args)
            for hour in range(1, 25):
                begin = MIDNIGHT_MS + (day - 5) * DAY_MS
                town.reading(meter, 24_000 * day + 1_000 * hour, at=begin + hour * HOUR_MS)
            exact += sum(1_000 * price for _, price in steps)
        assert len(town.state("metering", meter)["use"]) <= 60
        town.call(town.org(), "metering.bill", households=["ewz/home-1"])
        assert town.state("metering", "payout/ewz")["coins"] == exact // 10**6

    def test_household_with_every_trade_gets_one_bill(self, town: Chain, device: NewDevice) -> None:
        exact = 0
        for kind in ("electricity", "gas", "water", "heat"):
            meter = installed(town, device, kind, sub=f"{kind}-1", start=0)
            town.reading(meter, 3)
            tariff = scenario.TARIFFS[kind]
            quantity = 3 * 1_000 if kind in ("gas", "water") else 3
            exact += quantity * tariff.price(11) // scenario.coin(kind)
        outcome = town.call(town.org(), "metering.bill", households=["ewz/home-1"])
        assert outcome.events[0].data["coins"] == exact
        assert len(town.state("metering", "bill/ewz/home-1/000001")["lines"]) == 4

    def test_meter_without_a_supplier_is_counted_and_not_billed(
        self, town: Chain, device: NewDevice
    ) -> None:
        meter = installed(town, device, start=0, supplier="")
        town.reading(meter, 5_000)
        outcome = town.call(town.org(), "metering.bill", households=["ewz/home-1"])
        assert [e.name for e in outcome.events] == ["bill"]
        assert town.state("metering", "bill/ewz/home-1/000001")["lines"] == []

    @pytest.mark.parametrize("household", ["ewz/home-9", "bkw/home-1", "nobody"])
    def test_strange_household_is_not_billed(self, town: Chain, household: str) -> None:
        with town.refused("metering.not-yours"):
            town.call(town.org(), "metering.bill", households=[household])

    def test_forty_households_fit_a_call(self, town: Chain) -> None:
        one = {"kind": "gas", "group": "north", "supplier": "ewz", "start": 0}
        many = [one | {"meter": f"ewz/m-{n}", "household": f"ewz/h-{n}"} for n in range(40)]
        town.call(town.org(), "metering.install", meters=many)
        names = [f"ewz/h-{n}" for n in range(40)]
        outcome = town.call(town.org(), "metering.bill", households=names)
        assert len(outcome.events) == 40


class TestScenario:
    def test_setup_is_the_same_each_time(self) -> None:
        first, second = (scenario.installations(seed=3, count=120) for _ in range(2))
        assert first == second
        calls = scenario.setup_calls(organisation="ewz", gateway="g-1", installed=first)
        assert [c.function for c in calls].count("install") == 3
        assert [c.function for c in calls].count("home_group") == 2

    def test_display_shows_what_the_ledger_keeps_s2_20(self) -> None:
        assert scenario.display({"kind": "electricity", "value": 1_234_567}) == "001234.567 kWh"
        assert scenario.display({"kind": "heat", "value": 77}) == "000077 kWh"
        interval = {"kind": "interval", "value": 1_999_999_999}
        assert scenario.display(interval) == "000001.999 kWh"

    def test_price_of_an_hour_is_that_of_the_step_before_it(self) -> None:
        tariff = Tariff(((0, 1), (6, 2), (22, 3)))
        assert [tariff.price(hour) for hour in (0, 5, 6, 21, 22, 23)] == [1, 1, 2, 2, 3, 3]

    def test_installation_may_leave_the_start_to_the_first_reading(self) -> None:
        one = Installation("m-1", "gas", "home-1")
        calls = scenario.setup_calls(organisation="ewz", gateway="g-1", installed=[one])
        assert "start" not in calls[-1].args["meters"][0]
