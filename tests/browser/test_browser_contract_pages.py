"""Pages about contracts in a real browser: laptop and phone, light and dark, with and without scripts."""

from collections.abc import Iterator

import pytest
from app_site import AppSite
from app_stage import MODULES
from playwright.sync_api import Browser, Error, expect
from site_reader import Reader

from drystone.api.border import ApiSettings
from drystone.formats.senml import Measurement

pytestmark = pytest.mark.browser

BILL = "/contracts/metering/households/ewz/home-1"
PACK = "/contracts/battery/packs/pack-1"
PUMP = "/contracts/maintenance/machines/ewz/pump-1"
PATHS = [
    "/contracts",
    "/contracts/battery",
    "/contracts/metering",
    "/contracts/metering/households",
    BILL,
    "/contracts/battery/packs",
    PACK,
    "/contracts/battery/packs/pack-2",
    "/contracts/maintenance/machines",
    PUMP,
]
CONTRAST = """(where) => {
    const light = (text) => {
        const parts = text.match(/[\\d.]+/g).slice(0, 3).map((part) => {
            const one = part / 255;
            return one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const ground = (one) => {
        for (let at = one; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (!/^rgba\\(.*, (0|0\\.\\d+)\\)$/.test(colour)) return light(colour);
        }
        return 1;
    };
    const worst = [...document.querySelectorAll(where)].map((one) => {
        const ink = light(getComputedStyle(one).color);
        const under = ground(one);
        return (Math.max(ink, under) + 0.05) / (Math.min(ink, under) + 0.05);
    });
    return Math.min(...worst);
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[AppSite]:
    running = AppSite()
    yield running
    running.stop()


@pytest.mark.parametrize("path", PATHS)
def test_page_opens_without_a_complaint_and_asks_nobody_else(laptop: Reader, path: str) -> None:
    page = laptop.open(path)
    expect(page.locator("h1").first).to_be_visible()
    page.wait_for_load_state("load")
    assert laptop.complaints == []
    assert [url for url in laptop.requested if not url.startswith(laptop.url)] == []


@pytest.mark.parametrize("path", PATHS)
def test_page_fits_a_phone(phone: Reader, path: str) -> None:
    page = phone.open(path)
    expect(page.locator("h1").first).to_be_visible()
    room = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(room) == 0
    cut = """[...document.querySelectorAll('.card')].filter(
        (card) => card.scrollWidth > card.clientWidth + 1).length"""
    assert page.evaluate(cut) == 0
    assert phone.complaints == []


@pytest.mark.parametrize("path", ["/contracts/battery", BILL, PACK, PUMP])
def test_page_is_readable_by_day_and_in_the_dark(
    laptop: Reader, dark_laptop: Reader, path: str
) -> None:
    where = ".card h2, .card td, .card th, .card .dim, .card a, .chip, .note, .source code span"
    for reader in (laptop, dark_laptop):
        assert reader.open(path).evaluate(CONTRAST, where) > 4.5


@pytest.mark.parametrize("path", PATHS)
def test_page_says_all_it_has_without_scripts(scriptless: Reader, path: str) -> None:
    page = scriptless.open(path)
    assert page.locator("table.rows tbody tr").count() > 0


def test_charge_of_five_modules_and_the_pack_is_drawn_s0_61(laptop: Reader) -> None:
    page = laptop.open(PACK)
    chart = page.locator("#soc")
    expect(chart).to_be_visible()
    expect(chart).to_have_attribute("data-drawn", "5")
    expect(chart.locator("canvas")).to_have_count(1)
    keys = chart.locator(".legend .key")
    expect(keys).to_have_count(6)
    for name, key in zip([*MODULES, "pack"], keys.all(), strict=True):
        expect(key).to_contain_text(name)
    least = page.locator(".tile .big").first.inner_text()
    assert least.split()[0] in keys.last.inner_text()


def test_new_reading_moves_table_and_chart_without_a_reload_s0_61(
    laptop: Reader, site: AppSite
) -> None:
    page = laptop.open(PACK)
    expect(page.locator("#soc")).to_have_attribute("data-drawn", "5")
    expect(page.locator("#live")).to_have_text("live")
    page.evaluate("window.stayed = true")
    pack = [
        Measurement("voltage", "V", (-3, 40_404), site.world.service.now_ms // 1000),
        Measurement("current", "A", (-3, 3_456), site.world.service.now_ms // 1000),
        Measurement("soc", "/", (-3, 101), site.world.service.now_ms // 1000),
    ]
    raw = site.world.reading("PI-2", measurements=pack)
    site.run(site.world.service.submit(raw, wait="committed"))
    expect(page.locator("table.rows").first).to_contain_text("40.404")
    expect(page.locator(".legend .key").nth(1)).to_have_text("PI-2 10.1 %")
    expect(page.locator(".legend .key-pack")).to_have_text("pack 10.1 %")
    assert page.evaluate("window.stayed") is True


def test_row_of_the_pack_opens_its_receipt_s0_59(laptop: Reader) -> None:
    page = laptop.open(PACK)
    page.locator("table.rows tbody tr").first.get_by_text("Receipt").click()
    expect(page.locator("h1")).to_contain_text("Receipt")
    expect(page.locator(".says")).to_contain_text("V")


def test_call_leads_to_its_line_in_the_source(laptop: Reader) -> None:
    page = laptop.open("/contracts/battery")
    page.locator(".calls").get_by_text("pack_status").click()
    line = page.locator(".source li:target")
    expect(line).to_contain_text("def pack_status")
    expect(line).to_be_in_viewport()


def test_source_can_be_copied_without_its_line_numbers(laptop: Reader) -> None:
    page = laptop.open("/contracts/battery")
    page.locator("#L3").click(click_count=3)
    assert not page.evaluate("getSelection().toString()").lstrip().startswith("3")
    assert page.locator("#L3").inner_text().startswith("Every number kept")


def test_bills_are_walked_one_to_the_next(laptop: Reader) -> None:
    page = laptop.open(BILL)
    expect(page.locator(".bill-head")).to_contain_text("Bill 2 of 2")
    page.get_by_role("link", name="Bill before").click()
    expect(page.locator(".bill-head")).to_contain_text("Bill 1 of 2")
    page.get_by_role("link", name="Next bill").click()
    expect(page.locator(".bill-head")).to_contain_text("Bill 2 of 2")


def test_faulty_module_stands_out_and_its_cells_are_listed(laptop: Reader) -> None:
    page = laptop.open(PACK)
    expect(page.locator("tr.faulty")).to_have_count(1)
    expect(page.locator("tr.faulty")).to_contain_text("PI-4")
    page.get_by_text("Cell by cell").click()
    expect(page.locator(".cell.faulty")).to_have_count(1)
    expect(page.locator(".cell.faulty")).to_contain_text("7")


def test_browser_signs_in_with_a_token_as_the_password(chromium: Browser, site: AppSite) -> None:
    settings: ApiSettings = site.world.app.state.settings
    object.__setattr__(settings, "policy", "members")
    try:
        stranger = chromium.new_context()
        with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
            stranger.new_page().goto(site.url + PACK)
        stranger.close()
        secret = settings.token.secret.decode()
        known = chromium.new_context(http_credentials={"username": "me", "password": secret})
        reader = Reader(known.new_page(), site.url)
        page = reader.open(PACK)
        expect(page.locator("#soc")).to_have_attribute("data-drawn", "5")
        expect(page.locator("#live")).to_have_text("live")
        known.close()
    finally:
        object.__setattr__(settings, "policy", "open")
