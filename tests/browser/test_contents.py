"""A channel with many contents, and the page of one: finding, selecting, removing, and all that is known."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.support.live import live_hub
from tests.support.publishing import publish_all
from tests.support.waiting import eventually

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def hub_url() -> Iterator[str]:
    with live_hub("memory:") as hub:
        yield hub.base_url


@pytest.fixture
def channel(request: pytest.FixtureRequest) -> str:
    """A channel named after the test."""
    return str(request.node.name)[:100]


def publish(base_url: str, channel: str, content_id: str, *, attempt: int = 1, **data: Any) -> None:
    publish_all(base_url, [{"channel": channel, "content_id": content_id, "attempt": attempt, "data": data}])


def show(page: Page, base_url: str, channel: str, content_id: str = "") -> None:
    content = f"&content={quote(content_id, safe='')}" if content_id else ""
    page.goto(f"{base_url}/?channel={quote(channel, safe='')}{content}")
    expect(page.locator("#connection[data-state=live]")).to_be_visible()


def row(page: Page, content_id: str) -> Locator:
    return page.locator(f'.row[data-content="{content_id}"]')


def fact(page: Page, name: str) -> Locator:
    return page.locator(f'[data-fact="{name}"] dd')


def in_channel(base_url: str, channel: str) -> set[str]:
    return {it["content_id"] for it in httpx.get(f"{base_url}/api/contents/{channel}").json()["contents"]}


# The channel


def test_thousands_of_contents_are_searched_and_scrolled(page: Page, hub_url: str, channel: str) -> None:
    """Only what is in view is in the document; the last of them is found by its name, its step or its error."""
    names = [f"{channel}-{number:04}" for number in range(3_000)]
    for first in range(0, len(names), 500):
        some = names[first : first + 500]
        publish_all(hub_url, [{"channel": channel, "content_id": it, "data": {"status": "complete"}} for it in some])
    publish(hub_url, channel, "torn", status="error", error_message="The tape is torn")
    show(page, hub_url, channel)
    expect(page.locator("#total-completed")).to_have_text("3,000")
    assert page.locator(".row").count() < 60
    page.keyboard.press("End")
    expect(row(page, names[0])).to_be_in_viewport()
    page.get_by_role("searchbox").fill("0042")
    expect(page.locator(".row .title")).to_have_text([names[42]])
    page.get_by_role("searchbox").fill("TAPE is")
    expect(page.locator(".row .title")).to_have_text(["torn"])


def test_a_row_is_clicked_anywhere(page: Page, hub_url: str, channel: str) -> None:
    """It opens the content's page; a click with a key is the browser's own."""
    publish(hub_url, channel, f"{channel}-1", status="generating", title="A film")
    show(page, hub_url, channel)
    # Of unknown progress: its bar moves.
    over = """(fill) => {
        const { x, y, width } = fill.parentElement.getBoundingClientRect();
        fill.style.animation = "none";
        fill.style.translate = "0";
        return document.elementFromPoint(x + width * 0.1, y + 2).className;
    }"""
    assert row(page, f"{channel}-1").locator(".fill").evaluate(over) == "title"
    row(page, f"{channel}-1").click()
    expect(page).to_have_url(f"{hub_url}/?channel={channel}&content={channel}-1")
    expect(page.get_by_role("heading", name="A film", level=1)).to_be_visible()
    page.go_back()
    with page.context.expect_page() as tab:
        row(page, f"{channel}-1").click(modifiers=["Control"])
    expect(tab.value.get_by_role("heading", name="A film", level=1)).to_be_visible()
    assert page.url == f"{hub_url}/?channel={channel}"
    tab.value.close()


def test_a_long_error_stretches_no_row(page: Page, hub_url: str, channel: str) -> None:
    """It is whole on the content's own page, with its lines and its code."""
    error = "line one\n" + "x" * 3_000 + "\nthe last line"
    publish(hub_url, channel, f"{channel}-1", status="error", error_message=error, error_code="E42", progress=7)
    publish(hub_url, channel, f"{channel}-2", status="error", error_message="short")
    show(page, hub_url, channel)
    expect(page.locator(".row")).to_have_count(2)
    assert len({shown.evaluate("(row) => row.offsetHeight") for shown in page.locator(".row").all()}) == 1
    row(page, f"{channel}-1").locator(".title").click()
    expect(page.locator("#error pre")).to_contain_text("the last line")
    assert page.locator("#error pre").text_content() == error
    expect(page.locator("#error .aside")).to_have_text("E42")
    expect(fact(page, "errorCode")).to_have_text("E42")


