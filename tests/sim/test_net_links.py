"""Simulated links: what a stream keeps, what a datagram wire loses, what a partition does to both."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from drystone.errors import InvariantBroken
from drystone.sim.net_links import Chaos, Network, Wire
from drystone.sim.net_time import EPOCH_MS, now_ms, run_virtually
from drystone.sim.profiles import GSM, VILLAGE, WIFI, Profile

COUNT = 50


class Ear:
    """An end that notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.wires: list[Wire] = []
        self.lost: list[Wire] = []

    def opened(self, wire: Wire, peer: str) -> None:
        self.wires.append(wire)

    def received(self, wire: Wire, message: bytes) -> None:
        self.heard.append(message)

    def closed(self, wire: Wire) -> None:
        self.lost.append(wire)


class Pair:
    """Two ends and the network between them."""

    def __init__(self, seed: int = 1) -> None:
        self.network = Network(random.Random(seed))
        self.a, self.b = Ear(), Ear()
        self.network.attach("a", self.a)
        self.network.attach("b", self.b)

    async def connect(self, profile: Profile, chaos: Chaos | None = None) -> Wire:
        wire = self.network.dial("a", "b", profile, chaos=chaos)
        assert wire is not None
        await asyncio.sleep(10)
        assert self.a.wires == self.b.wires == [wire]
        return wire


def messages(count: int = COUNT) -> list[bytes]:
    return [bytes([number]) * (1 + number * 7) for number in range(count)]


def on_a_pair(scene: Callable[[Pair], Awaitable[None]]) -> Pair:
    pair = Pair()
    run_virtually(scene(pair))  # type: ignore[arg-type]
    return pair


def test_a_stream_delivers_all_in_order_on_the_worst_link() -> None:
    async def scene(pair: Pair) -> None:
        wire = await pair.connect(VILLAGE)
        for message in messages():
            pair.network.send(wire, "a", message)
        await asyncio.sleep(3_600)

    assert on_a_pair(scene).b.heard == messages()


def test_a_message_takes_the_time_of_its_bits() -> None:
    async def scene(pair: Pair) -> None:
        wire = await pair.connect(GSM)
        began = asyncio.get_running_loop().time()
        pair.network.send(wire, "a", bytes(10_500 // 8))
        while not pair.b.heard:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.01)
        assert 1.0 < asyncio.get_running_loop().time() - began < 4.0

    on_a_pair(scene)


def test_a_datagram_wire_loses_doubles_and_reorders() -> None:
    async def scene(pair: Pair) -> None:
        wire = await pair.connect(VILLAGE, Chaos(duplicate=0.3, reorder=0.5))
        for message in messages():
            pair.network.send(wire, "a", message)
        await asyncio.sleep(3_600)

    heard = on_a_pair(scene).b.heard
    assert set(heard) < set(messages())
    assert len(heard) > len(set(heard))
    assert heard != sorted(heard)


def test_what_is_under_way_is_lost_when_a_link_breaks_and_both_ends_learn_of_it() -> None:
    async def scene(pair: Pair) -> None:
        wire = await pair.connect(GSM)
        pair.network.send(wire, "a", bytes(1_000))
        pair.network.partition([["a"], ["b"]], silent=False)
        await asyncio.sleep(60)
        assert pair.network.dial("a", "b", GSM) is None
        pair.network.heal()
        assert pair.network.dial("a", "b", GSM) is not None

    pair = on_a_pair(scene)
    assert pair.b.heard == []
    assert pair.a.lost == pair.b.lost != []


def test_a_stalled_stream_says_nothing_and_delivers_after_the_healing() -> None:
    async def scene(pair: Pair) -> None:
        wire = await pair.connect(WIFI)
        pair.network.send(wire, "a", b"before")
        pair.network.partition([["a"], ["b"]], silent=True)
        pair.network.send(wire, "a", b"within")
        await asyncio.sleep(600)
        assert pair.b.heard == []
        assert pair.a.lost == []
        pair.network.heal()
        pair.network.send(wire, "a", b"after")
        await asyncio.sleep(60)

    assert sorted(on_a_pair(scene).b.heard) == [b"after", b"before", b"within"]


def test_a_stalled_datagram_wire_loses_what_was_sent() -> None:
    async def scene(pair: Pair) -> None:
        wire = await pair.connect(WIFI, Chaos())
        pair.network.partition([["a"], ["b"]], silent=True)
        pair.network.send(wire, "a", b"within")
        pair.network.heal()
        await asyncio.sleep(60)

    assert on_a_pair(scene).b.heard == []


def test_an_unplugged_host_hears_nothing_and_is_not_told() -> None:
    async def scene(pair: Pair) -> None:
        wire = await pair.connect(WIFI)
        pair.network.send(wire, "a", b"too late")
        pair.network.unplug("b")
        await asyncio.sleep(60)

    pair = on_a_pair(scene)
    assert pair.b.heard == []
    assert pair.b.lost == []
    assert len(pair.a.lost) == 1


def test_a_liar_alters_some_of_what_it_sends_and_nobody_else_does() -> None:
    async def scene(pair: Pair) -> None:
        pair.network.corrupt("a")
        wire = await pair.connect(WIFI)
        for message in messages():
            pair.network.send(wire, "a", message)
            pair.network.send(wire, "b", message)
        await asyncio.sleep(600)

    pair = on_a_pair(scene)
    assert pair.a.heard == messages()
    assert 0 < len(set(messages()) - set(pair.b.heard)) < COUNT


def test_a_week_of_waiting_costs_nothing() -> None:
    async def week() -> int:
        await asyncio.sleep(7 * 86_400)
        return now_ms()

    assert run_virtually(week()) // 1_000 == EPOCH_MS // 1_000 + 7 * 86_400


def test_waiting_for_what_never_comes_is_an_error() -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()

    with pytest.raises(InvariantBroken, match="never come"):
        run_virtually(stuck())
