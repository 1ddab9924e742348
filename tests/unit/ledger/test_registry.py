"""Registry calls: who may admit, replace and revoke whom, and what a refused call leaves behind (nothing)."""

import pytest

from drystone.formats import cose
from drystone.formats.cbor import Encodable
from drystone.ledger import keyspace, rows
from drystone.ledger.change import Outcome
from drystone.records.record import check_form
from drystone.records.vertex import decode_vertex
from drystone.sim.world import METER_PROFILE, Actor, World


def outcome_of(
    world: World,
    actor: Actor,
    function: str,
    args: dict[str, Encodable],
    contract: str = "registry",
) -> Outcome:
    (outcome,) = world.step([world.call(actor, contract, function, args)]).outcomes
    return outcome


def member(world: World, sub: str, device: str | None = None) -> rows.Member:
    value = world.view.get(keyspace.member("ewz", sub, device))
    assert value is not None
    return rows.decode_member(value)


def enrol_args(world: World, actor: Actor, **more: Encodable) -> dict[str, Encodable]:
    proof = world.proof(actor.iss, actor.sub, actor.secret)
    return {"members": [{"sub": actor.sub, "proof": proof, **more}]}


def reading_code(world: World, actor: Actor, wh: int = 1) -> str:
    return world.step([world.reading(actor, wh)]).outcomes[0].code


class TestEnrol:
    def test_enrolled_device_may_write_from_the_same_block_on(self, world: World) -> None:
        outcome_of(world, world.operator, "profile", METER_PROFILE)
        new = world.newcomer("m-9")
        enrol = world.call(
            world.operator, "registry", "enrol", enrol_args(world, new, profile="electricity")
        )
        change = world.step([enrol, world.reading(new, 1)])
        assert [o.code for o in change.outcomes] == ["accepted", "accepted"]
        assert change.outcomes[0].events[0].data == {"iss": "ewz", "sub": "m-9"}

    def test_reading_before_its_enrolment_in_one_block_is_refused(self, world: World) -> None:
        outcome_of(world, world.operator, "profile", METER_PROFILE)
        new = world.newcomer("m-9")
        enrol = world.call(
            world.operator, "registry", "enrol", enrol_args(world, new, profile="electricity")
        )
        change = world.step([world.reading(new, 1), enrol])
        assert [o.code for o in change.outcomes] == ["member-unknown", "accepted"]

    def test_device_cannot_enrol_anyone(self, world: World, meter: Actor) -> None:
        new = world.newcomer("m-9")
        assert outcome_of(world, meter, "enrol", enrol_args(world, new)).code == "role-missing"

    def test_taken_id_is_refused(self, world: World, meter: Actor) -> None:
        again = Actor("ewz", "m-1", world.newcomer("x").secret)
        code = outcome_of(world, world.operator, "enrol", enrol_args(world, again)).code
        assert code == "already-exists"

    def test_one_id_twice_in_one_call_is_refused_as_a_whole(self, world: World) -> None:
        new = world.newcomer("m-9")
        one = enrol_args(world, new)["members"]
        code = outcome_of(world, world.operator, "enrol", {"members": one + one}).code  # type: ignore[operator]
        assert code == "already-exists"
        assert world.view.get(keyspace.member("ewz", "m-9")) is None

    def test_call_that_fails_half_way_leaves_no_write(self, world: World) -> None:
        good, bad = world.newcomer("good"), world.newcomer("bad")
        members = enrol_args(world, good)["members"] + [{"sub": bad.sub, "proof": "00"}]  # type: ignore[operator]
        assert outcome_of(world, world.operator, "enrol", {"members": members}).code != "accepted"
        assert world.view.get(keyspace.member("ewz", "good")) is None

    def test_proof_for_another_member_is_refused(self, world: World) -> None:
        new = world.newcomer("m-9")
        args = {"members": [{"sub": "m-9", "proof": world.proof("ewz", "m-8", new.secret)}]}
        code = outcome_of(world, world.operator, "enrol", args).code
        assert code == "enrolment-proof"

    def test_proof_for_another_ledger_is_refused(self, world: World) -> None:
        new = world.newcomer("m-9")
        other = World.begin("elsewhere")
        args = {"members": [{"sub": "m-9", "proof": other.proof("ewz", "m-9", new.secret)}]}
        assert outcome_of(world, world.operator, "enrol", args).code in (
            "enrolment-proof",
            "signature-invalid",
        )

    def test_enroller_without_the_governors_role_cannot_make_governors(self, world: World) -> None:
        clerk = world.newcomer("clerk")
        outcome_of(world, world.operator, "enrol", enrol_args(world, clerk, roles=["enroller"]))
        rogue = world.newcomer("rogue")
        args = enrol_args(world, rogue, roles=["governor"])
        assert outcome_of(world, clerk, "enrol", args).code == "role-missing"

    def test_unknown_profile_is_refused(self, world: World) -> None:
        args = enrol_args(world, world.newcomer("m-9"), profile="nothing")
        assert outcome_of(world, world.operator, "enrol", args).code == "profile-unknown"

    @pytest.mark.parametrize(
        "args",
        [
            {},
            {"members": []},
            {"members": "m-9"},
            {"members": [7]},
            {"members": [{"sub": "m-9"}]},
            {"members": [{"sub": "-bad", "proof": "00"}]},
            {"members": [{"sub": "m-9", "proof": "xyz"}]},
            {"members": [{"sub": "m-9", "proof": "00", "extra": 1}]},
            {"members": [{"sub": "m-9", "proof": "00", "roles": ["King"]}]},
            {"members": [{"sub": "m-9", "proof": "00", "roles": ["device", "device"]}]},
            {"members": [{"sub": "m-9", "proof": "00"}], "extra": 1},
            {"members": [{"sub": f"m-{n}", "proof": "00"} for n in range(65)]},
        ],
    )
    def test_malformed_arguments_are_refused(
        self, world: World, args: dict[str, Encodable]
    ) -> None:
        assert outcome_of(world, world.operator, "enrol", args).code == "arguments-malformed"


