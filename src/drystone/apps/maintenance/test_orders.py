"""What the maintenance contract promises of orders: from a request to a rating, with parts, stock and tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from drystone.sim.world import Actor
    from drystone.workshop.actors import Device, Organisation
    from drystone.workshop.chain import Chain, Clock

Make = Callable[..., "Device"]

MACHINE, UNIT, PROVIDER = "ewz/press-1", "ewz/hall-3", "bkw/service"
NOBODY = {"vibration": 101}

ORDER = {"addr1": UNIT, "addr2": MACHINE, "part": "bearing"}

TOKEN = """
def mint(ctx, to, amount):
    put("balance/" + to, (get("balance/" + to) or 0) + amount)

def transfer(ctx, to, amount):
    sender = ctx["iss"] + "/" + ctx["sub"]
    if (get("balance/" + sender) or 0) < amount:
        fail("too-little")
    put("balance/" + sender, get("balance/" + sender) - amount)
    put("balance/" + to, (get("balance/" + to) or 0) + amount)
    emit("transfer", {"from": sender, "to": to, "amount": amount})
"""
TOKEN_MANIFEST = """
name = "token"
version = 1
exports = ["transfer"]
[calls.mint]
roles = ["governor"]
args = { to = "text", amount = "int" }
[calls.transfer]
args = { to = "text", amount = "int" }
"""


@pytest.fixture
def unit(chain: Chain) -> Actor:
    """Whose the machine is, on a chain with the contract."""
    chain.deploy()
    return chain.member("hall-3", roles=("unit",))


@pytest.fixture
def provider(chain: Chain, unit: Actor) -> Actor:
    """Who serves it, in another organisation; two bearings in stock, 40 tokens each."""
    one = chain.member("service", roles=("provider",), org="bkw")
    chain.call(one, "maintenance.stock_part", part="bearing", stock=2, price=40)
    return one


@pytest.fixture
def machine(chain: Chain, device: Make, unit: Actor, provider: Actor) -> Device:
    one = device("machine", "press-1")
    chain.call(unit, "maintenance.declare_machine", **declared())
    return one


@pytest.fixture
def paying(chain: Chain, tmp_path: Path, org: Organisation, machine: Device) -> None:
    """A token contract that parts are paid with; the unit has 100."""
    (tmp_path / "contract.toml").write_text(TOKEN_MANIFEST)
    (tmp_path / "contract.star").write_text(TOKEN)
    chain.deploy(tmp_path)
    chain.call(org, "token.mint", to=UNIT, amount=100)
    chain.call(org, "maintenance.configure", token="token")


def declared(**other: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"machine": MACHINE, "unit": UNIT, "provider": PROVIDER, "equipment": {}}
    return row | other


def asked(chain: Chain, unit: Actor, machine: Device) -> None:
    """Let the machine's vibration ask for service, as order 1, with its second exceedance."""
    limit: dict[str, Any] = {"channel": "vibration", "lower": "", "upper": "100", "count": 1}
    chain.call(unit, "maintenance.set_limits", machine=MACHINE, **limit, window_s=0)
    for _ in range(2):
        chain.reading(machine, NOBODY)


def order(chain: Chain, number: int = 1) -> dict[str, Any]:
    return chain.state("maintenance", f"order/{MACHINE}/{number}")


def stock(chain: Chain) -> int:
    return chain.state("maintenance", f"part/{PROVIDER}/bearing")["stock"]


def balances(chain: Chain) -> dict[str, int]:
    return {p.removeprefix("balance/"): v for p, v in chain.states("token", "balance").items()}


