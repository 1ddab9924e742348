"""Sync messages: what two of gateway, node and follower say to one another, with one spelling each.

The types only: `wire.py` writes and reads them, and its checks are what a field's range below relies on. What a message
means is the session's.

Source: docs/spec/sync.cddl, docs/spec/sync.md.
"""

from typing import Final, NamedTuple, TypeAlias

from drystone.proof.block import BlockEntry, decode_block
from drystone.records.dag import Author

VERSION: Final = 1
"""Of the protocol; peers of different versions part at once."""

ROLES: Final = ("node", "gateway", "follower")
DIGEST_BYTES: Final = 8
"""Length of the digests that tell whether two sides know the same: an accident costs a round, nothing else."""


class Point(NamedTuple):
    """The last vertex of a branch; an author without a fork has one."""

    epoch: int
    seq: int
    id: bytes


class Heads(NamedTuple):
    """Where an author's chain ends here: one point, or one per branch, sorted."""

    author: Author
    points: tuple[Point, ...]


class Stretch(NamedTuple):
    """All vertices of an author from one place to another, both included, through every epoch between them."""

    author: Author
    first: tuple[int, int]
    """Epoch and sequence."""
    last: tuple[int, int]


class OrderedBlock(NamedTuple):
    """A block as it is passed on: enough to recompute its outcomes root, to prove it, and to execute it again."""

    entry: bytes
    """The block entry as it stands in the log; `fields` reads it."""
    first_leaf: int
    """Log entries before the block."""
    size: int
    """Log entries after it; the last is the block entry."""
    vertices: tuple[tuple[bytes, int], ...]
    """Id and record count of each vertex, in order."""
    exceptions: bytes
    """The outcomes that are not a plain `accepted`, as ledger.db keeps them (`storage/outcomes.py`)."""
    changed: bool
    """Whether the block changed rows of the registry."""
    checkpoint: bytes | None
    """A signed checkpoint; only on the last block of a message, and for all of them."""
    path: tuple[bytes, ...]
    """Inclusion path of the block entry in the log of that checkpoint."""

    @property
    def fields(self) -> BlockEntry:
        """What the block entry says; raises ReceiptMalformed where the entry is none."""
        return decode_block(self.entry)

    @property
    def height(self) -> int:
        """The block's height; a decoded message's entry is well-formed."""
        return self.fields.height

    @property
    def time_ms(self) -> int:
        """The block's time, Unix milliseconds."""
        return self.fields.time_ms


# --- the messages ----------------------------------------------------------------------------------


class Hello(NamedTuple):
    """The first message of each side: which ledger, who, and how it wants to be spoken to."""

    version: int
    ledger: bytes
    iss: str
    sub: str
    role: str
    instance: int
    """Rises with every start of the process."""
    features: tuple[str, ...]
    """Sorted words; `blocks` serves the ordered log, `bodies` takes bodies."""
    chunk: int
    """Bytes of one message that this side wants at most, where there is a choice."""
    time_ms: int | None
    """The wall clock's claim."""
    height: int
    """Of the last block here; 0 without a ledger."""
    announced: bytes
    """Digest of the announcements known here."""


class Frontier(NamedTuple):
    """Where authors' chains end here: all of them first, then those that moved. Replaces what was said of an author."""

    heads: tuple[Heads, ...]
    forks: tuple[bytes, ...]
    """Digests of the forks (whose branch, which epoch) known here that were not told before."""


class Want(NamedTuple):
    """Ask for headers; every number is answered by one `Headers`."""

    number: int
    stretches: tuple[Stretch, ...]
    ids: tuple[bytes, ...]


class Headers(NamedTuple):
    """Vertex headers, oldest of an author first: an answer, or new ones unasked (number 0)."""

    number: int
    more: bool
    """Whether the answer was cut short: what follows the last header given may be asked for next."""
    headers: tuple[bytes, ...]


class WantBodies(NamedTuple):
    """Ask for deflated bodies, each from an offset on; what a side has begun it need not be sent again."""

    bodies: tuple[tuple[bytes, int, int], ...]
    """Vertex id, offset, and how many bytes at most for now."""


class Body(NamedTuple):
    """A piece of a vertex's deflated body.

    Without data: with `total` 0 the body is not here now, else it has come since it was asked for.
    """

    id: bytes
    offset: int
    total: int
    data: bytes


class Fork(NamedTuple):
    """Evidence of a fork (`records/evidence.py`)."""

    evidence: bytes


class Announce(NamedTuple):
    """A signed announcement (`announcement.py`)."""

    signed: bytes


class WantBlocks(NamedTuple):
    """Ask for blocks behind a height; answered as soon as there is one."""

    after: int
    limit: int


class Blocks(NamedTuple):
    """Blocks in a row; `height` is that of the sender's last."""

    height: int
    blocks: tuple[OrderedBlock, ...]


class WantRows(NamedTuple):
    """Ask for registry rows behind a key; who holds rows up to `last` says so by their digest."""

    after: bytes
    last: bytes
    digest: bytes
    """Empty, or of the rows held between `after` and `last`."""


class Rows(NamedTuple):
    """Registry rows behind `after` as of a height: the rows, or that they are the `same` up to `last`."""

    after: bytes
    height: int
    same: bool
    last: bytes
    """The rows are all there are up to this key; empty when there are none behind them."""
    rows: tuple[tuple[bytes, bytes], ...]


class Have(NamedTuple):
    """The outcomes of the sender's own vertices arrived up to this place: send those behind it when there are any.

    Before any, `epoch` and `seq` are None.
    """

    place: tuple[int, int] | None


class Done(NamedTuple):
    """The blocks that hold the receiver's vertices up to a place; `more` when there are others already."""

    place: tuple[int, int]
    blocks: tuple[OrderedBlock, ...]
    more: bool


class Bye(NamedTuple):
    """The last message: why this side leaves."""

    code: str
    text: str


class Ping(NamedTuple):
    """A sign of life, and what the sender believes to have told: its frontier's digest, its height."""

    frontier: bytes
    height: int


class WantFrontier(NamedTuple):
    """Ask for the whole frontier: a delta was lost."""


class Part(NamedTuple):
    """A piece of one long message (of blocks), in order; nothing but its pieces' order says which belong together."""

    number: int
    """From 0."""
    last: bool
    data: bytes


Message: TypeAlias = (
    Hello
    | Frontier
    | Want
    | Headers
    | WantBodies
    | Body
    | Fork
    | Announce
    | WantBlocks
    | Blocks
    | WantRows
    | Rows
    | Have
    | Done
    | Bye
    | Ping
    | WantFrontier
    | Part
)
