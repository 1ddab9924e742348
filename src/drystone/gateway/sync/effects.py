"""What a session asks of its surroundings and gets from them: values, bounds, and the interface to what is here.

A session is pure. What it wants done comes out as `Effects`; whoever drives it sends, stores, loads and calls again:

    effects.send      -> over the link, in order
    effects.keep      -> one transaction (`VertexDB.keep`); when durable: `holdings.kept(...)`, then every session's
                         `grown(...)` (`Peers.kept` does both); on failure `holdings.dropped(...)`
    effects.load      -> read the deflated bodies (`VertexDB.packed`), answer each with `loaded(...)`
    effects.load_*    -> answer with `blocks_loaded`, `rows_loaded`, `done_loaded`, when there is something to answer
    effects.close     -> send what is in `send`, then close the link
    effects.wake_ms   -> call `tick` then at the latest

Place in a record's life: between vertex and order, at the border to others. Source: docs/spec/sync.md.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from drystone import limits
from drystone.errors import PeerFault
from drystone.gateway.sync.announcement import Announcement
from drystone.gateway.sync.messages import (
    Done,
    Have,
    Heads,
    OrderedBlock,
    Point,
    Rows,
    Stretch,
    WantBlocks,
    WantRows,
)
from drystone.records.dag import Author
from drystone.records.key import PublicKey
from drystone.records.vertex import VertexHeader
from drystone.storage.vertices import StoredVertex

PeerName = Author
"""Organisation and member whose certificate the link's other end showed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Who this side is."""

    ledger: bytes
    iss: str
    sub: str
    role: str
    instance: int
    """Rises with every start; milliseconds of the start will do."""
    features: tuple[str, ...] = ()
    """Sorted. `blocks`: serves blocks, rows and outcomes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncBounds:
    """How a link is used; the defaults are for a line, `slow()` is for 1 kbit/s. Times in milliseconds."""

    chunk_bytes: int = 65_536
    """Largest message where there is a choice; the smaller one of both sides counts."""
    burst_bytes: int = 262_144
    """Bytes of one body that are sent before the other side asks on."""
    window_bytes: int = 1_048_576
    """Bytes of bodies asked for and not here yet; one body is always asked for."""
    bodies: int = limits.SYNC_BODIES_MAX
    """Bodies asked for and not here yet."""
    headers: int = 512
    """Headers in one answer, where there is a choice."""
    answer_ms: int = 20_000
    """A question is asked again after this time without an answer; three times, then the peer is silent."""
    ping_ms: int = 60_000
    """After this time without a message a sign of life is sent."""
    silent_ms: int = 200_000
    """After this time without a message from it the peer is gone."""
    relay_ms: int = 200
    """News of other authors are collected this long before they are told."""

    @classmethod
    def slow(cls) -> "SyncBounds":
        """Return the bounds for a link of about 1 kbit/s that loses much."""
        return cls(
            chunk_bytes=512, burst_bytes=4_096, window_bytes=8_192, bodies=4, headers=2,
            answer_ms=120_000, ping_ms=300_000, silent_ms=1_200_000, relay_ms=10_000,
        )  # fmt: skip


class Arrived(NamedTuple):
    """A vertex, or only its header, to be stored: form, signature, parent and body were checked."""

    header: VertexHeader
    body: bytes | None
    """The records' bytes, inflated; None: the header only, or the header again whose body came before."""
    id: bytes


class Place(NamedTuple):
    """Where a known vertex stands."""

    author: Author
    epoch: int
    seq: int


class Effects(NamedTuple):
    """What is to be done now; see the module's first lines."""

    send: list[bytes]
    keep: list[Arrived]
    load: list[bytes]
    load_blocks: list[WantBlocks]
    load_rows: list[WantRows]
    load_done: list[Have]
    blocks: list[OrderedBlock]
    """Asked for with `want_blocks`; nothing about them was checked but their form."""
    rows: list[Rows]
    done: list[Done]
    forks: list[bytes]
    """Evidence that is new here; signatures were checked."""
    announced: list[bytes]
    """Announcements that are new here; signatures were checked."""
    faults: list[PeerFault]
    """What the peer did wrong now, `close` included; counted already."""
    close: PeerFault | None
    wake_ms: int | None

    @classmethod
    def none(cls) -> "Effects":
        """Return empty effects."""
        return cls([], [], [], [], [], [], [], [], [], [], [], [], None, None)


