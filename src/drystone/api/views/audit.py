"""The audit log: who was denied what, for the operator alone.

It names people and what they looked for, so that no token and no member may read it. Bounded: older
entries are forgotten. Source: issue 4 item 2 (denials are recorded).
"""

from typing import cast

from fastapi import APIRouter, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from drystone.api.cells import iso_ms
from drystone.api.lists import Listed, Row, decode_cursor, encode_cursor, render
from drystone.api.views.requests import CurrentAccess, add_list
from drystone.errors import TokenInvalid
from drystone.home.audit import Entry

router = APIRouter(tags=["node"])


class DenialRow(Row):
    """One denied request."""

    number: int
    time: str
    who: str = Field(description="Member, `token ID`, or `nobody`; ` ?` behind it: only claimed.")
    origin: str = Field(description="Address that the request came from.")
    what: str = Field(description="Method and path, without the query.")
    code: str
    why: str
    missed: int = Field(description="Denials before this one that were counted, not written.")


def denial_row(entry: Entry) -> DenialRow:
    """The row of an entry."""
    denial = entry.denial
    return DenialRow(
        number=entry.number,
        time=cast("str", iso_ms(entry.time_ms)),
        who=denial.who,
        origin=denial.origin,
        what=denial.what,
        code=denial.code,
        why=denial.why,
        missed=entry.missed,
    )


@add_list(router, "/v1/audit", row=DenialRow, also=(TokenInvalid,), security=[{"operator": []}])
async def list_denials(request: Request, access: CurrentAccess, listed: Listed) -> Response:
    """Denied requests, the newest first."""
    await access.demand_operator(request)
    before: int | None = None
    if listed.after is not None:
        (before,) = decode_cursor(listed.after, int)
    audit = access.settings.audit
    found: list[Entry] = []
    if audit is not None:
        found = await run_in_threadpool(audit.entries, before=before, limit=listed.limit)
    following = encode_cursor(found[-1].number) if len(found) == listed.limit else None
    return render(request, DenialRow, [denial_row(one) for one in found], following)
