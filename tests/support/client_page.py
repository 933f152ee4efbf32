"""Pages with the JavaScript client: `hub` is their connection, `seen` what it told, `states` its own."""

from __future__ import annotations

import re
from typing import Any

import httpx
from playwright.sync_api import BrowserContext, Page

BLANK = '<!doctype html><link rel="icon" href="data:,"><title>A page</title>'

CONNECT = """
    async (options) => {
        const { connect } = await import("/assets/client/index.js");
        window.hub = connect({ channels: ["c"], ...options });
        window.seen = [];
        window.states = [];
        hub.on("status", ({ id, content }) => seen.push(`${id} ${content.data.progress ?? content.phase}`));
        hub.on("state", () => states.push(hub.state));
    }
"""

PAGE_MS = 20_000


def open_page(page: Page | BrowserContext, base_url: str) -> Page:
    """A page of the hub's origin that has nothing of its own."""
    opened = page.new_page() if isinstance(page, BrowserContext) else page
    opened.route(f"{base_url}/blank", lambda route: route.fulfill(content_type="text/html", body=BLANK))
    opened.set_default_timeout(PAGE_MS)
    opened.goto(f"{base_url}/blank")
    return opened


def connected(page: Page | BrowserContext, base_url: str, **options: Any) -> Page:
    """A page whose client is connected."""
    opened = open_page(page, base_url)
    opened.evaluate(CONNECT, options)
    return opened


def becomes(page: Page, state: str) -> None:
    page.wait_for_function("(state) => hub.state === state", arg=state)


def shows(page: Page, content_id: str, value: Any) -> None:
    """Wait until the page has a content with this progress or phase."""
    page.wait_for_function(
        "([id, value]) => [hub.get(id)?.phase, hub.get(id)?.data.progress].includes(value)", arg=[content_id, value]
    )


def streams(base_url: str) -> int:
    """The streams that are open at the hub, as it counts them."""
    found = re.search(r"(?m)^statushub_streams (\d+)", httpx.get(f"{base_url}/metrics").text)
    assert found
    return int(found[1])