class TestRotate:
    def rotated(self, world: World, by: Actor, sub: str, secret: Actor) -> Outcome:
        args: dict[str, Encodable] = {"sub": sub, "proof": world.proof("ewz", sub, secret.secret)}
        return outcome_of(world, by, "rotate", args)

    def test_device_rotates_its_own_key_and_the_old_one_is_retired(
        self, world: World, meter: Actor
    ) -> None:
        fresh = world.newcomer("fresh")
        assert self.rotated(world, meter, "m-1", fresh).code == "accepted"
        assert reading_code(world, meter) == "key-revoked"
        renewed = Actor("ewz", "m-1", fresh.secret, 0, 1)
        assert reading_code(world, renewed) == "accepted"

    def test_enroller_rotates_for_a_device(self, world: World, meter: Actor) -> None:
        assert self.rotated(world, world.operator, "m-1", world.newcomer("f")).code == "accepted"

    def test_another_device_cannot_rotate_it(self, world: World, meter: Actor) -> None:
        (other,) = world.enrolled("m-2")
        assert self.rotated(world, other, "m-1", world.newcomer("f")).code == "role-missing"

    def test_kid_is_never_used_twice(self, world: World, meter: Actor) -> None:
        assert self.rotated(world, world.operator, "m-1", meter).code == "already-exists"

    def test_proof_by_the_wrong_key_holder_is_refused(self, world: World, meter: Actor) -> None:
        fresh = world.newcomer("f")
        args: dict[str, Encodable] = {
            "sub": "m-1",
            "proof": world.proof("ewz", "m-2", fresh.secret),
        }
        assert outcome_of(world, meter, "rotate", args).code == "enrolment-proof"

    def test_unknown_member_is_refused(self, world: World) -> None:
        assert self.rotated(world, world.operator, "no", world.newcomer("f")).code == (
            "member-unknown"
        )

    def test_clerk_cannot_replace_a_governors_key(self, world: World) -> None:
        clerk = world.newcomer("clerk")
        outcome_of(world, world.operator, "enrol", enrol_args(world, clerk, roles=["enroller"]))
        assert self.rotated(world, clerk, "ops", world.newcomer("f")).code == "role-missing"


