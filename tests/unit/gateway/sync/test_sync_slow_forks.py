"""Forks over links on which two headers fill a message: branches at one place are never cut apart. Found by simulation."""

import pytest
from sync_world import Gateway, Net, Sealed, chain_of, ids, seal

from drystone.formats import cbor
from drystone.gateway.sync.effects import SyncBounds


def branches(stem: int, lengths: tuple[int, ...]) -> list[list[Sealed]]:
    """Chains of g-2 with one stem, each with its own branch."""
    found: list[list[Sealed]] = []
    for note, length in enumerate(lengths):
        chain = chain_of("g-2", stem)
        for seq in range(stem, stem + length):
            parent = chain[-1].id if chain else None
            chain.append(seal("g-2", seq=seq, parent=parent, records=[cbor.encode([note, seq])]))
        found.append(chain)
    return found


def meet_slowly(a: Gateway, b: Gateway) -> Net:
    net = Net(a, b)
    net.link(a.name, b.name)
    net.settle(until_ms=3_600_000)
    return net


@pytest.mark.parametrize("lengths", [(2, 2), (3, 6), (6, 3), (1, 8), (4, 4, 4)])
@pytest.mark.parametrize("stem", [0, 1, 2, 7])
def test_a_side_with_one_branch_gets_the_others(stem: int, lengths: tuple[int, ...]) -> None:
    chains = branches(stem, lengths)
    a, b = (Gateway(name, bounds=SyncBounds.slow()) for name in ("g-0", "g-1"))
    a.put(*chains[0])
    for chain in chains:
        b.put(*chain)

    meet_slowly(a, b)

    assert a.faults == b.faults == []
    assert a.vertices == b.vertices == ids([one for chain in chains for one in chain])


@pytest.mark.parametrize("count", [2, 5])
def test_many_parents_asked_for_by_id_come_in_more_than_one_message(count: int) -> None:
    names = [f"g-{number}" for number in range(2, 2 + count)]
    a, b = (Gateway(name, bounds=SyncBounds.slow()) for name in ("g-0", "g-1"))
    for name in names:
        stem = chain_of(name, 12)
        a.put(*stem, seal(name, epoch=1, seq=0, parent=stem[-1].id, records=[]))
        b.put(*stem[:-3], seal(name, epoch=1, seq=0, parent=stem[-5].id, records=[]))

    meet_slowly(a, b)

    assert a.faults == b.faults == []
    assert a.vertices == b.vertices
