"""Pages in a real browser: under their strict policy, on a laptop and a phone, light and dark."""

from pathlib import Path

import pytest
from playwright.sync_api import expect
from site_reader import Reader
from site_under_test import SUBS, Site

pytestmark = pytest.mark.browser

METER = f"/devices/ewz/{SUBS[3]}"
PATHS = [
    "/",
    "/devices",
    METER,
    "/devices/ewz/gw-1?device=thermo-1",
    "/blocks",
    "/blocks/20",
    f"/receipts/ewz/{SUBS[0]}/0/50",
    "/docs",
    "/docs/errors",
]


@pytest.mark.parametrize("path", PATHS)
def test_page_opens_without_a_complaint_and_asks_nobody_else(laptop: Reader, path: str) -> None:
    page = laptop.open(path)
    expect(page.locator("h1").first).to_be_visible()
    page.wait_for_load_state("load")
    assert laptop.complaints == []
    assert [url for url in laptop.requested if not url.startswith(laptop.url)] == []


def test_page_is_readable_in_the_dark(dark_laptop: Reader) -> None:
    page = dark_laptop.open(METER)
    contrast = """() => {
        const light = (text) => {
            const parts = text.match(/[\\d.]+/g).slice(0, 3).map((part) => {
                const one = part / 255;
                return one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
        };
        const card = light(getComputedStyle(document.querySelector('.card')).backgroundColor);
        return [...document.querySelectorAll('.card h2, .card td, .card .dim, .card a')].map((one) => {
            const ink = light(getComputedStyle(one).color);
            return (Math.max(ink, card) + 0.05) / (Math.min(ink, card) + 0.05);
        }).reduce((a, b) => Math.min(a, b));
    }"""
    assert page.evaluate(contrast) > 4.5
    assert dark_laptop.complaints == []


@pytest.mark.parametrize("path", PATHS)
def test_page_fits_a_phone(phone: Reader, path: str) -> None:
    page = phone.open(path)
    expect(page.locator("h1").first).to_be_visible()
    room = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(room) == 0
    cut = """[...document.querySelectorAll('.card')].filter(
        (card) => card.scrollWidth > card.clientWidth + 1).length"""
    assert page.evaluate(cut) == 0


@pytest.mark.parametrize("path", PATHS[:7])
def test_page_says_all_it_has_without_scripts(scriptless: Reader, path: str) -> None:
    page = scriptless.open(path)
    expect(page.locator("main")).not_to_be_empty()
    assert page.locator("table.rows tbody tr, dl.facts dd").count() > 2


def test_chart_draws_one_plot_per_measurement(laptop: Reader) -> None:
    page = laptop.open(METER)
    charts = page.locator("#charts")
    expect(charts).to_be_visible()
    expect(charts.locator("canvas")).to_have_count(2)
    expect(charts.locator(".reads").first).to_contain_text("Wh")


def test_chart_of_a_register_shows_the_change_on_demand(laptop: Reader) -> None:
    page = laptop.open(METER)
    change = page.get_by_role("button", name="Change")
    change.click()
    expect(change).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".plot h3").first).to_contain_text("since the reading before")
    assert laptop.complaints == []


def test_new_reading_appears_by_itself(laptop: Reader, site: Site) -> None:
    page = laptop.open(METER)
    expect(page.locator("#live")).to_have_text("live")
    sub = SUBS[3]
    number = site.world.seqs[sub]
    site.run(site.world.service.submit(site.world.reading(sub, seq=number), wait=None))
    site.world.seqs[sub] = number + 1
    fresh = page.locator(f'tr[data-key="record-0-{number}"]')
    expect(fresh).to_be_visible()
    expect(fresh).to_have_class("fresh")
    assert laptop.complaints == []


def test_overview_follows_the_ledger(laptop: Reader, site: Site) -> None:
    page = laptop.open("/")
    expect(page.locator("#live")).to_have_text("live")
    height = site.world.service.view.height
    site.run(site.world.service.submit(site.world.reading("m-2"), wait=None))
    expect(page.locator(f'tr[data-key="block-{height + 1}"]')).to_be_visible()


def test_reader_goes_from_the_overview_to_a_receipt(laptop: Reader) -> None:
    page = laptop.open("/")
    page.get_by_role("link", name=SUBS[0]).click()
    expect(page.locator("h1")).to_have_text(SUBS[0])
    page.get_by_role("link", name="Receipt", exact=True).first.click()
    expect(page.locator("h2").first).to_have_text("What it proves")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download receipt").click()
    assert download.value.suggested_filename.endswith(".receipt.cose")


def test_receipt_verifies_in_the_served_verifier_under_its_policy(
    laptop: Reader, tmp_path: Path
) -> None:
    page = laptop.open(f"/receipts/ewz/{SUBS[0]}/0/50")
    files: dict[str, Path] = {}
    for slot, name in (
        ("file", "Download receipt"),
        ("trust", "Trust file"),
        ("key", "Device key"),
    ):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        files[slot] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[slot])
    page.get_by_role("link", name="Open the verifier").click()
    page.context.set_offline(True)
    for slot, path in files.items():
        page.set_input_files(f"#{slot}", path)
    expect(page.locator("#result")).to_contain_text("Verified")
    expect(page.locator("#result")).to_contain_text("signature is valid")
    assert laptop.complaints == []


def test_find_leads_to_the_device(phone: Reader) -> None:
    page = phone.open("/devices")
    page.get_by_placeholder("organisation/device").fill(f"ewz/{SUBS[1]}")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("h1")).to_have_text(SUBS[1])


def test_dead_link_ends_on_a_page_with_a_way_out(phone: Reader) -> None:
    page = phone.open("/devices/ewz/nobody")
    expect(page.locator("h1")).to_contain_text("Nothing is stored under this address")
    page.get_by_role("link", name="Overview").last.click()
    expect(page.locator(".sentence")).to_be_visible()


def test_keyboard_reaches_the_content_first(laptop: Reader) -> None:
    page = laptop.open("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


def test_page_stays_when_the_node_goes_away(laptop: Reader) -> None:
    page = laptop.open("/")
    expect(page.locator("#live")).to_have_text("live")
    page.context.set_offline(True)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(".sentence")).to_be_visible()