class TestRevoke:
    def test_revoked_device_writes_nothing_more(self, world: World, meter: Actor) -> None:
        assert outcome_of(world, world.operator, "revoke", {"sub": "m-1"}).code == "accepted"
        assert reading_code(world, meter) == "member-suspended"

    def test_revoked_key_is_refused(self, world: World, meter: Actor) -> None:
        args: dict[str, Encodable] = {"sub": "m-1", "kid": meter.secret.public.kid().hex()}
        assert outcome_of(world, world.operator, "revoke", args).code == "accepted"
        assert reading_code(world, meter) == "key-revoked"

    def test_unknown_kid_is_refused(self, world: World, meter: Actor) -> None:
        args: dict[str, Encodable] = {"sub": "m-1", "kid": "00000000"}
        assert outcome_of(world, world.operator, "revoke", args).code == "key-unknown"

    def test_device_cannot_revoke(self, world: World, meter: Actor) -> None:
        assert outcome_of(world, meter, "revoke", {"sub": "m-1"}).code == "role-missing"

    def test_kid_of_an_attested_device_is_refused(self, world: World, meter: Actor) -> None:
        args: dict[str, Encodable] = {"sub": "g-1", "device": "old", "kid": "00000000"}
        assert outcome_of(world, world.operator, "revoke", args).code == "arguments-malformed"


class TestAttach:
    @pytest.fixture
    def attached(self, world: World, meter: Actor) -> Actor:
        args: dict[str, Encodable] = {
            "gateway": "g-1",
            "device": "ferraris-7",
            "profile": "electricity",
        }
        assert outcome_of(world, world.operator, "attach", args).code == "accepted"
        return world.author.actor

    def test_gateway_attests_an_unsigned_device_in_a_stream_of_its_own_s1_22(
        self, world: World, attached: Actor
    ) -> None:
        raw = world.reading(attached, 7, device="ferraris-7")
        change = world.step([raw])
        assert change.outcomes[0].code == "accepted"
        assert keyspace.stream(("ewz", "g-1", "ferraris-7")) in change.writes
        assert check_form(raw).device == "ferraris-7"

    def test_device_that_is_not_attached_is_refused(self, world: World, attached: Actor) -> None:
        raw = world.reading(attached, 7, device="ferraris-8")
        assert world.step([raw]).outcomes[0].code == "member-unknown"

    def test_device_without_the_gateway_role_attests_nothing(
        self, world: World, attached: Actor, meter: Actor
    ) -> None:
        raw = world.reading(meter, 7, device="ferraris-7")
        assert world.step([raw]).outcomes[0].code == "role-missing"

    def test_attested_device_sends_no_calls(self, world: World, attached: Actor) -> None:
        raw = world.sign(
            attached,
            check_form(world.call(attached, "registry", "revoke", {"sub": "x"})).payload,
            content_type=cose.CBOR,
            device="ferraris-7",
        )
        assert world.step([raw]).outcomes[0].code == "profile-mismatch"

    def test_revoked_attested_device_is_refused(self, world: World, attached: Actor) -> None:
        args: dict[str, Encodable] = {"sub": "g-1", "device": "ferraris-7"}
        assert outcome_of(world, world.operator, "revoke", args).code == "accepted"
        raw = world.reading(attached, 7, device="ferraris-7")
        assert world.step([raw]).outcomes[0].code == "member-suspended"

    def test_device_is_attached_once(self, world: World, attached: Actor) -> None:
        args: dict[str, Encodable] = {
            "gateway": "g-1",
            "device": "ferraris-7",
            "profile": "electricity",
        }
        assert outcome_of(world, world.operator, "attach", args).code == "already-exists"

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"gateway": "m-1"}, "role-missing"),
            ({"gateway": "no"}, "member-unknown"),
            ({"profile": "no"}, "profile-unknown"),
        ],
    )
    def test_wrong_attachment_is_refused(
        self, world: World, meter: Actor, change: dict[str, Encodable], code: str
    ) -> None:
        args: dict[str, Encodable] = {"gateway": "g-1", "device": "d", "profile": "electricity"}
        assert outcome_of(world, world.operator, "attach", args | change).code == code


