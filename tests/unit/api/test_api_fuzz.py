"""The REST API under arbitrary requests: drawn from its own description, then bent.

Method: for every operation hypothesis fills path, query, headers and body with values that fit,
values at the bounds and plain rubbish. Whatever comes in, the answer is documented: its status is
in the description, an error is a problem document whose code has that status, and nothing is ever
answered 500. One world serves a whole test: what one request leaves behind, the next one meets.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from api_desk import Desk, open_desk
from api_world import TOKEN, settings_for
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory_service import MemoryService

from drystone.api import reference
from drystone.api.app import create_app
from drystone.api.lists import encode_cursor
from drystone.api.problems import status_of
from drystone.gateway.answer import ERRORS

BENT = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

IDS = st.sampled_from(["ewz", "m-1", "gw-1", "thermo-1", "operator", "meter", "x" * 48])
NUMBERS = st.sampled_from(["0", "1", "3", "-1", "9007199254740991", "9007199254740992", "1e3", "٣"])
HEXES = st.sampled_from(["00", "0", "ff" * 32, "0063657777", "00" * 600, "zz"])
RUBBISH = st.text(max_size=30)
CURSORS = st.one_of(
    st.sampled_from(
        [
            encode_cursor(0),
            encode_cursor(2**53 - 1),
            encode_cursor("ewz", "m-1"),
            encode_cursor("ewz", "m-1", 0, 0),
            encode_cursor("ewz", "gw-1", "thermo-1"),
            encode_cursor(0, 0, 1),
            encode_cursor("\ud7ff", ""),
            "0.0",
        ]
    ),
    RUBBISH,
)
TYPES = st.sampled_from(
    [
        "*/*",
        "application/json",
        "application/cbor",
        "application/cose",
        "application/cbor-seq",
        "text/csv",
        "text/html",
        "image/png",
        "",
        ";q=1",
        "application/json;q=0",
    ]
)


@pytest.fixture(scope="module")
def street() -> Iterator[Desk]:
    for desk in open_desk(alone=True):
        desk.send(desk.world.reading(), desk.world.reading(seq=5), desk.world.reading("m-2"))
        yield desk
        desk.run(desk.world.service.stop())


def operations() -> list[tuple[str, str]]:
    """Every operation of the description."""
    app = create_app(MemoryService(), settings_for())
    return [
        (method, path) for path, item in reference.document(app)["paths"].items() for method in item
    ]


@st.composite
def requests(draw: st.DrawFn, method: str, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    """A request for an operation: fitting, at the bounds, or rubbish, part by part."""
    query: list[str] = []
    for one in operation.get("parameters", []):
        name = one["name"]
        value = draw(st.one_of(IDS, NUMBERS, HEXES, RUBBISH) if name != "after" else CURSORS)
        if one["in"] == "path":
            # A client would resolve dots before it asks: then it is another path.
            filled = "%20" if value in {"", ".", ".."} else quote(value, safe="")
            path = path.replace("{" + name + "}", filled)
        elif draw(st.booleans()):
            query.append(f"{name}={quote(value, safe='')}")
    headers = {"accept": draw(TYPES), "content-type": draw(TYPES)}
    if draw(st.booleans()):
        headers["authorization"] = f"Bearer {TOKEN}"
    if draw(st.booleans()):
        # What a header can carry; a stream behind the genesis would never end.
        headers["last-event-id"] = draw(st.sampled_from(["x", "1", "..", "9" * 20 + ".0"]))
    body = draw(
        st.one_of(st.binary(max_size=80), st.sampled_from([b"{}", b"[]", b"\x80", b"\xd2\x84"]))
    )
    content = body if method == "post" else None
    return {"path": f"{path}?{'&'.join(query)}", "headers": headers, "content": content}


@pytest.mark.parametrize(("method", "path"), operations(), ids=lambda part: str(part))
@BENT
@given(data=st.data())
def test_whatever_is_asked_the_answer_is_documented(
    street: Desk, method: str, path: str, data: st.DataObject
) -> None:
    operation = reference.document(street.world.app)["paths"][path][method]
    drawn = data.draw(requests(method, path, operation))
    if path in {"/v1/events", "/v1/dag/live"}:
        # Without a refused id the answer has no end.
        drawn["headers"]["last-event-id"] = "x"
    answer = street.ask(
        method.upper(), drawn["path"], content=drawn["content"], headers=drawn["headers"]
    )
    code = answer.status_code
    # A rubbish part may hold a slash, and then the path is another one.
    elsewhere = code == 404 and "no route" in answer.text
    assert str(code) in operation["responses"] or elsewhere, (code, answer.text)
    assert code != 500, answer.text
    if code == 503 and path == "/healthz":
        return
    if code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == code == status_of(ERRORS[problem["code"]])
    else:
        declared = operation["responses"][str(code)].get("content", {})
        assert answer.headers["content-type"].partition(";")[0] in declared


@BENT
@given(body=st.binary(max_size=300), many=st.booleans(), wait=st.sampled_from(["", "?wait=sealed"]))
def test_no_bytes_sent_as_records_break_anything(
    street: Desk, body: bytes, many: bool, wait: str
) -> None:
    kind = "application/cbor-seq" if many else "application/cose"
    root = street.world.service.view.tree.root
    answer = street.ask("POST", f"/v1/records{wait}", content=body, headers={"content-type": kind})
    assert answer.status_code < 500
    assert street.world.service.view.tree.root == root


@BENT
@given(data=st.data())
def test_record_with_any_byte_changed_is_refused_or_already_there(
    street: Desk, data: st.DataObject
) -> None:
    raw = bytearray(street.world.reading(seq=5))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    root = street.world.service.view.tree.root
    answer = street.send(bytes(raw))
    assert answer.status_code in {200, 400, 403, 409, 413, 422}
    assert street.world.service.view.tree.root == root


@BENT
@given(path=st.text(max_size=60), accept=TYPES)
def test_no_path_breaks_anything(street: Desk, path: str, accept: str) -> None:
    answer = street.get("/" + quote(path, safe="/.%") if path else "/", accept=accept)
    assert answer.status_code in {200, 303, 400, 404, 405, 406, 422}
