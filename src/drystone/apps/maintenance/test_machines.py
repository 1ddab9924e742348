"""What the maintenance contract promises of machines: whose they are, and what stands in the state about them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from drystone.apps.maintenance.conftest import EQUIPMENT, MACHINE, PROVIDER, declared

if TYPE_CHECKING:
    from drystone.sim.world import Actor
    from drystone.workshop.actors import Device, Organisation
    from drystone.workshop.chain import Chain


class TestMachines:
    def test_records_of_predictive_maintenance_have_their_places_s3_81(
        self, chain: Chain, unit: Actor, provider: Actor, asking: Device
    ) -> None:
        equipment = {**EQUIPMENT, "parts": "bearing 6204"}
        chain.call(unit, "maintenance.declare_machine", **declared(equipment=equipment))
        chain.call(provider, "maintenance.accept", machine=MACHINE, order=1, due_ms=0)
        assert chain.state("maintenance", f"machine/{MACHINE}")["equipment"] == equipment
        assert chain.state("maintenance", asking)["last"] == {"vibration": 101_000_000}
        assert chain.state("maintenance", f"order/{MACHINE}/1")["state"] == "accepted"
        stocked = chain.state("maintenance", f"part/{PROVIDER}/bearing")
        assert stocked == {"stock": 2, "price": 40}

    def test_declaring_again_keeps_counts_and_limits(
        self, chain: Chain, unit: Actor, machine: Device
    ) -> None:
        chain.reading(machine, {"vibration": 101})
        chain.call(unit, "maintenance.declare_machine", **declared(provider="bkw/other"))
        kept = chain.state("maintenance", machine)
        assert (kept["provider"], kept["counts"]) == ("bkw/other", {"vibration": 1})

    @pytest.mark.parametrize(
        ("other", "code"),
        [
            ({"machine": "press-1"}, "address"),
            ({"provider": "bkw/"}, "address"),
            ({"provider": "bkw/g-1/service"}, "address"),
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
        chain.reading(machine, {"vibration": 101})
        chain.call(org, "asker.ask")
        answer = chain.state("asker", "answer")
        assert answer["counts"] == {"vibration": 1}
        assert answer["limits"]["temperature"] == {"upper": 200_000_000, "count": 1_000}
