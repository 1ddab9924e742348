"""The proxy: what goes through it, how late, and what its commands do."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from random import Random
from typing import Any

import pytest

from drystone.errors import ArgumentsMalformed, ConfigInvalid
from drystone.sim.profiles import GSM, LORA, PROFILES, VILLAGE, WIFI, Profile
from drystone.sim.proxy import Proxies, control, controlled, main
from drystone.sim.proxy_link import find_profile
from drystone.transport.link_addresses import address_of, spell


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    writer.close()


@contextlib.asynccontextmanager
async def linked(profile: str = "none", seed: int = 1) -> AsyncGenerator[Proxies]:
    """An echo server behind a link `a-b`."""
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxies = Proxies(seed=seed)
    try:
        await proxies.add("a-b", target=spell(server.sockets[0].getsockname()), profile=profile)
        yield proxies
    finally:
        await proxies.close()
        server.close()


async def dial(proxies: Proxies) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*address_of(proxies.links["a-b"].listening))


async def gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The other side has ended this connection."""
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()


def test_bytes_come_through_in_order_and_are_counted() -> None:
    async def work() -> None:
        sent = Random(1).randbytes(200_000)
        async with linked() as proxies:
            reader, writer = await dial(proxies)
            writer.write(sent)
            writer.write_eof()
            assert await reader.read(-1) == sent
            writer.close()
            state = proxies.links["a-b"].state()
            assert (state.there_bytes, state.back_bytes) == (200_000, 200_000)

    run(work())


def test_the_rate_of_the_profile_holds() -> None:
    async def work() -> None:
        quick = Profile("test", 160_000, 0, 0, 0, 500, 100)
        async with linked() as proxies:
            proxies.links["a-b"].slow(quick)
            loop = asyncio.get_running_loop()
            reader, writer = await dial(proxies)
            began = loop.time()
            writer.write(bytes(10_000))
            await reader.readexactly(10_000)
            writer.close()
            # 10,000 bytes at 20,000 bytes/s; the way back overlaps but for its last frames.
            assert 0.5 <= loop.time() - began < 5

    run(work())


def test_a_cut_ends_connections_and_refuses_new_ones_until_healed() -> None:
    async def work() -> None:
        async with linked() as proxies:
            reader, writer = await dial(proxies)
            writer.write(b"x")
            await reader.readexactly(1)
            proxies.obey(["cut", "a-b"])
            await gone(reader, writer)
            await gone(*await dial(proxies))
            states = proxies.obey(["heal", "a-b"])
            assert (states["a-b"]["up"], states["a-b"]["cuts"]) == (True, 1)
            reader, writer = await dial(proxies)
            writer.write(b"y")
            assert await reader.readexactly(1) == b"y"
            writer.close()

    run(work())


def test_a_silent_cut_lets_everything_wait_and_nothing_is_lost() -> None:
    async def work() -> None:
        async with linked() as proxies:
            reader, writer = await dial(proxies)
            writer.write(b"before")
            await reader.readexactly(6)
            proxies.obey(["cut-silent"])
            writer.write(b"during")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readexactly(6), 0.1)
            proxies.obey(["heal"])
            # The cancelled read has taken nothing.
            assert await reader.readexactly(6) == b"during"
            writer.close()

    run(work())


def test_flapping_cuts_again_and_again_until_healed() -> None:
    async def work() -> None:
        async with linked() as proxies:
            proxies.obey(["flap", "a-b", "0.01", "0.01"])
            link = proxies.links["a-b"]
            async with asyncio.timeout(10):
                while link.state().cuts < 3:  # noqa: ASYNC110 - the proxy tells nobody
                    await asyncio.sleep(0.005)
            proxies.obey(["heal", "a-b"])
            assert (link.state().up, link.state().flapping) == (True, False)

    run(work())


def test_no_target_refuses_until_it_is_told_one() -> None:
    async def work() -> None:
        async with linked() as proxies:
            await proxies.add("c-d", target="", profile="wifi")
            link = proxies.links["c-d"]
            await gone(*await asyncio.open_connection(*address_of(link.listening)))
            proxies.obey(["target", "c-d", proxies.links["a-b"].target])
            reader, writer = await asyncio.open_connection(*address_of(link.listening))
            writer.write(b"z")
            assert await reader.readexactly(1) == b"z"
            writer.close()

    run(work())


def test_control_socket_does_what_it_is_told_and_says_what_it_cannot() -> None:
    async def work() -> None:
        async with linked() as proxies, controlled(proxies) as address:
            states = await asyncio.to_thread(control, address, "slow", "a-b", "gsm")
            assert states["a-b"]["profile"] == "gsm"
            for wrong in (
                ["dance"],
                ["cut", "no-such"],
                ["slow", "a-b", "warp"],
                ["flap", "a-b", "x", "y"],
            ):
                with pytest.raises(ArgumentsMalformed):
                    await asyncio.to_thread(control, address, *wrong)
            await asyncio.to_thread(control, address, "stop")
            assert proxies.stopped.is_set()

    run(work())


def test_control_socket_survives_a_line_that_is_no_command() -> None:
    async def work() -> None:
        async with linked() as proxies, controlled(proxies) as address:
            reader, writer = await asyncio.open_connection(*address_of(address))
            writer.write(b"{{{\n3\n")
            assert b'"ok": false' in await reader.readline()
            assert b'"ok": false' in await reader.readline()
            writer.close()

    run(work())


def test_two_links_of_one_name_are_refused() -> None:
    async def work() -> None:
        async with linked() as proxies:
            with pytest.raises(ArgumentsMalformed):
                await proxies.add("a-b", target="127.0.0.1:1", profile="wifi")
            with pytest.raises(ConfigInvalid):
                await proxies.add("b-c", target="nowhere", profile="wifi")

    run(work())


def test_command_line_refuses_a_link_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--link", "target=127.0.0.1:1"]) == 2
    assert main(["--control", "127.0.0.1:1", "status"]) == 2
    assert capsys.readouterr().err


def test_every_profile_is_found_by_name_and_no_other() -> None:
    assert {find_profile(name).name for name in PROFILES} == set(PROFILES)
    with pytest.raises(ArgumentsMalformed):
        find_profile("WIFI")


def test_the_same_seed_crosses_the_same_way() -> None:
    crossings = [[VILLAGE.cross(1_000, Random(seed)) for _ in range(3)] for seed in (3, 3, 4)]
    assert crossings[0] == crossings[1]
    assert crossings[0] != crossings[2]


def test_a_lossy_link_takes_its_share_of_frames_more() -> None:
    random = Random(2)
    crossings = [VILLAGE.cross(1_280, random) for _ in range(400)]
    # One in 1 / (1 - 0.3) arrives: 10 frames take 14.3 on average.
    assert 13.8 < sum(one.frames for one in crossings) / 400 < 14.8
    assert all(one.air_bytes == 128 * one.frames for one in crossings)


def test_air_time_counts_rate_and_duty_cycle() -> None:
    assert VILLAGE.air_ms(125) == 1_000
    assert LORA.air_ms(51) == 41_633
    assert LORA.frame_count(140) == 3
    assert WIFI.air_ms(0) == 0
    assert WIFI.frame_count(0) == 1
    assert GSM.delay_ms(Random(1)) >= GSM.latency_ms


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda one: one.name)
def test_profile_is_within_reason(profile: Profile) -> None:
    assert profile.bits_per_s > 0
    assert 0 <= profile.loss_percent < 100
    assert 0 < profile.duty_percent <= 100
    assert profile.mtu_bytes >= 51
    assert profile.latency_ms >= 0 <= profile.jitter_ms
