"""What trading promises of offers: who may, for which slot, in parts, until when, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from drystone.apps.trading.conftest import BUYER, PRICE, SELLER, THIRD, Market

if TYPE_CHECKING:
    from drystone.workshop.actors import Device
    from drystone.workshop.chain import Chain


class TestMarket:
    def test_organisation_that_made_the_market_changes_it(self, market: Market) -> None:
        market.chain.call(market.chain.org(), "trading.configure", settings={"settled_h": 1})
        assert market.chain.state("trading", "settings")["settled_ms"] == 3_600_000

    def test_another_organisation_does_not(self, market: Market) -> None:
        with market.chain.refused("trading.not-yours"):
            market.chain.call(market.chain.org("bkw"), "trading.configure", settings={})

    @pytest.mark.parametrize(
        ("settings", "code"),
        [
            ({"slot_s": 60}, "slot-fixed"),
            ({"debt_max": -1}, "bad-debt-max"),
            ({"debt_max": "much"}, "bad-debt-max"),
            ({"keep_h": 0}, "bad-keep-h"),
            ({"fee": 3}, "unknown-setting"),
        ],
    )
    def test_settings_without_sense_are_refused(
        self, market: Market, settings: dict[str, Any], code: str
    ) -> None:
        with market.chain.refused(f"trading.{code}"):
            market.chain.call(market.chain.org(), "trading.configure", settings=settings)

    def test_nobody_joins_before_there_is_a_market(self, chain: Chain) -> None:
        chain.deploy()
        args = {"meter": SELLER, "household": "ewz/family-1", "zone": "quarter"}
        with chain.refused("trading.no-market"):
            chain.call(chain.org(), "trading.join", **args)

    @pytest.mark.parametrize(
        ("meter", "household", "code"),
        [
            (SELLER, "ewz/family-1", "joined-already"),
            ("bkw/home-1", "ewz/family-1", "not-yours"),
            ("ewz", "ewz/family-1", "not-yours"),
            ("ewz//home", "ewz/family-1", "not-yours"),
            ("ewz/home-4", "family", "bad-household"),
        ],
    )
    def test_home_that_cannot_join_is_refused(
        self, market: Market, meter: str, household: str, code: str
    ) -> None:
        args = {"meter": meter, "household": household, "zone": "quarter"}
        with market.chain.refused(f"trading.{code}"):
            market.chain.call(market.chain.org(), "trading.join", **args)

    def test_homes_let_nobody_in(self, market: Market) -> None:
        args = {"meter": "ewz/home-4", "household": "ewz/family-1", "zone": "quarter"}
        with market.chain.refused("role-missing"):
            market.act(SELLER, "join", **args)

    def test_home_that_is_even_leaves_and_leaves_no_row(self, market: Market) -> None:
        market.act(THIRD, "leave", meter=THIRD)
        assert market.home(THIRD) is None
        assert market.chain.state("trading", market.meters[THIRD]) is None
        with market.chain.refused("trading.not-joined"):
            market.read(THIRD, 1, 1)

    def test_operator_takes_a_home_out_too_and_a_neighbour_does_not(self, market: Market) -> None:
        with market.chain.refused("trading.not-yours"):
            market.act(SELLER, "leave", meter=THIRD)
        market.chain.call(market.chain.org(), "trading.leave", meter=THIRD)

    def test_home_with_an_open_trade_stays(self, market: Market) -> None:
        market.offer(500)
        market.take(100)
        for who in (SELLER, BUYER):
            with market.chain.refused("trading.not-even"):
                market.act(who, "leave", meter=who)


class TestOffers:
    def test_surplus_is_offered_and_told_s1_8(self, market: Market) -> None:
        market.offer(800)
        assert market.row()["left"] == 800
        (told,) = market.chain.events_of("trading.offered")
        assert told == {
            "seller": SELLER,
            "slot": market.first,
            "quantity": 800,
            "price": PRICE,
            "until_ms": 0,
        }

    def test_household_offers_for_its_meter(self, market: Market) -> None:
        args = {"meter": SELLER, "slot": market.first, "quantity": 1, "price": 1, "until_ms": 0}
        market.chain.call(market.households[SELLER], "trading.offer", **args)
        with market.chain.refused("trading.not-yours"):
            market.chain.call(market.households[BUYER], "trading.cancel", meter=SELLER, slot=1)

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ({"quantity": 0}, "bad-quantity"),
            ({"quantity": -5}, "bad-quantity"),
            ({"quantity": 10**9 + 1}, "bad-quantity"),
            ({"price": -1}, "bad-price"),
            ({"price": 10**9 + 1}, "bad-price"),
            ({"until_ms": 1}, "expired"),
            ({"until_ms": -1}, "expired"),
            ({"slot": 0}, "not-a-slot"),
            ({"slot": 2**60}, "not-a-slot"),
            ({"meter": BUYER}, "not-yours"),
            ({"meter": "ewz/home-9"}, "not-joined"),
        ],
    )
    def test_offer_without_sense_is_refused(
        self, market: Market, wrong: dict[str, Any], code: str
    ) -> None:
        args = {"meter": SELLER, "slot": market.first, "quantity": 5, "price": 5, "until_ms": 0}
        with market.chain.refused(f"trading.{code}"):
            market.act(SELLER, "offer", **{**args, **wrong})
        assert market.chain.states("trading", "offer") == {}

    def test_slot_is_offered_once_until_it_is_sold_or_cancelled(self, market: Market) -> None:
        market.offer(800)
        with market.chain.refused("trading.offered-already"):
            market.offer(300)
        market.take(800)
        market.offer(300, price=9)
        row = market.row()
        assert (row["quantity"], row["left"], row["price"]) == (1_100, 300, 9)

    def test_more_than_any_meter_shows_is_not_offered_in_two_steps_either(
        self, market: Market
    ) -> None:
        market.offer(10**9, price=0)
        market.take(10**9)
        with market.chain.refused("trading.bad-quantity"):
            market.offer(1)

    def test_slot_that_the_meter_has_spoken_of_is_over(self, market: Market) -> None:
        market.read(SELLER, 800, 0, slot=3)
        for slot in (2, 3):
            with market.chain.refused("trading.slot-over"):
                market.offer(800, slot=slot)
        market.offer(800, slot=4)

    def test_cancelled_offer_without_a_take_leaves_no_row(self, market: Market) -> None:
        market.offer(800)
        market.act(SELLER, "cancel", meter=SELLER, slot=market.first)
        assert market.row() is None
        assert market.needed(SELLER) is None
        with market.chain.refused("trading.no-offer"):
            market.take(1)

    def test_cancelling_takes_back_what_is_left_and_no_more(self, market: Market) -> None:
        market.offer(800)
        market.take(300)
        market.act(SELLER, "cancel", meter=SELLER, slot=market.first)
        assert market.row()["quantity"] == 300
        assert market.chain.events_of("trading.cancelled")[0]["taken"] == 300
        with market.chain.refused("trading.no-offer"):
            market.act(SELLER, "cancel", meter=SELLER, slot=market.first)
        with market.chain.refused("trading.sold-out"):
            market.take(1, by=THIRD)

    def test_home_has_a_bounded_number_of_open_slots(self, market: Market) -> None:
        for slot in range(128):
            market.offer(1, slot=slot)
        with market.chain.refused("trading.too-many-slots"):
            market.offer(1, slot=128)
        market.act(SELLER, "cancel", meter=SELLER, slot=market.first)
        market.offer(1, slot=128)


class TestTakes:
    def test_offer_is_taken_in_parts_by_two_neighbours_s1_8(self, market: Market) -> None:
        market.offer(800)
        market.take(500)
        market.take(500, by=THIRD)
        row = market.row()
        assert row["left"] == 0
        assert row["takes"] == [[BUYER, 500, PRICE, 0, 0], [THIRD, 300, PRICE, 0, 0]]
        assert [told["left"] for told in market.chain.events_of("trading.taken")] == [300, 0]

    def test_who_needs_a_least_part_takes_it_or_nothing(self, market: Market) -> None:
        market.offer(800)
        market.take(500)
        with market.chain.refused("trading.sold-out"):
            market.take(500, by=THIRD, least=301)
        assert market.home(THIRD)["promised"] == 0
        market.take(500, by=THIRD, least=300)

    def test_same_buyer_takes_more_into_one_line(self, market: Market) -> None:
        market.offer(800)
        market.take(100)
        market.take(200)
        assert market.row()["takes"] == [[BUYER, 300, PRICE, 0, 0]]
        assert market.home(BUYER)["promised"] == 300 * PRICE

    def test_offer_that_became_dearer_meanwhile_is_not_taken(self, market: Market) -> None:
        market.offer(800)
        market.act(SELLER, "cancel", meter=SELLER, slot=market.first)
        market.offer(800, price=PRICE + 1)
        with market.chain.refused("trading.dearer"):
            market.take(500)

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ({"quantity": 0}, "bad-quantity"),
            ({"quantity": 5, "least": 6}, "bad-quantity"),
            ({"least": 0}, "bad-quantity"),
            ({"seller": BUYER}, "own-offer"),
            ({"seller": THIRD}, "no-offer"),
            ({"seller": "ewz/home-9"}, "not-joined"),
            ({"slot": 3}, "no-offer"),
            ({"meter": THIRD}, "not-yours"),
        ],
    )
    def test_take_without_sense_is_refused(
        self, market: Market, wrong: dict[str, Any], code: str
    ) -> None:
        market.offer(800)
        args: dict[str, Any] = {"meter": BUYER, "seller": SELLER, "slot": market.first}
        args |= {"quantity": 5, "least": 1, "price_max": PRICE}
        with market.chain.refused(f"trading.{code}"):
            market.act(BUYER, "take", **{**args, **wrong})
        assert market.row()["left"] == 800

    def test_homes_of_different_zones_do_not_trade_s1_14(
        self, market: Market, device: Callable[..., Device]
    ) -> None:
        far = device("prosumer", "home-4")
        args = {"meter": "ewz/home-4", "household": "ewz/family-1", "zone": "valley"}
        market.chain.call(market.chain.org(), "trading.join", **args)
        market.meters["ewz/home-4"] = far
        market.offer(800)
        with market.chain.refused("trading.other-zone"):
            market.take(100, by="ewz/home-4")

    def test_buyer_whose_meter_has_spoken_of_the_slot_comes_too_late(self, market: Market) -> None:
        market.offer(800)
        market.read(BUYER, 0, 600)
        with market.chain.refused("trading.slot-over"):
            market.take(500)

    def test_seller_whose_meter_has_spoken_still_sells_for_its_cable_may_have_been_cut(
        self, market: Market
    ) -> None:
        market.offer(800)
        market.read(SELLER, 700, 0)
        market.take(500)
        market.read(BUYER, 0, 600)
        market.settle()
        assert market.balances == [500 * PRICE, -500 * PRICE, 0]

    def test_offer_with_an_end_is_not_taken_after_it(self, market: Market) -> None:
        until = market.chain.clock.ms + 60_000
        market.offer(800, until_ms=until)
        market.take(100)
        market.chain.clock.set(until)
        with market.chain.refused("trading.expired"):
            market.take(100)

    def test_offer_without_an_end_ends_when_it_may_be_cleared_away(self, market: Market) -> None:
        market.offer(800)
        market.chain.clock.tick(61 * 86_400)
        with market.chain.refused("trading.expired"):
            market.take(100)

    def test_nobody_promises_more_than_a_home_may_owe(self, market: Market) -> None:
        market.chain.call(
            market.chain.org(), "trading.configure", settings={"debt_max": 500 * PRICE}
        )
        market.offer(800)
        market.take(300)
        with market.chain.refused("trading.debt-limit"):
            market.take(201)
        market.take(200)
        market.take(300, by=THIRD)

    def test_offer_has_a_bounded_number_of_takes(self, market: Market) -> None:
        for turn in range(17):
            market.offer(2, price=turn)
            if turn < 16:
                market.take(2)
        with market.chain.refused("trading.too-many-takes"):
            market.take(2)
