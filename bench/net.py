"""Line k: what gateways say to each other, in bytes, and what many of them take in, in simulated time.

The real protocol runs on simulated links: bytes are exact, times are the link's (`sim/profiles.py`), not this machine's.
How fast a gateway or node is, is assumed and said: a small machine checks a record in 300 us, the node executes one in
20 us, an fsync takes 2 ms everywhere.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Self

from bench.figure import Figure, at_least
from bench.stage import Stage
from drystone.formats import cose, senml
from drystone.gateway.sync.effects import SyncBounds
from drystone.records.record import write_record
from drystone.sim.net_ground import ISS, NODE, Ground, make_ground
from drystone.sim.net_host import Host
from drystone.sim.net_links import Network
from drystone.sim.net_parts import Plan
from drystone.sim.net_time import run_virtually
from drystone.sim.profiles import LORA, PROFILES, VILLAGE, WIFI, Profile

GATEWAYS = (1, 2, 4, 8)
METERS = 100
"""Per gateway."""

PER_REQUEST = 100
CONNECTIONS = 2
CHECK_S = 0.000_3
EXECUTE_S = 0.000_02
IDLE_S = 6 * 3_600
WARM_S = 900
READINGS = 512
SEAL_RECORDS = 128
SETTLE_S = 86_400
LOOK_S = 0.05
LOOKS_MAX = 10_000
SCALE_MIN = 0.9
"""Of eight gateways' rate over eight times one's."""


def figures(stage: Stage) -> list[Figure]:
    """Line k."""
    found = [Figure("k", f"an idle minute, {name} bounds", size, "B") for name, size in _idle()]
    found += _vertices()
    for profile in PROFILES.values():
        if profile is not LORA:
            found += _link(profile)
    # One per cent of 980 bit/s: no link between gateways, only the arithmetic is shown.
    size = found[-2].value
    rate = LORA.bits_per_s * LORA.duty_percent / 100 / 8 / size
    found.append(Figure("k", "lora at village's bytes: readings per hour", 3_600 * rate, "1/h"))
    rates = {count: _ingest(count, seconds=stage.sizes.ingest_s) for count in GATEWAYS}
    found += [
        Figure("k", f"taken in by {count} gateway{'s' * (count > 1)}", rate, "records/s simulated")
        for count, rate in rates.items()
    ]
    most = max(GATEWAYS)
    share = rates[most] / (most * rates[1])
    return [*found, Figure("k", f"  {most} / ({most} x 1)", share, "", at_least(SCALE_MIN))]


class Pair:
    """A gateway and the node, and whatever else dials the node."""

    def __init__(self, ground: Ground, profile: Profile, *, gateways: int = 1) -> None:
        slow = profile.bits_per_s < 2_000
        bounds = SyncBounds.slow() if slow else SyncBounds()
        self.network = Network(random.Random("bench"))
        self.node = self._host(
            ground, NODE, Plan(orders=True, dials={}, bounds=bounds, execute_s=EXECUTE_S)
        )
        plan = Plan(
            orders=False,
            dials={NODE: (profile, None)},
            bounds=bounds,
            seal_records=SEAL_RECORDS,
            check_s=CHECK_S,
        )
        self.gateways = [
            self._host(ground, f"g-{number}", plan) for number in range(2, gateways + 2)
        ]

    def _host(self, ground: Ground, name: str, plan: Plan) -> Host:
        draw = random.Random(name)
        return Host(name, ground, plan, network=self.network, draw=draw, say=lambda _: None)

    async def __aenter__(self) -> Self:
        for host in (self.node, *self.gateways):
            host.boot()
        await asyncio.sleep(WARM_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        for host in (self.node, *self.gateways):
            host.stop()

    @property
    def bytes(self) -> int:
        """Bytes of messages sent so far, both ways, frames included."""
        return sum(self.network.sent_bytes.values())

    async def settle(self) -> None:
        """Wait until every outcome is at its gateway."""
        until_s = asyncio.get_running_loop().time() + SETTLE_S
        while asyncio.get_running_loop().time() < until_s:
            if all(self._is_told(host) for host in self.gateways):
                return
            await asyncio.sleep(1.0)
        raise AssertionError("the link never settles")

    @staticmethod
    def _is_told(host: Host) -> bool:
        life = host.life
        assert life is not None, host.failed
        last = life.vertices.frontier().get((ISS, host.name))
        place = life.mirror.place  # type: ignore[attr-defined]
        return last is not None and life.sealed and place == (last.epoch, last.seq)


def _records(ground: Ground, sub: str, *, first: int, count: int) -> list[bytes]:
    return [
        write_record(
            secret=ground.secrets[sub],
            iss=ISS,
            sub=sub,
            epoch=0,
            seq=seq,
            payload=senml.write_pack([senml.Measurement("e", "Wh", 1_000 + 7 * seq, None)]),
            content_type=cose.SENML,
        )
        for seq in range(first, first + count)
    ]


def _idle() -> list[tuple[str, float]]:
    """Bytes that a link of two who have nothing to say carries in a minute, both ways."""

    async def idle(profile: Profile) -> float:
        async with Pair(ground, profile) as pair:
            before = pair.bytes
            await asyncio.sleep(IDLE_S)
            return (pair.bytes - before) / (IDLE_S / 60)

    ground = make_ground(hosts=2, meters=1)
    return [
        (name, run_virtually(idle(profile)))
        for name, profile in (("usual", WIFI), ("slow", VILLAGE))
    ]


def _vertices() -> list[Figure]:
    """What a vertex costs on a link beyond an idle one: header, question, body, outcome, with its checkpoint."""
    ground = make_ground(hosts=2, meters=1)
    found: list[Figure] = []
    for count in (1, SEAL_RECORDS):
        size = run_virtually(_send(ground, WIFI, [_records(ground, "m-0", first=0, count=count)]))[
            0
        ]
        name = f"one vertex of {count} reading{'s' * (count > 1)}, both ways, outcome included"
        found.append(Figure("k", name, size, "B"))
    return found


async def _send(
    ground: Ground, profile: Profile, requests: Sequence[Sequence[bytes]]
) -> tuple[int, float]:
    """Hand requests in at once; give bytes on the link and seconds until the last outcome is at the gateway."""
    async with Pair(ground, profile) as pair:
        before, began_s = pair.bytes, asyncio.get_running_loop().time()
        for request in requests:
            assert await pair.gateways[0].take(b"".join(request)) is not None
        await pair.settle()
        return pair.bytes - before, asyncio.get_running_loop().time() - began_s


def _link(profile: Profile) -> list[Figure]:
    """Readings of many meters over one kind of link, caught up at once: a gateway that was cut off."""
    ground = make_ground(hosts=2, meters=METERS)
    each = -(-READINGS // METERS)
    requests = [
        [
            record
            for sub in range(METERS)
            for record in _records(ground, f"m-{sub}", first=n, count=1)
        ]
        for n in range(each)
    ]
    size, seconds = run_virtually(_send(ground, profile, requests))
    count = each * METERS
    return [
        Figure("k", f"{profile.name}: bytes on the link per reading", size / count, "B"),
        Figure("k", f"  caught up, readings per second of {profile.name}", count / seconds, "1/s"),
    ]


def _ingest(gateways: int, *, seconds: float) -> float:
    """Records stored per simulated second, each client as fast as its gateway answers; all of them are ordered after."""
    ground = make_ground(hosts=gateways + 1, meters=gateways * CONNECTIONS)

    async def client(host: Host, sub: str, until_s: float) -> int:
        seq = 0
        while asyncio.get_running_loop().time() < until_s:
            request = _records(ground, sub, first=seq, count=PER_REQUEST)
            assert await host.take(b"".join(request)) is not None
            seq += PER_REQUEST
        return seq

    async def run() -> float:
        async with Pair(ground, WIFI, gateways=gateways) as pair:
            began_s = asyncio.get_running_loop().time()
            clients = [
                client(host, f"m-{CONNECTIONS * number + one}", began_s + seconds)
                for number, host in enumerate(pair.gateways)
                for one in range(CONNECTIONS)
            ]
            stored = sum(await asyncio.gather(*clients))
            took_s = asyncio.get_running_loop().time() - began_s
            node = pair.node.node
            assert node is not None, pair.node.failed
            for _ in range(LOOKS_MAX):
                if node.ledger.last.size >= stored:
                    break
                await asyncio.sleep(LOOK_S)
            assert node.ledger.last.size >= stored, "not everything was ordered"
            return stored / took_s

    return run_virtually(run())
