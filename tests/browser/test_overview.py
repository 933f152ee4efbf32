"""The overview: all channels, what runs and has failed across them, and how the hub is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.growing import Writer
from tests.support.live import LiveHub, live_hub
from tests.support.ports import free_port
from tests.support.publishing import publish_all
from tests.support.tokens import SECRET, bearer, token

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser


@pytest.fixture
def hub(page: Page) -> Iterator[LiveHub]:
    """A hub of the test's own: the overview shows all of its channels. The page is left before the hub is."""
    with live_hub("memory:") as hub:
        yield hub
        page.goto("about:blank")


def publish(hub: LiveHub, channel: str, content_id: str, headers: dict[str, str] | None = None, **data: Any) -> None:
    publish_all(hub, [{"channel": channel, "content_id": content_id, "data": data}], headers=headers)


def show(page: Page, hub: LiveHub, address: str = "") -> None:
    page.goto(f"{hub.base_url}/{address}")
    expect(page.locator("#connection[data-state=live]")).to_be_visible()


def channels(page: Page) -> Locator:
    return page.locator("#channels .title")


def channel(page: Page, name: str) -> Locator:
    return page.locator(f'.channel-row[data-channel="{name}"]')


def test_channels_are_counted_live(page: Page, hub: LiveHub) -> None:
    """Those that are there, and one that is born while the page is open; one that empties goes."""
    publish(hub, "films", "a", status="generating", progress=10)
    publish(hub, "films", "b", status="complete")
    show(page, hub)
    expect(channel(page, "films").locator(".counts")).to_have_text("1 In progress0 Waiting0 Failed1 Completed0 Idle")
    publish(hub, "films/new", "c", status="pending")
    expect(channels(page)).to_have_text(["films/new", "films"])
    publish(hub, "films", "a", status="error")
    expect(channel(page, "films").locator("[data-phase=failed] .number")).to_have_text("1")
    expect(page.locator("#tile-failed")).to_have_text("1")
    httpx.post(f"{hub.base_url}/api/contents/films/new/remove", json={"all": True}).raise_for_status()
    expect(channels(page)).to_have_text(["films"])


def test_what_runs_and_has_failed_shows_across_channels(page: Page, hub: LiveHub) -> None:
    """What was there before the page, and what happens since; what ended longer than an hour ago is left out."""
    publish(hub, "films", "a", status="generating", progress=10, title="The film")
    publish(hub, "films", "old", status="error", timestamp="2020-01-01T00:00:00Z")
    publish(hub, "mails", "b", status="error", title="The mail", error_message="No such address")
    show(page, hub)
    running, failed = page.locator("#running .row"), page.locator("#failed-lately .row")
    expect(running).to_have_count(1)
    expect(running.locator(".percent")).to_have_text("10%")
    expect(running.locator(".in-channel")).to_have_text("films")
    expect(failed.locator(".error")).to_have_text(["No such address"])
    publish(hub, "songs", "c", status="generating", title="The song")
    publish(hub, "films", "a", status="generating", progress=45, title="The film")
    expect(running.locator(".title")).to_have_text(["The song", "The film"])
    expect(running.locator(".percent")).to_have_text(["", "45%"])
    publish(hub, "songs", "c", status="complete")
    expect(running.locator(".title")).to_have_text(["The film"])
    publish(hub, "films", "a", status="error", title="The film", error_message="Torn")
    expect(failed.locator(".error")).to_have_text(["Torn", "No such address"])
    expect(page.locator("#running")).to_have_text("Nothing runs at the moment.")
    failed.first.locator(".title").click()
    expect(page).to_have_url(f"{hub.base_url}/?channel=films&content=a")


def test_what_has_failed_is_counted_over_many_channels(page: Page, hub: LiveHub) -> None:
    """The overview shows some of it, and says how much more there is."""
    failed = {"status": "error"}
    publish_all(hub, [{"channel": f"c{n}", "content_id": f"f{n}", "data": failed} for n in range(40)])
    show(page, hub)
    expect(page.locator("#failed-lately .row")).to_have_count(8)
    expect(page.get_by_text("and 32 more")).to_be_visible()


def test_the_latest_is_first_whatever_the_page_takes_for_the_time(page: Page, hub: LiveHub) -> None:
    """The first time that a page is told has whole seconds, and so is behind."""
    publish(hub, "films", "a", status="error", title="The film")
    publish(hub, "mails", "b", status="complete")
    late = {"Date": "Mon, 30 Nov 2020 12:00:00 GMT"}
    page.route("**/healthz", lambda route: route.fulfill(headers=late))
    # The clock stands before the stream tells anything.
    with page.expect_response("**/healthz"):
        show(page, hub)
    expect(page.locator("#failed-lately .row .title")).to_have_text(["The film"])
    expect(channels(page)).to_have_text(["mails", "films"])
    publish(hub, "films", "c", status="error", title="The other film")
    expect(page.locator("#failed-lately .row .title")).to_have_text(["The other film", "The film"])
    expect(channels(page)).to_have_text(["films", "mails"])


