"""What the battery contract promises of the four published objects, and of packs."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from drystone.apps.battery.scenario import commitment

if TYPE_CHECKING:
    from drystone.sim.world import Actor
    from drystone.workshop.actors import Device, Organisation
    from drystone.workshop.chain import Chain, Clock

Make = Callable[..., "Device"]

NAME = "ab" * 32
"""Stands for a commitment."""


def told(volts: int = 47, **more: Any) -> dict[str, Any]:
    """Return what a module without cells says."""
    return {"voltage": volts, "current": Decimal("3.456")} | more


class TestObjects:
    """The four objects of S0 Fig. 4, with their names and fields."""

    @pytest.fixture
    def owner(self, chain: Chain) -> Actor:
        chain.deploy()
        owner = chain.member("anna")
        chain.call(
            owner,
            "battery.PowerParticipant",
            participantId="P-1",
            firstName=commitment("Anna", salt=b"salt of anna"),
            lastName=commitment("Keller", salt=b"another salt"),
        )
        return owner

    @pytest.fixture
    def asset(self, chain: Chain, owner: Actor) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "valuenumbr": 1,
            "batteryId": "PI-1",
            "owner": "P-1",
            "current": 3_456_000,
            "voltage": 4_061_000,
            "soc": 899_000,
        }
        chain.call(owner, "battery.BatteryInfo", **fields)
        return fields

    def test_participant_has_the_published_fields_and_no_name_s0_52(
        self, chain: Chain, owner: Actor
    ) -> None:
        kept = chain.state("battery", "PowerParticipant/P-1")
        assert kept == {
            "participantId": "P-1",
            "firstName": commitment("Anna", salt=b"salt of anna"),
            "lastName": commitment("Keller", salt=b"another salt"),
        }
        assert kept["firstName"] != commitment("Anna", salt=b"guessed")

    def test_personal_fields_are_erased_s0_52(self, chain: Chain, owner: Actor) -> None:
        with chain.refused("battery.not-yours"):
            chain.call(chain.member("eve"), "battery.forget_participant", participantId="P-1")
        chain.call(owner, "battery.forget_participant", participantId="P-1")
        erased = {"participantId": "P-1", "firstName": "", "lastName": ""}
        assert chain.state("battery", "PowerParticipant/P-1") == erased

    def test_enroller_of_the_organisation_erases_for_somebody_who_left(
        self, chain: Chain, owner: Actor, org: Organisation
    ) -> None:
        chain.call(org, "battery.forget_participant", participantId="P-1")
        with chain.refused("battery.not-yours"):
            chain.call(chain.org("bkw"), "battery.forget_participant", participantId="P-1")

    def test_plain_name_is_refused(self, chain: Chain, owner: Actor) -> None:
        args = {"participantId": "P-2", "lastName": NAME}
        with chain.refused("arguments-malformed"):
            chain.call(owner, "battery.PowerParticipant", firstName="Anna", **args)
        with chain.refused("battery.not-a-commitment"):
            chain.call(owner, "battery.PowerParticipant", firstName="416e6e61", **args)

    def test_participant_is_changed_by_its_own_signer_only(
        self, chain: Chain, owner: Actor
    ) -> None:
        args = {"participantId": "P-1", "firstName": NAME, "lastName": NAME}
        with chain.refused("battery.not-yours"):
            chain.call(chain.member("eve"), "battery.PowerParticipant", **args)
        chain.call(owner, "battery.PowerParticipant", **args)

    def test_asset_has_the_published_fields_s0_53(
        self, chain: Chain, asset: dict[str, Any]
    ) -> None:
        assert chain.state("battery", "BatteryInfo/PI-1") == asset

    def test_asset_belongs_to_a_participant_who_signs_for_it(
        self, chain: Chain, owner: Actor, asset: dict[str, Any]
    ) -> None:
        other = asset | {"batteryId": "PI-2"}
        with chain.refused("battery.not-yours"):
            chain.call(chain.member("eve"), "battery.BatteryInfo", **other)
        with chain.refused("battery.unknown-participant"):
            chain.call(owner, "battery.BatteryInfo", **other | {"owner": "P-9"})
        with chain.refused("battery.battery-exists"):
            chain.call(owner, "battery.BatteryInfo", **asset)

    def test_transaction_updates_the_asset_and_the_event_has_old_and_new_s0_54_s0_55(
        self, chain: Chain, owner: Actor, asset: dict[str, Any]
    ) -> None:
        new = {"voltage": 3_899_000, "soc": 699_000}
        chain.call(owner, "battery.PowerTransaction", battery="PI-1", newValue=new)
        assert chain.state("battery", "BatteryInfo/PI-1") == asset | new | {"valuenumbr": 2}
        (event,) = chain.events_of("battery.BatteryEvent")
        assert event == {
            "battery": "PI-1",
            "oldValue": {"voltage": 4_061_000, "soc": 899_000, "valuenumbr": 1},
            "newValue": {"voltage": 3_899_000, "soc": 699_000, "valuenumbr": 2},
        }

    def test_module_of_that_name_updates_its_values_but_not_its_owner(
        self, chain: Chain, device: Make, asset: dict[str, Any]
    ) -> None:
        itself = device("battery-module", "PI-1")
        new = {"soc": 700_000}
        chain.call(itself, "battery.PowerTransaction", battery="PI-1", newValue=new)
        with chain.refused("battery.not-yours"):
            chain.call(
                itself, "battery.PowerTransaction", battery="PI-1", newValue={"owner": "P-1"}
            )
        other = device("battery-module", "PI-2")
        with chain.refused("battery.not-yours"):
            chain.call(other, "battery.PowerTransaction", battery="PI-1", newValue=new)

    def test_battery_is_handed_to_another_owner_once(
        self, chain: Chain, owner: Actor, asset: dict[str, Any]
    ) -> None:
        buyer = chain.member("bruno", org="bkw")
        args = {"participantId": "P-2", "firstName": NAME, "lastName": NAME}
        chain.call(buyer, "battery.PowerParticipant", **args)
        hand = {"battery": "PI-1", "newValue": {"owner": "P-2"}}
        with chain.refused("battery.not-yours"):
            chain.call(buyer, "battery.PowerTransaction", **hand)
        chain.call(owner, "battery.PowerTransaction", **hand)
        assert chain.state("battery", "BatteryInfo/PI-1")["owner"] == "P-2"
        with chain.refused("battery.not-yours"):
            chain.call(owner, "battery.PowerTransaction", **hand)

    @pytest.mark.parametrize(
        ("new", "code"),
        [
            ({}, "nothing-new"),
            ({"colour": 1}, "unknown-field"),
            ({"batteryId": "PI-2"}, "unknown-field"),
            ({"soc": "full"}, "wrong-type"),
            ({"soc": True}, "wrong-type"),
            ({"owner": "P-9"}, "unknown-participant"),
        ],
    )
    def test_transaction_that_makes_no_sense_is_refused(
        self, chain: Chain, owner: Actor, asset: dict[str, Any], new: dict[str, Any], code: str
    ) -> None:
        with chain.refused(f"battery.{code}"):
            chain.call(owner, "battery.PowerTransaction", battery="PI-1", newValue=new)
        assert chain.state("battery", "BatteryInfo/PI-1") == asset

    def test_unknown_battery_is_refused(self, chain: Chain, owner: Actor) -> None:
        with chain.refused("battery.unknown-battery"):
            chain.call(owner, "battery.PowerTransaction", battery="PI-9", newValue={"soc": 1})


class TestPacks:
    MODULES = tuple(f"ewz/PI-{n}" for n in range(1, 6))

    @pytest.fixture
    def asker(self, chain: Chain, tmp_path: Path) -> None:
        """Another contract, which asks for a pack's status and keeps the answer."""
        (tmp_path / "contract.toml").write_text(
            'name = "asker"\nversion = 1\n[calls.ask]\nargs = { pack = "id" }\n'
        )
        (tmp_path / "contract.star").write_text(
            "def ask(ctx, pack):\n"
            '    put("answer", call("battery", "pack_status", {"pack": pack}))\n'
        )
        chain.deploy()
        chain.deploy(tmp_path)

    def status(self, chain: Chain, org: Organisation) -> dict[str, Any]:
        chain.call(org, "asker.ask", pack="pack-1")
        return chain.state("asker", "answer")

    def test_pack_of_five_modules_shows_each_with_its_age_s0_42_s0_59(
        self, chain: Chain, device: Make, org: Organisation, clock: Clock, asker: None
    ) -> None:
        chain.call(org, "battery.declare_pack", pack="pack-1", modules=list(self.MODULES))
        modules = [device("battery-module", f"PI-{n}") for n in range(1, 6)]
        for number, one in enumerate(modules[:4]):
            chain.reading(one, told(soc=Decimal("0.899") - Decimal("0.05") * number))
        clock.tick(30)
        status = self.status(chain, org)
        assert [row["id"] for row in status["modules"]] == [f"PI-{n}" for n in range(1, 6)]
        assert [row["address"] for row in status["modules"]] == list(self.MODULES)
        assert [row["heard"] for row in status["modules"]] == [True] * 4 + [False]
        first = status["modules"][0]
        assert (first["voltage"], first["current"]) == (47_000_000, 3_456_000)
        assert [row["soc"] for row in status["modules"][:4]] == [899_000, 849_000, 799_000, 749_000]
        assert first["age_ms"] >= 30_000
        assert first["age_blocks"] > status["modules"][3]["age_blocks"]
        assert status["voltage"] == 188_000_000
        assert (status["soc"], status["soc_median"]) == (749_000, 824_000)

    def test_attested_module_belongs_to_a_pack_too(
        self, chain: Chain, device: Make, org: Organisation, asker: None
    ) -> None:
        one = device("battery-module", "old-1", attested=True)
        chain.call(org, "battery.declare_pack", pack="pack-1", modules=["ewz/g-1/old-1"])
        chain.reading(one, told())
        assert self.status(chain, org)["modules"][0]["heard"] is True

    def test_pack_stands_in_the_state_when_it_is_declared(
        self, chain: Chain, org: Organisation
    ) -> None:
        chain.deploy()
        chain.call(org, "battery.declare_pack", pack="pack-1", modules=list(self.MODULES))
        assert chain.state("battery", "pack/pack-1")["modules"] == list(self.MODULES)

    @pytest.mark.parametrize(
        "modules",
        [
            [],
            [7],
            ["PI-1"],
            ["ewz/"],
            ["a/b/c/d"],
            ["ewz/1", "ewz/1"],
            ["ewz/1"] * 17,
            ["ewz/" + "1" * 147],
        ],
    )
    def test_pack_of_what_are_no_modules_is_refused(
        self, chain: Chain, org: Organisation, modules: list[Any]
    ) -> None:
        chain.deploy()
        with chain.refused("battery.modules"):
            chain.call(org, "battery.declare_pack", pack="pack-1", modules=modules)

    def test_pack_is_its_organisations(self, chain: Chain, org: Organisation) -> None:
        chain.deploy()
        chain.call(org, "battery.declare_pack", pack="pack-1", modules=list(self.MODULES))
        with chain.refused("battery.not-yours"):
            chain.call(
                chain.org("bkw"), "battery.declare_pack", pack="pack-1", modules=["bkw/PI-1"]
            )

    def test_only_a_fleet_operator_declares_packs(self, chain: Chain, org: Organisation) -> None:
        chain.deploy()
        with chain.refused("role-missing"):
            chain.call(chain.member("eve"), "battery.declare_pack", pack="p", modules=["ewz/PI-1"])
        operator = chain.member("fleet", roles=("fleet_operator",))
        chain.call(operator, "battery.declare_pack", pack="p", modules=["ewz/PI-1"])

    def test_unknown_pack_has_no_status(self, chain: Chain, org: Organisation, asker: None) -> None:
        for who in ("battery.pack_status", "asker.ask"):
            with chain.refused("battery.unknown-pack"):
                chain.call(org, who, pack="pack-1")