class TestProfile:
    def test_name_is_registered_once(self, world: World) -> None:
        assert outcome_of(world, world.operator, "profile", METER_PROFILE).code == "accepted"
        assert outcome_of(world, world.operator, "profile", METER_PROFILE).code == "already-exists"

    def test_profile_without_a_register_or_unit_is_accepted(self, world: World) -> None:
        args: dict[str, Encodable] = {"name": "plain", "measurements": [{"name": "state"}]}
        assert outcome_of(world, world.operator, "profile", args).code == "accepted"
        row = world.view.get(keyspace.profile("ewz", "plain"))
        assert row is not None
        expected = rows.Profile((("state", None),), None, "accept", "open")
        assert rows.decode_profile(row) == expected

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"visibility": "sealed"}, "profile-mismatch"),
            ({"rule": "metering"}, "contract-unknown"),
            ({"rule": "-"}, "arguments-malformed"),
            ({"measurements": [{"name": "e", "unit": "furlong"}]}, "arguments-malformed"),
            ({"measurements": []}, "arguments-malformed"),
            ({"register": {"name": "other", "exponent": 0}}, "arguments-malformed"),
            ({"register": {"name": "e", "exponent": 99}}, "arguments-malformed"),
            ({"register": {"name": "e", "exponent": True}}, "arguments-malformed"),
            ({"register": 7}, "arguments-malformed"),
            ({"name": ""}, "arguments-malformed"),
        ],
    )
    def test_wrong_profile_is_refused(
        self, world: World, change: dict[str, Encodable], code: str
    ) -> None:
        assert outcome_of(world, world.operator, "profile", METER_PROFILE | change).code == code


