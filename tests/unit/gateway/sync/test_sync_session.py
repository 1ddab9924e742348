"""A session's ways: greeting, catching up, passing on, being told later, leaving; each with its counterpart."""

from itertools import pairwise

import pytest
from sync_world import (
    KEYS,
    LEDGER,
    START_MS,
    Gateway,
    Net,
    Sealed,
    chain_of,
    ids,
    seal,
)

from drystone import limits
from drystone.errors import AnnouncementForged, PeerLeft
from drystone.gateway.sync.announcement import check_announcement, sign_announcement
from drystone.gateway.sync.claims import Claims, Partial
from drystone.gateway.sync.effects import Arrived, SyncBounds
from drystone.gateway.sync.holdings import VertexHoldings
from drystone.gateway.sync.line import Allowance
from drystone.gateway.sync.messages import Body, Bye, Hello
from drystone.gateway.sync.wire import decode_message
from drystone.records.dag import Author


def met(*gateways: Gateway) -> Net:
    net = Net(*gateways)
    names = [one.name for one in gateways]
    for a, b in pairwise(names):
        net.link(a, b)
    net.settle()
    return net


def last_of(net: Net, of: str, to: str) -> object:
    return decode_message([m for a, b, m in net.sent if (a, b) == (of, to)][-1])


# --- greeting --------------------------------------------------------------------------------------


def test_both_sides_greet_and_know_each_other() -> None:
    a, b = Gateway("g-0"), Gateway("g-1", role="node")
    met(a, b)
    session = a.sessions["g-1"]
    assert isinstance(session.hello, Hello)
    assert (session.hello.role, session.hello.sub) == ("node", "g-1")
    assert session.peer == ("ewz", "g-1")
    assert not session.closed


def test_a_greeting_that_was_lost_is_said_again() -> None:
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*chain_of("g-0", 3))
    net = Net(a, b)
    link = net.link("g-0", "g-1")
    link.queues["g-1"].clear()
    net.settle(until_ms=10_000)
    assert b.vertices == a.vertices


def test_a_frontier_that_was_lost_is_asked_for() -> None:
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*chain_of("g-0", 3))
    net = Net(a, b)
    link = net.link("g-0", "g-1")
    net.deliver("g-0", "g-1")
    net.deliver("g-1", "g-0")
    link.queues["g-1"].clear()
    net.settle(until_ms=10_000)
    assert b.vertices == a.vertices


def test_a_session_that_leaves_says_so_and_does_nothing_more() -> None:
    a, b = Gateway("g-0"), Gateway("g-1")
    net = met(a, b)
    effects = a.sessions["g-1"].leave("stopping", "until tomorrow", net.now_ms)
    assert decode_message(effects.send[-1]) == Bye("stopping", "until tomorrow")
    assert isinstance(effects.close, PeerLeft)
    assert a.sessions["g-1"].closed
    seen = b.sessions["g-0"].received(effects.send[-1], net.now_ms)
    assert isinstance(seen.close, PeerLeft)
    assert "stopping: until tomorrow" in str(seen.close)


# --- vertices --------------------------------------------------------------------------------------


def test_what_one_side_has_the_other_gets_whole_s0_51() -> None:
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*chain_of("g-0", 40), *chain_of("g-2", 3))
    b.put(*chain_of("g-1", 7))
    met(a, b)
    assert (
        a.whole == b.whole == ids([*chain_of("g-0", 40), *chain_of("g-2", 3), *chain_of("g-1", 7)])
    )


def test_long_chains_come_in_several_answers() -> None:
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*chain_of("g-0", 1_500))
    net = met(a, b)
    assert b.whole == a.whole
    assert net.kinds("g-1", "g-0").count("Want") >= 3


def test_an_author_with_several_epochs_is_followed_through_them() -> None:
    chain = chain_of("g-2", 3)
    for epoch in (2, 7):
        chain.append(seal("g-2", epoch=epoch, seq=0, parent=chain[-1].id, records=[]))
        chain.append(seal("g-2", epoch=epoch, seq=1, parent=chain[-1].id))
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*chain)
    b.put(*chain[:2])
    met(a, b)
    assert b.whole == a.whole == ids(chain)


