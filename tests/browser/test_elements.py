"""The custom elements, from the hub's own files, on pages of another origin."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import Page, expect
from starlette.responses import HTMLResponse

from tests.support.asgi_server import live_server
from tests.support.axe import axe_script
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish
from tests.support.tokens import SECRET, bearer

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

CHANNEL: Final = "drafts"

DOCUMENT: Final = """<!doctype html>
<html lang="en" {attributes}>
  <meta charset="utf-8">
  <meta name="color-scheme" content="light dark">
  <link rel="icon" href="data:,">
  <title>Drafts</title>
  <script type="module" src="{hub}/assets/client/elements.js"></script>
  <main><h1>Drafts</h1>{body}</main>
</html>"""

EVERYTHING: Final = """
  <status-badge></status-badge>
  <status-badge channel="drafts"></status-badge>
  <status-badge content-id="failed" channel="drafts"></status-badge>
  <status-progress content-id="running" channel="drafts"></status-progress>
  <status-progress content-id="unknown" channel="drafts" label="Not there yet"></status-progress>
  <status-list channel="drafts"></status-list>
"""

Open = Callable[..., None]


@pytest.fixture
def hub() -> Iterator[LiveHub]:
    """A hub with a content in each phase."""
    with live_hub("memory:") as hub:
        publish(hub, "waiting", "idle", CHANNEL, processing_status="pending")
        publish(hub, "running", "generating", CHANNEL, progress=45, title="Summer", step="encoding_audio")
        publish(hub, "starting", "generating", CHANNEL)
        publish(hub, "failed", "error", CHANNEL, error_message="<img src=x onerror=alert(1)>")
        publish(hub, "done", "complete", CHANNEL)
        yield hub


@pytest.fixture
def opened(page: Page, hub: LiveHub) -> Iterator[Open]:
    """Opens a page with these elements, and leaves it in the end."""
    texts = {"/ticket": ""}

    async def site(scope: Any, receive: Any, send: Any) -> None:
        await HTMLResponse(texts[scope["path"]])(scope, receive, send)

    def opens(body: str, attributes: str = "", hub_url: str = hub.base_url, ticket: str = "") -> None:
        texts["/"] = DOCUMENT.format(hub=hub_url, body=body, attributes=attributes)
        texts["/ticket"] = ticket
        page.goto(url)

    with live_server(site, http="h11") as url:
        yield opens
        page.goto("about:blank")


def streams(hub: LiveHub) -> int:
    """How many are open at the hub."""
    found = re.search(r"^statushub_streams (\d+)", httpx.get(f"{hub.base_url}/metrics").text, re.MULTILINE)
    assert found is not None
    return int(found[1])


def row(page: Page, content_id: str) -> Any:
    return page.locator(f'status-list [data-content="{content_id}"]')


def test_a_list_shows_each_phase_and_follows(page: Page, hub: LiveHub, opened: Open) -> None:
    """Rows stay where they are, new ones come first, removed ones go, and texts are texts."""
    opened('<status-list channel="drafts"></status-list>')
    items = page.get_by_role("listitem")
    badges = items.locator("[part~=badge]")
    expect(badges).to_have_text(["Completed", "Failed", "Processing", "Processing", "Pending"])
    expect(row(page, "failed").locator("[part=error]")).to_have_text("<img src=x onerror=alert(1)>")
    bars = items.get_by_role("progressbar")
    values = [bars.nth(number).get_attribute("aria-valuenow") for number in range(5)]
    assert values == ["100", "0", None, "45", "0"]
    expect(page.get_by_role("progressbar", name="Summer")).to_have_attribute("aria-valuetext", "45%, encoding audio")
    publish(hub, "running", "complete", CHANNEL, title="Summer")
    expect(badges).to_have_text(["Completed", "Failed", "Processing", "Completed", "Pending"])
    publish(hub, "new", "generating", CHANNEL)
    expect(items).to_have_count(6)
    expect(items.first).to_contain_text("new")
    page.request.post(f"{hub.base_url}/api/contents/{CHANNEL}/remove", data={"content_ids": ["failed"]})
    expect(row(page, "failed")).to_have_count(0)


def test_an_end_is_announced_and_progress_is_not(page: Page, hub: LiveHub, opened: Open) -> None:
    """Politely, with its name."""
    opened('<status-list channel="drafts"></status-list>')
    announcer = page.locator("status-list [aria-live=polite]")
    expect(row(page, "running")).to_be_visible()
    publish(hub, "running", "generating", CHANNEL, progress=60, title="Summer")
    expect(page.get_by_role("progressbar", name="Summer")).to_have_attribute("aria-valuenow", "60")
    expect(announcer).to_have_text("")
    publish(hub, "running", "error", CHANNEL, title="Summer", error_message="no sound")
    expect(announcer).to_have_text("Summer: Failed: no sound")


def test_a_list_shows_as_many_as_its_limit(page: Page, hub: LiveHub, opened: Open) -> None:
    """And says how many more there are; without any it says so in the page's words."""
    opened(
        '<status-list channel="drafts" limit="2"></status-list>'
        '<status-list channel="empty"><em slot="empty">Leer</em></status-list>'
    )
    expect(page.get_by_role("listitem")).to_have_count(2)
    expect(page.get_by_text("and 3 more")).to_be_visible()
    expect(page.get_by_text("Leer")).to_be_visible()