class TestLife:
    def test_request_of_a_machine_becomes_an_order_rated_at_its_end_s3_119(
        self, chain: Chain, unit: Actor, provider: Actor, machine: Device
    ) -> None:
        asked(chain, unit, machine)
        which = {"machine": MACHINE, "order": 1}
        chain.call(provider, "maintenance.accept", **which, due_ms=1_800_000_000_000)
        assert chain.state("maintenance", machine)["waiting"] == {}
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
        self, chain: Chain, unit: Actor, provider: Actor, machine: Device
    ) -> None:
        asked(chain, unit, machine)
        chain.call(provider, "maintenance.accept", machine=MACHINE, order=1, due_ms=0)
        for _ in range(2):
            chain.reading(machine, NOBODY)
        assert chain.state("maintenance", machine)["waiting"]["vibration"]["order"] == 2

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
        machine: Device,
        who: str,
        what: str,
        args: Mapping[str, Any],
        code: str,
    ) -> None:
        asked(chain, unit, machine)
        others = {"rival": ("provider",), "other": ("unit",)}
        people: dict[str, Actor] = {"unit": unit, "provider": provider}
        if who in others:
            people[who] = chain.member(who, roles=others[who])
        named = code if code == "role-missing" else f"maintenance.{code}"
        with chain.refused(named):
            which = {"machine": MACHINE, "order": 1} | dict(args)
            chain.call(people[who], f"maintenance.{what}", **which)
        assert order(chain) is None
        assert "vibration" in chain.state("maintenance", machine)["waiting"]

    def test_order_is_not_accepted_completed_or_rated_twice(
        self, chain: Chain, unit: Actor, provider: Actor, machine: Device
    ) -> None:
        asked(chain, unit, machine)
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
        self, chain: Chain, unit: Actor, provider: Actor, machine: Device, stars: int
    ) -> None:
        asked(chain, unit, machine)
        which = {"machine": MACHINE, "order": 1}
        chain.call(provider, "maintenance.accept", **which, due_ms=0)
        chain.call(provider, "maintenance.complete", **which, report="")
        with chain.refused("maintenance.stars"):
            chain.call(unit, "maintenance.rate", **which, stars=stars, note="")

    def test_unit_takes_a_request_back_until_it_is_answered(
        self, chain: Chain, unit: Actor, provider: Actor, machine: Device
    ) -> None:
        asked(chain, unit, machine)
        chain.call(unit, "maintenance.cancel", machine=MACHINE, order=1)
        assert order(chain)["state"] == "cancelled"
        with chain.refused("maintenance.not-requested"):
            chain.call(provider, "maintenance.accept", machine=MACHINE, order=1, due_ms=0)

    def test_plan_moves_on_with_each_completed_order_s3_119(
        self, chain: Chain, unit: Actor, provider: Actor, machine: Device, clock: Clock
    ) -> None:
        planned = {"machine": MACHINE, "every_s": 86_400, "task": "grease"}
        with chain.refused("maintenance.not-yours"):
            chain.call(chain.member("rival", roles=("provider",)), "maintenance.plan", **planned)
        chain.call(provider, "maintenance.plan", **planned)
        asked(chain, unit, machine)
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
        with chain.refused("token.too-little"):
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

    def test_nobody_orders_in_the_units_name(self, chain: Chain, paying: None) -> None:
        with chain.refused("maintenance.not-yours"):
            other = chain.member("hall-4", roles=("unit",))
            chain.call(other, "maintenance.orderPart", **ORDER, count=1)

    def test_without_a_token_contract_the_order_stands_unpaid(
        self, chain: Chain, unit: Actor, machine: Device
    ) -> None:
        chain.call(unit, "maintenance.orderPart", **ORDER, count=1)
        assert (order(chain)["paid"], stock(chain)) == (0, 1)

    def test_declined_order_gives_tokens_and_parts_back(
        self, chain: Chain, unit: Actor, provider: Actor, paying: None
    ) -> None:
        chain.call(unit, "maintenance.orderPart", **ORDER, count=2)
        chain.call(provider, "maintenance.decline", machine=MACHINE, order=1, reason="strike")
        assert balances(chain) == {UNIT: 100, PROVIDER: 0}
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
        limit: dict[str, Any] = {"channel": "temperature", "lower": "", "upper": "200", "count": 1}
        chain.call(unit, "maintenance.set_limits", machine=MACHINE, **limit, window_s=0)
        for _ in range(2):
            chain.reading(machine, {"temperature": 201})
        assert chain.state("maintenance", machine)["waiting"]["temperature"]["order"] == 1
        chain.call(unit, "maintenance.orderPart", **ORDER, count=1)
        assert chain.state("maintenance", machine)["waiting"] == {}
        assert order(chain, 1)["part"] == "bearing"

    def test_published_call_of_the_unit_orders_and_pays_at_once_s3_87_s3_88(
        self, chain: Chain, unit: Actor, paying: None
    ) -> None:
        limit: dict[str, Any] = {"channel": "temperature", "lower": "", "upper": "200", "count": 1}
        chain.call(unit, "maintenance.set_limits", machine=MACHINE, **limit, window_s=0)
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
        limit: dict[str, Any] = {"channel": "temperature", "lower": "", "upper": "200", "count": 1}
        chain.call(unit, "maintenance.set_limits", machine=MACHINE, **limit, window_s=0)
        chain.call(provider, "maintenance.stock_part", part="bearing", stock=9, price=101)
        chain.call(unit, "maintenance.set_part", machine=MACHINE, part="bearing", count=1)
        args: dict[str, Any] = {"addr1": UNIT, "addr2": MACHINE, "addr3": PROVIDER, "T": 201}
        chain.call(unit, "maintenance.maintenanceService", **args, V=0)
        with chain.refused("token.too-little"):
            chain.call(unit, "maintenance.maintenanceService", **args, V=0)
        assert chain.state("maintenance", machine)["counts"]["temperature"] == 1
        assert chain.events_of("maintenance.orderPart") == []


