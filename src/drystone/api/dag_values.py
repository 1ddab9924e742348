"""What a node tells of the DAG: vertices as points of a drawing, frontier, forks, peers. Plain and frozen.

A vertex is known here by its *number*: its place in the order of arrival at this node, which is short and never
changes while the node's files live. Rows change (a vertex is ordered, a witness comes, a missing link arrives), so
each carries a *stamp* that rises with every change: who asks for what lies behind a stamp gets what is new and what
is different, and nothing else. Nothing here has behaviour. Source: design.md sections 3.3, 3.4 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple


class DagCursor(NamedTuple):
    """Where somebody stands among the changes of the DAG: `life` tells one start of the node from another."""

    life: int
    stamp: int


class DagVertex(NamedTuple):
    """One vertex in the drawing."""

    number: int
    iss: str
    sub: str
    epoch: int
    seq: int
    id: bytes
    parent: int | None
    """Number of the vertex before it; None for an author's first, and where it is not here."""
    links: tuple[int, ...]
    """Numbers of other authors' vertices that it names and that are here."""
    dangling: int
    """How many of those that it names are not here."""
    time_ms: int | None
    """The gateway's claim."""
    count: int  # pyright: ignore[reportIncompatibleMethodOverride] - the format's word
    length: int
    height: int | None
    """Block that orders it: final. None: it waits, and what contracts make of it is provisional."""
    witnesses: int
    """How many other authors have built on it, as far as is known here."""
    forked: bool
    """Another vertex stands at the same place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DagPage:
    """Vertices that are new or changed behind a cursor, in the order of change."""

    vertices: Sequence[DagVertex]
    cursor: DagCursor
    """Behind the last of them."""
    more: bool
    """Whether there are some behind it already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierInfo:
    """An author's last vertex that is known here."""

    iss: str
    sub: str
    epoch: int
    seq: int
    id: bytes
    time_ms: int | None
    height: int | None
    waiting: int
    """Vertices of this author that are here and in no block, as far as the node looks back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkInfo:
    """Two signed things at one place of one author: proof that a key or a disk was doubled."""

    iss: str
    sub: str
    kind: Literal["record", "vertex"]
    epoch: int
    seq: int | None
    """None where only the ledger's evidence is here, which names the epoch alone."""
    ids: tuple[bytes, bytes]
    held: bool
    """Both vertices are in this node's own files."""
    convicted: bool
    """The ledger has the evidence: the branch is suspended."""
    epoch_min: int
    """The lowest epoch in which the ledger still takes anything from this author."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerInfo:
    """Another gateway, node or follower that this one exchanges vertices with."""

    iss: str
    sub: str
    role: str | None
    """`node`, `gateway` or `follower`; None while it has not said."""
    connected: bool
    uplink: bool
    """Order and outcomes are pulled from it."""
    behind: int
    """Authors of whom it has vertices that are not here."""
    height: int
    """Of the last block that it has told of."""
    degraded: str | None
    """Code of the fault for which it is left alone; None: it is in good standing."""
    degraded_ms: int
    """How long still."""
    faults: Mapping[str, int]
    """How often it broke a rule since the process started, by code."""
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
