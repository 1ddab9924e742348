"""What is here, over the real vertices.db: ends, tips, bodies still to come; the same before and after a restart."""

import random
from pathlib import Path

import pytest
from sync_world import LEDGER, Sealed, chain_of, ids, key_of, seal

from drystone import limits
from drystone.errors import VertexAltered
from drystone.gateway.sync import holdings as room
from drystone.gateway.sync.effects import Arrived
from drystone.gateway.sync.holdings import VertexHoldings, gateway_keys, member_keys
from drystone.gateway.sync.messages import Point, Stretch
from drystone.ledger import keyspace, rows
from drystone.records.dag import Author, Dag
from drystone.sim.world import World
from drystone.storage.vertices import VertexDB

G2 = Author("ewz", "g-2")


@pytest.fixture
def store(tmp_path: Path) -> VertexDB:
    return VertexDB.create(tmp_path / "vertices.db", LEDGER)


def over(store: VertexDB) -> VertexHoldings:
    return VertexHoldings(store=store, ledger=LEDGER, key_of=key_of)


def arrived(one: Sealed, *, body: bool = True) -> Arrived:
    return Arrived(one.header, one.body if body else None, one.id)


def keep(store: VertexDB, held: VertexHoldings, *vertices: Sealed, body: bool = True) -> None:
    found = [arrived(one, body=body) for one in vertices]
    for one in found:
        held.stage(one)
    store.keep([(one.header.raw, one.body) for one in found])
    held.kept(found)


def drawn(seed: int) -> list[Sealed]:
    """Vertices of three authors with links, one of them forked, parents first."""
    draw = random.Random(seed)
    found: list[Sealed] = []
    ends: dict[str, list[Sealed]] = {"g-1": [], "g-2": [], "g-3": []}
    for number in range(60):
        name = draw.choice(sorted(ends))
        chain = ends[name]
        if name == "g-3" and len(chain) > 3 and draw.random() < 0.1:
            chain = ends[name] = chain[: draw.randrange(1, len(chain))]
        links = [one.id for one in draw.sample(found, min(2, len(found)))]
        parent = chain[-1].id if chain else None
        one = seal(
            name,
            seq=len(chain),
            parent=parent,
            links=[link for link in links if link != parent],
            records=[bytes([0x18, 100 + number])],
        )
        chain.append(one)
        found.append(one)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_memory_and_a_fresh_start_tell_the_same_as_the_dag(store: VertexDB, seed: int) -> None:
    held, vertices = over(store), drawn(seed)
    for one in vertices:
        keep(store, held, one)
    dag = Dag(LEDGER, [one.header for one in vertices])
    fresh = over(store)
    assert held.heads() == fresh.heads()
    assert sorted(held.tips(limit=99)) == sorted(fresh.tips(limit=99)) == dag.tips()
    assert held.forks().keys() == fresh.forks().keys()
    for author, point in dag.frontier().items():
        assert Point(*point) in held.heads_of(author)
    assert bool(held.forks()) == bool(dag.forks())


