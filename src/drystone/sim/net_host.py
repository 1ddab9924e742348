"""A simulated machine: a disk that may fail, a clock that may be wrong, and on it one life of a process after another.

A life ends by a kill, by power loss, or by the disk; what the next one finds is what was durable. What ends a process
and is explained by no fault of the machine is a finding: the run fails.

Place in a record's life: under all of it. Source: `node/supervisor.py`, of which this is the twin.
"""

import asyncio
import random
import traceback
from pathlib import Path
from typing import cast

from drystone.errors import Broken, DiskFailed, Unavailable
from drystone.gateway.answer import ALREADY, STORED, Answer
from drystone.sim.net_ground import Ground
from drystone.sim.net_life import GatewayLife, Life, NodeLife
from drystone.sim.net_links import Network
from drystone.sim.net_parts import Machine, Plan, Say
from drystone.sim.power_loss import Disk


class Host:
    """A machine by name. `life` is its process while it has one."""

    def __init__(
        self,
        name: str,
        ground: Ground,
        plan: Plan,
        *,
        network: Network,
        draw: random.Random,
        say: Say,
    ) -> None:
        self.name = name
        self.plan = plan
        self.disk = Disk.holding(ground.node_image if plan.orders else ground.gateway_image)
        self.life: Life | None = None
        self.crashes = 0
        self.failed: BaseException | None = None
        self._network = network
        self._draw = draw
        self._say = say
        self.marks: set[str] = set()
        self._machine = Machine(
            name, ground, plan, self.disk, network, draw, say, self._ended, self.marks
        )

    @property
    def node(self) -> NodeLife | None:
        """Its process, if it is a node's."""
        return self.life if isinstance(self.life, NodeLife) else None

    def boot(self) -> None:
        """Start a process; where the disk breaks at once, it has crashed."""
        assert self.life is None
        try:
            self.life = (NodeLife if self.plan.orders else GatewayLife)(self._machine)
        except DiskFailed as error:
            self.crash(f"at its start: {error}")
            return
        self._say(f"{self.name} starts at vertex {self.life.author.epoch}/{self.life.author.seq}")
        self.life.start()

    def crash(self, why: str) -> None:
        """End the process where it stands. What was not durable is lost if the disk lost power."""
        self._say(f"{self.name} crashes: {why}")
        self.crashes += 1
        life, self.life = self.life, None
        self._network.unplug(self.name)
        if self.disk.dead:
            self.disk.restart(self._draw)
        else:
            self.disk.reopen()
        if life is not None:
            life.end()

    def stop(self) -> None:
        """End the process without a word; the run is over."""
        life, self.life = self.life, None
        if life is not None:
            life.end()

    def lose_power(self) -> None:
        """Let the power go now."""
        self.disk.dead = True
        self.crash("the power is lost")

    def fail(self, error: BaseException) -> None:
        """Note an error that no fault explains: the run has found something."""
        if self.failed is None:
            self.failed = error
            frames = traceback.extract_tb(error.__traceback__)
            way = " > ".join(f"{Path(one.filename).name}:{one.lineno}" for one in frames)
            self._say(f"{self.name} FAILS: {error!r} at {way}")

    def _ended(self, life: object, error: BaseException) -> None:
        if self.life is not life:
            return
        first = _first(error)
        if not isinstance(first, DiskFailed):
            self.fail(first)
        self.crash(type(first).__name__)

    async def take(self, record: bytes) -> Answer | None:
        """Hand a record in as a device would; None when nobody answers, or not that it is taken."""
        life = self.life
        if life is None:
            return None
        asked = asyncio.ensure_future(life.intake.submit(record, wait=None))
        life.tasks.add(asked)
        asked.add_done_callback(life.tasks.discard)
        try:
            answers = await asked
        except (Broken, Unavailable, asyncio.CancelledError):
            return None
        if self.life is not life:
            return None
        return answers[0] if answers[0].code in {STORED, ALREADY} else None


def _first(error: BaseException) -> BaseException:
    """Give the first error of a group of errors; the rest followed from it."""
    if isinstance(error, BaseExceptionGroup):
        return _first(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    return error
