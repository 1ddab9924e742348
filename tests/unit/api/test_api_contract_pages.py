"""Pages about contracts: they add up, name what is there, show no more than may be seen, and never break."""

import html
import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from access_stage import Gated, member, open_gate
from api_desk import Desk, open_desk
from app_stage import MODULES, bill, stage_battery, stage_maintenance, stage_metering
from contract_stage import MANIFEST, SOURCE, stage

from drystone.api import kept, sheet_battery, sheet_metering
from drystone.api.contract_sheet import APPS
from drystone.api.source_lines import source_lines
from drystone.apps.metering import scenario

HOUSE = "/contracts/metering/households/ewz/home-1"
PACK = "/contracts/battery/packs/pack-1"
PUMP = "/contracts/maintenance/machines/ewz/pump-1"
PAGES = [
    "/contracts",
    "/contracts/metering",
    "/contracts/metering/households",
    HOUSE,
    f"{HOUSE}?number=1",
    "/contracts/battery/packs",
    PACK,
    "/contracts/battery/packs/pack-2",
    "/contracts/maintenance/machines",
    PUMP,
]


@pytest.fixture(scope="module")
def town() -> Iterator[Desk]:
    """All three contracts at work; asking changes nothing."""
    for desk in open_desk(alone=True):
        desk.run(stage_metering(desk.world))
        desk.run(stage_battery(desk.world))
        desk.run(stage_maintenance(desk.world))
        yield desk


def text_of(page: str) -> str:
    """What a page says, without its marks."""
    body = re.sub(r"<(script|style|head)\b.*?</\1>", " ", page, flags=re.DOTALL)
    said = html.unescape(re.sub(r"<[^>]+>", " ", body))
    return re.sub(r"[ \n]+", " ", said.replace("\u202f", "").replace("\u2212", "-"))


def shown(desk: Desk, path: str) -> str:
    answer = desk.get(path, accept="text/html")
    assert answer.status_code == 200, answer.text[:500]
    return text_of(answer.text)


@pytest.mark.parametrize("path", PAGES)
def test_page_has_one_heading_a_title_and_nothing_from_outside(town: Desk, path: str) -> None:
    page = town.get(path, accept="text/html").text
    assert page.count("<h1") == 1
    assert "style=" not in page
    assert "<script>" not in page
    assert not re.search(r'(src|href)="(https?:)?//', page)


@pytest.mark.parametrize("path", PAGES)
def test_every_link_of_a_page_leads_somewhere(town: Desk, path: str) -> None:
    page = town.get(path, accept="text/html").text
    links = {html.unescape(link) for link in re.findall(r'href="(/[^"#]+)', page)}
    for link in links:
        assert town.get(link, accept="*/*").status_code == 200, link


# --- contracts ---------------------------------------------------------------------------------


def test_list_says_what_each_contract_shows(town: Desk) -> None:
    said = shown(town, "/contracts")
    for word in ("battery", "Battery packs", "metering", "Households", "Machines", "active"):
        assert word in said


def test_page_shows_the_text_line_by_line_as_it_was_approved(town: Desk) -> None:
    page = town.get("/contracts/battery", accept="text/html").text
    lines = re.findall(r'<li id="L\d+"><code>(.*?)</code></li>', page)
    source = (APPS / "battery" / "contract.star").read_text()
    assert [html.unescape(re.sub(r"<[^>]+>", "", line)) for line in lines] == source.splitlines()


def test_page_shows_versions_approvals_calls_and_cost(town: Desk) -> None:
    said = shown(town, "/contracts/battery")
    for word in (
        *("version 1", "1 of 1 needed", "owned by ewz", "each reading", "fleet_operator, governor"),
        *("pack id, modules list", "Cost in steps", "Most in tests", "49 %"),
    ):
        assert word in said


def test_cost_of_tests_is_shown_only_for_the_very_text_that_was_tested(desk: Desk) -> None:
    manifest = MANIFEST | {"name": "battery"}
    desk.run(desk.world.deploy(manifest, SOURCE))
    desk.send(desk.world.reading("m-2"))
    said = shown(desk, "/contracts/battery")
    assert "Most in tests" not in said
    assert "Counted from the text" in said


