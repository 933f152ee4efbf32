"""The hooks for React in a Vite build, in Strict Mode, on a real hub."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from playwright.sync_api import Browser, Page, Request, WebSocket, expect
from starlette.staticfiles import StaticFiles

from tests.bench.hooks import PAGES, measure
from tests.support.asgi_server import live_server
from tests.support.growing import Writer
from tests.support.live import LiveHub, live_hub
from tests.support.npm import hooks_build
from tests.support.publishing import publish
from tests.support.waiting import eventually

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

CHANNEL = "drafts"
STREAM = "**/events?*"
LOOK_MS = 5
FRAME_MS = 20
"""A frame takes 16 ms."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The built pages, on an origin that is not the hub's."""
    # Only React's development build has Strict Mode and tells of renders.
    dist = hooks_build(tmp_path_factory.mktemp("hooks"), NODE_ENV="development")
    with live_server(StaticFiles(directory=dist, html=True), http="h11") as url:
        yield url


@pytest.fixture
def hub() -> Iterator[LiveHub]:
    with live_hub("memory:") as hub:
        for name in "abc":
            publish(hub, name, "generating", CHANNEL, progress=1)
        yield hub


@pytest.fixture
def opened(page: Page, site: str, hub: LiveHub) -> Iterator[Callable[[str], None]]:
    """Opens a page, and leaves it in the end, which closes its streams."""
    yield lambda name: open_page(page, site, hub, name)
    page.goto("about:blank")


def open_page(page: Page, site: str, hub: LiveHub, name: str) -> None:
    page.goto(f"{site}/?{urlencode({'hub': hub.base_url, 'page': name})}")


def wait_until(page: Page, condition: Callable[[], bool]) -> None:
    """As `eventually`, while Playwright takes in what the browser says."""

    def look() -> bool:
        page.wait_for_timeout(LOOK_MS)
        return condition()

    eventually(look)


def streams(hub: LiveHub) -> int:
    """How many are open at the hub."""
    found = re.search(r"^statushub_streams (\d+)", httpx.get(f"{hub.base_url}/metrics").text, re.MULTILINE)
    assert found is not None
    return int(found[1])


def requests_to(page: Page, part: str) -> list[str]:
    """The addresses that the page asks for from now on, those with this part."""
    found: list[str] = []

    def asked(request: Request) -> None:
        if part in request.url:
            found.append(request.url)

    page.on("request", asked)
    return found


def renders(page: Page, *names: str) -> list[int]:
    """How often each has been rendered."""
    return [int(page.evaluate("(name) => renders[name]", name)) for name in names]


def is_live(page: Page) -> None:
    expect(page.locator("#state")).to_have_text("live")


def test_strict_mode_leaves_one_stream(page: Page, hub: LiveHub, opened: Callable[[str], None]) -> None:
    """Whatever number of hooks reads; it was the only one that was asked for."""
    asked = requests_to(page, "/events?")
    opened("rows")
    is_live(page)
    expect(page.locator("#channel")).to_have_text("c b a")
    expect(page.locator("#batch")).to_have_text('["processing",null,"processing"]')
    assert streams(hub) == 1
    assert len(asked) == 1


def test_a_stream_is_closed_after_its_last_component_and_opened_for_the_next(
    page: Page, hub: LiveHub, opened: Callable[[str], None]
) -> None:
    """What happened meanwhile is there when it is back."""
    opened("toggled")
    is_live(page)
    toggle = page.get_by_role("button", name="Toggle")
    toggle.click()
    wait_until(page, lambda: streams(hub) == 0)
    publish(hub, "d", "complete", CHANNEL)
    toggle.click()
    expect(page.locator("#channel")).to_have_text("d c b a")
    assert streams(hub) == 1


def test_a_content_that_ends_renders_no_other(page: Page, hub: LiveHub, opened: Callable[[str], None]) -> None:
    """Its own component is rendered once for each state."""
    opened("rows")
    is_live(page)
    before = renders(page, "a", "b", "c")
    publish(hub, "a", "generating", CHANNEL, progress=50)
    expect(page.locator("#a")).to_have_text("processing 50")
    publish(hub, "a", "complete", CHANNEL)
    expect(page.locator("#a")).to_contain_text("completed")
    after = renders(page, "a", "b", "c")
    assert [now - then for now, then in zip(after, before, strict=True)] == [2, 0, 0]


def test_a_growing_text_renders_once_a_frame(page: Page, hub: LiveHub, opened: Callable[[str], None]) -> None:
    """Deltas that come between two frames are one render, and the whole text."""
    page.clock.install()
    writer = Writer(hub, CHANNEL)
    writer.begin("a")
    opened("rows")
    is_live(page)
    expect(page.locator("#a")).to_have_text("processing ")
    # There are no frames from now on, but those that the test lets pass.
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)
    before = renders(page, "a", "b")
    for number in range(20):
        writer.add("a", f"{number} ")
    here = "hub.get('a').data.text"
    wait_until(page, lambda: page.evaluate(here) == writer.texts["a"])
    assert renders(page, "a", "b") == before
    page.clock.run_for(FRAME_MS)
    expect(page.locator("#a")).to_have_text(f"processing {writer.texts['a']}")
    assert renders(page, "a", "b") == [before[0] + 1, before[1]]


