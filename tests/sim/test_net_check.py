"""The checker of simulated networks names what is wrong: each rule broken once, by hand."""

from collections.abc import Sequence
from hashlib import sha256

import pytest

from drystone.records.vertex import decode_header, decode_vertex, vertex_id
from drystone.sim import net_check
from drystone.sim.chain import Chain, make_chain
from drystone.sim.net_check import Held, NotHeldError, Settled
from drystone.sim.world import World
from drystone.storage.blocks import StoredBlock
from drystone.storage.outcomes import outcomes_of


@pytest.fixture(scope="module")
def chain() -> Chain:
    return make_chain("checker", blocks=4, devices=3, records=8)


def held_of(chain: Chain) -> dict[bytes, Held]:
    return {
        vertex_id(decode_header(one.header), chain.ledger): Held(one.header, one.body)
        for one in chain.vertices
    }


def blocks_of(chain: Chain) -> list[StoredBlock]:
    found: list[StoredBlock] = []
    for block, change in zip(chain.blocks, chain.changes, strict=True):
        ids = tuple(vertex_id(vertex.header, chain.ledger) for vertex in block.vertices)
        kept = outcomes_of([len(vertex.records) for vertex in block.vertices], change.outcomes)
        found.append(
            StoredBlock(change.height, 0, change.log.size, b"", change.block_entry, ids, kept)
        )
    return found


def test_equal_sets_are_equal(chain: Chain) -> None:
    held = held_of(chain)
    net_check.check_equal({"a": held, "b": dict(held)})
    net_check.check_parents(held)
    net_check.check_ordered_once(blocks_of(chain))
    assert net_check.pending(held, blocks_of(chain)) == frozenset()


def test_a_missing_vertex_is_named_with_who_lacks_it(chain: Chain) -> None:
    held = held_of(chain)
    other = dict(held)
    del other[max(other)]
    with pytest.raises(NotHeldError, match="is at a and not at b"):
        net_check.check_equal({"a": held, "b": other})


def test_another_body_is_named(chain: Chain) -> None:
    held = held_of(chain)
    own_id = max(held)
    other = held | {own_id: Held(held[own_id].header, b"")}
    with pytest.raises(NotHeldError, match="bodies of a and b differ"):
        net_check.check_equal({"a": held, "b": other})


def test_a_missing_parent_is_named(chain: Chain) -> None:
    held = held_of(chain)
    with pytest.raises(NotHeldError, match="without its parent"):
        net_check.check_parents(dict(list(held.items())[1:]))


def test_a_vertex_in_two_blocks_is_named(chain: Chain) -> None:
    blocks = blocks_of(chain)
    with pytest.raises(NotHeldError, match="ordered 2 times"):
        net_check.check_ordered_once([*blocks, blocks[0]])


def test_a_vertex_outside_of_every_block_is_pending(chain: Chain) -> None:
    blocks = blocks_of(chain)
    left = net_check.pending(held_of(chain), blocks[:-1])
    assert left == set(blocks[-1].vertices)


def test_what_builds_on_a_lost_body_is_stuck() -> None:
    world = World.begin("stuck")
    vertices = [decode_vertex(world.vertex([])) for _ in range(4)]
    ids = [vertex_id(one.header, world.view.ledger) for one in vertices]
    held = {own_id: Held(one.header.raw, b"") for own_id, one in zip(ids, vertices, strict=True)}
    assert net_check.stuck(held, [ids[1]]) == set(ids[1:])
    assert net_check.stuck(held, []) == frozenset()


ENTRY = sha256(b"record").digest()


def settled(accepted: int, codes: Sequence[str] = ()) -> dict[bytes, Settled]:
    return {ENTRY: Settled(accepted, tuple(codes))}


@pytest.mark.parametrize("codes", [(), ("already",), ("already", "already")])
def test_one_entry_and_copies_are_as_they_should_be(codes: Sequence[str]) -> None:
    net_check.check_acknowledged({ENTRY: "it"}, settled(1, codes))


@pytest.mark.parametrize(
    ("accepted", "codes", "says"),
    [
        (0, (), "it was acknowledged and is not in the log: nowhere"),
        (0, ("vertex-place",), "it was acknowledged and is not in the log: vertex-place"),
        (2, (), "it was accepted 2 times"),
        (1, ("vertex-fork",), "a copy of it was answered"),
    ],
)
def test_a_record_that_is_not_there_once_is_named(
    accepted: int, codes: Sequence[str], says: str
) -> None:
    with pytest.raises(NotHeldError, match=says):
        net_check.check_acknowledged({ENTRY: "it"}, settled(accepted, codes))


def test_a_record_that_nobody_acknowledged_may_not_be_there_twice_either() -> None:
    with pytest.raises(NotHeldError, match="a record was accepted 2 times"):
        net_check.check_acknowledged({}, settled(2))


def test_what_is_excused_is_excused_of_nothing_else() -> None:
    net_check.check_acknowledged({ENTRY: "it"}, settled(0), lost=[ENTRY])
    net_check.check_acknowledged({ENTRY: "it"}, settled(1, ["vertex-fork"]), retried=[ENTRY])
    with pytest.raises(NotHeldError, match="2 times"):
        net_check.check_acknowledged({ENTRY: "it"}, settled(2), lost=[ENTRY], retried=[ENTRY])
    with pytest.raises(NotHeldError, match="not in the log"):
        net_check.check_acknowledged({ENTRY: "it"}, settled(0), retried=[ENTRY])
