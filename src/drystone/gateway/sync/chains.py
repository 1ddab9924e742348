"""Headers: what the peer has that is not here, asked for stretch by stretch, checked one by one, kept in chain order.

The peer says where chains end at its side. An end that is not here is *chased*: the stretch from the end that is here
to the one that is not, oldest first; where the two do not join (a fork), backwards in growing steps until they do.
Headers whose parent is not here yet wait, bounded. One question is under way at a time, for many authors at once; an
author is asked of one peer at a time.

What an honest peer cannot send ends the session: it has checked the same things before it passed a vertex on.

Place in a record's life: vertex. Source: design.md section 3.4, docs/spec/sync.md.
"""

from collections.abc import Sequence
from typing import Final

from drystone import limits
from drystone.errors import (
    ClockAbsurd,
    FrontierImpossible,
    HeadersFlood,
    PeerSilent,
    RangeAbsent,
    Refused,
    VertexAltered,
)
from drystone.gateway.sync.chase import (
    Chase,
    Got,
    Question,
    advance,
    check_parent,
    go_back,
    place_behind,
)
from drystone.gateway.sync.effects import Arrived, Place
from drystone.gateway.sync.line import Line
from drystone.gateway.sync.messages import Frontier, Headers, Point, Stretch, Want
from drystone.records.dag import Author
from drystone.records.vertex import VertexHeader, decode_header, vertex_id

CHASE_MAX: Final = 64
"""Answers without anything new after which an end of a chain is left alone."""

TRIES_MAX: Final = 8
"""Times that a question is asked before the peer counts as silent."""