def test_an_empty_vertex_needs_no_body() -> None:
    chain = [seal("g-0", seq=0, parent=None, records=[])]
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*chain)
    net = met(a, b)
    assert b.whole == ids(chain)
    assert "WantBodies" not in net.kinds("g-1", "g-0")


def test_links_to_vertices_that_are_nowhere_do_not_matter() -> None:
    one = seal("g-0", seq=0, parent=None, links=[b"\x07" * 32])
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(one)
    met(a, b)
    assert b.whole == {one.id}
    assert b.holdings.tips() == [one.id]


def test_a_vertex_is_passed_on_over_a_chain_of_gateways() -> None:
    gateways = [Gateway(f"g-{number}") for number in range(5)]
    net = met(*gateways)
    for name in ("g-0", "g-4"):
        net.seal(name)
        net.settle()
    assert all(one.whole == gateways[0].vertices for one in gateways)
    assert len(gateways[0].vertices) == 2


def test_nobody_is_told_of_a_vertex_before_it_is_kept() -> None:
    a, b = Gateway("g-0"), Gateway("g-1")
    net = met(a, b)
    session = b.sessions["g-0"]
    (one,) = chain_of("g-0", 1)
    net.tell("g-0", a.keep([Arrived(one.header, one.body, one.id)], net.now_ms))
    (push,) = net.links[frozenset(("g-0", "g-1"))].queues["g-1"]
    effects = session.received(push, net.now_ms)
    assert [arrived.id for arrived in effects.keep] == [one.id]
    assert b.holdings.find(one.id) is not None
    assert b.holdings.heads() == []
    assert b.holdings.header(one.id) is None
    assert not b.holdings.has_body(one.id)

    b.holdings.dropped(effects.keep)
    assert b.holdings.find(one.id) is None


def test_what_could_not_be_stored_is_asked_for_again() -> None:
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*chain_of("g-0", 5))
    net = Net(a, b)
    keep, full = b.keep, True

    def keep_or_drop(arrived: list[Arrived], now_ms: int) -> object:
        if full and arrived:
            b.holdings.dropped(arrived)
            for session in b.sessions.values():
                session.dropped([one.id for one in arrived])
            return {}
        return keep(arrived, now_ms)

    b.keep = keep_or_drop  # pyright: ignore[reportAttributeAccessIssue] - a disk that is full
    net.link("g-0", "g-1")
    net.settle()
    assert b.vertices == set()
    full = False
    net.settle(until_ms=10_000)
    assert b.whole == a.whole
    assert b.faults == []


# --- bodies ----------------------------------------------------------------------------------------


def test_a_body_that_is_still_to_come_is_told_of_when_it_is_here() -> None:
    (one,) = chain_of("g-2", 1)
    a, b, c = Gateway("g-0"), Gateway("g-1"), Gateway("g-3")
    for gateway in (a, b):
        gateway.disk.keep([(one.header.raw, None)])
        gateway.restart()
    c.put(one)
    net = Net(a, b, c)
    net.link("g-0", "g-1")
    net.settle()
    assert a.whole == b.whole == set()
    net.sent.clear()
    net.link("g-1", "g-3")
    net.settle(until_ms=8_000)
    assert b.whole == a.whole == {one.id}
    told = [decode_message(m) for x, y, m in net.sent if (x, y) == ("g-1", "g-0")]
    assert Body(one.id, 0, 1, b"") in told


def test_a_pruned_body_is_answered_as_absent_and_asked_of_another() -> None:
    chain = chain_of("g-2", 2)
    a, b, c = Gateway("g-0"), Gateway("g-1"), Gateway("g-3")
    a.put(*chain)
    c.put(*chain)
    a.disk.prune(chain[0].id)
    net = Net(a, b, c)
    net.link("g-0", "g-1")
    net.settle()
    assert b.whole == {chain[1].id}
    net.link("g-1", "g-3")
    net.settle()
    assert b.whole == ids(chain)
    assert b.faults == []


