"""The provisional view: guesses over the final state, which never touch it, and every wrong guess said once."""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest

from drystone.formats.cbor import Encodable
from drystone.ledger import keyspace
from drystone.ledger.apply import apply
from drystone.ledger.change import Block, Change, Outcome
from drystone.ledger.differences import Difference, Told, by_vertex
from drystone.ledger.provisional import Provisional
from drystone.records.vertex import decode_vertex, vertex_id
from drystone.sim.world import Actor, Author, World, ordered, secret_of
from drystone.storage.memory import MemoryView

SOURCE = """
def put_in(ctx, n):
    put("stock", (get("stock") or 0) + n)

def take(ctx, n):
    stock = get("stock") or 0
    if stock < n:
        fail("too-few")
    put("stock", stock - n)
    put("taken/" + ctx["sub"], (get("taken/" + ctx["sub"]) or 0) + n)
    emit("taken", {"n": n, "left": stock - n})

def count(ctx):
    put("counted", len(scan("taken", 10)))
"""
MANIFEST: dict[str, Encodable] = {
    "name": "shop",
    "version": 1,
    "calls": {
        "put_in": {"args": {"n": "int"}},
        "take": {"args": {"n": "int"}},
        "count": {"args": {}},
    },
}
SEEDS = range(24)


class Piece(NamedTuple):
    """A vertex and its id."""

    id: bytes
    data: bytes


class Village:
    """Three gateways, four people who call a contract, four meters; everybody is enrolled and final."""

    def __init__(self, seed: str = "village") -> None:
        self.world = world = World.begin(seed)
        world.step(
            [
                world.call(
                    world.operator, "contracts", "submit", {"manifest": MANIFEST, "source": SOURCE}
                )
            ]
        )
        world.step(
            [world.call(world.operator, "contracts", "deploy", {"name": "shop", "version": 1})]
        )
        self.people = world.enrolled("p-0", "p-1", "p-2", "p-3")
        self.meters = world.enrolled("m-0", "m-1", "m-2", "m-3")
        self.authors = [world.author]
        for sub in ("g-2", "g-3"):
            actor = Actor("ewz", sub, secret_of(seed, "ewz", sub))
            member = {
                "sub": sub,
                "proof": world.proof("ewz", sub, actor.secret),
                "roles": ["gateway"],
            }
            change = world.step(
                [world.call(world.operator, "registry", "enrol", {"members": [member]})]
            )
            assert change.outcomes[-1].code == "accepted", change.outcomes
            self.authors.append(Author(actor))
        world.step([world.call(world.operator, "shop", "put_in", {"n": 20})])

    def piece(self, records: Sequence[bytes], author: int = 0) -> Piece:
        data = self.world.vertex(records, self.authors[author])
        return Piece(vertex_id(decode_vertex(data).header, self.world.view.ledger), data)

    def call(self, person: int, function: str, **args: int) -> bytes:
        return self.world.call(self.people[person], "shop", function, args)

    def reading(self, meter: int, wh: int) -> bytes:
        return self.world.reading(self.meters[meter], wh)

    def block(self, pieces: Sequence[Piece]) -> Block:
        return self.world.block(*[piece.data for piece in pieces])

    def take(
        self, provisional: Provisional, pieces: Sequence[Piece]
    ) -> tuple[Change, tuple[Difference, ...]]:
        block = self.block(pieces)
        change = self.world.take(block)
        return change, settle(provisional, pieces, change, block)


def settle(
    provisional: Provisional, pieces: Sequence[Piece], change: Change, block: Block
) -> tuple[Difference, ...]:
    return provisional.settle(
        [piece.id for piece in pieces],
        counts=[len(vertex.records) for vertex in block.vertices],
        exceptions=[
            one for one in change.outcomes if one.code != "accepted" or one.events or one.steps
        ],
        writes=change.writes,
        time_ms=change.time_ms,
    )


def give(provisional: Provisional, *pieces: Piece) -> list[Told | None]:
    told: list[Told | None] = []
    for piece in pieces:
        given = provisional.give(ordered(piece.data), vertex_id=piece.id, time_ms=0)
        assert given.taken
        told.append(given.told)
    return told


def give_again(provisional: Provisional, pieces: dict[bytes, Piece]) -> list[Difference]:
    found: list[Difference] = []
    while provisional.again:
        for one in provisional.again:
            given = provisional.give(ordered(pieces[one].data), vertex_id=one, time_ms=0)
            if not given.taken:
                assert provisional.full
                return found
            found += given.differences
    return found


