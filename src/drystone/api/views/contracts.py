"""Contracts: what runs and who approved it, its text, its calls, and the values it keeps.

A call is a signed record like any other and is sent to `/v1/records`; asking is separate and
changes nothing. Every value is proved by its state key at `/v1/state/{key}`. Source: design.md
section 5, requirements S3.89 (query and execution apart), S3.90 (published interface), S3.91.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from drystone.api.contract_documents import (
    CallRow,
    ContractDocument,
    ContractRow,
    ValueRow,
    VersionDocument,
    call_rows,
    contract_document,
    contract_row,
    read_package,
    value_row,
    version_document,
)
from drystone.api.lists import Listed, decode_cursor, encode_cursor, render
from drystone.api.service import Service
from drystone.api.values import ContractInfo, VersionInfo
from drystone.api.views.requests import ViewedNode, add_list, refusals
from drystone.errors import NotFound, RequestMalformed
from drystone.limits import CONTRACT_KEY_LENGTH_MAX

router = APIRouter(tags=["contracts"])

CONTRACT_PATTERN = "^[a-z][a-z0-9-]{0,31}$"
VERSION_MAX = 2**32

Name = Annotated[str, Path(pattern=CONTRACT_PATTERN, description="The contract's name.")]
Version = Annotated[int, Path(ge=1, le=VERSION_MAX, description="Number of the version.")]
ValuePath = Annotated[
    str,
    Query(
        max_length=CONTRACT_KEY_LENGTH_MAX,
        description="The value at this path and those below it, parts separated by `/`; all without it.",
    ),
]


@add_list(router, "/v1/contracts", row=ContractRow)
async def list_contracts(request: Request, service: ViewedNode, listed: Listed) -> Response:
    """Contracts, whatever their status."""
    after: str | None = None
    if listed.after is not None:
        (after,) = decode_cursor(listed.after, str)
    found = await service.contracts(after=after, limit=listed.limit)
    following = encode_cursor(found[-1].name) if len(found) == listed.limit else None
    return render(request, ContractRow, [contract_row(one) for one in found], following)


@router.get("/v1/contracts/{name}", responses=refusals(NotFound, RequestMalformed))
async def get_contract(service: ViewedNode, name: Name) -> ContractDocument:
    """One contract: which version runs, its owner, its versions with their approvals."""
    return contract_document(await find_contract(service, name))


async def find_contract(service: Service, name: str) -> ContractInfo:
    """The contract of this name. Raises: NotFound."""
    found = await service.contract(name)
    if found is None:
        raise NotFound(f"no contract {name!r}")
    return found


@router.get(
    "/v1/contracts/{name}/versions/{version}", responses=refusals(NotFound, RequestMalformed)
)
async def get_version(service: ViewedNode, name: Name, version: Version) -> VersionDocument:
    """One version: manifest, source, hash and approvals."""
    await find_contract(service, name)
    found = await service.contract_version(name, version=version)
    if found is None:
        raise NotFound(f"no version {version} of {name!r}")
    if found.package is not None:
        await read_package(found.package)
    return version_document(found)


@add_list(router, "/v1/contracts/{name}/calls", row=CallRow, also=(NotFound,))
async def list_calls(request: Request, service: ViewedNode, name: Name, listed: Listed) -> Response:
    """The contract's interface: each function with roles, typed arguments, limit and cost."""
    info = await find_contract(service, name)
    shown = await shown_version(service, info)
    if shown is None or shown.package is None:
        raise NotFound(f"the state holds no package of {name!r}: it is {info.status}")
    found = call_rows(await read_package(shown.package))
    start = 0 if listed.after is None else decode_cursor(listed.after, int)[0]
    page = found[start : start + listed.limit]
    more = len(found) > start + listed.limit
    return render(request, CallRow, page, encode_cursor(start + listed.limit) if more else None)


async def shown_version(service: Service, info: ContractInfo) -> VersionInfo | None:
    """The version that speaks for a contract: the one that runs, else the newest."""
    newest = info.version or max((one.version for one in info.versions), default=0)
    return await service.contract_version(info.name, version=newest) if newest else None


@add_list(router, "/v1/contracts/{name}/state", row=ValueRow, also=(NotFound,))
async def list_values(
    request: Request, service: ViewedNode, name: Name, listed: Listed, path: ValuePath = ""
) -> Response:
    """What a contract keeps: the value at a path and those below it, each with its proof."""
    check_path(path)
    await find_contract(service, name)
    after: bytes | None = None
    if listed.after is not None:
        (after,) = decode_cursor(listed.after, bytes)
    found = await service.contract_values(name, path=path, after=after, limit=listed.limit)
    following = encode_cursor(found[-1].key) if len(found) == listed.limit else None
    return render(request, ValueRow, [value_row(one) for one in found], following)


def check_path(path: str) -> None:
    """Refuses a path that no value can have. Raises: RequestMalformed."""
    if path and "" in path.split("/"):
        raise RequestMalformed("path: parts separated by single /, none of them empty")
