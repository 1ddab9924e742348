"""The DAG on the wire: compact rows whose columns are named once, authors in a table, as JSON or a server-sent event.

A drawing of ten thousand vertices is a megabyte and not four. Without a framework, so that a plain gateway can answer
too. Nothing is fetched here. Source: `dag_values.py`, issue 5 item 8.
"""

import json
from typing import Any, Final

from drystone.api.cursors import decode_cursor, encode_cursor
from drystone.api.dag_values import DagCursor, DagPage, DagVertex

COLUMNS: Final = (
    *("number", "author", "epoch", "seq", "id", "parent", "links", "dangling", "claimed_ms"),
    *("records", "length", "height", "witnesses", "forked"),
)


def read_dag_cursor(text: str | None) -> DagCursor | None:
    """The cursor that a client names; None where it names none. Raises: RequestMalformed."""
    return DagCursor(*decode_cursor(text, int, int)) if text else None


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
