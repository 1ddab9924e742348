"""Bodies that come to a peer which was told of them before it had them: they are asked for. Found by simulation."""

from sync_world import Gateway, Net, Sealed, chain_of, ids

from drystone.gateway.sync.effects import Arrived


def put_headers(gateway: Gateway, *vertices: Sealed) -> None:
    """Have headers on the disk whose bodies are still to come."""
    gateway.disk.keep([(one.header.raw, None) for one in vertices])
    gateway.holdings.kept([Arrived(one.header, None, one.id) for one in vertices])


def test_a_body_reaches_who_had_only_the_header_and_told_the_way() -> None:
    (vertex,) = chain_of("g-4", 1)
    a, b, c = Gateway("g-0"), Gateway("g-1"), Gateway("g-2")
    put_headers(a, vertex)
    c.put(vertex)
    net = Net(a, b, c)
    net.link("g-0", "g-1")
    net.settle(until_ms=3_000)
    assert b.vertices == ids([vertex])

    net.link("g-1", "g-2")
    net.settle(until_ms=60_000)

    assert a.whole == b.whole == ids([vertex])
    assert a.faults == b.faults == []


def test_a_body_that_nobody_has_is_asked_for_seldom() -> None:
    (vertex,) = chain_of("g-4", 1)
    a, b = Gateway("g-0"), Gateway("g-1")
    put_headers(a, vertex)
    net = Net(a, b)
    net.link("g-0", "g-1")

    net.settle(until_ms=600_000)

    asked = net.kinds("g-0", "g-1").count("WantBodies")
    assert 1 <= asked <= 600_000 // (10 * a.bounds.answer_ms)
    assert a.faults == b.faults == []
