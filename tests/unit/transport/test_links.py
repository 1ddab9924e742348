"""Links between members over loopback: who gets one, what ends one, what is counted."""

import asyncio
import ssl
import time
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest
from linked import Member, Said, Town, foreign, plain, read_to_end, until
from linked import run as run_on

from drystone import limits
from drystone.errors import (
    ConfigInvalid,
    DiskFailed,
    LinkSilent,
    PeerFault,
    PortTaken,
    TlsFilesInvalid,
)
from drystone.gateway.sync.messages import Body, Bye, Ping
from drystone.gateway.sync.wire import Frames, decode_message, encode_message, frame
from drystone.home.authority import install
from drystone.home.certificates import DAY_S
from drystone.transport import link, link_tls, links
from drystone.transport.link_peers import backoff_s
from drystone.transport.links import Links, is_live


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path, int(time.time()))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watches and pauses of milliseconds."""
    monkeypatch.setattr(link, "WATCH_S", 0.02)
    monkeypatch.setattr(links, "WATCH_S", 0.02)
    monkeypatch.setattr(links, "RESTS_S", 0.02)
    monkeypatch.setattr(limits, "LINK_BACKOFF_MS_MIN", 10)
    monkeypatch.setattr(limits, "LINK_BACKOFF_MS_MAX", 40)


LOOP: list[str] = []
"""The loop of the test that runs now."""


@pytest.fixture(params=["asyncio", "uvloop"], autouse=True)
def _loop(request: pytest.FixtureRequest) -> None:
    LOOP.append(str(request.param))


def run(work: Coroutine[Any, Any, None]) -> None:
    run_on(work, LOOP[-1])


async def meet(a: Member, b: Member) -> None:
    """Wait until both have greeted one another."""
    await until(lambda: a.sessions and a.sessions[-1].heard and b.sessions and b.sessions[-1].heard)


def problem(member: Member, peer: Member) -> set[str]:
    """Codes of what went wrong with a peer, as a member reports it."""
    return {code for one in member.links.report() if one.peer == peer.name for code in one.faults}


# --- what works ------------------------------------------------------------------------------------


def test_two_members_link_and_their_sessions_hear_each_other(town: Town) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                await meet(a, b)
                assert a.sessions[0].heard == [b"I am b"]
                assert b.sessions[0].heard == [b"I am a"]
                assert (a.links.connected(), b.links.connected()) == ([b.name], [a.name])
        assert (a.closed, b.closed) == ([None], [None])

    run(work())


def test_there_is_no_listener_unless_it_is_asked_for(town: Town) -> None:
    async def work() -> None:
        a = town.member("a")
        a.make_links()
        async with a.up() as up:
            await asyncio.sleep(0)
            assert up.listening is None

    run(work())


def test_byte_counters_agree_on_both_sides_to_the_byte(town: Town) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                await meet(a, b)
                for size in (1, 100, 5_000, 300_000):
                    a.links.act(b.name, Said(send=[bytes(size)]))
                await until(lambda: len(b.sessions[0].heard) == 5)
                # What is under way has arrived: one more round says so.
                b.links.act(a.name, Said(send=[b"all here"]))
                await until(lambda: len(a.sessions[0].heard) == 2)
                (mine,), (theirs,) = a.links.report(), b.links.report()
        assert mine.sent_bytes == theirs.received_bytes > 305_101
        assert mine.received_bytes == theirs.sent_bytes
        assert (mine.sent_messages, mine.received_messages) == (5, 2)
        assert (theirs.sent_messages, theirs.received_messages) == (2, 5)

    run(work())


def test_a_message_of_100_bytes_costs_26_more_on_the_wire(town: Town) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                await meet(a, b)
                before = a.links.report()[0].sent_bytes
                a.links.act(b.name, Said(send=[bytes(100)]))
                await until(lambda: len(b.sessions[0].heard) == 2)
                assert a.links.report()[0].sent_bytes - before == 126

    run(work())


def test_handshake_and_hello_take_less_than_1500_bytes_each_way(town: Town) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                await meet(a, b)
                (report,) = a.links.report()
                assert max(report.sent_bytes, report.received_bytes) < 1_500

    run(work())


def test_session_is_woken_when_it_asked_for_it(town: Town) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                await meet(a, b)
                now_ms = int(asyncio.get_running_loop().time() * 1000)
                a.links.act(b.name, Said(wake_ms=now_ms + 30))
                await until(lambda: a.sessions[0].ticks == 1)
                assert asyncio.get_running_loop().time() * 1000 >= now_ms + 30

    run(work())


def test_next_message_waits_until_the_effects_of_the_one_before_are_done(town: Town) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        gate = asyncio.Event()

        async def slow(peer: object, effects: Said) -> None:
            if b.sessions and len(b.sessions[0].heard) == 2:
                await gate.wait()

        b.on_effects = slow  # type: ignore[method-assign]
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                await meet(a, b)
                a.links.act(b.name, Said(send=[b"1", b"2", b"3"]))
                await until(lambda: len(b.sessions[0].heard) == 2)
                for _ in range(20):
                    await asyncio.sleep(0)
                assert len(b.sessions[0].heard) == 2
                gate.set()
                await until(lambda: len(b.sessions[0].heard) == 4)

    run(work())


def test_two_that_dial_each_other_end_with_one_link(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        a.make_links(listen=True)
        b.make_links(listen=True)
        async with a.up(), b.up():
            a.links.add_address(b.name, b.at)
            b.links.add_address(a.name, a.at)
            await meet(a, b)

            def settled() -> bool:
                (mine,), (theirs,) = a.links.report(), b.links.report()
                return mine.connected and theirs.connected and mine.dialled != theirs.dialled

            await until(settled)
            a.links.act(b.name, Said(send=[b"through the one"]))
            await until(lambda: b"through the one" in b.sessions[-1].heard)
            assert len(a.links.connected()) == len(b.links.connected()) == 1

    run(work())


def test_a_peer_that_comes_again_replaces_its_old_link(town: Town) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            first = await foreign(b.at, a)
            await until(lambda: len(b.sessions) == 1)
            second = await foreign(b.at, a)
            await until(lambda: len(b.sessions) == 2)
            await read_to_end(first)
            assert b.closed == [None]
            assert b.links.connected() == [a.name]
            second[1].write(frame(b"hello"))
            await until(lambda: b.sessions[1].heard == [b"hello"])
            second[1].close()

    run(work())


def test_link_is_dialled_again_after_every_cut_of_a_flapping_peer(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                for count in range(1, 5):
                    await until(lambda n=count: len(a.sessions) == n and a.sessions[-1].heard)
                    b.links.end(a.name, None)
                await until(lambda: len(a.sessions) == 5)
        (report,) = a.links.report()
        assert report.links == 5
        assert report.faults == {}

    run(work())


def test_peer_that_is_not_there_yet_is_dialled_until_it_is(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            at = b.at
        a.make_links((b, at))
        async with a.up():
            await until(lambda: at in a.links.report()[0].problem)
            b.stop = asyncio.Event()
            b.make_links(listen=True)
            b.links._listener = links.address_of(at)
            async with b.up():
                await meet(a, b)
                assert a.links.report()[0].problem == ""

    run(work())


def test_backoff_doubles_to_its_bound_with_jitter() -> None:
    random = Random(3)
    delays = [[backoff_s(n, random) for _ in range(50)] for n in range(12)]
    for n, drawn in enumerate(delays):
        whole = min(limits.LINK_BACKOFF_MS_MIN * 2**n, limits.LINK_BACKOFF_MS_MAX) / 1000
        assert whole / 2 <= min(drawn) < max(drawn) <= whole
    assert backoff_s(10_000, random) <= limits.LINK_BACKOFF_MS_MAX / 1000


# --- who is not let in ------------------------------------------------------------------------------


def test_member_of_an_authority_that_is_not_trusted_is_refused(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b = town.member("a", enrolled=False), town.member("b")
        a.enrol(town.make_authority("other", "other-ca"))
        # It trusts b's authority; b does not trust its.
        _trust(a, town)
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                await until(lambda: b.links.refused["certificate-invalid"] and problem(a, b))
                assert problem(a, b) <= {"link-refused"}
        assert b.sessions == []

    run(work())


def _trust(member: Member, town: Town) -> None:
    """Make a member trust the town's authority, without a certificate of it."""
    install(member.files, ca=town.authority.pem, node=None, crl=town.authority.crl_pem)


