"""All peers of a process: who is asked for what, who is degraded and why, and what is told to whom.

Pure, like the sessions in it; see `effects.py` for how it is driven. Sessions share one set of claims, so that nothing
is asked of two peers at once, and what one peer brings is told to the others. Every fault is counted under its code and
its peer's name. A peer whose fault no lost message explains is *degraded*: it is left alone for a time that doubles
with each such fault, while everybody else goes on.

Place in a record's life: between one gateway's vertices and the next one's. Source: docs/spec/sync.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from drystone import limits
from drystone.errors import (
    AnnouncementReplayed,
    ClockAbsurd,
    LinkMalformed,
    LinkRefused,
    LinkSilent,
    PeerFault,
    PeerLeft,
    PeerSilent,
)
from drystone.gateway.sync.claims import Claims
from drystone.gateway.sync.effects import Arrived, Effects, Own, PeerName, SyncBounds
from drystone.gateway.sync.holdings import VertexHoldings
from drystone.gateway.sync.session import Session

MILD: Final = (
    AnnouncementReplayed,
    ClockAbsurd,
    LinkMalformed,
    LinkRefused,
    LinkSilent,
    PeerLeft,
    PeerSilent,
)
"""Faults that bad links and clocks explain: counted, and the peer is not left alone for them."""

FORGIVEN_MS: Final = 24 * 3_600_000
"""A peer without a serious fault for this long begins anew."""

PEERS_REMEMBERED_MAX: Final = 8 * limits.LINKS_MAX


class PeerStatus(NamedTuple):
    """A peer as an operator sees it."""

    name: PeerName
    role: str | None
    linked: bool
    uplink: bool
    authors_behind: int
    """Authors of whom it has vertices that are not here."""
    height: int
    faults: Mapping[str, int]
    """Faults by code since the process started."""
    last_fault: str | None
    degraded_ms: int
    """Time for which it is left alone still; 0 where it is in good standing."""
    messages_in: int
    messages_out: int
    bytes_in: int
    """Of messages, without the link's own."""
    bytes_out: int


@dataclass(slots=True)
class _Peer:
    """What is known of a peer, linked or not."""

    uplink: bool = False
    role: str | None = None
    session: Session | None = None
    height: int = 0
    faults: dict[str, int] = field(default_factory=dict[str, int])
    last: PeerFault | None = None
    serious: int = 0
    degraded_until_ms: int = 0
    counted: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    """Messages in and out, bytes in and out, of sessions that have ended."""


