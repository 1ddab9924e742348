"""The first vertex that a ledger takes of an author, also where its first epochs were suspended before any was taken."""

import pytest

from drystone.ledger.change import Change
from drystone.records.vertex import decode_vertex
from drystone.sim.world import Author, World


@pytest.fixture
def world() -> World:
    return World.begin("beginnings")


def newcomer(world: World) -> Author:
    """A gateway of whom nothing is ordered."""
    actor = world.newcomer("g-2")
    member = {"sub": "g-2", "proof": world.proof("ewz", "g-2", actor.secret), "roles": ["gateway"]}
    world.step([world.call(world.operator, "registry", "enrol", {"members": [member]})])
    return Author(actor)


def fork(world: World, author: Author) -> None:
    """Let an author seal two vertices at its first place, and convict it before either is ordered."""
    raws: list[str] = []
    for wh in (1, 2):
        author.seq, author.parent = 0, None
        vertex = world.vertex([world.reading(author.actor, wh)], author)
        raws.append(decode_vertex(vertex).header.raw.hex())
    args = {"kind": "vertex", "a": raws[0], "b": raws[1]}
    change = world.step([world.call(world.operator, "registry", "fork", args)])
    assert codes(change) == ["accepted"]


def codes(change: Change) -> list[str]:
    return [outcome.code for outcome in change.outcomes]


def test_an_author_suspended_before_its_first_vertex_begins_with_the_next_epoch(
    world: World,
) -> None:
    author = newcomer(world)
    fork(world, author)
    author.epoch, author.seq = 1, 0
    opening = world.vertex([], author)
    following = world.vertex([world.call(world.operator, "registry", "profile", {})], author)
    change = world.take(world.block(opening, following))
    assert codes(change) == ["arguments-malformed"]


def test_without_evidence_a_later_epoch_does_not_begin_a_chain(world: World) -> None:
    author = newcomer(world)
    author.parent = bytes(32)
    author.epoch, author.seq = 1, 0
    assert codes(world.take(world.block(world.vertex([], author)))) == ["vertex-place"]


def test_a_suspended_epoch_does_not_begin_a_chain(world: World) -> None:
    author = newcomer(world)
    fork(world, author)
    author.seq, author.parent = 0, None
    assert codes(world.take(world.block(world.vertex([], author)))) == ["member-suspended"]


def test_a_chain_does_not_begin_in_the_middle_of_an_epoch(world: World) -> None:
    author = newcomer(world)
    fork(world, author)
    author.epoch, author.seq = 1, 1
    assert codes(world.take(world.block(world.vertex([], author)))) == ["vertex-place"]
