"""Pages as the server renders them: complete without scripts, and safe whatever a record holds."""

import re

import pytest
from api_desk import Desk
from api_world import problem_of

from drystone.api.templates import grouped, moment, short, spell, static_files, ticks
from drystone.formats.senml import Measurement

TAGS = re.compile(r"<[^>]+>")


def text_of(html: str) -> str:
    """What a reader sees, spaces made one."""
    return " ".join(TAGS.sub(" ", html).replace("\u202f", " ").split())


@pytest.fixture
def street(desk: Desk) -> Desk:
    for _ in range(3):
        desk.send(desk.world.reading())
    desk.send(desk.world.reading(seq=7), desk.world.reading("m-2"))
    return desk


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/devices",
        "/devices?iss=ewz",
        "/devices/ewz/m-1",
        "/devices/ewz/probe",
        "/devices/ewz/operator",
        "/devices/ewz/gw-1?device=thermo-1",
        "/blocks",
        "/blocks/0",
        "/blocks/9",
        "/receipts/ewz/m-1/0/7",
        "/receipts/ewz/operator/0/0",
        "/docs",
        "/docs/errors",
    ],
)
def test_page_is_whole_and_loads_nothing_from_outside(street: Desk, path: str) -> None:
    answer = street.get(path, accept="text/html")
    assert answer.status_code == 200, answer.text
    html = answer.text
    assert html.startswith("<!doctype html>")
    assert html.rstrip().endswith("</html>")
    assert not re.search(r"""(src|href|action)=["'](https?:)?//""", html)
    assert " style=" not in html
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert not re.search(r"\son\w+=", html)


def test_overview_says_how_it_is_and_what_came_last(street: Desk) -> None:
    text = text_of(street.get("/").text)
    assert "All is well: the last block was committed just now." in text
    assert "Records in the last minute 10" in text
    assert "48 211 512 Wh" in text
    assert "4 missing" in text


def test_overview_of_an_unwell_node_names_what_is_wrong(desk: Desk) -> None:
    desk.world.service.unwell = "The disk is full: nothing more is taken in."
    html = desk.get("/").text
    assert 'class="lamp bad"' in html
    assert html.count("The disk is full") == 2


def test_device_page_shows_readings_gaps_and_links_each_receipt(street: Desk) -> None:
    html = street.get("/devices/ewz/m-1").text
    assert [f'href="/receipts/ewz/m-1/0/{seq}"' in html for seq in (7, 2, 1, 0)] == [True] * 4
    text = text_of(html)
    assert "4 numbers never arrived, in 1 gap" in text
    assert "3 – 6 0 missing" in text


def test_device_page_puts_measurements_of_a_record_side_by_side(desk: Desk) -> None:
    pack = [
        Measurement("energy", "Wh", 1_234_567, 1_762_340_400),
        Measurement("power", "W", (-1, 4_005), 1_762_340_400),
    ]
    desk.send(desk.world.reading(measurements=pack))
    text = text_of(desk.get("/devices/ewz/m-1").text)
    assert "energy Wh power W Committed" in text
    assert "1 234 567 400.5" in text


def test_long_stream_is_shown_a_page_at_a_time(desk: Desk) -> None:
    desk.send(*[desk.world.reading() for _ in range(60)])
    page, seen = desk.get("/devices/ewz/m-1").text, []
    for _ in range(5):
        seen += re.findall(r'href="/receipts/ewz/m-1/0/(\d+)"', page)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        if older is None:
            break
        page = desk.get(older[1]).text
    assert seen == [str(seq) for seq in range(59, -1, -1)]


def test_attested_device_says_who_signs(desk: Desk) -> None:
    text = text_of(desk.get("/devices/ewz/gw-1?device=thermo-1").text)
    assert "attested by gw-1" in text
    assert "This device has no key." in text


def test_block_page_shows_the_fields_of_a_data_block_s3_8(street: Desk) -> None:
    text = text_of(street.get("/blocks/9").text)
    block = street.get("/v1/blocks/9").json()
    for field in (
        "Version protocol 1",
        f"Previous head {block['parent']}",
        "Time 2025- 11-05 11:00 :00 UTC",
        "Random number none",
        f"Head {block['head']}",
        f"Merkle root of the log {block['root']}",
        f"Root of the state {block['state']}",
        f"Root of the outcomes {block['outcomes']}",
        "2 records in 1 vertex: 2 accepted",
        "stream.gap",
    ):
        assert field in text


def test_vertex_page_lists_records_with_their_receipts(street: Desk) -> None:
    vertex_id = street.get("/v1/tips").json()["rows"][0]["id"]
    html = street.get(f"/vertices/{vertex_id}").text
    assert 'href="/receipts/ewz/m-1/0/7"' in html
    assert "48 211 512 Wh" in text_of(html)


def test_receipt_page_says_what_is_proved_and_what_is_not(street: Desk) -> None:
    text = text_of(street.get("/receipts/ewz/m-1/0/7").text)
    assert "48 211 512 Wh" in text
    assert "The device's own signature is valid" in text.replace("&#39;", "'")
    assert "That what it says is true" in text
    assert "do not take its word" in text


def test_receipt_page_of_a_node_that_signs_wrongly_says_so(street: Desk) -> None:
    genuine = street.world.service.receipt

    async def altered(stream: tuple[str, ...], *, epoch: int, seq: int) -> bytes:
        statement = bytearray(await genuine(stream, epoch=epoch, seq=seq))
        statement[-1] ^= 1
        return bytes(statement)

    street.world.service.receipt = altered  # type: ignore[method-assign]
    text = text_of(street.get("/receipts/ewz/m-1/0/7").text)
    assert "This receipt does not hold" in text