class Peers:
    """The sessions of a process."""

    def __init__(self, *, own: Own, store: VertexHoldings, bounds: SyncBounds) -> None:
        self._own = own
        self._store = store
        self._bounds = bounds
        self._claims = Claims()
        self._peers: dict[PeerName, _Peer] = {}
        self._evidence: list[bytes] = []
        self._now_ms = 0

    # --- links -------------------------------------------------------------------------------------

    def admits(self, name: PeerName, now_ms: int) -> bool:
        """Whether a link to this peer is welcome now: not while it is degraded. Ask before dialling and accepting."""
        peer = self._peers.get(name)
        return peer is None or peer.degraded_until_ms <= now_ms

    def session(
        self, name: PeerName, *, now_ms: int, uplink: bool = False, bounds: SyncBounds | None = None
    ) -> Session:
        """Make the session of a link that was just opened; an older one of this peer ends (`closed` is not called)."""
        self._now_ms = max(self._now_ms, now_ms)
        peer = self._peer(name)
        if peer.session is not None:
            self._end(peer)
        peer.uplink = uplink

        def blame(fault: PeerFault) -> None:
            self.fault(name, fault, self._now_ms)

        peer.session = Session(
            own=self._own,
            store=self._store,
            bounds=bounds or self._bounds,
            peer=name,
            claims=self._claims,
            blame=blame,
        )
        return peer.session

    def closed(self, session: Session, now_ms: int) -> dict[PeerName, Effects]:
        """The link is gone, whoever ended it; what it was asked for is asked of others."""
        self._now_ms = max(self._now_ms, now_ms)
        for peer in self._peers.values():
            if peer.session is session:
                self._end(peer)
        session.ended()
        return self.tick(now_ms)

    def _end(self, peer: _Peer) -> None:
        session = peer.session
        if session is not None:
            session.ended()
            peer.height = session.height
            peer.role = session.hello.role if session.hello else peer.role
            peer.counted = [a + b for a, b in zip(peer.counted, session.counted, strict=True)]
            peer.session = None

    # --- vertices ----------------------------------------------------------------------------------

    def kept(self, arrived: Sequence[Arrived], now_ms: int) -> dict[PeerName, Effects]:
        """These are durable now: own vertices, or what sessions gave to `keep`. Tells every session.

        Evidence of forks that they reveal is told to all peers, and waits in `evidence` for the process.
        """
        self._now_ms = max(self._now_ms, now_ms)
        self._evidence += self._store.kept(arrived)
        del self._evidence[: -limits.SYNC_FORKS_MAX]
        headers = [one.header for one in arrived]
        return {name: one.grown(headers, now_ms) for name, one in self._open()}

    def dropped(self, arrived: Sequence[Arrived], now_ms: int) -> None:
        """These could not be stored (disk full): they are asked for again later."""
        self._now_ms = max(self._now_ms, now_ms)
        self._store.dropped(arrived)
        for _, session in self._open():
            session.dropped([one.id for one in arrived])

    def tick(self, now_ms: int) -> dict[PeerName, Effects]:
        """Let every session look again: claims have ended, notices or keys are new."""
        self._now_ms = max(self._now_ms, now_ms)
        return {name: session.tick(now_ms) for name, session in self._open()}

    def evidence(self) -> list[bytes]:
        """Give, once, the evidence of forks that vertices kept here revealed."""
        found, self._evidence = self._evidence, []
        return found

    def _open(self) -> list[tuple[PeerName, Session]]:
        return [
            (name, peer.session)
            for name, peer in self._peers.items()
            if peer.session is not None and not peer.session.closed
        ]

    # --- standing ----------------------------------------------------------------------------------

    def fault(self, name: PeerName, fault: PeerFault, now_ms: int) -> None:
        """Count what a link found out about a peer (`LinkSilent` and its kin); sessions count their own.

        The same fault object is counted once, whoever reports it.
        """
        peer = self._peer(name)
        if peer.last is fault:
            return
        if peer.serious and now_ms - peer.degraded_until_ms > FORGIVEN_MS:
            peer.serious = 0
        peer.last = fault
        peer.faults[fault.code] = peer.faults.get(fault.code, 0) + 1
        if not isinstance(fault, MILD):
            backoff_ms = limits.PEER_BACKOFF_MS << min(peer.serious, 16)
            peer.serious += 1
            peer.degraded_until_ms = now_ms + min(backoff_ms, limits.PEER_BACKOFF_MS_MAX)

    def status(self, now_ms: int) -> list[PeerStatus]:
        """Give every peer ever seen, by name."""
        return [self._status(name, peer, now_ms) for name, peer in sorted(self._peers.items())]

    def _status(self, name: PeerName, peer: _Peer, now_ms: int) -> PeerStatus:
        session = peer.session
        hello = session.hello if session is not None else None
        counted = peer.counted
        if session is not None:
            counted = [a + b for a, b in zip(counted, session.counted, strict=True)]
        return PeerStatus(
            name=name,
            role=hello.role if hello is not None else peer.role,
            linked=session is not None and not session.closed,
            uplink=peer.uplink,
            authors_behind=session.behind if session is not None else 0,
            height=session.height if session is not None else peer.height,
            faults=dict(peer.faults),
            last_fault=None if peer.last is None else f"{peer.last.code}: {peer.last}",
            degraded_ms=max(0, peer.degraded_until_ms - now_ms),
            messages_in=counted[0],
            messages_out=counted[1],
            bytes_in=counted[2],
            bytes_out=counted[3],
        )

    def _peer(self, name: PeerName) -> _Peer:
        peer = self._peers.get(name)
        if peer is None:
            if len(self._peers) >= PEERS_REMEMBERED_MAX:
                gone = next((n for n, one in self._peers.items() if one.session is None), None)
                if gone is not None:
                    del self._peers[gone]
            peer = self._peers[name] = _Peer()
        return peer