def test_many_are_removed_and_that_is_undone(page: Page, hub_url: str, channel: str) -> None:
    """After a question; they leave the list immediately, and the hub only when it cannot be undone any more."""
    names = [f"{channel}-{number}" for number in range(3)]
    for name in names:
        publish(hub_url, channel, name, status="complete")
    page.clock.install()
    show(page, hub_url, channel)
    for name in names[:2]:
        row(page, name).get_by_role("checkbox").check()
    expect(page.locator("#selection")).to_contain_text("2 selected")
    page.locator("#remove-selected").click()
    dialog = page.get_by_role("dialog", name="Remove 2 contents?")
    dialog.get_by_role("button", name="Keep").click()
    expect(page.locator(".row")).to_have_count(3)
    page.locator("#remove-selected").click()
    dialog.get_by_role("button", name="Remove 2 contents").click()
    expect(page.locator(".row")).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".row")).to_have_count(3)
    page.clock.run_for(20_000)
    assert in_channel(hub_url, channel) == {*names}
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("x")
    page.locator("#remove-selected").click()
    page.get_by_role("button", name="Remove 1 content").click()
    expect(page.locator(".row")).to_have_count(2)
    with page.expect_response("**/remove"):
        page.clock.run_for(8_000)
    assert in_channel(hub_url, channel) == {*names[:2]}


def test_a_removal_is_done_when_the_page_is_left(page: Page, hub_url: str, channel: str) -> None:
    """Who leaves has not undone it."""
    for name in "ab":
        publish(hub_url, channel, f"{channel}-{name}", status="complete")
    show(page, hub_url, channel, f"{channel}-a")
    page.locator("#remove").click()
    expect(page.locator(".row .title")).to_have_text([f"{channel}-b"])
    page.goto("about:blank")
    eventually(lambda: in_channel(hub_url, channel) == {f"{channel}-b"})


def test_many_are_cancelled_after_a_question(page: Page, hub_url: str, channel: str, tolerated: list[str]) -> None:
    """Only those that run or wait; where the hub refuses, its reason is shown, and nothing is undone."""
    tolerated.append("500")
    for name, status in (("run", "generating"), ("wait", "pending"), ("done", "complete")):
        publish(hub_url, channel, f"{channel}-{name}", status=status)
    show(page, hub_url, channel)
    row(page, f"{channel}-run").get_by_role("checkbox").check()
    page.get_by_role("button", name="Select all that are shown").click()
    expect(page.locator("#selection")).to_contain_text("3 selected")
    page.locator("#cancel-selected").click()
    page.get_by_role("button", name="Cancel 2 contents").click()
    for name in ("run", "wait"):
        expect(row(page, f"{channel}-{name}").locator(".note")).to_have_text("Cancel requested")
    expect(page.locator("#toasts")).to_contain_text("Cancel requested for 2 contents")
    publish(hub_url, channel, f"{channel}-other", status="generating")

    def broken(route: Route) -> None:
        route.fulfill(status=500, json={"error": {"message": "The disk is full"}})

    page.route("**/cancel", broken)
    row(page, f"{channel}-other").get_by_role("checkbox").check()
    page.locator("#cancel-selected").click()
    page.get_by_role("button", name="Cancel 1 content").click()
    expect(page.get_by_role("alert")).to_have_text("1 content could not be changed: The disk is full")


# One content


