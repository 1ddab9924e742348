"""The pipeline: what is accepted, what is refused with which code, and that a refusal leaves nothing behind."""

import hashlib

import pytest

from drystone.errors import InvariantBroken, StateCollision
from drystone.formats import cbor, cose, senml
from drystone.ledger import keyspace, rows
from drystone.ledger.apply import Memory, apply
from drystone.ledger.change import (
    Block,
    BlockEntry,
    Change,
    Outcome,
    encode_outcome,
    head_of,
    outcomes_root,
)
from drystone.records import stream
from drystone.records.record import Verified, check_form
from drystone.sim.world import START_MS, Actor, World, ordered
from drystone.trees import log


def codes(change: Change) -> list[str]:
    return [outcome.code for outcome in change.outcomes]


def stream_of(world: World, *stream_id: str) -> stream.Stream:
    value = world.view.get(keyspace.stream(stream_id))
    return stream.decode(value) if value else stream.EMPTY


def refused_alone(world: World, raw: bytes) -> str:
    """Apply one record in a vertex of its own; return its code after checking that only the author's head moved."""
    state_before = dict(world.view.scan(b""))
    size_before = world.view.log.size
    change = world.step([raw])
    head = keyspace.head("ewz", "g-1")
    assert list(change.writes) == [head]
    assert {k: v for k, v in world.view.scan(b"") if k != head} == {
        k: v for k, v in state_before.items() if k != head
    }
    assert world.view.log.size == size_before + 1, "only the block entry is appended"
    (outcome,) = change.outcomes
    assert outcome.events == ()
    return outcome.code


def test_reading_is_accepted_and_changes_one_key_beside_the_authors_head(
    world: World, meter: Actor
) -> None:
    change = world.step([world.reading(meter, 100)])
    assert codes(change) == ["accepted"]
    assert set(change.writes) == {
        keyspace.stream(("ewz", "m-1")),
        keyspace.head("ewz", "g-1"),
    }


def test_accepted_record_is_a_leaf_and_the_block_entry_follows_it(
    world: World, meter: Actor
) -> None:
    raw = world.reading(meter, 100)
    before = world.view.log
    change = world.step([raw])
    entry = hashlib.sha256(raw).digest()
    assert change.leaves == (log.leaf_hash(entry), log.leaf_hash(change.block_entry))
    assert change.log == log.append(before, change.leaves)
    assert change.head == head_of(change.log)


def test_head_is_the_hash_of_log_size_and_root(world: World) -> None:
    edge = world.view.log
    expected = b"drystone/head/1\n" + edge.size.to_bytes(8, "big") + log.root(edge)
    assert head_of(edge) == hashlib.sha256(expected).digest()


def test_block_entry_holds_what_the_format_says(world: World, meter: Actor) -> None:
    change = world.step([world.reading(meter, 1)])
    fields = cbor.decode(change.block_entry)
    assert fields == [
        "drystone/block/1",
        change.height,
        change.time_ms,
        change.state_root,
        outcomes_root(change.outcomes),
        world.blocks[-1].validators,
        1,
    ]
    assert change.block_entry[0] == 0x87
    assert len(change.block_entry) != 32


def test_state_root_of_the_entry_is_the_root_after_the_writes(world: World, meter: Actor) -> None:
    change = world.step([world.reading(meter, 1)])
    assert world.view.tree.root == change.state_root


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(0, 0, "accepted", 0, ()),
        Outcome(70_000, 300, "accepted", 0, ()),
        Outcome(1, None, "accepted", 0, ()),
        Outcome(1, 2, "already", 0, ()),
        Outcome(1, 2, "accepted", 7, ()),
    ],
)
def test_outcome_put_together_by_hand_equals_the_codecs_spelling(outcome: Outcome) -> None:
    generic = cbor.encode([outcome.vertex, outcome.record, outcome.code, outcome.steps, []])
    assert encode_outcome(outcome) == generic


def test_same_block_gives_the_same_change_with_cold_and_warm_memory(
    world: World, meter: Actor
) -> None:
    world.step([world.reading(meter, 1)])
    block = world.block(world.vertex([world.reading(meter, 2), world.reading(meter, 3)]))
    assert apply(world.view, block, Memory()) == apply(world.view, block, world.memory)


