"""The verifier's page in headless Chromium, opened from disk as a person would open it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "src" / "drystone" / "api" / "web" / "verify.html"

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)

IN_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """The page from disk; any error in it, any word on its console and any request of it fails the test."""
    fresh = browser.new_page()
    noise: list[str] = []
    fresh.on("pageerror", lambda error: noise.append(str(error)))
    fresh.on("console", lambda message: noise.append(message.text))
    fresh.on("request", lambda request: noise.append(request.url))
    fresh.goto(PAGE.as_uri())
    yield fresh
    fresh.close()
    assert [line for line in noise if line != PAGE.as_uri() and not line.startswith("data:")] == []
