"""Removals and cancellations, as pages show them and ask for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.command import ended, line_with, started
from tests.support.live import live_hub
from tests.support.publishing import publish_all
from tests.support.tokens import SECRET, token

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

STOP_SECONDS = 5.0
"""Within which an encode stops, by its own account: 2 s, and as long again on a machine that is busy."""


@pytest.fixture(scope="module")
def hub_url() -> Iterator[str]:
    with live_hub("memory:") as hub:
        yield hub.base_url


@pytest.fixture
def channel(request: pytest.FixtureRequest) -> str:
    """A channel of the test's own, with a slash in its name."""
    return f"browser/{request.node.name}"[:100]


def publish(base_url: str, channel: str, content_id: str, **data: Any) -> None:
    publish_all(base_url, [{"channel": channel, "content_id": content_id, "data": data}])


def show(page: Page, base_url: str, channel: str) -> None:
    """Open the dashboard and wait until it is live."""
    page.goto(f"{base_url}/?channel={quote(channel, safe='')}")
    expect(page.locator("#connection[data-state=live]")).to_be_visible()


def row(page: Page, content_id: str) -> Locator:
    return page.locator(f'.row[data-content="{content_id}"]')


@pytest.fixture
def other(browser: Browser) -> Iterator[Page]:
    """The page of another person."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def test_what_is_removed_leaves_the_page(page: Page, hub_url: str, channel: str) -> None:
    """Single contents, and all of them, without a reload."""
    names = [f"{channel}-{number}" for number in range(3)]
    for name in names:
        publish(hub_url, channel, name, status="generating")
    show(page, hub_url, channel)
    expect(page.locator(".row")).to_have_count(3)
    path = f"{hub_url}/api/contents/{channel}/remove"
    httpx.post(path, json={"content_ids": [names[0]]}).raise_for_status()
    expect(row(page, names[0])).to_have_count(0)
    expect(page.locator("#total-processing")).to_have_text("2")
    httpx.post(path, json={"all": True}).raise_for_status()
    expect(page.locator(".row")).to_have_count(0)
    expect(page.locator("#empty")).to_be_visible()


def test_a_card_cancels_and_both_pages_say_so(page: Page, other: Page, hub_url: str, channel: str) -> None:
    """The button is there while work runs and nothing was asked; a reason is shown as text."""
    publish(hub_url, channel, f"{channel}-run", status="generating", title="A film")
    publish(hub_url, channel, f"{channel}-done", status="complete")
    publish(hub_url, channel, f"{channel}-wait", status="pending")
    show(page, hub_url, channel)
    show(other, hub_url, channel)
    expect(page.locator(".cancel:visible")).to_have_count(1)
    page.get_by_role("button", name="Cancel A film").click()
    for each in (page, other):
        expect(row(each, f"{channel}-run").locator(".note")).to_have_text("Cancel requested")
        expect(each.locator(".cancel:visible")).to_have_count(0)
    asked = {"content_id": f"{channel}-wait", "reason": "<b>enough</b>"}
    httpx.post(f"{hub_url}/api/contents/{channel}/cancel", json=asked).raise_for_status()
    expect(row(other, f"{channel}-wait").locator(".note")).to_have_text("Cancel requested: <b>enough</b>")
    publish(hub_url, channel, f"{channel}-run", status="error", error_code="cancelled")
    expect(row(other, f"{channel}-run").locator(".note")).to_be_hidden()
    expect(row(other, f"{channel}-run").locator(".error")).to_have_text("The work was cancelled.")


def test_what_a_token_may_not_do_is_not_offered(page: Page) -> None:
    """One that only reads neither cancels, removes nor selects; one that cancels does not remove."""
    with live_hub(secret=SECRET) as hub:
        event = {"channel": "c", "content_id": "a", "data": {"status": "generating"}}
        headers = {"Authorization": f"Bearer {token()}"}
        httpx.post(f"{hub.base_url}/api/publish", json=event, headers=headers).raise_for_status()
        for rights, offered in (
            ({"write": []}, []),
            ({"write": [], "cancel": ["c"]}, ["Cancel"]),
            ({}, ["Cancel", "Remove"]),
        ):
            cookie = {"name": "statushub_token", "value": token(**rights), "url": hub.base_url}
            page.context.add_cookies([cookie])  # type: ignore[list-item]
            show(page, hub.base_url, "c")
            expect(row(page, "a").locator(".cancel:visible")).to_have_count(len(offered[:1]))
            expect(row(page, "a").get_by_role("checkbox")).to_have_count(len(offered[:1]))
            row(page, "a").locator(".title").click()
            expect(page.locator("#content .badge")).to_have_text("Processing")
            expect(page.locator("#cancel:visible, #remove:visible")).to_have_text(offered)


def test_a_right_that_was_taken_away_is_told(page: Page, hub_url: str, channel: str, tolerated: list[str]) -> None:
    """In plain words, and the row stays as it is."""
    tolerated.append("403 (Forbidden)")
    publish(hub_url, channel, f"{channel}-a", status="generating")
    show(page, hub_url, channel)
    page.route("**/cancel", lambda route: route.fulfill(status=403, json={"error": {"message": "no"}}))
    row(page, f"{channel}-a").locator(".cancel").click()
    expect(page.get_by_role("alert")).to_have_text("Your sign-in may not do this.")
    expect(row(page, f"{channel}-a").locator(".note")).to_be_hidden()
    expect(row(page, f"{channel}-a").locator(".cancel")).to_be_enabled()


def test_an_encode_is_cancelled_from_another_page(
    page: Page, other: Page, hub_url: str, channel: str, tmp_path: Path
) -> None:
    """A real encode stops soon after the request, by its own account, and both pages say so."""
    name = "cancelled-encode"
    options = ("--hub", hub_url, "--channel", channel, "--content-id", name, "--destination", "out")
    arguments = ("encode", "--sample", "120", "--preset", "veryslow", "--threads", "1", *options)
    show(page, hub_url, channel)
    show(other, hub_url, channel)
    with started(*arguments, cwd=tmp_path, env={"TMPDIR": str(tmp_path)}) as process:
        line_with(process, "transcoding", of="stderr")
        row(other, name).locator(".cancel").click()
        for each in (page, other):
            expect(row(each, name)).to_have_attribute("data-phase", "failed")
            expect(row(each, name).locator(".error")).to_have_text("The work was cancelled.")
        code, _, err = ended(process)
    assert code == 3
    account = re.search(r"stopped (\d+\.\d) s after the request", err)
    assert account, err
    assert float(account[1]) < STOP_SECONDS
    assert [each.name for each in tmp_path.iterdir() if each.name != "out"] == []
