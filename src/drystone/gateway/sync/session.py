"""One peer: what is said to it, what is believed of it, and what follows. Pure: no clock, socket or disk.

See `effects.py` for how a session is driven. `now_ms` never goes back; it need not be the time of day.

Source: docs/spec/sync.md.
"""
# ruff: noqa: ARG002 - the signatures land first

from collections.abc import Sequence

from drystone.gateway.sync.effects import Effects, Holdings, Own, PeerName, SyncBounds
from drystone.gateway.sync.messages import Done, OrderedBlock, Rows
from drystone.records.vertex import VertexHeader


class Session:
    """The state of one link to one peer; ends with the link."""

    def __init__(
        self,
        *,
        own: Own,
        store: Holdings,
        bounds: SyncBounds,
        peer: PeerName | None = None,
    ) -> None:
        """Begin; `peer` is who the link's certificate names, None where nobody checked (tests)."""
        self._own = own
        self._store = store
        self._bounds = bounds
        self.peer = peer

    def opened(self, now_ms: int, *, time_ms: int | None = None) -> Effects:
        """The link is open; `time_ms` is the wall clock's claim, where there is a clock."""
        return Effects.none()

    def received(self, message: bytes, now_ms: int) -> Effects:
        """A whole message came. Never raises for what a peer sent: see `Effects.close`."""
        return Effects.none()

    def tick(self, now_ms: int) -> Effects:
        """Time has passed: at `wake_ms`, or whenever."""
        return Effects.none()

    def grown(self, headers: Sequence[VertexHeader], now_ms: int) -> Effects:
        """These vertices, or their bodies, are kept now: own ones, this peer's, another peer's."""
        return Effects.none()

    def loaded(self, vertex_id: bytes, packed: bytes | None, now_ms: int) -> Effects:
        """Answer `Effects.load`: the deflated body, None when it was pruned meanwhile."""
        return Effects.none()

    def committed(self, height: int, now_ms: int) -> Effects:
        """The ledger here has grown to this height."""
        return Effects.none()

    def blocks_loaded(self, height: int, blocks: Sequence[OrderedBlock], now_ms: int) -> Effects:
        """Answer `Effects.load_blocks`: at least one block behind the height asked for, the last with a checkpoint.

        Asked when there may be none yet: answer when there is one (`committed` makes the session ask again).
        """
        return Effects.none()

    def rows_loaded(self, rows: Rows, now_ms: int) -> Effects:
        """Answer `Effects.load_rows`."""
        return Effects.none()

    def done_loaded(self, done: Done, now_ms: int) -> Effects:
        """Answer `Effects.load_done`, once there is something to tell."""
        return Effects.none()

    def want_blocks(self, *, after: int, limit: int, now_ms: int) -> Effects:
        """Ask the peer for blocks; they come in `Effects.blocks` as soon as it has any. One question at a time."""
        return Effects.none()

    def want_rows(self, *, after: bytes, last: bytes, digest: bytes, now_ms: int) -> Effects:
        """Ask the peer for registry rows behind `after`; with the digest of the rows held up to `last`, or both empty."""
        return Effects.none()

    def have(self, place: tuple[int, int] | None, now_ms: int) -> Effects:
        """Ask for the outcomes of own vertices behind a place; they come in `Effects.done` as they are known."""
        return Effects.none()