def status(hub: LiveHub) -> Any:
    """What those hooks polled before."""
    return httpx.get(f"{hub.base_url}/api/contents/{CHANNEL}/status").json()


def contents(hub: LiveHub) -> list[dict[str, Any]]:
    """The whole statuses of the channel."""
    found: list[dict[str, Any]] = httpx.get(f"{hub.base_url}/api/contents/{CHANNEL}").json()["contents"]
    return found


def shown(page: Page, name: str) -> Any:
    return json.loads(page.locator(f"#{name}").text_content() or "null")


def test_status_data_are_what_the_route_answers(page: Page, hub: LiveHub, opened: Callable[[str], None]) -> None:
    """In every phase and vocabulary, with all that lines have; it follows each change, over the one stream."""
    publish(hub, "a", "generating", CHANNEL, processing_status="summarizing", progress=12.5, remaining_seconds=30)
    publish(hub, "b", "error", CHANNEL, error="it broke", error_message="")
    publish(hub, "d", "idle", CHANNEL)
    publish(hub, "e", "idle", CHANNEL, processing_status="pending", estimated_completion="2030-01-01T00:00:00Z")
    publish(hub, "f", "READY", CHANNEL)
    opened("familiar")
    is_live(page)
    real_time = {"statusData": status(hub), "isRealTime": True}
    assert shown(page, "status") == real_time
    assert shown(page, "fallback") == {**real_time, "realTimeFailed": False}
    publish(hub, "c", "complete", CHANNEL)
    page.wait_for_function(
        "() => JSON.parse(document.querySelector('#status').textContent).statusData.total_completed === 2"
    )
    assert shown(page, "status")["statusData"] == status(hub)
    assert streams(hub) == 1


def test_events_begin_with_the_state_and_have_their_types(
    page: Page, hub: LiveHub, opened: Callable[[str], None]
) -> None:
    """As from an `EventSource`, of which a handler of `message` gets every event, too."""
    opened("familiar")
    is_live(page)
    publish(hub, "a", "complete", CHANNEL)
    httpx.post(f"{hub.base_url}/api/contents/{CHANNEL}/remove", json={"content_ids": ["b"]}).raise_for_status()
    page.wait_for_function("() => said.some(([type]) => type === 'content_removed')")
    said = page.evaluate("said")
    named = [(type, data["content_id"]) for type, data, _ in said if type.startswith(("content_", "processing_"))]
    assert named == [
        *(("content_status_update", name) for name in "abc"),
        ("processing_complete", "a"),
        ("content_removed", "b"),
    ]
    unnamed = [(data["type"], data.get("content_id")) for type, data, _ in said if type == "message"]
    assert [pair for pair in unnamed if pair[1]] == named
    assert [type for type, *_ in said].count("open") == 1


def test_only_a_failure_of_real_time_is_an_error(
    page: Page, hub: LiveHub, opened: Callable[[str], None], tolerated: list[str]
) -> None:
    """Where no stream gets through, data come from polls, and real time comes back."""
    tolerated.append("net::ERR_FAILED")
    page.route(STREAM, lambda route: route.abort())
    opened("familiar")
    page.wait_for_function("() => JSON.parse(document.querySelector('#fallback').textContent).realTimeFailed")
    publish(hub, "a", "complete", CHANNEL)
    page.wait_for_function(
        "() => JSON.parse(document.querySelector('#fallback').textContent).statusData?.total_completed"
    )
    fallback = shown(page, "fallback")
    assert fallback == {"statusData": status(hub), "isRealTime": False, "realTimeFailed": True}
    assert shown(page, "status")["isRealTime"] is False
    errors = "said.filter(([type]) => type === 'error').map(([, , state]) => state)"
    assert page.evaluate(errors) == [2]
    page.unroute(STREAM)
    page.get_by_role("button", name="Retry").click()
    is_live(page)
    page.wait_for_function("() => JSON.parse(document.querySelector('#fallback').textContent).isRealTime")
    assert page.evaluate(errors) == [2]


def test_a_reconnect_is_no_error(page: Page, hub: LiveHub, opened: Callable[[str], None], tolerated: list[str]) -> None:
    """The stream is cut once; the same object goes on."""
    opened("familiar")
    is_live(page)
    tolerated.append("net::ERR_")
    for connection in list(hub.server_state.connections):
        hub.call(connection.transport.abort)
    publish(hub, "a", "complete", CHANNEL)
    page.wait_for_function(
        "() => said.some(([type, data]) => data?.content_id === 'a' && type === 'processing_complete')"
    )
    is_live(page)
    assert page.evaluate("said.filter(([type]) => type === 'error')") == []


