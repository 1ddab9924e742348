"""Peers as links know them: which keys they may link with, what there is to say of each.

May not: open or end a link (`links.py` does). Source: docs/operating/links.md.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from random import Random
from typing import Final, Generic

from drystone import limits
from drystone.ledger import keyspace, rows
from drystone.ledger.view import Reader
from drystone.records.dag import Author
from drystone.records.key import PublicKey, trusted_cose_key
from drystone.transport.link import E, Link, Traffic

NOT_LINKING: Final = frozenset({rows.DEVICE, rows.ATTESTED})
"""Roles that alone give no right to link: a device sends through a gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerReport:
    """What there is to say of one peer; times are seconds since, bytes are on the wire since the start."""

    peer: Author
    address: str
    connected: bool
    dialled: bool
    since_s: float
    silent_s: float
    received_bytes: int
    sent_bytes: int
    received_messages: int
    sent_messages: int
    queued_bytes: int
    links: int
    """Links that were opened."""
    faults: dict[str, int]
    """Why links ended or were refused, by code."""
    problem: str
    """The last of them in words; empty while connected."""


class PeerState(Generic[E]):
    """What is remembered of a peer between its links."""

    def __init__(self) -> None:
        """Begin without a link."""
        self.addresses: list[str] = []
        """Where to dial it, by the settings ..."""
        self.announced: tuple[str, ...] = ()
        """... and as it says itself."""
        self.link: Link[E] | None = None
        self.traffic = Traffic()
        self.faults: Counter[str] = Counter()
        self.problem = ""
        self.links = 0
        self.failures = 0
        self.dialling: asyncio.Task[None] | None = None
        self.changed = asyncio.Event()

    @property
    def is_idle(self) -> bool:
        """Whether it has no link, and nobody dials it."""
        return self.link is None and self.dialling is None and not self.addresses


def report_of(name: Author, peer: PeerState[E]) -> PeerReport:
    """Give what there is to say of a peer now."""
    link = peer.link
    traffic = Traffic()
    traffic.add(peer.traffic)
    if link is not None:
        traffic.add(link.traffic)
    return PeerReport(
        peer=name,
        address=link.address
        if link is not None
        else next(iter((*peer.addresses, *peer.announced)), ""),
        connected=link is not None,
        dialled=link is not None and link.dialled,
        since_s=link.age_s if link is not None else 0.0,
        silent_s=link.silent_s if link is not None else 0.0,
        received_bytes=traffic.received_bytes,
        sent_bytes=traffic.sent_bytes,
        received_messages=traffic.received_messages,
        sent_messages=traffic.sent_messages,
        queued_bytes=link.queued_bytes if link is not None else 0,
        links=peer.links,
        faults=dict(peer.faults),
        problem=peer.problem,
    )


def keys_on(view: Reader) -> Callable[[Author], Collection[PublicKey]]:
    """Give `Hooks.keys_of` over a view of the ledger: the key of an active member that is more than a device."""

    def keys_of(name: Author) -> Collection[PublicKey]:
        row = view.get(keyspace.organisation(name.iss))
        if row is None or rows.decode_organisation(row).status != rows.ACTIVE:
            return ()
        row = view.get(keyspace.member(name.iss, name.sub))
        member = rows.decode_member(row) if row is not None else None
        if member is None or member.status != rows.ACTIVE or NOT_LINKING.issuperset(member.roles):
            return ()
        row = view.get(keyspace.member_key(name.iss, name.sub, member.kid))
        key = rows.decode_key_row(row) if row is not None else None
        if key is None or key.status != rows.ACTIVE:
            return ()
        return (trusted_cose_key(key.cose_key),)

    return keys_of


def backoff_s(failures: int, random: Random) -> float:
    """Give the pause before a peer is dialled again, s: doubles with each failure, half of it drawn."""
    whole_ms = min(limits.LINK_BACKOFF_MS_MIN << min(failures, 16), limits.LINK_BACKOFF_MS_MAX)
    return whole_ms * (0.5 + random.random() / 2) / 1000
