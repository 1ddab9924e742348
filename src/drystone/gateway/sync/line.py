"""What the parts of one session share: who is at the other end, what is being said in this turn, what it costs.

A *turn* is one call of the session. Its parts put messages and effects down here; the session hands them out at the
turn's end. Also here: the allowance for what is of no use, which honest peers hardly touch. No I/O, no clock.

Place in a record's life: between vertex and order. Source: docs/spec/sync.md.
"""

from typing import Final

from drystone import limits
from drystone.errors import HeadersFlood, MessagesFlood, PeerFault
from drystone.gateway.sync.claims import Claims
from drystone.gateway.sync.effects import Arrived, Effects, Holdings, Own, PeerName, SyncBounds
from drystone.gateway.sync.messages import Hello, Message, Part
from drystone.gateway.sync.wire import encode_message
from drystone.records.vertex import VertexHeader, vertex_id

PATIENCE: Final = 30
"""Times of an answer that is waited for at most while other things arrive."""


class Allowance:
    """So many at once, and so many per second for long."""

    def __init__(self, *, burst: int, per_second: int) -> None:
        self._burst = burst
        self._per_second = per_second
        self._left_milli = burst * 1_000
        self._since_ms: int | None = None

    def spend(self, count: int, now_ms: int) -> bool:
        """Take `count` from it; say no when there is not so much left."""
        if self._since_ms is not None:
            gained = (now_ms - self._since_ms) * self._per_second
            self._left_milli = min(self._burst * 1_000, self._left_milli + gained)
        self._since_ms = now_ms
        self._left_milli -= count * 1_000
        return self._left_milli >= 0


class Line:
    """The context of a session's parts."""

    def __init__(
        self,
        *,
        own: Own,
        store: Holdings,
        bounds: SyncBounds,
        peer: PeerName | None,
        claims: Claims,
    ) -> None:
        self.own = own
        self.store = store
        self.bounds = bounds
        self.peer = peer
        self.claims = claims
        self.hello: Hello | None = None
        """The peer's, once it came."""
        self.now_ms = 0
        self.out = Effects.none()
        self.sent_ms: int | None = None
        self.heard_ms: int | None = None
        self.moved_ms = 0
        """When something other than a sign of life was last heard."""
        self.messages_in = self.messages_out = self.bytes_in = self.bytes_out = 0
        self.look_ms = 0
        """Until then something may turn out not to have been stored."""
        self.clock_offset_ms: int | None = None
        """The time of day less `now_ms`, where there is a clock."""
        self._wake_ms: int | None = None
        self._useless = Allowance(
            burst=2 * limits.SYNC_MESSAGES_SECOND_MAX, per_second=limits.SYNC_MESSAGES_SECOND_MAX
        )
        self._pushed = Allowance(
            burst=limits.SYNC_HEADERS_PUSHED_MAX,
            per_second=limits.SYNC_HEADERS_PUSHED_SECOND_MAX,
        )

    @property
    def name(self) -> str:
        """The peer's name, for messages."""
        if self.peer is None:
            return "the peer"
        return f"{self.peer.iss}/{self.peer.sub}"

    @property
    def time_ms(self) -> int | None:
        """The time of day here, where there is a clock."""
        return None if self.clock_offset_ms is None else self.now_ms + self.clock_offset_ms

    @property
    def chunk(self) -> int:
        """Bytes of a message at most, where there is a choice."""
        theirs = self.hello.chunk if self.hello else self.bounds.chunk_bytes
        return max(256, min(self.bounds.chunk_bytes, theirs))

    def vertex_id(self, header: VertexHeader) -> bytes:
        """Return a vertex's id on this ledger."""
        return vertex_id(header, self.own.ledger)

    def due_ms(self, since_ms: int, moved_ms: int) -> int:
        """Give the time at which a question put at `since_ms` counts as lost.

        What is late on a thin link is not lost: while the link moves (last at `moved_ms`), it is waited for longer, but
        not for ever, because on some links single messages are lost.
        """
        patient_ms = since_ms + PATIENCE * self.bounds.answer_ms
        return min(patient_ms, max(since_ms, moved_ms) + self.bounds.answer_ms)

    def begin(self, now_ms: int) -> None:
        """Start a turn."""
        self.now_ms = max(self.now_ms, now_ms)
        self.out = Effects.none()
        self._wake_ms = None

    def end(self, close: PeerFault | None) -> Effects:
        """Finish the turn and give its effects."""
        if close is not None:
            self.out.faults.append(close)
        return self.out._replace(close=close, wake_ms=None if close else self._wake_ms)

    def wake(self, at_ms: int) -> None:
        """Ask for a tick at a time, at the latest."""
        self._wake_ms = at_ms if self._wake_ms is None else min(self._wake_ms, at_ms)

    def send(self, message: Message) -> int:
        """Send a message, in parts if it is long; give its length."""
        data = encode_message(message)
        chunk = limits.SYNC_MESSAGE_BYTES_MAX // 2
        if len(data) <= chunk:
            self.out.send.append(data)
        else:
            pieces = [data[at : at + chunk] for at in range(0, len(data), chunk)]
            for number, piece in enumerate(pieces):
                part = Part(number, number + 1 == len(pieces), piece)
                self.out.send.append(encode_message(part))
        self.sent_ms = self.now_ms
        self.messages_out += 1
        self.bytes_out += len(data)
        return len(data)

    def keep(self, arrived: Arrived) -> None:
        """Have a vertex, or its body, stored; look again after a while whether it was."""
        self.store.stage(arrived)
        self.out.keep.append(arrived)
        self.look_ms = self.now_ms + self.bounds.answer_ms

    def fault(self, fault: PeerFault) -> None:
        """Count a fault that the session survives."""
        self.out.faults.append(fault)

    def useless(self) -> None:
        """Count a message that was of no use.

        Raises:
            MessagesFlood: there were too many.
        """
        if not self._useless.spend(1, self.now_ms):
            raise MessagesFlood(
                f"{self.name} sends more messages of no use than a lost link explains"
            )

    def pushed(self, count: int) -> None:
        """Count unasked headers that were of no use.

        Raises:
            HeadersFlood: there were too many.
        """
        if count and not self._pushed.spend(count, self.now_ms):
            raise HeadersFlood(f"{self.name} sends headers that nobody asked for")
