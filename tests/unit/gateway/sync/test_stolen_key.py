"""A stolen device key used at two gateways: one record of each position is accepted, and the evidence suspends the branch.

Method: two gateways seal what the owner and the thief signed for one position; sync brings both vertices to the side
that orders; the ledger takes them in either order.
"""

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import pytest

from drystone.gateway.sync.effects import Effects, Own, SyncBounds
from drystone.gateway.sync.holdings import VertexHoldings, gateway_keys, member_keys
from drystone.gateway.sync.session import Session
from drystone.ledger import keyspace, rows
from drystone.records.dag import Author as Name
from drystone.records.evidence import encode_fork
from drystone.records.record import check_form
from drystone.records.vertex import decode_vertex, vertex_id
from drystone.sim.world import Actor, Author, World
from drystone.storage.vertices import VertexDB


@pytest.fixture
def world() -> World:
    world = World.begin()
    second = world.newcomer("g-2")
    member = {
        "sub": "g-2",
        "proof": world.proof(second.iss, "g-2", second.secret),
        "roles": ["gateway"],
    }
    change = world.step([world.call(world.operator, "registry", "enrol", {"members": [member]})])
    assert [one.code for one in change.outcomes] == ["accepted"]
    world.enrolled("m-1")
    return world


def exchanged(world: World, tmp_path: Path, by_gateway: dict[str, Sequence[bytes]]) -> list[bytes]:
    """Bring each gateway's vertices to a node over sync; give what the node holds, whole, in the order of arrival."""
    ledger = world.view.ledger
    node_store = VertexDB.create(tmp_path / "node.db", ledger)
    node = VertexHoldings(store=node_store, ledger=ledger, key_of=gateway_keys(world.view))
    for name, vertices in by_gateway.items():
        store = VertexDB.create(tmp_path / f"{name}.db", ledger)
        for data in vertices:
            header, body = decode_vertex(data)
            assert body is not None
            store.keep([(header.raw, b"".join(body))])
        held = VertexHoldings(store=store, ledger=ledger, key_of=gateway_keys(world.view))
        run(
            {"node": (node, node_store), name: (held, store)},
            ledger,
        )
    return [one.id for one in node_store.arrived() if node_store.body(one.number) is not None]


def run(sides: dict[str, tuple[VertexHoldings, VertexDB]], ledger: bytes) -> None:
    """Let two sides talk until neither has anything to say."""
    a, b = sides
    sessions = {
        me: Session(
            own=Own(ledger=ledger, iss="ewz", sub=me, role="gateway", instance=1),
            store=sides[me][0],
            bounds=SyncBounds(relay_ms=0),
            peer=Name("ewz", other),
        )
        for me, other in ((a, b), (b, a))
    }
    queue: list[tuple[str, bytes]] = []

    def perform(me: str, effects: Effects) -> None:
        held, store = sides[me]
        assert effects.close is None
        queue.extend((b if me == a else a, message) for message in effects.send)
        if effects.keep:
            store.keep([(one.header.raw, one.body) for one in effects.keep])
            held.kept(effects.keep)
            perform(me, sessions[me].grown([one.header for one in effects.keep], 1))
        for own_id in effects.load:
            perform(me, sessions[me].loaded(own_id, store.packed(own_id), 1))

    for me in sides:
        perform(me, sessions[me].opened(1))
    while queue:
        to, message = queue.pop(0)
        perform(to, sessions[to].received(message, 1))


@pytest.mark.parametrize("order", list(permutations(("g-1", "g-2"))))
def test_one_of_two_records_at_a_position_is_accepted_and_the_other_is_already(
    world: World, tmp_path: Path, order: tuple[str, str]
) -> None:
    meter = world.actors["ewz/m-1"]
    owner, thief = world.reading(meter, 5, seq=0), world.reading(meter, 7, seq=0)
    assert check_form(owner).id != check_form(thief).id
    authors = {"g-1": world.author, "g-2": Author(world.actors["ewz/g-2"])}
    sealed = {
        "g-1": world.vertex([owner], authors["g-1"]),
        "g-2": world.vertex([thief], authors["g-2"]),
    }

    # Earlier vertices of g-1 are on its disk too; its chain comes whole.
    arrived = exchanged(world, tmp_path, {"g-2": [sealed["g-2"]]})
    assert arrived == [vertex_id(decode_vertex(sealed["g-2"]).header, world.view.ledger)]

    change = world.take(world.block(*(sealed[name] for name in order)))

    assert [one.code for one in change.outcomes] == ["accepted", "already"]
    evidence = {"kind": "record", "a": owner.hex(), "b": thief.hex()}
    change = world.step([world.call(world.operator, "registry", "fork", evidence)])
    assert [one.code for one in change.outcomes] == ["accepted"]
    assert change.outcomes[0].events[0].name == "fork"
    member = world.view.get(keyspace.member("ewz", "m-1"))
    assert member is not None
    assert rows.decode_member(member).epoch_min == 1

    # The branch is suspended for the thief and the owner alike; the owner goes on with the next epoch.
    late = world.reading(meter, 9, seq=1)
    assert [one.code for one in world.step([late]).outcomes] == ["member-suspended"]
    again = Actor(meter.iss, meter.sub, meter.secret, epoch=1)
    assert [one.code for one in world.step([world.reading(again, 11)]).outcomes] == ["accepted"]


def test_evidence_of_two_records_spreads_and_is_verified_by_who_knows_the_device(
    world: World, tmp_path: Path
) -> None:
    meter = world.actors["ewz/m-1"]
    pair = [check_form(world.reading(meter, wh, seq=0)) for wh in (5, 7)]
    evidence = encode_fork(*pair, ledger=world.view.ledger)
    sides: dict[str, tuple[VertexHoldings, VertexDB]] = {}
    for name in ("g-1", "g-2"):
        store = VertexDB.create(tmp_path / f"{name}.db", world.view.ledger)
        held = VertexHoldings(
            store=store,
            ledger=world.view.ledger,
            key_of=gateway_keys(world.view),
            member_key_of=member_keys(world.view),
        )
        sides[name] = (held, store)
    assert sides["g-1"][0].add_fork(evidence)
    run(sides, world.view.ledger)
    assert sides["g-2"][0].forks() == sides["g-1"][0].forks()
