"""One run of a story: what happens to the hosts until the trouble is over and all has settled; then the check.

May not: decide what is right (`net_check.py` does) or what goes wrong (`net_story.py` does).

Place in a record's life: all of it. Source: design.md sections 3.4 and 8.
"""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from drystone.gateway.sync.effects import SyncBounds
from drystone.ledger.change import ACCEPTED
from drystone.sim import net_check
from drystone.sim.net_check import Held, NotHeldError
from drystone.sim.net_ground import ISS, NODE, ground, reading
from drystone.sim.net_host import Host
from drystone.sim.net_life import GatewayLife
from drystone.sim.net_links import Network
from drystone.sim.net_parts import Plan
from drystone.sim.net_story import SECONDS, Event, Frame, Story, Way
from drystone.sim.profiles import VILLAGE
from drystone.storage.blocks import StoredBlock

LOOK_S: Final = 3.0
"""How often the run looks whether all is equal."""

SETTLE_S: Final = 2 * 3_600
"""Virtual time until all must be equal once the trouble is over."""

REBOOT_S: Final = 2.0
ASK_AGAIN_S: Final = 1.0
TRACE_SHOWN: Final = 60


class Result(NamedTuple):
    """What a run came to."""

    seed: int
    wrong: str | None
    trace: tuple[str, ...]
    virtual_s: float
    vertices: int
    records: int
    """Acknowledged."""
    crashes: int
    copies: int
    """Acknowledgements beyond the first of each record."""
    codes: dict[str, int]
    """Outcomes of all ordered records that devices signed, by code."""
    forks: int
    """Forks of which the node knows."""
    messages: int

    @property
    def digest(self) -> str:
        """Of the trace: two runs of one seed have the same."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]


class Simulation:
    """One run of a story."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.trace: list[str] = []
        self.acknowledged: dict[bytes, str] = {}
        self.excused: set[bytes] = set()
        self.rolled = {event.host for event in story.events if event.what == "restore"}
        """Hosts whose disks are rolled back."""
        self.copies = 0
        self.codes: Counter[str] = Counter()
        self.vertices = self.forks = 0
        self.network = Network(random.Random(f"links/{story.seed}"))
        self.hosts = {name: self._host(name) for name in story.hosts}
        self._images: dict[str, dict[str, bytes]] = {}
        self._since_backup: dict[str, list[bytes]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._calm = False

    def _host(self, name: str) -> Host:
        story = self.story
        dials = {way.b: (way.profile, way.chaos) for way in story.ways if way.a == name}
        # Both ends of a link must be patient alike, and nobody knows how far a thin link's patience must reach.
        slow = any(way.profile is VILLAGE for way in story.ways)
        plan = Plan(
            orders=name == NODE,
            dials=dials,
            bounds=SyncBounds.slow() if slow else SyncBounds(),
            seal_records=story.seal_records,
            skew_ms=story.skews_ms[name],
        )
        draw = random.Random(f"{name}/{story.seed}")
        return Host(name, ground(), plan, network=self.network, draw=draw, say=self.say)

    def say(self, text: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{asyncio.get_running_loop().time():10.3f} {text}")

    async def run(self) -> None:
        """Live through the story, let everything settle, check. Raises: NotHeldError."""
        if self.story.liar is not None:
            self.network.corrupt(self.story.liar)
        for host in self.hosts.values():
            host.boot()
        waiting = [self._spawn(self._send(frame)) for frame in self.story.frames]
        for event in self.story.events:
            self._spawn(self._happen(event))
        self._spawn(self._watch())
        await asyncio.sleep(SECONDS)
        self.say("the trouble is over")
        self._calm = True
        self.network.heal()
        for host in self.hosts.values():
            host.disk.mend()
        await self._until(lambda: all(task.done() for task in waiting), "all records are answered")
        await self._settle_without_node()
        await self._until(self._settled, "all vertices are everywhere and ordered")
        self._check()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            next(iter(self.hosts.values())).fail(error)

    # --- what happens ----------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Start what crashed again, after a while; stop where something failed that no fault explains."""
        while True:
            for host in self.hosts.values():
                if host.life is None:
                    host.boot()
            await asyncio.sleep(REBOOT_S)

    async def _happen(self, event: Event) -> None:
        await asyncio.sleep(event.at_s)
        if self._calm:
            return
        self.say(f"event {event.what} {event.host} {' | '.join(map(','.join, event.groups))}")
        match event.what:
            case "partition":
                self.network.partition(event.groups, silent=event.silent)
            case "heal":
                self.network.heal()
            case _:
                self._strike(self.hosts[event.host], event)

    def _strike(self, host: Host, event: Event) -> None:
        match event.what:
            case "kill":
                host.crash("killed")
            case "power":
                host.lose_power()
            case "disk":
                host.disk.cut_power_after(event.operations)
            case "full":
                host.disk.bytes_max = host.disk.size + event.operations
            case "room":
                host.disk.bytes_max = None
            case "backup":
                self._images[host.name] = host.disk.image()
                self._since_backup[host.name] = []
            case "restore":
                host.crash("its disk is replaced by the backup")
                host.disk.restore(self._images[host.name])
                self.excused.update(self._since_backup.pop(host.name))
            case _:
                self.network.reset(host.name)

    async def _send(self, frame: Frame) -> None:
        """Let a record be heard, and ask its own gateway until it is acknowledged."""
        await asyncio.sleep(frame.at_s)
        record = reading(frame.device, seq=frame.seq, wh=frame.wh)
        home, *others = frame.heard
        for name in others:
            self._spawn(self._offer(name, record, frame))
        answered = await self._offer(home, record, frame)
        while not answered:
            await asyncio.sleep(ASK_AGAIN_S)
            answered = await self._offer(home, record, frame)

    async def _offer(self, name: str, record: bytes, frame: Frame) -> bool:
        answer = await self.hosts[name].take(record)
        told = "-" if answer is None else answer.code
        self.say(f"{name} answers {frame.device} {frame.seq} {told}")
        if answer is None:
            return False
        entry = sha256(record).digest()
        self.copies += entry in self.acknowledged
        self.acknowledged.setdefault(entry, f"record {frame.device} {frame.seq}")
        if name in self._since_backup:
            self._since_backup[name].append(entry)
        return True

    # --- the end -------------------------------------------------------------------------------------

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + SETTLE_S
        while not holds():
            for host in self.hosts.values():
                if host.failed is not None:
                    raise NotHeldError(f"{host.name} fails: {host.failed!r}") from host.failed
            if loop.time() > until:
                raise NotHeldError(f"not within {SETTLE_S} s: {what}; {self._standing()}")
            await asyncio.sleep(LOOK_S)
        self.say(what)

    async def _settle_without_node(self) -> None:
        """Cut the node off, where the others reach each other without it: they become equal, pending sets too."""
        honest = [name for name in self.story.honest if name != NODE]
        if not _connected(honest, self.story.ways):
            return
        self.network.partition(
            [[NODE], [name for name in self.story.hosts if name != NODE]], silent=False
        )
        await self._until(
            lambda: self._common(honest) is not None, "gateways are equal without the node"
        )
        await self._until(lambda: self.hosts[NODE].node is not None, "the node runs")
        holds = self._holds(honest)
        net_check.check_equal(holds)
        blocks = self._blocks()
        sets = {net_check.pending(held, blocks) for held in holds.values()}
        if len(sets) != 1:
            raise NotHeldError("pending sets of the gateways differ")
        self.network.heal()

    def _settled(self) -> bool:
        common = self._common(self.story.honest)
        node = self.hosts[NODE].node
        if common is None or node is None:
            return False
        _, lacking = common
        told = all(map(_is_told, self._told())) and self._sealed()
        if not told or (lacking and not self.rolled):
            return False
        held, blocks = net_check.held_by(node.vertices), self._blocks()
        if not net_check.pending(held, blocks) <= net_check.stuck(held, lacking):
            return False
        # What a forked chain was refused is sealed again once its gateway has been told.
        return not self.rolled or not self._missing(held, blocks)

    def _missing(self, held: dict[bytes, Held], blocks: list[StoredBlock]) -> set[bytes]:
        """Acknowledged records that are not in the log, and were not lost with a disk."""
        settled = net_check.settle_records(held, blocks)
        accepted = {entry for entry, one in settled.items() if one.accepted}
        return self.acknowledged.keys() - accepted - self.excused

    def _sealed(self) -> bool:
        """Whether everything acknowledged is in a vertex, everywhere."""
        lives = [self.hosts[name].life for name in self.story.honest]
        return all(life is not None and life.sealed for life in lives)

    def _told(self) -> list[GatewayLife]:
        """The gateways that have a link to the node: they learn what became of their vertices."""
        near = {
            name for way in self.story.ways for name in (way.a, way.b) if NODE in (way.a, way.b)
        }
        # Where a disk was rolled back, what was asked for before is not asked for again.
        names = [name for name in self.story.honest if name in near - self.rolled]
        lives = [self.hosts[name].life for name in names]
        return [life for life in lives if isinstance(life, GatewayLife)]

    def _common(self, names: Iterable[str]) -> tuple[frozenset[bytes], frozenset[bytes]] | None:
        """The ids of the vertices that all hold, and of those that all lack the body of; None if they differ."""
        found: set[tuple[frozenset[bytes], frozenset[bytes]]] = set()
        for name in names:
            life = self.hosts[name].life
            if life is None or not (life.sealed or life.paused):
                return None
            found.add(net_check.ids_in(life.vertices))
        return found.pop() if len(found) == 1 else None

    def _holds(self, names: Iterable[str]) -> dict[str, dict[bytes, Held]]:
        found: dict[str, dict[bytes, Held]] = {}
        for name in names:
            life = self.hosts[name].life
            if life is None:
                raise NotHeldError(f"{name} does not run")
            found[name] = net_check.held_by(life.vertices)
        return found

    def _blocks(self) -> list[StoredBlock]:
        node = self.hosts[NODE].node
        if node is None:
            raise NotHeldError("the node does not run")
        return node.ledger.blocks(limit=1_000_000)

    def _check(self) -> None:
        """What must hold. Raises: NotHeldError."""
        holds = self._holds(self.story.honest)
        blocks = self._blocks()
        net_check.check_equal(holds)
        for name in sorted(holds):
            net_check.check_parents(holds[name])
        net_check.check_ordered_once(blocks)
        # All have the same bytes by now: one of them, and not the one that made the blocks, stands for all.
        last = max(holds)
        net_check.check_replay(ground(), holds[last], blocks, last)
        authors = net_check.authors_of(holds[NODE])
        for life in self._told():
            net_check.check_outcomes_told(life.mirror, life.machine.name, blocks, authors)
        settled = net_check.settle_records(holds[NODE], blocks)
        self._count(holds[NODE], settled)
        retried = net_check.records_of(holds[NODE], self.rolled)
        net_check.check_acknowledged(self.acknowledged, settled, lost=self.excused, retried=retried)
        self.say(f"equal: {len(holds[NODE])} vertices, height {blocks[-1].height}")

    def _count(self, held: dict[bytes, Held], settled: dict[bytes, net_check.Settled]) -> None:
        """Note what the run came to."""
        self.vertices = len(held)
        for entry, one in sorted(settled.items()):
            if entry in self.acknowledged:
                self.codes.update({ACCEPTED: one.accepted, **Counter(one.codes)})
        node = self.hosts[NODE].life
        self.forks = 0 if node is None else len(node.exchange.holdings.forks())

    def _standing(self) -> str:
        parts: list[str] = []
        for name, host in sorted(self.hosts.items()):
            if host.life is None:
                parts.append(f"{name} down")
                continue
            held = net_check.held_by(host.life.vertices)
            whole = sum(1 for one in held.values() if one.body is not None)
            parts.append(f"{name} {len(held)} vertices, {whole} bodies")
        return "; ".join(parts)

    def result(self, wrong: str | None) -> Result:
        """What the run came to."""
        return Result(
            seed=self.story.seed,
            wrong=wrong,
            trace=tuple(self.trace),
            virtual_s=float(self.trace[-1].split()[0]) if self.trace else 0.0,
            vertices=self.vertices,
            records=len(self.acknowledged),
            crashes=sum(host.crashes for host in self.hosts.values()),
            copies=self.copies,
            codes={code: count for code, count in sorted(self.codes.items()) if count},
            forks=self.forks,
            messages=self.network.messages,
        )


def _connected(names: Sequence[str], ways: Iterable[Way]) -> bool:
    """Whether these reach each other over their own links."""
    pairs = [{way.a, way.b} for way in ways if way.a in names and way.b in names]
    reached = {names[0]}
    while more := [pair for pair in pairs if len(pair & reached) == 1]:
        reached.update(*more)
    return len(reached) == len(names)


def _is_told(life: GatewayLife) -> bool:
    last = life.vertices.frontier().get((ISS, life.machine.name))
    return last is None or life.mirror.place == (last.epoch, last.seq)
