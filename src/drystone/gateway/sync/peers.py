"""All peers of a process: who is asked for what, who is degraded and why, and what is told to whom.

Pure, like the sessions in it. See `effects.py` for how it is driven.

Source: docs/spec/sync.md.
"""
# ruff: noqa: ARG002 - the signatures land first

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from drystone.errors import PeerFault
from drystone.gateway.sync.effects import Arrived, Effects, Holdings, Own, PeerName, SyncBounds
from drystone.gateway.sync.session import Session


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
    bytes_out: int


class Peers:
    """The sessions of a process."""

    def __init__(self, *, own: Own, store: Holdings, bounds: SyncBounds) -> None:
        self._own = own
        self._store = store
        self._bounds = bounds

    def admits(self, name: PeerName, now_ms: int) -> bool:
        """Whether a link to this peer is welcome now: not while it is degraded. Ask before dialling and accepting."""
        return True

    def session(
        self, name: PeerName, *, now_ms: int, uplink: bool = False, bounds: SyncBounds | None = None
    ) -> Session:
        """Make the session of a link that was just opened; an older one of this peer ends (`closed` is not called)."""
        return Session(own=self._own, store=self._store, bounds=bounds or self._bounds, peer=name)

    def closed(self, session: Session, now_ms: int) -> dict[PeerName, Effects]:
        """The link is gone, whoever ended it; what it was asked for is asked of others."""
        return {}

    def kept(self, arrived: Sequence[Arrived], now_ms: int) -> dict[PeerName, Effects]:
        """These are durable now: own vertices, or what sessions gave to `keep`. Tells every session."""
        return {}

    def dropped(self, arrived: Sequence[Arrived], now_ms: int) -> None:
        """These could not be stored (disk full): they are asked for again later."""

    def fault(self, name: PeerName, fault: PeerFault, now_ms: int) -> None:
        """Count what a link found out about a peer (`LinkSilent` and its kin); sessions count their own."""

    def status(self, now_ms: int) -> list[PeerStatus]:
        """Give every peer ever seen, by name."""
        return []