@pytest.mark.parametrize("seed", range(3))
def test_vertices_that_are_not_in_memory_are_found_on_the_disk(
    store: VertexDB, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DAG_HEADERS_MAX", 8)
    monkeypatch.setattr(room, "PAGE", 5)
    held, vertices = over(store), drawn(seed)
    for one in vertices:
        keep(store, held, one)
    fresh = over(store)
    assert len(held) == 8
    for one in vertices:
        place = held.find(one.id)
        assert place == fresh.find(one.id)
        assert place is not None
        assert (place.epoch, place.seq) == (one.header.epoch, one.header.seq)
        assert held.header(one.id) == one.header.raw
        assert held.has_body(one.id)
    assert held.heads() == fresh.heads()
    assert held.forks().keys() == fresh.forks().keys()


def test_a_stretch_gives_headers_in_order_through_epochs_with_both_branches(
    store: VertexDB,
) -> None:
    held = over(store)
    chain = chain_of("g-2", 4)
    twin = seal("g-2", seq=2, parent=chain[1].id, records=[b"\x09"])
    new = seal("g-2", epoch=3, seq=0, parent=chain[3].id, records=[])
    keep(store, held, *chain, twin, new)
    everything = Stretch(G2, (0, 1), (9, 9))
    found = held.headers(everything, limit=99)
    middle = sorted([chain[2], twin], key=lambda one: found.index(one.header.raw))
    assert found == [one.header.raw for one in (chain[1], *middle, chain[3], new)]
    assert held.headers(Stretch(G2, (0, 2), (0, 2)), limit=99) == found[1:3]
    # A page never ends between two branches.
    assert held.headers(everything, limit=2) == found[:3]
    assert held.headers(Stretch(Author("ewz", "g-9"), (0, 0), (9, 9)), limit=9) == []


def test_what_is_staged_counts_as_parent_and_is_told_to_nobody(store: VertexDB) -> None:
    held = over(store)
    one, two = chain_of("g-2", 2)
    held.stage(arrived(one, body=False))
    assert held.find(one.id) is not None
    assert held.tops_of(G2) == [(0, 0)]
    assert held.heads() == []
    assert held.header(one.id) is None
    assert not held.has_body(one.id)
    assert held.room == limits.SYNC_STAGED_MAX - 1
    held.stage(arrived(two, body=False))
    held.dropped([arrived(two, body=False)])
    assert held.tops_of(G2) == [(0, 0)]
    assert held.find(two.id) is None


def test_bodies_still_to_come_are_wanted_in_the_order_of_arrival(store: VertexDB) -> None:
    held = over(store)
    chain = chain_of("g-2", 5)
    keep(store, held, *chain, body=False)
    assert [own_id for own_id, _ in held.wanted()] == [one.id for one in chain]
    keep(store, held, chain[0], chain[3])
    rest = [chain[1].id, chain[2].id, chain[4].id]
    assert [own_id for own_id, _ in held.wanted()] == rest
    assert [own_id for own_id, _ in over(store).wanted()] == rest
    assert held.has_body(chain[0].id)
    assert not held.has_body(chain[1].id)
    held.stage(arrived(chain[1]))
    assert not held.wants_body(chain[1].id)
    assert held.wanted_header(chain[1].id) is None
    assert held.wanted_header(chain[2].id) == chain[2].header


def test_bodies_still_to_come_are_noted_up_to_a_bound_and_found_when_there_is_room(
    store: VertexDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "BODIES_NOTED_MAX", 4)
    monkeypatch.setattr(room, "PAGE", 2)
    held = over(store)
    chain = chain_of("g-2", 11)
    keep(store, held, *chain, body=False)
    came: list[bytes] = []
    for _ in range(20):
        wanted = list(held.wanted())
        assert len(wanted) <= 6
        if not wanted:
            break
        one = next(one for one in chain if one.id == wanted[0][0])
        keep(store, held, one)
        came.append(one.id)
    assert came == [one.id for one in chain]


def test_branches_of_an_author_are_bounded(store: VertexDB) -> None:
    held = over(store)
    (stem,) = chain_of("g-2", 1)
    keep(store, held, stem)
    for note in range(limits.SYNC_BRANCHES_MAX):
        branch = seal("g-2", seq=1, parent=stem.id, records=[bytes([note])])
        assert held.takes(branch.header)
        keep(store, held, branch)
    more = seal("g-2", seq=1, parent=stem.id, records=[b"\x18\x63"])
    assert not held.takes(more.header)
    on = seal("g-2", seq=2, parent=next(iter(held.heads_of(G2))).id)
    assert held.takes(on.header)


def test_a_signature_is_checked_against_the_authors_key(store: VertexDB) -> None:
    (one,) = chain_of("g-2", 1)
    assert over(store).check(one.header)
    stranger = VertexHoldings(store=store, ledger=LEDGER, key_of=lambda _i, _s, _k: None)
    assert not stranger.check(one.header)
    with pytest.raises(VertexAltered, match="g-2 0/0"):
        over(store).check(one.header._replace(signature=bytes(64)))
    other = VertexHoldings(store=store, ledger=bytes(32), key_of=key_of)
    with pytest.raises(VertexAltered):
        other.check(one.header)


def test_keys_come_from_the_registry_and_only_gateways_speak() -> None:
    world = World.begin()
    (meter,) = world.enrolled("m-1")
    key = gateway_keys(world.view)
    gateway = world.author.actor
    kid = gateway.secret.public.kid()
    assert key(gateway.iss, gateway.sub, kid) == gateway.secret.public
    assert key(meter.iss, meter.sub, meter.secret.public.kid()) is None
    assert key(gateway.iss, gateway.sub, bytes(4)) is None
    assert key(gateway.iss, "nobody", kid) is None
    everybody = member_keys(world.view)
    assert everybody(meter.iss, meter.sub, meter.secret.public.kid()) == meter.secret.public


def test_a_revoked_key_convicts_nobody_and_what_it_once_sealed_is_still_read() -> None:
    world = World.begin()
    gateway = world.author.actor
    own_key = keyspace.member_key(gateway.iss, gateway.sub, gateway.secret.public.kid())
    row = rows.decode_key_row(world.view.get(own_key) or b"")
    revoked = row._replace(status=rows.REVOKED).encode()

    class Revoked:
        def get(self, key: bytes) -> bytes | None:
            return revoked if key == own_key else world.view.get(key)

    kid = gateway.secret.public.kid()
    assert gateway_keys(Revoked())(gateway.iss, gateway.sub, kid) == gateway.secret.public
    assert member_keys(Revoked())(gateway.iss, gateway.sub, kid) is None


def test_tips_are_what_a_new_vertex_may_cite(store: VertexDB) -> None:
    held = over(store)
    a, b = chain_of("g-1", 1)[0], chain_of("g-2", 1)[0]
    c = seal("g-3", seq=0, parent=None, links=[a.id])
    keep(store, held, c)
    keep(store, held, a, b)  # What c cites comes after it.
    assert ids([b, c]) == set(held.tips())
    d = seal("g-1", seq=1, parent=a.id, links=[b.id, c.id])
    keep(store, held, d)
    assert held.tips() == [d.id]
