"""What the maintenance contract promises of orders: from a request to a rating, with parts, stock and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from drystone.apps.maintenance.conftest import MACHINE, PROVIDER, UNIT, limited

if TYPE_CHECKING:
    from drystone.sim.world import Actor
    from drystone.workshop.actors import Device
    from drystone.workshop.chain import Chain, Clock


ORDER = {"addr1": UNIT, "addr2": MACHINE, "part": "bearing"}


def order(chain: Chain, number: int = 1) -> dict[str, Any]:
    return chain.state("maintenance", f"order/{MACHINE}/{number}")


def stock(chain: Chain) -> int:
    return chain.state("maintenance", f"part/{PROVIDER}/bearing")["stock"]


def balances(chain: Chain) -> dict[str, int]:
    return {p.removeprefix("balance/"): v for p, v in chain.states("token", "balance").items()}


class TestLife:
    def test_request_of_a_machine_becomes_an_order_rated_at_its_end_s3_119(
        self, chain: Chain, unit: Actor, provider: Actor, asking: Device
    ) -> None:
        which = {"machine": MACHINE, "order": 1}
        chain.call(provider, "maintenance.accept", **which, due_ms=1_800_000_000_000)
        assert chain.state("maintenance", asking)["waiting"] == {}
        chain.call(provider, "maintenance.complete", **which, report="bearing replaced")
        chain.call(unit, "maintenance.rate", **which, stars=4, note="quick")
        kept = order(chain)
        assert [turn["state"] for turn in kept["history"]] == ["accepted", "completed", "rated"]
        assert [turn["by"] for turn in kept["history"]] == [PROVIDER, PROVIDER, UNIT]
        assert (kept["kind"], kept["channel"], kept["stars"]) == ("service", "vibration", 4)
        assert chain.state("maintenance", f"rating/{PROVIDER}") == {"orders": 1, "stars": 4}
        states = [event["state"] for event in chain.events_of("maintenance.order")]
        assert states == ["accepted", "completed", "rated"]

    def test_machine_can_ask_again_once_its_request_is_taken_on(
        self, chain: Chain, unit: Actor, provider: Actor, asking: Device
    ) -> None:
        chain.call(provider, "maintenance.accept", machine=MACHINE, order=1, due_ms=0)
        for _ in range(2):
            chain.reading(asking, {"vibration": 101})
        assert chain.state("maintenance", asking)["waiting"]["vibration"]["order"] == 2

    @pytest.mark.parametrize("kind", ["service", "replenishment", "replacement"])
    def test_three_kinds_of_request_by_hand_s3_83(
        self, chain: Chain, unit: Actor, machine: Device, kind: str
    ) -> None:
        chain.call(unit, "maintenance.request", machine=MACHINE, kind=kind, note="soon")
        chain.call(machine, "maintenance.request", machine=MACHINE, kind=kind, note="")
        assert (order(chain)["kind"], order(chain)["state"]) == (kind, "requested")
        assert order(chain, 2)["history"][0]["by"] == MACHINE

    @pytest.mark.parametrize(
        ("who", "what", "args", "code"),
        [
            ("provider", "complete", {"report": ""}, "not-accepted"),
            ("unit", "rate", {"stars": 5, "note": ""}, "not-completed"),
            ("unit", "accept", {"due_ms": 0}, "role-missing"),
            ("provider", "rate", {"stars": 5, "note": ""}, "role-missing"),
            ("rival", "accept", {"due_ms": 0}, "not-yours"),
            ("rival", "decline", {"reason": ""}, "not-yours"),
            ("other", "cancel", {}, "not-yours"),
            ("provider", "accept", {"due_ms": 0, "order": 9}, "unknown-order"),
            ("provider", "accept", {"due_ms": 0, "machine": "ewz/x"}, "unknown-machine"),
            ("provider", "decline", {"reason": "x" * 501}, "note"),
        ],
    )
    def test_turn_that_is_not_its_callers_or_not_next_is_refused(
        self,
        chain: Chain,
        unit: Actor,
        provider: Actor,
        asking: Device,
        who: str,
        what: str,
        args: Mapping[str, Any],
        code: str,
    ) -> None:
        others = {"rival": ("provider",), "other": ("unit",)}
        people: dict[str, Actor] = {"unit": unit, "provider": provider}
        if who in others:
            people[who] = chain.member(who, roles=others[who])
        named = code if code == "role-missing" else f"maintenance.{code}"
        with chain.refused(named):
            which = {"machine": MACHINE, "order": 1} | dict(args)
            chain.call(people[who], f"maintenance.{what}", **which)
        assert order(chain) is None
        assert "vibration" in chain.state("maintenance", asking)["waiting"]

    def test_order_is_not_accepted_completed_or_rated_twice(
        self, chain: Chain, unit: Actor, provider: Actor, asking: Device
    ) -> None:
        which = {"machine": MACHINE, "order": 1}
        turns: list[tuple[Actor, str, dict[str, Any], str]] = [
            (provider, "accept", {"due_ms": 0}, "not-requested"),
            (provider, "complete", {"report": ""}, "not-accepted"),
            (unit, "rate", {"stars": 5, "note": ""}, "not-completed"),
        ]
        for who, what, args, code in turns:
            chain.call(who, f"maintenance.{what}", **which, **args)
            with chain.refused(f"maintenance.{code}"):
                chain.call(who, f"maintenance.{what}", **which, **args)

    @pytest.mark.parametrize("stars", [0, 6, -1])
    def test_stars_are_one_to_five(
        self, chain: Chain, unit: Actor, provider: Actor, asking: Device, stars: int
    ) -> None:
        which = {"machine": MACHINE, "order": 1}
        chain.call(provider, "maintenance.accept", **which, due_ms=0)
        chain.call(provider, "maintenance.complete", **which, report="")
        with chain.refused("maintenance.stars"):
            chain.call(unit, "maintenance.rate", **which, stars=stars, note="")

    def test_unit_takes_a_request_back_until_it_is_answered(
        self, chain: Chain, unit: Actor, provider: Actor, asking: Device
    ) -> None:
        chain.call(unit, "maintenance.cancel", machine=MACHINE, order=1)
        assert order(chain)["state"] == "cancelled"
        with chain.refused("maintenance.not-requested"):
            chain.call(provider, "maintenance.accept", machine=MACHINE, order=1, due_ms=0)

    def test_plan_moves_on_with_each_completed_order_s3_119(
        self, chain: Chain, unit: Actor, provider: Actor, asking: Device, clock: Clock
    ) -> None:
        planned = {"machine": MACHINE, "every_s": 86_400, "task": "grease"}
        with chain.refused("maintenance.not-yours"):
            chain.call(chain.member("rival", roles=("provider",)), "maintenance.plan", **planned)
        chain.call(provider, "maintenance.plan", **planned)
        chain.call(provider, "maintenance.accept", machine=MACHINE, order=1, due_ms=0)
        clock.tick(3_600)
        moment = clock.ms
        chain.call(provider, "maintenance.complete", machine=MACHINE, order=1, report="done")
        plan = chain.state("maintenance", f"plan/{MACHINE}")
        assert plan["next_ms"] == moment + 86_400_000


class TestParts:
    def test_order_moves_tokens_and_stock_together_s3_88(
        self, chain: Chain, unit: Actor, paying: None
    ) -> None:
        chain.call(unit, "maintenance.orderPart", **ORDER, count=2)
        assert balances(chain) == {UNIT: 20, PROVIDER: 80}
        assert stock(chain) == 0
        assert (order(chain)["state"], order(chain)["paid"]) == ("ordered", 80)
        assert chain.events_of("token.transfer") == [{"from": UNIT, "to": PROVIDER, "amount": 80}]

    def test_order_that_cannot_be_paid_leaves_stock_and_tokens_as_they_were_s3_88(
        self, chain: Chain, unit: Actor, provider: Actor, paying: None
    ) -> None:
        chain.call(provider, "maintenance.stock_part", part="bearing", stock=9, price=40)
        chain.call(unit, "token.allow", contract="maintenance", amount=1_000)
        with chain.refused("token.overdraft"):
            chain.call(unit, "maintenance.orderPart", **ORDER, count=3)
        assert balances(chain) == {UNIT: 100}
        assert stock(chain) == 9
        assert order(chain) is None

    @pytest.mark.parametrize(
        ("args", "code"),
        [
            ({"count": 3}, "out-of-stock"),
            ({"count": 0}, "count"),
            ({"count": -1}, "count"),
            ({"count": 1, "part": "wheel"}, "unknown-part"),
            ({"count": 1, "addr1": "ewz/other"}, "not-yours"),
            ({"count": 1, "addr2": "ewz/other"}, "unknown-machine"),
        ],
    )
    def test_order_that_makes_no_sense_is_refused(
        self, chain: Chain, unit: Actor, paying: None, args: dict[str, Any], code: str
    ) -> None:
        with chain.refused(f"maintenance.{code}"):
            chain.call(unit, "maintenance.orderPart", **ORDER | args)
        assert (stock(chain), balances(chain)) == (2, {UNIT: 100})

    def test_contract_moves_only_what_the_unit_has_allowed(
        self, chain: Chain, unit: Actor, paying: None
    ) -> None:
        chain.call(unit, "token.allow", contract="maintenance", amount=79)
        with chain.refused("token.not-allowed"):
            chain.call(unit, "maintenance.orderPart", **ORDER, count=2)
        assert (stock(chain), balances(chain)) == (2, {UNIT: 100})

    def test_nobody_orders_in_the_units_name(self, chain: Chain, paying: None) -> None:
        with chain.refused("maintenance.not-yours"):
            other = chain.member("hall-4", roles=("unit",))
            chain.call(other, "maintenance.orderPart", **ORDER, count=1)

    def test_without_a_token_contract_the_order_stands_unpaid(
        self, chain: Chain, unit: Actor, provider: Actor, machine: Device
    ) -> None:
        chain.call(unit, "maintenance.orderPart", **ORDER, count=1)
        assert (order(chain)["paid"], stock(chain)) == (0, 1)

    def test_declined_order_gives_tokens_and_parts_back(
        self, chain: Chain, unit: Actor, provider: Actor, paying: None
    ) -> None:
        chain.call(unit, "maintenance.orderPart", **ORDER, count=2)
        turn = {"machine": MACHINE, "order": 1, "reason": "strike"}
        with chain.refused("token.not-allowed"):
            chain.call(provider, "maintenance.decline", **turn)
        assert (stock(chain), order(chain)["state"]) == (0, "ordered")
        chain.call(provider, "token.allow", contract="maintenance", amount=80)
        chain.call(provider, "maintenance.decline", **turn)
        assert balances(chain) == {UNIT: 100}
        assert stock(chain) == 2
        assert (order(chain)["state"], order(chain)["refunded"]) == ("declined", 80)

    def test_paid_order_is_not_cancelled_by_the_unit(
        self, chain: Chain, unit: Actor, paying: None
    ) -> None:
        chain.call(unit, "maintenance.orderPart", **ORDER, count=1)
        with chain.refused("maintenance.not-requested"):
            chain.call(unit, "maintenance.cancel", machine=MACHINE, order=1)

    def test_order_answers_the_temperature_that_asked_for_it_s3_87(
        self, chain: Chain, unit: Actor, machine: Device, paying: None
    ) -> None:
        chain.call(unit, "maintenance.set_limits", **limited("temperature", count=1))
        for _ in range(2):
            chain.reading(machine, {"temperature": 201})
        assert chain.state("maintenance", machine)["waiting"]["temperature"]["order"] == 1
        chain.call(unit, "maintenance.orderPart", **ORDER, count=1)
        assert chain.state("maintenance", machine)["waiting"] == {}
        assert order(chain, 1)["part"] == "bearing"

    def test_published_call_of_the_unit_orders_and_pays_at_once_s3_87_s3_88(
        self, chain: Chain, unit: Actor, paying: None
    ) -> None:
        chain.call(unit, "maintenance.set_limits", **limited("temperature", count=1))
        chain.call(unit, "maintenance.set_part", machine=MACHINE, part="bearing", count=1)
        args: dict[str, Any] = {"addr1": UNIT, "addr2": MACHINE, "addr3": PROVIDER, "T": 201}
        for _ in range(2):
            chain.call(unit, "maintenance.maintenanceService", **args, V=0)
        assert len(chain.events_of("maintenance.orderPart")) == 1
        assert (balances(chain), stock(chain)) == ({UNIT: 60, PROVIDER: 40}, 1)
        assert order(chain)["state"] == "ordered"

    def test_published_call_that_cannot_pay_leaves_the_count_where_it_was(
        self, chain: Chain, unit: Actor, provider: Actor, machine: Device, paying: None
    ) -> None:
        chain.call(unit, "maintenance.set_limits", **limited("temperature", count=1))
        chain.call(provider, "maintenance.stock_part", part="bearing", stock=9, price=101)
        chain.call(unit, "token.allow", contract="maintenance", amount=1_000)
        chain.call(unit, "maintenance.set_part", machine=MACHINE, part="bearing", count=1)
        args: dict[str, Any] = {"addr1": UNIT, "addr2": MACHINE, "addr3": PROVIDER, "T": 201}
        chain.call(unit, "maintenance.maintenanceService", **args, V=0)
        with chain.refused("token.overdraft"):
            chain.call(unit, "maintenance.maintenanceService", **args, V=0)
        assert chain.state("maintenance", machine)["counts"]["temperature"] == 1
        assert chain.events_of("maintenance.orderPart") == []
