"""Forks between gateways: both branches reach everybody, the evidence too, and the author goes on with a new epoch."""

import random

import pytest
from sync_world import LEDGER, Gateway, Net, Sealed, chain_of, heal, ids, key_of, seal

from drystone import limits
from drystone.formats import cbor
from drystone.gateway.sync.effects import Arrived
from drystone.records.evidence import check_fork, decode_fork
from drystone.records.key import PublicKey


def branch(stem: list[Sealed], count: int, *, note: int) -> list[Sealed]:
    """Vertices that go on from the end of `stem`, apart from those of another note."""
    found = list(stem)
    for seq in range(len(stem), len(stem) + count):
        parent = found[-1].id if found else None
        record = cbor.encode([note, seq])
        found.append(seal("g-2", seq=seq, parent=parent, records=[record]))
    return found


def meet(a: Gateway, b: Gateway) -> Net:
    net = Net(a, b)
    net.link(a.name, b.name)
    net.settle(until_ms=30_000)
    return net


@pytest.mark.parametrize(
    ("stem", "left", "right"),
    [(0, 1, 1), (1, 5, 3), (40, 1, 1), (3, 60, 2), (50, 2, 60), (200, 30, 30)],
)
def test_both_branches_of_a_fork_reach_both_sides(stem: int, left: int, right: int) -> None:
    common = chain_of("g-2", stem)
    one, two = branch(common, left, note=1), branch(common, right, note=2)
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*one)
    b.put(*two)

    net = meet(a, b)

    assert a.vertices == b.vertices == a.whole == b.whole == ids([*one, *two])
    assert not a.faults
    assert not b.faults
    assert net.links


def test_a_fork_at_an_epochs_start_is_joined_by_its_parents_id() -> None:
    stem = chain_of("g-2", 30)
    left = [seal("g-2", epoch=1, seq=0, parent=stem[-1].id, records=[])]
    left.append(seal("g-2", epoch=1, seq=1, parent=left[-1].id))
    right = [seal("g-2", epoch=1, seq=0, parent=stem[-5].id, records=[])]
    right.append(seal("g-2", epoch=1, seq=1, parent=right[-1].id, records=[b"\x02"]))
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*stem, *left)
    b.put(*stem[:-4], *right)

    meet(a, b)

    assert a.vertices == b.vertices == ids([*stem, *left, *right])
    assert a.faults == b.faults == []


@pytest.mark.parametrize("left", [1, 3, 9])
def test_a_new_epoch_behind_another_branch_is_joined_by_its_parents_id(left: int) -> None:
    """A gateway restored from a backup forks, then begins a new epoch; its peer knows the other branch, and further."""
    stem = chain_of("g-2", 4)
    ours = branch(stem, left, note=1)
    theirs = branch(stem, 2, note=2)
    new = seal("g-2", epoch=1, seq=0, parent=theirs[-1].id, records=[])
    on = seal("g-2", epoch=1, seq=1, parent=new.id)
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*theirs, new, on)
    b.put(*ours)
    meet(a, b)
    assert a.vertices == b.vertices == a.whole == b.whole == ids([*ours, *theirs, new, on])
    assert a.faults == b.faults == []


def test_evidence_is_found_by_who_first_holds_both_and_spreads_to_who_never_saw_them() -> None:
    stem = chain_of("g-2", 3)
    a, b, c = Gateway("g-0"), Gateway("g-1"), Gateway("g-3")
    a.put(*branch(stem, 2, note=1))
    b.put(*branch(stem, 2, note=2))
    net = Net(a, b, c)
    net.link("g-0", "g-1")
    net.link("g-1", "g-3")
    net.settle(until_ms=30_000)

    for gateway in (a, b, c):
        (evidence,) = gateway.holdings.forks().values()
        fork = decode_fork(evidence, ledger=LEDGER)
        check_fork(fork, ledger=LEDGER, key_of=must_know)
        assert (fork.a.sub, fork.a.epoch, fork.a.seq) == ("g-2", 0, 3)
        assert gateway.holdings.suspended("ewz", "g-2", 0)
        assert not gateway.holdings.suspended("ewz", "g-2", 1)
        assert not gateway.holdings.suspended("ewz", "g-0", 0)
        assert gateway.forks


def must_know(iss: str, sub: str, kid: bytes) -> PublicKey:
    key = key_of(iss, sub, kid)
    assert key is not None
    return key


