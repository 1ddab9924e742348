"""Chromium on a site that runs in a thread; both live as long as the module's tests."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from site_reader import Reader
from site_under_test import Site

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    running = Site()
    yield running
    running.stop()


@pytest.fixture
def laptop(chromium: Browser, site: Site) -> Iterator[Reader]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    yield Reader(context.new_page(), site.url)
    context.close()


@pytest.fixture
def dark_laptop(chromium: Browser, site: Site) -> Iterator[Reader]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, color_scheme="dark")
    yield Reader(context.new_page(), site.url)
    context.close()


@pytest.fixture
def phone(chromium: Browser, site: Site) -> Iterator[Reader]:
    context = chromium.new_context(viewport={"width": 360, "height": 740}, has_touch=True)
    yield Reader(context.new_page(), site.url)
    context.close()


@pytest.fixture
def scriptless(chromium: Browser, site: Site) -> Iterator[Reader]:
    context = chromium.new_context(java_script_enabled=False)
    yield Reader(context.new_page(), site.url)
    context.close()