def test_all_that_a_producer_says_is_shown(page: Page, hub_url: str, channel: str) -> None:
    """Rate, amount, duration, size, picture and renditions, the fields and the JSON, which is copied."""
    publish(
        hub_url,
        channel,
        f"{channel}-1",
        status="generating",
        progress=40,
        done=4_000,
        total=10_000,
        rate=12.5,
        duration=3_725,
        bytes=3_371_339,
        width=1280,
        height=720,
        renditions=[{"name": "720p", "width": 1280, "height": 720, "bandwidth": 4_533_101}],
        remaining_seconds=90,
    )
    show(page, hub_url, channel)
    expect(row(page, f"{channel}-1").locator(".amount")).to_have_text("4,000 / 10,000 · 12.5/s")
    row(page, f"{channel}-1").locator(".title").click()
    expect(fact(page, "done")).to_have_text("4,000 / 10,000")
    expect(fact(page, "rate")).to_have_text("12.5/s")
    expect(fact(page, "duration")).to_have_text("1 h 2 min")
    expect(fact(page, "size")).to_have_text("3.4 MB")
    picture = "1280 \N{MULTIPLICATION SIGN} 720"
    expect(fact(page, "picture")).to_have_text(picture)
    expect(fact(page, "timeLeft")).to_have_text(re.compile(r"^1:[0-3]\d left$"))
    expect(page.locator("#renditions tbody td")).to_have_text(["720p", picture, "4,533 kbit/s"])
    expect(page.locator("#fields")).to_contain_text("remaining_seconds")
    page.get_by_role("button", name="Copy as JSON").click()
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert (copied["done"], copied["renditions"][0]["name"]) == (4_000, "720p")
    page.get_by_role("button", name="Copy link").click()
    assert page.evaluate("navigator.clipboard.readText()") == f"{hub_url}/?channel={channel}&content={channel}-1"


def test_steps_are_a_time_line(page: Page, hub_url: str, channel: str) -> None:
    """The producer's own with their times; of one that says none, those that the page has seen."""
    steps = [
        {
            "name": "probing",
            "state": "completed",
            "started_at": "2026-01-01T10:00:00Z",
            "ended_at": "2026-01-01T10:01:30Z",
        },
        {"name": "encoding", "state": "pending", "started_at": None, "ended_at": None},
    ]
    publish(hub_url, channel, f"{channel}-said", status="generating", steps=steps)
    show(page, hub_url, channel, f"{channel}-said")
    lines = page.locator("#steps li")
    expect(lines.locator(".step-name")).to_have_text(["Probing", "Encoding"])
    expect(lines.locator(".step-time")).to_have_text(["1:30", "Waiting"])
    publish(hub_url, channel, f"{channel}-seen", status="generating", step="first_part")
    show(page, hub_url, channel, f"{channel}-seen")
    expect(lines.locator(".step-name")).to_have_text(["First part"])
    publish(hub_url, channel, f"{channel}-seen", status="generating", step="second_part")
    expect(lines.locator(".step-name")).to_have_text(["First part", "Second part"])
    expect(page.locator("#steps h2")).to_contain_text("as this page has seen them")
    publish(hub_url, channel, f"{channel}-seen", status="complete")
    expect(lines.and_(page.locator("[data-phase=completed]"))).to_have_count(2)
    publish(hub_url, channel, f"{channel}-lost", status="generating", step="first_part")
    show(page, hub_url, channel, f"{channel}-lost")
    expect(lines.locator(".step-name")).to_have_text(["First part"])
    publish(hub_url, channel, f"{channel}-lost", status="error")
    expect(lines.and_(page.locator("[data-phase=failed]"))).to_have_count(1)


