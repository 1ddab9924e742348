"""Contracts as rows and documents: what runs, who approved it, what may be called, what is kept.

Manifest and source are read from the package whose hash organisations approved; nothing is run. A
value is shown as JSON beside the state key that proves it. Costs are counted from the text, as the
ledger counts them. Source: contracts/package.py, requirements S3.89 to S3.91.
"""

import json
from functools import lru_cache
from typing import Any, Final, Literal

from pydantic import Field
from starlette.concurrency import run_in_threadpool

from drystone.api.cells import plain
from drystone.api.lists import Hex, Row
from drystone.api.rows import FINALITY, finality_of
from drystone.api.values import ContractInfo, ContractValue, VersionInfo
from drystone.contracts.package import Package, decode_package
from drystone.contracts.splice import entry_costs, loop_costs
from drystone.formats import cbor
from drystone.gateway.answer import Finality

PACKAGES_REMEMBERED: Final = 16


@lru_cache(maxsize=PACKAGES_REMEMBERED)
def package_of(data: bytes) -> Package:
    """A package of the ledger, read and checked once: its bytes never change."""
    return decode_package(data)


async def read_package(data: bytes) -> Package:
    """The same away from the loop: reading a long text for the first time takes a while."""
    return await run_in_threadpool(package_of, data)


class ContractRow(Row):
    """One contract."""

    name: str
    owner: str = Field(description="The organisation that submitted it first.")
    status: str
    version: int = Field(description="The version that runs; 0: none yet.")


def contract_row(info: ContractInfo) -> ContractRow:
    """The row of a contract."""
    return ContractRow(name=info.name, owner=info.owner, status=info.status, version=info.version)


class VersionLine(Row):
    """One version of a contract, without its text."""

    version: int
    hash: Hex = Field(description="What organisations approve.")
    approvals: list[str]
    status: str
    height: int | None = Field(description="From which block on it runs; null: not deployed.")
    path: str = Field(description="Path of the version with manifest and source.")


def version_line(info: VersionInfo) -> VersionLine:
    """A version as a line of its contract."""
    return VersionLine(
        version=info.version,
        hash=info.hash,
        approvals=list(info.approvals),
        status=info.status,
        height=info.height or None,
        path=f"/v1/contracts/{info.name}/versions/{info.version}",
    )


class ContractDocument(ContractRow):
    """One contract with its versions."""

    needed: int = Field(description="How many organisations must approve a version.")
    versions: list[VersionLine]


def contract_document(info: ContractInfo) -> ContractDocument:
    """A contract as a document."""
    return ContractDocument(
        **contract_row(info).model_dump(),
        needed=info.needed,
        versions=[version_line(one) for one in info.versions],
    )


class VersionDocument(VersionLine):
    """One version with what organisations approved."""

    contract: str
    manifest: dict[str, Any] | None = Field(
        description="Null once replaced or archived: the record that submitted it has it for ever."
    )
    source: str | None
    package: Hex | None = Field(description="Canonical bytes; their SHA-256 is `hash`.")


def version_document(info: VersionInfo) -> VersionDocument:
    """A version as a document."""
    package = None if info.package is None else package_of(info.package)
    return VersionDocument(
        **version_line(info).model_dump(),
        contract=info.name,
        manifest=None if package is None else plain(package.manifest.as_map()),
        source=None if package is None else package.source,
        package=info.package,
    )


class CallRow(Row):
    """One function that can be entered from outside: the contract's published interface."""

    function: str
    kind: Literal["reading", "call"] = Field(
        description="`reading`: the ledger calls it for each reading under this contract's profiles."
    )
    roles: str = Field(description="One of these is needed; `anyone`: whoever is enrolled.")
    args: str = Field(description="`name type` of each, separated by commas.")
    limit: int = Field(description="Steps it may take.")
    exported: bool = Field(description="Whether other contracts may call it.")
    entry: int = Field(description="Steps it takes before its loops.")
    loops: str = Field(description="`line:steps` of one turn of each loop, separated by spaces.")


def call_rows(package: Package) -> list[CallRow]:
    """The rows of a package's functions, the reading handler first."""
    manifest = package.manifest
    entries, loops = entry_costs(package.checked), loop_costs(package.checked)

    def row(
        name: str, kind: Literal["reading", "call"], *, roles: str, args: str, limit: int
    ) -> CallRow:
        return CallRow(
            function=name,
            kind=kind,
            roles=roles,
            args=args,
            limit=limit,
            exported=name in manifest.exports,
            entry=entries[name],
            loops=" ".join(f"{line}:{steps}" for line, steps in loops[name]),
        )

    found: list[CallRow] = []
    if manifest.reading is not None:
        spec = manifest.reading
        found.append(row(spec.function, "reading", roles="", args="", limit=spec.limit))
    for name, call in sorted(manifest.calls.items()):
        # In the order of the source, as whoever calls reads it; the first is the context.
        names = package.checked.functions[name].parameters[1:]
        args = ", ".join(f"{arg} {call.args[arg]}" for arg in names)
        roles = " ".join(call.roles)
        found.append(row(name, "call", roles=roles, args=args, limit=call.limit))
    return found


class ValueRow(Row):
    """One value that a contract keeps."""

    path: str
    value: str = Field(description="JSON.")
    key: Hex = Field(description="State key.")
    finality: Finality = Field(description=FINALITY)
    proof: str = Field(description="Path of the value with its proof, as it is in the final state.")


def value_row(info: ContractValue) -> ValueRow:
    """The row of a contract's value."""
    value = plain(cbor.decode(info.value))
    return ValueRow(
        path=info.path,
        value=json.dumps(value, ensure_ascii=False, sort_keys=True),
        key=info.key,
        finality=finality_of(final=info.final),
        proof=f"/v1/state/{info.key.hex()}",
    )