def test_contract_that_waits_and_one_that_was_replaced_say_so(desk: Desk) -> None:
    stage(desk)
    assert "Nothing runs under this name yet" in shown(desk, "/contracts/waiting")
    desk.run(desk.world.deploy(MANIFEST | {"version": 2}, SOURCE))
    desk.send(desk.world.reading("m-2"))
    said = shown(desk, "/contracts/limits?version=1")
    assert "This is not the version that runs" in said
    assert "the state no longer carries its text" in said
    assert desk.get("/contracts/limits?version=3", accept="text/html").status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/contracts/nothing", 404),
        ("/contracts/Nothing!", 400),
        ("/contracts/metering?version=0", 400),
        ("/contracts/metering/households/ewz/home-9", 404),
        (f"{HOUSE}?number=3", 404),
        (f"{HOUSE}?number=0", 400),
        (f"{HOUSE}?number=x", 400),
        ("/contracts/battery/packs/pack-9", 404),
        ("/contracts/battery/packs/-", 400),
        ("/contracts/maintenance/machines/ewz/pump-9", 404),
        ("/contracts/maintenance/machines/ewz/pump-1?device=x", 404),
        ("/contracts/nothing/households", 200),
        ("/contracts/battery/households", 200),
        ("/contracts/battery/machines", 200),
    ],
)
def test_what_is_not_there_is_said_on_a_page(town: Desk, path: str, status: int) -> None:
    answer = town.get(path, accept="text/html")
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")


def test_ledger_without_contracts_says_how_to_begin(desk: Desk) -> None:
    assert "contract new" in shown(desk, "/contracts")


class TestSource:
    def test_every_character_is_shown_and_escaped(self) -> None:
        source = 'x = "<b>" # <i>\ny = """a\n  <c>"""\nif not x:\n    z = 0x1F\n'
        lines = source_lines(source)
        plain = [html.unescape(re.sub(r"<[^>]+>", "", line)) for line in lines]
        assert plain == source.splitlines()
        assert "<b>" not in "".join(lines)
        assert '<span class="k">if</span>' in lines[3]
        assert '<span class="c"># &lt;i&gt;</span>' in lines[0]

    @pytest.mark.parametrize("source", ["", "\n", 'x = "', "(((", "\x00", "  a\n b", "é = 'ü'"])
    def test_text_that_cannot_be_taken_apart_is_shown_as_it_is(self, source: str) -> None:
        plain = [html.unescape(re.sub(r"<[^>]+>", "", line)) for line in source_lines(source)]
        assert plain == (source.removesuffix("\n").split("\n") if source else [])


# --- bills ---------------------------------------------------------------------------------------


def rows_of_bill(desk: Desk, path: str) -> list[tuple[list[Decimal], Decimal]]:
    """Amounts of each meter's lines, and what stands below them."""
    page = desk.get(path, accept="text/html").text
    found: list[tuple[list[Decimal], Decimal]] = []
    for table in re.findall(r'<table class="rows bill">(.*?)</table>', page, re.DOTALL):
        body, _, foot = table.partition("<tfoot>")
        amounts = [last_number(row) for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL)[1:]]
        found.append((amounts, last_number(foot)))
    return found


def last_number(row: str) -> Decimal:
    return Decimal(re.findall(r"-?[\d.]+", text_of(row))[-1])


@pytest.mark.parametrize("number", [1, 2])
def test_lines_of_a_bill_add_up_to_its_sum_to_the_last_digit_s2_21(town: Desk, number: int) -> None:
    path = f"{HOUSE}?number={number}"
    tables = rows_of_bill(town, path)
    assert len(tables) == 3
    for amounts, total in tables:
        assert sum(amounts) == total
        assert len(amounts) > 1
    said = shown(town, path)
    whole = re.search(r"Sum of this bill ([\d.]+)", said)
    assert whole is not None
    assert sum(total for _, total in tables) == Decimal(whole[1])


def test_bill_of_the_ledger_is_the_bill_of_the_page(town: Desk) -> None:
    path = "/v1/contracts/metering/state?path=bill/ewz/home-1/000002"
    (row,) = town.get(path).json()["rows"]
    coins = int(re.findall(r'"coins": (\d+), "decimals"', row["value"])[0])
    assert f"Amount {Decimal(coins) / 100}" in shown(town, HOUSE)
    assert row["proof"] in town.get(HOUSE, accept="text/html").text


