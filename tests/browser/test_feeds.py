"""A feed in a real browser: four questions, then none; and the clients of before, which poll."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish_all
from tests.support.tokens import SECRET, bearer, token

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

PAGES = Path(__file__).parent / "pages"
VIDEOS = 20
ADMIN = bearer(tenant="default", sub="backend")
QUESTIONS = [
    ("GET", "/v1/videos/"),
    ("POST", "/v1/follows/check-batch"),
    ("POST", "/v1/likes/check-batch"),
    ("POST", "/v1/videos/batch-metadata"),
]


class Requests:
    """The requests that arrive at a hub."""

    def __init__(self, hub: LiveHub) -> None:
        self.seen: list[tuple[str, str]] = []
        self._inner = hub.application
        hub.application = self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.seen.append((scope["method"], scope["path"]))
        await self._inner(scope, receive, send)

    @property
    def questions(self) -> list[tuple[str, str]]:
        """Those that are no streams."""
        return sorted(it for it in self.seen if it[1].startswith("/v1/"))


def served(text: str) -> Callable[[Route], None]:
    """Answers with a page of the hub's own origin."""

    def answer(route: Route) -> None:
        route.fulfill(body=text, content_type="text/html")

    return answer


@pytest.fixture
def hub() -> Iterator[LiveHub]:
    """A hub with a feed of 20 videos of four users."""
    with live_hub("memory:", secret=SECRET, feed=True) as hub:
        publish_all(
            hub,
            [
                {
                    "channel": "videos",
                    "content_id": f"v{n}",
                    "data": {"status": "completed", "provider_id": f"user{n % 4}", "title": f"Video {n}"},
                }
                for n in range(VIDEOS)
            ],
            headers=ADMIN,
        )
        yield hub


@pytest.fixture
def signed_in(browser: Browser, hub: LiveHub) -> Iterator[Callable[[str], BrowserContext]]:
    """Opens the profile of a user."""
    contexts: list[BrowserContext] = []

    def sign_in(sub: str) -> BrowserContext:
        context = browser.new_context()
        contexts.append(context)
        signed = token(tenant="default", sub=sub, read=["feed/videos"], write=[])
        cookies = {"statushub_token": signed, "sub": quote(sub, safe="")}
        context.add_cookies([{"name": name, "value": value, "url": hub.base_url} for name, value in cookies.items()])
        for page in PAGES.iterdir():
            context.route(f"{hub.base_url}/{page.name}**", served(page.read_text()))
        return context

    yield sign_in
    for context in contexts:
        context.close()


def opened(context: BrowserContext, hub: LiveHub, path: str = "feed.html") -> Page:
    page = context.new_page()
    page.goto(f"{hub.base_url}/{path}")
    return page


def live(context: BrowserContext, hub: LiveHub) -> Page:
    page = opened(context, hub)
    expect(page.locator("body[data-painted][data-live]")).to_be_attached()
    expect(page.locator("#feed li")).to_have_count(VIDEOS)
    return page


def notify(hub: LiveHub, user: str, title: str) -> None:
    write = {"op": "notify", "user_id": user, "category": "like", "data": {"title": title}}
    answer = httpx.post(f"{hub.base_url}/v1/feed/writes", json={"writes": [write]}, headers=ADMIN)
    assert answer.status_code == 200, answer.text


def test_a_feed_asks_four_questions(hub: LiveHub, signed_in: Callable[[str], BrowserContext]) -> None:
    """The first paint of 20 videos; the way of before, each card by itself, asks 61."""
    requests = Requests(hub)
    ann = signed_in("ann")
    live(ann, hub)
    assert requests.questions == QUESTIONS
    requests.seen.clear()
    before = opened(ann, hub, "feed.html?old")
    expect(before.locator("body[data-painted]")).to_be_attached()
    assert len(requests.questions) == 1 + 3 * VIDEOS


def test_two_users_see_what_each_other_does(hub: LiveHub, signed_in: Callable[[str], BrowserContext]) -> None:
    """A like of one is seen by the other, tabs of a user agree, and nothing is asked while nothing changes."""
    ann, bob = signed_in("auth0|ann"), signed_in("bob")
    first, second, other = live(ann, hub), live(ann, hub), live(bob, hub)
    requests = Requests(hub)
    other.locator("#v7 .like").click()
    for page in (first, second, other):
        expect(page.locator("#v7 .likes")).to_have_text("1")
    expect(other.locator("#v7 .like")).to_have_text("liked")
    expect(first.locator("#v7 .like")).to_have_text("like")
    first.locator("#v7 .like").click()
    for page in (first, second):
        expect(page.locator("#v7 .like")).to_have_text("liked")
    expect(other.locator("#v7 .likes")).to_have_text("2")
    notify(hub, "auth0|ann", "Bob likes your video")
    for page in (first, second):
        expect(page.locator("#badge")).to_have_text("1")
        expect(page.locator("#notices")).to_contain_text("Bob likes your video")
    first.locator("#open").click()
    for page in (first, second):
        expect(page.locator("#badge")).to_have_text("0")
    asked = len(requests.seen)
    for page in (first, second, other):
        beats = int(page.evaluate("document.body.dataset.beats ?? 0"))
        page.wait_for_function(f"Number(document.body.dataset.beats ?? 0) >= {beats + 2}")
    assert requests.seen[asked:] == []


