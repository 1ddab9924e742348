"""The client sends what it was given, reads each answer, and keeps trying only where trying helps."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from drystone import limits
from drystone.client.messages import StreamName, error_of, parse_events
from drystone.client.rest import Client, Endpoint, find_endpoint
from drystone.errors import (
    DiskFull,
    NodeAbsent,
    NotFound,
    Overloaded,
    Refused,
    RequestMalformed,
    SignatureInvalid,
    TokenInvalid,
    Unavailable,
)
from drystone.formats.senml import Measurement

Handler = Callable[[httpx.Request], httpx.Response]
METER = StreamName("ewz", "m-1", None)


def client(handler: Handler, token: str | None = None) -> Client:
    endpoint = Endpoint(url="http://node.test", token=token)
    return Client(endpoint, transport=httpx.MockTransport(handler))


def answers(*codes: str, **extra: object) -> httpx.Response:
    return httpx.Response(200, json={"answers": [{"code": code, **extra} for code in codes]})


def problem(status: int, code: str, **extra: object) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": "because", **extra})


def refuse_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused", request=request)


def test_records_go_in_one_body_and_get_one_answer_each() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answers("stored", "already")

    with client(handler) as node:
        given = node.submit([b"\x01", b"\x02"], wait="committed")
    assert [answer.code for answer in given] == ["stored", "already"]
    assert seen[0].content == b"\x01\x02"
    assert seen[0].headers["content-type"] == "application/cbor-seq"
    assert seen[0].url.params["wait"] == "committed"


def test_an_answer_is_read_with_all_its_members() -> None:
    place = {"iss": "ewz", "sub": "gw", "epoch": 0, "seq": 4, "index": 2}
    row = {"id": "ab" * 32, "place": place, "outcome": "accepted", "height": 7}
    with client(lambda _: answers("stored", **row)) as node:
        (answer,) = node.submit([b"\x01"])
    assert answer.record_id == bytes.fromhex("ab" * 32)
    assert answer.place == ("ewz", "gw", 0, 4, 2)
    assert (answer.outcome, answer.height) == ("accepted", 7)


def test_a_refused_record_is_an_answer_and_no_error() -> None:
    with client(lambda _: answers("signature-invalid", detail="no")) as node:
        (answer,) = node.deliver([b"\x01"])
    assert (answer.code, answer.detail) == ("signature-invalid", "no")


def test_an_answer_for_another_number_of_records_is_refused() -> None:
    with client(lambda _: answers("stored")) as node, pytest.raises(Refused, match="each of 2"):
        node.submit([b"\x01", b"\x02"])


@pytest.mark.parametrize(
    "records", [[b"\x01"] * (limits.REQUEST_RECORDS_MAX + 1), [bytes(limits.REQUEST_BYTES_MAX + 1)]]
)
def test_more_than_one_request_takes_is_refused_before_it_is_sent(records: list[bytes]) -> None:
    with client(refuse_connection) as node, pytest.raises(RequestMalformed):
        node.submit(records)


def test_many_records_are_delivered_in_several_requests() -> None:
    sizes: list[int] = []

    def handler(request: httpx.Request) -> httpx.Response:
        sizes.append(len(request.content))
        return answers(*["stored"] * len(request.content))

    with client(handler) as node:
        given = node.deliver([b"\x01"] * (limits.REQUEST_RECORDS_MAX + 5))
    assert sizes == [limits.REQUEST_RECORDS_MAX, 5]
    assert len(given) == limits.REQUEST_RECORDS_MAX + 5


def test_only_records_told_to_wait_are_sent_again() -> None:
    bodies: list[bytes] = []

    def handler(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        if len(bodies) > 1:
            return answers("stored")
        rows = [{"code": "stored"}, {"code": "overloaded", "retry_after_ms": 250}]
        return httpx.Response(200, json={"answers": rows})

    pauses: list[float] = []
    with client(handler) as node:
        given = node.deliver([b"\x01", b"\x02"], sleep=pauses.append)
    assert [answer.code for answer in given] == ["stored", "stored"]
    assert bodies == [b"\x01\x02", b"\x02"]
    assert pauses == [0.25]


def test_delivery_waits_for_a_node_that_comes_back() -> None:
    tries = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        return refuse_connection(request) if tries < 3 else answers("stored")

    with client(handler) as node:
        (answer,) = node.deliver([b"\x01"], sleep=lambda _: None)
    assert (answer.code, tries) == ("stored", 3)


def test_delivery_gives_up_when_its_patience_ends() -> None:
    with client(refuse_connection) as node, pytest.raises(NodeAbsent):
        node.deliver([b"\x01"], patience_s=3, sleep=lambda _: None)


def test_delivery_gives_up_with_what_the_node_said() -> None:
    full = {"retry_after_ms": 9_000, "detail": "no room"}
    with client(lambda _: answers("disk-full", **full)) as node, pytest.raises(DiskFull, match="no room"):  # fmt: skip
        node.deliver([b"\x01"], patience_s=1, sleep=lambda _: None)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "not-found", NotFound),
        (401, "token-invalid", TokenInvalid),
        (403, "signature-invalid", SignatureInvalid),
        (503, "overloaded", Overloaded),
    ],
)
def test_a_problem_document_becomes_the_error_it_was(status: int, code: str, kind: type) -> None:
    with client(lambda _: problem(status, code)) as node, pytest.raises(kind, match="because"):
        node.get("/v1/ledger")


def test_the_time_to_wait_comes_with_an_unavailable() -> None:
    with client(lambda _: problem(503, "overloaded", retry_after_ms=70)) as node:
        with pytest.raises(Overloaded) as caught:
            node.get("/v1/ledger")
        assert caught.value.retry_after_ms == 70


@pytest.mark.parametrize(("status", "kind"), [(500, Unavailable), (418, Refused)])
def test_an_error_that_is_no_problem_document_still_has_a_family(status: int, kind: type) -> None:
    with client(lambda _: httpx.Response(status, text="<html>")) as node, pytest.raises(kind):
        node.get("/v1/ledger")


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"{"])
def test_an_answer_that_is_no_json_object_is_refused(body: bytes) -> None:
    with client(lambda _: httpx.Response(200, content=body)) as node, pytest.raises(Refused):
        node.get("/v1/ledger")


def test_a_code_of_a_newer_node_stays_readable() -> None:
    error = error_of("quantum-refused", "too cold")
    assert isinstance(error, Refused)
    assert str(error) == "quantum-refused: too cold"


def test_rows_are_read_page_by_page_up_to_the_limit() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        start = int(request.url.params.get("after", "0"))
        limit = int(request.url.params["limit"])
        rows = [{"n": n} for n in range(start, min(start + limit, 2_500))]
        following = str(start + limit) if start + limit < 2_500 else None
        return httpx.Response(200, json={"rows": rows, "next": following})

    with client(handler) as node:
        assert len(list(node.rows("/v1/blocks"))) == 2_500
        assert len(list(node.rows("/v1/blocks", limit=1_200))) == 1_200


def test_an_attested_reading_is_sent_digit_for_digit_with_the_token() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"code": "stored", "place": "ewz/gw/0/4/2", "id": None})

    stream = StreamName("ewz", "gw", "water-7")
    taken = [Measurement("level", "m", (-2, -5), 2_000_000_000), Measurement("open", None, True, None)]  # fmt: skip
    with client(handler, token="secret") as node:
        answer = node.attest(stream, taken)
    assert seen[0].headers["authorization"] == "Bearer secret"
    assert b'"value":-0.05,"unit":"m","time":2000000000' in seen[0].content
    assert json.loads(seen[0].content)["measurements"][1] == {"name": "open", "value": True}
    assert answer.place == ("ewz", "gw", 0, 4, 2)


def test_the_token_stays_out_of_a_repr() -> None:
    assert "secret" not in repr(Endpoint(url="http://node.test", token="secret"))


def test_a_receipt_is_asked_for_as_cose_and_names_an_attested_device() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=b"\xd2")

    with client(handler) as node:
        assert node.receipt(StreamName("ewz", "gw", "w"), epoch=1, seq=9) == b"\xd2"
    assert seen[0].url.path == "/v1/receipts/ewz/gw/1/9"
    assert seen[0].url.params["device"] == "w"
    assert seen[0].headers["accept"] == "application/cose"


def test_completeness_since_an_earlier_proof_sends_that_proof() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=b"\x86")

    with client(handler) as node:
        node.completeness(METER)
        node.completeness(METER, since=b"old")
    assert [(one.method, one.content) for one in seen] == [("GET", b""), ("POST", b"old")]


EVENTS = "retry: 2000\n\n: still here\n\nid: 4.0\nevent: block\ndata: {\"a\":\ndata: 1}\n\nid: 4.1\ndata: {}\n\n"  # fmt: skip


def test_events_are_parsed_with_cursor_name_and_data() -> None:
    first, second = parse_events(iter(EVENTS.split("\n")))
    assert first == ("4.0", "block", {"a": 1})
    assert second == ("4.1", "message", {})


def test_events_go_on_behind_the_last_one_after_a_lost_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str | None] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("last-event-id"))
        if len(seen) == 2:
            return refuse_connection(request)
        return httpx.Response(200, text=f"id: {len(seen)}.0\nevent: block\ndata: {{}}\n\n")

    monkeypatch.setattr("time.sleep", lambda _: None)
    with client(handler) as node:
        events = node.events()
        assert [next(events).cursor, next(events).cursor] == ["1.0", "3.0"]
    assert seen == [None, "1.0", "1.0"]


def test_what_is_foreseen_has_no_cursor_and_does_not_lose_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[str, str | None]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.params["view"], request.headers.get("last-event-id")))
        return httpx.Response(200, text="event: event\ndata: {}\n\n")

    monkeypatch.setattr("time.sleep", lambda _: None)
    with client(handler) as node:
        events = node.events(after="7.0", view="provisional")
        assert [next(events).cursor, next(events).cursor] == ["", ""]
    assert seen == [("provisional", "7.0")] * 2


def test_events_that_are_refused_end_with_the_refusal() -> None:
    with (
        client(lambda _: problem(400, "request-malformed")) as node,
        pytest.raises(RequestMalformed),
    ):
        next(node.events(after="x"))


def test_the_endpoint_of_a_home_is_found_with_its_token(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "keys").mkdir()
    (tmp_path / "run" / "endpoints.json").write_text('{"url": "http://127.0.0.1:1"}')
    (tmp_path / "keys" / "operator.token").write_text("abc\n")
    assert find_endpoint(tmp_path) == Endpoint(url="http://127.0.0.1:1", token="abc")


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"url": 7}'])
def test_a_home_without_a_running_node_is_named(tmp_path: Path, text: str | None) -> None:
    (tmp_path / "run").mkdir()
    if text is not None:
        (tmp_path / "run" / "endpoints.json").write_text(text)
    with pytest.raises(NodeAbsent):
        find_endpoint(tmp_path)
