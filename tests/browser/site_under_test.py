"""A site to look at: the application on an in-memory service with a street of devices, in a thread."""

import asyncio
import math
import random
import socket
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "api"))

from api_world import FIRST_S, World, make_world, sequence

from drystone.formats.senml import Measurement

Result = TypeVar("Result")
SUBS = [f"m-{number:06d}" for number in (4211, 4212, 4213, 4214, 4215, 4216)]


async def fill(world: World, *, rounds: int = 96) -> None:
    """A day of quarter hours for six meters and a thermometer, one with a gap, one refused record."""
    chance = random.Random(7)
    await world.enrol(*SUBS, profile="meter")
    totals = {sub: chance.randrange(20_000_000, 60_000_000) for sub in SUBS}
    for quarter in range(rounds):
        world.service.now_ms += 900_000
        batch: list[bytes] = []
        for number, sub in enumerate(SUBS):
            day = 0.35 + 0.65 * max(0.0, math.sin((quarter - 24) / 48 * math.pi)) ** 2
            watts = int((180 + 900 * day * chance.random()) * (1 + number / 6))
            totals[sub] += watts // 4
            if number == 3 and quarter in (40, 41, 42, 60):
                world.seqs[sub] = quarter + 1
                continue
            time = FIRST_S + 900 * (quarter + 1)
            pack = [
                Measurement("energy", "Wh", totals[sub], time),
                Measurement("power", "W", watts, time),
            ]
            batch.append(world.reading(sub, measurements=pack))
        await world.service.submit(sequence(*batch), wait="committed")
        if quarter % 4 == 0:
            warm = round(1950 + 320 * math.sin(quarter / 15) + chance.randrange(-20, 20))
            time = FIRST_S + 900 * (quarter + 1)
            await world.service.attest(
                "thermo-1", [Measurement("temperature", "Cel", (-2, warm), time)], wait=None
            )


class Site:
    """The running site; `run` acts on its service from a test's thread.

    Everything that waits happens in the thread: the browser's driver has a loop in the other one.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.ready: Future[World] = Future()
        self.server: uvicorn.Server | None = None
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()
        self.world = self.ready.result(60)

    def _work(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._serve())
        finally:
            self.loop.close()

    async def _serve(self) -> None:
        world = await make_world(alone=True)
        await fill(world)
        config = uvicorn.Config(world.app, log_level="warning", server_header=False, lifespan="off")
        self.server = uvicorn.Server(config)
        self.ready.set_result(world)
        await self.server.serve(sockets=[self.listener])

    def run(self, act: Coroutine[Any, Any, Result]) -> Result:
        """Runs a coroutine in the site's loop and gives its result."""
        return asyncio.run_coroutine_threadsafe(act, self.loop).result(10)

    def stop(self) -> None:
        """Ends event streams and the server."""
        self.run(self.world.service.stop())
        assert self.server is not None
        self.server.should_exit = True
        self.thread.join(10)
        self.listener.close()