class TestMachines:
    def test_records_of_predictive_maintenance_have_their_places_s3_81(
        self, chain: Chain, unit: Actor, provider: Actor, machine: Device
    ) -> None:
        equipment = {"equipment_type": "press", "details": "40 t", "produced": "2019-05", "parts": "bearing 6204"}  # fmt: skip
        chain.call(unit, "maintenance.declare_machine", **declared(equipment=equipment))
        asked(chain, unit, machine)
        chain.call(provider, "maintenance.accept", machine=MACHINE, order=1, due_ms=0)
        assert chain.state("maintenance", f"machine/{MACHINE}")["equipment"] == equipment
        assert chain.state("maintenance", machine)["last"] == {"vibration": 101_000_000}
        assert order(chain)["state"] == "accepted"
        assert stock(chain) == 2

    def test_declaring_again_keeps_counts_and_limits(
        self, chain: Chain, unit: Actor, machine: Device
    ) -> None:
        chain.reading(machine, NOBODY)
        chain.call(unit, "maintenance.declare_machine", **declared(provider="bkw/other"))
        kept = chain.state("maintenance", machine)
        assert (kept["provider"], kept["counts"]) == ("bkw/other", {"vibration": 1})

    @pytest.mark.parametrize(
        ("other", "code"),
        [
            ({"machine": "press-1"}, "address"),
            ({"provider": "bkw/"}, "address"),
            ({"machine": "bkw/press-1"}, "not-yours"),
            ({"unit": "bkw/hall-1"}, "not-yours"),
            ({"unit": "ewz/hall-4"}, "not-yours"),
            ({"equipment": {"age": 7}}, "equipment"),
            ({"equipment": {"details": "x" * 501}}, "equipment"),
            ({"equipment": {str(n): "" for n in range(9)}}, "equipment"),
        ],
    )
    def test_machine_that_is_not_its_callers_is_refused(
        self, chain: Chain, unit: Actor, other: dict[str, Any], code: str
    ) -> None:
        with chain.refused(f"maintenance.{code}"):
            chain.call(unit, "maintenance.declare_machine", **declared(**other))

    def test_other_unit_does_not_take_a_machine_over(
        self, chain: Chain, machine: Device, org: Organisation
    ) -> None:
        thief = chain.member("hall-4", roles=("unit",))
        with chain.refused("maintenance.not-yours"):
            chain.call(thief, "maintenance.declare_machine", **declared(unit="ewz/hall-4"))
        chain.call(org, "maintenance.declare_machine", **declared(unit="ewz/hall-4"))

    def test_token_contract_is_named_by_one_organisation_for_good(
        self, chain: Chain, unit: Actor, org: Organisation
    ) -> None:
        with chain.refused("role-missing"):
            chain.call(unit, "maintenance.configure", token="token")
        chain.call(org, "maintenance.configure", token="token")
        with chain.refused("maintenance.not-yours"):
            chain.call(chain.org("bkw"), "maintenance.configure", token="mint")
        chain.call(org, "maintenance.configure", token="")

    @pytest.mark.parametrize("wrong", [{"stock": -1}, {"price": -1}])
    def test_stock_below_nothing_is_refused(
        self, chain: Chain, provider: Actor, wrong: dict[str, int]
    ) -> None:
        with chain.refused("maintenance.stock"):
            row = {"part": "wheel", "stock": 1, "price": 1} | wrong
            chain.call(provider, "maintenance.stock_part", **row)

    def test_machine_is_shown_to_another_contract_s3_89(
        self, chain: Chain, machine: Device, org: Organisation, tmp_path: Path
    ) -> None:
        (tmp_path / "contract.toml").write_text('name = "asker"\nversion = 1\n[calls.ask]\n')
        (tmp_path / "contract.star").write_text(
            'def ask(ctx):\n    put("answer", call("maintenance", "shown", '
            f'{{"machine": "{MACHINE}"}}))\n'
        )
        chain.deploy(tmp_path)
        chain.reading(machine, NOBODY)
        chain.call(org, "asker.ask")
        answer = chain.state("asker", "answer")
        assert answer["counts"] == {"vibration": 1}
        assert answer["limits"]["temperature"] == {"upper": 200_000_000, "count": 1_000}
