"""Bodies on demand: asked for piece by piece, put together, unpacked within their header's length; and passed on.

Asking: vertices whose headers are kept, oldest first, as many bytes at a time as the link's window holds. Every piece
names the next bytes wanted, so that a lost link costs what was on it and no more. Passing on: deflated as they lie on
the disk. Who asks for a body that is itself still to come is told so, turns to somebody else, and is told again when it
is here.

A body that does not fit its header ends the session: an honest peer has checked it. Memory: `limits.SYNC_BODIES_MAX`
bodies, and the bytes of `limits.SYNC_BODY_BYTES_MAX` for each session, `SYNC_BODIES_BYTES_MAX` for all.

Place in a record's life: vertex. Source: docs/spec/sync.md.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drystone import limits
from drystone.errors import BodyBomb, BodyMismatch, MessagesFlood, Refused
from drystone.gateway.sync.claims import Partial
from drystone.gateway.sync.effects import Arrived, Place
from drystone.gateway.sync.line import Line
from drystone.gateway.sync.messages import Body, Point, WantBodies
from drystone.records.dag import Author
from drystone.records.vertex import VertexHeader, split_body

TRIES_MAX = 3
"""Times that a body is asked for without a byte coming before another peer is asked."""

ABSENT_WAITS = 30
"""Times of an answer after which a peer that has not got a body is asked again, if it does not say that it has."""

HOPE_WAITS = 3
"""Times of an answer after which a peer is asked for a body that it does not say it has, but was told of."""

LATER_MAX = 4 * limits.SYNC_BODIES_MAX
"""Bodies still to come of which a peer is told when they are here."""

WANTED_PASSED_MAX = 4 * limits.SYNC_BODIES_MAX
"""Bodies still to come that a turn passes over, because they cannot be asked for, before it leaves them for last."""

_PIECE_HEAD = 56
"""Bytes of a `Body` beside its data."""


@dataclass(slots=True)
class _Fetch:
    """A body on its way here."""

    length: int
    """Bytes that the header gives."""
    since_ms: int
    asked: int = 0
    """Bytes asked for, from the body's start."""
    total: int = 0
    tries: int = 0
    resumed: bool = False
    data: bytearray = field(default_factory=bytearray)