def test_bodies_are_asked_of_one_peer_at_a_time() -> None:
    chain = chain_of("g-2", 60)
    a, b, c = Gateway("g-0"), Gateway("g-1"), Gateway("g-3")
    a.put(*chain)
    c.put(*chain)
    net = Net(a, b, c)
    net.link("g-0", "g-1")
    net.link("g-1", "g-3")
    net.settle()
    assert b.whole == ids(chain)
    bodies = net.kinds("g-0", "g-1").count("Body") + net.kinds("g-3", "g-1").count("Body")
    assert bodies == 60
    assert net.kinds("g-0", "g-1").count("Headers") + net.kinds("g-3", "g-1").count("Headers") <= 2


def test_a_gateway_may_leave_others_bodies_alone() -> None:
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*chain_of("g-0", 3))
    b.holdings = VertexHoldings(
        store=b.disk, ledger=LEDGER, key_of=b.ask_key, wants=lambda header: header.sub == "g-1"
    )
    met(a, b)
    assert b.vertices == a.vertices
    assert b.whole == set()


# --- announcements ---------------------------------------------------------------------------------


def announcement(name: str, epoch: int, *addresses: str) -> bytes:
    return sign_announcement(
        secret=KEYS[name], iss="ewz", sub=name, epoch=epoch, addresses=addresses, ledger=LEDGER
    )


def spread(net: Net, name: str, raw: bytes) -> None:
    gateway = net.gateways[name]
    assert gateway.holdings.add_announcement(raw)
    net.tell(name, {p: s.tick(net.now_ms) for p, s in gateway.sessions.items()})
    net.settle()


def test_an_announcement_reaches_everybody_once_and_a_newer_one_replaces_it() -> None:
    gateways = [Gateway(f"g-{number}") for number in range(3)]
    net = met(*gateways)
    spread(net, "g-0", announcement("g-0", 1, "198.51.100.1:7000"))
    spread(net, "g-0", announcement("g-0", 2, "198.51.100.2:7000", "[2001:db8::1]:7000"))
    for gateway in gateways:
        (known,) = gateway.holdings.announcements().values()
        assert known.epoch == 2
        assert known.addresses == ("198.51.100.2:7000", "[2001:db8::1]:7000")
        assert gateway.faults == []
    assert net.kinds("g-1", "g-2").count("Announce") == 2
    assert "Announce" not in net.kinds("g-2", "g-1")


def test_announcements_that_both_sides_know_are_not_sent_again() -> None:
    a, b = Gateway("g-0"), Gateway("g-1")
    net = met(a, b)
    spread(net, "g-0", announcement("g-0", 1, "198.51.100.1:7000"))
    net.sent.clear()
    net.link("g-0", "g-1")
    net.settle()
    assert "Announce" not in net.kinds("g-0", "g-1") + net.kinds("g-1", "g-0")


def test_who_was_away_hears_of_announcements_at_the_greeting() -> None:
    a, b = Gateway("g-0"), Gateway("g-1")
    assert a.holdings.add_announcement(announcement("g-2", 5, "x:1"))
    met(a, b)
    assert b.holdings.announcements() == a.holdings.announcements()
    assert b.announced == [announcement("g-2", 5, "x:1")]


@pytest.mark.parametrize(
    "raw",
    [
        announcement("g-0", 1, *["x:1"] * (limits.ANNOUNCEMENT_ADDRESSES_MAX + 1)),
        announcement("g-0", 1, ""),
        announcement("g-0", 1, "x" * 101),
        announcement("g-0", 1, "x:1")[:-1] + b"\x00",
        announcement("g-0", 1, "x:1") + b"\x00",
    ],
)
def test_an_announcement_out_of_bounds_is_forged(raw: bytes) -> None:
    with pytest.raises(AnnouncementForged):
        check_announcement(raw, ledger=LEDGER, key_of=lambda _i, sub, _k: KEYS[sub].public)


def test_an_announcement_for_another_ledger_is_forged() -> None:
    raw = announcement("g-0", 1, "x:1")
    with pytest.raises(AnnouncementForged):
        check_announcement(raw, ledger=bytes(32), key_of=lambda _i, sub, _k: KEYS[sub].public)
    assert check_announcement(raw, ledger=LEDGER, key_of=lambda _i, _s, _k: None) is None


# --- claims and allowances -------------------------------------------------------------------------


