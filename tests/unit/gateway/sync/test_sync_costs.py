"""What sync costs: bytes of an idle minute and of one vertex, of a broken body, of a slow link; nothing grows unasked."""

import random

import pytest
from sync_world import START_MS, Gateway, Net, chain_of, seal

from drystone.formats import cbor, cose, senml
from drystone.formats.senml import Measurement
from drystone.gateway.sync.claims import Partial
from drystone.gateway.sync.effects import Arrived, SyncBounds
from drystone.records.dag import Author
from drystone.records.key import SecretKey
from drystone.records.record import write_record
from drystone.storage.packing import packed

HEADER_OVERHEAD_MAX = 16
WANT_BODY_MAX = 52
BODY_OVERHEAD_MAX = 56


def met(a: Gateway, b: Gateway) -> Net:
    net = Net(a, b)
    net.link(a.name, b.name)
    net.settle()
    return net


def spent(net: Net) -> dict[tuple[str, str], int]:
    """Bytes since the last look, with the length in front of each message."""
    found, net.bytes = net.bytes, {}
    return found


def reading(seq: int) -> bytes:
    pack = senml.write_pack([Measurement("e", "Wh", 48_211_337 + seq, 1_762_340_400 + 900 * seq)])
    secret = SecretKey.generate(cose.ALG_EDDSA, bytes(32))
    return write_record(
        secret=secret, iss="ewz", sub="m-1", epoch=0, seq=seq, content_type=cose.SENML, payload=pack
    )


def test_an_idle_minute_costs_one_sign_of_life_each_way(capsys: pytest.CaptureFixture[str]) -> None:
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*chain_of("g-0", 5))
    net = met(a, b)
    spent(net)
    net.settle(until_ms=600_000)
    cost = spent(net)
    with capsys.disabled():
        print(f"\n  idle minute: {sum(cost.values()) / 10:.1f} bytes, both ways together", end="")
    assert set(net.kinds("g-0", "g-1")[-9:]) == {"Ping"}
    assert all(0 < one <= 10 * 25 for one in cost.values())


def test_no_sign_of_life_is_sent_where_messages_flow() -> None:
    a, b = Gateway("g-0"), Gateway("g-1")
    net = met(a, b)
    for _ in range(30):
        net.seal("g-0")
        net.settle(until_ms=30_000)
    assert "Ping" not in net.kinds("g-0", "g-1")


@pytest.mark.parametrize("count", [1, 10, 128])
def test_a_vertex_costs_its_bytes_and_a_question(
    count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = Gateway("g-0"), Gateway("g-1")
    net = met(a, b)
    records = [reading(seq) for seq in range(count)]
    one = seal("g-0", seq=0, parent=None, records=records, time_ms=1_762_340_400_000)
    spent(net)
    net.tell("g-0", a.keep([Arrived(one.header, one.body, one.id)], net.now_ms))
    net.settle(until_ms=1_000)

    cost = spent(net)
    body = len(packed(one.body))
    with capsys.disabled():
        there, back = cost["g-0", "g-1"], cost["g-1", "g-0"]
        print(
            f"\n  vertex of {count} readings: {there} bytes there ({len(one.header.raw)} header,"
            f" {body} body), {back} back; {(there + back) / count:.1f} per reading",
            end="",
        )
    assert one.id in b.whole
    plain = len(one.header.raw) + body
    assert cost["g-0", "g-1"] <= plain + HEADER_OVERHEAD_MAX + BODY_OVERHEAD_MAX
    assert cost["g-1", "g-0"] <= WANT_BODY_MAX


def test_a_vertex_crosses_each_link_of_a_triangle_once() -> None:
    net = Net(*(Gateway(f"g-{number}") for number in range(3)))
    for pair in (("g-0", "g-1"), ("g-1", "g-2"), ("g-0", "g-2")):
        net.link(*pair)
    net.settle()
    net.sent.clear()
    for _ in range(5):
        net.seal("g-0")
        net.settle()
    assert net.kinds("g-0", "g-1").count("Body") == 5
    assert net.kinds("g-0", "g-2").count("Body") == 5
    between = net.kinds("g-1", "g-2") + net.kinds("g-2", "g-1")
    assert "Body" not in between
    assert "Headers" not in between
    # Each of the two tells the other at most that it knows.
    assert len(between) <= 5


def test_a_reconnect_with_nothing_new_costs_a_greeting_and_a_frontier() -> None:
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*chain_of("g-0", 50))
    b.put(*chain_of("g-1", 50))
    net = met(a, b)
    net.cut("g-0", "g-1")
    spent(net)
    net.sent.clear()
    net.link("g-0", "g-1")
    net.settle()
    assert net.kinds("g-0", "g-1") == net.kinds("g-1", "g-0") == ["Hello", "Frontier"]
    assert max(spent(net).values()) < 250


def test_a_body_goes_on_where_the_link_broke() -> None:
    bounds = SyncBounds(chunk_bytes=1_024, burst_bytes=4_096, relay_ms=10, answer_ms=1_000)
    a, b = Gateway("g-0", bounds=bounds), Gateway("g-1", bounds=bounds)
    noise = random.Random(1).randbytes(60_000)
    a.put(seal("g-0", seq=0, parent=None, records=[cbor.encode(noise)]))
    net = Net(a, b)
    total = len(packed(next(iter(a.disk.bodies.values())) or b""))
    assert total > 20_000
    for _ in range(8):
        net.link("g-0", "g-1")
        for _ in range(24):
            net.deliver("g-1", "g-0")
            net.deliver("g-0", "g-1")
        net.cut("g-0", "g-1")
    net.link("g-0", "g-1")
    net.settle()
    assert len(b.whole) == 1
    # What broke off was on the link: at most a burst and a half each time.
    assert net.bytes["g-0", "g-1"] < total + 9 * 9_000


