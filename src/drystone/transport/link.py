"""One link: the loop that carries a session's messages over one TLS connection, and the bounds on it.

Lives here: reading frames and handing them to the session, sending what the session says, its clockwork, and when a
link ends: too slow, silent, flooded, or told to. May not: know what messages mean, store anything, or decide who may
link (`links.py`). What a session wants done beside sending goes to `Hooks.on_effects`, and the next message is read
only when that is done: a slow disk slows the peer down instead of filling memory.

Place in a record's life: between one gateway's vertices and the next one's. Source: docs/spec/sync.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from drystone import limits
from drystone.errors import DrystoneError, LinkMalformed, LinkSilent, PeerFault
from drystone.gateway.sync.messages import Blocks, Body, Rows
from drystone.gateway.sync.wire import Frames, frame, type_of
from drystone.home.certificates import Certificate
from drystone.records.dag import Author
from drystone.records.key import PublicKey
from drystone.transport.link_pace import Bucket, Lanes
from drystone.transport.link_tls import Cut, TlsStream

PIECE_BYTES: Final = 4_096
"""Plain bytes in one TLS record at most: with a rate set, a live message waits for no more than this and one frame."""

LINGER_S: Final = 5.0
"""How long a link that is told to close may take to send what it still has to say."""

WATCH_S: Final = 5.0
"""How often a link looks whether its peer is still there."""


class SessionEffects(Protocol):
    """What a link itself does of a session's effects; the rest is the caller's."""

    @property
    def send(self) -> Sequence[bytes]:
        """Messages to send, in order."""
        ...

    @property
    def close(self) -> DrystoneError | None:
        """Why the link is to end, once all is sent."""
        ...

    @property
    def wake_ms(self) -> int | None:
        """When `tick` is due, on the clock of `now_ms`; None leaves it as it is."""
        ...


E = TypeVar("E", bound=SessionEffects)
E_co = TypeVar("E_co", bound=SessionEffects, covariant=True)


class LinkSession(Protocol[E_co]):
    """What a link drives: `gateway.sync.session.Session`, or what a process wraps around it."""

    def opened(self, now_ms: int) -> E_co:
        """The link is up, both sides are who they say."""
        ...

    def received(self, message: bytes, now_ms: int) -> E_co:
        """A message came."""
        ...

    def tick(self, now_ms: int) -> E_co:
        """The time asked for has come."""
        ...


async def _nothing(peer: Author, effects: SessionEffects) -> None:
    """Do nothing beside sending."""


def _no_matter(peer: Author, fault: DrystoneError | None) -> None:
    """Do nothing about a link that ended."""


def _everybody(_: Author) -> bool:
    """Dial whoever has an address."""
    return True


def is_live(message: bytes) -> bool:
    """Say whether a message goes before those that catch up: everything but bodies, blocks and rows."""
    return type_of(message) not in {Body, Blocks, Rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks(Generic[E]):
    """What a process gives to its links; all are called on the loop, and what they raise beside refusals ends it."""

    on_session: Callable[[Author, bool], LinkSession[E] | None]
    """A peer is there (name, whether we dialled): its session, or None to turn it away for now."""
    keys_of: Callable[[Author], Collection[PublicKey]]
    """Keys that a member has on the ledger as far as is known here, and may link with (`links.keys_on`)."""
    admits: Callable[[Author], bool] = _everybody
    """Whether a peer is to be dialled now: not while it is degraded."""
    on_effects: Callable[[Author, E], Awaitable[None]] = _nothing
    """A session's effects, after their messages were queued; the link reads on when it is done."""
    on_closed: Callable[[Author, DrystoneError | None], None] = _no_matter
    """The link of a peer ended; the session is of no more use."""
    is_live: Callable[[bytes], bool] = is_live
    """Which messages go first."""


class Traffic:
    """Bytes on the wire, handshakes and TLS included, and messages."""

    __slots__ = ("received_bytes", "received_messages", "sent_bytes", "sent_messages")

    def __init__(self) -> None:
        """Begin at nothing."""
        self.received_bytes = self.sent_bytes = 0
        self.received_messages = self.sent_messages = 0

    def count(self, received: int, sent: int) -> None:
        """Count bytes on the wire."""
        self.received_bytes += received
        self.sent_bytes += sent

    def add(self, other: "Traffic") -> None:
        """Take in another's counts."""
        self.received_bytes += other.received_bytes
        self.sent_bytes += other.sent_bytes
        self.received_messages += other.received_messages
        self.sent_messages += other.sent_messages