class Bodies:
    """The bodies' part of one session."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._fetching: dict[bytes, _Fetch] = {}
        self._absent: dict[bytes, int] = {}
        """Bodies that the peer did not give, and when it may be asked again."""
        self._hoped: dict[bytes, int] = {}
        """Bodies that nobody says to have, and when they were first looked for."""
        self._serving: dict[bytes, tuple[int, int]] = {}
        """Pieces being loaded for the peer: offset and size by id."""
        self._later: dict[bytes, None] = {}
        """Bodies that the peer asked for and that are still to come here."""
        self._cached: tuple[bytes, bytes] | None = None
        self._moved_ms = 0
        """When a piece of a body last came."""

    @property
    def fetching(self) -> int:
        """Bodies asked for and not here yet."""
        return len(self._fetching)

    # --- asking ------------------------------------------------------------------------------------

    def ask(
        self,
        theirs: Mapping[Author, tuple[Point, ...]],
        told: Mapping[Author, tuple[Point, ...]],
    ) -> None:
        """Ask for bodies that are wanted, that the peer should have, and that nobody else is asked for.

        `theirs` is where the peer says that authors' chains end there, `told` what it was told and does not repeat.
        """
        line = self._line
        self._ask_again()
        pieces: list[tuple[bytes, int, int]] = []
        window = sum(fetch.length for fetch in self._fetching.values())
        if 2 * len(self._fetching) > line.bounds.bodies or 2 * window > line.bounds.window_bytes:
            return  # Several are asked for at once, when half of those under way have come.
        passed: list[bytes] = []
        for own_id, length in line.store.wanted():
            full = len(self._fetching) >= line.bounds.bodies or (
                self._fetching and window + length > line.bounds.window_bytes
            )
            if full or line.store.room <= len(self._fetching):
                break
            if len(passed) >= WANTED_PASSED_MAX:
                line.store.postpone(passed)  # Nobody has them: those behind them get their turn.
                line.wake(line.now_ms + line.bounds.relay_ms)
                break
            if own_id in self._fetching:
                continue
            if self._may_ask(own_id, length, theirs, told):
                fetch = self._begin(own_id, length)
                window += length
                pieces.append((own_id, len(fetch.data), fetch.asked - len(fetch.data)))
            else:
                passed.append(own_id)
        if pieces:
            line.send(WantBodies(tuple(pieces)))

    def _may_ask(
        self,
        own_id: bytes,
        length: int,
        theirs: Mapping[Author, tuple[Point, ...]],
        told: Mapping[Author, tuple[Point, ...]],
    ) -> bool:
        line = self._line
        again_ms = self._absent.get(own_id, 0)
        if again_ms > line.now_ms:
            line.wake(again_ms)
            return False
        place = line.store.find(own_id)
        if place is None or not (
            _reaches(theirs, place) or (_reaches(told, place) and self._is_hope(own_id))
        ):
            return False
        until_ms = line.now_ms + (TRIES_MAX + 1) * line.bounds.answer_ms
        if line.claims.take(own_id, line, now_ms=line.now_ms, until_ms=until_ms, size=length):
            return True
        held_ms = line.claims.held_until(own_id, line)
        if held_ms is not None:
            line.wake(held_ms)
        return False

    def _is_hope(self, own_id: bytes) -> bool:
        """Whether a body has been looked for so long that also a peer is asked that may have got it from elsewhere."""
        line = self._line
        if own_id not in self._hoped and len(self._hoped) >= limits.SYNC_REFUSED_MAX:
            del self._hoped[next(iter(self._hoped))]
        since_ms = self._hoped.setdefault(own_id, line.now_ms)
        due_ms = since_ms + HOPE_WAITS * line.bounds.answer_ms
        if line.now_ms < due_ms:
            line.wake(due_ms)
        return line.now_ms >= due_ms

    def _begin(self, own_id: bytes, length: int) -> _Fetch:
        line = self._line
        self._hoped.pop(own_id, None)
        fetch = self._fetching[own_id] = _Fetch(length, line.now_ms)
        kept = line.claims.take_partial(line.peer, own_id)
        if kept is not None:
            fetch.total, fetch.resumed = kept.total, True
            fetch.data += kept.data
        fetch.asked = min(len(fetch.data) + line.bounds.burst_bytes, packed_max(length))
        return fetch

    def _ask_again(self) -> None:
        """Repeat what has got no answer in its time; give up what never gets one."""
        line = self._line
        pieces: list[tuple[bytes, int, int]] = []
        for own_id, fetch in list(self._fetching.items()):
            due_ms = line.due_ms(fetch.since_ms, self._moved_ms)
            if line.now_ms < due_ms:
                line.wake(due_ms)
                continue
            fetch.tries += 1
            if fetch.tries >= TRIES_MAX or not line.store.wants_body(own_id):
                self._give_up(own_id)
                continue
            fetch.since_ms = line.now_ms
            fetch.asked = min(len(fetch.data) + line.bounds.burst_bytes, packed_max(fetch.length))
            pieces.append((own_id, len(fetch.data), fetch.asked - len(fetch.data)))
            line.wake(line.now_ms + line.bounds.answer_ms)
        if pieces:
            line.send(WantBodies(tuple(pieces)))

    def _give_up(self, own_id: bytes, *, waits: int = 2) -> None:
        """Leave a body to others for some times of an answer."""
        line = self._line
        self._forget(own_id, keep=True)
        if len(self._absent) >= limits.SYNC_REFUSED_MAX:
            del self._absent[next(iter(self._absent))]
        self._absent[own_id] = line.now_ms + waits * line.bounds.answer_ms

    def _forget(self, own_id: bytes, *, keep: bool = False) -> None:
        line = self._line
        fetch = self._fetching.pop(own_id)
        line.claims.release(own_id, line)
        if keep and fetch.data and fetch.total:
            partial = Partial(fetch.total, bytes(fetch.data))
            line.claims.put_partial(line.peer, own_id, partial)

    def dropped(self, ids: Sequence[bytes]) -> None:
        """These could not be stored: ask again after a while."""
        for own_id in ids:
            self._absent[own_id] = self._line.now_ms + 2 * self._line.bounds.answer_ms

    def closed(self) -> None:
        """The link is gone: keep what has come of bodies for the next one."""
        for own_id in list(self._fetching):
            self._forget(own_id, keep=True)

    # --- what comes --------------------------------------------------------------------------------

    def take(self, body: Body) -> None:
        """Take a piece of a body.

        Raises:
            BodyMismatch, BodyBomb: the body does not fit its header.
            MessagesFlood: too much comes that nobody asked for.
        """
        line = self._line
        if body.total and not body.data:
            self._absent.pop(body.id, None)  # It is there now.
            return
        fetch = self._fetching.get(body.id)
        if fetch is None:
            line.useless()
            return
        if body.total == 0:
            self._give_up(body.id, waits=ABSENT_WAITS)
            return
        if body.total > packed_max(fetch.length):
            raise BodyMismatch(
                f"a body of {body.total} deflated bytes where the header says {fetch.length}"
            )
        if fetch.total and fetch.total != body.total:
            self._restart(body.id, fetch)  # Deflated anew meanwhile.
            return
        if body.offset != len(fetch.data):
            line.useless()  # A piece was lost or doubled; what is missing is asked for again.
            return
        fetch.total = body.total
        fetch.data += body.data
        fetch.since_ms = self._moved_ms = line.now_ms
        fetch.tries = 0
        if len(fetch.data) == fetch.total:
            self._finish(body.id, fetch)
        else:
            self._ask_on(body.id, fetch)

    def _ask_on(self, own_id: bytes, fetch: _Fetch) -> None:
        """Ask for the next bytes when half of those on their way have come."""
        line = self._line
        if (
            fetch.asked < fetch.total
            and len(fetch.data) + line.bounds.burst_bytes // 2 >= fetch.asked
        ):
            line.send(WantBodies(((own_id, fetch.asked, line.bounds.burst_bytes),)))
            fetch.asked += line.bounds.burst_bytes

    def _restart(self, own_id: bytes, fetch: _Fetch) -> None:
        line = self._line
        fetch.data.clear()
        fetch.total, fetch.resumed, fetch.since_ms = 0, False, line.now_ms
        fetch.asked = min(line.bounds.burst_bytes, packed_max(fetch.length))
        line.send(WantBodies(((own_id, 0, fetch.asked),)))

    def _finish(self, own_id: bytes, fetch: _Fetch) -> None:
        line = self._line
        header = line.store.wanted_header(own_id)
        if header is None:
            self._forget(own_id)  # Another peer was quicker.
            return
        try:
            body = unpack_body(header, bytes(fetch.data))
        except BodyMismatch:
            if not fetch.resumed:
                self._forget(own_id)
                raise
            self._restart(own_id, fetch)  # Its two halves may be of two minds; now from one.
            return
        self._forget(own_id)
        line.keep(Arrived(header, body, own_id))

    # --- passing on --------------------------------------------------------------------------------

    def serve(self, want: WantBodies) -> None:
        """Give the peer pieces of bodies.

        Raises:
            MessagesFlood: it asks for more bytes at once than any window holds.
        """
        line = self._line
        if sum(size for _, _, size in want.bodies) > 4 * limits.SYNC_BODY_BYTES_MAX:
            raise MessagesFlood(f"{line.name} asks for too many bytes at once")
        for own_id, offset, size in want.bodies:
            if self._cached is not None and self._cached[0] == own_id:
                self._send(own_id, self._cached[1], offset, size)
            elif own_id in self._serving:
                self._serving[own_id] = (offset, size)
            elif line.store.has_body(own_id):
                if len(self._serving) >= limits.SYNC_BODIES_MAX:
                    line.useless()
                    continue
                self._serving[own_id] = (offset, size)
                line.out.load.append(own_id)
            else:
                if line.store.find(own_id) is not None:
                    if len(self._later) >= LATER_MAX:
                        del self._later[next(iter(self._later))]
                    self._later[own_id] = None
                line.send(Body(own_id, 0, 0, b""))

    def loaded(self, own_id: bytes, packed: bytes | None) -> None:
        """Pass on what was loaded."""
        piece = self._serving.pop(own_id, None)
        if piece is None:
            return
        if packed is None:
            self._line.send(Body(own_id, 0, 0, b""))
            return
        self._cached = (own_id, packed) if len(packed) > sum(piece) else None
        self._send(own_id, packed, *piece)

    def grown(self, own_id: bytes) -> None:
        """A body that was still to come may be here now: tell the peer, if it asked."""
        if own_id in self._later and self._line.store.has_body(own_id):
            del self._later[own_id]
            self._line.send(Body(own_id, 0, 1, b""))

    def _send(self, own_id: bytes, packed: bytes, offset: int, size: int) -> None:
        line = self._line
        end = min(len(packed), offset + size)
        step = line.chunk - _PIECE_HEAD
        if offset >= len(packed):
            line.send(Body(own_id, 0, 0, b""))
            return
        for at in range(offset, end, step):
            line.send(Body(own_id, at, len(packed), packed[at : min(at + step, end)]))


def _reaches(heads: Mapping[Author, tuple[Point, ...]], place: Place) -> bool:
    """Whether an author's chain ends at a place or behind it."""
    return any((place.epoch, place.seq) <= end[:2] for end in heads.get(place.author, ()))


def packed_max(length: int) -> int:
    """Return how long a body of `length` bytes may become by deflating: where nothing shrinks, a little longer."""
    return length + length // 1_000 + 64


def unpack_body(header: VertexHeader, packed: bytes) -> bytes:
    """Return a body from its deflated bytes, checked against its header; unpacks no byte beyond the header's length.

    Raises:
        BodyBomb: it is longer than the header says.
        BodyMismatch: it is another body, or none.
    """
    stream = zlib.decompressobj()
    try:
        body = stream.decompress(packed, header.length + 1)
    except zlib.error as error:
        raise BodyMismatch(f"the body does not unpack: {error}") from error
    if len(body) > header.length:
        raise BodyBomb(f"the body unpacks to more than the header's {header.length} bytes")
    if not stream.eof or stream.unused_data:
        raise BodyMismatch("the body is cut short, or something follows it")
    try:
        split_body(header, body)
    except Refused as error:
        raise BodyMismatch(f"the body does not fit its header: {error}") from error
    return body