def test_the_clients_of_before_run_unchanged(hub: LiveHub, signed_in: Callable[[str], BrowserContext]) -> None:
    """A stats updater of 5 s, a job monitor of 2 s, and a notification manager that waits 3 s before it marks."""
    ann = signed_in("ann")
    page = ann.new_page()
    page.clock.install()
    page.goto(f"{hub.base_url}/old_clients.html")

    def count(views: int) -> None:
        write = {"op": "count", "video_id": "v1", "views": views}
        httpx.post(f"{hub.base_url}/v1/feed/writes", json={"writes": [write]}, headers=ADMIN).raise_for_status()

    page.evaluate("stats.start()")
    expect(page.locator("#stats")).to_have_text("v1 0, v2 0")
    count(3)
    page.clock.fast_forward(5_000)
    expect(page.locator("#stats")).to_have_text("v1 3, v2 0")
    page.evaluate("stats.stop()")

    reads = signed_in("reader")
    reads.add_cookies(
        [
            {
                "name": "statushub_token",
                "value": token(tenant="default", sub="reader", read=["jobs"]),
                "url": hub.base_url,
            }
        ]
    )
    jobs = reads.new_page()
    jobs.clock.install()
    jobs.goto(f"{hub.base_url}/old_clients.html")
    jobs.evaluate("monitor.start()")
    expect(jobs.locator("#job")).to_have_text("j1 not_found 0")
    for data, shown in (
        ({"status": "processing", "progress": 40}, "j1 processing 40"),
        ({"status": "completed"}, "j1 completed 100"),
    ):
        publish_all(hub, [{"channel": "jobs", "content_id": "j1", "data": data}], headers=ADMIN)
        jobs.clock.fast_forward(2_000)
        expect(jobs.locator("#job")).to_have_text(shown)

    notify(hub, "ann", "One")
    notify(hub, "ann", "Two")
    page.evaluate("notifications.refresh()")
    expect(page.locator("#badge")).to_have_text("2")
    assert page.evaluate("notifications.open().then((found) => found.map((it) => it.title))") == ["Two", "One"]
    page.clock.fast_forward(2_900)
    expect(page.locator("#badge")).to_have_text("2")
    page.clock.fast_forward(100)
    expect(page.locator("#badge")).to_have_text("0")
    unread = httpx.get(
        f"{hub.base_url}/v1/notifications/unread-count", headers=bearer(tenant="default", sub="ann")
    ).json()
    assert unread == {"unread_count": 0}


def test_the_client_shows_a_feed(hub: LiveHub, signed_in: Callable[[str], BrowserContext]) -> None:
    """`feeds.js` asks once, and shows what users do in every tab from then on."""
    notify(hub, "ann!*", "Before")
    requests = Requests(hub)
    ann, bob = signed_in("ann!*"), signed_in("bob")
    first = opened(ann, hub, "client_feed.html")
    expect(first.locator("body[data-ready]")).to_be_attached()
    assert requests.questions == sorted(
        [*QUESTIONS[1:], ("GET", "/v1/notifications/"), ("GET", "/v1/notifications/unread-count")]
    )
    second, other = opened(ann, hub, "client_feed.html"), opened(bob, hub, "client_feed.html")
    for page, unread, notes in ((first, 1, ", Before false"), (second, 1, ", Before false"), (other, 0, "")):
        expect(page.locator("#state")).to_have_text(f"v1 0 false, v2 0 false, false, {unread}{notes}")
    other.evaluate("feed.like('v2')")
    first.evaluate("feed.follow('user1')")
    expect(other.locator("#state")).to_have_text("v1 0 false, v2 1 true, false, 0")
    for page in (first, second):
        expect(page.locator("#state")).to_have_text("v1 0 false, v2 1 false, true, 1, Before false")
    notify(hub, "ann!*", "After")
    for page in (first, second):
        expect(page.locator("#state")).to_have_text("v1 0 false, v2 1 false, true, 2, After false, Before false")
    second.evaluate("feed.markRead()")
    expect(first.locator("#state")).to_contain_text("true, 0, After")
    expect(second.locator("#state")).to_have_text("v1 0 false, v2 1 false, true, 0, After true, Before true")
    asked = other.evaluate("feed.like('').catch((error) => [error.name, error.status])")
    assert asked[0] == "HubError"
