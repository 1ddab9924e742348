"""What every request passes: host, size, headers; and that no error escapes as anything else."""

import asyncio

import httpx
import pytest
from api_desk import Desk
from api_world import make_world, problem_of

from drystone import errors
from drystone.api.border import LOOPBACK, OperatorToken, allowed_hosts, host_name
from drystone.api.problems import STATUS, status_of
from drystone.api.problems import problem_of as describe
from drystone.gateway.answer import ERRORS

PATHS = ["/", "/v1/ledger", "/v1/records", "/nothing", "/static/live.js", "/metrics", "/checkpoint"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_strict_headers(desk: Desk, path: str) -> None:
    headers = desk.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "server" not in headers
    assert "cache-control" in headers


def test_pages_may_load_their_own_files_and_nothing_inline(desk: Desk) -> None:
    policy = desk.get("/").headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_other_origins_get_no_permission_to_read(desk: Desk) -> None:
    answer = desk.get("/v1/ledger", origin="https://elsewhere.example")
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "169.254.1.1", "*"]
)
def test_foreign_host_is_turned_away_as_in_dns_rebinding(desk: Desk, host: str) -> None:
    answer = desk.get("/v1/ledger", host=host)
    assert (answer.status_code, problem_of(answer)["code"]) == (421, "host-foreign")


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8420", "127.0.0.1:1", "[::1]:8420", "LOCALHOST"]
)
def test_loopback_is_answered_by_each_of_its_names(desk: Desk, host: str) -> None:
    assert desk.get("/v1/ledger", host=host).status_code == 200


def test_request_without_a_host_is_turned_away(desk: Desk) -> None:
    assert raw_request(desk, headers=[]) == 421


def test_request_with_two_hosts_is_turned_away(desk: Desk) -> None:
    assert raw_request(desk, headers=[(b"host", b"localhost"), (b"host", b"localhost")]) == 421


@pytest.mark.parametrize("length", [b"x", b"-1", b"1e3", b"\xff"])
def test_content_length_that_is_no_number_is_refused(desk: Desk, length: bytes) -> None:
    headers = [(b"host", b"localhost"), (b"content-length", length)]
    assert raw_request(desk, headers=headers) == 400


def test_body_too_large_is_refused_without_reading_it(desk: Desk) -> None:
    headers = [(b"host", b"localhost"), (b"content-length", b"999999999999999999999")]
    assert raw_request(desk, headers=headers) == 413


