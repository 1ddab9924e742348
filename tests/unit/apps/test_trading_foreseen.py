"""The trading contract in the provisional view: what a side of a cut foresees is sound, and ends as the final state."""

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from trading_village import HOMES, PRICE, Village

from drystone.ledger import keyspace
from drystone.ledger.differences import Difference
from drystone.ledger.provisional import Provisional
from drystone.records.vertex import decode_vertex, vertex_id
from drystone.sim.world import ordered
from drystone.workshop.journal import plain

SIDES = ((HOMES[0], HOMES[1]), (HOMES[2],))
"""Homes behind each gateway."""

VERTICES = 6
RECORDS = 5


class Piece(NamedTuple):
    """A vertex and its id."""

    id: bytes
    data: bytes


@pytest.fixture(scope="module")
def village() -> Village:
    """A village that each test begins anew from `empty`."""
    return Village()


def act(village: Village, draw: random.Random, home: str) -> bytes:
    """Let a home sign something: a reading, an offer, a take from anybody, a settlement of anybody."""
    slot = draw.randrange(2)
    number = village.first + slot
    other = draw.choice([one for one in HOMES if one != home])
    match draw.randrange(6):
        case 0:
            return village.said(home, slot, draw.randrange(600), draw.randrange(600))
        case 1:
            args: dict[str, Any] = {"slot": number, "quantity": 500, "price": PRICE}
            return village.sign(home, "offer", meter=home, until_ms=0, **args)
        case 2 | 3:
            args = {"seller": other, "slot": number, "quantity": 300, "least": 300}
            return village.sign(home, "take", meter=home, price_max=PRICE, **args)
        case _:
            return village.sign(home, "settle", seller=draw.choice(HOMES), slot=number)


def write(village: Village, draw: random.Random, side: int) -> list[Piece]:
    """Let a side write some vertices."""
    pieces: list[Piece] = []
    for _ in range(VERTICES):
        records = [act(village, draw, draw.choice(SIDES[side])) for _ in range(RECORDS)]
        data = village.chain.world.vertex(records, village.gateways[SIDES[side][0]])
        pieces.append(
            Piece(vertex_id(decode_vertex(data).header, village.chain.world.view.ledger), data)
        )
    return pieces


def give(provisional: Provisional, piece: Piece) -> tuple[Difference, ...]:
    """Give a vertex to the view."""
    given = provisional.give(ordered(piece.data), vertex_id=piece.id, time_ms=0)
    assert given.taken
    return given.differences


def order(
    village: Village, provisional: Provisional, known: dict[bytes, Piece], block: Sequence[Piece]
) -> list[Difference]:
    """Make a block final, let the view follow, give again what it asks for."""
    world = village.chain.world
    made = world.block(*[piece.data for piece in block])
    change = world.take(made)
    exceptions = [
        one for one in change.outcomes if one.code != "accepted" or one.events or one.steps
    ]
    found = provisional.settle(
        [piece.id for piece in block],
        counts=[len(vertex.records) for vertex in made.vertices],
        exceptions=exceptions,
        writes=change.writes,
        time_ms=change.time_ms,
    )
    differences = list(found)
    while provisional.again:
        for one in provisional.again:
            differences += give(provisional, known[one])
    return differences


def balances(provisional: Provisional) -> list[int]:
    """Return every home's balance as the view shows it."""
    prefix = keyspace.key(keyspace.CONTRACT_DATA, "trading", "home")
    found: list[int] = []
    for _, value in provisional.scan(prefix):
        home: Any = plain(value)
        found.append(home["balance"])
    return found


@pytest.mark.parametrize("seed", range(16))
def test_a_side_foresees_sound_accounts_and_ends_as_the_final_state_s1_8(
    village: Village, seed: int
) -> None:
    """Two sides write at random, one foresees its own; then all is ordered, in an order of chance, in blocks of chance.

    At every moment the view's balances are zero together; in the end the view is the final state.
    """
    draw = random.Random(seed)
    village.chain.revert(village.empty)
    village.chain.clock.tick(3_600)
    sides = [write(village, draw, side) for side in range(2)]
    known = {piece.id: piece for side in sides for piece in side}
    final = village.chain.world.view
    provisional = Provisional(final)
    for piece in sides[seed % 2]:
        give(provisional, piece)
        assert sum(balances(provisional)) == 0
    waiting = [list(side) for side in sides]
    while any(waiting):
        block: list[Piece] = []
        for _ in range(draw.randrange(1, 4)):
            left = [side for side in waiting if side]
            if left:
                block.append(draw.choice(left).pop(0))
        order(village, provisional, known, block)
        assert sum(balances(provisional)) == 0
    assert provisional.vertices == 0
    assert dict(provisional.scan(b"")) == dict(final.scan(b""))


def test_what_a_side_foresaw_wrongly_is_told_once(village: Village) -> None:
    """Both sides take all of one offer; the other side's take is ordered first."""
    village.chain.revert(village.empty)
    args: dict[str, Any] = {"slot": village.first, "quantity": 500, "price": PRICE}
    offer = village.sign(HOMES[0], "offer", meter=HOMES[0], until_ms=0, **args)
    village.ordered((HOMES[0], [offer]))
    world = village.chain.world
    pieces: list[Piece] = []
    for home in HOMES[1:]:
        args = {"seller": HOMES[0], "slot": village.first, "quantity": 500, "least": 500}
        take = village.sign(home, "take", meter=home, price_max=PRICE, **args)
        data = world.vertex([take], village.gateways[home])
        pieces.append(Piece(vertex_id(decode_vertex(data).header, world.view.ledger), data))
    here, there = pieces
    provisional = Provisional(world.view)
    assert give(provisional, here) == ()
    known = {piece.id: piece for piece in pieces}
    (found,) = order(village, provisional, known, [there])
    assert (found.vertex, found.record, found.final) == (here.id, 0, False)
    assert (found.before.code, found.after.code) == ("accepted", "trading.sold-out")
    assert order(village, provisional, known, [here]) == []