def test_a_body_whose_two_halves_do_not_fit_is_asked_for_anew_and_nobody_is_blamed() -> None:
    bounds = SyncBounds(chunk_bytes=1_024, burst_bytes=4_096, relay_ms=10, answer_ms=1_000)
    a, b = Gateway("g-0", bounds=bounds), Gateway("g-1", bounds=bounds)
    noise = random.Random(1).randbytes(60_000)
    (vertex,) = [seal("g-0", seq=0, parent=None, records=[cbor.encode(noise)])]
    a.put(vertex)
    net = Net(a, b)
    net.link("g-0", "g-1")
    for _ in range(20):
        net.deliver("g-1", "g-0")
        net.deliver("g-0", "g-1")
    net.cut("g-0", "g-1")
    kept = b.claims.take_partial(Author("ewz", "g-0"), vertex.id)
    assert kept is not None
    b.claims.put_partial(
        Author("ewz", "g-0"), vertex.id, Partial(kept.total, bytes(len(kept.data)))
    )
    net.link("g-0", "g-1")
    net.settle()
    assert b.whole == {vertex.id}
    assert b.faults == []


def test_one_kbit_per_second_is_enough_s1_19(capsys: pytest.CaptureFixture[str]) -> None:
    """Method: two gateways behind 1 kbit/s, where every third message is lost on the way; each seals six vertices."""
    bounds = SyncBounds.slow()
    a, b = Gateway("g-0", bounds=bounds), Gateway("g-1", bounds=bounds)
    net = Net(a, b)
    for name in ("g-0", "g-1"):
        for number in range(6):
            net.gateways[name].seal(START_MS, *[reading(10 * number + n) for n in range(4)])
    net.link("g-0", "g-1")
    free = {("g-0", "g-1"): 0, ("g-1", "g-0"): 0}
    count = 0
    while len(a.whole) < 12 or len(b.whole) < 12:
        net.now_ms += 100
        net.tick_due()
        for (to, of), free_ms in list(free.items()):
            queue = net.links[frozenset((to, of))].queues[to]
            if queue and free_ms <= net.now_ms:
                free[to, of] = net.now_ms + (len(queue[0]) + 4) * 8
                count += 1
                if count % 3 == 0:
                    queue.popleft()
                else:
                    net.deliver(to, of)
        assert net.now_ms < 12 * 3_600_000, (len(a.whole), len(b.whole))
    assert a.faults == b.faults == []
    with capsys.disabled():
        total, needed = (
            sum(net.bytes.values()),
            sum(len(one.header) for one in a.disk.rows)
            + sum(len(packed(body or b"")) for body in a.disk.bodies.values()),
        )
        print(
            f"\n  12 vertices over 1 kbit/s, a third lost: {net.now_ms // 1_000} s,"
            f" {total} bytes for {needed} of headers and bodies",
            end="",
        )


def test_catching_up_leaves_room_for_what_is_new() -> None:
    """A backlog is fetched in windows: what is pushed meanwhile waits behind one window at most."""
    bounds = SyncBounds(
        chunk_bytes=4_096, burst_bytes=8_192, window_bytes=16_384, bodies=8, relay_ms=10,
        answer_ms=1_000,
    )  # fmt: skip
    a, b = Gateway("g-0", bounds=bounds), Gateway("g-1", bounds=bounds)
    a.put(*chain_of("g-2", 400, size=2_000))
    net = Net(a, b)
    net.link("g-0", "g-1")
    for _ in range(40):
        net.deliver("g-1", "g-0")
        net.deliver("g-0", "g-1")
    assert not b.whole >= a.whole
    before = len(b.whole)
    queue = net.links[frozenset(("g-0", "g-1"))].queues["g-1"]
    net.seal("g-0")
    (fresh,) = [one.id for one in a.disk.rows if one.sub == "g-0"]
    assert sum(map(len, queue)) < 2 * bounds.window_bytes
    rounds = 0
    while fresh not in b.vertices:
        net.deliver("g-1", "g-0")
        net.deliver("g-0", "g-1")
        rounds += 1
        assert rounds < 60
    assert len(b.whole) - before < 60
    net.settle()
    assert b.whole == a.whole


def test_a_link_that_is_slower_than_thought_carries_nothing_twice() -> None:
    """What is queued on a thin link is late, not lost: nothing is asked again while the link moves.

    Method: 60 kB at 1 kB/s, with bounds for a line: a window takes 30 times as long as an answer is waited for.
    """
    bounds = SyncBounds(chunk_bytes=1_024, relay_ms=10, answer_ms=2_000)
    a, b = Gateway("g-0", bounds=bounds), Gateway("g-1", bounds=bounds)
    draw = random.Random(3)
    parent: bytes | None = None
    needed = 0
    for seq in range(60):
        records = [cbor.encode(draw.randbytes(1_000))]
        one = seal("g-0", seq=seq, parent=parent, records=records)
        a.put(one)
        parent = one.id
        needed += len(one.header.raw) + len(packed(one.body))
    net = Net(a, b)
    net.link("g-0", "g-1")
    free_ms = {("g-0", "g-1"): 0, ("g-1", "g-0"): 0}
    while len(b.whole) < 60:
        net.now_ms += 50
        net.tick_due()
        for (to, of), at in list(free_ms.items()):
            queue = net.links[frozenset((to, of))].queues[to]
            if queue and at <= net.now_ms:
                free_ms[to, of] = net.now_ms + len(queue[0]) + 4
                net.deliver(to, of)
        assert net.now_ms < 300_000, len(b.whole)
    assert net.bytes["g-0", "g-1"] < 1.15 * needed
    assert b.faults == []
