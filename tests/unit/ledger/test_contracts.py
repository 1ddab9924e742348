"""Contracts on the ledger: their life, and readings and calls that run under them."""

import itertools
from typing import Any

import pytest

from drystone.contracts.package import make_package
from drystone.formats import cbor
from drystone.formats.cbor import Encodable
from drystone.ledger import keyspace, rows
from drystone.ledger.change import Change, Outcome
from drystone.records.record import check_form
from drystone.sim.world import METER_PROFILE, Actor, World

SOURCE = '''
"""Keeps the last register; refuses one that falls."""

def on_reading(ctx, old, record):
    value = record[0]["value"]
    count = 0
    if old != None:
        count = old["count"]
        if value < old["value"]:
            return "backwards"
    limit = ctx["reads"]["limit"]
    events = []
    if limit != None and value > limit:
        events.append(("high", {"value": value}))
    return ({"value": value, "count": count + 1}, events)

def set_limit(ctx, value):
    put("limit", value)
    emit("limit", {"by": ctx["sub"], "value": value})

def half(ctx, value):
    put("limit", value)
    fail("half-way")

def grow(ctx, n):
    total = 0
    for i in range(n):
        total += i
    return total

def shown(ctx, path):
    return get(path)
'''
MANIFEST: dict[str, Any] = {
    "name": "meter",
    "version": 1,
    "reading": {"function": "on_reading", "reads": ["limit"], "limit": 2000},
    "calls": {
        "set_limit": {"roles": ["governor"], "args": {"value": "int"}},
        "half": {"args": {"value": "int"}},
        "grow": {"args": {"n": "int"}, "limit": 50_000},
        "shown": {"args": {"path": "text"}},
    },
    "exports": ["set_limit", "shown"],
}


def act(
    world: World, contract: str, function: str, args: dict[str, Any], actor: Actor | None = None
) -> Outcome:
    raw = world.call(actor or world.operator, contract, function, args)
    (outcome,) = [o for o in world.step([raw]).outcomes if o.record is not None]
    return outcome


def deployed(
    world: World, manifest: dict[str, Any] = MANIFEST, source: str = SOURCE, **how: Encodable
) -> None:
    args = {"manifest": manifest, "source": source}
    assert act(world, "contracts", "submit", args).code == "accepted"
    args = {"name": manifest["name"], "version": manifest["version"], **how}
    outcome = act(world, "contracts", "deploy", args)
    assert outcome.code == "accepted", outcome


@pytest.fixture
def meter(world: World) -> Actor:
    """Return a meter whose profile names the contract `meter`, which is deployed."""
    deployed(world)
    profile = METER_PROFILE | {"name": "metered", "rule": "meter"}
    assert act(world, "registry", "profile", profile).code == "accepted"
    return world.enrolled("m-1", profile="metered")[0]


def kept(world: World, path: str, contract: str = "meter") -> Any:
    value = world.view.get(keyspace.contract_data(contract, path))
    return None if value is None else cbor.decode(value)


def codes(change: Change) -> list[str]:
    return [o.code for o in change.outcomes if o.record is not None]


