"""Lists: cursors that resume exactly, three forms of the same rows, and exact numbers."""

import csv
import io

import pytest
from api_desk import Desk
from api_world import decoded, problem_of
from hypothesis import given
from hypothesis import strategies as st

from drystone.api.lists import decode_cursor, encode_cursor, negotiate
from drystone.errors import NotAcceptable, RequestMalformed
from drystone.formats.senml import Measurement
from drystone.limits import LIST_ROWS_MAX, SEQUENCE_MAX

OFFERED = ("application/json", "text/csv", "application/cbor")
LISTS = [
    "/v1/streams",
    "/v1/streams/ewz/m-1/records",
    "/v1/streams/ewz/m-1/readings",
    "/v1/devices",
    "/v1/members",
    "/v1/organisations",
    "/v1/profiles",
    "/v1/blocks",
    "/v1/blocks/3/outcomes",
    "/v1/blocks/3/events",
    "/v1/vertices",
    "/v1/tips",
]


@pytest.fixture
def street(desk: Desk) -> Desk:
    """Seven records of one meter, each with two measurements, and one of another meter."""
    for seq in range(7):
        pack = [
            Measurement("energy", "Wh", 1_000 + seq, 1_762_340_400 + seq),
            Measurement("power", "W", (-2, 12_300 + seq), 1_762_340_400 + seq),
        ]
        desk.send(desk.world.reading(measurements=pack))
    desk.send(desk.world.reading("m-2"))
    return desk


def walk(desk: Desk, path: str, limit: int) -> list[dict[str, object]]:
    """All rows of a list, a page at a time."""
    rows: list[dict[str, object]] = []
    after = ""
    for _ in range(200):
        mark = "&" if "?" in path else "?"
        page = desk.get(f"{path}{mark}limit={limit}{after}").json()
        assert len(page["rows"]) <= limit
        rows += page["rows"]
        if page["next"] is None:
            return rows
        after = f"&after={page['next']}"
    pytest.fail("the list does not end")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_put_together_are_the_whole_list(street: Desk, path: str, limit: int) -> None:
    whole = street.get(f"{path}?limit=1000").json()["rows"]
    assert walk(street, path, limit) == whole


@pytest.mark.parametrize("path", ["/v1/blocks", "/v1/vertices", "/v1/streams/ewz/m-1/records"])
def test_falling_order_is_the_rising_one_backwards(street: Desk, path: str) -> None:
    rising = walk(street, path, 3)
    assert walk(street, f"{path}?order=desc", 3) == rising[::-1]


def test_readings_unfold_packs_and_a_page_may_end_within_one(street: Desk) -> None:
    rows = walk(street, "/v1/streams/ewz/m-1/readings?order=desc", 3)
    assert [(row["seq"], row["name"]) for row in rows[:4]] == [
        (6, "power"),
        (6, "energy"),
        (5, "power"),
        (5, "energy"),
    ]


@pytest.mark.parametrize("path", LISTS)
def test_csv_and_cbor_hold_the_same_rows_as_json(street: Desk, path: str) -> None:
    rows = street.get(f"{path}.json").json()["rows"]
    table = list(csv.DictReader(io.StringIO(street.get(f"{path}.csv").text)))
    assert [set(line) for line in table] == [set(row) for row in rows]
    page = decoded(street.get(f"{path}.cbor"))
    assert isinstance(page, dict)
    assert len(page["rows"]) == len(rows) == len(table)
    for row, line, item in zip(rows, table, page["rows"], strict=True):
        for name, cell in row.items():
            held = item[name]
            assert (held.hex() if isinstance(held, bytes) else held) == cell
            text = "" if cell is None else str(cell).lower() if cell in (True, False) else str(cell)
            assert line[name] == text


@pytest.mark.parametrize("path", LISTS)
def test_rows_are_flat(street: Desk, path: str) -> None:
    for row in street.get(path).json()["rows"]:
        assert all(cell is None or isinstance(cell, int | str | bool) for cell in row.values())


def test_accept_header_chooses_the_form(street: Desk) -> None:
    assert (
        street.get("/v1/blocks", accept="text/csv").headers["content-type"].startswith("text/csv")
    )
    assert street.get("/v1/blocks", accept="text/html,*/*;q=0.8").json()["rows"]


