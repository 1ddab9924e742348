"""What a client of the REST API writes and reads: requests, answers, problems, events, in both directions.

Lives here: the forms only. May not: open a connection. Beside `rest.py`, which does. The server's side of each form
is in `transport/http.py` and `api/`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import httpx

from drystone import errors, limits
from drystone.errors import ContractRefused, DrystoneError, Refused, RequestMalformed, Unavailable
from drystone.formats.senml import Measurement
from drystone.gateway.answer import Answer, Wait

CBOR_SEQUENCE: Final = "application/cbor-seq"

Params = Mapping[str, str | int | None]
Json = dict[str, Any]


class StreamName(NamedTuple):
    """A stream: ORGANISATION/MEMBER, or ORGANISATION/GATEWAY/DEVICE where a gateway attests."""

    organisation: str
    member: str
    device: str | None

    @property
    def path(self) -> str:
        """The part of a resource's path that names the stream's member."""
        return f"{self.organisation}/{self.member}"

    @property
    def query(self) -> Params:
        """The query that names an attested device."""
        return {"device": self.device}

    @property
    def text(self) -> str:
        """The stream as one word."""
        return self.path if self.device is None else f"{self.path}/{self.device}"


class Event(NamedTuple):
    """One event of the ledger; `cursor` resumes behind it."""

    cursor: str
    name: str
    data: Json


def error_of(code: str, detail: str, *, retry_after_ms: int | None = None) -> DrystoneError:
    """Make the error whose code a node answered; a code this program does not know stays a `Refused`."""
    kind = _errors_by_code().get(code)
    contract, dot, own = code.partition(".")
    if dot:
        return ContractRefused.of(contract, own)
    if kind is not None and issubclass(kind, Unavailable):
        return kind(detail, retry_after_ms=retry_after_ms or 1000)
    return kind(detail) if kind is not None else Refused(f"{code}: {detail}")


# --- requests --------------------------------------------------------------------------------------


def submission(records: Sequence[bytes], wait: Wait | None) -> dict[str, Any]:
    """Give the arguments of a request that submits records. Raises: RequestMalformed beyond one request's bounds."""
    body = b"".join(records)
    if len(records) > limits.REQUEST_RECORDS_MAX or len(body) > limits.REQUEST_BYTES_MAX:
        raise RequestMalformed(
            f"{len(records)} records, {len(body)} bytes: one request takes"
            f" {limits.REQUEST_RECORDS_MAX} and {limits.REQUEST_BYTES_MAX}"
        )
    return {"params": {"wait": wait}, "content": body, "headers": {"Content-Type": CBOR_SEQUENCE}}


def first_batch(records: Sequence[bytes], waiting: Sequence[int]) -> list[int]:
    """Give as many of the waiting indexes, in order, as one request takes."""
    batch: list[int] = []
    size = 0
    for index in waiting[: limits.REQUEST_RECORDS_MAX]:
        size += len(records[index])
        if batch and size > limits.REQUEST_BYTES_MAX:
            break
        batch.append(index)
    return batch


def present(params: Params | None) -> dict[str, str | int]:
    """Leave out what was not given."""
    return {name: value for name, value in (params or {}).items() if value is not None}


def attested_json(device: str, measurements: Sequence[Measurement]) -> bytes:
    """An unsigned device's reading; numbers are JSON numbers with exactly the digits they have."""
    listed: list[str] = []
    for one in measurements:
        fields = {"name": json.dumps(one.name), "value": _exact_json(one.value)}
        if one.unit is not None:
            fields["unit"] = json.dumps(one.unit)
        if one.time is not None:
            fields["time"] = _exact_json(one.time)
        listed.append("{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}")
    return f'{{"device":{json.dumps(device)},"measurements":[{",".join(listed)}]}}'.encode()


def _exact_json(value: object) -> str:
    if isinstance(value, tuple):
        exponent, mantissa = cast("tuple[int, int]", value)
        digits = str(abs(mantissa)).rjust(1 - exponent, "0")
        return f"{'-' if mantissa < 0 else ''}{digits[:exponent]}.{digits[exponent:]}"
    return json.dumps(value)


# --- answers ---------------------------------------------------------------------------------------


def is_final(answer: Answer | None) -> bool:
    """Say whether a record has an answer other than "later"."""
    return answer is not None and answer.retry_after_ms is None


def as_error(answer: Answer | None) -> DrystoneError:
    """Make the error that an answer stands for."""
    if answer is None:
        return Unavailable("the node gave no answer")
    return error_of(answer.code, answer.detail, retry_after_ms=answer.retry_after_ms)


def read_answers(response: httpx.Response, count: int) -> list[Answer]:
    """Read the answers to `count` records. Raises: Refused when there is another number of them."""
    rows = read_json(response).get("answers")
    if not isinstance(rows, list) or len(cast("list[Json]", rows)) != count:
        raise Refused(f"the node did not answer for each of {count} records")
    return [read_answer(row) for row in cast("list[Json]", rows)]


def read_answer(row: Json) -> Answer:
    """Read one answer, of `POST /v1/records` or of `POST /v1/readings`."""
    return Answer(
        code=row["code"],
        detail=row.get("detail", ""),
        record_id=bytes.fromhex(row["id"]) if row.get("id") else None,
        place=_read_place(row.get("place")),
        outcome=row.get("outcome"),
        height=row.get("height"),
        retry_after_ms=row.get("retry_after_ms"),
    )


def _read_place(place: Json | str | None) -> tuple[str, str, int, int, int] | None:
    if not place:
        return None
    if isinstance(place, str):
        iss, sub, epoch, seq, index = place.split("/")
        return iss, sub, int(epoch), int(seq), int(index)
    return place["iss"], place["sub"], place["epoch"], place["seq"], place["index"]


def read_json(response: httpx.Response) -> Json:
    """Read a JSON object. Raises: Refused."""
    try:
        value: object = response.json()
    except ValueError as error:
        raise Refused(f"{response.url} answered something that is not JSON") from error
    if not isinstance(value, dict):
        raise Refused(f"{response.url} answered no JSON object")
    return cast("Json", value)


def problem_of(response: httpx.Response) -> DrystoneError:
    """Turn a problem document back into the error it was."""
    try:
        problem = read_json(response)
    except Refused:
        problem = {}
    code = problem.get("code")
    detail = str(problem.get("detail") or problem.get("title") or response.reason_phrase)
    if not isinstance(code, str):
        kind = Unavailable if response.status_code >= 500 else Refused
        return kind(f"{response.url} answered {response.status_code}: {detail}")
    return error_of(code, detail, retry_after_ms=problem.get("retry_after_ms"))


def parse_events(lines: Iterator[str]) -> Iterator[Event]:
    """Read a text/event-stream: comments and unknown fields are passed over."""
    cursor, name, data = "", "message", list[str]()
    for line in lines:
        if not line:
            if data:
                yield Event(cursor, name, json.loads("\n".join(data)))
            name, data = "message", []
            continue
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "id":
            cursor = value
        elif key == "event":
            name = value
        elif key == "data":
            data.append(value)


def _errors_by_code() -> dict[str, type[DrystoneError]]:
    def below(kind: type[DrystoneError]) -> Iterator[type[DrystoneError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    return {kind.code: kind for kind in below(errors.DrystoneError)}
