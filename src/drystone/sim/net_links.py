"""Links that lose, delay, double and reorder what they carry, stall, break, and are healed; every draw from one seed.

A `Wire` is one connection between two hosts. A *stream* wire is what TLS gives over a bad link: in order and whole,
loss shows as delay, a broken link loses what was under way and both ends learn of it, a stalled one holds everything
back and nobody learns anything. A *datagram* wire loses, doubles and reorders whole messages: harsher than any
transport we have, so that no session leans on the stream's kindness.

Lives here: time and fate of messages, and the count of bytes. May not: read a message, or know what a host is.
Place in a record's life: between gateways. Source: design.md section 3.4, issue of the gateways (simulator).
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

from drystone.sim.profiles import Profile

FRAME_BYTES: Final = 4
"""A length goes before each message on a stream."""


GRAIN_S: Final = 1e-5

LIE_SHARE: Final = 0.15
"""Share of a liar's messages that it alters."""

LIES_REMEMBERED: Final = 40


class Chaos(NamedTuple):
    """What a datagram wire does beside losing frames."""

    duplicate: float = 0.0
    """Share of messages that come twice."""
    reorder: float = 0.0
    """Share of messages that others overtake."""


class End(Protocol):
    """A host, seen from its links."""

    def opened(self, wire: "Wire", peer: str) -> None:
        """A wire to `peer` stands."""
        ...

    def received(self, wire: "Wire", message: bytes) -> None:
        """One whole message came."""
        ...

    def closed(self, wire: "Wire") -> None:
        """The wire is gone; nothing more comes, nothing more goes."""
        ...


class Wire:
    """One connection. Its two directions share nothing but their end."""

    def __init__(
        self,
        number: int,
        ends: tuple[str, str],
        profile: Profile,
        draw: random.Random,
        *,
        chaos: Chaos | None,
    ) -> None:
        """Connect two ends; with `chaos` as a datagram wire, else as a stream."""
        self.number = number
        self.ends = ends
        self.profile = profile
        self.chaos = chaos
        self.draw = draw
        self.alive = True
        self.stalled = False
        self.busy_until_s = {ends[0]: 0.0, ends[1]: 0.0}
        self.arrives_s = {ends[0]: 0.0, ends[1]: 0.0}
        self.held: list[tuple[str, bytes]] = []

    def other(self, name: str) -> str:
        """The name at the other end."""
        return self.ends[1] if name == self.ends[0] else self.ends[0]

    def flight(self, sender: str, size: int, now_s: float) -> list[float]:
        """When copies of a message of `size` bytes sent now arrive: none, one or two; takes its place in the queue."""
        start_s = max(now_s, self.busy_until_s[sender])
        profile, draw = self.profile, self.draw
        if self.chaos is None:
            crossing = profile.cross(size, draw)
            self.busy_until_s[sender] = start_s + crossing.air_ms / 1_000
            # Never at one moment: timers of one moment fire in no order.
            at_s = max(start_s + crossing.delay_ms / 1_000, self.arrives_s[sender] + GRAIN_S)
            self.arrives_s[sender] = at_s
            return [at_s]
        self.busy_until_s[sender] = start_s + profile.air_ms(size) / 1_000
        if any(profile.is_lost(draw) for _ in range(profile.frame_count(size))):
            return []
        copies = 2 if draw.random() < self.chaos.duplicate else 1
        late = 10 if draw.random() < self.chaos.reorder else 1
        return [
            self.busy_until_s[sender] + late * profile.delay_ms(draw) / 1_000 for _ in range(copies)
        ]


class Liar:
    """Alters some of the messages that pass: flipped bytes, halves, noise, messages of before."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._past: list[bytes] = []

    def alter(self, message: bytes) -> bytes:
        """Return what is sent in a message's place; most of the time the message."""
        draw = self._draw
        self._past = [*self._past[-LIES_REMEMBERED:], message]
        if draw.random() > LIE_SHARE:
            return message
        match draw.randrange(5):
            case 0:
                at = draw.randrange(len(message))
                return (
                    message[:at] + bytes([message[at] ^ 1 << draw.randrange(8)]) + message[at + 1 :]
                )
            case 1:
                return message[: draw.randrange(len(message))]
            case 2:
                return draw.randbytes(draw.randrange(200))
            case 3:
                return message[:1] + draw.randbytes(draw.randrange(60))
            case _:
                return draw.choice(self._past)


