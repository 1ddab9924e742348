"""A gateway restored from a backup, or doubled: it finds out where its chain ends, and begins a new epoch there.

A gateway whose files are older than what peers have of it must not seal: two vertices at one place convict it. So it
pauses when the operator says so (`drystone gateway recover`), and by itself when a peer brings a vertex of its own that
it has not, or when its vertices are refused as forked. What comes meanwhile is stored and acknowledged. Once an uplink
has told all it knows, the gateway goes on in the next epoch with an empty vertex that cites every head (ADR 8).
A file in the home holds through a restart that this is under way. Source: design.md sections 3.3 and 3.4.
"""

import asyncio
import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from drystone.gateway.attest import Attestor
from drystone.gateway.seal import Sealer
from drystone.gateway.sync.messages import Point
from drystone.ledger import keyspace, rows
from drystone.ledger.view import Reader
from drystone.limits import VERTEX_LINKS_MAX
from drystone.node.exchange import Exchange
from drystone.records.dag import Author
from drystone.records.vertex import decode_header

BODIES_S: Final = 60.0
"""How long bodies of own vertices are waited for once all headers are here."""

WANTED_LOOKED_AT: Final = 256

log = logging.getLogger("drystone.node")

MARKER: Final = "recover"
"""Name of the file in a home whose gateway must find out where it stopped."""


class _Whole(NamedTuple):
    """Where a branch of the own chain is whole to, and its vertices behind that whose bodies are not here."""

    place: tuple[int, int]
    id: bytes
    behind: tuple[bytes, ...]


class GatewayEpoch:
    """Pauses a gateway, and begins its next epoch."""

    def __init__(
        self,
        *,
        sealer: Sealer,
        attestor: Attestor,
        exchange: Exchange | None,
        view: Reader,
        marker: Path,
    ) -> None:
        """Pause at once where an earlier process, or the operator, has left the marker."""
        self._sealer = sealer
        self._attestor = attestor
        self._exchange = exchange
        self._view = view
        self._marker = marker
        self._paused = False
        self._informed_s: float | None = None
        if marker.exists():
            self.pause("the home says so")

    @property
    def paused(self) -> bool:
        """Whether nothing is sealed now."""
        return self._paused

    def pause(self, why: str) -> None:
        """Seal nothing until it is known where the chain ends; what comes is stored."""
        if self._paused:
            return
        log.warning("nothing is sealed until peers have told where this gateway stopped: %s", why)
        self._marker.touch(mode=0o600)
        self._paused = True
        self._sealer.pause()
        self._attestor.renew(None)

    def is_ready(self) -> bool:
        """Whether this gateway waits, and an uplink has told all that it knows and given the bodies there are."""
        exchange = self._exchange
        if not self._paused or exchange is None or not exchange.knows_all():
            self._informed_s = None
            return False
        now_s = asyncio.get_running_loop().time()
        if self._informed_s is None:
            self._informed_s = now_s
        return now_s - self._informed_s > BODIES_S or not self._lacks_bodies(exchange)

    def begin(self, *, accepted: Sequence[bytes]) -> None:
        """Begin the next epoch, behind every vertex of this gateway that is known here now.

        `accepted` are the last own vertices that the ledger took, as far as that is known: one of them must be cited,
        or nothing of this epoch is ever taken. Its parent is the last vertex that is whole here: one whose body is
        nowhere can never be ordered, and would hold up what follows it. It is cited all the same, in case its body
        turns up.
        """
        exchange = self._exchange
        assert exchange is not None, "only an exchange makes it ready"
        author = self._sealer.author
        holdings = exchange.holdings
        heads = holdings.heads_of(self._own())
        # A branch of which no body is left comes first: its end is a parent only where there is no other.
        found = sorted(
            (self._whole(exchange, head) for head in heads),
            key=lambda one: (holdings.has_body(one.id), one.place),
        )
        if found and heads:
            last = found[-1]
            highest = max(head.epoch for head in heads)
            epoch = max(highest + 1, self._epoch_min())
            parent = last.id if holdings.has_body(last.id) or not accepted else accepted[0]
            author = author._replace(epoch=epoch, seq=0, parent=parent)
            cite = [own_id for one in reversed(found) for own_id in (*one.behind, one.id)]
            cite = [*accepted[: VERTEX_LINKS_MAX - 2], *cite]
            cite = [own_id for own_id in dict.fromkeys(cite) if own_id != parent]
            self._sealer.begin(author, cite=cite)
            log.warning(
                "epoch %d begins behind %d/%d, citing %d more", epoch, *last.place, len(cite)
            )
        else:
            self._sealer.resume()
        self._attestor.renew(author)
        self._paused = False
        self._marker.unlink(missing_ok=True)

    def _own(self) -> Author:
        author = self._sealer.author
        return Author(author.iss, author.sub)

    def _lacks_bodies(self, exchange: Exchange) -> bool:
        """Whether bodies of own vertices are still to come."""
        own = self._own()
        for own_id, _ in islice(exchange.holdings.wanted(), WANTED_LOOKED_AT):
            place = exchange.holdings.find(own_id)
            if place is not None and place.author == own:
                return True
        return False

    def _whole(self, exchange: Exchange, head: Point) -> _Whole:
        """Give the last vertex of a branch that is whole here, with those behind it that are not."""
        holdings = exchange.holdings
        behind: list[bytes] = []
        own_id, place = head.id, (head.epoch, head.seq)
        while not holdings.has_body(own_id) and len(behind) < VERTEX_LINKS_MAX:
            raw = holdings.header(own_id)
            parent = None if raw is None else decode_header(raw).parent
            at = None if parent is None else holdings.find(parent)
            if parent is None or at is None:
                break
            behind.append(own_id)
            own_id, place = parent, (at.epoch, at.seq)
        return _Whole(place, own_id, tuple(reversed(behind)))

    def is_suspended(self, epoch: int) -> bool:
        """Whether the ledger takes no vertices of this gateway in this epoch any more, as far as is known here."""
        if epoch < self._epoch_min():
            return True
        # The evidence may be here before the registry of after it.
        exchange, author = self._exchange, self._sealer.author
        return exchange is not None and exchange.holdings.suspended(author.iss, author.sub, epoch)

    def _epoch_min(self) -> int:
        author = self._sealer.author
        row = self._view.get(keyspace.member(author.iss, author.sub))
        return 0 if row is None else rows.decode_member(row).vertex_epoch_min