def test_find_goes_straight_to_a_device(desk: Desk) -> None:
    answer = desk.get("/devices?find=ewz/m-1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/devices/ewz/m-1")
    attested = desk.get("/devices?find=ewz/gw-1/thermo-1")
    assert attested.headers["location"] == "/devices/ewz/gw-1?device=thermo-1"


@pytest.mark.parametrize(
    "find", ["", "m-1", "a/b/c/d", "//evil.example", "ewz/%0d%0ax", "%ed%a0%80/x"]
)
def test_find_that_finds_nothing_stays_on_the_page(desk: Desk, find: str) -> None:
    assert desk.get(f"/devices?find={find}", accept="text/html").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/devices/ewz/nobody",
        "/blocks/99",
        "/vertices/" + "00" * 32,
        "/receipts/ewz/m-1/0/99",
        "/nothing",
    ],
)
def test_page_of_what_is_not_there_says_so(desk: Desk, path: str) -> None:
    answer = desk.get(path, accept="text/html")
    assert answer.status_code == 404
    assert "Nothing is stored under this address" in answer.text


def test_blocks_are_shown_a_page_at_a_time(desk: Desk) -> None:
    for _ in range(60):
        desk.send(desk.world.reading())
    page = desk.get("/blocks").text
    older = re.search(r'rel="next" href="([^"]+)"', page)
    assert older is not None
    assert 'data-key="block-15"' in desk.get(older[1]).text


def test_vertex_whose_body_was_pruned_keeps_its_header(street: Desk) -> None:
    service = street.world.service
    assert service.tip is not None
    vertex, height, position = service.vertices_by_id[service.tip]
    service.vertices_by_id[service.tip] = (vertex._replace(body=None), height, position)
    text = text_of(street.get(f"/vertices/{service.tip.hex()}").text)
    assert "The body is not kept here any more" in text


def test_body_item_that_is_no_record_is_shown_with_its_code(street: Desk) -> None:
    service = street.world.service
    assert service.tip is not None
    vertex, height, position = service.vertices_by_id[service.tip]
    service.vertices_by_id[service.tip] = (vertex._replace(body=(b"\x80",)), height, position)
    assert "cose-malformed" in street.get(f"/vertices/{service.tip.hex()}").text


def test_text_from_a_device_is_never_markup(desk: Desk) -> None:
    desk.run(desk.world.call("profile", {"name": "talker", "measurements": [{"name": "says"}]}))
    desk.run(desk.world.enrol("m-3", profile="talker"))
    said = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"
    desk.send(desk.world.reading("m-3", measurements=[Measurement("says", None, said, None)]))
    for path in ("/", "/devices", "/devices/ewz/m-3", "/receipts/ewz/m-3/0/0", "/blocks/8"):
        html = desk.get(path).text
        assert "<script>alert" not in html
        assert "<img" not in html


def test_names_in_an_address_are_never_markup(desk: Desk) -> None:
    html = desk.get("/devices?find=%3Cscript%3E1%3C/script%3E", accept="text/html").text
    assert "<script>1" not in html


# --- files ------------------------------------------------------------------------------------


def test_static_file_named_by_its_hash_is_kept_for_ever(desk: Desk) -> None:
    (path,) = re.findall(r'href="(/static/drystone\.css\?v=\w+)"', desk.get("/").text)
    answer = desk.get(path)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_static_file_named_without_its_hash_is_asked_for_again(desk: Desk) -> None:
    for path in ("/static/live.js", "/static/live.js?v=other"):
        assert desk.get(path).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    ["/static/", "/static/../pages.py", "/static/%2e%2e/pages/base.html", "/static//etc/passwd"],
)
def test_nothing_but_static_files_is_served(desk: Desk, path: str) -> None:
    assert problem_of(desk.get(path))["code"] == "not-found"


def test_vendored_chart_library_is_unchanged_and_has_its_licence() -> None:
    import hashlib

    files = static_files()
    note = files["uplot/README.md"].decode()
    for name in ("uPlot.iife.min.js", "uPlot.min.css"):
        assert hashlib.sha256(files[f"uplot/{name}"]).hexdigest() in note
    assert b"MIT" in files["uplot/LICENSE"]


def test_verifier_page_may_run_its_own_scripts_and_reach_nothing(desk: Desk) -> None:
    answer = desk.get("/verify.html")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    assert "connect-src" not in policy
    assert "unsafe" not in policy


# --- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (1234, "1\u202f234"),
        (-1234567, "\u22121\u202f234\u202f567"),
        ("12345.67", "12\u202f345.67"),
        ("plain text", "plain text"),
        ("9" * 50, "9" * 50),
    ],
)
def test_cells_are_grouped_for_people(cell: int | str | bool | None, text: str) -> None:
    assert grouped(cell) == text


def test_words_are_counted() -> None:
    assert [spell(n, "vertex") for n in (0, 1, 2)] == ["0 vertices", "1 vertex", "2 vertices"]
    assert spell(2, "record") == "2 records"


def test_hashes_are_shortened_and_times_split_for_narrow_screens() -> None:
    assert short(bytes(32), 4) == "0000…"
    assert short(None) == "–"
    assert "class=" in moment("2025-11-05T11:00:00.000Z")
    assert moment("253402300800") == "253402300800"


def test_ticked_words_become_code_and_nothing_else_becomes_markup() -> None:
    assert ticks("use `a<b>` <i>") == "use <code>a&lt;b&gt;</code> &lt;i&gt;"