class TestReadings:
    def test_handler_keeps_a_value_for_the_device(self, world: World, meter: Actor) -> None:
        change = world.step([world.reading(meter, 5)])
        assert codes(change) == ["accepted"]
        assert change.outcomes[0].steps > 0
        assert kept(world, "device/ewz/m-1") == {"value": 5, "count": 1}

    def test_refusal_has_the_contracts_own_code_and_leaves_nothing_s2_24(
        self, world: World, meter: Actor
    ) -> None:
        world.step([world.reading(meter, 5)])
        change = world.step([world.reading(meter, 4)])
        assert codes(change) == ["meter.backwards"]
        assert list(change.writes) == [keyspace.head("ewz", "g-1")]
        assert len(change.leaves) == 1

    def test_device_twice_in_one_vertex_sees_its_own_first_reading(
        self, world: World, meter: Actor
    ) -> None:
        change = world.step([world.reading(meter, 5), world.reading(meter, 4, seq=1)])
        assert codes(change) == ["accepted", "meter.backwards"]

    def test_call_between_readings_counts_from_its_place_on(
        self, world: World, meter: Actor
    ) -> None:
        (other,) = world.enrolled("m-2", profile="metered")
        change = world.step(
            [
                world.reading(meter, 50),
                world.call(world.operator, "meter", "set_limit", {"value": 10}),
                world.reading(other, 50),
            ]
        )
        assert [[e.name for e in o.events] for o in change.outcomes] == [[], ["limit"], ["high"]]

    def test_batch_gives_the_outcomes_of_running_one_by_one(
        self, world: World, meter: Actor
    ) -> None:
        devices = world.enrolled(*[f"d-{n}" for n in range(20)], profile="metered")
        world.step([world.reading(d, 10) for d in devices])
        values = [5 if n % 7 == 3 else 20 + n for n in range(20)]
        records = [world.reading(d, v) for d, v in zip(devices, values, strict=True)]
        block = world.block(world.vertex(records))
        together = world.take(block)
        again = World.begin()
        for one in world.blocks[:-1]:
            again.take(one)
        vertex = block.vertices[0]
        alone = list(
            itertools.chain.from_iterable(
                codes(
                    again_apply(again, block._replace(vertices=[vertex._replace(records=[item])]))
                )
                for item in vertex.records
            )
        )
        assert codes(together) == alone

    def test_order_of_log_leaves_is_the_order_of_records(self, world: World, meter: Actor) -> None:
        plain = world.enrolled("plain")[0]
        records = [world.reading(meter, 1), world.reading(plain, 1), world.reading(meter, 2)]
        change = world.step(records)
        from drystone.records.record import check_form
        from drystone.trees import log

        expected = [log.leaf_hash(check_form(raw).entry) for raw in records]
        assert list(change.leaves[:-1]) == expected

    def test_reading_for_a_paused_contract_is_refused(self, world: World, meter: Actor) -> None:
        assert act(world, "contracts", "pause", {"name": "meter"}).code == "accepted"
        assert codes(world.step([world.reading(meter, 5)])) == ["contract-inactive"]
        assert act(world, "contracts", "resume", {"name": "meter"}).code == "accepted"
        assert codes(world.step([world.reading(meter, 5, seq=0)])) == ["accepted"]


def again_apply(world: World, block: Any) -> Change:
    from drystone.ledger.apply import apply

    return apply(world.view, block)


class TestCalls:
    def test_call_writes_and_emits(self, world: World, meter: Actor) -> None:
        outcome = act(world, "meter", "set_limit", {"value": 7})
        assert outcome.code == "accepted"
        assert outcome.events[0].data == {"by": "ops", "value": 7}
        assert kept(world, "limit") == 7

    def test_contract_that_fails_half_way_leaves_no_write(self, world: World, meter: Actor) -> None:
        outcome = act(world, "meter", "half", {"value": 7})
        assert outcome.code == "meter.half-way"
        assert outcome.events == ()
        assert kept(world, "limit") is None

    def test_wrong_role_is_refused(self, world: World, meter: Actor) -> None:
        assert act(world, "meter", "set_limit", {"value": 7}, meter).code == "role-missing"

    @pytest.mark.parametrize("args", [{}, {"value": "7"}, {"value": True}, {"value": 1, "x": 2}])
    def test_wrong_arguments_are_refused(
        self, world: World, meter: Actor, args: dict[str, Any]
    ) -> None:
        assert act(world, "meter", "set_limit", args).code == "arguments-malformed"

    def test_steps_beyond_the_limit_are_refused(self, world: World, meter: Actor) -> None:
        assert act(world, "meter", "grow", {"n": 10}).code == "accepted"
        assert act(world, "meter", "grow", {"n": 60_000}).code == "contract-steps"

    def test_unknown_function_is_refused(self, world: World, meter: Actor) -> None:
        assert act(world, "meter", "on_reading", {}).code == "contract-unknown"

    def test_other_contract_is_reached_through_its_exports_only(
        self, world: World, meter: Actor
    ) -> None:
        source = (
            'def through(ctx, value):\n    return call("meter", "set_limit", {"value": value})\n\n'
            'def inside(ctx):\n    return call("meter", "grow", {"n": 1})\n\n'
            'def circle(ctx):\n    return call("outer", "circle", {})\n\n'
            'def foreign(ctx):\n    return get("limit")\n'
        )
        calls = {"through": {"args": {"value": "int"}}, "inside": {}, "circle": {}, "foreign": {}}
        deployed(
            world, {"name": "outer", "version": 1, "calls": calls, "exports": ["circle"]}, source
        )
        assert act(world, "outer", "through", {"value": 3}).code == "accepted"
        assert kept(world, "limit") == 3
        assert act(world, "outer", "inside", {}).code == "contract-unknown"
        assert act(world, "outer", "circle", {}).code == "contract-circle"
        assert act(world, "outer", "foreign", {}).code == "accepted"
        assert act(world, "outer", "through", {"value": 3}, meter).code == "role-missing"