def test_bill_shows_what_was_fed_in_as_a_deduction(town: Desk) -> None:
    said = shown(town, f"{HOUSE}?number=1")
    assert re.search(r"Fed in [\d.]+ 0\.098\d* -[\d.]+", said)


def test_correction_shows_original_corrected_who_and_why(town: Desk) -> None:
    said = shown(town, HOUSE)
    assert re.search(r"w-1 corrected 88\.\d+ 88\.\d+ ewz/operator Read by hand", said)


def test_last_bill_is_shown_first_and_earlier_ones_can_be_opened(town: Desk) -> None:
    page = town.get(HOUSE, accept="text/html").text
    assert f'href="{HOUSE}?number=1"' in page
    assert "Bill 2 of 2" in text_of(page)
    earlier = town.get(f"{HOUSE}?number=1", accept="text/html").text
    assert f'href="{HOUSE}?number=2"' in earlier


def test_household_without_a_bill_has_a_page(desk: Desk) -> None:
    desk.run(stage_metering(desk.world, hours=1))
    assert "home-2" in shown(desk, "/contracts/metering/households")
    assert "Bill 1 of 1" in shown(desk, "/contracts/metering/households/ewz/home-2")
    desk.run(bill(desk.world, "home-2"))
    said = shown(desk, "/contracts/metering/households/ewz/home-2")
    assert "Nothing was used since the bill before" in said


def test_page_knows_the_kinds_that_the_contract_knows() -> None:
    assert sheet_metering.EXPONENTS == scenario.EXPONENTS
    assert sheet_metering.PRICE_DECIMALS == scenario.PRICE_DECIMALS
    assert set(sheet_metering.UNITS) == set(scenario.UNITS)


# --- packs ---------------------------------------------------------------------------------------


def test_pack_status_has_the_published_columns_and_rows_open_receipts_s0_59(town: Desk) -> None:
    page = town.get(PACK, accept="text/html").text
    tables = re.findall(r'<table class="rows tight">(.*?)</table>', page, re.DOTALL)
    for table in tables:
        head = [text_of(one).strip() for one in re.findall(r"<th.*?</th>", table)]
        assert [one for one in head if one in COLUMNS] == COLUMNS
    rows = re.findall(r"<tr data-key.*?</tr>", tables[0], re.DOTALL)
    assert len(rows) == 5
    for row, name in zip(rows, MODULES, strict=True):
        assert re.match(rf" {name} ewz/{name} \d\d\.\d{{3}} 3\.\d{{3}} 0\.\d{{3}} ", text_of(row))
        (receipt,) = re.findall(r'href="(/receipts/[^"]+)"', row)
        assert "for record" in shown(town, receipt)
    history = re.findall(r"<tr data-key.*?</tr>", tables[1], re.DOTALL)
    assert len(history) >= 9
    assert all('href="/receipts/' in row for row in history)


COLUMNS = ["Id", "Address", "Voltage(V)", "Current(I)", "SOC"]


def test_status_lists_every_module_with_its_age_s0_42(town: Desk) -> None:
    said = shown(town, PACK)
    assert len(re.findall(r"PI-\d ewz/PI-\d [\d.]+ [\d.]+ [\d.]+ .*?\d+ min Receipt", said)) == 5


def test_faulty_cell_is_marked_in_words_and_in_the_picture(town: Desk) -> None:
    page = town.get(PACK, accept="text/html").text
    assert page.count('<rect class="bad"') == 1
    assert re.search(r"PI-4: cell 7 at \d\.\d{3} V", text_of(page))
    assert "1 faulty cell" in text_of(page)


def test_module_never_heard_is_said_to_be(town: Desk) -> None:
    said = shown(town, "/contracts/battery/packs/pack-2")
    assert "1 never heard" in said
    assert "PI-9 ewz/PI-9 never heard" in said


def test_age_counts_up_to_now_though_the_ledger_rests(tmp_path: Path) -> None:
    for gated in open_gate(tmp_path, "open"):
        gated.desk.run(stage_battery(gated.desk.world, minutes=2))
        gated.clock.s = gated.desk.world.service.now_ms // 1000 + 7_200
        assert "2 h Receipt" in shown(gated.desk, PACK)


