"""Two or more members with certificates, and links between them over loopback, for tests."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import uvloop

from drystone.errors import DrystoneError
from drystone.formats.cose import ALG_EDDSA
from drystone.home.authority import Authority, TlsFiles, install
from drystone.home.certificates import private_pem
from drystone.home.config import PeerSettings, SyncSettings
from drystone.records.dag import Author
from drystone.records.key import PublicKey, SecretKey
from drystone.transport.link_tls import PROTOCOL
from drystone.transport.links import Hooks, Links, LinkSession, address_of


class Said(NamedTuple):
    """Effects of the sessions in these tests."""

    send: Sequence[bytes] = ()
    close: DrystoneError | None = None
    wake_ms: int | None = None


class Echo:
    """A session that greets, keeps what it hears, and says what a test tells it to."""

    def __init__(self, peer: Author, greeting: bytes) -> None:
        self.peer = peer
        self.greeting = greeting
        self.heard: list[bytes] = []
        self.ticks = 0
        self.answer = Said()

    def opened(self, now_ms: int) -> Said:
        return Said(send=[self.greeting])

    def received(self, message: bytes, now_ms: int) -> Said:
        self.heard.append(message)
        return self.answer

    def tick(self, now_ms: int) -> Said:
        self.ticks += 1
        return Said()


class Member:
    """A member with a key, a certificate and links of its own."""

    def __init__(self, town: "Town", sub: str, seed: int) -> None:
        self.town = town
        self.name = Author("ewz", sub)
        self.secret = SecretKey.generate(ALG_EDDSA, bytes([seed]) * 32)
        self.files = TlsFiles(town.root / sub)
        self.sessions: list[Echo] = []
        self.closed: list[DrystoneError | None] = []
        self.handled: list[Said] = []
        self.turned_away: set[Author] = set()
        self.left_alone: set[Author] = set()
        self.stop = asyncio.Event()
        self.links: Links[Said]

    def enrol(self, authority: Authority | None = None, *, key: PublicKey | None = None) -> str:
        """Have a certificate issued and installed; give its serial number."""
        by = authority or self.town.authority
        issued, pem = by.enrol(
            iss=self.name.iss,
            sub=self.name.sub,
            key=key or self.secret.public,
            now_s=self.town.now_s,
            entropy=self.town.entropy(16),
        )
        install(self.files, ca=by.pem, node=pem, crl=by.crl_pem)
        return issued.serial

    def on_session(self, peer: Author, dialled: bool) -> LinkSession[Said] | None:
        if peer in self.turned_away:
            return None
        session = Echo(peer, b"I am " + self.name.sub.encode())
        self.sessions.append(session)
        return session

    async def on_effects(self, peer: Author, effects: Said) -> None:
        self.handled.append(effects)

    def on_closed(self, peer: Author, fault: DrystoneError | None) -> None:
        self.closed.append(fault)

    def make_links(
        self, *peers: "tuple[Member, str]", listen: bool = False, idle_s: float = 300, bytes_s: int = 0,
        links_max: int = 128,
    ) -> Links[Said]:  # fmt: skip
        """Make the links; nothing is opened yet."""
        settings = SyncSettings(
            listen="127.0.0.1:0" if listen else "",
            bytes_s=bytes_s,
            links_max=links_max,
            peers=tuple(
                PeerSettings(name=f"{peer.name.iss}/{peer.name.sub}", address=address)
                for peer, address in peers
            ),
        ).model_copy(update={"idle_s": idle_s})
        self.links = Links(
            own=self.name,
            secret=self.secret,
            files=self.files,
            settings=settings,
            hooks=Hooks(
                on_session=self.on_session,
                keys_of=self.town.keys_of,
                admits=lambda peer: peer not in self.left_alone,
                on_effects=self.on_effects,
                on_closed=self.on_closed,
            ),
            clock_ms=lambda: int(asyncio.get_running_loop().time() * 1000),
            unix_s=lambda: self.town.unix_s,
            random=Random(7),
        )
        return self.links

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncGenerator[Links[Said]]:
        """Run the links for as long as the block."""
        running = asyncio.create_task(self.links.run(self.stop))
        try:
            if self.links._listener is not None:
                await until(lambda: self.links.listening is not None or running.done())
            yield self.links
        finally:
            self.stop.set()
            await asyncio.wait_for(running, 20)

    @property
    def at(self) -> str:
        """Where the member listens."""
        assert self.links.listening is not None
        return self.links.listening


class Town:
    """An authority, members, and a registry that knows their keys."""

    def __init__(self, root: Path, now_s: int) -> None:
        self.root = root
        self.now_s = now_s
        self.unix_s = float(now_s)
        self.random = Random(5)
        self.registry: dict[Author, tuple[PublicKey, ...]] = {}
        self.authority = self.make_authority("ewz")

    def entropy(self, size: int) -> bytes:
        return self.random.randbytes(size)

    def make_authority(self, organisation: str, folder: str = "ca") -> Authority:
        authority = Authority(self.root / folder)
        authority.create(organisation=organisation, now_s=self.now_s, entropy=self.entropy(48))
        return authority

    def member(self, sub: str, *, enrolled: bool = True) -> Member:
        made = Member(self, sub, len(self.registry) + 1)
        self.registry[made.name] = (made.secret.public,)
        if enrolled:
            made.enrol()
        return made

    def keys_of(self, name: Author) -> Collection[PublicKey]:
        return self.registry.get(name, ())


def run(work: Coroutine[Any, Any, None], loop_kind: str) -> None:
    """Run a test's work on one of the loops that a node may have."""
    factory = uvloop.new_event_loop if loop_kind == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(work, 60))


async def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait until something holds; the loop turns meanwhile."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for is not ours to signal
            await asyncio.sleep(0.005)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def plain(at: str) -> Streams:
    """Connect without TLS."""
    return await asyncio.open_connection(*address_of(at))


async def foreign(
    at: str,
    member: Member | None,
    *,
    alpn: str | None = PROTOCOL,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> Streams:
    """Connect as a program that is not ours, with a member's certificate or none; trusts whoever answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if alpn is not None:
        context.set_alpn_protocols([alpn])
    if member is not None:
        key = member.files.folder / "key.pem"
        key.write_bytes(private_pem(member.secret, b"test"))
        context.load_cert_chain(str(member.files.node), str(key), password="test")
    return await asyncio.open_connection(*address_of(at), ssl=context)


async def read_to_end(streams: Streams) -> bytes:
    """Read what comes until the other side hangs up, in whatever way; then close."""
    reader, writer = streams
    data = b""
    with contextlib.suppress(OSError):
        while piece := await reader.read(65_536):
            data += piece
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return data