class Alone:
    """What `apply` gives over a view, one vertex after the other, kept in a dictionary: the plain twin."""

    def __init__(self, view: MemoryView) -> None:
        self.view, self.height, self.ledger, self.log = view, view.height, view.ledger, view.log
        self.values = dict(view.scan(b""))

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(sorted(pair for pair in self.values.items() if pair[0].startswith(prefix)))

    def root_after(self, writes: object) -> bytes:
        assert writes is not None
        return bytes(32)

    def take(self, piece: Piece) -> Told:
        change = apply(self, Block(self.height + 1, 0, (ordered(piece.data),), bytes(32), 0))
        for key, value in change.writes.items():
            self.values.pop(key, None)
            if value is not None:
                self.values[key] = value
        (told,) = by_vertex([len(ordered(piece.data).records)], change.outcomes)
        return told


def check_equals_apply_alone(
    provisional: Provisional, village: Village, pieces: Sequence[Piece]
) -> None:
    alone = Alone(village.world.view)
    for piece in pieces:
        assert provisional.told(piece.id) == alone.take(piece)
    assert dict(provisional.scan(b"")) == alone.values
    shop = keyspace.key(keyspace.CONTRACT_DATA, "shop")
    assert list(provisional.scan(shop)) == list(alone.scan(shop))
    assert provisional.get(keyspace.meta("no such")) is None


def drawn(village: Village, draw: random.Random, count: int) -> list[Piece]:
    """Vertices of three gateways in which calls compete, and one record in ten was heard by two of them."""
    pieces: list[Piece] = []
    heard: list[bytes] = []
    watt_hours = 1_000
    for _ in range(count):
        records: list[bytes] = []
        for _ in range(draw.randrange(4)):
            watt_hours += draw.randrange(50)
            kind = draw.randrange(10)
            if kind < 5:
                records.append(village.reading(draw.randrange(4), watt_hours))
            elif kind < 8:
                records.append(village.call(draw.randrange(4), "take", n=draw.randrange(1, 9)))
            elif kind < 9 or not heard:
                records.append(village.call(draw.randrange(4), draw.choice(["count", "no_such"])))
            else:
                records.append(draw.choice(heard))
        heard += records
        pieces.append(village.piece(records, draw.randrange(3)))
    return pieces


def shuffled(pieces: Sequence[Piece], draw: random.Random) -> list[Piece]:
    """Another order in which each author's vertices keep theirs."""
    chains: dict[tuple[str, str], list[Piece]] = {}
    for piece in pieces:
        header = decode_vertex(piece.data).header
        chains.setdefault((header.iss, header.sub), []).append(piece)
    order: list[Piece] = []
    while waiting := [chain for chain in chains.values() if chain]:
        order.append(draw.choice(waiting).pop(0))
    return order


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bytes_max", [8_000, 60_000, 50_000_000])
def test_whatever_is_pending_and_whatever_becomes_final_the_view_equals_apply_alone(
    seed: int, bytes_max: int
) -> None:
    """Arrival and final order are drawn apart; after each block the view is what a fresh one would be.

    With little room layers are joined; then values may be those of before until all of a layer is final, and only
    what is told at the end is compared.
    """
    draw = random.Random(f"provisional/{seed}")
    village = Village(f"village/{seed}")
    pieces = drawn(village, draw, 18)
    arrivals, finals = shuffled(pieces, draw), shuffled(pieces, draw)
    by_id = {piece.id: piece for piece in pieces}
    provisional = Provisional(village.world.view, bytes_max=bytes_max)
    last_told: dict[bytes, Told] = {}
    said: dict[tuple[bytes, int | None], Outcome] = {}
    done: set[bytes] = set()
    here: list[Piece] = []
    while len(done) < len(pieces):
        for _ in range(draw.randrange(5)):
            if arrivals:
                piece = arrivals.pop(0)
                given = provisional.give(ordered(piece.data), vertex_id=piece.id, time_ms=0)
                if not given.taken:
                    assert provisional.full or provisional.again
                    arrivals.insert(0, piece)
                    break
                if piece.id not in done:
                    here.append(piece)
                    assert given.told is not None
                    last_told[piece.id] = given.told
        if draw.randrange(3):
            continue
        count = draw.randrange(1, 4)
        block, finals = finals[:count], finals[count:]
        change, found = village.take(provisional, block)
        for piece, now in zip(
            block,
            by_vertex([len(v.records) for v in village.world.blocks[-1].vertices], change.outcomes),
            strict=True,
        ):
            told = last_told.pop(piece.id, now)
            assert bool([one for one in found if one.vertex == piece.id]) == (told != now)
        assert all(one.final for one in found)
        done.update(piece.id for piece in block)
        here = [piece for piece in here if piece.id not in done]
        for one in [*found, *give_again(provisional, by_id)]:
            assert one.before != one.after
            said[one.vertex, one.record] = one.after
        for piece in here:
            told = provisional.told(piece.id)
            assert told is not None
            last_told[piece.id] = told
        if bytes_max > 1_000_000:
            check_equals_apply_alone(provisional, village, here)
    assert (provisional.vertices, provisional.size, provisional.again) == (0, 0, ())
    assert dict(provisional.scan(b"")) == dict(village.world.view.scan(b""))
    replay = World.begin(f"village/{seed}").view
    for block in village.world.blocks:
        replay.install(apply(replay, block))
    assert replay.tree.root == village.world.view.tree.root, (
        "what is final is what apply alone gives"
    )


