"""The pages of docs/migrate/polling.md: what each step from polls to the stream saves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from starlette.responses import HTMLResponse

from tests.bench.pages import STEPS, Traffic, document_of, measure, state
from tests.support.asgi_server import live_server
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish_all
from tests.support.waiting import eventually

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

POLLS, CONDITIONAL, LONG, STREAM = STEPS
CONTENTS = 5
SIZE = 40_000
WHOLE = CONTENTS * SIZE
LOOK_MS = 5
POLL_MS = 3_000
"""The interval in the document."""


@pytest.fixture
def hub() -> Iterator[LiveHub]:
    with live_hub("memory:") as hub:
        publish_all(hub, [state(number, SIZE, progress=0) for number in range(CONTENTS)])
        yield hub


@pytest.fixture
def traffic(page: Page, hub: LiveHub) -> Traffic:
    return Traffic(page, hub.base_url)


@pytest.fixture
def sites(hub: LiveHub) -> Iterator[dict[str, str]]:
    """The address of the page of each step, on an origin that is not the hub's."""
    with ExitStack() as stack:
        yield {
            step: stack.enter_context(live_server(HTMLResponse(document_of(step, hub.base_url)), http="h11"))
            for step in STEPS
        }


def change(hub: LiveHub, progress: int) -> None:
    publish_all(hub, [state(0, SIZE, progress=progress)])


def shows(page: Page, progress: int) -> None:
    expect(page.locator("#draft-0")).to_have_text(f"generating {progress}")
    expect(page.locator("p")).to_have_count(CONTENTS)


def pause(page: Page) -> None:
    """From now on the page's timers run only when told to."""
    page.clock.install(time=0)
    page.clock.pause_at(1000)


def wait_until(page: Page, condition: Callable[[], bool]) -> None:
    """As `eventually`, while Playwright takes in what the browser says."""

    def look() -> bool:
        page.wait_for_timeout(LOOK_MS)
        return condition()

    eventually(look)


def settled(page: Page, traffic: Traffic, requests: int) -> None:
    """Wait until the page has made so many requests, and has all answers."""
    wait_until(page, lambda: traffic.requests == requests and not traffic.pending)


@pytest.mark.parametrize("step", [POLLS, CONDITIONAL])
def test_a_poll_without_news_is_short_once_the_browser_keeps_the_last_answer(
    page: Page, hub: LiveHub, sites: dict[str, str], traffic: Traffic, step: str
) -> None:
    """As teams have it, each poll brings the whole channel; without `no-store`, only one with news does."""
    pause(page)
    page.goto(sites[step])
    shows(page, 0)
    settled(page, traffic, 1)
    for requests in (2, 3):
        page.clock.run_for(POLL_MS)
        settled(page, traffic, requests)
    assert traffic.received // WHOLE == (1 if step == CONDITIONAL else 3)
    change(hub, 1)
    page.clock.run_for(POLL_MS)
    shows(page, 1)
    settled(page, traffic, 4)
    assert traffic.received // WHOLE == (2 if step == CONDITIONAL else 4)


@pytest.mark.parametrize("step", [LONG, STREAM])
def test_a_change_brings_only_what_has_changed(
    page: Page, hub: LiveHub, sites: dict[str, str], traffic: Traffic, step: str
) -> None:
    """After the first load a change takes as much as its content, and on a stream no request."""
    page.goto(sites[step])
    shows(page, 0)
    opened = traffic.requests
    for progress in (1, 2):
        change(hub, progress)
        shows(page, progress)
    wait_until(page, lambda: traffic.received >= WHOLE + 2 * SIZE)
    assert traffic.received < 2 * WHOLE
    if step == STREAM:
        assert traffic.requests == opened
    page.goto("about:blank")


@pytest.mark.parametrize("step", [LONG, STREAM])
def test_a_removed_content_leaves_the_page(page: Page, hub: LiveHub, sites: dict[str, str], step: str) -> None:
    """The pages of both steps learn of it, which one that polls does not."""
    page.goto(sites[step])
    shows(page, 0)
    page.request.post(f"{hub.base_url}/api/contents/drafts/remove", data={"content_ids": ["draft-3"]})
    expect(page.locator("#draft-3")).to_have_count(0)
    expect(page.locator("p")).to_have_count(CONTENTS - 1)
    page.goto("about:blank")


FAILURES: dict[str, Callable[[Route], None]] = {
    "503": lambda route: route.fulfill(status=503, json={"error": {"code": "unavailable"}}),
    "no answer": lambda route: route.abort(),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_long_poll_outlives_a_failed_request(
    page: Page, sites: dict[str, str], tolerated: list[str], failure: str
) -> None:
    """It asks again after a pause."""
    tolerated += ["503 (Service Unavailable)", "net::ERR_FAILED"]
    pause(page)
    page.route("**/changes?*", FAILURES[failure], times=1)
    with page.expect_request("**/changes?*"):
        page.goto(sites[LONG])

    def asked_again() -> bool:
        # The page begins to wait somewhat later than the request has failed.
        page.clock.run_for(POLL_MS)
        return page.locator("p").count() > 0

    wait_until(page, asked_again)
    shows(page, 0)
    page.goto("about:blank")


def test_all_steps_are_measured_together(browser: Browser) -> None:
    """The harness opens the page of each step, and has figures of it."""
    with live_hub("memory:") as hub:
        costs = measure(browser, hub.base_url, size=1_000, contents=3, seconds=0.5, changes=1)
    assert [*costs] == [*STEPS]
    assert min(cost.requests for cost in costs.values()) > 0
