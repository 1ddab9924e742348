"""Lists: a cursor that resumes exactly, and one set of rows as JSON, CSV or CBOR.

A cursor is opaque to clients: base64url of deterministic CBOR, checked for shape when it comes
back. Rows are flat pydantic models; bytes are hex in JSON and CSV and byte strings in CBOR. This
module reads nothing and knows no rows of its own. Source: the issue's item 5, RFC 4180, RFC 8288.
"""

import csv
import io
import json
from collections.abc import Sequence
from typing import Annotated, Any, Final, Generic, Literal, TypeAlias, TypeVar

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from drystone.api.cursors import decode_cursor, encode_cursor
from drystone.errors import NotAcceptable
from drystone.formats import cbor
from drystone.limits import LIST_ROWS_MAX

CURSOR_LENGTH_MAX: Final = 1_024
"""Characters; the longest cursor is a state key."""

ROWS_DEFAULT: Final = 100

JSON: Final = "application/json"
CSV: Final = "text/csv"
CBOR: Final = "application/cbor"
SUFFIXES: Final = {".json": JSON, ".csv": CSV, ".cbor": CBOR}

Hex: TypeAlias = Annotated[
    bytes,
    PlainSerializer(bytes.hex, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^([0-9a-f]{2})*$"}),
]
"""Bytes in Python and CBOR, lower-case hex in JSON and CSV."""


class Row(BaseModel):
    """Base of everything the API answers: frozen, and no member that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


RowT = TypeVar("RowT", bound=Row)


class Page(BaseModel, Generic[RowT]):
    """One page of a list."""

    rows: list[RowT]
    next: str | None
    """Pass it as `after` for the next page; null at the end."""


class ListQuery(BaseModel):
    """What every list takes."""

    limit: int
    after: str | None


def list_query(
    limit: Annotated[
        int, Query(ge=1, le=LIST_ROWS_MAX, description="Rows of this page.")
    ] = ROWS_DEFAULT,
    after: Annotated[
        str | None,
        Query(max_length=CURSOR_LENGTH_MAX, description="The previous page's `next`."),
    ] = None,
) -> ListQuery:
    """Reads a list's query parameters."""
    return ListQuery(limit=limit, after=after)


Listed = Annotated[ListQuery, Depends(list_query)]
Order = Annotated[Literal["asc", "desc"], Query(description="`desc`: the newest first.")]


def page_of(listing: list[RowT], listed: ListQuery) -> tuple[list[RowT], str | None]:
    """A page of a list that is at hand whole; the cursor counts its rows. Raises: RequestMalformed."""
    start = 0 if listed.after is None else decode_cursor(listed.after, int)[0]
    page = listing[start : start + listed.limit]
    more = len(listing) > start + listed.limit
    return page, encode_cursor(start + listed.limit) if more else None


def negotiate(accept: str | None, offered: Sequence[str]) -> str:
    """The offered media type a client likes best; the first one where it does not care.

    Raises: NotAcceptable.
    """
    if not accept or not accept.strip():
        return offered[0]
    best, best_quality = "", 0
    ranges = [_media_range(part) for part in accept.split(",")[:64]]
    for kind in offered:
        quality = max((_quality(kind, wanted) for wanted in ranges), default=(0, 0))[1]
        if quality > best_quality:
            best, best_quality = kind, quality
    if not best:
        raise NotAcceptable(f"accept names none of {', '.join(offered)}")
    return best


def _media_range(text: str) -> tuple[str, int]:
    """A media range and its weight in thousandths; an unreadable weight counts as none."""
    name, _, parameters = text.partition(";")
    for parameter in parameters.split(";"):
        key, _, value = parameter.strip().partition("=")
        if key.strip().lower() == "q":
            try:
                return name.strip().lower(), max(0, min(1000, round(float(value) * 1000)))
            except (ValueError, OverflowError):
                return name.strip().lower(), 0
    return name.strip().lower(), 1000


def _quality(kind: str, wanted: tuple[str, int]) -> tuple[int, int]:
    """How specific a range is for this type, and its weight: the most specific one decides."""
    name, quality = wanted
    if name == kind:
        return 2, quality
    if name == kind.partition("/")[0] + "/*":
        return 1, quality
    return (0, quality) if name == "*/*" else (-1, 0)


def render(
    request: Request, row: type[RowT], rows: Sequence[RowT], following: str | None
) -> Response:
    """Answers one page of a list in the form that the path's suffix or `Accept` asks for.

    `following` is the cursor of the next page; it is in the body (JSON, CBOR) and in `Link`.

    Raises: NotAcceptable.
    """
    path = request.url.path
    suffix = next((end for end in SUFFIXES if path.endswith(end)), None)
    kind = (
        SUFFIXES[suffix]
        if suffix
        else negotiate(request.headers.get("accept"), tuple(SUFFIXES.values()))
    )
    headers = {} if suffix else {"Vary": "Accept"}
    if following is not None:
        address = request.url.include_query_params(after=following)
        headers["Link"] = f'<{address.path}?{address.query}>; rel="next"'
    if kind == CSV:
        return Response(
            _csv(row, rows), media_type="text/csv; charset=utf-8; header=present", headers=headers
        )
    if kind == CBOR:
        page = {"rows": [one.model_dump() for one in rows], "next": following}
        return Response(cbor.encode(page), media_type=CBOR, headers=headers)
    listed = ",".join([one.model_dump_json() for one in rows])
    body = f'{{"rows":[{listed}],"next":{json.dumps(following)}}}'
    return Response(body.encode(), media_type=JSON, headers=headers)


def _csv(row: type[RowT], rows: Sequence[RowT]) -> bytes:
    text = io.StringIO(newline="")
    names = list(row.model_fields)
    writer = csv.DictWriter(text, names, lineterminator="\r\n")
    writer.writeheader()
    for one in rows:
        cells = one.model_dump(mode="json")
        writer.writerow({name: _csv_cell(cells[name]) for name in names})
    return text.getvalue().encode()


def _csv_cell(cell: object) -> str:
    if cell is None:
        return ""
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def list_responses(row: type[RowT]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of a list's answer in its three forms."""
    return {
        200: {
            "model": Page[row],
            "description": "One page of the list.",
            "content": {CSV: {"schema": {"type": "string"}}, CBOR: {}},
        }
    }