def test_apply_alters_neither_view_nor_block(world: World, meter: Actor) -> None:
    block = world.block(world.vertex([world.reading(meter, 2)]))
    before = dict(world.view.scan(b"")), world.view.log, world.view.tree.root
    apply(world.view, block)
    assert (dict(world.view.scan(b"")), world.view.log, world.view.tree.root) == before


def test_block_that_does_not_follow_the_view_stops_the_node(world: World, meter: Actor) -> None:
    block = world.block(world.vertex([world.reading(meter, 2)]))
    with pytest.raises(InvariantBroken):
        apply(world.view, block._replace(height=block.height + 1))


def test_empty_block_is_never_applied(world: World) -> None:
    with pytest.raises(InvariantBroken):
        apply(world.view, world.block())


def test_byte_identical_replay_is_already_s2_29(world: World, meter: Actor) -> None:
    raw = world.reading(meter, 5)
    world.step([raw])
    before = stream_of(world, "ewz", "m-1")
    assert refused_alone(world, raw) == "already"
    assert stream_of(world, "ewz", "m-1") == before


def test_rewrapped_replay_with_the_same_position_is_already_s2_29(
    world: World, meter: Actor
) -> None:
    world.step([world.reading(meter, 5)])
    assert refused_alone(world, world.reading(meter, 5, seq=0, iat=START_MS // 1000)) == "already"


def test_same_position_with_other_content_is_already(world: World, meter: Actor) -> None:
    world.step([world.reading(meter, 5)])
    assert refused_alone(world, world.reading(meter, 999, seq=0)) == "already"


def test_duplicate_within_one_vertex_is_accepted_once(world: World, meter: Actor) -> None:
    raw = world.reading(meter, 5)
    assert codes(world.step([raw, raw])) == ["accepted", "already"]


def test_gap_is_accepted_with_an_event_that_names_it(world: World, meter: Actor) -> None:
    world.step([world.reading(meter, 1)])
    (outcome,) = world.step([world.reading(meter, 9, seq=5)]).outcomes
    assert outcome.code == "accepted"
    (event,) = outcome.events
    assert (event.contract, event.name) == ("stream", "gap")
    assert event.data == {"iss": "ewz", "sub": "m-1", "epoch": 0, "seq": 5, "from": 1}


def test_late_record_between_its_neighbours_is_accepted(world: World, meter: Actor) -> None:
    world.step([world.reading(meter, 100), world.reading(meter, 300, seq=2)])
    (outcome,) = world.step([world.reading(meter, 200, seq=1)]).outcomes
    assert outcome.code == "accepted"
    assert outcome.events[0].name == "late"
    assert stream_of(world, "ewz", "m-1").runs == (stream.Run(0, 0, 2, 100, 300),)


@pytest.mark.parametrize("wh", [99, 301])
def test_late_register_outside_its_neighbours_is_refused(
    world: World, meter: Actor, wh: int
) -> None:
    world.step([world.reading(meter, 100), world.reading(meter, 300, seq=2)])
    assert refused_alone(world, world.reading(meter, wh, seq=1)) == "register-order"


def test_too_many_gaps_are_refused_and_the_oldest_missing_is_still_taken(
    world: World, meter: Actor
) -> None:
    world.step([world.reading(meter, seq, seq=seq) for seq in range(0, 128, 2)])
    assert refused_alone(world, world.reading(meter, 500, seq=130)) == "stream-gaps"
    assert codes(world.step([world.reading(meter, 1, seq=1)])) == ["accepted"]


def test_unknown_member_is_refused_s1_4(world: World) -> None:
    stranger = world.newcomer("nobody")
    assert refused_alone(world, world.reading(stranger, 1)) == "member-unknown"


def test_unknown_organisation_is_refused(world: World) -> None:
    stranger = world.newcomer("m-1", iss="nowhere")
    assert refused_alone(world, world.reading(stranger, 1)) == "organisation-unknown"


def test_key_that_was_never_enrolled_is_refused_s2_27(world: World, meter: Actor) -> None:
    thief = Actor("ewz", "m-1", world.newcomer("other").secret)
    assert refused_alone(world, world.reading(thief, 1)) == "key-unknown"


def test_record_with_the_right_kid_and_a_wrong_signature_is_refused_s2_27(
    world: World, meter: Actor
) -> None:
    raw = bytearray(world.reading(meter, 1))
    raw[-40] ^= 1
    assert refused_alone(world, bytes(raw)) == "signature-invalid"


def test_verification_against_another_key_is_not_believed(world: World, meter: Actor) -> None:
    raw = bytearray(world.reading(meter, 1))
    raw[-40] ^= 1
    block = world.block(world.vertex([bytes(raw)]))
    vertex = block.vertices[0]
    claimed = Verified(check_form(bytes(raw)), world.operator.secret.public.cose_key())
    block = block._replace(vertices=[vertex._replace(records=[claimed])])
    assert codes(apply(world.view, block)) == ["signature-invalid"]


def test_wrong_algorithm_under_a_known_kid_is_refused(world: World, meter: Actor) -> None:
    raw = world.reading(meter, 1)
    # 01 26 is alg -7 where 01 27 is -8; the length stays, so the form is right and the key is not.
    assert raw.count(b"\xa5\x01\x27\x03") == 1
    assert refused_alone(world, raw.replace(b"\xa5\x01\x27\x03", b"\xa5\x01\x26\x03")) == (
        "key-mismatch"
    )


def test_es256_device_is_accepted(world: World) -> None:
    (device,) = world.enrolled("p256", alg=cose.ALG_ES256)
    assert codes(world.step([world.reading(device, 1)])) == ["accepted"]


def test_high_s_twin_of_an_accepted_record_is_already(world: World) -> None:
    (device,) = world.enrolled("p256", alg=cose.ALG_ES256)
    raw = world.reading(device, 1)
    world.step([raw])
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    twin = raw[:-32] + (order - int.from_bytes(raw[-32:], "big")).to_bytes(32, "big")
    assert check_form(twin).id == check_form(raw).id
    assert refused_alone(world, twin) == "already"


@pytest.mark.parametrize(
    ("measurement", "code"),
    [
        (senml.Measurement("x", "Wh", 5, START_MS // 1000), "profile-mismatch"),
        (senml.Measurement("e", "V", 5, START_MS // 1000), "profile-mismatch"),
        (senml.Measurement("e", None, 5, START_MS // 1000), "profile-mismatch"),
        (senml.Measurement("e", "Wh", (-1, 55), START_MS // 1000), "profile-mismatch"),
        (senml.Measurement("e", "Wh", True, START_MS // 1000), "profile-mismatch"),
    ],
)
def test_reading_that_does_not_fit_the_profile_is_refused(
    world: World, meter: Actor, measurement: senml.Measurement, code: str
) -> None:
    raw = world.sign(meter, senml.write_pack([measurement]))
    assert refused_alone(world, raw) == code


def test_decimal_spelling_of_a_whole_number_is_taken_as_signed(world: World, meter: Actor) -> None:
    pack = senml.write_pack([senml.Measurement("e", "Wh", (-1, 10), None)])
    assert codes(world.step([world.sign(meter, pack)])) == ["accepted"]
    assert stream_of(world, "ewz", "m-1").runs[0].hi == 1


def test_member_without_a_profile_sends_no_readings(world: World) -> None:
    assert refused_alone(world, world.reading(world.operator, 1)) == "profile-unknown"


def test_sealed_record_is_refused_until_groups_exist(world: World, meter: Actor) -> None:
    protected = cbor.encode({1: 3, 3: 112, 4: bytes(16)})
    payload = cose.encode_encrypt0(cose.Encrypt0(protected, bytes(12), bytes(40)))
    raw = world.sign(meter, payload, content_type=cose.ENCRYPT0)
    assert refused_alone(world, raw) == "profile-mismatch"


def test_unreadable_body_item_is_an_outcome_with_its_code(world: World, meter: Actor) -> None:
    change = world.step([b"\x01", world.reading(meter, 1)])
    assert codes(change)[1] == "accepted"
    assert codes(change)[0] not in ("accepted", "already")


def test_transparent_statement_sent_as_record_is_refused(world: World, meter: Actor) -> None:
    protected, _, payload, signature = cbor.decode(world.reading(meter, 1)).value
    raw = cbor.encode(cbor.Tag(18, [protected, {394: [b"receipt"]}, payload, signature]))
    assert refused_alone(world, raw) == "header-unexpected"


def test_block_entry_sent_as_record_is_refused(world: World) -> None:
    entry = BlockEntry(1, 2, bytes(32), bytes(32), bytes(32), 1).encode()
    assert refused_alone(world, entry) not in ("accepted", "already")


def test_two_devices_with_one_kid_are_told_apart(world: World) -> None:
    """The kid is truncated: what names a key is (iss, sub, kid)."""
    first, second = world.enrolled("m-1", "m-2")
    change = world.step([world.reading(first, 1), world.reading(second, 1)])
    assert codes(change) == ["accepted", "accepted"]
    kid = first.secret.public.kid()
    row = world.view.get(keyspace.member_key("ewz", "m-1", kid))
    assert row is not None
    state = {keyspace.member_key("ewz", "m-2", kid): row}
    assert not set(state) & {k for k, _ in world.view.scan(keyspace.key(keyspace.KEY))}


class TestVertex:
    """What a vertex as a whole is refused for; its records then have no outcome of their own."""

    def test_author_without_the_gateway_role_is_refused_s2_26(
        self, world: World, meter: Actor
    ) -> None:
        from drystone.sim.world import Author

        vertex = world.vertex([world.reading(meter, 1)], Author(meter))
        change = world.take(world.block(vertex))
        assert change.outcomes == (Outcome(0, None, "role-missing", 0, ()),)
        assert change.writes == {}

    def test_same_vertex_twice_is_refused_the_second_time(self, world: World, meter: Actor) -> None:
        vertex = world.vertex([world.reading(meter, 1)])
        change = world.take(world.block(vertex, vertex))
        assert codes(change) == ["accepted", "vertex-place"]

    def test_second_vertex_at_one_place_is_a_fork(self, world: World, meter: Actor) -> None:
        seq, parent = world.author.seq, world.author.parent
        first = world.vertex([world.reading(meter, 1)])
        world.author.seq, world.author.parent = seq, parent
        second = world.vertex([world.reading(meter, 2)])
        assert codes(world.take(world.block(first, second))) == ["accepted", "vertex-fork"]

    def test_unknown_self_parent_is_refused(self, world: World, meter: Actor) -> None:
        world.author.parent = bytes(32)
        assert codes(world.step([world.reading(meter, 1)])) == ["vertex-place"]

    def test_vertex_that_skips_a_number_is_refused(self, world: World, meter: Actor) -> None:
        world.author.seq += 1
        assert codes(world.step([world.reading(meter, 1)])) == ["vertex-place"]

    def test_first_vertex_with_a_parent_is_refused(self, world: World) -> None:
        world.author.parent, world.author.seq = bytes(32), 1
        raw = world.call(world.operator, "registry", "profile", {})
        assert codes(world.step([raw])) == ["vertex-place"]

    def test_new_epoch_that_cites_the_head_is_accepted(self, world: World, meter: Actor) -> None:
        world.author.epoch, world.author.seq = 1, 0
        opening = world.vertex([])
        change = world.take(world.block(opening, world.vertex([world.reading(meter, 1)])))
        assert codes(change) == ["accepted"]

    def test_new_epoch_that_does_not_cite_the_head_is_refused(
        self, world: World, meter: Actor
    ) -> None:
        world.author.epoch, world.author.seq, world.author.parent = 1, 0, bytes(32)
        assert codes(world.step([])) == ["vertex-place"]
        assert codes(world.step([world.reading(meter, 1)])) == ["vertex-place"]

    def test_altered_header_signature_is_refused(self, world: World, meter: Actor) -> None:
        block = world.block(world.vertex([world.reading(meter, 1)]))
        vertex = block.vertices[0]
        signature = bytes([vertex.header.signature[0] ^ 1]) + vertex.header.signature[1:]
        forged = vertex._replace(header=vertex.header._replace(signature=signature))
        change = apply(world.view, block._replace(vertices=[forged]))
        assert codes(change)[0] in ("signature-invalid", "signature-malformed")
        assert change.writes == {}

    def test_records_of_one_vertex_keep_their_order_over_the_whole_block(
        self, world: World, meter: Actor
    ) -> None:
        first = world.vertex([world.reading(meter, 1), world.reading(meter, 2)])
        second = world.vertex([world.reading(meter, 3)])
        change = world.take(world.block(first, second))
        assert [(o.vertex, o.record) for o in change.outcomes] == [(0, 0), (0, 1), (1, 0)]


def test_replaying_the_blocks_gives_the_same_heads_s3_19(world: World, meter: Actor) -> None:
    heads = [world.step([world.reading(meter, n)]).head for n in range(5)]
    again = World.begin()
    replayed = [apply_and_install(again, block) for block in world.blocks]
    assert replayed[-5:] == heads


def apply_and_install(world: World, block: Block) -> bytes:
    change = apply(world.view, block)
    world.view.install(change)
    return change.head


def test_suspended_organisation_may_write_nothing(world: World, meter: Actor) -> None:
    row = rows.Organisation("EWZ", rows.REVOKED).encode()
    world.view._values[keyspace.organisation("ewz")] = row
    change = apply(world.view, world.block(world.vertex([world.reading(meter, 1)])))
    assert codes(change) == ["member-suspended"]


def test_ordered_reads_what_seal_wrote(world: World, meter: Actor) -> None:
    raw = world.reading(meter, 1)
    vertex = ordered(world.vertex([raw]))
    assert [item.raw for item in vertex.records] == [raw]


def test_memory_keeps_its_bounds(
    world: World, meter: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drystone.ledger.work.RIGHTS_REMEMBERED_MAX", 0)
    monkeypatch.setattr("drystone.ledger.work.STREAMS_REMEMBERED_MAX", 0)
    world.step([world.reading(meter, 1)])
    assert not world.memory.rights
    assert not world.memory.streams
    assert codes(world.step([world.reading(meter, 2)])) == ["accepted"]


def test_remembered_stream_counts_only_while_the_state_holds_its_bytes(
    world: World, meter: Actor
) -> None:
    world.step([world.reading(meter, 1)])
    key = keyspace.stream(("ewz", "m-1"))
    value, _ = world.memory.streams[key]
    world.memory.streams[key] = (value + b"x", stream.EMPTY)
    change = world.step([world.reading(meter, 2)])
    assert stream.decode(change.writes[key] or b"").count == 2


def test_register_is_found_beside_other_measurements(world: World) -> None:
    args = {
        "name": "rich",
        "measurements": [{"name": "u", "unit": "V"}, {"name": "e", "unit": "Wh"}],
        "register": {"name": "e", "exponent": 1},
    }
    world.step([world.call(world.operator, "registry", "profile", args)])
    (device,) = world.enrolled("m-7", profile="rich")
    pack = senml.write_pack(
        [senml.Measurement("u", "V", (-1, 2301), None), senml.Measurement("e", "Wh", 1230, None)]
    )
    assert codes(world.step([world.sign(device, pack)])) == ["accepted"]
    assert stream_of(world, "ewz", "m-7").runs[0].hi == 123
    lacking = senml.write_pack([senml.Measurement("u", "V", 230, None)])
    assert codes(world.step([world.sign(device, lacking)])) == ["profile-mismatch"]


def test_profile_without_a_register_leaves_runs_without_values(world: World) -> None:
    args = {"name": "volts", "measurements": [{"name": "u", "unit": "V"}]}
    world.step([world.call(world.operator, "registry", "profile", args)])
    (device,) = world.enrolled("m-8", profile="volts")
    pack = senml.write_pack([senml.Measurement("u", "V", 230, None)])
    assert codes(world.step([world.sign(device, pack)])) == ["accepted"]
    assert stream_of(world, "ewz", "m-8").runs == (stream.Run(0, 0, 0),)


@pytest.mark.parametrize("part", ["profile", "rule"])
def test_profile_that_vanished_or_names_an_unknown_rule_is_refused(
    world: World, meter: Actor, part: str
) -> None:
    """Neither can happen by a call; a later protocol's state must still not pass."""
    key = keyspace.profile("ewz", "electricity")
    strange = rows.Profile((("e", "Wh"),), None, "unheard-of", "open").encode()
    if part == "profile":
        del world.view._values[key]
    else:
        world.view._values[key] = strange
    change = apply(world.view, world.block(world.vertex([world.reading(meter, 1)])))
    assert codes(change) == ["profile-unknown" if part == "profile" else "contract-unknown"]


def test_state_value_that_does_not_decode_stops_the_node(world: World, meter: Actor) -> None:
    world.view._values[keyspace.member("ewz", "m-1")] = b"\x01"
    block = world.block(world.vertex([world.reading(meter, 1)]))
    with pytest.raises(InvariantBroken):
        apply(world.view, block)


def test_collision_in_the_state_tree_stops_the_node(
    world: World, meter: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def collide(_writes: object) -> bytes:
        raise StateCollision("made up: a real one takes 2**64 hashes")

    block = world.block(world.vertex([world.reading(meter, 1)]))
    monkeypatch.setattr(world.view, "root_after", collide)
    with pytest.raises(InvariantBroken):
        apply(world.view, block)