def test_progress_is_drawn_over_time(page: Page, hub_url: str, channel: str) -> None:
    """Each report is a point of the line, which another attempt begins anew."""
    publish(hub_url, channel, f"{channel}-1", status="generating", progress=10, remaining_seconds=60)
    show(page, hub_url, channel, f"{channel}-1")
    chart = page.locator("#chart svg")
    for progress in (20, 35, 60):
        publish(hub_url, channel, f"{channel}-1", status="generating", progress=progress, remaining_seconds=60)
        expect(chart).to_have_attribute("aria-label", re.compile(f": {progress}%$"))
    points = "(line) => new Set(line.getAttribute('points').split(' ').map((point) => point.split(',')[1])).size"
    assert chart.locator(".line").evaluate(points) == 4
    expect(page.locator("#chart .chart-left")).to_have_text(re.compile(r"^(1:00|0:\d\d) left$"))
    publish(hub_url, channel, f"{channel}-1", attempt=2, status="generating", progress=5)
    expect(chart).to_have_attribute("aria-label", re.compile(": 5%$"))
    assert chart.locator(".line").evaluate(points) == 1


def test_the_tab_shows_progress_and_failures(page: Page, hub_url: str, channel: str) -> None:
    """In its title and in its icon."""
    icon = page.locator("link[rel=icon]")
    publish(hub_url, channel, f"{channel}-1", status="generating", progress=45, title="A film")
    show(page, hub_url, channel)
    expect(page).to_have_title(f"(1) {channel} · Statushub")
    row(page, f"{channel}-1").locator(".title").click()
    expect(page).to_have_title("45% A film · Statushub")
    expect(icon).to_have_attribute("href", re.compile("^data:image/png"))
    publish(hub_url, channel, f"{channel}-1", status="error", title="A film")
    expect(page).to_have_title("✕ A film · Statushub")
    failed = icon.get_attribute("href")
    publish(hub_url, channel, f"{channel}-1", attempt=2, status="complete", title="A film")
    expect(page).to_have_title("A film · Statushub")
    expect(icon).to_have_attribute("href", re.compile("favicon.svg$"))
    assert failed is not None
    assert failed.startswith("data:")


def test_what_is_watched_tells_when_it_ends(page: Page, hub_url: str, channel: str) -> None:
    """The browser is asked once; the notification comes on whichever page is open."""
    page.add_init_script(
        """
        window.told = [];
        window.Notification = class extends EventTarget {
            static permission = "default";
            static asked = 0;
            static async requestPermission() {
                Notification.asked += 1;
                return (Notification.permission = "granted");
            }
            constructor(title, { body }) {
                super();
                told.push(`${title}: ${body}`);
            }
        };
        """
    )
    for name in "ab":
        publish(hub_url, channel, f"{channel}-{name}", status="generating", title=f"Film {name}")
    show(page, hub_url, channel)
    for name in "ab":
        row(page, f"{channel}-{name}").locator(".title").click()
        page.get_by_role("button", name="Notify me").click()
        expect(page.get_by_role("button", name="Will notify")).to_have_attribute("aria-pressed", "true")
        page.go_back()
    assert page.evaluate("Notification.asked") == 1
    publish(hub_url, channel, f"{channel}-a", status="error", title="Film a", error_message="Torn")
    page.wait_for_function("() => told.length === 1")
    page.get_by_role("link", name="Overview").click()
    expect(page.locator("#connection[data-state=live]")).to_be_visible()
    publish(hub_url, channel, f"{channel}-b", status="complete", title="Film b")
    page.wait_for_function("() => told.length === 2")
    assert page.evaluate("told") == ["Film a has failed: Torn", f"Film b is completed: {channel}"]
    expect(page.locator("#toasts")).to_contain_text("Film b is completed")


def test_a_content_that_goes_stays_readable(page: Page, hub_url: str, channel: str) -> None:
    """Its last state is shown, and that it was removed; of one that was never there, so is that."""
    publish(hub_url, channel, f"{channel}-1", status="generating", title="A film", progress=10)
    show(page, hub_url, channel, f"{channel}-1")
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    httpx.post(f"{hub_url}/api/contents/{channel}/remove", json={"all": True}).raise_for_status()
    expect(page.locator("#gone")).to_be_visible()
    expect(page.get_by_role("heading", name="A film")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    show(page, hub_url, channel, "never")
    expect(page.get_by_role("heading", name="This content is not there")).to_be_visible()
