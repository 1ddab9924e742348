"""Reads of the registry: organisations, members with their keys, profiles, as the state has them.

Blocking, like `reads.py`. Lists go in the order of state keys, so that a cursor resumes exactly. Nothing here decides
who may do what; that is `ledger/rights.py`. Source: design.md sections 3 and 4.
"""

from collections.abc import Iterator
from typing import Final, Protocol

from drystone.api.values import (
    KeyInfo,
    KnownKey,
    MemberInfo,
    OrganisationInfo,
    ProfileInfo,
    StreamKey,
)
from drystone.errors import Refused
from drystone.ledger import keyspace, rows
from drystone.ledger.read_rights import Asker, ReadRights, read_rights
from drystone.ledger.rights import check_sender
from drystone.records.key import trusted_cose_key
from drystone.service.contract_reads import Pages
from drystone.service.reads import key_parts, text_parts

PAGE: Final = 1_000

ASKERS_REMEMBERED: Final = 1_024
"""Askers whose rights are kept until the next block."""


class RegistryPages(Pages, Protocol):
    """The state at a height, read by key and page by page; `storage.ledger.LedgerDB` is one."""

    @property
    def height(self) -> int:
        """Height of the last block."""
        ...


class RegistryReads:
    """Answers what is asked of the registry's part of the state."""

    def __init__(self, ledger: RegistryPages) -> None:
        self._ledger = ledger
        self._counts: tuple[int, dict[str, int]] = (-1, {})
        self._rights: tuple[int, dict[Asker | None, ReadRights]] = (-1, {})

    def member(self, name: StreamKey) -> MemberInfo | None:
        """Give one member with all its keys; `(iss, gateway, device)` is an attested device."""
        value = self._ledger.get(keyspace.member(*name))
        if value is None:
            return None
        keys: tuple[KeyInfo, ...] = ()
        if len(name) == 2:
            keys = tuple(self._keys(*name))
        return _member_info(name, value, keys)

    def members(
        self,
        iss: str | None,
        *,
        after: StreamKey | None,
        limit: int,
        roles: frozenset[str] | None,
    ) -> list[MemberInfo]:
        """Give members without their keys; with `roles` only those that have one of them."""
        prefix = keyspace.key(keyspace.MEMBER, *([] if iss is None else [iss]))
        found: list[MemberInfo] = []
        for key, value in self._scan(
            prefix, after=None if after is None else keyspace.member(*after)
        ):
            info = _member_info(text_parts(key), value, ())
            if roles is None or roles.intersection(info.roles):
                found.append(info)
                if len(found) == limit:
                    break
        return found

    def organisations(self) -> list[OrganisationInfo]:
        """Give all organisations with the number of their members."""
        counts = self._member_counts()
        found: list[OrganisationInfo] = []
        for key, value in self._scan(keyspace.key(keyspace.ORGANISATION), after=None):
            iss, *more = text_parts(key)
            if more:
                # An organisation's read policy lies behind its row.
                continue
            row = rows.decode_organisation(value)
            status = rows.STATUS_NAMES[row.status]
            found.append(
                OrganisationInfo(iss=iss, name=row.name, status=status, members=counts.get(iss, 0))
            )
        return found

    def profiles(
        self, iss: str | None, *, after: tuple[str, str] | None, limit: int
    ) -> list[ProfileInfo]:
        """Give profiles."""
        prefix = keyspace.key(keyspace.PROFILE, *([] if iss is None else [iss]))
        behind = None if after is None else keyspace.profile(*after)
        rows_found = self._ledger.scan(prefix, after=behind, limit=limit)
        return [_profile_info(text_parts(key), value) for key, value in rows_found]

    def profile(self, iss: str, name: str) -> ProfileInfo | None:
        """Give one profile."""
        value = self._ledger.get(keyspace.profile(iss, name))
        return None if value is None else _profile_info((iss, name), value)

    def known_key(self, iss: str, sub: str, kid: bytes | None) -> KnownKey | None:
        """Give a key of a member, its current one without `kid`, and whether it still speaks for it."""
        value = self._ledger.get(keyspace.member(iss, sub))
        if value is None:
            return None
        member = rows.decode_member(value)
        kid = member.kid if kid is None else kid
        row = self._ledger.get(keyspace.member_key(iss, sub, kid))
        if row is None:
            return None
        refusal: Refused | None = None
        try:
            check_sender(self._ledger, iss=iss, sub=sub, kid=kid)
        except Refused as error:
            refusal = error
        key = trusted_cose_key(rows.decode_key_row(row).cose_key)
        return KnownKey(key=key, asker=Asker(iss, sub, member.roles), refusal=refusal)

    def read_rights(self, asker: Asker | None) -> ReadRights:
        """Give what the organisations' read policies let a member see; remembered until the next block."""
        height = self._ledger.height
        if self._rights[0] != height or len(self._rights[1]) >= ASKERS_REMEMBERED:
            self._rights = (height, {})
        known = self._rights[1]
        if asker not in known:
            known[asker] = read_rights(self._ledger, self._aliases(), asker)
        return known[asker]

    def _aliases(self) -> list[str]:
        rows_found = self._scan(keyspace.key(keyspace.ORGANISATION), after=None)
        names = [text_parts(key) for key, _ in rows_found]
        return [name[0] for name in names if len(name) == 1]

    def _keys(self, iss: str, sub: str) -> Iterator[KeyInfo]:
        prefix = keyspace.key(keyspace.KEY, iss, sub)
        for key, value in self._scan(prefix, after=None):
            kid = key_parts(key)[2]
            assert isinstance(kid, bytes), "a key row's last part is a kid"
            row = rows.decode_key_row(value)
            yield KeyInfo(kid=kid, status=rows.STATUS_NAMES[row.status], cose_key=row.cose_key)

    def _member_counts(self) -> dict[str, int]:
        """Count each organisation's members, once per height."""
        height = self._ledger.height
        if self._counts[0] != height:
            counts: dict[str, int] = {}
            for key, _ in self._scan(keyspace.key(keyspace.MEMBER), after=None):
                iss = text_parts(key)[0]
                counts[iss] = counts.get(iss, 0) + 1
            self._counts = (height, counts)
        return self._counts[1]

    def _scan(self, prefix: bytes, *, after: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Yield all rows under a prefix, page by page."""
        while page := list(self._ledger.scan(prefix, after=after, limit=PAGE)):
            yield from page
            after = page[-1][0]


def _member_info(name: StreamKey, value: bytes, keys: tuple[KeyInfo, ...]) -> MemberInfo:
    row = rows.decode_member(value)
    return MemberInfo(
        iss=name[0],
        sub=name[1],
        device=name[2] if len(name) == 3 else None,
        status=rows.STATUS_NAMES[row.status],
        roles=row.roles,
        profile=row.profile,
        kid=row.kid,
        epoch_min=row.epoch_min,
        keys=keys,
    )


def _profile_info(owner_name: tuple[str, ...], value: bytes) -> ProfileInfo:
    owner, name = owner_name
    row = rows.decode_profile(value)
    return ProfileInfo(
        iss=owner,
        name=name,
        rule=row.rule,
        visibility=row.visibility,
        measurements=row.measurements,
        register=row.register and (row.register.name, row.register.exponent),
    )