class TestLife:
    """Requirement S3.103: submission, deployment, use, cancellation."""

    def status(self, world: World, name: str = "meter") -> rows.ContractRow:
        return rows.decode_contract_row(world.view.get(keyspace.contract(name)) or b"")

    def test_life_from_submission_to_archive_s3_103(self, world: World) -> None:
        deployed(world)
        world.step([])
        assert self.status(world) == rows.ContractRow(1, "active", "ewz")
        for function, status in (
            ("pause", "paused"),
            ("terminate", "terminated"),
            ("archive", "archived"),
        ):
            assert act(world, "contracts", function, {"name": "meter"}).code == "accepted"
            assert self.status(world).status == status
        assert world.view.get(keyspace.contract_package("meter", 1)) is None
        args = {"manifest": MANIFEST | {"version": 2}, "source": SOURCE}
        assert act(world, "contracts", "submit", args).code == "contract-inactive"

    def test_version_starts_at_its_height(self, world: World) -> None:
        height = world.view.height + 5
        deployed(world, at=height)
        while world.view.height < height - 1:
            assert act(world, "meter", "grow", {"n": 1}).code in (
                "contract-inactive",
                "contract-unknown",
            )
        assert act(world, "meter", "grow", {"n": 1}).code == "accepted"

    def test_two_upgrades_in_one_block_are_refused(self, world: World) -> None:
        submissions = [
            world.call(
                world.operator,
                "contracts",
                "submit",
                {"manifest": MANIFEST | {"version": v}, "source": SOURCE},
            )
            for v in (1, 2)
        ]
        world.step(submissions)
        deploys = [
            world.call(world.operator, "contracts", "deploy", {"name": "meter", "version": v})
            for v in (1, 2)
        ]
        assert codes(world.step(deploys)) == ["accepted", "governance-rule"]

    def test_upgrade_migrates_values(self, world: World) -> None:
        deployed(world)
        act(world, "meter", "set_limit", {"value": 7})
        source = (
            SOURCE + '\ndef move(ctx, version):\n    put("limit", get("limit") * 10 + version)\n'
        )
        deployed(world, MANIFEST | {"version": 2, "migrate": "move"}, source)
        change = world.step([])
        assert change.outcomes[0].events[0].name == "started"
        assert kept(world, "limit") == 71
        assert world.view.get(keyspace.contract_package("meter", 1)) is None

    def test_failed_migration_leaves_the_old_version_running(self, world: World) -> None:
        deployed(world)
        act(world, "meter", "set_limit", {"value": 7})
        source = SOURCE + '\ndef move(ctx, version):\n    put("limit", 1)\n    fail("no")\n'
        deployed(world, MANIFEST | {"version": 2, "migrate": "move"}, source)
        change = world.step([])
        assert change.outcomes[0].events[0].name == "migration-failed"
        assert kept(world, "limit") == 7
        assert self.status(world).version == 1

    def test_approvals_of_k_organisations_are_needed(self) -> None:
        world = World.begin(organisations=("ewz", "bkw"))
        raw = world.call(
            world.operator, "governance", "propose", {"kind": "threshold", "approvals": 2}
        )
        world.step([raw])
        proposal = {"proposal": check_form(raw).id[:16].hex()}
        act(world, "governance", "approve", proposal, world.actors["bkw/ops"])
        args = {"manifest": MANIFEST, "source": SOURCE}
        act(world, "contracts", "submit", args)
        which = {"name": "meter", "version": 1}
        assert act(world, "contracts", "deploy", which).code == "governance-rule"
        wrong = which | {"hash": "00" * 32}
        bkw = world.actors["bkw/ops"]
        assert act(world, "contracts", "approve", wrong, bkw).code == "governance-rule"
        right = which | {"hash": make_package(MANIFEST, SOURCE).hash().hex()}
        assert act(world, "contracts", "approve", right).code == "governance-rule", "own vote"
        assert act(world, "contracts", "approve", right, bkw).code == "accepted"
        assert act(world, "contracts", "deploy", which).code == "accepted"

    def test_approval_of_a_revoked_organisation_is_refused_and_one_before_does_not_count(
        self,
    ) -> None:
        world = World.begin(organisations=("ewz", "bkw", "iwb"))
        bkw, iwb = world.actors["bkw/ops"], world.actors["iwb/ops"]

        def decided(proposal: dict[str, Any], *others: Actor) -> None:
            raw = world.call(world.operator, "governance", "propose", proposal)
            assert codes(world.step([raw])) == ["accepted"]
            vote = {"proposal": check_form(raw).id[:16].hex()}
            for other in others:
                assert act(world, "governance", "approve", vote, other).code == "accepted"

        decided({"kind": "threshold", "approvals": 2}, bkw)
        act(world, "contracts", "submit", {"manifest": MANIFEST, "source": SOURCE})
        which = {"name": "meter", "version": 1}
        right = which | {"hash": make_package(MANIFEST, SOURCE).hash().hex()}
        assert act(world, "contracts", "approve", right, bkw).code == "accepted"
        decided({"kind": "revoke", "organisation": "bkw"}, iwb)
        assert act(world, "contracts", "approve", right, bkw).code == "member-suspended"
        assert act(world, "contracts", "deploy", which).code == "governance-rule"
        assert act(world, "contracts", "approve", right, iwb).code == "accepted"
        assert act(world, "contracts", "deploy", which).code == "accepted"

    def test_other_organisation_cannot_touch_it(self) -> None:
        world = World.begin(organisations=("ewz", "bkw"))
        deployed(world)
        bkw = world.actors["bkw/ops"]
        for function in ("pause", "terminate"):
            assert act(world, "contracts", function, {"name": "meter"}, bkw).code == "role-missing"
        args = {"manifest": MANIFEST | {"version": 2}, "source": SOURCE}
        assert act(world, "contracts", "submit", args, bkw).code == "role-missing"

    def test_organisations_together_put_it_to_sleep(self, world: World, meter: Actor) -> None:
        args: dict[str, Encodable] = {"kind": "quarantine", "contract": "meter"}
        outcome = act(world, "governance", "propose", args)
        assert outcome.events[-1].name == "quarantined"
        assert codes(world.step([world.reading(meter, 1)])) == ["contract-inactive"]
        assert act(world, "contracts", "resume", {"name": "meter"}).code == "contract-inactive"

    def test_same_version_is_submitted_once(self, world: World) -> None:
        deployed(world)
        args = {"manifest": MANIFEST, "source": SOURCE}
        assert act(world, "contracts", "submit", args).code == "already-exists"

    def test_device_cannot_submit(self, world: World) -> None:
        (device,) = world.enrolled("m-5")
        args = {"manifest": MANIFEST, "source": SOURCE}
        assert act(world, "contracts", "submit", args, device).code == "role-missing"
