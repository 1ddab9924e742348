"""HTTP transport: the hot route that takes signed records, one or many, and answers for each.

A plain Starlette route, because a framework's validation would cost more than the record. It reads
the bytes, hands them to intake unparsed and puts the answers into words; it has no rules. Errors
rise as they are and become problem documents at the application's border, which has also bounded
the body. Place in a record's life: the first step. Source: design.md section 3.2, the issue's
item 5; RFC 9052 (application/cose), RFC 8742 (application/cbor-seq).
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from drystone.errors import MediaTypeUnsupported, RequestMalformed, TooLarge
from drystone.formats import cbor
from drystone.gateway.answer import ID_BYTES, AllStored, Answer, Wait, refusal
from drystone.limits import RECORD_BYTES_MAX

PATH: Final = "/v1/records"
COSE: Final = "application/cose"
CBOR_SEQUENCE: Final = "application/cbor-seq"
JSON: Final = "application/json"
CBOR: Final = "application/cbor"

Submit: TypeAlias = Callable[[bytes, Wait | None], Awaitable[Sequence[Answer]]]
"""Hands a CBOR sequence of records to intake; one answer per record, in order."""


def records_route(submit: Submit) -> Route:
    """The route `POST /v1/records` in front of this intake."""

    async def post_records(request: Request) -> Response:
        wait = read_wait(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in {COSE, CBOR_SEQUENCE}:
            raise MediaTypeUnsupported(
                f"{kind or 'no content type'}; send {COSE} or {CBOR_SEQUENCE}"
            )
        in_cbor = CBOR in request.headers.get("accept", "").lower()
        body = await request.body()
        if not body:
            raise RequestMalformed("the body is empty")
        if kind == COSE:
            if len(body) > RECORD_BYTES_MAX:
                raise TooLarge(f"a record has at most {RECORD_BYTES_MAX} bytes, not {len(body)}")
            answers = await submit(body, wait)
            if len(answers) != 1:
                raise RequestMalformed(f"{COSE} holds one record; send many as {CBOR_SEQUENCE}")
            raise_refusal(answers[0])
            return _respond(answer_row(answers[0]), in_cbor=in_cbor)
        answers = await submit(body, wait)
        if isinstance(answers, AllStored) and not in_cbor:
            return Response(all_stored_json(answers), media_type=JSON)
        _raise_if_none_taken(answers)
        rows = [answer_row(answer) for answer in answers]
        return _respond({"answers": rows}, in_cbor=in_cbor)

    return Route(PATH, post_records, methods=["POST"])


def read_wait(request: Request) -> Wait | None:
    """What the client waits for. Raises: RequestMalformed (another word than the two)."""
    wait = request.query_params.get("wait")
    if wait is None:
        return None
    for known in get_args(Wait):
        if wait == known:
            return known
    raise RequestMalformed(f"wait is {' or '.join(get_args(Wait))}, or left out")


def raise_refusal(answer: Answer) -> None:
    """Raises the error whose code the answer carries; returns if the record was taken."""
    error = refusal(answer)
    if error is not None:
        raise error


def _raise_if_none_taken(answers: Sequence[Answer]) -> None:
    """A request of which nothing was taken for lack of room is answered as one: try later."""
    if answers and all(answer.retry_after_ms is not None for answer in answers):
        raise_refusal(answers[0])


def answer_row(answer: Answer) -> dict[str, Any]:
    """An answer as the members that are known; ids are byte strings."""
    row: dict[str, Any] = {"code": answer.code}
    if answer.detail:
        row["detail"] = answer.detail
    if answer.record_id is not None:
        row["id"] = answer.record_id
    if answer.place is not None:
        iss, sub, epoch, seq, index = answer.place
        row["place"] = {"iss": iss, "sub": sub, "epoch": epoch, "seq": seq, "index": index}
    if answer.outcome is not None:
        row["outcome"] = answer.outcome
        row["finality"] = answer.finality
    if answer.height is not None:
        row["height"] = answer.height
    if answer.retry_after_ms is not None:
        row["retry_after_ms"] = answer.retry_after_ms
    return row


def all_stored_json(answers: AllStored) -> bytes:
    """The answer to a request whose records were all stored: what `_respond` would give, put together at once."""
    ids = answers.ids.hex()
    step = 2 * ID_BYTES
    joined = '"},{"code":"stored","id":"'.join(
        [ids[at : at + step] for at in range(0, len(ids), step)]
    )
    return f'{{"answers":[{{"code":"stored","id":"{joined}"}}]}}'.encode()


def _respond(body: dict[str, Any], *, in_cbor: bool) -> Response:
    if in_cbor:
        return Response(cbor.encode(body), media_type=CBOR)
    text = json.dumps(body, default=bytes.hex, separators=(",", ":"), ensure_ascii=False)
    return Response(text.encode(), media_type=JSON)