class Holdings(Protocol):
    """What is here, in memory and quick. *Kept* is durable; *staged* is on its way to the disk."""

    # --- what is kept

    def heads(self) -> Sequence[Heads]:
        """Give where every author's chain ends, by author."""
        ...

    def heads_of(self, author: Author) -> tuple[Point, ...]:
        """Give where an author's chain ends: nothing, one point, or one per branch."""
        ...

    def headers(self, stretch: Stretch, *, limit: int) -> list[bytes]:
        """Give the kept headers of a stretch, oldest first, both branches of a fork."""
        ...

    def header(self, own_id: bytes) -> bytes | None:
        """Give a kept header."""
        ...

    def has_body(self, own_id: bytes) -> bool:
        """Whether the body is kept."""
        ...

    def forks(self) -> dict[bytes, bytes]:
        """Give the evidence known here by the digest of whose it is."""
        ...

    def announcements(self) -> dict[Author, Announcement]:
        """Give the newest announcement of each member."""
        ...

    def announced_digest(self) -> bytes:
        """Give the digest of all announcements."""
        ...

    @property
    def notices(self) -> int:
        """Rises with every piece of evidence and every announcement."""
        ...

    @property
    def generation(self) -> int:
        """Rises when the registry changes: authors unknown until now may be known."""
        ...

    # --- kept or staged

    def find(self, own_id: bytes) -> Place | None:
        """Give the place of a vertex that is kept or staged."""
        ...

    def tops_of(self, author: Author) -> list[tuple[int, int]]:
        """Give the places where an author's chain ends, staged vertices included, lowest first."""
        ...

    def takes(self, header: VertexHeader) -> bool:
        """Whether a header may be staged: not if it were one branch too many of its author."""
        ...

    def wants_body(self, own_id: bytes) -> bool:
        """Whether the header is here, its body is not, and should be."""
        ...

    def wanted(self) -> Iterable[tuple[bytes, int]]:
        """Give id and length of bodies still to come, in the order of arrival."""
        ...

    def postpone(self, ids: Sequence[bytes]) -> None:
        """Put wanted bodies behind all others."""
        ...

    def wanted_header(self, own_id: bytes) -> VertexHeader | None:
        """Give the header of a vertex whose body is wanted."""
        ...

    # --- what arrives

    @property
    def member_key_of(self) -> Callable[[str, str, bytes], PublicKey | None]:
        """Gives a member's key as far as the ledger is known here."""
        ...

    def check(self, header: VertexHeader) -> bool:
        """Verify a header's signature; say no when its author's key is not known here.

        Raises:
            VertexAltered: the author did not sign this.
        """
        ...

    @property
    def room(self) -> int:
        """How many more vertices may be staged."""
        ...

    def stage(self, arrived: Arrived) -> None:
        """Note that a vertex, or its body, is on its way to the disk."""
        ...

    def add_fork(self, evidence: bytes) -> bool:
        """Take evidence whose signatures were checked; say whether it tells anything new."""
        ...

    def add_announcement(self, signed: bytes) -> bool | None:
        """Take an announcement: true when it is new, false when it is known or its member unknown, None when outdated.

        Raises:
            AnnouncementForged: it is malformed, or not signed by the member it names.
        """
        ...


class HeaderStore(Protocol):
    """What is read of vertices.db."""

    def find(self, own_id: bytes, /) -> StoredVertex | None:
        """Give a vertex by its id."""
        ...

    def at_place(self, iss: str, sub: str, *, epoch: int, seq: int) -> list[StoredVertex]:
        """Give the vertices at a place."""
        ...

    def arrived(self, *, after: int, limit: int) -> list[StoredVertex]:
        """Give vertices in the order of arrival."""
        ...

    def incomplete(self, *, after: int, limit: int) -> list[StoredVertex]:
        """Give vertices whose body is still to come."""
        ...

    def listed(
        self,
        author: tuple[str, str],
        *,
        after: tuple[str, str, int, int] | None = None,
        limit: int,
        newest_first: bool = False,
    ) -> list[StoredVertex]:
        """Give an author's vertices behind a place."""
        ...

    def last_number(self) -> int:
        """Give the number of the vertex that arrived last."""
        ...

    def authors(self) -> Sequence[tuple[str, str]]:
        """Give everyone who has a vertex here."""
        ...

    def forked_places(self, *, limit: int) -> list[tuple[str, str, int, int]]:
        """Give the places with more than one vertex."""
        ...