def test_a_claim_keeps_others_away_until_its_time_is_over() -> None:
    claims, one, two = Claims(), object(), object()
    assert claims.take(b"a", one, now_ms=0, until_ms=10, size=5)
    assert not claims.take(b"a", two, now_ms=9, until_ms=20, size=5)
    assert claims.held_until(b"a", two) == 10
    assert claims.held_until(b"a", one) is None
    assert claims.take(b"a", two, now_ms=10, until_ms=20, size=5)
    assert claims.bytes == 5
    claims.release(b"a", one)
    assert claims.bytes == 5
    claims.release_all(two)
    assert claims.bytes == 0


def test_claimed_bytes_are_bounded_over_all_peers() -> None:
    claims, one = Claims(), object()
    size = limits.PACKED_BYTES_MAX
    taken = 0
    while claims.take(taken.to_bytes(4), one, now_ms=0, until_ms=10, size=size):
        taken += 1
    assert taken == limits.SYNC_BODIES_BYTES_MAX // size
    alone = Claims()
    assert alone.take(b"", one, now_ms=0, until_ms=1, size=2 * limits.SYNC_BODIES_BYTES_MAX)


def test_pieces_kept_for_the_next_link_are_bounded() -> None:
    claims, peer = Claims(), Author("ewz", "g-0")
    for number in range(50):
        claims.put_partial(peer, bytes([number]), Partial(200_000, bytes(150_000)))
    kept = [n for n in range(50) if claims.take_partial(peer, bytes([n])) is not None]
    assert kept == list(range(50 - limits.SYNC_BODY_BYTES_MAX // 150_000, 50))
    assert claims.take_partial(Author("ewz", "g-1"), bytes([49])) is None


def test_an_allowance_fills_again_with_time() -> None:
    allowance = Allowance(burst=10, per_second=2)
    assert allowance.spend(10, 0)
    assert not allowance.spend(1, 0)
    assert allowance.spend(1, 1_000)
    assert not allowance.spend(2, 1_000)
    assert Allowance(burst=1, per_second=1).spend(1, START_MS)


def test_messages_and_bytes_of_a_session_are_counted() -> None:
    a, b = Gateway("g-0"), Gateway("g-1")
    net = met(a, b)
    messages_in, messages_out, bytes_in, bytes_out = a.sessions["g-1"].counted
    sent = [m for x, _, m in net.sent if x == "g-0"]
    assert (messages_out, bytes_out) == (len(sent), sum(map(len, sent)))
    assert messages_in == len([m for x, _, m in net.sent if x == "g-1"])
    assert bytes_in > 0


def test_bounds_of_a_slow_link_ask_for_little_at_once() -> None:
    slow, plain = SyncBounds.slow(), SyncBounds()
    assert slow.chunk_bytes < plain.chunk_bytes
    assert slow.window_bytes < plain.window_bytes
    assert slow.ping_ms < slow.silent_ms


def test_a_large_chain_of_small_chunks_comes_too() -> None:
    bounds = SyncBounds.slow()
    a, b = Gateway("g-0", bounds=bounds), Gateway("g-1", bounds=bounds)
    chain: list[Sealed] = chain_of("g-0", 25, size=900)
    a.put(*chain)
    net = Net(a, b)
    net.link("g-0", "g-1")
    net.settle(until_ms=60_000)
    assert b.whole == ids(chain)
    assert max(len(m) for x, _, m in net.sent if x == "g-0") <= bounds.chunk_bytes + 60


def test_bodies_that_nobody_has_do_not_hold_up_those_behind_them() -> None:
    lost, found = chain_of("g-2", 400), chain_of("g-3", 30)
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*lost, *found)
    for one in lost:
        a.disk.prune(one.id)
    b.disk.keep([(one.header.raw, None) for one in (*lost, *found)])
    b.restart()
    met(a, b)
    assert b.whole == ids(found)
    assert b.faults == []


def test_bodies_that_no_peer_claims_do_not_hold_up_those_behind_them() -> None:
    lost, found = chain_of("g-2", 400), chain_of("g-3", 30)
    a, b = Gateway("g-0"), Gateway("g-1")
    a.put(*found)
    b.disk.keep([(one.header.raw, None) for one in (*lost, *found)])
    b.restart()
    net = met(a, b)
    net.settle(until_ms=2_000)
    assert b.whole == ids(found)
