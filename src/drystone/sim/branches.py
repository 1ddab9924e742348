"""Similar branches, as many as asked for: each a gateway with a meter behind it, around one node, in virtual time.

The real gateway and node, their sessions, intake, sealer and engine, on simulated machines and links (`net_life.py`).
Nothing goes wrong here: this shows how the whole grows with the number of branches. What goes wrong is
`sim/network.py`'s. May not: read the time of day or draw from anything but the seed.

Place in a record's life: all of it. Source: requirement S1.29; design.md section 3.4.
"""

import asyncio
import random
from hashlib import sha256
from typing import Final, NamedTuple

from drystone.formats import cose, senml
from drystone.gateway.sync.effects import SyncBounds
from drystone.records.record import write_record
from drystone.sim import net_check
from drystone.sim.net_check import NotHeldError
from drystone.sim.net_ground import ISS, NODE, Ground, make_ground
from drystone.sim.net_host import Host
from drystone.sim.net_links import Network
from drystone.sim.net_parts import Plan
from drystone.sim.net_time import run_virtually
from drystone.sim.profiles import Profile

READING_S: Final = 60.0
"""Each meter says something once a minute, at a second of its own."""
LOOK_S: Final = 0.5
SETTLE_S: Final = 600.0
SEAL_RECORDS: Final = 64
BLOCKS_MAX: Final = 1_000_000


class Grown(NamedTuple):
    """What so many branches came to."""

    branches: int
    records: int
    """Acknowledged by the branches' gateways, and ordered, each once."""
    vertices: int
    blocks: int
    virtual_s: float
    behind_s: float
    """From the last reading until every branch held every vertex and the node had ordered it."""
    up_bytes: int
    """From the gateways to the node, all together."""
    down_bytes: int
    """From the node to the gateways."""


def grow(*, count: int, minutes: int, seed: int, profile: Profile) -> Grown:
    """Let `count` branches read for `minutes` of virtual time; return what it came to.

    Raises: NotHeldError when a record was lost or doubled, or branches end unequal.
    """
    return run_virtually(_Valley(count, seed=seed, profile=profile).run(minutes))


class _Valley:
    """The branches of one run."""

    def __init__(self, count: int, *, seed: int, profile: Profile) -> None:
        self._draw = random.Random(f"branches/{seed}")
        self._ground = make_ground(hosts=count + 1, meters=count)
        self._network = Network(random.Random(f"links/{seed}"))
        names = [f"g-{number}" for number in range(2, count + 2)]
        self._node = self._host(NODE, Plan(orders=True, dials={}, bounds=SyncBounds()))
        plan = Plan(
            orders=False,
            dials={NODE: (profile, None)},
            bounds=SyncBounds(),
            seal_records=SEAL_RECORDS,
        )
        self._gateways = [self._host(name, plan) for name in names]
        self._sent: dict[bytes, str] = {}

    def _host(self, name: str, plan: Plan) -> Host:
        draw = random.Random(self._draw.random())
        return Host(name, self._ground, plan, network=self._network, draw=draw, say=_nothing)

    async def run(self, minutes: int) -> Grown:
        """Boot, read, wait until all is everywhere and ordered, check."""
        loop = asyncio.get_running_loop()
        try:
            for host in (self._node, *self._gateways):
                host.boot()
            await asyncio.sleep(READING_S)
            meters = [
                self._read(f"m-{number}", gateway, minutes)
                for number, gateway in enumerate(self._gateways)
            ]
            await asyncio.gather(*meters)
            last_s = loop.time()
            while not self._settled():
                if loop.time() > last_s + SETTLE_S:
                    raise NotHeldError(f"not equal {SETTLE_S:.0f} s after the last reading")
                await asyncio.sleep(LOOK_S)
            return self._count(last_s, loop.time())
        finally:
            for host in (self._node, *self._gateways):
                host.stop()

    async def _read(self, sub: str, gateway: Host, minutes: int) -> None:
        """Let a meter say something once a minute; its gateway must take each."""
        shown = self._draw.randrange(100_000)
        await asyncio.sleep(self._draw.random() * READING_S)
        for seq in range(minutes):
            shown += self._draw.randrange(40)
            record = reading(self._ground, sub, seq=seq, wh=shown)
            if await gateway.take(record) is None:
                raise NotHeldError(f"{gateway.name} does not take record {seq} of {sub}")
            self._sent[sha256(record).digest()] = f"record {sub} {seq}"
            if seq + 1 < minutes:
                await asyncio.sleep(READING_S)

    def _settled(self) -> bool:
        node = self._node.node
        if node is None:
            raise NotHeldError(f"the node fails: {self._node.failed!r}")
        blocks = node.ledger.blocks(limit=BLOCKS_MAX)
        whole = (frozenset(one for block in blocks for one in block.vertices), frozenset[bytes]())
        return all(
            host.life is not None and net_check.ids_in(host.life.vertices) == whole
            for host in (self._node, *self._gateways)
        )

    def _count(self, last_s: float, now_s: float) -> Grown:
        node = self._node.node
        assert node is not None
        blocks = node.ledger.blocks(limit=BLOCKS_MAX)
        net_check.check_ordered_once(blocks)
        settled = net_check.settle_records(net_check.held_by(node.vertices), blocks)
        net_check.check_acknowledged(self._sent, settled)
        sent = self._network.sent_bytes
        return Grown(
            branches=len(self._gateways),
            records=len(self._sent),
            vertices=node.vertices.last_number(),
            blocks=len(blocks),
            virtual_s=now_s,
            behind_s=now_s - last_s,
            up_bytes=sum(size for (_, to), size in sent.items() if to == NODE),
            down_bytes=sum(size for (by, _), size in sent.items() if by == NODE),
        )


def reading(ground: Ground, sub: str, *, seq: int, wh: int) -> bytes:
    """Return a signed reading of a meter."""
    return write_record(
        secret=ground.secrets[sub],
        iss=ISS,
        sub=sub,
        epoch=0,
        seq=seq,
        payload=senml.write_pack([senml.Measurement("e", "Wh", wh, None)]),
        content_type=cose.SENML,
    )


def _nothing(_text: str) -> None:
    """Keep no trace."""