class Network:
    """Who can reach whom, and what is under way."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._ends: dict[str, End] = {}
        self._groups: dict[str, int] = {}
        self._down: set[str] = set()
        self._wires: dict[tuple[str, str], Wire] = {}
        self._count = 0
        self.sent_bytes: Counter[tuple[str, str]] = Counter()
        """Bytes handed to wires, by (sender, receiver), frames included."""
        self.messages = 0
        self._liars: dict[str, Liar] = {}

    def corrupt(self, name: str) -> None:
        """Let a host alter what it sends from now on."""
        self._liars[name] = Liar(random.Random(f"liar/{name}/{self._draw.random()}"))

    def attach(self, name: str, end: End) -> None:
        """Put a host on the network, or back on it."""
        self._ends[name] = end
        self._down.discard(name)

    def reachable(self, a: str, b: str) -> bool:
        """Whether a packet could go from `a` to `b` now."""
        if a in self._down or b in self._down or a not in self._ends or b not in self._ends:
            return False
        return self._groups.get(a, 0) == self._groups.get(b, 0)

    def dial(self, a: str, b: str, profile: Profile, *, chaos: Chaos | None = None) -> Wire | None:
        """Connect `a` to `b`; None where it cannot be, or where they are connected already."""
        pair = _pair(a, b)
        if pair in self._wires or not self.reachable(a, b):
            return None
        self._count += 1
        wire = Wire(self._count, (a, b), profile, self._draw, chaos=chaos)
        self._wires[pair] = wire
        loop = asyncio.get_running_loop()
        loop.call_later(3 * profile.latency_ms / 1_000, self._open, wire)
        return wire

    def _open(self, wire: Wire) -> None:
        for name in wire.ends:
            if wire.alive:
                self._ends[name].opened(wire, wire.other(name))

    def send(self, wire: Wire, sender: str, message: bytes) -> None:
        """Hand a message over; what becomes of it nobody is told."""
        if not wire.alive:
            return
        if sender in self._liars:
            message = self._liars[sender].alter(message)
        size = len(message) + FRAME_BYTES
        receiver = wire.other(sender)
        self.sent_bytes[sender, receiver] += size
        self.messages += 1
        if wire.stalled:
            self._hold(wire, sender, message)
            return
        loop = asyncio.get_running_loop()
        for at_s in wire.flight(sender, size, loop.time()):
            loop.call_at(at_s, self._arrive, wire, receiver, message)

    def _hold(self, wire: Wire, sender: str, message: bytes) -> None:
        if wire.chaos is None:
            wire.held.append((sender, message))

    def _arrive(self, wire: Wire, receiver: str, message: bytes) -> None:
        if not wire.alive:
            return
        if wire.stalled:
            self._hold(wire, wire.other(receiver), message)
            return
        self._ends[receiver].received(wire, message)

    def close(self, wire: Wire) -> None:
        """End a wire from either end, or break it: what is under way is lost, both ends learn of it."""
        if not wire.alive:
            return
        wire.alive = False
        wire.held.clear()
        del self._wires[_pair(*wire.ends)]
        for name in wire.ends:
            if name not in self._down:
                self._ends[name].closed(wire)

    def partition(self, groups: Iterable[Iterable[str]], *, silent: bool) -> None:
        """Let only hosts of one group reach each other; `silent`: wires between groups stall instead of break."""
        self._groups = {name: number for number, group in enumerate(groups) for name in group}
        for wire in self.wires:
            cut = self._groups.get(wire.ends[0], 0) != self._groups.get(wire.ends[1], 0)
            if cut and not silent:
                self.close(wire)
            elif cut:
                wire.stalled = True
            elif wire.stalled:
                self._flow(wire)

    def heal(self) -> None:
        """Let everybody reach everybody again."""
        self.partition([], silent=False)

    def _flow(self, wire: Wire) -> None:
        wire.stalled = False
        held, wire.held = wire.held, []
        loop = asyncio.get_running_loop()
        for sender, message in held:
            for at_s in wire.flight(sender, len(message) + FRAME_BYTES, loop.time()):
                loop.call_at(at_s, self._arrive, wire, wire.other(sender), message)

    def reset(self, name: str) -> None:
        """Break every wire of a host; they may be dialled again at once."""
        for wire in [wire for wire in self.wires if name in wire.ends]:
            self.close(wire)

    def unplug(self, name: str) -> None:
        """Let a host be gone at once; its peers learn of it, it itself does not."""
        self._down.add(name)
        for wire in [wire for wire in self.wires if name in wire.ends]:
            self.close(wire)

    @property
    def wires(self) -> list[Wire]:
        """The connections that stand, by the pair of their ends."""
        return [self._wires[pair] for pair in sorted(self._wires)]


def _pair(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)
