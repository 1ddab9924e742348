"""What trading promises of money: paid is what both meters show, all balances are zero together, late or corrected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from drystone.apps.trading import scenario
from drystone.apps.trading.conftest import BUYER, PRICE, SELLER, THIRD, Market
from drystone.formats.senml import Measurement

if TYPE_CHECKING:
    from drystone.workshop.chain import Chain


def said(market: Market, *rows: tuple[str, Any, int]) -> list[Measurement]:
    """Return measurements (name, value, slot) as a meter would sign them."""
    return [
        Measurement(name, "Wh", value, (market.first + slot) * scenario.SLOT_MS // 1_000)
        for name, value, slot in rows
    ]


class TestReadings:
    def test_slot_that_no_trade_needs_leaves_only_its_number(self, market: Market) -> None:
        market.read(SELLER, 700, 20)
        kept = market.chain.state("trading", market.meters[SELLER])
        assert kept == {"last": market.first, "slots": {}}

    def test_pack_of_several_slots_is_taken_and_each_needed_one_told(self, market: Market) -> None:
        for slot in (0, 2):
            market.offer(500, slot=slot)
        market.to_slot(3)
        slots = [scenario.Slot(market.first + n, 100 + n, n) for n in range(4)]
        market.chain.reading(market.meters[SELLER], scenario.measurements(slots))
        told = market.chain.events_of("trading.reported")
        assert [(one["slot"] - market.first, one["given"]) for one in told] == [(0, 100), (2, 102)]
        assert market.needed(SELLER, slot=2)[:2] == [102, 2]

    def test_pack_as_long_as_allowed_keeps_the_limit(self, market: Market) -> None:
        for slot in range(128):
            market.offer(500, slot=slot)
        market.to_slot(16)
        slots = [scenario.Slot(market.first + n, 100, n) for n in range(16)]
        outcome = market.chain.reading(market.meters[SELLER], scenario.measurements(slots))
        assert outcome.steps < 9_900

    def test_late_reading_fills_its_slot(self, market: Market) -> None:
        market.offer(500, slot=0)
        hole = market.meters[SELLER].actor.seq
        market.read(SELLER, 0, 1, slot=1, seq=hole + 1)
        market.read(SELLER, 450, 0, slot=0, seq=hole)
        (told,) = market.chain.events_of("trading.reported")
        assert told["late"] is True
        assert market.needed(SELLER)[:2] == [450, 0]

    def test_same_words_twice_change_nothing_and_other_words_are_refused(
        self, market: Market
    ) -> None:
        market.offer(500)
        market.read(SELLER, 450, 0)
        market.read(SELLER, 450, 0)
        with market.chain.refused("trading.said-already"):
            market.read(SELLER, 451, 0)
        assert len(market.chain.events_of("trading.reported")) == 1

    def test_meter_that_nobody_let_in_is_refused(self, market: Market) -> None:
        market.meters["ewz/home-4"] = market.chain.device("prosumer", "home-4")
        with market.chain.refused("trading.not-joined"):
            market.read("ewz/home-4", 1, 1)

    @pytest.mark.parametrize(
        ("rows", "code"),
        [
            ([("export", 5, 0)], "incomplete"),
            ([("export", 5, -1), ("import", 5, 0)], "incomplete"),
            ([("export", 5, 0), ("export", 5, 0)], "twice"),
            ([("export", -5, 0), ("import", 0, 0)], "bad-quantity"),
            ([("export", 10**9 + 1, 0), ("import", 0, 0)], "bad-quantity"),
            ([("export", (-1, 50), 0), ("import", 0, 0)], "bad-quantity"),
            ([("export", "much", 0), ("import", 0, 0)], "bad-quantity"),
            ([("export", 5, 9), ("import", 5, 9)], "from-the-future"),
            ([("export", 5, n - 70) for n in range(33)], "pack-too-long"),
        ],
    )
    def test_reading_without_sense_is_refused(
        self, market: Market, rows: list[tuple[str, Any, int]], code: str
    ) -> None:
        market.to_slot(0)
        with market.chain.refused(f"trading.{code}"):
            market.chain.reading(market.meters[SELLER], said(market, *rows))

    @pytest.mark.parametrize("time", [None, 1_700_000_001])
    def test_reading_whose_time_is_no_slot_is_refused(
        self, market: Market, time: int | None
    ) -> None:
        pack = [Measurement(name, "Wh", 5, time) for name in ("export", "import")]
        with market.chain.refused("trading.not-a-slot"):
            market.chain.reading(market.meters[SELLER], pack)


class TestSettlement:
    def trade(self, market: Market, *, given: int, drawn: int, taken: int = 500) -> None:
        """Offer 800, take some, let both meters speak."""
        market.offer(800)
        market.take(taken)
        market.read(SELLER, given, 0)
        market.read(BUYER, 0, drawn)

    @pytest.mark.parametrize(
        ("given", "drawn", "delivered"),
        [(900, 900, 500), (400, 900, 400), (900, 300, 300), (0, 900, 0), (500, 500, 500)],
    )
    def test_paid_is_what_both_meters_show_and_amounts_sum_to_zero_s1_8(
        self, market: Market, given: int, drawn: int, delivered: int
    ) -> None:
        self.trade(market, given=given, drawn=drawn)
        market.settle()
        assert market.balances == [delivered * PRICE, -delivered * PRICE, 0]
        (told,) = market.chain.events_of("trading.settled")
        assert (told["quantity"], told["short"]) == (delivered, 500 - delivered)
        assert market.home(BUYER)["promised"] == 0

    def test_amounts_that_no_coin_can_hold_are_kept_exactly(self, market: Market) -> None:
        market.offer(1, price=1)
        market.take(1)
        market.read(SELLER, 1, 0)
        market.read(BUYER, 0, 1)
        market.settle()
        assert market.balances == [1, -1, 0]

    def test_who_came_first_is_served_first(self, market: Market) -> None:
        market.offer(800)
        market.take(500, by=THIRD)
        market.take(300)
        market.read(SELLER, 600, 0)
        market.read(BUYER, 0, 900)
        market.read(THIRD, 0, 900)
        market.settle()
        assert market.balances == [600 * PRICE, -100 * PRICE, -500 * PRICE]

    def test_buyer_of_two_neighbours_pays_no_watt_hour_twice(self, market: Market) -> None:
        market.offer(500)
        market.offer(500, by=THIRD)
        market.take(500)
        market.take(500, of=THIRD)
        market.read(SELLER, 500, 0)
        market.read(THIRD, 500, 0)
        market.read(BUYER, 0, 700)
        market.settle()
        market.settle(of=THIRD)
        assert market.balances == [500 * PRICE, -700 * PRICE, 200 * PRICE]
        assert market.needed(BUYER)[3] == 700

    def test_buyer_who_has_not_spoken_keeps_its_part(self, market: Market) -> None:
        market.offer(800)
        market.take(500, by=THIRD)
        market.take(300)
        market.read(SELLER, 600, 0)
        market.read(BUYER, 0, 900)
        market.settle()
        assert market.balances == [100 * PRICE, -100 * PRICE, 0]
        market.read(THIRD, 0, 200)
        market.settle()
        assert market.balances == [500 * PRICE, -300 * PRICE, -200 * PRICE]

    def test_nothing_is_settled_before_both_have_spoken(self, market: Market) -> None:
        market.offer(800)
        with market.chain.refused("trading.no-trade"):
            market.settle()
        market.take(500)
        with market.chain.refused("trading.reading-missing"):
            market.settle()
        market.read(SELLER, 700, 0)
        with market.chain.refused("trading.reading-missing"):
            market.settle()
        assert market.balances == [0, 0, 0]

    def test_settled_slot_is_settled_once(self, market: Market) -> None:
        self.trade(market, given=700, drawn=700)
        market.settle()
        with market.chain.refused("trading.settled-already"):
            market.settle()
        assert market.balances == [500 * PRICE, -500 * PRICE, 0]

    def test_correction_moves_the_difference_both_ways(self, market: Market, chain: Chain) -> None:
        self.trade(market, given=900, drawn=900)
        market.settle()
        args = {"meter": SELLER, "slot": market.first, "drawn": 0, "why": "meter ran fast"}
        chain.clock.tick(900)
        for given in (450, 480):
            chain.call(chain.org(), "trading.correct", **args, given=given)
            market.settle()
            assert market.balances == [given * PRICE, -given * PRICE, 0]
        told = chain.events_of("trading.corrected")[0]
        assert (told["before"], told["after"], told["by"]) == ([900, 0], [450, 0], "ewz/ops")
        assert [one["quantity"] for one in chain.events_of("trading.settled")] == [500, -50, 30]

    def test_buyers_correction_frees_what_it_paid(self, market: Market, chain: Chain) -> None:
        self.trade(market, given=900, drawn=900)
        market.settle()
        chain.clock.tick(900)
        args = {"meter": BUYER, "slot": market.first, "given": 0, "drawn": 0, "why": "wrong meter"}
        chain.call(chain.org(), "trading.correct", **args)
        market.settle()
        assert market.balances == [0, 0, 0]

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ({"why": ""}, "no-reason"),
            ({"given": -1}, "bad-quantity"),
            ({"drawn": 10**9 + 1}, "bad-quantity"),
            ({"slot": 5}, "no-trade"),
            ({"meter": "ewz/home-9"}, "not-joined"),
            ({"meter": "bkw/home-1"}, "not-yours"),
        ],
    )
    def test_correction_without_sense_is_refused(
        self, market: Market, wrong: dict[str, Any], code: str
    ) -> None:
        self.trade(market, given=900, drawn=900)
        market.chain.clock.tick(900)
        args = {"meter": SELLER, "slot": market.first, "given": 1, "drawn": 1, "why": "x"}
        with market.chain.refused(f"trading.{code}"):
            market.chain.call(market.chain.org(), "trading.correct", **{**args, **wrong})

    def test_slot_that_is_not_over_is_not_corrected(self, market: Market) -> None:
        market.offer(800)
        args = {"meter": SELLER, "slot": market.first, "given": 1, "drawn": 1, "why": "x"}
        with market.chain.refused("trading.too-early"):
            market.chain.call(market.chain.org(), "trading.correct", **args)

    def test_meter_corrects_nothing_itself(self, market: Market) -> None:
        args = {"meter": SELLER, "slot": market.first, "given": 1, "drawn": 1, "why": "x"}
        with market.chain.refused("role-missing"):
            market.act(SELLER, "correct", **args)


class TestPaid:
    def test_seller_says_it_was_paid_and_the_sum_stays_zero(self, market: Market) -> None:
        TestSettlement().trade(market, given=900, drawn=900)
        market.settle()
        market.act(SELLER, "paid", meter=SELLER, debtor=BUYER, amount=300 * PRICE)
        assert market.balances == [200 * PRICE, -200 * PRICE, 0]

    @pytest.mark.parametrize(
        ("who", "debtor", "amount", "code"),
        [
            (SELLER, BUYER, 500 * PRICE + 1, "not-owed"),
            (SELLER, BUYER, 0, "not-owed"),
            (SELLER, BUYER, -1, "not-owed"),
            (SELLER, THIRD, 1, "not-owed"),
            (BUYER, SELLER, 1, "not-owed"),
            (SELLER, SELLER, 1, "not-owed"),
            (SELLER, "ewz/home-9", 1, "not-joined"),
        ],
    )
    def test_payment_of_what_nobody_owes_is_refused(
        self, market: Market, who: str, debtor: str, amount: int, code: str
    ) -> None:
        TestSettlement().trade(market, given=900, drawn=900)
        market.settle()
        with market.chain.refused(f"trading.{code}"):
            market.act(who, "paid", meter=who, debtor=debtor, amount=amount)

    def test_debtor_cannot_say_that_it_paid(self, market: Market) -> None:
        TestSettlement().trade(market, given=900, drawn=900)
        market.settle()
        with market.chain.refused("trading.not-yours"):
            market.act(BUYER, "paid", meter=SELLER, debtor=BUYER, amount=1)


class TestClose:
    def test_settled_slot_is_cleared_away_after_its_time_and_balances_stay(
        self, market: Market
    ) -> None:
        TestSettlement().trade(market, given=900, drawn=900)
        market.settle()
        slot = {"seller": SELLER, "slot": market.first}
        market.chain.clock.tick(47 * 3_600)
        with market.chain.refused("trading.too-early"):
            market.act(THIRD, "close", **slot)
        market.chain.clock.tick(2 * 3_600)
        market.act(THIRD, "close", **slot)
        assert market.row() is None
        assert market.needed(SELLER) is None
        assert market.needed(BUYER) is None
        assert market.balances == [500 * PRICE, -500 * PRICE, 0]
        for function in ("close", "settle"):
            code = "no-offer" if function == "close" else "no-trade"
            with market.chain.refused(f"trading.{code}"):
                market.act(THIRD, function, **slot)

    def test_what_was_never_settled_waits_for_the_longest_cut_and_costs_nothing(
        self, market: Market
    ) -> None:
        market.offer(800)
        market.take(500)
        market.read(SELLER, 700, 0)
        slot = {"seller": SELLER, "slot": market.first}
        market.chain.clock.tick(59 * 86_400)
        with market.chain.refused("trading.too-early"):
            market.act(THIRD, "close", **slot)
        market.chain.clock.tick(2 * 86_400)
        market.act(THIRD, "close", **slot)
        assert market.home(BUYER)["promised"] == 0
        assert market.balances == [0, 0, 0]
        assert market.chain.states("trading", "offer") == {}

    def test_what_is_cleared_away_is_not_paid_a_second_time(self, market: Market) -> None:
        market.offer(500)
        market.offer(500, by=THIRD)
        market.take(500)
        market.take(500, of=THIRD)
        market.read(SELLER, 500, 0)
        market.read(BUYER, 0, 700)
        market.settle()
        market.chain.clock.tick(50 * 3_600)
        market.act(THIRD, "close", seller=SELLER, slot=market.first)
        market.read(THIRD, 500, 0)
        market.settle(of=THIRD)
        assert market.balances == [500 * PRICE, -700 * PRICE, 200 * PRICE]


class TestScenario:
    def test_emulated_day_is_settled_as_the_books_kept_apart_say(
        self, market: Market, chain: Chain
    ) -> None:
        roof = scenario.slots(seed=3, number=1, producer=True, first=market.first)
        home = scenario.slots(seed=3, number=2, producer=False, first=market.first)
        books = scenario.Books()
        sold = 0
        for slot in range(48):
            given, drawn = next(roof), next(home)
            if given.given < 50:
                continue
            sold += 1
            market.offer(given.given + 40, slot=slot)
            market.take(400, slot=slot)
            market.read(SELLER, given.given, given.drawn, slot=slot)
            market.read(BUYER, drawn.given, drawn.drawn, slot=slot)
            market.settle(slot=slot)
            take = scenario.Take(BUYER, min(400, given.given + 40), PRICE)
            books.settle(
                seller=SELLER,
                slot=slot,
                given=given.given,
                takes=[take],
                drawn={BUYER: drawn.drawn},
            )
        assert sold > 8
        assert market.balances[:2] == [books.balances[SELLER], books.balances[BUYER]]
        assert sum(market.balances) == 0
        assert books.delivered > 0

    def test_same_seed_gives_the_same_slots(self) -> None:
        first, second = (
            scenario.slots(seed=3, number=1, producer=True, first=1_900_000) for _ in range(2)
        )
        assert [next(first) for _ in range(96)] == [next(second) for _ in range(96)]
