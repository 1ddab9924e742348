"""The greeting and the signs of life of one session: who the other is, whether it is still there, what got lost.

Both sides greet first; a greeting that comes twice says that ours was lost. Then a `Ping` after each time without a
message, with digests, so that a lost delta is found without asking. Nothing is exchanged before both have greeted.

Place in a record's life: between vertex and order. Source: docs/spec/sync.md.
"""

from drystone import limits
from drystone.errors import ClockAbsurd, PeerForeign, PeerSilent
from drystone.gateway.sync.chains import Chains
from drystone.gateway.sync.effects import PeerName
from drystone.gateway.sync.feed import Feed
from drystone.gateway.sync.line import Line
from drystone.gateway.sync.messages import VERSION, Heads, Hello, Ping, WantFrontier
from drystone.gateway.sync.telling import Telling
from drystone.gateway.sync.wire import heads_digest

DAY_MS = 86_400_000


class Greeting:
    """The greeting's part of one session."""

    def __init__(self, line: Line, chains: Chains, telling: Telling, feed: Feed) -> None:
        self._line = line
        self._chains = chains
        self._telling = telling
        self._feed = feed
        self._greeted_ms: int | None = None
        self._asked_ms: int | None = None
        """When the whole frontier was last asked for."""
        self._heard_frontier = False

    def greet(self) -> None:
        """Say who this is."""
        line = self._line
        own = line.own
        self._greeted_ms = line.now_ms
        line.send(
            Hello(
                version=VERSION,
                ledger=own.ledger,
                iss=own.iss,
                sub=own.sub,
                role=own.role,
                instance=own.instance,
                features=own.features,
                chunk=line.bounds.chunk_bytes,
                time_ms=line.time_ms,
                height=self._feed.height,
                announced=line.store.announced_digest(),
            )
        )

    def take(self, hello: Hello) -> None:
        """Take the peer's greeting; a second one says that ours was lost.

        Raises:
            PeerForeign: another ledger, version, or name than the link's.
        """
        line = self._line
        if line.hello is not None:
            if self._greeted_ms is None or line.now_ms >= self._greeted_ms + line.bounds.answer_ms:
                self.greet()
            else:
                line.useless()
            return
        if hello.version != VERSION or hello.ledger != line.own.ledger:
            raise PeerForeign(f"{line.name} speaks version {hello.version}, or for another ledger")
        name = PeerName(hello.iss, hello.sub)
        if line.peer is not None and name != line.peer:
            raise PeerForeign(f"{line.name} calls itself {hello.iss}/{hello.sub}")
        if name == (line.own.iss, line.own.sub):
            raise PeerForeign(f"{line.name} is this gateway itself, or has its key")
        line.peer = name
        line.hello = hello
        self._feed.theirs = hello.height
        self._check_clock(hello)
        self._telling.whole()
        if hello.announced == line.store.announced_digest():
            self._telling.knows_announcements()
        self._feed.opened()

    def heard_frontier(self) -> None:
        """The peer's frontier came, or a delta of it."""
        self._heard_frontier = True

    def ping(self, ping: Ping) -> None:
        """Take a sign of life; ask for the frontier if what was told has not all come."""
        self._feed.theirs = max(self._feed.theirs, ping.height)
        heads = [Heads(*one) for one in self._chains.theirs.items()]
        if ping.frontier != heads_digest(heads):
            self._want_frontier()

    def go_on(self) -> None:
        """Greet again, ask for the first frontier again, show a sign of life, as time asks for.

        Raises:
            PeerSilent: the peer shows none.
        """
        line = self._line
        if line.hello is None and self._greeted_ms is not None:
            if line.now_ms >= self._greeted_ms + line.bounds.answer_ms:
                self.greet()
            line.wake(self._greeted_ms + line.bounds.answer_ms)
        elif line.hello is not None and not self._heard_frontier:
            self._want_frontier()
        self._keep_alive()

    def _want_frontier(self) -> None:
        """Ask for the whole frontier, but not more often than an answer takes."""
        line = self._line
        since_ms = self._asked_ms
        if since_ms is None and not self._heard_frontier:
            since_ms = self._greeted_ms
        if since_ms is None or line.now_ms >= since_ms + line.bounds.answer_ms:
            self._asked_ms = since_ms = line.now_ms
            line.send(WantFrontier())
        line.wake(since_ms + line.bounds.answer_ms)

    def _keep_alive(self) -> None:
        line = self._line
        if line.heard_ms is None or line.sent_ms is None:
            return
        silent_ms = line.heard_ms + line.bounds.silent_ms
        if line.now_ms >= silent_ms:
            raise PeerSilent(f"{line.name} gave no sign of life for {line.bounds.silent_ms} ms")
        if line.hello is not None and line.now_ms >= line.sent_ms + line.bounds.ping_ms:
            line.send(Ping(self._telling.digest, self._feed.height))
        line.wake(min(silent_ms, line.sent_ms + line.bounds.ping_ms))

    def _check_clock(self, hello: Hello) -> None:
        line = self._line
        if hello.time_ms is not None and line.time_ms is not None:
            skew_ms = abs(hello.time_ms - line.time_ms)
            if skew_ms > limits.SYNC_CLOCK_SKEW_MS_MAX:
                days = skew_ms // DAY_MS
                line.fault(ClockAbsurd(f"the clocks here and at {line.name} are {days} days apart"))
