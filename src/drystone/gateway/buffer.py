"""What a gateway holds that nobody has ordered: how much, for how long still, and which bodies may go.

Counts only, and one deletion: bodies of vertices that are ordered leave the disk when there are too many of them, the
oldest first; a body that is not ordered never does. What is full is refused before it is acknowledged (`check_room`).
Blocking parts are for the thread that writes vertices.db.

Place in a record's life: between its vertex and its outcome. Source: design.md sections 3.2 and 8.7.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from drystone import limits
from drystone.records.vertex import decode_header
from drystone.storage.database import Database
from drystone.storage.mirror import MirrorDB
from drystone.storage.vertices import VertexDB

MINUTE_S: Final = 60.0
MINUTES: Final = 60
"""Minutes over which the current rate is taken."""

PAGE: Final = 512
"""Vertices looked at in one step of pruning."""

HOURS_MAX: Final = 100_000.0
"""More than ten years: said of a gateway to which nothing comes."""


class Buffered(NamedTuple):
    """Own vertices that are not known to be ordered."""

    vertices: int
    records: int
    bytes: int


class Buffer:
    """Counts what waits for its order."""

    def __init__(self, *, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._vertices = self._records = self._bytes = 0
        self._started_s = monotonic_s()
        self._minutes: deque[tuple[int, int]] = deque()
        """(minute, bytes sealed in it), the last hour's."""

    @property
    def waiting(self) -> Buffered:
        """How much waits."""
        return Buffered(self._vertices, self._records, self._bytes)

    def load(self, store: VertexDB, mirror: MirrorDB, *, iss: str, sub: str) -> None:
        """Count anew: own vertices behind the place up to which outcomes are here. Blocks."""
        self._vertices = self._records = self._bytes = 0
        place = mirror.place
        after = (iss, sub, -1, -1) if place is None else (iss, sub, *place)
        while found := store.listed((iss, sub), after=after, limit=limits.LIST_ROWS_MAX):
            for stored in found:
                header = decode_header(stored.header)
                self._count(1, header.count, header.length)
            last = found[-1]
            after = (iss, sub, last.epoch, last.seq)

    def sealed(self, *, records: int, size: int) -> None:
        """An own vertex was sealed: so many records, so many bytes of body."""
        self._count(1, records, size)
        minute = int(self._monotonic_s() // MINUTE_S)
        if self._minutes and self._minutes[-1][0] == minute:
            self._minutes[-1] = minute, self._minutes[-1][1] + size
        else:
            self._minutes.append((minute, size))
        self._forget(minute)

    def ordered(self, *, records: int, size: int) -> None:
        """The outcome of an own vertex is here."""
        self._count(-1, -records, -size)

    def bytes_per_hour(self) -> float:
        """At what rate bodies came in the last hour, or since the start where that is less than an hour ago."""
        now_s = self._monotonic_s()
        self._forget(int(now_s // MINUTE_S))
        since_s = min(now_s - self._started_s, MINUTES * MINUTE_S)
        return sum(size for _, size in self._minutes) / max(since_s, MINUTE_S) * 3_600

    def hours_left(self, room_bytes: int) -> float:
        """For how long the room suffices at the current rate, if nothing is ordered meanwhile."""
        rate = self.bytes_per_hour()
        if rate <= 0:
            return HOURS_MAX
        return min(max(0, room_bytes) / rate, HOURS_MAX)

    def _count(self, vertices: int, records: int, size: int) -> None:
        self._vertices += vertices
        self._records += records
        self._bytes += size

    def _forget(self, minute: int) -> None:
        while self._minutes and self._minutes[0][0] <= minute - MINUTES:
            self._minutes.popleft()


def used_bytes(database: Database) -> int:
    """Give the bytes that a file uses, without what deletions left free in it for what comes."""
    pages = database.rows("PRAGMA page_count")[0][0] - database.rows("PRAGMA freelist_count")[0][0]
    return pages * database.rows("PRAGMA page_size")[0][0]


class Pruner:
    """Lets bodies go that are ordered, the oldest first."""

    def __init__(self, store: VertexDB, mirror: MirrorDB, *, keep_bytes: int) -> None:
        self._store = store
        self._mirror = mirror
        self._keep_bytes = keep_bytes
        self._after = 0

    def run(self) -> int:
        """Drop bodies until few enough bytes are used, or nothing ordered is left to drop; give how many. Blocks.

        One transaction per step; if the process dies between two, the next start goes on.
        """
        dropped = 0
        while used_bytes(self._store.database) > self._keep_bytes:
            found = self._store.database.rows(
                "SELECT number, id FROM bodies JOIN vertices USING (number)"
                " WHERE number > ? AND length(body) > 0 ORDER BY number LIMIT ?",
                (self._after, PAGE),
            )
            if not found:
                self._after = 0  # From the start again, once more has been ordered.
                break
            ordered = self._mirror.ordered_among([row[1] for row in found])
            numbers = [row[0] for row in found if row[1] in ordered]
            if numbers:
                self._store.prune(numbers)
                dropped += len(numbers)
            self._after = found[-1][0]
        return dropped
