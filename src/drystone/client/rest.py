"""A client of a node's REST API: submit records, read lists, follow events, fetch proofs.

Lives here: how a request is made, an answer read, and a problem document turned back into the error it was. May not:
verify anything (that is `proof/`), keep keys, or decide about records. A client trusts a node only to answer; what it
hands out as proof is checked elsewhere. Place in a record's life: carries it to its gateway, and brings its receipt.

Sending again is always safe: a record that arrived before is answered `already`. One client may be used by several
threads at once; that is how a sender keeps several requests under way.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, cast

import httpx

from drystone import limits
from drystone.client.messages import (
    Event,
    Json,
    Params,
    StreamName,
    as_error,
    attested_json,
    first_batch,
    is_final,
    parse_events,
    present,
    problem_of,
    read_answer,
    read_answers,
    read_json,
    submission,
)
from drystone.errors import NodeAbsent, Unavailable
from drystone.formats.senml import Measurement
from drystone.gateway.answer import Answer, Wait

TIMEOUT_S: Final = 60.0
PATIENCE_S: Final = 60.0
"""How long `deliver` keeps trying while a node pushes back or is away."""

COSE: Final = "application/cose"
CBOR: Final = "application/cbor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a node answers, the operator token if this machine holds it, and how to say who asks."""

    url: str
    token: str | None = field(default=None, repr=False)
    auth: httpx.Auth | None = field(default=None, repr=False)
    """`client_signing.RequestSigner` or `BearerToken`; None: nobody, which an open node does not mind."""


def find_endpoint(home: Path) -> Endpoint:
    """Read where the node of a home listens, from `run/endpoints.json`, and its token where it is readable.

    Does not check that the node still runs. Raises: NodeAbsent when the file is not there or not one.
    """
    path = home / "run" / "endpoints.json"
    try:
        loaded: object = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise NodeAbsent(f"no node runs in {home} (there is no {path})") from None
    except ValueError as error:
        raise NodeAbsent(f"{path} is not JSON") from error
    url = cast("Json", loaded).get("url") if isinstance(loaded, dict) else None
    if not isinstance(url, str):
        raise NodeAbsent(f"{path} names no url")
    return Endpoint(url=url, token=read_token(home))


def read_token(home: Path) -> str | None:
    """Give the operator token of a home, or None where this user may not read it."""
    try:
        return (home / "keys" / "operator.token").read_text().strip()
    except OSError:
        return None


