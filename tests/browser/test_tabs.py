"""One stream for all tabs, where the tab that has it does not leave as it should."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page

from tests.support.client_page import becomes, connected, shows, streams
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish
from tests.support.waiting import eventually

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

LATER = """
    const now = Date.now;
    Date.now = () => now() + 60_000;
    document.dispatchEvent(new Event("visibilitychange"));
"""
"""The tab has heard no sign of its leader for longer than it waits for one, and looks."""

HANG = """
    (since) => void setTimeout(() => {
        for (let events = []; !events.length; ) {
            const request = new XMLHttpRequest();
            request.open("GET", `/api/contents/release/changes?wait=20&since=${since}`, false);
            request.send();
            events = JSON.parse(request.responseText).events;
        }
    }, 100)
"""
"""The page's thread does nothing else until something is published in the channel."""


@pytest.fixture
def hub() -> Iterator[LiveHub]:
    with live_hub("memory:") as hub:
        yield hub


@pytest.fixture
def profile(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def leader(profile: BrowserContext, hub: LiveHub) -> Page:
    """The tab that has the stream, since it was the first."""
    page = connected(profile, hub.base_url)
    becomes(page, "live")
    publish(hub, "a-0", "generating", progress=0)
    shows(page, "a-0", 0)
    return page


@pytest.fixture
def follower(leader: Page, profile: BrowserContext, hub: LiveHub) -> Page:
    """A tab that reads with it."""
    page = connected(profile, hub.base_url)
    shows(page, "a-0", 0)
    publish(hub, "a-1", "generating", progress=1)
    shows(page, "a-1", 1)
    assert streams(hub.base_url) == 1
    return page


def all_of(last: int) -> list[str]:
    """What a page was told, where nothing is missed or repeated."""
    return [f"a-{number} {number}" for number in range(last + 1)]


def test_another_tab_takes_over_from_one_that_crashed(leader: Page, follower: Page, hub: LiveHub) -> None:
    """From its cursor, with what happened meanwhile."""
    with follower.expect_request(re.compile(r"/events\?since=[a-z0-9]+-\d+&")):
        with pytest.raises(Error, match="crash"):
            leader.goto("chrome://crash")
        publish(hub, "a-2", "generating", progress=2)
    shows(follower, "a-2", 2)
    publish(hub, "a-3", "generating", progress=3)
    shows(follower, "a-3", 3)
    assert follower.evaluate("seen") == all_of(3)
    eventually(lambda: streams(hub.base_url) == 1)


def test_another_tab_takes_over_from_one_that_hangs(leader: Page, follower: Page, hub: LiveHub) -> None:
    """Once it was silent for too long; when it goes on, it reads with the new one."""
    changes = f"{hub.base_url}/api/contents/release/changes"
    leader.evaluate(HANG, httpx.get(changes).json()["cursor"])
    with follower.expect_request(re.compile(r"/events\?since=[a-z0-9]+-\d+&")):
        follower.evaluate(f"() => {{ {LATER} }}")
    publish(hub, "a-2", "generating", progress=2)
    shows(follower, "a-2", 2)
    publish(hub, "now", "complete", "release")
    shows(leader, "a-2", 2)
    eventually(lambda: streams(hub.base_url) == 1)
    publish(hub, "a-3", "generating", progress=3)
    for page in (leader, follower):
        shows(page, "a-3", 3)
        assert page.evaluate("seen") == all_of(3)


def test_another_tab_takes_over_from_one_that_is_frozen(leader: Page, follower: Page, hub: LiveHub) -> None:
    """When it is thawed, it has what it missed. A headless Chromium freezes no page: the events are the test's."""
    with follower.expect_request(re.compile(r"/events\?since=[a-z0-9]+-\d+&")):
        leader.evaluate("void document.dispatchEvent(new Event('freeze'))")
    publish(hub, "a-2", "generating", progress=2)
    shows(follower, "a-2", 2)
    leader.evaluate("void document.dispatchEvent(new Event('resume'))")
    shows(leader, "a-2", 2)
    publish(hub, "a-3", "generating", progress=3)
    for page in (leader, follower):
        shows(page, "a-3", 3)
        assert page.evaluate("seen") == all_of(3)
    eventually(lambda: streams(hub.base_url) == 1)


def test_a_tab_for_which_there_is_no_room_has_its_own_stream(
    leader: Page, profile: BrowserContext, hub: LiveHub
) -> None:
    """Of all tabs together there are more channels than a stream takes; each shows its own."""
    leader.evaluate("hub.add(...Array.from({ length: 60 }, (_, number) => `l-${number}`)), hub.ready()")
    other = connected(profile, hub.base_url, channels=[f"o-{number}" for number in range(10)])
    becomes(other, "live")
    eventually(lambda: streams(hub.base_url) == 2)
    publish(hub, "a-1", "generating", progress=1)
    publish(hub, "o", "generating", "o-3", progress=1)
    shows(leader, "a-1", 1)
    shows(other, "o", 1)
    other.evaluate("hub.close()")
    eventually(lambda: streams(hub.base_url) == 1)


def test_a_closed_hub_ends_what_waits_for_it(leader: Page) -> None:
    """Also one that shares its stream."""
    leader.evaluate("hub.ready()")
    leader.evaluate("void (window.end = hub.until('a-0').catch(({ name }) => name))")
    leader.evaluate("hub.close()")
    assert leader.evaluate("end") == "AbortError"