def test_vertices_that_become_final_in_the_guessed_order_make_no_difference_and_are_applied_once() -> (
    None
):
    village = Village()
    provisional = Provisional(village.world.view)
    pieces = [
        village.piece([village.call(0, "take", n=3)]),
        village.piece([village.reading(0, 5), village.call(1, "take", n=4)], 1),
        village.piece([village.call(2, "take", n=5)]),
        village.piece([village.reading(0, 9), village.call(3, "take", n=50)], 2),
    ]
    give(provisional, *pieces)
    _, found = village.take(provisional, pieces[:2])
    assert (found, provisional.again, provisional.vertices) == ((), (), 2)
    check_equals_apply_alone(provisional, village, pieces[2:])
    _, found = village.take(provisional, pieces[2:])
    assert (found, provisional.again, provisional.size) == ((), (), 0)


def test_difference_names_record_before_and_after() -> None:
    village = Village()
    provisional = Provisional(village.world.view)
    mine = village.piece([village.reading(0, 5), village.call(0, "take", n=15)])
    theirs = village.piece([village.call(1, "take", n=12)], 1)
    (told,) = give(provisional, mine)
    assert told is not None
    assert told.of(0) == Outcome(0, 0, "accepted", 0, ())
    assert told.of(1).code == "accepted"
    assert told.of(1).events[0].data == {"n": 15, "left": 5}
    _, found = village.take(provisional, [theirs])
    assert found == (), "nothing that was told of is final yet"
    assert provisional.again == (mine.id,)
    (guessed,) = give_again(provisional, {mine.id: mine})
    assert (guessed.vertex, guessed.record, guessed.final) == (mine.id, 1, False)
    assert (guessed.before.code, guessed.after.code) == ("accepted", "shop.too-few")
    _, found = village.take(provisional, [mine])
    assert found == (), "the last guess was right"


def test_vertex_final_before_it_could_be_given_again_differs_from_what_was_told_first() -> None:
    village = Village()
    provisional = Provisional(village.world.view)
    mine = village.piece([village.call(0, "take", n=15)])
    theirs = village.piece([village.call(1, "take", n=12)], 1)
    give(provisional, mine)
    _, found = village.take(provisional, [theirs, mine])
    (one,) = found
    assert (one.record, one.before.code, one.after.code, one.final) == (
        0,
        "accepted",
        "shop.too-few",
        True,
    )
    assert provisional.again == ()


def test_vertex_refused_as_a_whole_differs_in_every_record() -> None:
    village = Village()
    provisional = Provisional(village.world.view)
    first = village.piece([village.reading(0, 5)])
    second = village.piece([village.reading(1, 5), village.reading(1, 6)])
    give(provisional, first, second)
    _, found = village.take(provisional, [second])
    assert [(one.record, one.after.code) for one in found] == [
        (0, "vertex-place"),
        (1, "vertex-place"),
    ]
    village.authors.append(Author(village.people[0]))
    third = village.piece([village.reading(2, 7)], 3)
    (told,) = give(provisional, third)
    assert told is not None
    assert told.of(0).code == "role-missing", "refused as a whole in the view already"
    _, found = village.take(provisional, [third])
    assert found == ()


def test_reading_of_another_device_disturbs_nothing() -> None:
    village = Village()
    provisional = Provisional(village.world.view)
    mine = village.piece([village.reading(0, 5), village.call(0, "take", n=1)])
    give(provisional, mine)
    village.take(provisional, [village.piece([village.reading(1, 5)], 1)])
    assert provisional.again == ()
    assert provisional.vertices == 1


def test_listing_is_disturbed_by_a_new_value_below_its_prefix() -> None:
    village = Village()
    provisional = Provisional(village.world.view)
    mine = village.piece([village.call(0, "count")])
    give(provisional, mine)
    village.take(provisional, [village.piece([village.call(1, "take", n=1)], 1)])
    assert provisional.again == (mine.id,)


