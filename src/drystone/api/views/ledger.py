"""The ledger as a whole: what it is, whom to trust, its signed head and its tiles (C2SP).

Existing monitors and witnesses read `/checkpoint` and `/tile/...` unchanged. A full tile never
changes and is cached for ever; a partial one is replaced by a fuller one. Source: c2sp.org
tlog-tiles and tlog-checkpoint, formats.md A4.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Response

from drystone.api.documents import LedgerDocument, ledger_document
from drystone.api.views.requests import LogNode, PublicNode, media, refusals
from drystone.errors import NotFound, TileMalformed
from drystone.limits import TILE_WIDTH
from drystone.trees.tiles import parse_tile_path

router = APIRouter()

TilePath = Annotated[str, Path(description="`L/N` or `entries/N`, with `.p/W` if partial.")]

CHECKPOINT: Final = "text/plain"
TILE: Final = "application/octet-stream"
FULL: Final = "public, max-age=31536000, immutable"
PARTIAL: Final = "public, max-age=60"


@router.get("/v1/ledger", tags=["ledger"])
async def get_ledger(service: PublicNode) -> LedgerDocument:
    """The ledger, this node and the last commit."""
    return ledger_document(service.info, await service.head())


@router.get(
    "/v1/trust",
    tags=["ledger"],
    responses={
        200: {
            "description": "The trust file.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
    response_class=Response,
)
async def get_trust(service: PublicNode) -> Response:
    """The trust file that this node hands out; compare it with one you got another way."""
    return Response(
        await service.trust(),
        media_type="application/json",
        headers={"Content-Disposition": 'attachment; filename="trust.json"'},
    )


@router.get(
    "/checkpoint",
    tags=["log"],
    responses=media(CHECKPOINT, "A C2SP signed note."),
    response_class=Response,
)
async def get_checkpoint(service: LogNode) -> Response:
    """The signed head of the log."""
    return Response(
        await service.checkpoint(),
        media_type="text/plain; charset=utf-8",
        headers={"Cache-Control": "no-cache"},
    )


@router.get(
    "/tile/{path:path}",
    tags=["log"],
    responses={**media(TILE, "Hashes or entries."), **refusals(NotFound, TileMalformed)},
    response_class=Response,
)
async def get_tile(path: TilePath, service: LogNode) -> Response:
    """A tile of hashes (`/tile/L/N[.p/W]`) or a bundle of entries (`/tile/entries/N[.p/W]`)."""
    tile = parse_tile_path(f"tile/{path}")
    if tile.level is None:
        data = await service.entries(index=tile.index, width=tile.width)
    else:
        data = await service.tile(level=tile.level, index=tile.index, width=tile.width)
    caching = FULL if tile.width == TILE_WIDTH else PARTIAL
    return Response(data, media_type=TILE, headers={"Cache-Control": caching})
