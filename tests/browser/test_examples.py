"""The HTML page of the examples in a browser, served as its comment says."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, Route, expect
from starlette.staticfiles import StaticFiles

from tests.support.asgi_server import live_server
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish
from tests.support.snippets import ROOT

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

CHANNEL = "drafts"
REOPEN_MS = 5_000
"""The delay in page.html before a closed stream is opened again."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """A server of the examples, on an origin of its own."""
    with live_server(StaticFiles(directory=ROOT / "examples"), http="h11") as base_url:
        yield base_url


@pytest.fixture
def hub() -> Iterator[LiveHub]:
    """A hub with one content in progress."""
    with live_hub("memory:") as hub:
        publish(hub, "first", "generating", CHANNEL, progress=45)
        yield hub


def open_page(page: Page, site: str, hub: LiveHub) -> None:
    page.goto(f"{site}/page.html?{urlencode({'hub': hub.base_url, 'channel': CHANNEL})}")


def test_the_page_shows_a_channel(page: Page, site: str, hub: LiveHub) -> None:
    """The page shows the state, each change and a final state; names are text, not markup."""
    open_page(page, site, hub)
    expect(page.locator("#connection")).to_have_text("live")
    row = page.locator("#content-first")
    expect(row.locator("td")).to_have_text(["first", "generating", "45"])
    publish(hub, "first", "complete", CHANNEL)
    expect(row).to_have_attribute("data-status", "complete")
    publish(hub, "<b>bold</b>", "error", CHANNEL)
    expect(page.locator("#contents tr").first.locator("td").first).to_have_text("<b>bold</b>")
    page.goto("about:blank")


def test_the_page_reopens_a_closed_stream(page: Page, site: str, hub: LiveHub, tolerated: list[str]) -> None:
    """A 502 closes an EventSource permanently; the page opens another one after a delay."""
    tolerated.append("502 (Bad Gateway)")
    page.clock.install()
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(status=502, body="a proxy without a hub")
        else:
            route.continue_()

    page.route("**/events*", answer)
    open_page(page, site, hub)
    expect(page.locator("#connection")).to_have_text("closed")
    page.clock.run_for(REOPEN_MS)
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#content-first")).to_be_visible()
    page.goto("about:blank")