class Chains:
    """The headers' part of one session, as far as the peer has more than is here."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.theirs: dict[Author, tuple[Point, ...]] = {}
        """Where the peer says that chains end at its side."""
        self._behind: dict[Author, None] = {}
        self._chases: dict[Author, Chase] = {}
        self._question: Question | None = None
        self._number = 0
        self._waiting: dict[bytes, list[tuple[bytes, VertexHeader]]] = {}
        """Headers whose parent is not here, by that parent's id."""
        self._waiting_count = 0
        self._strange: set[Author] = set()
        """Authors whose key is not known here."""
        self._generation = line.store.generation
        self._refused: dict[bytes, None] = {}
        self._clock_told = False
        self._pause_ms = 0
        """Until then no headers are asked for: the disk is full."""

    @property
    def behind(self) -> int:
        """Authors of whom the peer has vertices that are not here."""
        return len(self._behind)

    # --- what the peer says it has -----------------------------------------------------------------

    def frontier(self, frontier: Frontier) -> None:
        """Take the peer's frontier, or what moved of it.

        Raises:
            FrontierImpossible: it claims more authors than there may be, or places far beyond any chain.
        """
        for author, points in frontier.heads:
            self._claim(author, points)

    def _claim(self, author: Author, points: tuple[Point, ...]) -> None:
        line = self._line
        if author not in self.theirs and len(self.theirs) >= limits.SYNC_AUTHORS_MAX:
            raise FrontierImpossible(
                f"{line.name} names more than {limits.SYNC_AUTHORS_MAX} authors"
            )
        tops = line.store.tops_of(author)
        seq_max = limits.SYNC_AHEAD_MAX + (max(seq for _, seq in tops) if tops else 0)
        if any(point.seq > seq_max for point in points):
            raise FrontierImpossible(
                f"{line.name} claims {author.iss}/{author.sub} to be at {points[-1].seq}"
            )
        self.theirs[author] = points
        if self._missing(author):
            self._behind[author] = None

    def _missing(self, author: Author) -> Point | None:
        """Give the peer's lowest end of an author's chain that is not here and may be taken."""
        for point in self.theirs.get(author, ()):
            if point.id not in self._refused and self._line.store.find(point.id) is None:
                return point
        return None

    # --- asking ------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Ask for headers, if anything is missing and no question is under way."""
        line = self._line
        if line.now_ms < line.look_ms:
            line.wake(line.look_ms)
        if line.store.generation != self._generation:
            self._generation = line.store.generation
            self._behind.update(dict.fromkeys(self._strange))
            self._strange.clear()
        question = self._question
        if question is not None:
            due_ms = line.due_ms(question.since_ms, line.moved_ms)
            if line.now_ms >= due_ms:
                question.tries += 1
                if question.tries >= TRIES_MAX:
                    raise PeerSilent(f"{line.name} does not answer")
                question.since_ms = line.now_ms
                due_ms = line.now_ms + line.bounds.answer_ms
                line.send(Want(question.number, question.stretches, question.ids))
            line.wake(due_ms)
        elif line.now_ms < self._pause_ms:
            line.wake(self._pause_ms)
        elif self._behind and line.store.room >= limits.SYNC_HEADERS_MAX:
            self._ask_next()

    def _ask_next(self) -> None:
        line = self._line
        stretches: list[Stretch] = []
        ids: list[bytes] = []
        of_stretches: list[Author] = []
        of_ids: list[Author] = []
        until_ms = line.now_ms + 3 * line.bounds.answer_ms
        for author in list(self._behind):
            if len(stretches) + len(ids) >= limits.SYNC_STRETCHES_MAX:
                break
            chase = self._chase(author)
            if chase is None:
                continue
            if not line.claims.take(author, line, now_ms=line.now_ms, until_ms=until_ms):
                line.wake(line.claims.held_until(author, line) or until_ms)
                continue
            if chase.parent is not None:
                ids.append(chase.parent)
                of_ids.append(author)
            else:
                stretches.append(chase.stretch)
                of_stretches.append(author)
        if not stretches and not ids:
            return
        self._number += 1
        authors = (*of_stretches, *of_ids)
        self._question = Question(self._number, tuple(stretches), tuple(ids), authors, line.now_ms)
        line.send(Want(self._number, tuple(stretches), tuple(ids)))
        line.wake(line.now_ms + line.bounds.answer_ms)

    def _chase(self, author: Author) -> Chase | None:
        """Give what is chased of an author, as it stands now; forget the author when nothing is missing."""
        target = self._missing(author)
        if target is None or author in self._strange:
            self._drop(author)
            return None
        chase = self._chases.get(author)
        if chase is None:
            place = (target.epoch, target.seq)
            tops = self._line.store.tops_of(author)
            below = [top for top in tops if top < place]
            # Where the chain here goes further than there, it forked: ask for the other end alone.
            first = place_behind(below[-1]) if below else (place if tops else (0, 0))
            chase = self._chases[author] = Chase(target, Stretch(author, first, place))
        chase.target = target
        return chase

    def _drop(self, author: Author) -> None:
        self._behind.pop(author, None)
        self._chases.pop(author, None)
        self._line.claims.release(author, self._line)

    # --- what comes --------------------------------------------------------------------------------

    def take(self, message: Headers) -> None:
        """Take headers: an answer, or new ones that nobody asked for.

        Raises:
            RangeAbsent: an answer leaves out what the peer says it has.
            HeadersFlood, VertexAltered, ParentForged: as an honest peer's never does.
        """
        if message.number == 0:
            self._take_pushed(message.headers)
            return
        question = self._question
        if question is None or question.number != message.number:
            self._line.useless()  # The answer to a question that was repeated.
            return
        self._question = None
        got: dict[Author, Got] = {}
        more = message.more
        for raw in message.headers:
            if not self._line.store.room:
                more = True  # Other peers have filled it meanwhile: as if the answer ended here.
                break
            own_id, header = self._open(raw)
            author = Author(header.iss, header.sub)
            place = (header.epoch, header.seq)
            if own_id not in question.ids and not any(
                one.author == author and one.first <= place <= one.last
                for one in question.stretches
            ):
                raise HeadersFlood(f"{self._line.name} answers with what was not asked for")
            of_author = got.setdefault(author, Got())
            of_author.ids.add(own_id)
            of_author.last = max(of_author.last, place)
            of_author.progress |= self._consider(own_id, header)
        if message.more and not message.headers:
            raise RangeAbsent(f"{self._line.name} has more, and sends nothing")
        for author in question.authors:
            self._go_on(author, got.get(author, Got()), more=more)
            self._line.claims.release(author, self._line)
            if author in self._behind:  # The next question begins with others.
                del self._behind[author]
                self._behind[author] = None

    def _go_on(self, author: Author, got: Got, *, more: bool) -> None:
        """Decide what to ask next for an author.

        Raises:
            RangeAbsent: the peer was asked for what it says it has, and did not send it.
        """
        chase = self._chases.get(author)
        if chase is None or self._chase(author) is None:
            return
        first, last = chase.stretch.first, chase.stretch.last
        if more and chase.parent is not None and chase.parent not in got.ids:
            return  # The message was full: it is asked for again.
        if more and chase.parent is None and got.last < last:
            if got.ids:
                chase.stretch = Stretch(author, place_behind(got.last), last)
            return
        if got.progress:
            del self._chases[author]  # Chased on from where the chain now ends here.
            return
        lowest = self._lowest_waiting(author)
        expected, place = chase.target.id, (chase.target.epoch, chase.target.seq)
        if lowest is not None:
            assert lowest.parent is not None, "what waits has a parent"
            expected, place = lowest.parent, (lowest.epoch, lowest.seq - 1)
        # The place of the vertex that an epoch's first one follows is not known: it is asked for by id, next.
        known = lowest is None or lowest.seq > 0
        asked = expected == chase.parent or (known and first <= place <= last)
        if asked and expected not in got.ids and self._line.store.find(expected) is None:
            raise RangeAbsent(
                f"{self._line.name} says it has {author.iss}/{author.sub} up to {place}, and does"
                " not send it"
            )
        chase.idle += 1
        if chase.idle > CHASE_MAX:
            self._refuse(chase.target.id)
            self._drop(author)
        elif lowest is None:
            del self._chases[author]
        else:
            go_back(chase, author, lowest)

    def _lowest_waiting(self, author: Author) -> VertexHeader | None:
        found = [
            header
            for ones in self._waiting.values()
            for _, header in ones
            if (header.iss, header.sub) == author
        ]
        return min(found, key=lambda one: (one.epoch, one.seq), default=None)

    def _take_pushed(self, headers: Sequence[bytes]) -> None:
        useless = 0
        for raw in headers:
            own_id, header = self._open(raw)
            author = Author(header.iss, header.sub)
            known = self._line.store.find(own_id) is not None
            useless += known or not self._consider(own_id, header, wait=False)
            self._line.pushed(useless)
            useless = 0
            points = self.theirs.get(author, ())
            self._claim(author, advance(points, own_id, header))

    def _open(self, raw: bytes) -> tuple[bytes, VertexHeader]:
        try:
            header = decode_header(raw)
        except Refused as error:
            raise VertexAltered(f"{self._line.name} sends no vertex header: {error}") from error
        return vertex_id(header, self._line.own.ledger), header

    def _consider(self, own_id: bytes, header: VertexHeader, *, wait: bool = True) -> bool:
        """Check a header and stage it, let it wait for its parent, or refuse it; say whether it was staged.

        Raises:
            VertexAltered: its author did not sign it.
            ParentForged: its parent is not what its place may follow.
        """
        line = self._line
        author = Author(header.iss, header.sub)
        if line.store.find(own_id) is not None or own_id in self._refused:
            return False
        if not line.store.room:
            return False  # What was pushed is asked for when there is room.
        if not line.store.check(header):
            if len(self._strange) < limits.SYNC_AUTHORS_MAX:
                self._strange.add(author)
            return False
        parent = None if header.parent is None else line.store.find(header.parent)
        if header.parent is not None and parent is None:
            if wait and self._waiting_count < limits.SYNC_HEADERS_WAITING_MAX:
                ones = self._waiting.setdefault(header.parent, [])
                if all(one[0] != own_id for one in ones):
                    ones.append((own_id, header))
                    self._waiting_count += 1
            return False
        if header.parent in self._refused:
            self._refuse(own_id)
            return False
        return self._stage(own_id, header, parent)

    def _stage(self, own_id: bytes, header: VertexHeader, parent: Place | None) -> bool:
        """Stage a header, and those that waited for it; say no where its author has too many branches."""
        line = self._line
        check_parent(header, parent, line.name)
        if not line.store.takes(header):
            self._refuse(own_id)
            return False
        self._check_clock(header)
        line.keep(Arrived(header, None if header.count else b"", own_id))
        self.grown(own_id)
        return True

    def grown(self, own_id: bytes) -> None:
        """A vertex is here now, from whomever: stage what waited for it.

        Raises:
            ParentForged: what waited cannot follow it.
        """
        todo = [own_id]
        while todo:
            parent_id = todo.pop()
            for child_id, child in self._waiting.pop(parent_id, ()):
                self._waiting_count -= 1
                if self._line.store.find(child_id) is None:
                    self._stage(child_id, child, self._line.store.find(parent_id))

    def _refuse(self, own_id: bytes) -> None:
        """Take neither this vertex nor what builds on it."""
        todo = [own_id]
        while todo:
            one_id = todo.pop()
            if len(self._refused) >= limits.SYNC_REFUSED_MAX:
                del self._refused[next(iter(self._refused))]
            self._refused[one_id] = None
            children = self._waiting.pop(one_id, ())
            self._waiting_count -= len(children)
            todo += [child_id for child_id, _ in children]

    def _check_clock(self, header: VertexHeader) -> None:
        """Count the absurd clock of a peer that seals; its vertex is taken all the same."""
        line = self._line
        of_peer = line.peer is not None and (header.iss, header.sub) == line.peer
        if of_peer and header.time_ms is not None and line.time_ms is not None:
            skew_ms = abs(header.time_ms - line.time_ms)
            ahead = header.time_ms > line.time_ms
            # A vertex may be old; only the future is absurd.
            if ahead and skew_ms > limits.SYNC_CLOCK_SKEW_MS_MAX and not self._clock_told:
                self._clock_told = True
                line.fault(ClockAbsurd(f"{line.name} seals {skew_ms // 86_400_000} days ahead"))

    def dropped(self) -> None:
        """Vertices could not be stored: what the peer has beyond what is here is looked for again, after a while."""
        self._chases.clear()
        self._behind.update(dict.fromkeys(self.theirs))
        self._pause_ms = self._line.now_ms + self._line.bounds.answer_ms

    # --- the link's end ----------------------------------------------------------------------------

    def closed(self) -> None:
        """Nothing that waits is worth keeping: the next link asks again."""
        self._waiting.clear()
        self._waiting_count = 0
