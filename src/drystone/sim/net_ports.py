"""The twin of `transport/links.py` on simulated wires: dials, drives a session per wire, closes what it is told to.

A `Port` is one end of one wire. Like a real link it hands a message to the session, sends what comes back, waits until
the hooks have done the rest (a slow disk slows the peer down), and only then takes the next. There is no TLS here: who
dials a name reaches that name. May not: know what a message means.

Place in a record's life: between one gateway's vertices and the next one's. Source: `transport/link.py`.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from drystone.errors import DrystoneError
from drystone.gateway.sync.effects import Effects
from drystone.records.dag import Author
from drystone.sim.net_links import GRAIN_S, Chaos, Network, Wire
from drystone.sim.profiles import Profile
from drystone.transport.link import Hooks, LinkSession
from drystone.transport.links import PeerReport

DIAL_AGAIN_S: Final = 0.5
DIAL_AGAIN_S_MAX: Final = 8.0
SHUT_S: Final = 0.5
"""How long a wire that is told to close stays, so that what was sent last may arrive."""


class Port:
    """One end of a wire, with its session."""

    def __init__(
        self, ports: "Ports", wire: Wire, peer: str, session: LinkSession[Effects]
    ) -> None:
        self.wire = wire
        self.peer = Author(ports.iss, peer)
        self.session = session
        self.ended = False
        self._ports = ports
        self._inbox: deque[bytes] = deque()
        self._wake_ms: int | None = None
        self._stirred = asyncio.Event()
        self._fault: DrystoneError | None = None

    @property
    def fault(self) -> DrystoneError | None:
        """Why this side closed it; None where it was cut."""
        return self._fault

    def receive(self, message: bytes) -> None:
        """Take a message off the wire."""
        self._inbox.append(message)
        self._stirred.set()

    def act(self, effects: Effects) -> None:
        """Send what a session said, and take its wish to close or to be woken."""
        for message in effects.send:
            self._ports.network.send(self.wire, self._ports.name, message)
        if effects.wake_ms is not None:
            self._wake_ms = effects.wake_ms
            self._stirred.set()
        if effects.close is not None:
            self.end(effects.close)

    def end(self, fault: DrystoneError | None) -> None:
        """Take nothing more, and close the wire once what was sent is there."""
        if self.ended:
            return
        self.ended = True
        self._fault = fault
        self._stirred.set()
        loop = asyncio.get_running_loop()
        until = max(loop.time(), self.wire.arrives_s[self._ports.name])
        loop.call_at(until + SHUT_S, self._ports.network.close, self.wire)

    async def run(self) -> None:
        """Drive the session until the end."""
        await self._act(self.session.opened(self._ports.now_ms()))
        while not self.ended and self.wire.alive:
            if self._inbox:
                message = self._inbox.popleft()
                await self._act(self.session.received(message, self._ports.now_ms()))
            elif self._wake_ms is not None and self._wake_ms <= self._ports.now_ms():
                self._wake_ms = None
                await self._act(self.session.tick(self._ports.now_ms()))
            else:
                await self._rest()

    async def _act(self, effects: Effects) -> None:
        self._ports.note(self.peer, effects)
        self.act(effects)
        await self._ports.hooks.on_effects(self.peer, effects)

    async def _rest(self) -> None:
        """Wait for a message, for the end, or for the time to wake."""
        self._stirred.clear()
        timer = None
        if self._wake_ms is not None:
            loop = asyncio.get_running_loop()
            timer = loop.call_at(self._wake_ms / 1_000 + GRAIN_S, self._stirred.set)
        try:
            await self._stirred.wait()
        finally:
            if timer is not None:
                timer.cancel()


class Ports:
    """All links of one process."""

    def __init__(
        self,
        *,
        network: Network,
        iss: str,
        name: str,
        hooks: Hooks[Effects],
        dials: Mapping[str, tuple[Profile, Chaos | None]],
        draw: random.Random,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        say: Callable[[str], None],
    ) -> None:
        """Begin without links; `dials` says whom this side dials, and what the way there is like."""
        self.network = network
        self.iss = iss
        self.name = name
        self.hooks = hooks
        self._dials = dials
        self._draw = draw
        self._spawn = spawn
        self._say = say
        self._ports: dict[str, Port] = {}
        self._gone = False

    async def run(self, stop: asyncio.Event) -> None:
        """Be reachable, and dial, until `stop`."""
        self.network.attach(self.name, self)
        for peer in sorted(self._dials):
            self._spawn(self._dial(peer))
        await stop.wait()

    def stop(self) -> None:
        """Be gone: a process that died says nothing."""
        self._gone = True

    def now_ms(self) -> int:
        """The process's own clock for sessions; it never goes back."""
        return int(asyncio.get_running_loop().time() * 1_000)

    def act(self, peer: Author, effects: Effects) -> bool:
        """Send what a session said outside of its link's own calls."""
        port = self._ports.get(peer.sub)
        if port is None or port.ended:
            return False
        port.act(effects)
        return True

    def end(self, peer: Author, fault: DrystoneError | None) -> None:
        """End a peer's link."""
        port = self._ports.get(peer.sub)
        if port is not None:
            port.end(fault)

    def recheck(self) -> None:
        """Every link stays allowed: there are no certificates here."""

    def report(self) -> list[PeerReport]:
        """Nothing to say."""
        return []

    def set_announced(self, peer: Author, addresses: Sequence[str]) -> None:
        """Nobody moves here."""

    def note(self, peer: Author, effects: Effects) -> None:
        """Put into the trace what a session found and what arrived."""
        for fault in effects.faults:
            self._say(f"{self.name} faults {peer.sub} {fault.code}: {fault}")
        for one in effects.keep:
            header = one.header
            what = "body" if one.body is not None else "header"
            self._say(
                f"{self.name} gets {what} {header.sub} {header.epoch}/{header.seq} {one.id.hex()[:6]}"
            )

    async def _dial(self, peer: str) -> None:
        profile, chaos = self._dials[peer]
        wait_s = DIAL_AGAIN_S
        while True:
            if peer in self._ports:
                wait_s = DIAL_AGAIN_S
            elif self.hooks.admits(Author(self.iss, peer)):
                self.network.dial(self.name, peer, profile, chaos=chaos)
                wait_s = min(2 * wait_s, DIAL_AGAIN_S_MAX)
            await asyncio.sleep(wait_s * (0.5 + self._draw.random()))

    # --- what the network calls ----------------------------------------------------------------------

    def opened(self, wire: Wire, peer: str) -> None:
        """A wire stands: give it a session, or turn it away."""
        session = None
        if not self._gone:
            session = self.hooks.on_session(Author(self.iss, peer), wire.ends[0] == self.name)
        if session is None:
            self.network.close(wire)
            return
        self._say(f"{self.name} {'-' if wire.ends[0] == self.name else '<'}> {peer}")
        port = self._ports[peer] = Port(self, wire, peer, session)
        self._spawn(port.run())

    def received(self, wire: Wire, message: bytes) -> None:
        """A message came."""
        port = self._ports.get(wire.other(self.name))
        if port is not None and port.wire is wire and not self._gone:
            port.receive(message)

    def closed(self, wire: Wire) -> None:
        """A wire is gone."""
        peer = wire.other(self.name)
        port = self._ports.get(peer)
        if port is None or port.wire is not wire:
            return
        del self._ports[peer]
        if self._gone:
            return
        port.ended = True
        port.receive(b"")
        self._say(f"{self.name} -/- {peer} {'' if port.fault is None else port.fault.code}")
        self.hooks.on_closed(port.peer, port.fault)
