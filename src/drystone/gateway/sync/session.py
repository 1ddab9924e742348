"""One peer: what is said to it, what is believed of it, and what follows. Pure: no clock, socket or disk.

A session is a line (`line.py`) and five parts on it: `greeting` begins it and keeps it alive, `chains` asks for
headers, `bodies` for bodies, `telling` tells what is here, `feed` passes the ordered log on. Here is what holds them
together: which message goes to which part, and the end. See `effects.py` for how a session is driven.

Messages may be lost, doubled or arrive in another order: nothing breaks, and what was lost is asked for again. What an
honest peer never sends ends the session with a `PeerFault`. `now_ms` never goes back; it need not be the time of day.

Source: docs/spec/sync.md.
"""

from collections.abc import Callable, Sequence

from drystone import limits
from drystone.errors import MessagesFlood, PeerFault, PeerLeft
from drystone.gateway.sync.bodies import Bodies
from drystone.gateway.sync.chains import Chains
from drystone.gateway.sync.claims import Claims
from drystone.gateway.sync.effects import Effects, Holdings, Own, PeerName, SyncBounds
from drystone.gateway.sync.feed import Feed
from drystone.gateway.sync.greeting import Greeting
from drystone.gateway.sync.line import Line
from drystone.gateway.sync.messages import (
    Announce,
    Blocks,
    Body,
    Bye,
    Done,
    Fork,
    Frontier,
    Have,
    Headers,
    Hello,
    Message,
    OrderedBlock,
    Part,
    Ping,
    Rows,
    Want,
    WantBlocks,
    WantBodies,
    WantFrontier,
    WantRows,
)
from drystone.gateway.sync.telling import Telling
from drystone.gateway.sync.wire import decode_message
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
        claims: Claims | None = None,
        blame: Callable[[PeerFault], None] | None = None,
    ) -> None:
        """Begin; `peer` is who the link's certificate names, None where nobody checked (tests).

        `claims` is shared by all sessions of a process, so that nothing is asked of two peers at once; `blame` is told
        of every fault (`Peers.session` gives both).
        """
        self._line = Line(own=own, store=store, bounds=bounds, peer=peer, claims=claims or Claims())
        self._chains = Chains(self._line)
        self._bodies = Bodies(self._line)
        self._telling = Telling(self._line, self._chains)
        self._feed = Feed(self._line)
        self._greeting = Greeting(self._line, self._chains, self._telling, self._feed)
        self._parts: list[bytes] = []
        self._blame = blame
        self._closed = False

    # --- what a process looks at -------------------------------------------------------------------

    @property
    def peer(self) -> PeerName | None:
        """Who is at the other end; from the certificate, or as it says itself."""
        return self._line.peer

    @property
    def hello(self) -> Hello | None:
        """What the peer said of itself, once it has."""
        return self._line.hello

    @property
    def closed(self) -> bool:
        """Whether the session has ended; it does nothing more."""
        return self._closed

    @property
    def behind(self) -> int:
        """Authors of whom the peer has vertices that are not here."""
        return self._chains.behind

    @property
    def fetching(self) -> int:
        """Bodies asked for and not here yet."""
        return self._bodies.fetching

    @property
    def counted(self) -> tuple[int, int, int, int]:
        """Messages in and out, bytes in and out."""
        line = self._line
        return line.messages_in, line.messages_out, line.bytes_in, line.bytes_out

    @property
    def height(self) -> int:
        """Of the peer's last block, as far as it told."""
        return self._feed.theirs

    # --- what a process calls ----------------------------------------------------------------------

    def opened(self, now_ms: int, *, time_ms: int | None = None) -> Effects:
        """The link is open; `time_ms` is the wall clock's claim, where there is a clock."""
        line = self._line
        if time_ms is not None:
            line.clock_offset_ms = time_ms - now_ms

        def greet() -> None:
            line.heard_ms = line.now_ms
            self._greeting.greet()

        return self._turn(now_ms, greet)

    def received(self, message: bytes, now_ms: int) -> Effects:
        """A whole message came. Never raises for what a peer sent: see `Effects.close`."""
        return self._turn(now_ms, lambda: self._take(message))

    def tick(self, now_ms: int) -> Effects:
        """Time has passed: at `wake_ms`, or whenever."""
        return self._turn(now_ms, _nothing)

    def grown(self, headers: Sequence[VertexHeader], now_ms: int) -> Effects:
        """These vertices, or their bodies, are kept now: own ones, this peer's, another peer's."""
        ids = [self._line.vertex_id(header) for header in headers]

        def grow() -> None:
            for own_id in ids:
                self._chains.grown(own_id)
                self._bodies.grown(own_id)
            self._telling.grown(headers)

        return self._turn(now_ms, grow)

    def loaded(self, vertex_id: bytes, packed: bytes | None, now_ms: int) -> Effects:
        """Answer `Effects.load`: the deflated body, None when it was pruned meanwhile."""
        return self._turn(now_ms, lambda: self._bodies.loaded(vertex_id, packed))

    def committed(self, height: int, now_ms: int) -> Effects:
        """The ledger here has grown to this height."""
        return self._turn(now_ms, lambda: self._feed.committed(height))

    def blocks_loaded(self, height: int, blocks: Sequence[OrderedBlock], now_ms: int) -> Effects:
        """Answer `Effects.load_blocks`: at least one block behind the height asked for, the last with a checkpoint.

        `height` is that of the last block here. An empty answer leaves the question open until `committed`.
        """
        return self._turn(now_ms, lambda: self._feed.blocks_loaded(height, blocks))

    def rows_loaded(self, rows: Rows, now_ms: int) -> Effects:
        """Answer `Effects.load_rows`."""
        return self._turn(now_ms, lambda: self._feed.rows_loaded(rows))

    def done_loaded(self, done: Done, now_ms: int) -> Effects:
        """Answer `Effects.load_done`, once there is something to tell; without blocks the question stays open."""
        return self._turn(now_ms, lambda: self._feed.done_loaded(done))

    def want_blocks(self, *, after: int, limit: int, now_ms: int) -> Effects:
        """Ask the peer for blocks; they come in `Effects.blocks` as soon as it has any. One question at a time."""
        return self._turn(now_ms, lambda: self._feed.want_blocks(WantBlocks(after, limit)))

    def want_rows(self, *, after: bytes, last: bytes, digest: bytes, now_ms: int) -> Effects:
        """Ask the peer for registry rows behind `after`; with the digest of rows held up to `last`, or both empty."""
        return self._turn(now_ms, lambda: self._feed.want_rows(WantRows(after, last, digest)))

    def have(self, place: tuple[int, int] | None, now_ms: int) -> Effects:
        """Ask for the outcomes of own vertices behind a place; they come in `Effects.done` as they are known."""
        return self._turn(now_ms, lambda: self._feed.have(Have(place)))

    def leave(self, code: str, text: str, now_ms: int) -> Effects:
        """Take leave: the effects' last message says why, and the session has ended."""

        def bye() -> None:
            self._blame = None  # Leaving is no fault of the peer's.
            self._line.send(Bye(code, text[: limits.SYNC_TEXT_LENGTH_MAX]))
            raise PeerLeft(text)

        return self._turn(now_ms, bye)

    def dropped(self, ids: Sequence[bytes]) -> None:
        """These could not be stored: look for them again after a while."""
        self._chains.dropped()
        self._bodies.dropped(ids)

    def ended(self) -> None:
        """The link is gone, whoever ended it: claims end, pieces of bodies are kept for the next link."""
        if not self._closed:
            self._close()

    # --- a turn ------------------------------------------------------------------------------------

    def _turn(self, now_ms: int, act: Callable[[], None]) -> Effects:
        if self._closed:
            return Effects.none()
        line = self._line
        line.begin(now_ms)
        try:
            act()
            self._go_on()
        except PeerFault as fault:
            if line.name not in str(fault):
                fault.args = (f"{line.name}: {fault}",)
            if not isinstance(fault, PeerLeft):
                line.send(Bye(fault.code, str(fault)[: limits.SYNC_TEXT_LENGTH_MAX]))
            self._close()
            return self._end(fault)
        return self._end(None)

    def _end(self, close: PeerFault | None) -> Effects:
        effects = self._line.end(close)
        if self._blame is not None:
            for fault in effects.faults:
                self._blame(fault)
        return effects

    def _close(self) -> None:
        self._closed = True
        self._chains.closed()
        self._bodies.closed()
        self._parts.clear()
        self._line.claims.release_all(self._line)

    def _go_on(self) -> None:
        """Whatever happened: ask on, tell what is due, show signs of life."""
        if self._line.hello is not None:
            self._chains.ask()
            self._bodies.ask(self._chains.theirs, self._telling.told)
            self._telling.go_on()
            self._feed.go_on()
        self._greeting.go_on()

    # --- messages ----------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        line = self._line
        line.heard_ms = line.now_ms
        line.messages_in += 1
        line.bytes_in += len(data)
        message = decode_message(data)
        if not isinstance(message, Ping):
            line.moved_ms = line.now_ms
        self._dispatch(message)

    def _dispatch(self, message: Message) -> None:
        line = self._line
        if isinstance(message, Hello):
            self._greeting.take(message)
        elif isinstance(message, Bye):
            raise PeerLeft(f"{line.name} leaves: {message.code}: {message.text}")
        elif line.hello is None:
            line.useless()  # It came before the greeting; what it told is told again.
        elif isinstance(message, Part):
            self._take_part(message)
        elif isinstance(message, Blocks | Rows | Done | WantBlocks | WantRows | Have):
            self._dispatch_feed(message)
        else:
            self._dispatch_vertices(message)

    def _dispatch_vertices(
        self,
        message: Frontier
        | Want
        | Headers
        | WantBodies
        | Body
        | Fork
        | Announce
        | Ping
        | WantFrontier,
    ) -> None:
        match message:
            case Frontier():
                self._greeting.heard_frontier()
                self._telling.knows_forks(message.forks)
                self._chains.frontier(message)
            case Want():
                self._telling.answer(message)
            case Headers():
                self._chains.take(message)
            case WantBodies():
                self._bodies.serve(message)
            case Body():
                self._bodies.take(message)
            case Fork():
                self._telling.take_fork(message.evidence)
            case Announce():
                self._telling.take_announcement(message.signed)
            case Ping():
                self._greeting.ping(message)
            case WantFrontier():
                self._telling.whole()

    def _dispatch_feed(self, message: Blocks | Rows | Done | WantBlocks | WantRows | Have) -> None:
        match message:
            case Blocks():
                self._feed.take_blocks(message)
            case Rows():
                self._feed.take_rows(message)
            case Done():
                self._feed.take_done(message)
            case WantBlocks():
                self._feed.serve_blocks(message)
            case WantRows():
                self._feed.serve_rows(message)
            case Have():
                self._feed.serve_done(message)

    def _take_part(self, part: Part) -> None:
        """Put a long message together.

        Raises:
            MessagesFlood: it is longer than any may be.
        """
        if part.number != len(self._parts):
            self._parts.clear()
            if part.number:
                self._line.useless()
                return
        self._parts.append(part.data)
        if sum(map(len, self._parts)) > limits.SYNC_WHOLE_BYTES_MAX:
            raise MessagesFlood(f"{self._line.name} sends a message without an end")
        if part.last:
            data = b"".join(self._parts)
            self._parts.clear()
            message = decode_message(data, whole=True)
            if isinstance(message, Blocks | Done):
                self._dispatch_feed(message)
            else:
                raise MessagesFlood(f"{self._line.name} sends a message in parts that fits whole")


def _nothing() -> None:
    return None