class TestFork:
    def evidence(self, world: World, a: bytes, b: bytes, kind: str = "record") -> Outcome:
        args: dict[str, Encodable] = {"kind": kind, "a": a.hex(), "b": b.hex()}
        return outcome_of(world, world.operator, "fork", args)

    def test_two_records_of_one_position_suspend_the_branch(
        self, world: World, meter: Actor
    ) -> None:
        a, b = world.reading(meter, 1, seq=0), world.reading(meter, 2, seq=0)
        world.step([a])
        outcome = self.evidence(world, a, b)
        assert outcome.code == "accepted"
        assert outcome.events[0].name == "fork"
        assert reading_code(world, Actor("ewz", "m-1", meter.secret, 0, 1)) == "member-suspended"
        assert reading_code(world, Actor("ewz", "m-1", meter.secret, 1, 0)) == "accepted"

    def test_one_record_twice_is_no_evidence(self, world: World, meter: Actor) -> None:
        a = world.reading(meter, 1, seq=0)
        assert self.evidence(world, a, a).code == "evidence-malformed"

    def test_high_s_twin_is_no_evidence(self, world: World) -> None:
        (device,) = world.enrolled("p256", alg=cose.ALG_ES256)
        a = world.reading(device, 1, seq=0)
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        twin = a[:-32] + (order - int.from_bytes(a[-32:], "big")).to_bytes(32, "big")
        assert self.evidence(world, a, twin).code == "evidence-malformed"

    def test_records_of_two_positions_are_no_evidence(self, world: World, meter: Actor) -> None:
        a, b = world.reading(meter, 1, seq=0), world.reading(meter, 1, seq=1)
        assert self.evidence(world, a, b).code == "evidence-malformed"

    def test_forged_evidence_is_refused(self, world: World, meter: Actor) -> None:
        a, b = world.reading(meter, 1, seq=0), bytearray(world.reading(meter, 2, seq=0))
        b[-40] ^= 1
        assert self.evidence(world, a, bytes(b)).code == "signature-invalid"

    def test_evidence_under_a_revoked_key_is_refused(self, world: World, meter: Actor) -> None:
        a, b = world.reading(meter, 1, seq=0), world.reading(meter, 2, seq=0)
        args: dict[str, Encodable] = {"sub": "m-1", "kid": meter.secret.public.kid().hex()}
        outcome_of(world, world.operator, "revoke", args)
        assert self.evidence(world, a, b).code == "key-revoked"

    def test_evidence_against_a_stranger_is_refused(self, world: World) -> None:
        stranger = world.newcomer("stranger")
        a, b = world.reading(stranger, 1, seq=0), world.reading(stranger, 2, seq=0)
        assert self.evidence(world, a, b).code == "key-unknown"

    def test_two_vertices_of_one_place_suspend_the_gateway_until_its_next_epoch(
        self, world: World, meter: Actor
    ) -> None:
        seq, parent = world.author.seq, world.author.parent
        first = decode_vertex(world.vertex([world.reading(meter, 1)])).header
        world.author.seq, world.author.parent = seq, parent
        second = decode_vertex(world.vertex([world.reading(meter, 2)])).header
        world.author.seq, world.author.parent = seq, parent
        assert self.evidence(world, first.raw, second.raw, "vertex").code == "accepted"
        assert world.step([world.reading(meter, 3)]).outcomes[0].code == "member-suspended"
        world.author.epoch, world.author.seq = 1, 0
        world.author.parent = rows.decode_author_head(
            world.view.get(keyspace.head("ewz", "g-1")) or b""
        ).vertex
        assert world.step([]).outcomes == ()
        assert reading_code(world, meter) == "accepted"

    def test_one_vertex_twice_is_no_evidence(self, world: World, meter: Actor) -> None:
        header = decode_vertex(world.vertex([world.reading(meter, 1)])).header
        world.author.seq, world.author.parent = header.seq, header.parent
        assert self.evidence(world, header.raw, header.raw, "vertex").code == "evidence-malformed"

    def test_records_called_vertices_are_no_evidence(self, world: World, meter: Actor) -> None:
        a, b = world.reading(meter, 1, seq=0), world.reading(meter, 2, seq=0)
        assert self.evidence(world, a, b, "vertex").code == "evidence-malformed"

    def test_record_and_vertex_are_no_evidence(self, world: World, meter: Actor) -> None:
        seq, parent = world.author.seq, world.author.parent
        header = decode_vertex(world.vertex([])).header
        world.author.seq, world.author.parent = seq, parent
        record = world.reading(meter, 1, seq=0)
        assert self.evidence(world, record, header.raw).code == "evidence-malformed"

    def test_vertices_of_two_places_are_no_evidence(self, world: World, meter: Actor) -> None:
        seq, parent = world.author.seq, world.author.parent
        a = decode_vertex(world.vertex([world.reading(meter, 1)])).header
        b = decode_vertex(world.vertex([world.reading(meter, 1)])).header
        world.author.seq, world.author.parent = seq, parent
        assert self.evidence(world, a.raw, b.raw, "vertex").code == "evidence-malformed"


class TestCall:
    @pytest.mark.parametrize(("contract", "function"), [("registry", "x"), ("nothing", "enrol")])
    def test_unknown_function_is_refused(self, world: World, contract: str, function: str) -> None:
        assert outcome_of(world, world.operator, function, {}, contract).code == "contract-unknown"

    def test_call_for_another_ledger_is_refused(self, world: World) -> None:
        raw = world.call(world.operator, "registry", "profile", METER_PROFILE, ledger=bytes(32))
        assert world.step([raw]).outcomes[0].code == "ledger-foreign"

    def test_refused_call_does_not_use_up_its_position(self, world: World) -> None:
        position = world.operator.seq
        assert outcome_of(world, world.operator, "profile", {}).code == "arguments-malformed"
        world.operator.seq = position
        assert outcome_of(world, world.operator, "profile", METER_PROFILE).code == "accepted"