# --- machines ------------------------------------------------------------------------------------


def test_machine_shows_counters_limits_and_what_it_asks_for(town: Desk) -> None:
    said = shown(town, PUMP)
    assert re.search(r"vibration Hz service 61\.\d ≤ 60 8 / 40 20 % ", said)
    assert "temperature °C 71.25 ≤ 200 0 / 1000" in said
    assert "voltage V 230.4 207 – 253" in said
    assert "pressure Pa 205300 none" in said
    assert "asks for service: vibration" in said


def test_machine_shows_its_orders_from_request_to_rating(town: Desk) -> None:
    said = shown(town, PUMP)
    assert "No. 2 service, for vibration waiting The machine asks" in said
    steps = [said.index(word) for word in ("accepted", "completed", "Bearing replaced", "Quick,")]
    assert steps == sorted(steps)
    assert "★★★★" in said
    assert "4.0 of 5 in 1" in said
    assert "Grease the bearings, next" in said


def test_machines_that_ask_come_first(town: Desk) -> None:
    said = shown(town, "/contracts/maintenance/machines")
    assert said.index("pump-1") < said.index("pump-2")
    assert "pump-1 ewz 1 request vibration 20 %" in said


# --- other contracts, other eyes -----------------------------------------------------------------

ODD = '''"""Keeps whatever it is told, where others look for households, packs and machines."""


def on_reading(ctx, old, record):
    return (None, [])


def fill(ctx, value):
    """Put one value everywhere."""
    for path in [
        "household/ewz/home-1", "bill/ewz/home-1/000001", "device/ewz/m-1", "pack/pack-1",
        "order/ewz/m-1/1", "machine/ewz/m-1", "plan/ewz/m-1", "note/ewz/m-1/000001",
    ]:
        put(path, value["it"])


def install(ctx):
    pass


def bill(ctx):
    pass
'''
ODD_MANIFEST: dict[str, object] = {
    "name": "odd",
    "version": 1,
    "calls": {
        "fill": {"args": {"value": "map"}},
        "install": {"args": {}},
        "bill": {"args": {}},
    },
}
ODD_VALUES: list[Any] = [
    5,
    "text",
    [1, 2],
    {},
    {"meters": "ewz/m-1", "bills": "x", "total": True, "modules": 5, "lines": 7},
    {"meters": [5, "m-1", "ewz/m-1"], "bills": 1, "modules": [5, "", "a/b/c/d", "ewz/m-1"]},
    {
        "lines": [5, {"use": {"x": 5, "7": "y"}, "kind": "nothing", "fed": []}],
        "bills": 1,
        "meters": [],
    },
    {"last": {"t": "on", "p": -5}, "limits": {"t": 5, "p": {"upper": "x", "count": 0}}, "seq": "x"},
    {
        "voltage": "x",
        "cells": ["a", 5],
        "faulty": [1, "b"],
        "block_ms": -5,
        "soc": -1,
        "waiting": {"t": 5},
    },
    {"history": [5, {"state": 5}], "order": "x", "time_ms": 10**18, "claimed_ms": 10**18},
]


@pytest.mark.parametrize("value", ODD_VALUES, ids=lambda value: str(value)[:40])
def test_contract_that_keeps_something_else_gives_a_page_and_no_failure(
    desk: Desk, value: object
) -> None:
    desk.run(desk.world.deploy(ODD_MANIFEST, ODD))
    desk.send(desk.world.reading("m-1"))
    desk.run(desk.world.call("fill", {"value": {"it": value}}, contract="odd"))
    for path in (
        *("", "/households", "/households/ewz/home-1", "/packs", "/packs/pack-1"),
        *("/machines", "/machines/ewz/m-1"),
    ):
        answer = desk.get(f"/contracts/odd{path}", accept="text/html")
        assert answer.status_code == 200, (path, answer.text[:300])


