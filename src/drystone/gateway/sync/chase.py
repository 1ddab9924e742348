"""Chases: how far an end of an author's chain that is at a peer has been followed, and how it is followed on.

Values and small rules of `chains.py`, without a session. Place in a record's life: vertex. Source: docs/spec/sync.md.
"""

from dataclasses import dataclass, field
from typing import Final

from drystone import limits
from drystone.errors import ParentForged
from drystone.gateway.sync.effects import Place
from drystone.gateway.sync.messages import Point, Stretch
from drystone.records.dag import Author
from drystone.records.vertex import VertexHeader, decode_header

BACK_FIRST: Final = 4
"""Vertices by which a chase first goes back from where it does not join; doubled each time."""


@dataclass(slots=True)
class Chase:
    """An end of an author's chain that is at the peer and not here."""

    target: Point
    stretch: Stretch
    parent: bytes | None = None
    """Asked for by id: the place of an epoch's first parent is not known."""
    back: int = BACK_FIRST

    idle: int = 0
    """Answers that brought nothing new."""


@dataclass(slots=True)
class Got:
    """What an answer holds of one author."""

    ids: set[bytes] = field(default_factory=set[bytes])
    last: tuple[int, int] = (-1, -1)
    progress: bool = False


@dataclass(slots=True)
class Question:
    """Headers asked for and not answered yet."""

    number: int
    stretches: tuple[Stretch, ...]
    ids: tuple[bytes, ...]
    authors: tuple[Author, ...]
    """Whose chase each stretch, and then each id, belongs to."""
    since_ms: int
    tries: int = 0


def advance(points: tuple[Point, ...], own_id: bytes, header: VertexHeader) -> tuple[Point, ...]:
    """Return where an author's chain ends once a header has been told: its parent's end moves, or a branch begins."""
    rest = [point for point in points if point.id not in (header.parent, own_id)]
    point = Point(header.epoch, header.seq, own_id)
    return tuple(sorted([*rest, point]))[-limits.SYNC_BRANCHES_MAX :]


def check_parent(header: VertexHeader, parent: Place | None, who: str) -> None:
    """Check that a header's place follows its parent's, as `dag.check_follows` does for headers.

    Raises:
        ParentForged: it does not.
    """
    place = (header.epoch, header.seq)
    if parent is None:
        return  # An author's first: the header's form says so.
    name = f"{header.iss}/{header.sub} {header.epoch}/{header.seq}"
    if parent.author != (header.iss, header.sub):
        raise ParentForged(f"{who}: vertex {name} follows a vertex of {'/'.join(parent.author)}")
    follows = (parent.epoch, parent.seq + 1) == place
    begins = header.seq == 0 and parent.epoch < header.epoch
    if not (follows or begins):
        raise ParentForged(f"{who}: vertex {name} cannot follow {parent.epoch}/{parent.seq}")


def place_behind(place: tuple[int, int]) -> tuple[int, int]:
    """Return the first place that may follow another in an author's chain."""
    epoch, seq = place
    return (epoch, seq + 1) if seq < limits.SEQUENCE_MAX else (epoch + 1, 0)


def stand_together(a: bytes, b: bytes) -> bool:
    """Whether two headers of the store are one author's at one place: branches of a fork."""
    one, other = decode_header(a), decode_header(b)
    return (one.iss, one.sub, one.epoch, one.seq) == (other.iss, other.sub, other.epoch, other.seq)


def go_back(chase: Chase, author: Author, lowest: VertexHeader) -> None:
    """Chase what lies before the lowest header that waits, in growing steps."""
    if lowest.seq == 0:
        chase.parent = lowest.parent
        return
    chase.parent = None
    start = max(0, lowest.seq - chase.back)
    chase.back *= 2
    chase.stretch = Stretch(author, (lowest.epoch, start), (lowest.epoch, lowest.seq - 1))
