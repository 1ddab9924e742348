"""The DAG as the API describes it: the drawing's document, and rows of frontier, forks and peers.

Bytes on the wire are `dag_wire.py`'s. Nothing is fetched here. Source: `dag_values.py`, issue 5 item 8.
"""

from typing import Any

from pydantic import Field

from drystone.api.cells import iso_ms
from drystone.api.dag_values import ForkInfo, FrontierInfo, PeerInfo
from drystone.api.lists import Hex, Row


class DagDocument(Row):
    """Vertices in the order of their last change; what comes twice replaces what came before."""

    columns: list[str] = Field(description="What stands where in a row.")
    authors: list[list[str]] = Field(description="Organisation and member; rows name the index.")
    rows: list[list[Any]] = Field(
        description="`number` is the order of arrival here; `parent` and `links` are numbers;"
        " `dangling` counts named vertices that are not here; `height` null: not ordered yet."
    )
    cursor: str = Field(description="Pass it as `after` for what changes from now on.")
    more: bool = Field(description="Whether there are rows behind the cursor already.")


class FrontierRow(Row):
    """An author's last vertex."""

    iss: str
    sub: str
    epoch: int
    seq: int
    id: Hex
    claimed: str | None = Field(description="Time the gateway claims; nobody vouches for it.")
    height: int | None = Field(description="Block that orders it; null while it waits.")
    waiting: int = Field(description="Vertices of this author that no block orders yet.")


def frontier_row(info: FrontierInfo) -> FrontierRow:
    """The row of an author's last vertex."""
    return FrontierRow(
        iss=info.iss,
        sub=info.sub,
        epoch=info.epoch,
        seq=info.seq,
        id=info.id,
        claimed=iso_ms(info.time_ms),
        height=info.height,
        waiting=info.waiting,
    )


class ForkRow(Row):
    """Two signed things at one place."""

    iss: str
    sub: str
    kind: str = Field(description="`vertex` or `record`.")
    epoch: int
    seq: int | None = Field(description="Null where only the ledger's evidence is here.")
    a: Hex = Field(description="The two ids, the smaller first.")
    b: Hex
    held: bool = Field(description="Whether both vertices are here.")
    convicted: bool = Field(description="Whether the ledger has the evidence.")
    epoch_min: int = Field(description="The author goes on with this epoch or a later one.")


def fork_row(info: ForkInfo) -> ForkRow:
    """The row of a fork."""
    return ForkRow(
        iss=info.iss,
        sub=info.sub,
        kind=info.kind,
        epoch=info.epoch,
        seq=info.seq,
        a=info.ids[0],
        b=info.ids[1],
        held=info.held,
        convicted=info.convicted,
        epoch_min=info.epoch_min,
    )


class PeerRow(Row):
    """Whom this node exchanges vertices with."""

    iss: str
    sub: str
    role: str | None = Field(description="`node`, `gateway` or `follower`.")
    connected: bool
    uplink: bool = Field(description="Order and outcomes are pulled from it.")
    behind: int = Field(description="Authors of whom it has vertices that are not here.")
    height: int = Field(description="Of the last block that it has told of.")
    degraded: str | None = Field(description="Code of the fault for which it is left alone.")
    degraded_ms: int = Field(description="How long still.")
    faults: str = Field(description="`code count` of each rule it broke, separated by commas.")
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int


def peer_row(info: PeerInfo) -> PeerRow:
    """The row of a peer."""
    faults = sorted(info.faults.items())
    return PeerRow(
        iss=info.iss,
        sub=info.sub,
        role=info.role,
        connected=info.connected,
        uplink=info.uplink,
        behind=info.behind,
        height=info.height,
        degraded=info.degraded,
        degraded_ms=info.degraded_ms,
        faults=", ".join(f"{code} {count}" for code, count in faults),
        messages_in=info.messages_in,
        messages_out=info.messages_out,
        bytes_in=info.bytes_in,
        bytes_out=info.bytes_out,
    )