class Link(Generic[E]):
    """An open link to a peer whose certificate was checked."""

    def __init__(
        self,
        *,
        certificate: Certificate,
        dialled: bool,
        address: str,
        stream: TlsStream,
        session: LinkSession[E],
        hooks: Hooks[E],
        bucket: Bucket,
        traffic: Traffic,
        idle_s: float,
        clock_ms: Callable[[], int],
    ) -> None:
        self.peer = Author(certificate.iss, certificate.sub)
        self.certificate = certificate
        self.dialled = dialled
        self.address = address
        self.traffic = traffic
        self.greeted = False
        self._stream, self._session, self._hooks = stream, session, hooks
        self._bucket, self._idle_s, self._clock_ms = bucket, idle_s, clock_ms
        self._lanes = Lanes()
        self._frames = Frames()
        self._time = asyncio.get_running_loop().time
        self.opened_s = self._heard_s = self._partial_s = self._time()
        self._wake_ms: int | None = None
        self._stirred = asyncio.Event()
        self._closing = self._busy = False
        self._fault: DrystoneError | None = None

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait to be sent."""
        return self._lanes.size

    @property
    def age_s(self) -> float:
        """Seconds since the link was opened."""
        return self._time() - self.opened_s

    @property
    def silent_s(self) -> float:
        """Seconds since the peer was last heard."""
        return self._time() - self._heard_s

    async def run(self) -> DrystoneError | None:
        """Carry messages until the link ends; give the fault that ended it, None when it was just cut.

        Raises what `Hooks.on_effects` raises beside refusals.
        """
        fault: DrystoneError | None = None
        try:
            await self._act(self._session.opened(self._clock_ms()))
            async with asyncio.TaskGroup() as group:
                for task in (self._read(), self._write(), self._watch()):
                    group.create_task(task)
        except* Cut:
            pass
        except* PeerFault as found:
            fault = _first(found)
        finally:
            self._stream.close()
        return fault or self._fault

    def act(self, effects: E) -> None:
        """Send what a session said outside of this link's own calls, and take its wish to close or to be woken."""
        for message in effects.send:
            self._lanes.put(frame(message), live=self._hooks.is_live(message))
            self.traffic.sent_messages += 1
        if effects.wake_ms is not None:
            self._wake_ms = effects.wake_ms
            self._stirred.set()
        if effects.close is not None:
            self.end(effects.close)
        elif self._lanes.size > limits.LINK_QUEUE_BYTES_MAX:
            self.end(LinkSilent(f"{self._lanes.size} bytes wait: the peer does not read"), now=True)

    def end(self, fault: DrystoneError | None, *, now: bool = False) -> None:
        """End the link: once all is sent, or at once."""
        if not self._closing:
            self._fault = fault
            self._closing = True
            self._stirred.set()
        if now:
            self._stream.abort()

    async def _act(self, effects: E) -> None:
        self.act(effects)
        await self._hooks.on_effects(self.peer, effects)

    async def _read(self) -> None:
        while not self._closing:
            data = await self._stream.read()
            if not data:
                raise Cut("the other side hung up")
            had, self._busy = self._frames.held, True
            messages = self._frames.feed(data)
            for message in messages:
                if self._closing:
                    break
                self.greeted = True
                self.traffic.received_messages += 1
                await self._act(self._session.received(message, self._clock_ms()))
            held = self._frames.held
            if not self.greeted and held > limits.LINK_HELLO_BYTES_MAX:
                raise LinkMalformed(f"a first message of more than {held} bytes")
            self._heard_s, self._busy = self._time(), False
            if messages or not had:
                self._partial_s = self._heard_s

    async def _write(self) -> None:
        while True:
            await self._lanes.wait()
            await self._bucket.ready(live=self._lanes.live)
            live = self._lanes.live
            data = memoryview(self._lanes.take(PIECE_BYTES))
            while data:
                self._bucket.spend(self._stream.send(data[:PIECE_BYTES]))
                data = data[PIECE_BYTES:]
                await self._stream.drain()
                if data:
                    await self._bucket.ready(live=live)
            if self._closing and self._lanes.empty:
                self._stirred.set()

    async def _watch(self) -> None:
        """Wake the session, look after the peer, end the link when it is told to."""
        while not self._closing:
            wait_s = WATCH_S
            if self._wake_ms is not None:
                wait_s = min(wait_s, (self._wake_ms - self._clock_ms()) / 1000)
            await self._stir(wait_s)
            self._check_alive()
            now_ms = self._clock_ms()
            if self._wake_ms is not None and now_ms >= self._wake_ms and not self._closing:
                self._wake_ms = None
                await self._act(self._session.tick(now_ms))
        until = self._time() + LINGER_S
        while not self._lanes.empty and self._time() < until:
            await self._stir(until - self._time())
        raise Cut("told to close")

    async def _stir(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._stirred.wait()
        except TimeoutError:
            return
        self._stirred.clear()

    def _check_alive(self) -> None:
        if self._busy:
            return  # It is we who keep the peer waiting.
        now, held = self._time(), self._frames.held
        if not self.greeted and (now - self.opened_s) * 1000 > limits.LINK_HANDSHAKE_MS_MAX:
            raise LinkSilent("no first message")
        if now - self._heard_s > self._idle_s:
            raise LinkSilent(f"nothing heard for {self._idle_s:.0f} s")
        if held and now - self._partial_s > self._idle_s + held / limits.LINK_BYTES_S_MIN:
            raise LinkSilent(f"{held} bytes of a message, and no end of it")


def _first(found: BaseExceptionGroup[PeerFault]) -> DrystoneError:
    """Give the first fault of a group of them."""
    one: BaseException = found
    while isinstance(one, BaseExceptionGroup):
        one = one.exceptions[0]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    assert isinstance(one, DrystoneError)
    return one