def raw_request(desk: Desk, *, headers: list[tuple[bytes, bytes]]) -> int:
    """The status of a request that no client would send; reading its body is a failure."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/records",
        "raw_path": b"/v1/records",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    statuses: list[int] = []

    async def receive() -> dict[str, object]:
        pytest.fail("the body was read")

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(int(str(message["status"])))

    desk.run(desk.world.app(scope, receive, send))
    return statuses[0]


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/blocks.csv", "/nothing", "/static/live.js"])
def test_head_answers_as_get_does_without_a_body(desk: Desk, path: str) -> None:
    whole, bare = desk.get(path), desk.ask("HEAD", path)
    assert (bare.status_code, bare.content) == (whole.status_code, b"")
    assert bare.headers["content-type"] == whole.headers["content-type"]
    assert bare.headers["content-length"] == whole.headers["content-length"]


def test_head_of_an_event_stream_is_refused_and_never_hangs(desk: Desk) -> None:
    assert desk.ask("HEAD", "/v1/events").status_code == 405


def test_scope_that_is_neither_request_nor_socket_passes_through(desk: Desk) -> None:
    sent: list[dict[str, object]] = []
    inbox: list[dict[str, object]] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> dict[str, object]:
        return inbox.pop(0)

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    desk.run(desk.world.app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send))
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def test_websocket_is_closed(desk: Desk) -> None:
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    desk.run(desk.world.app({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert sent[0]["type"] == "websocket.close"


@pytest.mark.parametrize(
    ("host", "public", "answers", "refuses"),
    [
        ("127.0.0.1", "", "localhost", "ledger.example"),
        ("127.0.0.1", "https://ledger.example/x", "ledger.example", "other.example"),
        ("::1", "", "[::1]", "ledger.example"),
        ("0.0.0.0", "https://ledger.example", "ledger.example", "other.example"),
    ],
)
def test_node_answers_for_its_own_names_only(
    host: str, public: str, answers: str, refuses: str
) -> None:
    names = allowed_hosts(host=host, public_url=public)
    assert answers in names
    assert refuses not in names
    assert "*" not in names


def test_node_that_is_reached_by_unknown_names_answers_to_all() -> None:
    assert allowed_hosts(host="0.0.0.0", public_url="") == {"*"}

    async def ask() -> httpx.Response:
        world = await make_world(hosts=frozenset({"*"}))
        async with world.client() as client:
            return await client.get("/healthz", headers={"host": "any.example"})

    assert asyncio.run(ask()).status_code == 200


@pytest.mark.parametrize(
    ("header", "name"),
    [("a.example:80", "a.example"), ("[::1]:80", "[::1]"), ("A.example.", "a.example"), ("", "")],
)
def test_port_and_case_of_a_host_do_not_matter(header: str, name: str) -> None:
    assert host_name(header) == name
    assert "localhost" in LOOPBACK


@pytest.mark.parametrize(
    ("secret", "text", "expected"),
    [
        (b"x", "x", True),
        (b"x", "y", False),
        (b"", "", False),
        (b"x", "", False),
        (b"x", "\udcff", False),
    ],
)
def test_token_is_only_itself(secret: bytes, text: str, *, expected: bool) -> None:
    assert OperatorToken(secret=secret).equals(text) is expected


def test_token_does_not_show_itself() -> None:
    assert "secret" not in repr(OperatorToken(secret=b"secret"))


# --- problems ---------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(ERRORS))
def test_every_error_has_a_status_of_its_family_and_says_what_to_do(code: str) -> None:
    kind = ERRORS[code]
    status = status_of(kind)
    if issubclass(kind, errors.Refused):
        assert 400 <= status < 500
    else:
        assert status == (503 if issubclass(kind, errors.Unavailable) else 500)
    problem = describe(kind("it is so"), instance="/x")
    assert problem.code == code
    assert problem.title
    assert problem.fix or kind is errors.Refused


def test_no_status_is_given_to_a_class_that_is_gone() -> None:
    assert {kind.code for kind in STATUS} <= set(ERRORS) | {"error"}


def test_unforeseen_error_answers_500_without_its_text(desk: Desk) -> None:
    async def fail() -> object:
        raise ValueError("the secret is 42")

    desk.world.service.head = fail  # type: ignore[method-assign, assignment]
    answer = desk.get("/v1/ledger")
    assert (answer.status_code, problem_of(answer)["code"]) == (500, "broken")
    assert "42" not in answer.text


def test_broken_invariant_answers_500_without_its_text(desk: Desk) -> None:
    async def fail() -> object:
        raise errors.DatabaseCorrupt("row 7 of table blocks")

    desk.world.service.head = fail  # type: ignore[method-assign, assignment]
    answer = desk.get("/v1/ledger")
    assert (answer.status_code, problem_of(answer)["code"]) == (500, "database-corrupt")
    assert "row 7" not in answer.text


def test_browser_that_follows_a_dead_link_gets_a_page(desk: Desk) -> None:
    answer = desk.get("/devices/ewz/nobody", accept="text/html,*/*;q=0.8")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "no member ewz/nobody" in answer.text


def test_rest_api_answers_browsers_with_problem_documents_too(desk: Desk) -> None:
    assert problem_of(desk.get("/v1/blocks/99", accept="text/html"))["code"] == "not-found"


def test_problem_names_an_address_that_explains_the_code(desk: Desk) -> None:
    problem = problem_of(desk.get("/v1/blocks/99"))
    page, _, code = str(problem["type"]).partition("#")
    assert f'id="{code}"' in desk.get(page).text
