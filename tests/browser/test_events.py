"""Pages on a hub whose events have no names: those that have only `onmessage`, and those that need names."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from tests.support.asgi_server import live_server
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish
from tests.support.snippets import ROOT

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

OLD_PAGE = """<!doctype html>
<link rel="icon" href="data:,">
<p id="shown"></p>
<script>
  const source = new EventSource("HUB/api/contents/c/events");
  source.onmessage = (event) => {
    const said = JSON.parse(event.data);
    if (said.type !== "heartbeat") shown.append(`${said.type} ${said.content_id ?? ""} ${event.lastEventId}; `);
  };
</script>"""


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    """A hub with one content, started with `--events message`."""
    with live_hub("memory:", events="message") as hub:
        publish(hub, "first", "generating")
        yield hub


def test_a_page_that_has_only_onmessage_works_unchanged(page: Page, hub: LiveHub) -> None:
    """It sees the state, `ready` and what follows, with the cursors."""
    with live_server(HTMLResponse(OLD_PAGE.replace("HUB", hub.base_url)), http="h11") as site:
        page.goto(site)
        shown = page.locator("#shown")
        expect(shown).to_contain_text("content_status_update first")
        expect(shown).to_contain_text("ready")
        cursor = publish(hub, "second", "complete")
        expect(shown).to_contain_text(f"processing_complete second {cursor}")
        page.goto("about:blank")


def test_the_dashboard_asks_for_names(page: Page, hub: LiveHub) -> None:
    """It is live, and shows what happens."""
    page.goto(f"{hub.base_url}/?channel=c")
    expect(page.locator("#connection[data-state=live]")).to_be_visible()
    publish(hub, "third", "generating")
    expect(page.locator('.row[data-content="third"]')).to_be_visible()
    page.goto("about:blank")


def test_the_example_asks_for_names(page: Page, hub: LiveHub) -> None:
    """It is live, and shows the state."""
    with live_server(StaticFiles(directory=ROOT / "examples"), http="h11") as site:
        page.goto(f"{site}/page.html?{urlencode({'hub': hub.base_url, 'channel': 'c'})}")
        expect(page.locator("#connection")).to_have_text("live")
        expect(page.locator("#content-first")).to_be_visible()
        page.goto("about:blank")
