"""Whatever links do, all sides end with the same vertices, whole, and nobody honest is blamed.

Method: gateways seal while links deliver in any order, lose and double messages, break and come back; some gateways
crash and start again from what they had stored. Then the links hold, and everything must come across.
"""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sync_world import Gateway, Net, Sealed, chaos, heal, seal

from drystone.formats import cbor
from drystone.gateway.sync.effects import Arrived, SyncBounds

QUICK = SyncBounds(relay_ms=10, answer_ms=1_000, ping_ms=10_000, silent_ms=60_000)
TIGHT = SyncBounds(
    chunk_bytes=300, burst_bytes=400, window_bytes=600, bodies=2, headers=2,
    answer_ms=1_000, ping_ms=10_000, silent_ms=60_000, relay_ms=50,
)  # fmt: skip
SHAPES = {
    "pair": [(0, 1)],
    "line": [(0, 1), (1, 2)],
    "triangle": [(0, 1), (1, 2), (0, 2)],
    "star": [(0, 1), (0, 2), (0, 3)],
}


def check_equal(net: Net) -> None:
    gateways = list(net.gateways.values())
    for gateway in gateways:
        assert [str(fault) for fault in gateway.faults] == []
        assert gateway.vertices == gateways[0].vertices
        assert gateway.whole == gateway.vertices
        assert gateway.holdings.heads() == gateways[0].holdings.heads()
        assert sorted(gateway.holdings.tips(limit=99)) == sorted(
            gateways[0].holdings.tips(limit=99)
        )
        assert list(gateway.holdings.wanted()) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32),
    shape=st.sampled_from(sorted(SHAPES)),
    bounds=st.sampled_from([QUICK, TIGHT]),
    loss=st.sampled_from([0.0, 0.05, 0.3]),
    crashes=st.integers(0, 3),
)
def test_any_delivery_with_losses_and_reconnects_ends_with_equal_sets_s0_26(
    seed: int, shape: str, bounds: SyncBounds, loss: float, crashes: int
) -> None:
    draw = random.Random(seed)
    links = SHAPES[shape]
    count = 1 + max(max(link) for link in links)
    net = Net(*(Gateway(f"g-{number}", bounds=bounds) for number in range(count)))
    for a, b in links:
        net.link(f"g-{a}", f"g-{b}")
    for _ in range(crashes + 1):
        chaos(net, draw, steps=120, loss=loss, seal_chance=0.1)
        if crashes:
            crash(net, draw.choice(sorted(net.gateways)))
    heal(net)
    check_equal(net)


def crash(net: Net, name: str) -> None:
    """Take a gateway down and up; its links break."""
    for link in net.links.values():
        if name in (link.a, link.b):
            net.cut(link.a, link.b)
    net.gateways[name].restart()


@pytest.mark.parametrize("seed", range(6))
def test_losses_on_a_link_that_never_breaks_are_mended_by_signs_of_life(seed: int) -> None:
    net = Net(*(Gateway(f"g-{number}", bounds=QUICK) for number in range(3)))
    net.link("g-0", "g-1")
    net.link("g-1", "g-2")
    net.settle()
    draw = random.Random(seed)
    for _ in range(300):
        if draw.random() < 0.1:
            net.seal(draw.choice(sorted(net.gateways)))
        for to, of in net.directions():
            queue = net.links[frozenset((to, of))].queues[to]
            if queue and draw.random() < 0.3:
                queue.popleft()
            net.deliver(to, of)
        net.now_ms += 50
        net.tick_due()
    net.settle(until_ms=200_000)
    check_equal(net)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_what_everybody_ends_with_does_not_depend_on_who_meets_first_s1_18(
    order: tuple[int, ...],
) -> None:
    net = Net(*(Gateway(f"g-{number}") for number in range(3)))
    for name in sorted(net.gateways):
        for _ in range(5):
            net.seal(name)
    pairs = [("g-0", "g-1"), ("g-1", "g-2"), ("g-0", "g-2")]
    for number in (*order, *order):
        net.link(*pairs[number])
        net.settle()
        net.cut(*pairs[number])
    check_equal(net)
    assert len(net.gateways["g-0"].vertices) == 15


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), loss=st.sampled_from([0.0, 0.1]))
def test_forks_that_grow_while_links_fail_end_with_equal_sets(seed: int, loss: float) -> None:
    """An author is sealed for at several gateways at once, from any of its ends, in any epoch, while links come and go."""
    draw = random.Random(seed)
    net = Net(*(Gateway(f"g-{number}", bounds=draw.choice([QUICK, TIGHT])) for number in range(3)))
    for a, b in SHAPES[draw.choice(["line", "triangle"])]:
        net.link(f"g-{a}", f"g-{b}")
    ends: dict[str, list[Sealed]] = {name: [] for name in net.gateways}
    branches = 0
    for number in range(40):
        chaos(net, draw, steps=8, loss=loss, seal_chance=0.05)
        name = draw.choice(sorted(net.gateways))
        gateway = net.gateways[name]
        known = [one for every in ends.values() for one in every if one.id in gateway.whole]
        if known and (branches >= 5 or draw.random() < 0.8):
            # On from this gateway's own end of the forked chain, if it has one, else from any that it holds.
            last = ends[name][-1] if ends[name] else draw.choice(known)
            branches += not ends[name]
            new_epoch = draw.random() < 0.15
            epoch = last.header.epoch + new_epoch
            seq = 0 if new_epoch else last.header.seq + 1
            records = [] if new_epoch else [cbor.encode([name, number])]
            one = seal("g-7", epoch=epoch, seq=seq, parent=last.id, records=records)
        elif branches < 5 and not ends[name]:
            branches += 1
            one = seal("g-7", seq=0, parent=None, records=[cbor.encode([name, number])])
        else:
            continue
        ends[name].append(one)
        arrived = Arrived(one.header, one.body, one.id)
        net.tell(name, gateway.keep([arrived], net.now_ms))
    heal(net)
    check_equal(net)
    for author, points in net.gateways["g-0"].holdings.heads():
        for gateway in net.gateways.values():
            tops = gateway.holdings.tops_of(author)
            assert tops == sorted((point.epoch, point.seq) for point in points)
