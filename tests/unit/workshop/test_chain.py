"""The fixtures that contract authors use: a chain, its devices, organisations and time, and how a failure reads."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from drystone.formats.senml import Measurement
from drystone.workshop.actors import Device, Organisation
from drystone.workshop.chain import Chain, Clock
from drystone.workshop.ground import LedgerRefused

METER = Path(__file__).parent / "meter"
OUTER = 'name = "outer"\nversion = 1\n[calls.go]\nroles = ["governor"]\n'
NewDevice = Callable[..., Device]


@pytest.fixture
def metered(chain: Chain) -> Chain:
    """Return a chain on which the contract `meter` runs."""
    chain.deploy(METER)
    return chain


class TestReadings:
    def test_reading_changes_the_devices_value(self, metered: Chain, device: NewDevice) -> None:
        meter = device("electricity", "m-1")
        outcome = metered.reading(meter, 5)
        assert outcome.code == "accepted"
        assert metered.steps == outcome.steps > 0
        assert metered.state("meter", meter)["value"] == 5
        assert metered.state("meter", "device/ewz/m-1") == metered.state("meter", meter)
        assert metered.changes[0].old is None
        assert metered.changes[0].new["count"] == 1

    def test_refusal_raises_and_gives_the_position_back(
        self, metered: Chain, device: NewDevice
    ) -> None:
        meter = device("electricity")
        metered.reading(meter, 5)
        with metered.refused("meter.backwards") as expected:
            metered.reading(meter, 4)
        assert expected.outcome.code == "meter.backwards"
        metered.reading(meter, 6)
        assert metered.events_of("stream.gap") == []

    def test_number_in_the_stream_can_be_chosen(self, metered: Chain, device: NewDevice) -> None:
        meter = device("electricity")
        metered.reading(meter, 5, seq=3)
        assert metered.events_of("stream.gap")[0]["from"] == 0
        assert metered.reading(meter, 5, seq=3).code == "already"

    def test_values_are_signed_as_they_are_written(self, metered: Chain, device: NewDevice) -> None:
        meter = device("electricity")
        metered.reading(meter, {"e": 5, "p": Decimal("2.50")})
        metered.reading(meter, [Measurement("e", "Wh", 6, None), Measurement("p", "W", 1, None)])
        metered.reading(meter, 7, at=1_762_340_400_500)
        assert metered.state("meter", meter)["at"] == 1_762_340_400_500
        metered.reading(meter, 8, at=None)
        assert metered.state("meter", meter)["at"] == 0

    def test_batch_is_one_vertex_and_gives_every_outcome(
        self, metered: Chain, device: NewDevice, org: Organisation
    ) -> None:
        meter, other = device("electricity"), device("electricity")
        height = metered.world.view.height
        limit = metered.sign_call(org, "meter.set_limit", value=5)
        done = metered.batch([(meter, 6), (meter, 5), limit, (other, 6)])
        assert [o.code for o in done] == ["accepted", "meter.backwards", "accepted", "accepted"]
        assert metered.world.view.height == height + 1
        assert [e.name for e in done[3].events] == ["high"]
        metered.reading(meter, 9)
        assert metered.events_of("stream.gap") == []

    def test_attested_device_is_signed_by_its_gateway(
        self, metered: Chain, device: NewDevice
    ) -> None:
        meter = device("electricity", "w-1", gateway="g-2", attested=True)
        metered.reading(meter, 5)
        assert meter.path == "device/ewz/g-2/w-1"
        assert metered.state("meter", meter)["value"] == 5
        with metered.refused("meter.backwards"):
            metered.reading(meter, 4)
        metered.reading(meter, 6)
        assert metered.events_of("stream.gap") == []

    def test_reading_can_come_through_another_gateway(
        self, metered: Chain, device: NewDevice, org: Organisation
    ) -> None:
        metered.call(org, "meter.set_limit", value=1)
        meter = device("electricity", gateway="g-7")
        metered.reading(meter, 5)
        metered.reading(meter, 6, gateway=metered.gateway("g-8"))
        metered.batch([(meter, 7)], gateway=metered.gateway("g-9", org="bkw"))
        by = [data["by"] for data in metered.events_of("meter.high")]
        assert by == ["ewz/g-7", "ewz/g-8", "bkw/g-9"]


class TestCalls:
    def test_call_returns_its_outcome(self, metered: Chain, org: Organisation) -> None:
        outcome = metered.call(org, "meter.set_limit", value=7)
        assert outcome.events[0].data == {"by": "ops", "value": 7}
        assert metered.state("meter", "limit") == 7
        assert metered.states("meter") == {"limit": 7}

    def test_member_without_the_role_is_refused(self, metered: Chain) -> None:
        engineer = metered.member("ann", roles=["engineer"])
        with metered.refused("role-missing"):
            metered.call(engineer, "meter.set_limit", value=7)

    def test_expecting_a_refusal_that_does_not_come_fails(
        self, metered: Chain, org: Organisation
    ) -> None:
        with pytest.raises(AssertionError, match="nothing was refused"), metered.refused("x.y"):
            metered.call(org, "meter.set_limit", value=7)

    def test_expecting_another_code_fails_and_names_both(
        self, metered: Chain, org: Organisation
    ) -> None:
        wrong = pytest.raises(AssertionError, match=r"expected x\.y, but meter\.too-much")
        with wrong, metered.refused("x.y"):
            metered.call(org, "meter.half", value=7)


class TestOrganisations:
    def test_new_organisation_is_admitted_and_approves(self, chain: Chain) -> None:
        bkw = chain.org("bkw")
        chain.vote("threshold", approvals=2)
        chain.deploy(METER)
        meter = chain.device("electricity", org=bkw)
        chain.reading(meter, 3)
        assert chain.state("meter", meter)["value"] == 3
        assert meter.iss == "bkw"

    def test_new_version_replaces_the_old_one(self, metered: Chain, org: Organisation) -> None:
        source = (METER / "contract.star").read_text().replace("value > 3", "value > 30")
        metered.deploy(METER, version=2, source=source)
        metered.call(org, "meter.half", value=7)


class TestTime:
    def test_clock_moves_the_time_of_blocks(
        self, metered: Chain, clock: Clock, device: NewDevice
    ) -> None:
        meter = device("electricity")
        before = clock.ms
        clock.tick(900)
        assert clock.ms == before + 900_000
        metered.reading(meter, 1)
        assert metered.state("meter", meter)["at"] == before + 900_000
        clock.set(before)
        assert clock.ms == before

    def test_revert_takes_everything_back_as_often_as_wanted(
        self, metered: Chain, device: NewDevice, org: Organisation, clock: Clock
    ) -> None:
        meter = device("electricity")
        water = device("electricity", attested=True)
        metered.reading(meter, 5)
        metered.reading(water, 5)
        before = metered.snapshot()
        root, events, now = metered.world.view.tree.root, len(metered.events), clock.ms
        for _ in range(2):
            clock.tick(60)
            metered.reading(meter, 9)
            metered.reading(water, 9)
            metered.call(org, "meter.set_limit", value=7)
            metered.reading(device("electricity", "late", gateway="late-gateway"), 1)
            metered.org("bkw")
            metered.revert(before)
            assert metered.world.view.tree.root == root
            assert metered.state("meter", "limit") is None
            assert (len(metered.events), clock.ms) == (events, now)
            assert list(metered.organisations) == ["ewz"]
        metered.reading(meter, 6)
        assert metered.events_of("stream.gap") == []


class TestFailuresRead:
    def told(self, chain: Chain, what: str, **args: object) -> str:
        with pytest.raises(LedgerRefused) as caught:
            chain.call(chain.org(), what, **args)
        return str(caught.value)

    def test_refusal_shows_the_line_of_the_contract_and_what_was_dropped(
        self, metered: Chain
    ) -> None:
        metered.call(metered.org(), "meter.set_limit", value=2)
        told = self.told(metered, "meter.half", value=7)
        assert told.startswith("meter.too-much\n")
        assert f"{METER / 'contract.star'}:25, in half\n            check(value)" in told
        assert f'{METER / "contract.star"}:29, in check\n            fail("too-much")' in told
        assert "written until then, and dropped:\n        meter: limit: 2 -> 7" in told

    def test_wrong_kinds_name_the_operator(self, metered: Chain) -> None:
        told = self.told(metered, "meter.broken", value="x")
        assert told.startswith("contract-failed\n")
        assert "contract.star:32, in broken\n            return value > 3" in told
        assert "a comparison does not go with values of these kinds: `string` and `int`" in told

    def test_error_of_the_interpreter_is_told(self, chain: Chain, device: NewDevice) -> None:
        source = (METER / "contract.star").read_text().replace('old["count"]', 'old["number"]')
        chain.deploy(METER, source=source)
        meter = device("electricity")
        chain.reading(meter, 1)
        with pytest.raises(LedgerRefused) as caught:
            chain.reading(meter, 2)
        assert "contract.star:7, in on_reading" in str(caught.value)
        assert "number" in str(caught.value)
        assert "no state was changed" in str(caught.value)

    def test_call_of_another_contract_is_told_through_both(
        self, metered: Chain, tmp_path: Path
    ) -> None:
        (tmp_path / "contract.toml").write_text(OUTER)
        (tmp_path / "contract.star").write_text(
            'def go(ctx):\n    call("meter", "set_limit", {"value": 1})\n'
            '    return call("meter", "set_limit", {"value": "x"})\n'
        )
        metered.deploy(tmp_path)
        told = self.told(metered, "outer.go")
        assert told.startswith("arguments-malformed\n")
        assert f"{tmp_path}/contract.star:3, in go" in told
        source = (METER / "contract.star").read_text()
        broken = source.replace('emit("limit"', 'emit(value + "x"')
        metered.deploy(METER, version=2, source=broken)
        told = self.told(metered, "outer.go")
        assert f"{tmp_path}/contract.star:2, in go" in told
        assert f"{METER}/contract.star:21, in set_limit" in told
        assert told.index("in go") < told.index("in set_limit")
        assert "`+` does not go with values of these kinds: `int` and `string`" in told

    @pytest.mark.parametrize(
        ("what", "args", "sentence"),
        [
            ("meter.half", {"value": "7"}, "meter.half: 'value' must be a int"),
            ("meter.nothing", {}, "no meter.nothing"),
            ("water.half", {}, "no contract 'water'"),
            ("registry.revoke", {"sub": "nobody"}, "no member 'nobody' in 'ewz'"),
            ("contracts.pause", {"name": "x", "why": 1}, "unknown ['why']"),
        ],
    )
    def test_ledgers_own_refusal_is_told_with_its_sentence(
        self, metered: Chain, what: str, args: dict[str, object], sentence: str
    ) -> None:
        assert sentence in self.told(metered, what, **args)

    def test_reading_outside_its_profile_is_told(self, metered: Chain, device: NewDevice) -> None:
        meter = device("electricity")
        with pytest.raises(LedgerRefused, match="measurement 'q' in None is not in the profile"):
            metered.reading(meter, {"q": 1})
        metered.call(metered.org(), "contracts.pause", name="meter")
        with pytest.raises(LedgerRefused, match="contract 'meter' is paused"):
            metered.reading(meter, 1)

    def test_chain_tells_its_last_acts(self, metered: Chain, device: NewDevice) -> None:
        meter = device("electricity", "m-1")
        metered.reading(meter, 5)
        metered.reading(meter, 6)
        told = metered.tell()
        assert "reading 6 of ewz/m-1: accepted, " in told
        assert "meter: device/ewz/m-1: " in told
        assert "count: 1 -> 2, value: 5 -> 6" in told
