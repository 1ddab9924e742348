"""Reads of contracts: what runs, its versions with their packages, the values it keeps.

Blocking, like `reads.py`. A contract is an entry of the registry whose rows lie behind one another: its status, then
each version with its package; listing them skips from name to name. Nothing here runs a contract or decides who may
read. Source: design.md sections 4 and 5.
"""

from typing import Protocol

from drystone.api.values import ContractInfo, ContractValue, VersionInfo
from drystone.errors import InvariantBroken
from drystone.formats import cbor
from drystone.ledger import keyspace, rows
from drystone.service.reads import key_parts

BEHIND = b"\xff"
"""Sorts behind every part that can follow: no CBOR item of a key begins with it."""


class Pages(Protocol):
    """The state, read by key and page by page; `storage.ledger.LedgerDB` is one."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value under `key`, or None."""
        ...

    def scan(self, prefix: bytes, *, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Return pairs whose key starts with `prefix`, by key, behind the key `after`."""
        ...


class ContractReads:
    """Answers what is asked of contracts."""

    def __init__(self, ledger: Pages) -> None:
        self._ledger = ledger

    def contracts(self, *, after: str | None, limit: int) -> list[ContractInfo]:
        """Give contracts without their versions."""
        prefix = keyspace.key(keyspace.CONTRACT)
        # Names are texts; what has a number in their place (versions that wait) comes before them all.
        behind = keyspace.contracts_due() if after is None else keyspace.contract(after) + BEHIND
        needed = self._needed()
        found: list[ContractInfo] = []
        while len(found) < limit:
            rows_found = self._ledger.scan(prefix, after=behind, limit=1)
            if not rows_found:
                break
            key, value = rows_found[0]
            (name,) = key_parts(key)
            found.append(_contract_info(str(name), value, needed, ()))
            behind = key + BEHIND
        return found

    def contract(self, name: str) -> ContractInfo | None:
        """Give one contract with its versions, without their packages."""
        value = self._ledger.get(keyspace.contract(name))
        if value is None:
            return None
        return _contract_info(name, value, self._needed(), tuple(self._versions(name)))

    def version(self, name: str, version: int) -> VersionInfo | None:
        """Give one version with its package."""
        value = self._ledger.get(keyspace.contract_version(name, version))
        if value is None:
            return None
        package = self._ledger.get(keyspace.contract_package(name, version))
        return _version_info(name, version, value, package)

    def values(
        self, name: str, *, path: str, after: bytes | None, limit: int
    ) -> list[ContractValue]:
        """Give the value at a path and those below it."""
        found = self._ledger.scan(values_prefix(name, path), after=after, limit=limit)
        return [
            ContractValue(path=keyspace.data_path(key), key=key, value=value)
            for key, value in found
        ]

    def _versions(self, name: str) -> list[VersionInfo]:
        prefix = keyspace.contract(name)
        found: list[VersionInfo] = []
        behind = prefix
        while page := self._ledger.scan(prefix, after=behind, limit=1):
            # Behind the row stands its package, which is not wanted here.
            key, value = page[0]
            version = key_parts(key)[1]
            if not isinstance(version, int):
                raise InvariantBroken(f"state key {key.hex()} is no version of a contract")
            found.append(_version_info(name, version, value, None))
            behind = key + BEHIND
        return found

    def _needed(self) -> int:
        value = self._ledger.get(keyspace.threshold())
        needed = None if value is None else cbor.decode(value)
        if not isinstance(needed, int):
            raise InvariantBroken("genesis sets the threshold, and governance keeps it a number")
        return needed


def values_prefix(name: str, path: str) -> bytes:
    """Give the prefix of the state keys at and below a contract's path; of all its values for an empty path."""
    if not path:
        return keyspace.key(keyspace.CONTRACT_DATA, name)
    return keyspace.contract_data(name, path)


def _contract_info(
    name: str, value: bytes, needed: int, versions: tuple[VersionInfo, ...]
) -> ContractInfo:
    row = rows.decode_contract_row(value)
    return ContractInfo(
        name=name,
        owner=row.owner,
        status=row.status,
        version=row.version,
        needed=needed,
        versions=versions,
    )


def _version_info(name: str, version: int, value: bytes, package: bytes | None) -> VersionInfo:
    row = rows.decode_version_row(value)
    return VersionInfo(
        name=name,
        version=version,
        hash=row.hash,
        approvals=row.approvals,
        status=row.status,
        height=row.height,
        package=package,
    )
