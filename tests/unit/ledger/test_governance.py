"""Governance: how organisations join, leave and change the threshold, by votes that count once."""

import pytest

from drystone.formats.cbor import Encodable
from drystone.ledger import keyspace, rows
from drystone.ledger.change import Outcome
from drystone.records.record import check_form
from drystone.sim.world import Actor, World


@pytest.fixture
def two() -> World:
    return World.begin(organisations=("ewz", "bkw"))


def act(world: World, actor: Actor, function: str, args: dict[str, Encodable]) -> Outcome:
    (outcome,) = world.step([world.call(actor, "governance", function, args)]).outcomes
    return outcome


def proposed(world: World, actor: Actor, args: dict[str, Encodable]) -> tuple[Outcome, str]:
    raw = world.call(actor, "governance", "propose", args)
    (outcome,) = world.step([raw]).outcomes
    return outcome, check_form(raw).id[:16].hex()


def admission(world: World, iss: str = "sig") -> dict[str, Encodable]:
    governor = world.newcomer("ops", iss=iss)
    proof = world.proof(iss, "ops", governor.secret)
    return {"kind": "admit", "organisation": iss, "name": "SIG", "sub": "ops", "proof": proof}


def status_of(world: World, iss: str) -> int | None:
    value = world.view.get(keyspace.organisation(iss))
    return None if value is None else rows.decode_organisation(value).status


def raise_threshold(world: World) -> None:
    outcome, proposal = proposed(world, world.operator, {"kind": "threshold", "approvals": 2})
    assert outcome.code == "accepted"
    act(world, world.actors["bkw/ops"], "approve", {"proposal": proposal})


def test_threshold_of_one_takes_effect_at_once_s0_50(two: World) -> None:
    outcome, _ = proposed(two, two.operator, admission(two))
    assert [e.name for e in outcome.events] == ["approved", "admitted"]
    assert status_of(two, "sig") == rows.ACTIVE


def test_admitted_governor_enrols_in_its_own_organisation(two: World) -> None:
    proposed(two, two.operator, admission(two))
    governor = two.actors["sig/ops"]
    new = two.newcomer("m-1", iss="sig")
    args = {"members": [{"sub": "m-1", "proof": two.proof("sig", "m-1", new.secret)}]}
    raw = two.call(governor, "registry", "enrol", args)
    assert two.step([raw]).outcomes[0].code == "accepted"
    assert two.view.get(keyspace.member("sig", "m-1")) is not None
    assert two.view.get(keyspace.member("ewz", "m-1")) is None


def test_threshold_of_two_needs_two_organisations(two: World) -> None:
    raise_threshold(two)
    outcome, proposal = proposed(two, two.operator, admission(two))
    assert [e.name for e in outcome.events] == ["approved"]
    assert status_of(two, "sig") is None
    assert act(two, two.actors["bkw/ops"], "approve", {"proposal": proposal}).code == "accepted"
    assert status_of(two, "sig") == rows.ACTIVE


def test_one_organisation_votes_once(two: World) -> None:
    raise_threshold(two)
    _, proposal = proposed(two, two.operator, admission(two))
    code = act(two, two.operator, "approve", {"proposal": proposal}).code
    assert code == "governance-rule"
    assert status_of(two, "sig") is None


def test_higher_threshold_must_be_reached_by_its_own_approvals(two: World) -> None:
    proposed(two, two.operator, {"kind": "threshold", "approvals": 200})
    outcome, _ = proposed(two, two.operator, admission(two))
    assert outcome.events[-1].name == "admitted", "one approval is still enough"


def test_done_proposal_takes_no_more_votes(two: World) -> None:
    _, proposal = proposed(two, two.operator, admission(two))
    code = act(two, two.actors["bkw/ops"], "approve", {"proposal": proposal}).code
    assert code == "governance-rule"


def test_unknown_proposal_is_refused(two: World) -> None:
    assert act(two, two.operator, "approve", {"proposal": "00"}).code == "governance-rule"


def test_revoked_organisation_writes_nothing_and_is_reinstated(two: World) -> None:
    args: dict[str, Encodable] = {"kind": "revoke", "organisation": "bkw"}
    assert proposed(two, two.operator, args)[0].code == "accepted"
    bkw = two.actors["bkw/ops"]
    assert proposed(two, bkw, admission(two))[0].code == "member-suspended"
    args = {"kind": "reinstate", "organisation": "bkw"}
    assert proposed(two, two.operator, args)[0].code == "accepted"
    assert proposed(two, bkw, admission(two))[0].code == "accepted"


def test_vote_of_an_organisation_revoked_meanwhile_does_not_count(two: World) -> None:
    proposed(two, two.operator, admission(two, "sig"))
    raise_threshold(two)
    _, proposal = proposed(two, two.actors["bkw/ops"], admission(two, "iwb"))
    args: dict[str, Encodable] = {"kind": "revoke", "organisation": "bkw"}
    _, revocation = proposed(two, two.operator, args)
    act(two, two.actors["sig/ops"], "approve", {"proposal": revocation})
    act(two, two.operator, "approve", {"proposal": proposal})
    assert status_of(two, "iwb") is None
    act(two, two.actors["sig/ops"], "approve", {"proposal": proposal})
    assert status_of(two, "iwb") == rows.ACTIVE


def test_organisation_does_not_end_itself(two: World) -> None:
    args: dict[str, Encodable] = {"kind": "revoke", "organisation": "ewz"}
    assert proposed(two, two.operator, args)[0].code == "governance-rule"


def test_meter_cannot_propose(two: World) -> None:
    (meter,) = two.enrolled("m-1")
    assert proposed(two, meter, admission(two))[0].code == "role-missing"
    assert act(two, meter, "approve", {"proposal": "00"}).code == "role-missing"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kind": "conquer"}, "arguments-malformed"),
        ({"organisation": "bkw"}, "already-exists"),
        ({"proof": "00"}, "cbor-malformed"),
        ({"extra": 1}, "arguments-malformed"),
        ({"kind": "revoke"}, "organisation-unknown"),
    ],
)
def test_wrong_proposal_is_refused(two: World, change: dict[str, Encodable], code: str) -> None:
    args = admission(two) | change
    if args["kind"] == "revoke":
        args = {"kind": "revoke", "organisation": "nobody"}
    outcome, _ = proposed(two, two.operator, args)
    assert outcome.code in (code, "enrolment-proof", "cose-malformed")
    assert outcome.code != "accepted"


def test_organisation_admitted_twice_by_two_open_proposals_is_refused_the_second_time(
    two: World,
) -> None:
    raise_threshold(two)
    _, first = proposed(two, two.operator, admission(two))
    _, second = proposed(two, two.operator, admission(two))
    bkw = two.actors["bkw/ops"]
    assert act(two, bkw, "approve", {"proposal": first}).code == "accepted"
    assert act(two, bkw, "approve", {"proposal": second}).code == "already-exists"
