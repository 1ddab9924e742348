"""What happens in a run, drawn from its seed: who is there, who talks to whom over what, what breaks when.

A story is a value, made before anything runs, so that it can be printed and so that what happens in the run never moves
a later draw. May not: know time or hosts.

Place in a record's life: none. Source: issue of the gateways (partitions, order of delivery, crashes).
"""

import random
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from drystone.sim.net_ground import DEVICES, GATEWAYS_MAX, NODE
from drystone.sim.net_links import Chaos
from drystone.sim.profiles import BLE, GSM, VILLAGE, WIFI, ZIGBEE, Profile

SECONDS: Final = 40
"""Length of the troubled part of a run."""

LARGE_EVERY: Final = 50
"""Every so many-th run has more gateways and many more records."""

Topology = Literal["mesh", "line", "star"]
Trouble = Literal[
    "partition", "heal", "kill", "power", "disk", "full", "room", "reset", "backup", "restore"
]  # fmt: skip


class Way(NamedTuple):
    """How two hosts are linked; the first one dials."""

    a: str
    b: str
    profile: Profile
    chaos: Chaos | None


class Event(NamedTuple):
    """Something that goes wrong, or right again."""

    at_s: float
    what: Trouble
    host: str = ""
    groups: tuple[tuple[str, ...], ...] = ()
    silent: bool = False
    operations: int = 0
    """Of the disk until it fails, or bytes left on it."""


class Frame(NamedTuple):
    """A record on the air: which device, its number, who hears it."""

    at_s: float
    device: str
    seq: int
    wh: int
    heard: tuple[str, ...]
    """The first is the gateway that the device goes on asking until it is answered."""


class Story(NamedTuple):
    """One run."""

    seed: int
    hosts: tuple[str, ...]
    """The node first."""
    ways: tuple[Way, ...]
    skews_ms: Mapping[str, int]
    events: tuple[Event, ...]
    frames: tuple[Frame, ...]
    seal_records: int
    liar: str | None = None
    """A host that alters what it sends."""

    @property
    def honest(self) -> tuple[str, ...]:
        """Everyone but the liar."""
        return tuple(name for name in self.hosts if name != self.liar)


def make_story(seed: int) -> Story:
    """Draw a run: the same seed, the same story."""
    draw = random.Random(f"net/{seed}")
    large = seed % LARGE_EVERY == LARGE_EVERY - 1
    count = draw.randrange(4, GATEWAYS_MAX) if large else draw.choice((2, 2, 2, 3, 3, 4))
    hosts = (NODE, *(f"g-{number}" for number in range(2, 2 + count)))
    gateways = hosts[1:]
    # A liar has links to the others, but is never the only way between two honest ones.
    liar = hosts[-1] if len(gateways) > 2 and draw.random() < 0.1 else None
    ways, events = _ways(draw, hosts, liar), _events(draw, hosts)
    # Where a restored gateway's chain ends only an uplink can say; without a link to one it seals no more.
    linked = {name for way in ways for name in (way.a, way.b) if NODE in (way.a, way.b)}
    restored = [event.host for event in events if event.what == "restore"]
    ways += tuple(Way(name, NODE, GSM, None) for name in restored if name not in linked)
    frames = _frames(draw, [name for name in gateways if name != liar], large=large)
    return Story(
        seed=seed,
        hosts=hosts,
        ways=ways,
        skews_ms={name: _skew_ms(draw) for name in hosts},
        events=events,
        frames=frames,
        seal_records=draw.choice((1, 4, 16)),
        liar=liar,
    )


def _skew_ms(draw: random.Random) -> int:
    """Most clocks are nearly right; some hours off, a few years."""
    fate = draw.random()
    if fate < 0.7:
        return draw.randrange(-2_000, 2_000)
    if fate < 0.95:
        return draw.randrange(-86_400_000, 86_400_000)
    return draw.choice((-1, 1)) * 5 * 365 * 86_400_000


def _ways(draw: random.Random, hosts: tuple[str, ...], liar: str | None) -> tuple[Way, ...]:
    topology: Topology = draw.choice(("mesh", "line", "star"))
    honest = [name for name in hosts if name != liar]
    if topology == "mesh":
        pairs = [(a, b) for number, a in enumerate(honest) for b in honest[:number]]
    elif topology == "line":
        pairs = list(zip(honest[1:], honest, strict=False))
    else:
        centre = draw.choice(honest)
        pairs = [(name, centre) for name in honest if name != centre]
    if liar is not None:
        pairs += [(liar, name) for name in honest[:2]]
    chaotic = draw.random() < 0.35
    ways: list[Way] = []
    for a, b in pairs:
        profile = draw.choices((WIFI, GSM, ZIGBEE, BLE, VILLAGE), (10, 3, 3, 3, 1))[0]
        # Of five frames without repeats the village's loss leaves one message in six: that is no link.
        chaos = Chaos(draw.random() * 0.2, draw.random() * 0.3)
        chaos = chaos if chaotic and profile is not VILLAGE else None
        ways.append(Way(a, b, profile, chaos))
    return tuple(ways)


def _frames(draw: random.Random, gateways: list[str], *, large: bool) -> tuple[Frame, ...]:
    frames: list[Frame] = []
    for number in range(DEVICES if large else draw.randrange(2, DEVICES)):
        home = draw.choice(gateways)
        wh = 1_000
        count = draw.randrange(10, 24) if large else draw.randrange(2, 9)
        moments = sorted(draw.random() * SECONDS for _ in range(count))
        for seq, at_s in enumerate(moments):
            if draw.random() < 0.05:
                home = draw.choice(gateways)  # It has been carried to somewhere else.
            wh += draw.randrange(50)
            others = [name for name in gateways if name != home]
            heard = (home, *draw.sample(others, min(2, len(others)))) if draw.random() < 0.2 else (home,)  # fmt: skip
            frames.append(Frame(at_s, f"m-{number}", seq, wh, heard))
    return tuple(sorted(frames))


def _events(draw: random.Random, hosts: tuple[str, ...]) -> tuple[Event, ...]:
    events: list[Event] = []
    for _ in range(draw.randrange(4)):
        at_s = draw.random() * SECONDS
        sides: list[list[str]] = [[] for _ in range(draw.randrange(2, 4))]
        for name in hosts:
            draw.choice(sides).append(name)
        groups = tuple(tuple(side) for side in sides if side)
        events.append(Event(at_s, "partition", groups=groups, silent=draw.random() < 0.4))
        events.append(Event(at_s + draw.random() * 30, "heal"))
    for _ in range(draw.randrange(6)):
        at_s, host = draw.random() * SECONDS, draw.choice(hosts)
        what: Trouble = draw.choice(("kill", "power", "disk", "disk", "full", "reset"))
        events.append(Event(at_s, what, host, operations=draw.randrange(120)))
        if what == "full":
            events[-1] = events[-1]._replace(operations=draw.randrange(40_000))
            events.append(Event(at_s + draw.random() * 20, "room", host))
    if draw.random() < 0.1:
        at_s, host = draw.random() * SECONDS / 2, draw.choice(hosts[1:])
        events.append(Event(at_s, "backup", host))
        events.append(Event(at_s + 5 + draw.random() * SECONDS / 2, "restore", host))
    return tuple(sorted(events))
