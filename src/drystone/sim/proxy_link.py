"""One bad link: a port on loopback that forwards TCP as slowly, late and unreliably as a profile says.

What is lost on a radio is repeated by the radio or by TCP: a loss here costs time and air, no bytes. May not: look
into what it forwards. `sim/proxy.py` makes many of them and takes commands. Source: sim/profiles.py.
"""

import asyncio
import socket
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

from drystone.errors import ArgumentsMalformed
from drystone.sim.profiles import PROFILES, WIFI, Profile
from drystone.transport.link_addresses import address_of, spell

LOOPBACK: Final = "127.0.0.1"
BUFFER_BYTES: Final = 8_192
"""Bytes that the system and asyncio hold of a connection each: a slow link pushes back soon, as a real one does."""
CHUNK_MS: Final = 50
"""Bytes of about this time are forwarded at once, so that two connections share a link fairly ..."""
CHUNK_BYTES_MAX: Final = 16_384
"""... and no more than this."""
CONNECT_S: Final = 5.0


@dataclass(slots=True)
class Way:
    """One direction of a link: when it is free again, what went over it."""

    free_s: float = 0.0
    bytes: int = 0
    air_bytes: int = 0
    frames: int = 0


class LinkState(NamedTuple):
    """What a link is like now, and what went over it; `there` is from the one who dials to the target."""

    name: str
    listening: str
    target: str
    profile: str
    up: bool
    flapping: bool
    connections: int
    cuts: int
    there_bytes: int
    back_bytes: int
    air_bytes: int
    frames: int


class LinkProxy:
    """One link: a port on loopback, behind it a profile, behind that the target."""

    def __init__(
        self, name: str, *, target: str, profile: Profile, random: Random, listen: str = ""
    ) -> None:
        """Name it; nothing listens before `start`. Without a target connections are refused until there is one.

        Raises: ConfigInvalid (an address is none).
        """
        self.name, self.profile = name, profile
        self.target = ""
        if target:
            self.lead(target)
        self._listen = address_of(listen or f"{LOOPBACK}:0")
        self._random = random
        self._up = asyncio.Event()
        self._up.set()
        self._flapping: asyncio.Task[None] | None = None
        self._there, self._back = Way(), Way()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._silent = False
        self._cuts = 0
        self.listening = ""

    async def start(self) -> str:
        """Listen; give the address to dial instead of the target's."""
        listener = socket.create_server(self._listen)
        # Set before listening: connections inherit it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=BUFFER_BYTES)
        self.listening = spell(self._server.sockets[0].getsockname())
        return self.listening

    def cut(self, *, silent: bool = False) -> None:
        """Cut the link: connections end and new ones are refused; `silent` as if a cable was pulled: all just waits."""
        if self._up.is_set():
            self._cuts += 1
        self._silent = silent
        self._up.clear()
        if not silent:
            for task in self._tasks:
                task.cancel()

    def heal(self) -> None:
        """Mend it; what waited goes on."""
        if self._flapping is not None:
            self._flapping.cancel()
            self._flapping = None
        self._up.set()

    def slow(self, profile: Profile) -> None:
        """Make it a link of another kind from now on."""
        self.profile = profile

    def lead(self, target: str) -> None:
        """Lead new connections to this address. Raises: ConfigInvalid."""
        address_of(target)
        self.target = target

    def flap(self, *, up_s: float, down_s: float) -> None:
        """Cut and mend it again and again, each time after half to one and a half of these times, until `heal`."""
        if self._flapping is not None:
            self._flapping.cancel()
        self._flapping = asyncio.create_task(self._flap(up_s, down_s))

    def state(self) -> LinkState:
        """Say how the link is."""
        there, back = self._there, self._back
        return LinkState(
            name=self.name,
            listening=self.listening,
            target=self.target,
            profile=self.profile.name,
            up=self._up.is_set(),
            flapping=self._flapping is not None,
            connections=len(self._tasks),
            cuts=self._cuts,
            there_bytes=there.bytes,
            back_bytes=back.bytes,
            air_bytes=there.air_bytes + back.air_bytes,
            frames=there.frames + back.frames,
        )

    async def close(self) -> None:
        """End it and all of its connections."""
        if self._server is not None:
            self._server.close()
        ending = [*self._tasks, *([self._flapping] if self._flapping is not None else [])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.target or not (self._up.is_set() or self._silent):
            writer.transport.abort()
            return
        task = asyncio.create_task(self._connect(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end; both sides are closed with it."""
        sides = [writer]
        try:
            await self._up.wait()
            async with asyncio.timeout(CONNECT_S):
                far_reader, far_writer = await asyncio.open_connection(
                    *address_of(self.target), limit=BUFFER_BYTES
                )
            sides.append(far_writer)
            for side in sides:
                side.transport.set_write_buffer_limits(high=BUFFER_BYTES)
                option = (socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
                side.get_extra_info("socket").setsockopt(*option)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, far_writer, self._there))
                group.create_task(self._carry(far_reader, writer, self._back))
        except* (OSError, TimeoutError):
            pass  # The one or the other hung up: the other is told by the same.
        finally:
            for side in sides:
                side.transport.abort()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way
    ) -> None:
        """Forward one direction; its end is passed on after what came before it."""
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=64)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._arrive(under_way, writer))
            arrives_s = 0.0
            data = b"-"
            while data:
                data = await reader.read(self._chunk_bytes())
                await self._up.wait()
                transit = self.profile.cross(len(data), self._random)
                if data:
                    way.bytes += len(data)
                    way.air_bytes += transit.air_bytes
                    way.frames += transit.frames
                    way.free_s = max(way.free_s, loop.time()) + transit.air_ms / 1000
                    rest_s = (transit.delay_ms - transit.air_ms) / 1000
                    # In order, as TCP hands it over.
                    arrives_s = max(arrives_s, way.free_s + rest_s)
                await under_way.put((arrives_s, data))
                await asyncio.sleep(way.free_s - loop.time())

    async def _arrive(
        self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            arrives_s, data = await under_way.get()
            await asyncio.sleep(max(0.0, arrives_s - loop.time()))
            await self._up.wait()
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    def _chunk_bytes(self) -> int:
        profile = self.profile
        quick = profile.bits_per_s * profile.duty_percent * CHUNK_MS // 800_000
        return max(profile.mtu_bytes, min(quick, CHUNK_BYTES_MAX))

    async def _flap(self, up_s: float, down_s: float) -> None:
        while True:
            await asyncio.sleep(up_s * (0.5 + self._random.random()))
            self.cut()
            await asyncio.sleep(down_s * (0.5 + self._random.random()))
            self._up.set()


def find_profile(name: str) -> Profile:
    """Give a profile by its name, or `none`: as quick as the machine. Raises: ArgumentsMalformed."""
    if name == "none":
        return WIFI._replace(
            name="none", bits_per_s=10**12, latency_ms=0, jitter_ms=0, loss_percent=0
        )
    if name not in PROFILES:
        raise ArgumentsMalformed(f"no profile {name!r:.40}: {', '.join(PROFILES)} or none")
    return PROFILES[name]