def test_a_socket_speaks_as_the_hub_does(page: Page, hub: LiveHub, opened: Callable[[str], None]) -> None:
    """Over one real WebSocket, from the whole state on; what the page sends is answered."""
    sockets: list[WebSocket] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    asked = requests_to(page, "/events")
    opened("socket")
    page.wait_for_function("() => said.some(({ type }) => type === 'subscribed')")
    publish(hub, "a", "complete", CHANNEL, progress=100)
    page.wait_for_function("() => said.some(({ type }) => type === 'processing_complete')")
    said = page.evaluate("said")
    [last] = [message for message in said if message["type"] == "processing_complete"]
    [content] = [content for content in contents(hub) if content["content_id"] == "a"]
    assert last["data"] == content
    assert re.fullmatch(r"[0-9a-z]+-\d+", last["id"])
    named = [message["data"]["content_id"] for message in said if message.get("id")]
    assert named == ["a", "b", "c", "a"]
    assert len(sockets) == streams(hub) == 1
    assert asked == []


def test_without_real_time_the_status_is_polled_while_the_page_is_seen(
    page: Page, hub: LiveHub, opened: Callable[[str], None]
) -> None:
    """Every 5 seconds, and when the page is shown again; there is no stream."""
    page.clock.install()
    asked = requests_to(page, "/api/")
    opened("polled")
    expect(page.locator("#status")).to_contain_text('"total_processing": 3')
    assert shown(page, "status") == {"statusData": status(hub), "isRealTime": False}
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    asked.clear()
    publish(hub, "a", "complete", CHANNEL)
    page.clock.run_for(20_000)
    assert asked == []
    page.evaluate(hide, False)
    expect(page.locator("#status")).to_contain_text('"total_completed": 1')
    assert [address.removeprefix(hub.base_url) for address in asked] == [f"/api/contents/{CHANNEL}/status"]
    publish(hub, "b", "complete", CHANNEL)
    page.clock.run_for(5_000)
    expect(page.locator("#status")).to_contain_text('"total_completed": 2')
    assert not any("events" in address for address in asked)


def test_the_cache_of_query_is_kept_by_the_stream(page: Page, hub: LiveHub, opened: Callable[[str], None]) -> None:
    """A list and a content are fetched once, and the list again when a content has ended."""
    lists = requests_to(page, f"/api/contents/{CHANNEL}")
    ones = requests_to(page, "/status/batch")
    opened("cached")
    expect(page.locator("#list")).to_have_text("c generating 1,b generating 1,a generating 1")
    expect(page.locator("#one")).to_have_text("generating 1")
    wait_until(page, lambda: streams(hub) == 1)
    # Strict Mode mounts twice, which aborts the first request of a content.
    asked = len(ones)
    for progress in (40, 80):
        publish(hub, "a", "generating", CHANNEL, progress=progress)
        expect(page.locator("#list")).to_contain_text(f"a generating {progress}")
        expect(page.locator("#one")).to_have_text(f"generating {progress}")
    fetched = [address for address in lists if address.endswith(CHANNEL)]
    assert (len(fetched), len(ones)) == (1, asked)
    publish(hub, "a", "complete", CHANNEL, progress=100)
    expect(page.locator("#list")).to_have_text("a complete 100,c generating 1,b generating 1")
    assert len([address for address in lists if address.endswith(CHANNEL)]) == 2


def test_without_a_stream_query_polls(
    page: Page, hub: LiveHub, opened: Callable[[str], None], tolerated: list[str]
) -> None:
    """Until the stream is there."""
    tolerated.append("net::ERR_FAILED")
    page.route("**/events?*", lambda route: route.abort())
    page.route("**/changes?*", lambda route: route.abort())
    lists = requests_to(page, f"/api/contents/{CHANNEL}")
    opened("cached")
    expect(page.locator("#list")).to_contain_text("a generating 1")
    publish(hub, "a", "generating", CHANNEL, progress=40)
    expect(page.locator("#list")).to_contain_text("a generating 40")
    expect(page.locator("#one")).to_have_text("generating 40")
    assert [address for address in lists if address.endswith(CHANNEL)]


def test_the_page_that_polls_and_the_one_on_the_hook_are_measured(browser: Browser, site: str) -> None:
    """The harness opens both, and has figures of each."""
    with live_hub("memory:") as hub:
        costs = measure(browser, hub.base_url, site, seconds=0.5, ends=2)
    assert [*costs] == [*PAGES]
    assert all(cost.requests and cost.received and len(cost.delays) == 2 for cost in costs.values())
    assert costs["useContentStatusWithFallback"].requests == 1
