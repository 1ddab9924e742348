"""Contracts and state as one visitor may see them: whole, in part, or not at all.

A contract's text is shown to whoever may see the ledger or any of its values: it says how they came
about. Of its values those are shown that a rule names. Source: issue 4 item 2, requirement S2.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from drystone.api.gate import Gate
from drystone.api.values import (
    ContractInfo,
    ContractValue,
    StateProof,
    VersionInfo,
)
from drystone.errors import Refused
from drystone.formats import cbor
from drystone.ledger import keyspace
from drystone.limits import LIST_ROWS_MAX

if TYPE_CHECKING:
    from drystone.ledger.read_rights import ReadRights


class GuardedContracts(Gate):
    """The part of a guarded service that shows contracts and state."""

    async def contracts(self, *, after: str | None, limit: int) -> Sequence[ContractInfo]:
        """Contracts, or those of whose values some may be seen."""
        rights = self._rights
        if rights is None or rights.ledger:
            return await self._service.contracts(after=after, limit=limit)

        async def fetch(behind: str | None) -> Sequence[ContractInfo]:
            return await self._service.contracts(after=behind, limit=LIST_ROWS_MAX)

        async def allowed(one: ContractInfo) -> bool:
            return rights.touches_contract(one.owner, one.name)

        return await self._filtered(
            fetch, allowed, lambda one: one.name, after=after, limit=limit, what="contracts"
        )

    async def contract(self, name: str) -> ContractInfo | None:
        """A contract of whose values some may be seen."""
        found = await self._service.contract(name)
        rights = self._rights
        if rights is None or rights.ledger:
            return found
        if found is None or not rights.touches_contract(found.owner, name):
            raise self._deny(f"no rule shows contract {name!r}")
        return found

    async def contract_version(self, name: str, *, version: int) -> VersionInfo | None:
        """A version of a contract that may be seen."""
        await self.contract(name)
        return await self._service.contract_version(name, version=version)

    async def contract_values(
        self, name: str, *, path: str, after: bytes | None, limit: int
    ) -> Sequence[ContractValue]:
        """Those values of a contract, at and below a path, that may be seen."""
        rights = self._rights
        found = await self.contract(name)
        owner = "" if found is None else found.owner
        parts = tuple(path.split("/")) if path else ()
        if rights is None or rights.allows_value(owner, name, parts):
            return await self._service.contract_values(name, path=path, after=after, limit=limit)
        kept: list[ContractValue] = []
        for place in rights.places(owner, name, parts):
            # Places are in the order of their keys, and none lies below another.
            path, left = "/".join(place), limit - len(kept)
            kept += await self._below(rights, name, owner, path, after=after, limit=left)
            if len(kept) >= limit:
                break
        return kept if after is not None else self._something(kept, f"values of {name}")

    async def _below(  # the visible part of what lies at and below one path
        self,
        rights: ReadRights,
        name: str,
        owner: str,
        path: str,
        *,
        after: bytes | None,
        limit: int,
    ) -> list[ContractValue]:
        async def fetch(behind: bytes | None) -> Sequence[ContractValue]:
            return await self._service.contract_values(
                name, path=path, after=behind, limit=LIST_ROWS_MAX
            )

        async def allowed(one: ContractValue) -> bool:
            return rights.allows_value(owner, name, one.path.split("/"))

        return await self._gather(fetch, allowed, lambda one: one.key, after=after, limit=limit)

    async def state(self, key: bytes) -> StateProof:
        """A state value, where what it is about may be seen."""
        if self._rights is not None and not await self._may_state(key, self._rights):
            raise self._deny(f"no rule shows state key {key[:64].hex()}")
        return await self._service.state(key)

    async def _may_state(self, key: bytes, rights: ReadRights) -> bool:
        try:
            parts = [cbor.decode(item) for item in cbor.split_sequence(key, items_max=64)]
        except Refused:
            return rights.ledger
        space, *rest = parts or [None]
        if space == keyspace.KEY and rest:
            # Keys are there to be looked up: whoever has a receipt to check needs its sender's.
            mine = "/".join(str(part) for part in rest[:2]) == rights.me
            return rights.ledger or rights.touches(str(rest[0])) or mine
        if space == keyspace.CONTRACT_DATA and rest:
            found = await self._service.contract(str(rest[0]))
            owner = "" if found is None else found.owner
            return rights.allows_value(owner, str(rest[0]), [str(part) for part in rest[1:]])
        name = tuple(str(part) for part in rest)
        if space == keyspace.STREAM and rest:
            return await self._may("streams", name) or await self._may("receipts", name)
        if space == keyspace.MEMBER and rest:
            return await self._may_member(name)
        return rights.ledger