def test_channels_are_searched_filtered_and_sorted(page: Page, hub: LiveHub) -> None:
    """As one types; the address keeps it. Enter opens what is first, or the channel that is named."""
    publish(hub, "films", "a", status="generating")
    publish(hub, "mails", "b", status="error")
    publish(hub, "songs", "c", status="complete")
    publish(hub, "songs", "d", status="generating")
    publish(hub, "songs", "e", status="generating")
    show(page, hub)
    search = page.get_by_role("searchbox", name="Search channels")
    page.keyboard.press("/")
    expect(search).to_be_focused()
    page.keyboard.type("ls")
    expect(channels(page)).to_have_text(["mails"])
    page.keyboard.press("Escape")
    expect(search).to_have_value("")
    expect(channels(page)).to_have_text(["songs", "mails", "films"])
    page.get_by_role("button", name="In progress").click()
    expect(channels(page)).to_have_text(["songs", "films"])
    page.get_by_label("Sort").select_option("name")
    expect(channels(page)).to_have_text(["films", "songs"])
    page.reload()
    expect(channels(page)).to_have_text(["films", "songs"])
    search.fill("<b>new</b>")
    expect(page.locator("#none")).to_contain_text("Nothing matches “<b>new</b>”.")
    expect(page.get_by_role("link", name="Open the channel <b>new</b>")).to_be_visible()
    search.press("Enter")
    expect(page.get_by_role("heading", name="Nothing in <b>new</b> yet")).to_be_visible()


def test_arrows_move_through_the_channels(page: Page, hub: LiveHub) -> None:
    """Enter opens the one that has the focus, and Escape comes back."""
    for name in ("films", "mails"):
        publish(hub, name, f"{name}-1", status="complete")
    show(page, hub)
    expect(channels(page)).to_have_text(["mails", "films"])
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    expect(channel(page, "films").locator(".title")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{hub.base_url}/?channel=films")
    expect(page.locator(".row .title")).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".row .title")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page).to_have_url(f"{hub.base_url}/")


def test_the_hub_s_health_is_said_in_words(page: Page, hub: LiveHub, tolerated: list[str]) -> None:
    """Events a second, their lag, and whether the broker answers, with what its operator should know."""
    tolerated.append("503 (Service Unavailable)")
    show(page, hub)
    expect(page.locator("#tile-broker")).to_have_text("Answers")
    expect(page.locator("#tile-lag")).to_have_text("\N{EN DASH}")
    for number in range(20):
        publish(hub, "films", f"film-{number}", status="generating")
    expect(page.locator("#tile-rate")).to_have_text(re.compile(r"^[1-9]"))
    expect(page.locator("#tile-lag")).to_have_text(re.compile(r"^\d+(\.\d)? m?s$"))
    away = {"error": {"code": "broker_unavailable", "message": "The broker is away."}}
    page.route("**/readyz", lambda route: route.fulfill(status=503, json=away))
    page.reload()
    expect(page.locator("#tile-broker")).to_have_text("Does not answer")
    expect(page.locator(".tile[data-broker=away]")).to_contain_text("The broker is away.")


def test_a_hub_that_lost_its_state_shows_only_the_new_one(page: Page, tolerated: list[str]) -> None:
    """Also of a channel that is there again."""
    tolerated.append("net::ERR_")
    port = free_port()
    with live_hub("memory:", port=port) as hub:
        publish(hub, "films", "old", status="generating")
        publish(hub, "mails", "old-mail", status="error")
        show(page, hub)
        expect(page.locator("#running .title, #failed-lately .title")).to_have_text(["old", "old-mail"])
    with live_hub("memory:", port=port) as hub:
        publish(hub, "films", "new", status="generating")
        expect(page.locator("#running .title")).to_have_text(["new"])
        expect(page.locator("#failed-lately .title")).to_have_count(0)
        expect(channels(page)).to_have_text(["films"])
        page.goto("about:blank")


def test_a_token_sees_its_channels_only(page: Page, tolerated: list[str]) -> None:
    """And no other in what runs; where it may not cancel, it is not offered."""
    tolerated.append("401 (Unauthorized)")
    with live_hub(secret=SECRET) as hub:
        for name in ("films", "mails"):
            publish(hub, name, f"{name}-1", headers=bearer(), status="generating")
        cookie = {"name": "statushub_token", "value": token(read=["films"], write=[]), "url": hub.base_url}
        page.context.add_cookies([cookie])  # type: ignore[list-item]
        show(page, hub)
        expect(channels(page)).to_have_text(["films"])
        expect(page.locator("#running .row .title")).to_have_text(["films-1"])
        publish(hub, "mails", "mails-2", headers=bearer(), status="generating")
        publish(hub, "films", "films-2", headers=bearer(), status="generating")
        expect(page.locator("#running .row .title")).to_have_text(["films-2", "films-1"])
        expect(page.locator("#running .cancel:visible")).to_have_count(0)
        page.goto("about:blank")


def test_a_text_that_grows_shows_its_end(page: Page, hub: LiveHub) -> None:
    """It began before the page was opened."""
    writer = Writer(hub, "answers")
    writer.begin("a", "In the beginning ")
    show(page, hub)
    tail = page.locator("#running .row .tail")
    expect(tail).to_have_text("In the beginning")
    for piece in ("the sea ", "was <b>calm</b> ", "and wide. " * 40, "The end"):
        writer.add("a", piece)
        expect(tail).to_contain_text(piece.strip())
    box, end = page.locator("#running .row .tail-end").bounding_box(), tail.bounding_box()
    assert box is not None
    assert end is not None
    assert abs(box["x"] + box["width"] - end["x"] - end["width"]) < 1