def test_elements_of_a_hub_share_its_stream(page: Page, hub: LiveHub, opened: Open) -> None:
    """They are within a `<status-hub>`, or without one those of the hub that serves the module."""
    opened(
        f'<status-hub url="{hub.base_url}" channels="drafts, other">'
        '<status-badge></status-badge><status-progress content-id="running"></status-progress>'
        '<div><status-badge content-id="done"></status-badge></div></status-hub>'
    )
    badges = page.locator("status-badge")
    expect(badges.first).to_have_text("Live")
    expect(badges.last).to_have_text("Completed")
    expect(page.get_by_role("progressbar", name="Summer")).to_be_visible()
    assert streams(hub) == 1
    page.evaluate("document.querySelector('status-hub').setAttribute('channels', 'other')")
    expect(badges.last).to_have_text("…")
    page.evaluate("document.querySelector('status-badge:last-of-type').remove()")


def test_a_page_has_tickets_of_its_backend(page: Page, opened: Open) -> None:
    """Where the hub wants a token."""
    with live_hub("memory:", secret=SECRET) as hub:
        headers = bearer()
        page.request.post(
            f"{hub.base_url}/api/publish",
            headers=headers,
            data={"channel": CHANNEL, "content_id": "a", "data": {"status": "generating"}},
        )
        ticket = page.request.post(f"{hub.base_url}/api/tickets", headers=headers).text()
        body = f'<status-hub url="{hub.base_url}" ticket-url="/ticket"><status-list channel="drafts"></status-list>'
        opened(f"{body}</status-hub>", hub_url=hub.base_url, ticket=ticket)
        expect(page.get_by_role("listitem")).to_contain_text("Processing")
        page.goto("about:blank")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("attributes", ["", 'dir="rtl"'])
def test_axe_finds_nothing(page: Page, hub: LiveHub, opened: Open, scheme: Any, attributes: str) -> None:
    """All elements in each phase, on light and dark pages, in both directions."""
    axe = axe_script()
    page.emulate_media(color_scheme=scheme)
    opened(EVERYTHING, attributes)
    expect(page.get_by_role("listitem")).to_have_count(5)
    page.add_script_tag(path=axe)
    found = page.evaluate("axe.run().then(({ violations, passes }) => [violations, passes.map(({ id }) => id)])")
    assert found[0] == []
    assert {"color-contrast", "aria-progressbar-name", "listitem"} <= set(found[1])


def test_a_bar_grows_from_the_side_where_a_line_begins(page: Page, opened: Open) -> None:
    """From the right in a page that is written so."""
    opened('<status-progress content-id="running" channel="drafts"></status-progress>', 'dir="rtl"')
    bar = page.get_by_role("progressbar", name="Summer")
    fill = bar.locator("[part=fill]")
    expect(bar).to_have_attribute("aria-valuenow", "45")
    page.evaluate(
        "Promise.all(document.querySelector('status-progress').shadowRoot.getAnimations().map((one) => one.finished))"
    )
    outer, inner = bar.bounding_box(), fill.bounding_box()
    assert outer is not None
    assert inner is not None
    assert abs(outer["x"] + outer["width"] - inner["x"] - inner["width"]) < 1
    assert 0.4 < inner["width"] / outer["width"] < 0.5


def test_nothing_moves_where_that_is_not_wanted(page: Page, opened: Open) -> None:
    """With reduced motion there are neither animations nor transitions."""
    moving = (
        "(id) => getComputedStyle(document.querySelector(id).shadowRoot.querySelector('[part=fill]')).animationName"
    )
    opened('<status-progress content-id="starting" channel="drafts"></status-progress>')
    expect(page.get_by_role("progressbar", name="starting")).not_to_have_attribute("aria-valuenow", "0")
    assert page.evaluate(moving, "status-progress") == "moving"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moving, "status-progress") == "none"


def test_a_page_sets_colours_and_parts(page: Page, opened: Open) -> None:
    """By custom properties and `::part`, from outside."""
    opened(
        "<style>status-badge { --status-completed: rgb(1, 2, 3) }"
        "status-badge::part(badge) { font-weight: 900 }</style>"
        '<status-badge content-id="done" channel="drafts"></status-badge>'
    )
    badge = page.locator("status-badge [part~=badge-completed]")
    expect(badge).to_have_css("background-color", "rgb(1, 2, 3)")
    expect(badge).to_have_css("font-weight", "900")
