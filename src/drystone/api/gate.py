"""What one visitor may see of a node: the questions that every guarded method asks.

Single things are refused before it is known whether they exist. Lists look through the rows below
and leave out what is not allowed; a first page with nothing on it is a denial. Nothing is fetched
here but what a list looks through. Source: issue 4 item 2, `ledger/read_rights.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from drystone.api.values import StreamKey
from drystone.errors import Refused, TooLarge
from drystone.ledger import keyspace
from drystone.limits import LIST_ROWS_MAX, READ_SCAN_ROWS_MAX

if TYPE_CHECKING:
    from drystone.api.guarded_events import VertexStreams
    from drystone.api.service import Service
    from drystone.ledger.read_rights import Named, ReadRights

Result = TypeVar("Result")

Deny = Callable[[str], Refused]
"""Writes a denial down and gives the error to raise."""

Renew = Callable[[], Awaitable["ReadRights | None"]]
"""What the visitor may read now; None: everything. Raises where they may not be here any more."""


class Gate:
    """One visitor before a service; `rights` None shows everything."""

    def __init__(
        self,
        service: Service,
        rights: ReadRights | None,
        *,
        deny: Deny,
        renew: Renew,
        vertex_streams: VertexStreams,
    ) -> None:
        self._service = service
        self._rights = rights
        self._deny = deny
        self._renew = renew
        self._vertex_streams = vertex_streams

    async def _may(self, kind: str, name: StreamKey) -> bool:
        if self._rights is None:
            return True
        named: Named = getattr(self._rights, kind)
        if named.allows(name):
            return True
        if not any(iss == name[0] for iss, _ in named.profiles):
            return False
        member = await self._service.member(name)
        return member is not None and named.allows(name, member.profile)

    async def _may_member(self, name: StreamKey) -> bool:
        for kind in ("members", "streams", "receipts"):
            if await self._may(kind, name):
                return True
        return False

    async def _demand(self, kind: str, name: StreamKey) -> None:
        if not await self._may(kind, name):
            raise self._deny(f"no rule shows {kind} of {'/'.join(name)}")

    def _demand_ledger(self) -> None:
        if self._rights is not None and not self._rights.ledger:
            raise self._deny("no rule shows the ledger as a whole")

    def _something(self, found: list[Result], what: str) -> list[Result]:
        if not found:
            raise self._deny(f"no rule shows any {what}")
        return found

    async def _filtered(
        self,
        fetch: Callable[[Any], Awaitable[Sequence[Result]]],
        allowed: Callable[[Result], Awaitable[bool]],
        address: Callable[[Result], Any],
        *,
        after: Any,
        limit: int,
        what: str,
    ) -> list[Result]:
        """A page of what is allowed; a first page with nothing on it is a denial."""
        found = await self._gather(fetch, allowed, address, after=after, limit=limit)
        return found if after is not None else self._something(found, what)

    async def _gather(
        self,
        fetch: Callable[[Any], Awaitable[Sequence[Result]]],
        allowed: Callable[[Result], Awaitable[bool]],
        address: Callable[[Result], Any],
        *,
        after: Any,
        limit: int,
    ) -> list[Result]:
        found: list[Result] = []
        looked = 0
        while True:
            page = await fetch(after)
            for one in page:
                if len(found) < limit and await allowed(one):
                    found.append(one)
            if len(found) >= limit or len(page) < LIST_ROWS_MAX:
                return found
            looked += len(page)
            if looked >= READ_SCAN_ROWS_MAX:
                raise TooLarge(f"{looked} rows were looked through: ask for one organisation's")
            after = address(page[-1])

    async def _named(
        self,
        names: list[StreamKey],
        find: Callable[[StreamKey], Awaitable[Result | None]],
        *,
        after: StreamKey | None,
        limit: int,
        what: str,
    ) -> list[Result]:
        """A page of things that are known by name, in the order of their state keys."""
        found: list[Result] = []
        behind = b"" if after is None else keyspace.key(keyspace.STREAM, *after)
        for name in names:
            if len(found) >= limit:
                break
            if keyspace.key(keyspace.STREAM, *name) > behind:
                one = await find(name)
                found += [] if one is None else [one]
        return found if after is not None else self._something(found, what)


def explicit_names(kinds: Sequence[Named], iss: str | None) -> list[StreamKey] | None:
    """All names that may be seen, where rights consist of names only; else None."""
    if any(one.organisations or one.patterns or one.profiles for one in kinds):
        return None
    names = {tuple(name.split("/")) for one in kinds for name in one.names}
    wanted = [name for name in names if iss in {None, name[0]}]
    return sorted(wanted, key=lambda name: keyspace.key(keyspace.STREAM, *name))
