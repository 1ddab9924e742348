"""Who is on the ledger: devices, other members, organisations, and the profiles of devices.

A *device* here is a member with the device's role, or an unsigned device that a gateway attests.
Keys and what they may do stand in the authenticated state: `/v1/devices/.../keys/{kid}` proves one.
Source: design.md sections 2 and 4.
"""

from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response

from drystone.api import rows
from drystone.api.documents import MemberDocument, member_document
from drystone.api.lists import Listed, decode_cursor, encode_cursor, render
from drystone.api.service import Service
from drystone.api.values import MemberInfo, StreamKey
from drystone.api.views.proofs import POINT, point_response
from drystone.api.views.requests import (
    ID_PATTERN,
    Iss,
    Node,
    OnlyIss,
    StreamName,
    ViewedNode,
    add_list,
    media,
    refusals,
)
from drystone.errors import KeyUnknown, NotFound, RequestMalformed
from drystone.ledger import keyspace
from drystone.ledger import rows as registry_rows

router = APIRouter(tags=["members"])

DEVICE_ROLES: Final = frozenset({registry_rows.DEVICE, registry_rows.ATTESTED})

Kid = Annotated[str, Path(pattern="^[0-9a-f]{8}$", description="The key's id in hex.")]
Name = Annotated[str, Path(pattern=ID_PATTERN, description="The profile's name.")]
Role = Annotated[
    str | None, Query(pattern=r"^[a-z]{1,32}$", description="Only members with this role.")
]
Value = TypeVar("Value")


def member_name(info: MemberInfo) -> StreamKey:
    """A member's name as the parts of its state key."""
    return (info.iss, info.sub) if info.device is None else (info.iss, info.sub, info.device)


def name_of(cursor: str | None) -> StreamKey | None:
    """The member in a cursor. Raises: RequestMalformed."""
    if cursor is None:
        return None
    for shape in ((str, str), (str, str, str)):
        try:
            return tuple(decode_cursor(cursor, *shape))
        except RequestMalformed:
            continue
    raise RequestMalformed("after: not a cursor of this list")


async def _members(
    request: Request,
    service: Service,
    listed: Listed,
    iss: str | None,
    roles: frozenset[str] | None,
) -> Response:
    found = await service.members(iss, after=name_of(listed.after), limit=listed.limit, roles=roles)
    following = encode_cursor(*member_name(found[-1])) if len(found) == listed.limit else None
    return render(request, rows.MemberRow, [rows.member_row(one) for one in found], following)


@add_list(router, "/v1/devices", row=rows.MemberRow)
async def list_devices(
    request: Request, service: Node, listed: Listed, iss: OnlyIss = None
) -> Response:
    """Devices that sign, and unsigned devices that a gateway attests."""
    return await _members(request, service, listed, iss, DEVICE_ROLES)


@add_list(router, "/v1/members", row=rows.MemberRow)
async def list_members(
    request: Request, service: Node, listed: Listed, iss: OnlyIss = None, role: Role = None
) -> Response:
    """Anyone with a registered key, of one organisation or of all."""
    return await _members(request, service, listed, iss, frozenset({role}) if role else None)


@router.get("/v1/devices/{iss}/{sub}", responses=refusals(NotFound, RequestMalformed))
async def get_device(service: ViewedNode, stream: StreamName) -> MemberDocument:
    """One member, whatever its role, with all keys it ever had."""
    found = await service.member(stream)
    if found is None:
        raise NotFound(f"no member {'/'.join(stream)}")
    return member_document(found)


@router.get(
    "/v1/devices/{iss}/{sub}/keys/{kid}",
    responses={
        **media(POINT, "A state point: proof of the key."),
        **refusals(KeyUnknown, RequestMalformed),
    },
    response_class=Response,
)
async def get_key_proof(service: Node, stream: StreamName, kid: Kid) -> Response:
    """Proof of a member's key for an offline verifier: `drystone verify RECEIPT --key FILE`."""
    iss, sub = stream[0], stream[1]
    proof = await service.state(keyspace.member_key(iss, sub, bytes.fromhex(kid)))
    if proof.value is None:
        raise KeyUnknown(f"{iss}/{sub} never had a key {kid}")
    return point_response(proof, f"{iss}_{sub}_{kid}.key.cbor")


@add_list(router, "/v1/organisations", row=rows.OrganisationRow)
async def list_organisations(request: Request, service: Node, listed: Listed) -> Response:
    """The organisations."""
    found = sorted(await service.organisations(), key=lambda one: one.iss)
    if listed.after is not None:
        (last,) = decode_cursor(listed.after, str)
        found = [one for one in found if one.iss > last]
    page, following = _page(found, listed.limit)
    cursor = encode_cursor(page[-1].iss) if following else None
    return render(
        request, rows.OrganisationRow, [rows.organisation_row(one) for one in page], cursor
    )


def _page(found: Sequence[Value], limit: int) -> tuple[Sequence[Value], bool]:
    return found[:limit], len(found) > limit


@add_list(router, "/v1/profiles", row=rows.ProfileRow)
async def list_profiles(
    request: Request, service: Node, listed: Listed, iss: OnlyIss = None
) -> Response:
    """Kinds of devices, of one organisation or of all."""
    after = None
    if listed.after is not None:
        first, name = decode_cursor(listed.after, str, str)
        after = (first, name)
    found = await service.profiles(iss, after=after, limit=listed.limit)
    last = found[-1] if len(found) == listed.limit else None
    following = encode_cursor(last.iss, last.name) if last else None
    return render(request, rows.ProfileRow, [rows.profile_row(one) for one in found], following)


@router.get("/v1/profiles/{iss}/{name}", responses=refusals(NotFound, RequestMalformed))
async def get_profile(service: Node, iss: Iss, name: Name) -> rows.ProfileRow:
    """One kind of device."""
    found = await service.profile(iss=iss, name=name)
    if found is None:
        raise NotFound(f"no profile {name!r} in {iss!r}")
    return rows.profile_row(found)