def test_evidence_is_told_once_to_who_does_not_know_it() -> None:
    stem = chain_of("g-2", 2)
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*branch(stem, 1, note=1), *branch(stem, 1, note=2)[2:])
    net = meet(a, b)
    assert net.kinds("g-0", "g-1").count("Fork") == 1
    net.sent.clear()
    net.link("g-0", "g-1")
    net.settle()
    assert "Fork" not in net.kinds("g-0", "g-1") + net.kinds("g-1", "g-0")


def test_the_author_goes_on_with_a_new_epoch_that_cites_both_heads() -> None:
    stem = chain_of("g-2", 2)
    one, two = branch(stem, 3, note=1), branch(stem, 2, note=2)
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*one)
    b.put(*two)
    net = meet(a, b)

    new = seal("g-2", epoch=1, seq=0, parent=one[-1].id, links=[two[-1].id], records=[])
    on = seal("g-2", epoch=1, seq=1, parent=new.id)
    for vertex in (new, on):
        net.tell("g-0", a.keep([Arrived(vertex.header, vertex.body, vertex.id)], net.now_ms))
        net.settle()

    assert b.whole == a.whole == ids([*one, *two, new, on])
    assert not b.holdings.suspended("ewz", "g-2", 1)


def test_a_branch_too_many_is_not_taken_and_nobody_is_blamed() -> None:
    stem = chain_of("g-2", 1)
    branches = [branch(stem, 3, note=note) for note in range(limits.SYNC_BRANCHES_MAX + 1)]
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*stem)
    for one in branches[:4]:
        a.put(*one[1:])
    b.put(*stem)
    for one in branches[4:]:
        b.put(*one[1:])

    net = meet(a, b)
    net.settle(until_ms=600_000)

    # Each side has as many branches as there may be, its own among them.
    assert len(a.holdings.heads_of(a.holdings.heads()[0].author)) == limits.SYNC_BRANCHES_MAX
    assert len(b.holdings.heads_of(b.holdings.heads()[0].author)) == limits.SYNC_BRANCHES_MAX
    assert a.faults == b.faults == []
    fresh = seal("g-0", seq=0, parent=None)
    net.tell("g-0", a.keep([Arrived(fresh.header, fresh.body, fresh.id)], net.now_ms))
    net.settle()
    assert fresh.id in b.whole


def test_forks_are_found_again_after_a_restart() -> None:
    stem = chain_of("g-2", 5)
    a = Gateway("g-0")
    a.put(*branch(stem, 2, note=1), *branch(stem, 3, note=2)[5:])
    heads, forks = a.holdings.heads(), a.holdings.forks()
    a.restart()
    assert a.holdings.heads() == heads
    assert [len(one.points) for one in heads] == [2]
    assert a.holdings.forks().keys() == forks.keys()


def _place(one: Sealed) -> tuple[int, int]:
    return one.header.epoch, one.header.seq


@pytest.mark.parametrize("seed", range(20))
def test_whatever_forks_there_are_everybody_ends_with_all_branches(seed: int) -> None:
    draw = random.Random(f"forks {seed}")
    gateways = [Gateway(f"g-{number}") for number in range(3)]
    every: dict[bytes, Sealed] = {}
    for author in ("g-3", "g-4"):
        chains: list[list[Sealed]] = [[]]
        for note in range(draw.randrange(1, 5)):
            base = draw.choice(chains)
            chain = base[: draw.randrange(len(base) + 1)]
            epoch, seq = _place(chain[-1]) if chain else (0, -1)
            for _ in range(draw.randrange(1, 25)):
                parent = chain[-1].id if chain else None
                record = cbor.encode([note, seq])
                if chain and draw.random() < 0.1:
                    epoch, seq = epoch + draw.randrange(1, 3), 0
                    one = seal(author, epoch=epoch, seq=0, parent=parent, records=[])
                else:
                    seq += 1
                    one = seal(author, epoch=epoch, seq=seq, parent=parent, records=[record])
                chain = [*chain, one]
            chains.append(chain)
        for chain in chains[1:]:
            draw.choice(gateways).put(*chain)
            every.update({one.id: one for one in chain})
    net = Net(*gateways)
    net.link("g-0", "g-1")
    net.link("g-1", "g-2")
    heal(net)
    for gateway in gateways:
        assert gateway.vertices == gateway.whole == set(every)
        assert gateway.faults == []
        assert gateway.holdings.heads() == gateways[0].holdings.heads()
        for author, points in gateway.holdings.heads():
            assert gateway.holdings.tops_of(author) == sorted(point[:2] for point in points)
        assert gateway.holdings.forks().keys() == gateways[0].holdings.forks().keys()