def test_listener_of_an_authority_that_is_not_trusted_is_refused(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b", enrolled=False)
        b.enrol(town.make_authority("other", "other-ca"))
        _trust(b, town)
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                await until(lambda: problem(a, b))
                assert problem(a, b) == {"certificate-invalid"}
        assert a.sessions == b.sessions == []

    run(work())


def test_revoked_certificate_is_refused_at_the_handshake(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        town.authority.revoke("ewz/a", now_s=town.now_s)
        _trust(b, town)
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                await until(lambda: b.links.refused["certificate-revoked"])
        assert b.sessions == []

    run(work())


def test_revocation_ends_an_open_link_when_the_list_arrives(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                await meet(a, b)
                town.authority.revoke("ewz/a", now_s=town.now_s)
                _trust(b, town)
                await until(lambda: b.closed)
                assert [fault.code for fault in b.closed if fault] == ["certificate-revoked"]
                await until(lambda: b.links.refused["certificate-revoked"])
                assert b.links.connected() == []

    run(work())


def test_certificate_of_another_member_at_the_address_is_refused(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b, c = town.member("a"), town.member("b"), town.member("c")
        c.make_links(listen=True)
        async with c.up():
            a.make_links((b, c.at))
            async with a.up():
                await until(lambda: problem(a, b))
                assert problem(a, b) == {"certificate-foreign"}
        assert a.sessions == []

    run(work())


def test_certificate_over_a_key_that_the_ledger_does_not_know_is_refused(
    town: Town, quick: None
) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        town.registry[a.name] = (b.secret.public,)
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                await until(lambda: b.links.refused["certificate-unregistered"])
                # Whom an authority vouches for is told why.
                await until(lambda: a.sessions and a.sessions[0].heard)
                bye = decode_message(a.sessions[0].heard[0])
                assert bye == Bye("certificate-unregistered", "")
        assert b.sessions == []

    run(work())


def test_authority_that_names_another_member_over_its_own_key_lets_nobody_in(
    town: Town, quick: None
) -> None:
    async def work() -> None:
        a, b, thief = town.member("a"), town.member("b"), town.member("thief")
        # A trusted authority gone bad: a's name, the thief's key.
        thief.name = a.name
        thief.enrol()
        b.make_links(listen=True)
        async with b.up():
            await read_to_end(await foreign(b.at, thief))
            await until(lambda: b.links.refused["certificate-unregistered"] == 1)
        assert b.sessions == []

    run(work())


def test_key_revoked_on_the_ledger_ends_an_open_link(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                await meet(a, b)
                del town.registry[a.name]
                await until(lambda: b.closed)
                assert [one.code for one in b.closed if one] == ["certificate-unregistered"]

    run(work())


def test_expired_certificate_is_refused(tmp_path: Path, quick: None) -> None:
    async def work() -> None:
        town = Town(tmp_path, int(time.time()))
        a, b = town.member("a", enrolled=False), town.member("b")
        town.now_s -= 731 * DAY_S
        a.enrol()
        town.now_s += 731 * DAY_S
        # The list that came with it is older; b keeps a valid one.
        town.authority.renew(now_s=town.now_s)
        _trust(a, town)
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                await until(lambda: b.links.refused["certificate-invalid"])
        assert b.sessions == []

    run(work())


def test_certificate_that_ends_ends_the_open_link(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            streams = await foreign(b.at, a)
            await until(lambda: b.sessions)
            town.unix_s += 731 * DAY_S
            await until(lambda: b.closed)
            assert [one.code for one in b.closed if one] == ["certificate-invalid"]
            await read_to_end(streams)

    run(work())


@pytest.mark.parametrize("year_s", [0, 86_400 * 365 * 10])
def test_clock_that_starts_years_ago_links_all_the_same(
    town: Town, quick: None, year_s: int
) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        # A later certificate than the clock of the other side can believe.
        town.now_s += 3 * DAY_S
        b.enrol()
        town.unix_s = float(year_s)
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                await meet(a, b)

    run(work())


def test_clock_years_ahead_links_with_nobody_and_says_why(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            town.unix_s += 10 * 365 * DAY_S
            a.make_links((b, b.at))
            async with a.up():
                await until(lambda: problem(a, b))
                (report,) = a.links.report()
                assert report.faults.keys() == {"certificate-invalid"}
                assert "clock here is off" in report.problem

    run(work())


def test_list_that_has_ended_lets_nobody_in_until_it_is_renewed(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b = town.member("a", enrolled=False), town.member("b")
        town.now_s += 700 * DAY_S
        _, pem = town.authority.enrol(
            iss="ewz", sub="a", key=a.secret.public, now_s=town.now_s, entropy=town.entropy(16)
        )
        list_pem = town.authority.crl_pem
        install(a.files, ca=town.authority.pem, node=pem, crl=list_pem)
        b.make_links(listen=True)
        async with b.up():
            # Both certificates are still good, the list that b has is not.
            town.unix_s = float(town.now_s + 20 * DAY_S)
            b.links._admission.reload()
            streams = await foreign(b.at, a)
            await until(lambda: b.sessions)
            town.unix_s = float(town.now_s + 31 * DAY_S)
            await until(lambda: b.closed)
            await read_to_end(streams)
            await read_to_end(await foreign(b.at, a))
            await until(lambda: b.links.refused["certificate-invalid"])
            town.authority.renew(now_s=int(town.unix_s))
            _trust(b, town)
            b.links._admission.reload()
            streams = await foreign(b.at, a)
            await until(lambda: len(b.sessions) == 2)
            streams[1].close()

    run(work())


def test_connection_without_a_certificate_is_refused(town: Town) -> None:
    async def work() -> None:
        b = town.member("b")
        b.make_links(listen=True)
        async with b.up():
            await read_to_end(await foreign(b.at, None))
            await until(lambda: b.links.refused["certificate-invalid"] == 1)

    run(work())


def test_tls_1_2_is_refused(town: Town) -> None:
    async def work() -> None:

        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            with pytest.raises(ssl.SSLError):
                await foreign(b.at, a, version=ssl.TLSVersion.TLSv1_2)
            await until(lambda: b.links.refused["link-malformed"] == 1)

    run(work())


@pytest.mark.parametrize("alpn", [None, "http/1.1"])
def test_member_that_speaks_another_protocol_is_refused(town: Town, alpn: str | None) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            await read_to_end(await foreign(b.at, a, alpn=alpn))
            await until(lambda: b.links.refused["link-malformed"] == 1)
        assert b.sessions == []

    run(work())


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\x16\x03\x01\xff\xff" + bytes(70_000)]
)
def test_plain_garbage_is_refused(town: Town, garbage: bytes) -> None:
    async def work() -> None:
        b = town.member("b")
        b.make_links(listen=True)
        async with b.up():
            reader, writer = await plain(b.at)
            writer.write(garbage)
            await read_to_end((reader, writer))
            await until(lambda: b.links.refused["link-malformed"] == 1)
            assert b.links.strangers.received_bytes > 0

    run(work())


def test_connection_that_hangs_up_in_the_handshake_is_counted(town: Town) -> None:
    async def work() -> None:
        b = town.member("b")
        b.make_links(listen=True)
        async with b.up():
            _, writer = await plain(b.at)
            writer.close()
            await until(lambda: b.links.refused["link-refused"] == 1)

    run(work())


def test_connection_that_says_nothing_is_closed(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        monkeypatch.setattr(limits, "LINK_HANDSHAKE_MS_MAX", 50)
        b = town.member("b")
        b.make_links(listen=True)
        async with b.up():
            assert await read_to_end(await plain(b.at)) == b""
            assert b.links.refused == {"link-silent": 1}

    run(work())


def test_crowd_of_silent_connections_is_bounded_and_an_honest_peer_gets_in_afterwards(
    town: Town, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        monkeypatch.setattr(limits, "LINKS_OPENING_MAX", 8)
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            crowd = [await plain(b.at) for _ in range(12)]
            await until(lambda: b.links.refused["overloaded"] == 8)
            assert b.links._opening.total() == 4
            for _, writer in crowd:
                writer.close()
            await until(lambda: b.links._opening.total() == 0)
            a.make_links((b, b.at))
            async with a.up():
                await meet(a, b)

    run(work())


def test_more_handshakes_in_a_second_than_allowed_are_not_begun(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        monkeypatch.setattr(limits, "LINK_HANDSHAKES_SECOND_MAX", 3)
        b = town.member("b")
        b.make_links(listen=True)
        async with b.up():
            for _ in range(5):
                _, writer = await plain(b.at)
                writer.close()
            await until(lambda: b.links.refused["overloaded"] >= 1)
            await until(lambda: b.links.refused.total() == 5)
            assert b.links.refused["link-refused"] <= 4

    run(work())


def test_links_beyond_the_bound_are_refused_and_those_that_are_stay(town: Town) -> None:
    async def work() -> None:
        a, b, c = town.member("a"), town.member("b"), town.member("c")
        b.make_links(listen=True, links_max=1)
        async with b.up():
            first = await foreign(b.at, a)
            await until(lambda: b.sessions)
            await read_to_end(await foreign(b.at, c))
            assert b.links.connected() == [a.name]
            first[1].close()

    run(work())


def test_more_members_than_are_remembered_come_and_go(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        monkeypatch.setattr(limits, "PEERS_MAX", 1)
        monkeypatch.setattr(limits, "LINKS_MAX", 1)
        b = town.member("b")
        b.make_links((town.member("far"), "127.0.0.1:1"), listen=True)
        async with b.up():
            for count, sub in enumerate(("a", "c", "d"), 1):
                streams = await foreign(b.at, town.member(sub))
                await until(lambda n=count: len(b.sessions) == n)
                streams[1].close()
                await until(lambda n=count: len(b.closed) == n)
        assert {one.peer.sub for one in b.links.report()} == {"far", "d"}

    run(work())


def test_peer_that_is_not_wanted_now_is_turned_away(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.turned_away.add(a.name)
        b.make_links(listen=True)
        async with b.up():
            assert await read_to_end(await foreign(b.at, a)) == b""
            b.turned_away.clear()
            a.make_links((b, b.at))
            async with a.up():
                await meet(a, b)

    run(work())


def test_peer_that_is_left_alone_is_not_dialled_until_it_is_forgiven(
    town: Town, quick: None
) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            a.left_alone.add(b.name)
            a.make_links((b, b.at))
            async with a.up():
                await until(lambda: a.links.report()[0].problem)
                assert b.links.strangers.received_bytes == 0
                a.left_alone.clear()
                await meet(a, b)
                assert a.links.report()[0].problem == ""

    run(work())


def test_node_that_dials_itself_is_refused(town: Town) -> None:
    async def work() -> None:
        b = town.member("b")
        b.make_links(listen=True)
        async with b.up():
            await read_to_end(await foreign(b.at, b))
            await until(lambda: b.links.refused["certificate-foreign"] == 1)

    run(work())


# --- what ends a link -------------------------------------------------------------------------------


async def ended_by(b: Member) -> PeerFault | None:
    """Wait for the end of a member's only link; give why it ended."""
    await until(lambda: b.closed)
    (fault,) = b.closed
    assert fault is None or isinstance(fault, PeerFault)
    return fault


@pytest.mark.parametrize(
    "head", [b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff", b"\x00\x10\x00\x01"], ids=bytes.hex
)
def test_frame_of_no_or_too_many_bytes_ends_the_link(town: Town, head: bytes) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            streams = await foreign(b.at, a)
            streams[1].write(frame(b"hello") + head)
            fault = await ended_by(b)
            assert fault is not None
            assert fault.code == "message-malformed"
            await read_to_end(streams)
        assert b.links.report()[0].faults == {"message-malformed": 1}

    run(work())


def test_first_message_is_bounded(town: Town) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            streams = await foreign(b.at, a)
            streams[1].write((100_000).to_bytes(4) + bytes(50_000))
            fault = await ended_by(b)
            assert fault is not None
            assert fault.code == "link-malformed"
            await read_to_end(streams)

    run(work())


def test_half_a_message_and_silence_ends_the_link(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True, idle_s=0.15)
        async with b.up():
            streams = await foreign(b.at, a)
            streams[1].write(frame(b"hello") + frame(bytes(1_000))[:500])
            assert isinstance(await ended_by(b), LinkSilent)
            await read_to_end(streams)

    run(work())


def test_slow_loris_ends_although_a_byte_comes_now_and_then(
    town: Town, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        monkeypatch.setattr(limits, "LINK_BYTES_S_MIN", 10_000)
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True, idle_s=0.2)
        async with b.up():
            streams = await foreign(b.at, a)
            streams[1].write(frame(b"hello") + frame(bytes(1_000))[:5])
            for _ in range(200):
                if b.closed:
                    break
                streams[1].write(b"x")
                await asyncio.sleep(0.02)
            fault = await ended_by(b)
            assert isinstance(fault, LinkSilent)
            assert "no end of it" in str(fault)
            await read_to_end(streams)

    run(work())


def test_link_without_a_first_message_ends(
    town: Town, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            streams = await foreign(b.at, a)
            await until(lambda: b.sessions)
            monkeypatch.setattr(limits, "LINK_HANDSHAKE_MS_MAX", 50)
            assert isinstance(await ended_by(b), LinkSilent)
            await read_to_end(streams)

    run(work())


def test_peer_that_does_not_read_is_let_go_and_memory_is_bounded(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        monkeypatch.setattr(limits, "LINK_QUEUE_BYTES_MAX", 2_000_000)
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            reader, writer = await foreign(b.at, a)
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(frame(b"hello"))
            await until(lambda: b.sessions and b.sessions[0].heard)
            for _ in range(100):
                b.links.act(a.name, Said(send=[bytes(200_000)]))
                await asyncio.sleep(0)
            assert isinstance(await ended_by(b), LinkSilent)
            writer.transport.abort()

    run(work())


def test_session_that_closes_says_its_last_words_first(town: Town) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            streams = await foreign(b.at, a)
            streams[1].write(frame(b"hello"))
            await until(lambda: b.sessions and b.sessions[0].heard)
            b.links.act(a.name, Said(send=[b"last words"], close=LinkSilent("enough")))
            heard = Frames().feed(await read_to_end(streams))
            assert heard == [b"I am b", b"last words"]
            assert isinstance(await ended_by(b), LinkSilent)

    run(work())


def test_what_a_hook_raises_ends_the_links_of_the_process(town: Town) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")

        async def broken(peer: object, effects: Said) -> None:
            raise DiskFailed("no disk")

        b.on_effects = broken  # type: ignore[method-assign]
        b.make_links(listen=True)
        running = asyncio.create_task(b.links.run(b.stop))
        await until(lambda: b.links.listening)
        streams = await foreign(b.at, a)
        with pytest.raises(ExceptionGroup) as found:
            await running
        assert found.group_contains(DiskFailed)
        await read_to_end(streams)

    run(work())


def test_act_for_a_peer_without_a_link_says_so(town: Town) -> None:
    a, b = town.member("a"), town.member("b")
    assert a.make_links((b, "127.0.0.1:1")).act(b.name, Said(send=[b"x"])) is False


# --- what is there before anything runs -------------------------------------------------------------


def test_missing_file_is_refused_at_the_start(town: Town) -> None:
    a = town.member("a")
    for path in (a.files.crl, a.files.ca, a.files.node):
        kept = path.read_bytes()
        path.unlink()
        with pytest.raises(TlsFilesInvalid):
            a.make_links()
        path.write_bytes(b"-----BEGIN NOTHING-----\n-----END NOTHING-----\n")
        with pytest.raises(TlsFilesInvalid):
            a.make_links()
        path.write_bytes(kept)
    a.make_links()


def test_certificate_for_another_key_than_the_nodes_is_refused_at_the_start(town: Town) -> None:
    a, b = town.member("a"), town.member("b")
    a.files.node.write_bytes(b.files.node.read_bytes())
    with pytest.raises(TlsFilesInvalid):
        a.make_links()


def test_broken_files_leave_a_running_node_with_the_old_ones(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            kept = b.files.crl.read_bytes()
            b.files.crl.unlink()
            a.make_links((b, b.at))
            async with a.up():
                await meet(a, b)
                with pytest.raises(TlsFilesInvalid):
                    b.links.reload()
                b.files.crl.write_bytes(kept)
                b.links.reload()
                assert b.links.connected() == [a.name]

    run(work())


def test_own_certificate_that_is_none_leaves_a_running_node_with_the_old_one(
    town: Town, quick: None
) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            for wrong in (town.authority.pem, a.files.node.read_bytes(), b"", b"\xff" * 100):
                b.files.node.write_bytes(wrong)
                await until(lambda: not b.links._admission.changed)
            a.make_links((b, b.at))
            async with a.up():
                await meet(a, b)

    run(work())


def test_own_name_as_a_peer_and_addresses_that_are_none_are_refused(town: Town) -> None:
    a, b = town.member("a"), town.member("b")
    with pytest.raises(ConfigInvalid):
        a.make_links((a, "127.0.0.1:1"))
    for wrong in ("nowhere", "host:", ":1", "host:65536", "::1:80", "[::1]", "host:-1", "h:٣"):
        with pytest.raises(ConfigInvalid):
            a.make_links((b, wrong))
    assert links.address_of("[::1]:80") == ("::1", 80)


def test_port_that_is_taken_is_refused(town: Town) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            a.make_links(listen=True)
            a.links._listener = links.address_of(b.at)
            with pytest.raises(ExceptionGroup) as found:
                await a.links.run(a.stop)
            assert found.group_contains(PortTaken)

    run(work())


def test_secret_key_is_left_in_no_file_and_no_log_line(
    town: Town, quick: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = town.root / "temporary"
    folder.mkdir()
    monkeypatch.setattr(link_tls.tempfile, "tempdir", str(folder))
    caplog.set_level("DEBUG")

    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        async with b.up():
            a.make_links((b, b.at))
            async with a.up():
                await meet(a, b)
        for member in (a, b):
            secret = member.secret.to_bytes()
            assert secret.hex() not in caplog.text
            assert secret.hex() not in repr((member.links.__dict__, member.secret))
        assert list(folder.iterdir()) == []
        kept = [path.read_bytes() for path in a.files.folder.iterdir()]
        assert not any(a.secret.to_bytes() in data or b"PRIVATE" in data for data in kept)

    run(work())


def test_bodies_wait_for_everything_else() -> None:
    body = encode_message(Body(bytes(32), 0, 1, b"x"))
    assert not is_live(body)
    assert is_live(encode_message(Ping(bytes(8), 3)))
    assert is_live(b"no message at all")


def test_two_links_objects_do_not_share_counters(town: Town) -> None:
    a, b = town.member("a"), town.member("b")
    first: Links[Said] = a.make_links((b, "127.0.0.1:1"))
    second: Links[Said] = a.make_links((b, "127.0.0.1:1"))
    first.refused["x"] += 1
    assert second.refused == {}
    assert [one.peer for one in second.report()] == [b.name]


# --- announced addresses ----------------------------------------------------------------------------


def test_peer_is_dialled_where_it_says_that_it_is(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b = town.member("a"), town.member("b")
        b.make_links(listen=True)
        a.make_links(listen=True)
        async with a.up(), b.up():
            a.links.set_announced(b.name, ["127.0.0.1:1"])
            a.links.set_announced(b.name, ["no address", b.at])
            await meet(a, b)

    run(work())


def test_announced_address_of_somebody_else_leads_nowhere(town: Town, quick: None) -> None:
    async def work() -> None:
        a, b, c = town.member("a"), town.member("b"), town.member("c")
        c.make_links(listen=True)
        a.make_links(listen=True)
        async with a.up(), c.up():
            a.links.set_announced(b.name, [c.at])
            await until(lambda: problem(a, b))
            assert problem(a, b) == {"certificate-foreign"}
        assert a.sessions == []

    run(work())


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "localhost:1", "[::1]:1", "0.0.0.0:1", "169.254.0.1:1"]
)
def test_announced_address_of_this_machine_is_not_dialled(town: Town, address: str) -> None:
    a, b = town.member("a"), town.member("b")
    made = a.make_links()
    made.set_announced(b.name, [address, "203.0.113.5:8421"])
    assert made.report()[0].address == "203.0.113.5:8421"
    made.set_announced(b.name, [address])
    assert made.report()[0].address == ""


def test_own_announcement_and_those_of_whom_nobody_wants_to_dial_are_left(town: Town) -> None:
    a, b = town.member("a"), town.member("b")
    made = a.make_links()
    made.set_announced(a.name, ["203.0.113.5:8421"])
    made._settings = made._settings.model_copy(update={"dial_announced": False})
    made.set_announced(b.name, ["203.0.113.5:8421"])
    assert [one.address for one in made.report()] in ([], [""])