def test_revoked_member_is_refused_in_the_view_after_the_revocation_is_final() -> None:
    village = Village()
    provisional = Provisional(village.world.view)
    other = village.piece([village.reading(1, 5)], 2)
    mine = village.piece([village.reading(0, 5)], 1)
    (_, told) = give(provisional, other, mine)
    assert told == Told(1, b"")
    revoke = village.world.call(village.world.operator, "registry", "revoke", {"sub": "m-0"})
    change, _ = village.take(provisional, [village.piece([revoke])])
    assert change.outcomes[0].code == "accepted", change.outcomes
    assert provisional.again == (mine.id,), "the other meter's rights are the same"
    (one,) = give_again(provisional, {mine.id: mine})
    assert (one.before.code, one.after.code) == ("accepted", "member-suspended")


def test_new_vertex_waits_while_another_is_to_come_again() -> None:
    village = Village()
    provisional = Provisional(village.world.view)
    mine = village.piece([village.call(0, "take", n=15)])
    later = village.piece([village.reading(0, 1)])
    give(provisional, mine)
    village.take(provisional, [village.piece([village.call(1, "take", n=12)], 1)])
    given = provisional.give(ordered(later.data), vertex_id=later.id, time_ms=0)
    assert not given.taken
    give_again(provisional, {mine.id: mine})
    assert give(provisional, later) == [Told(1, b"")]


def test_vertex_given_twice_or_after_it_is_final_changes_nothing() -> None:
    village = Village()
    provisional = Provisional(village.world.view)
    mine = village.piece([village.reading(0, 5)])
    give(provisional, mine)
    size = provisional.size
    assert give(provisional, mine) == [None]
    assert provisional.size == size
    village.take(provisional, [mine])
    assert give(provisional, mine) == [None]
    assert (provisional.size, provisional.told(mine.id)) == (0, None)


def test_full_view_takes_no_more_until_something_is_final() -> None:
    village = Village()
    provisional = Provisional(village.world.view, bytes_max=6_000)
    people = village.world.enrolled(*[f"d-{n}" for n in range(12)])
    pieces = [village.piece([village.world.reading(one, 5)]) for one in people]
    taken = [provisional.give(ordered(p.data), vertex_id=p.id, time_ms=0).taken for p in pieces]
    count = taken.index(False)
    assert count > 2
    assert not any(taken[count:])
    assert provisional.full
    village.take(provisional, pieces[:count])
    assert not provisional.full
    assert give(provisional, pieces[count]) == [Told(1, b"")]


def test_nothing_it_remembers_is_needed() -> None:
    village = Village()
    provisional, forgetful = Provisional(village.world.view), Provisional(village.world.view)
    for piece in drawn(village, random.Random("forget"), 12):
        assert give(provisional, piece) == give(forgetful, piece)
        forgetful.forget()
    assert dict(provisional.scan(b"")) == dict(forgetful.scan(b""))


def test_vertex_that_continues_one_which_is_not_here_waits_for_it() -> None:
    village = Village()
    provisional = Provisional(village.world.view)
    first, second = village.piece([village.reading(0, 5)]), village.piece([village.reading(0, 6)])
    given = provisional.give(ordered(second.data), vertex_id=second.id, time_ms=0)
    assert (given.taken, given.early, given.told) == (True, True, None)
    assert provisional.told(second.id) is None
    assert give(provisional, first, second) == [Told(1, b""), Told(1, b"")]


def test_pending_rows_of_the_registry_are_told_once_and_leave_when_they_are_final() -> None:
    village = Village()
    world, provisional = village.world, Provisional(village.world.view)
    give(provisional, village.piece([village.reading(0, 5)], 1))
    assert provisional.registry() is None
    newcomer = world.newcomer("m-9")
    proof = world.proof("ewz", "m-9", newcomer.secret)
    members = {"members": [{"sub": "m-9", "proof": proof, "profile": "electricity"}]}
    enrolment = village.piece([world.call(world.operator, "registry", "enrol", members)])
    reading = village.piece([world.reading(newcomer, 7)])
    (enrolled, read) = give(provisional, enrolment, reading)
    assert enrolled is not None
    assert enrolled.of(0).code == "accepted"
    assert read == Told(1, b""), "let in before the enrolment is final"
    pending = provisional.registry()
    assert pending is not None
    assert keyspace.member("ewz", "m-9") in pending
    assert keyspace.stream(("ewz", "m-9")) not in pending
    assert provisional.registry() is None
    village.take(provisional, [enrolment])
    assert provisional.registry() == {}
