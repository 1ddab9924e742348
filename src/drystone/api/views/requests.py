"""What the routes share: where they find the node, what an id or a hash in a path looks like.

Path and query values are checked here, before anything is fetched. A stream is named in the path
by `/{iss}/{sub}`, and by `?device=` where the member is a gateway that attests the device.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Path, Query

from drystone.api.access import (
    Access,
    LogNode,
    MetricsNode,
    Node,
    PublicNode,
    ViewedNode,
    current_access,
)
from drystone.api.attested import ID_PATTERN
from drystone.api.lists import SUFFIXES, Row, list_responses
from drystone.api.problems import MEDIA_TYPE, status_of, title_of
from drystone.api.values import StreamKey
from drystone.errors import DrystoneError, NotAcceptable, RequestMalformed
from drystone.limits import EPOCH_MAX, SEQUENCE_MAX

INTEGER_MAX: Final = SEQUENCE_MAX

Iss = Annotated[str, Path(pattern=ID_PATTERN, description="The organisation's alias.")]
Sub = Annotated[str, Path(pattern=ID_PATTERN, description="The member's id.")]
Device = Annotated[
    str | None,
    Query(pattern=ID_PATTERN, description="The unsigned device that `sub`, a gateway, attests."),
]
OnlyIss = Annotated[str | None, Query(pattern=ID_PATTERN, description="Only this organisation's.")]
Epoch = Annotated[int, Path(ge=0, le=EPOCH_MAX, description="Epoch of the stream.")]
Seq = Annotated[int, Path(ge=0, le=SEQUENCE_MAX, description="Number within the epoch.")]
Height = Annotated[int, Path(ge=0, le=INTEGER_MAX, description="Height; 0 is the genesis.")]
Hash = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="32 bytes in lower-case hex.")]


def stream_key(iss: Iss, sub: Sub, device: Device = None) -> StreamKey:
    """The stream that path and query name."""
    return (iss, sub) if device is None else (iss, sub, device)


CurrentAccess = Annotated[Access, Depends(current_access)]
StreamName = Annotated[StreamKey, Depends(stream_key)]

__all__ = [
    "CurrentAccess",
    "LogNode",
    "MetricsNode",
    "Node",
    "PublicNode",
    "ViewedNode",
    "add_list",
    "media",
    "refusals",
]

RowT = TypeVar("RowT", bound=Row)
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def refusals(*kinds: type[DrystoneError]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of the problems a route answers with, by status."""
    described: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        entry = f"`{kind.code}`: {title_of(kind)}."
        status = status_of(kind)
        known = described.get(status)
        text = f"{known['description']}\n\n{entry}" if known else entry
        described[status] = {
            "description": text,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return described


def media(kind: str, description: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of an answer in bytes."""
    schema = {"type": "string", "format": "binary"}
    return {200: {"description": description, "content": {kind: {"schema": schema}}}}


def add_list(
    router: APIRouter,
    path: str,
    *,
    row: type[RowT],
    also: tuple[type[DrystoneError], ...] = (),
    security: Sequence[Mapping[str, list[str]]] = (),
) -> Callable[[Endpoint], Endpoint]:
    """Registers a list's route, and the same with `.json`, `.csv` and `.cbor` behind its path.

    `also` are refusals beside those of every list, `security` is what the description says of it.
    """

    def register(endpoint: Endpoint) -> Endpoint:
        answers = {**list_responses(row), **refusals(NotAcceptable, RequestMalformed, *also)}
        extra: dict[str, Any] | None = {"security": list(security)} if security else None
        router.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            responses=answers,
            response_model=None,
            openapi_extra=extra,
        )
        for suffix in SUFFIXES:
            router.add_api_route(
                path + suffix,
                endpoint,
                methods=["GET"],
                include_in_schema=False,
                response_model=None,
            )
        return endpoint

    return register