def test_suffix_wins_over_accept(street: Desk) -> None:
    answer = street.get("/v1/blocks.csv", accept="application/cbor")
    assert answer.headers["content-type"].startswith("text/csv")


def test_link_header_leads_to_the_next_page(street: Desk) -> None:
    link = street.get("/v1/blocks.csv?limit=2&order=desc").headers["link"]
    assert link.endswith('>; rel="next"')
    following = street.get(link[1 : link.index(">")]).text.splitlines()
    assert len(following) == 3
    assert following[1].startswith("11,")


def test_values_are_exact_and_times_are_iso(street: Desk) -> None:
    row = street.get("/v1/streams/ewz/m-1/readings?limit=2").json()["rows"][1]
    assert (row["value"], row["time"]) == ("123.00", "2025-11-05T11:00:00Z")


def test_csv_quotes_what_would_break_a_line(street: Desk) -> None:
    assert '"energy Wh, power W"' in street.get("/v1/profiles.csv").text


def test_list_without_rows_is_empty_and_ends(desk: Desk) -> None:
    assert desk.get("/v1/streams/ewz/m-1/records").json() == {"rows": [], "next": None}
    assert desk.get("/v1/streams/ewz/m-1/records.csv").text.startswith("iss,sub,device,")


@pytest.mark.parametrize("path", ["/v1/streams", "/v1/devices", "/v1/profiles", "/v1/vertices"])
def test_list_of_an_organisation_that_is_not_there_is_empty(desk: Desk, path: str) -> None:
    query = "?iss=nobody" + ("&sub=nobody" if path == "/v1/vertices" else "")
    assert desk.get(f"{path}{query}").json() == {"rows": [], "next": None}


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "ten", ""])
def test_limit_outside_its_bounds_is_refused(desk: Desk, limit: str) -> None:
    assert problem_of(desk.get(f"/v1/blocks?limit={limit}"))["code"] == "request-malformed"
    assert str(LIST_ROWS_MAX) == "1000"


@pytest.mark.parametrize(
    "after",
    [
        "x",
        "====",
        "%00",
        "gQ",
        encode_cursor("ewz", "m-1"),
        encode_cursor(1, 2, 3, 4, 5),
        "A" * 513,
        "gv__________",
    ],
)
@pytest.mark.parametrize("path", ["/v1/blocks", "/v1/streams/ewz/m-1/readings"])
def test_foreign_cursor_is_refused(desk: Desk, path: str, after: str) -> None:
    assert problem_of(desk.get(f"{path}?after={after}"))["code"] == "request-malformed"


def test_cursor_with_a_negative_number_is_refused() -> None:
    with pytest.raises(RequestMalformed):
        decode_cursor(encode_cursor(-1), int)


@given(st.text(max_size=40), st.integers(0, SEQUENCE_MAX), st.binary(max_size=40))
def test_cursors_come_back_as_they_were(text: str, number: int, data: bytes) -> None:
    assert decode_cursor(encode_cursor(text, number, data), str, int, bytes) == [text, number, data]


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_a_typed_refusal(text: str) -> None:
    try:
        decode_cursor(text, int, int)
    except RequestMalformed:
        return


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/*", "text/csv"),
        ("text/csv;q=0.5, application/cbor;q=0.9", "application/cbor"),
        ("application/json;q=0, */*", "text/csv"),
        ("APPLICATION/CBOR", "application/cbor"),
        ("image/png, text/csv;q=0.001", "text/csv"),
    ],
)
def test_client_gets_what_it_likes_best(accept: str | None, chosen: str) -> None:
    assert negotiate(accept, OFFERED) == chosen


@pytest.mark.parametrize(
    "accept", ["image/png", "text/csv;q=0", "text/csv;q=nan", "text/csv;q=x", ",,;;", "*/json"]
)
def test_client_that_likes_nothing_offered_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        negotiate(accept, OFFERED)


@given(st.text(max_size=80))
def test_any_accept_header_is_answered_or_refused(accept: str) -> None:
    try:
        assert negotiate(accept, OFFERED) in OFFERED
    except NotAcceptable:
        return
