"""Links: who is dialled, who is let in, what all of them together may take.

Lives here: the listener (none unless asked), dialling with backoff, admission, one link per peer, revocation while
links are open, counters. Admission asks two questions of every connection, in both directions, before a session
exists: does a certificate of an authority trusted here name the member, not expired, not revoked; and is the
certificate's key the one this member has on the ledger, as far as is known here. May not: know what is said over a link
(`gateway/sync` does), store anything, or open a connection without TLS.

Place in a record's life: between one gateway's vertices and the next one's. Source: docs/operating/links.md.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, Generic

from drystone import limits
from drystone.errors import (
    ConfigInvalid,
    DrystoneError,
    LinkRefused,
    PeerFault,
    PortTaken,
    TlsFilesInvalid,
)
from drystone.home.authority import TlsFiles
from drystone.home.config import SyncSettings
from drystone.records.dag import Author
from drystone.records.key import SecretKey
from drystone.transport.link import E, Hooks, Link, LinkSession, Traffic, is_live
from drystone.transport.link_addresses import address_of, host_of, is_here, peer_of, spell
from drystone.transport.link_admission import Admission, Admitted
from drystone.transport.link_pace import Bucket
from drystone.transport.link_peers import PeerReport, PeerState, backoff_s, keys_on, report_of

__all__ = ("Hooks", "LinkSession", "Links", "PeerReport", "address_of", "is_live", "keys_on")

BUFFER_BYTES: Final = 65_536
"""Bytes that asyncio holds of a connection in each direction before it pushes back."""

BACKLOG: Final = 64
WATCH_S: Final = 2.0
"""How often the files of `tls/` are looked at for a change, and open links checked against them and the registry."""

RESTS_S: Final = 1.0
"""How often a degraded peer is asked after."""

LASTED_S: Final = 10.0
"""A link that lasted this long, and ended without a fault, is dialled again as if it were the first time."""

QUIET_S: Final = 10.0
"""A link on which nothing came for this long gives way to a new one of the same peer."""

log = logging.getLogger("drystone.transport.links")


class Links(Generic[E]):
    """All links of a process."""

    def __init__(
        self,
        *,
        own: Author,
        secret: SecretKey,
        files: TlsFiles,
        settings: SyncSettings,
        hooks: Hooks[E],
        clock_ms: Callable[[], int],
        unix_s: Callable[[], float],
        random: Random,
    ) -> None:
        """Read the certificates; nothing is opened before `run`.

        `clock_ms` is the sessions' clock, which never goes back; `unix_s` the wall's, for certificates that end.

        Raises: TlsFilesInvalid, ConfigInvalid (an address is none, a peer is this node itself).
        """
        self._own = own
        self._settings, self._hooks = settings, hooks
        self._clock_ms, self._random = clock_ms, random
        self._admission = Admission(
            own=own, secret=secret, files=files, keys_of=hooks.keys_of, unix_s=unix_s
        )
        self._bucket = Bucket(settings.bytes_s)
        self._peers: dict[Author, PeerState[E]] = {}
        self._opening: Counter[str] = Counter()
        self._accepted: list[float] = []
        self._welcoming: set[asyncio.Task[None] | None] = set()
        self._group: asyncio.TaskGroup | None = None
        self._running = False
        self._listener = address_of(settings.listen) if settings.listen else None
        self.listening: str | None = None
        """host:port that the listener has; None while there is none."""
        self.strangers = Traffic()
        """Bytes of connections that never became a link."""
        self.refused: Counter[str] = Counter()
        """Connections refused before their name was known, by code."""
        for peer in settings.peers:
            name = Author(*peer.name.split("/"))
            if name == own:
                raise ConfigInvalid(f"sync.peers: {peer.name} is this node itself")
            self._remember(name)
            if peer.address:
                self.add_address(name, peer.address)

    # --- what the process calls ---------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Listen, dial, carry messages until `stop`; then end every link.

        Raises: PortTaken; what a hook raises beside refusals.
        """
        server: asyncio.Server | None = None
        try:
            async with asyncio.TaskGroup() as group:
                self._group, self._running = group, True
                server = await self._listen()
                for name in list(self._peers):
                    self._start_dialling(name)
                watching = group.create_task(self._watch_files())
                await stop.wait()
                self._running = False
                dialling = [peer.dialling for peer in self._peers.values() if peer.link is None]
                for task in (watching, *dialling, *self._welcoming):
                    if task is not None:
                        task.cancel()
                for peer in self._peers.values():
                    if peer.link is not None:
                        peer.link.end(None)
        finally:
            self._group, self._running, self.listening = None, False, None
            if server is not None:
                server.close()

    def act(self, peer: Author, effects: E) -> bool:
        """Send what a session said outside of its link's own calls; False when the peer has no link now."""
        known = self._peers.get(peer)
        if known is None or known.link is None:
            return False
        known.link.act(effects)
        return True

    def end(self, peer: Author, fault: DrystoneError | None) -> None:
        """End a peer's link, if it has one, after what is queued was sent."""
        known = self._peers.get(peer)
        if known is not None and known.link is not None:
            known.link.end(fault)

    def add_address(self, peer: Author, address: str) -> None:
        """Dial a peer at this address too, if it has no link. Raises: ConfigInvalid when it is no `host:port`."""
        address_of(address)
        known = self._remember(peer)
        if known is not None and address not in known.addresses:
            known.addresses.append(address)
            self._start_dialling(peer)

    def set_announced(self, peer: Author, addresses: Sequence[str]) -> None:
        """Dial a peer where it says that it is, instead of where it said before.

        What leads to this machine itself is left out, unless this side listens on loopback too; so is what is no
        address. Whoever answers there still has to show the peer's certificate.
        """
        known = self._remember(peer) if peer != self._own else None
        if known is None or not self._settings.dial_announced:
            return
        near = self._listener is not None and is_here(self._listener[0])
        found: list[str] = []
        for address in addresses[: limits.ANNOUNCEMENT_ADDRESSES_MAX]:
            with contextlib.suppress(ConfigInvalid):
                host, _ = address_of(address)
                if near or not is_here(host):
                    found.append(address)
        known.announced = tuple(found)
        self._start_dialling(peer)

    def connected(self) -> list[Author]:
        """Give the peers that have a link now."""
        return [name for name, peer in self._peers.items() if peer.link]

    def reload(self) -> None:
        """Read the certificates and lists anew and end links that they no longer allow. Raises: TlsFilesInvalid."""
        self._admission.reload()
        self.recheck()

    def recheck(self) -> None:
        """End links whose certificate was revoked or has expired, or whose key the ledger no longer knows."""
        for peer in self._peers.values():
            if peer.link is None:
                continue
            try:
                self._admission.check(peer.link.certificate, None)
            except PeerFault as fault:
                peer.link.end(fault, now=True)

    def report(self) -> list[PeerReport]:
        """Give what there is to say of every peer, by name."""
        return [report_of(name, peer) for name, peer in sorted(self._peers.items())]

    # --- accepting ----------------------------------------------------------------------------------

    async def _listen(self) -> asyncio.Server | None:
        if self._listener is None:
            return None
        host, port = self._listener
        try:
            server = await asyncio.start_server(
                self._accept, host, port, limit=BUFFER_BYTES, backlog=BACKLOG
            )
        except OSError as error:
            raise PortTaken(f"sync.listen {self._settings.listen}: {error.strerror}") from error
        self.listening = spell(server.sockets[0].getsockname())
        log.info("peers may link at %s", self.listening)
        return server

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let a connection in as far as its handshake, or close it before a byte is read."""
        now = asyncio.get_running_loop().time()
        host = host_of(writer)
        self._accepted = [at for at in self._accepted if now - at < 1.0]
        crowd = self._opening.total() >= limits.LINKS_OPENING_MAX
        crowd |= self._opening[host] >= limits.LINKS_OPENING_MAX // 2
        crowd |= len(self._accepted) >= limits.LINK_HANDSHAKES_SECOND_MAX
        if crowd or self._group is None or not self._running:
            self.refused["overloaded"] += 1
            writer.transport.abort()
            return
        self._accepted.append(now)
        self._opening[host] += 1
        task = self._group.create_task(self._welcome(reader, writer, host))
        self._welcoming.add(task)
        task.add_done_callback(self._welcoming.discard)

    async def _welcome(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str
    ) -> None:
        try:
            admitted = await self._admission.admit(
                reader, writer, expected=None, refused=self.strangers
            )
        except PeerFault as fault:
            self._note_stranger(host, fault)
            return
        finally:
            self._opening[host] -= 1
            if not self._opening[host]:
                del self._opening[host]
            self._welcoming.discard(asyncio.current_task())
        with contextlib.suppress(PeerFault):
            await self._carry(admitted, dialled=False, address=peer_of(writer))

    # --- dialling -----------------------------------------------------------------------------------

    def _remember(self, name: Author) -> PeerState[E] | None:
        """Give what is known of a peer; a new one takes the place of one that has no link and no address."""
        known = self._peers.get(name)
        if known is None:
            if len(self._peers) >= limits.PEERS_MAX + limits.LINKS_MAX:
                idle = (one for one, peer in self._peers.items() if peer.is_idle)
                gone = next(idle, None)
                if gone is None:
                    return None
                del self._peers[gone]
            known = self._peers[name] = PeerState[E]()
        return known

    def _start_dialling(self, name: Author) -> None:
        known = self._peers[name]
        if known.dialling is not None or not (known.addresses or known.announced):
            return
        if self._group is not None and self._running:
            known.dialling = self._group.create_task(self._dial_for_ever(name, known))

    async def _dial_for_ever(self, name: Author, peer: PeerState[E]) -> None:
        turn = 0
        while self._running:
            if peer.link is not None:
                peer.changed.clear()
                await peer.changed.wait()
                continue
            if not self._hooks.admits(name):
                peer.problem = peer.problem or "left alone for what it did"
                await asyncio.sleep(RESTS_S)
                continue
            addresses = (*peer.addresses, *peer.announced)
            if not addresses:
                peer.dialling = None
                return
            address = addresses[turn % len(addresses)]
            turn += 1
            if await self._dial(name, peer, address):
                peer.failures = 0
            else:
                peer.failures += 1
            if not self._running:
                return
            await asyncio.sleep(backoff_s(peer.failures, self._random))

    async def _dial(self, name: Author, peer: PeerState[E], address: str) -> bool:
        """Open a link and carry it to its end; say whether it was worth dialling again at once."""
        loop = asyncio.get_running_loop()
        host, port = address_of(address)
        try:
            async with asyncio.timeout(limits.LINK_HANDSHAKE_MS_MAX / 1000):
                reader, writer = await asyncio.open_connection(host, port, limit=BUFFER_BYTES)
        except (OSError, TimeoutError) as error:
            peer.problem = f"{address}: {getattr(error, 'strerror', None) or 'no answer'}"
            return False
        try:
            admitted = await self._admission.admit(
                reader, writer, expected=name, refused=peer.traffic
            )
            began = loop.time()
            await self._carry(admitted, dialled=True, address=address)
        except PeerFault as fault:
            self._note(name, peer, fault)
            return False
        return loop.time() - began >= LASTED_S

    # --- links --------------------------------------------------------------------------------------

    async def _carry(self, admitted: Admitted, *, dialled: bool, address: str) -> None:
        """Make the link, unless the peer has a better one or is not wanted now, and run it to its end.

        Raises: PeerFault, the one it ended with.
        """
        certificate, stream, traffic = admitted
        name = Author(certificate.iss, certificate.sub)
        peer = self._remember(name)
        session: LinkSession[E] | None = None
        if peer is not None and self._running and self._gives_way(peer, dialled=dialled):
            session = self._hooks.on_session(name, dialled)
        if peer is None or session is None:
            stream.close()
            self.strangers.add(traffic)
            raise LinkRefused(f"{name.iss}/{name.sub} has a link, or is not wanted now")
        link = Link(
            certificate=certificate, dialled=dialled, address=address, stream=stream,
            session=session, hooks=self._hooks, bucket=self._bucket, traffic=traffic,
            idle_s=self._settings.idle_s, clock_ms=self._clock_ms,
        )  # fmt: skip
        peer.link, peer.problem = link, ""
        peer.links += 1
        log.info("link with %s/%s at %s", *name, address)
        fault: DrystoneError | None = None
        try:
            fault = await link.run()
        finally:
            peer.traffic.add(traffic)
            if peer.link is link:
                peer.link = None
                peer.changed.set()
                self._hooks.on_closed(name, fault)
        log.info("link with %s/%s ended: %s", *name, fault or "cut")
        if isinstance(fault, PeerFault):
            if not dialled:
                self._note(name, peer, fault)
            raise fault

    def _gives_way(self, peer: PeerState[E], *, dialled: bool) -> bool:
        """Say whether a new link may take the place of what there is; end that if so.

        Both sides keep the link that the first by name dialled, so that two that dial each other at once end with
        one. A link in the same direction is a newer one of a peer that lost the old one; one that is quiet is dead.
        """
        old = peer.link
        if old is None:
            return len(self.connected()) < self._settings.links_max
        first_dialled = (self._own < old.peer) == dialled
        if old.dialled == dialled or old.silent_s > QUIET_S or first_dialled:
            # Told before the new session is asked for, so that a peer never has two.
            peer.link = None
            old.end(None, now=True)
            self._hooks.on_closed(old.peer, None)
            return True
        return False

    def _note(self, name: Author, peer: PeerState[E], fault: PeerFault) -> None:
        peer.faults[fault.code] += 1
        peer.problem = str(fault)
        if peer.faults[fault.code].bit_count() == 1:
            log.warning("%s/%s: %s: %s", *name, fault.code, fault)

    def _note_stranger(self, host: str, fault: PeerFault) -> None:
        self.refused[fault.code] += 1
        if self.refused[fault.code].bit_count() == 1:
            log.warning("connection from %s refused: %s: %s", host, fault.code, fault)

    async def _watch_files(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            if self._admission.changed:
                try:
                    self._admission.reload()
                except TlsFilesInvalid as error:
                    log.error("the certificates stay as they were: %s", error)
            self.recheck()