class Client:
    """A blocking client; use as a context manager, or `close` it."""

    def __init__(self, endpoint: Endpoint, *, transport: httpx.BaseTransport | None = None) -> None:
        """Open a connection pool to one node; `transport` replaces the network in tests."""
        self.endpoint = endpoint
        self._http = httpx.Client(
            base_url=endpoint.url,
            timeout=TIMEOUT_S,
            transport=transport,
            trust_env=False,
            auth=endpoint.auth,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, params: Params | None = None) -> Json:
        """Read one resource as JSON. Raises: the error of the problem document, NodeAbsent."""
        return read_json(self._send("GET", path, params=params))

    def get_bytes(self, path: str, params: Params | None = None, *, accept: str = "*/*") -> bytes:
        """Read one resource as it is. Raises: as `get`."""
        return self._send("GET", path, params=params, headers={"Accept": accept}).content

    def rows(
        self, path: str, params: Params | None = None, *, limit: int | None = None
    ) -> Iterator[Json]:
        """Yield the rows of a list, page by page, at most `limit` of them. Raises: as `get`."""
        query: dict[str, str | int | None] = dict(params or {})
        left = limit
        while left is None or left > 0:
            query["limit"] = min(limits.LIST_ROWS_MAX, left or limits.LIST_ROWS_MAX)
            page = self.get(path, query)
            rows = cast("list[Json]", page["rows"])
            yield from rows
            left = None if left is None else left - len(rows)
            if page["next"] is None or not rows:
                return
            query["after"] = page["next"]

    def submit(self, records: Sequence[bytes], *, wait: Wait | None = None) -> list[Answer]:
        """Send signed records in one request; one answer each, in order.

        A refused record is an answer, not an error. Raises: Unavailable when nothing was taken, RequestMalformed
        when there are too many for one request, NodeAbsent.
        """
        response = self._send("POST", "/v1/records", **submission(records, wait))
        return read_answers(response, len(records))

    def deliver(
        self,
        records: Sequence[bytes],
        *,
        wait: Wait | None = None,
        patience_s: float = PATIENCE_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> list[Answer]:
        """Send records until each has an answer that is not "later", in as many requests as they need.

        A node that pushes back or is away is asked again for `patience_s`. Raises: Unavailable after that.
        """
        answers: list[Answer | None] = [None] * len(records)
        waiting = list(range(len(records)))
        patience_left_s = patience_s
        while waiting:
            batch = first_batch(records, waiting)
            pause_s = 0.0
            try:
                given = self.submit([records[index] for index in batch], wait=wait)
            except Unavailable as error:
                pause_s, given, failure = error.retry_after_ms / 1000, [], error
            else:
                failure = None
            for index, answer in zip(batch, given, strict=False):
                answers[index] = answer
                if answer.retry_after_ms is not None:
                    pause_s = max(pause_s, answer.retry_after_ms / 1000)
            waiting = [index for index in waiting if not is_final(answers[index])]
            if waiting and pause_s:
                patience_left_s -= pause_s
                if patience_left_s < 0:
                    raise failure or as_error(answers[waiting[0]])
                sleep(pause_s)
        return cast("list[Answer]", answers)

    def attest(
        self, stream: StreamName, measurements: Sequence[Measurement], *, wait: Wait | None = None
    ) -> Answer:
        """Hand in an unsigned device's reading for its gateway to sign; needs the operator token.

        Raises: TokenInvalid, and what the reading is refused for.
        """
        headers = {"Content-Type": "application/json"}
        if self.endpoint.token:
            headers["Authorization"] = f"Bearer {self.endpoint.token}"
        body = attested_json(stream.device or stream.member, measurements)
        response = self._send(
            "POST", "/v1/readings", params={"wait": wait}, content=body, headers=headers
        )
        return read_answer(read_json(response))

    def record(self, stream: StreamName, *, epoch: int, seq: int) -> Json:
        """Read the accepted record at a stream position. Raises: NotFound."""
        return self.get(f"/v1/records/{stream.path}/{epoch}/{seq}", stream.query)

    def receipt(self, stream: StreamName, *, epoch: int, seq: int) -> bytes:
        """Fetch a record as a transparent statement; not verified here. Raises: NotFound."""
        path = f"/v1/receipts/{stream.path}/{epoch}/{seq}"
        return self.get_bytes(path, stream.query, accept=COSE)

    def key_proof(self, stream: StreamName, *, kid: str) -> bytes:
        """Fetch the proof of a member's key (8 hex digits); not verified here. Raises: NotFound."""
        return self.get_bytes(f"/v1/devices/{stream.path}/keys/{kid}", accept=CBOR)

    def completeness(self, stream: StreamName, *, since: bytes | None = None) -> bytes:
        """Fetch the proof that a stream has no hidden gap, from its start or since an earlier proof.

        Not verified here. Raises: NotFound, TooLarge, ReceiptMismatch.
        """
        path = f"/v1/completeness/{stream.path}"
        if since is None:
            return self.get_bytes(path, stream.query, accept=CBOR)
        headers = {"Content-Type": CBOR}
        return self._send("POST", path, params=stream.query, content=since, headers=headers).content

    def events(
        self,
        *,
        after: str | None = None,
        view: Literal["final", "provisional"] = "final",
        patience_s: float = PATIENCE_S,
    ) -> Iterator[Event]:
        """Follow the ledger's events without end, none lost and none twice; `after` is a cursor.

        With the view `provisional` also what the node foresees, from now on. A lost connection is taken up behind the
        last event. Raises: Unavailable when the node stays away.
        """
        cursor = after
        lost_s = 0.0
        while True:
            headers = {"Accept": "text/event-stream"} | (
                {"Last-Event-ID": cursor} if cursor else {}
            )
            try:
                timeout = httpx.Timeout(TIMEOUT_S, read=60.0)
                with self._http.stream(
                    "GET", "/v1/events", params={"view": view}, headers=headers, timeout=timeout
                ) as response:
                    if response.is_error:
                        response.read()
                        raise problem_of(response)
                    lost_s = 0.0
                    for event in parse_events(response.iter_lines()):
                        # What is foreseen has no cursor of its own: it resumes behind the last that has one.
                        cursor = event.cursor or cursor
                        yield event
            except httpx.TransportError as error:
                lost_s += 1.0
                if lost_s > patience_s:
                    raise NodeAbsent(f"{self.endpoint.url} does not answer: {error}") from error
                time.sleep(1.0)

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        arguments["params"] = present(arguments.get("params"))
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise NodeAbsent(f"{self.endpoint.url} does not answer: {error}") from error
        if response.is_error:
            raise problem_of(response)
        return response
