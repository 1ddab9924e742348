"""Proofs to take away: receipts, completeness proofs, state values. All verify with no server.

The bytes are the answer; JSON is for reading. Nothing here is believed because this node says so:
`drystone verify`, the single-file verifier and `/verify.html` check it against a trust file.
Source: design.md section 3.8, RFC 9942, RFC 9943, formats.md part B.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response

from drystone.api.lists import CBOR, negotiate
from drystone.api.proof_documents import (
    ReceiptDocument,
    StateDocument,
    receipt_document,
    state_document,
)
from drystone.api.values import StateProof, StreamKey
from drystone.api.views.requests import Epoch, Node, Seq, StreamName, media, refusals
from drystone.errors import (
    MediaTypeUnsupported,
    NotAcceptable,
    NotFound,
    ReceiptMalformed,
    ReceiptMismatch,
    RequestMalformed,
    TooLarge,
)
from drystone.limits import STATE_KEY_BYTES_MAX
from drystone.proof.completeness import Point, encode_point
from drystone.proof.receipt import detach_receipts

router = APIRouter(tags=["proofs"])

COSE: Final = "application/cose"
POINT: Final = CBOR
JSON: Final = "application/json"

StateKey = Annotated[
    str,
    Path(
        pattern="^([0-9a-f]{2})+$",
        max_length=2 * STATE_KEY_BYTES_MAX,
        description="The state key in hex.",
    ),
]


def _named(data: bytes, kind: str, name: str) -> Response:
    return Response(
        data,
        media_type=kind,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Vary": "Accept"},
    )


def file_stem(stream: StreamKey) -> str:
    """A stream's name as the start of a file's name; ids have no other characters than these."""
    return "_".join(stream)


@router.get(
    "/v1/receipts/{iss}/{sub}/{epoch}/{seq}",
    response_model=ReceiptDocument,
    responses={
        **media(COSE, "The record with its receipts (a transparent statement), or as JSON."),
        **refusals(NotFound, NotAcceptable, RequestMalformed),
    },
)
async def get_receipt(
    request: Request, service: Node, stream: StreamName, epoch: Epoch, seq: Seq
) -> Response:
    """A record's receipt: the file that `drystone verify` takes; with `Accept` JSON to read."""
    kind = negotiate(request.headers.get("accept"), (COSE, JSON))
    statement = await service.receipt(stream, epoch=epoch, seq=seq)
    if kind == COSE:
        return _named(statement, COSE, f"{file_stem(stream)}_{epoch}_{seq}.receipt.cose")
    document = receipt_document(statement, detach_receipts(statement))
    return Response(document.model_dump_json(), media_type=JSON, headers={"Vary": "Accept"})


@router.get(
    "/v1/completeness/{iss}/{sub}",
    responses={
        **media(CBOR, "A completeness proof."),
        **refusals(NotFound, TooLarge, RequestMalformed),
    },
    response_class=Response,
)
async def get_completeness(service: Node, stream: StreamName) -> Response:
    """Proof that a stream has no hidden gap, from its start to now."""
    proof = await service.completeness(stream, since=None)
    return _named(proof, CBOR, f"{file_stem(stream)}.completeness.cbor")


@router.post(
    "/v1/completeness/{iss}/{sub}",
    responses={
        **media(CBOR, "A completeness proof that continues the one sent."),
        **refusals(
            NotFound, TooLarge, MediaTypeUnsupported, ReceiptMalformed, ReceiptMismatch,
            RequestMalformed,
        ),
    },
    response_class=Response,
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "An earlier completeness proof of the same stream.",
            "content": {CBOR: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)  # fmt: skip
async def continue_completeness(request: Request, service: Node, stream: StreamName) -> Response:
    """Proof of what came since an earlier proof, which is the body. Changes nothing."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != CBOR:
        raise MediaTypeUnsupported(f"{kind or 'no content type'}; send the earlier proof as {CBOR}")
    proof = await service.completeness(stream, since=await request.body())
    return _named(proof, CBOR, f"{file_stem(stream)}.completeness.cbor")


def point_response(proof: StateProof, name: str) -> Response:
    """A state proof as the point that verifiers take."""
    point = Point(proof.value, proof.ics23, proof.block, proof.receipt)
    return _named(encode_point(point), POINT, name)


@router.get(
    "/v1/state/{key}",
    response_model=StateDocument,
    responses={
        **media(POINT, "The value or its absence with its proof, as JSON or as a point."),
        **refusals(NotAcceptable, RequestMalformed),
    },
)
async def get_state(request: Request, service: Node, key: StateKey) -> Response:
    """A value of the authenticated state, or its absence, proved."""
    kind = negotiate(request.headers.get("accept"), (JSON, POINT))
    proof = await service.state(bytes.fromhex(key))
    if kind == POINT:
        return point_response(proof, f"{key[:32]}.state.cbor")
    text = state_document(proof).model_dump_json()
    return Response(text, media_type=JSON, headers={"Vary": "Accept"})
