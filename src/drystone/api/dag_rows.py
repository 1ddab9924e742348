"""The DAG as it is answered: compact rows for a drawing, and lists of frontier, forks and peers.

A drawing of ten thousand vertices is a megabyte and not four, because its rows are lists whose columns are named once
and authors stand in a table. Nothing is fetched here. Source: `dag_values.py`, issue 5 item 8.
"""

import json
from typing import Any, Final

from pydantic import Field

from drystone.api.cells import iso_ms
from drystone.api.dag_values import DagPage, DagVertex, ForkInfo, FrontierInfo, PeerInfo
from drystone.api.lists import Hex, Row, encode_cursor

COLUMNS: Final = (
    *("number", "author", "epoch", "seq", "id", "parent", "links", "dangling", "claimed_ms"),
    *("records", "length", "height", "witnesses", "forked"),
)


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


def dag_cursor(page: DagPage) -> str:
    """The cursor behind a page."""
    return encode_cursor(*page.cursor)


def dag_content(page: DagPage, *, hexadecimal: bool) -> dict[str, Any]:
    """A page's members; ids as bytes, or as hex where JSON needs it."""
    authors: dict[tuple[str, str], int] = {}
    rows = [_row(one, authors, hexadecimal=hexadecimal) for one in page.vertices]
    return {
        "columns": list(COLUMNS),
        "authors": [list(author) for author in authors],
        "rows": rows,
        "cursor": dag_cursor(page),
        "more": page.more,
    }


def dag_json(page: DagPage) -> bytes:
    """A page as JSON without a space too many."""
    return json.dumps(dag_content(page, hexadecimal=True), separators=(",", ":")).encode()


def dag_frame(page: DagPage) -> bytes:
    """A page as a server-sent event whose id is the cursor behind it."""
    return b"id: %s\nevent: dag\ndata: %s\n\n" % (dag_cursor(page).encode(), dag_json(page))


def _row(
    one: DagVertex, authors: dict[tuple[str, str], int], *, hexadecimal: bool
) -> list[int | str | bytes | bool | list[int] | None]:
    return [
        one.number,
        authors.setdefault((one.iss, one.sub), len(authors)),
        one.epoch,
        one.seq,
        one.id.hex() if hexadecimal else one.id,
        one.parent,
        list(one.links),
        one.dangling,
        one.time_ms,
        one.count,
        one.length,
        one.height,
        one.witnesses,
        one.forked,
    ]


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