@pytest.mark.parametrize(
    ("value", "exponent", "places", "expected"),
    [
        (3_899_000, -6, 0, "3.899"),
        (3_000_000, -6, 0, "3"),
        (3_000_000, -6, 3, "3.000"),
        (-5, -3, 0, "-0.005"),
        (0, -6, 0, "0"),
        (12, 0, 2, "12.00"),
        (12, 2, 0, "1200"),
        (10**20, -9, 0, "100000000000"),
    ],
)
def test_kept_numbers_are_written_exactly(
    value: int, exponent: int, places: int, expected: str
) -> None:
    assert kept.scaled(value, exponent, places=places) == expected


@pytest.mark.parametrize(
    ("age_ms", "expected"),
    [(-5, "0 s"), (59_999, "59 s"), (60_000, "1 min"), (7_200_000, "2 h"), (200_000_000, "2 d")],
)
def test_age_is_told_in_two_words(age_ms: int, expected: str) -> None:
    assert kept.age_text(age_ms) == expected


def test_charge_is_told_to_the_tenth() -> None:
    assert [sheet_battery.percent(one) for one in (0, 899_999, 1_000_000)] == [
        "0.0",
        "89.9",
        "100.0",
    ]


def documented_rules() -> dict[str, Any]:
    """The household's rules as the operator's page has them."""
    page = (Path(__file__).parents[3] / "docs/operating/access.md").read_text()
    block = next(one for one in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "own =" in one)
    tables = tomllib.loads(block)
    return {"rules": tables["rule"], "own": tables["own"]}


class TestUnderRules:
    """The rules that the operator's page recommends, on a ledger with the metering contract."""

    @pytest.fixture
    def gated(self, tmp_path: Path) -> Iterator[Gated]:
        for gated in open_gate(tmp_path, "rules"):
            gated.desk.run(stage_metering(gated.desk.world, hours=3))
            gated.desk.run(self.furnish(gated))
            yield gated

    async def furnish(self, gated: Gated) -> None:
        from access_stage import proof

        world = gated.desk.world
        ledger = world.service.view.ledger
        members = [
            {"sub": sub, "roles": ["consumer"], "proof": proof(ledger, "ewz", sub)}
            for sub in ("home-1", "home-2")
        ]
        await world.call("enrol", {"members": members})
        await world.call("policy", documented_rules())

    def page(self, gated: Gated, who: str, path: str) -> tuple[int, str]:
        answer = gated.ask(member(who), path, accept="text/html")
        return answer.status_code, text_of(answer.text)

    def test_household_opens_its_bill_meters_and_receipts_and_nothing_is_denied_s2_5(
        self, gated: Gated
    ) -> None:
        status, said = self.page(gated, "home-1", HOUSE)
        assert status == 200
        for word in ("Sum of this bill", "e-1", "g-1", "w-1", "Read by hand"):
            assert word in said
        for path in (
            *("/", "/devices", "/devices/ewz/e-1", "/receipts/ewz/e-1/0/0"),
            *("/contracts", "/contracts/metering", "/contracts/metering/households"),
        ):
            status, said = self.page(gated, "home-1", path)
            assert status == 200, path
            assert "e-2" not in said
            assert "home-2" not in said
        assert gated.denials() == []

    def test_neighbours_bill_and_meters_stay_closed_s2_5(self, gated: Gated) -> None:
        for path in (
            "/contracts/metering/households/ewz/home-2",
            "/devices/ewz/e-2",
            "/receipts/ewz/e-2/0/0",
            "/blocks",
        ):
            status, said = self.page(gated, "home-1", path)
            assert status == 403
            assert "Sum of this bill" not in said
        assert {one.denial.who for one in gated.denials()} == {"ewz/home-1"}

    def test_member_without_a_rule_sees_no_bill_s2_6(self, gated: Gated) -> None:
        for path in (HOUSE, "/contracts/metering/households", "/contracts/metering", "/contracts"):
            assert self.page(gated, "probe", path)[0] == 403

    def test_reader_of_the_ledger_sees_the_text_and_not_the_values(self, gated: Gated) -> None:
        token = gated.token("ledger")
        answer = gated.ask(token, "/contracts/metering", accept="text/html")
        assert answer.status_code == 200
        assert "nothing that is yours to read" in text_of(answer.text)
        assert "Readings are shown" in text_of(answer.text)
        assert gated.ask(token, HOUSE, accept="text/html").status_code == 403
