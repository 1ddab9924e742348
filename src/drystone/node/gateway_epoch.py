"""A gateway restored from a backup, or doubled: it finds out where its chain ends, and begins a new epoch there.

A gateway whose files are older than what peers have of it must not seal: two vertices at one place convict it. So it
pauses when the operator says so (`drystone gateway recover`), and by itself when a peer brings a vertex of its own that
it has not, or when its vertices are refused as forked. What comes meanwhile is stored and acknowledged. Once an uplink
has told all it knows, the gateway goes on in the next epoch with an empty vertex that cites every head (ADR 8).
A file in the home holds through a restart that this is under way. Source: design.md sections 3.3 and 3.4.
"""

import logging
from pathlib import Path
from typing import Final

from drystone.gateway.attest import Attestor
from drystone.gateway.seal import Sealer
from drystone.ledger import keyspace, rows
from drystone.ledger.view import Reader
from drystone.node.exchange import Exchange
from drystone.records.dag import Author

log = logging.getLogger("drystone.node")

MARKER: Final = "recover"
"""Name of the file in a home whose gateway must find out where it stopped."""


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
        """Whether this gateway waits, and an uplink has told all that it knows."""
        return self._paused and self._exchange is not None and self._exchange.knows_all()

    def begin(self) -> None:
        """Begin the next epoch, behind every vertex of this gateway that is known here now."""
        exchange = self._exchange
        assert exchange is not None, "only an exchange makes it ready"
        author = self._sealer.author
        heads = exchange.holdings.heads_of(Author(author.iss, author.sub))
        if heads:
            last = max(heads, key=lambda head: (head.epoch, head.seq, head.id))
            epoch = max(last.epoch + 1, self._epoch_min())
            author = author._replace(epoch=epoch, seq=0, parent=last.id)
            others = [head.id for head in heads if head.id != last.id]
            self._sealer.begin(author, cite=others)
            log.warning(
                "epoch %d begins behind %d/%d, with %d other heads",
                epoch, last.epoch, last.seq, len(others),
            )  # fmt: skip
        else:
            self._sealer.resume()
        self._attestor.renew(author)
        self._paused = False
        self._marker.unlink(missing_ok=True)

    def is_suspended(self, epoch: int) -> bool:
        """Whether the ledger takes no vertices of this gateway in this epoch any more, as far as is known here."""
        return epoch < self._epoch_min()

    def _epoch_min(self) -> int:
        author = self._sealer.author
        row = self._view.get(keyspace.member(author.iss, author.sub))
        return 0 if row is None else rows.decode_member(row).vertex_epoch_min
