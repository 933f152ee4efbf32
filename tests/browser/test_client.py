"""The browser client in Chromium, against real hubs: live, through outages and proxies, and in many tabs."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.support.client_page import CONNECT, becomes, connected, open_page, shows, streams
from tests.support.growing import Writer
from tests.support.hub_process import HubProcess
from tests.support.live import LiveHub, live_hub
from tests.support.nginx_server import plain_nginx
from tests.support.publishing import publish
from tests.support.tokens import SECRET, bearer, token
from tests.support.waiting import eventually

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

TABS = 8


@pytest.fixture
def hub() -> Iterator[LiveHub]:
    with live_hub("memory:") as hub:
        yield hub


def held(page: Page) -> list[str]:
    """The contents of the page's store, the newest change first."""
    contents: list[str] = page.evaluate("hub.contents('c').map(({ id }) => id)")
    return contents


@pytest.fixture
def tabs(browser: Browser, hub: LiveHub) -> Iterator[list[Page]]:
    """Pages of one browser profile, all of which are connected."""
    context = browser.new_context()
    pages = [connected(context, hub.base_url) for _ in range(TABS)]
    for page in pages:
        becomes(page, "live")
    yield pages
    context.close()


def test_a_page_shows_what_happens(page: Page, hub: LiveHub) -> None:
    """The state first, then each change; the newest first; what is removed goes."""
    publish(hub, "a", "generating", progress=1)
    publish(hub, "b", "generating", progress=2)
    connected(page, hub.base_url)
    page.evaluate("hub.ready()")
    assert held(page) == ["b", "a"]
    publish(hub, "a", "complete")
    shows(page, "a", "completed")
    assert held(page) == ["a", "b"]
    httpx.post(f"{hub.base_url}/api/contents/c/remove", json={"content_ids": ["b"]}).raise_for_status()
    page.wait_for_function("!hub.get('b')")
    assert held(page) == ["a"]
    assert page.evaluate("seen") == ["a 1", "b 2", "a completed"]


def test_listeners_are_called_once_a_frame(page: Page, hub: LiveHub) -> None:
    """Of many changes in one frame, the view is told once; the array is the same until something changes."""
    connected(page, hub.base_url, share=False)
    page.evaluate("hub.ready()")
    calls = page.evaluate(
        """async () => {
            let calls = 0;
            hub.subscribe(() => (calls += 1));
            const before = hub.contents("c");
            const same = before === hub.contents("c");
            const publish = (progress) => fetch("/api/publish", {
                method: "POST",
                headers: { "Content-Type": "application/json" },
                body: JSON.stringify({ events: Array.from({ length: 200 }, (_, number) => (
                    { channel: "c", content_id: `m-${number}`, data: { status: "generating", progress } }
                )) }),
            });
            await publish(1);
            while (hub.contents("c").length < 200) await new Promise(requestAnimationFrame);
            await new Promise((resolve) => setTimeout(resolve, 300));
            return { calls, same, changed: hub.contents("c") !== before, seen: seen.length };
        }"""
    )
    assert calls["same"]
    assert calls["changed"]
    assert calls["seen"] == 200
    assert 1 <= calls["calls"] < 100


def test_a_killed_hub_comes_back_without_a_gap(page: Page, tmp_path: Path, tolerated: list[str]) -> None:
    """A page whose hub is killed polls, says that it is offline, and is live again with all that happened."""
    tolerated.append("ERR_")
    hub = HubProcess(tmp_path, broker=f"sqlite:///{tmp_path / 'hub.db'}")
    hub.start()
    try:
        publish(hub, "a", "generating", progress=1)
        connected(page, hub.base_url)
        becomes(page, "live")
        shows(page, "a", 1)
        hub.kill()
        page.wait_for_function("hub.state === 'offline'")
        assert page.evaluate("hub.reason") == "The hub does not answer"
        hub.start()
        publish(hub, "a", "generating", progress=2)
        publish(hub, "b", "complete")
        page.evaluate("hub.retry()")
        becomes(page, "live")
        shows(page, "a", 2)
        shows(page, "b", "completed")
        assert page.evaluate("seen") == ["a 1", "a 2", "b completed"]
    finally:
        hub.kill()


def test_a_page_behind_a_proxy_that_buffers_polls_and_returns(
    page: Page, hub: LiveHub, tmp_path: Path, tolerated: list[str]
) -> None:
    """By long polls, with the stream's cursor; when the proxy passes streams on, the page is live."""
    # It compresses what it passes on, and waits for enough of it.
    buffering = "proxy_ignore_headers X-Accel-Buffering; gzip on; gzip_types text/event-stream; gzip_min_length 0;"
    folder = tmp_path / "nginx"
    tolerated.append("ERR_")  # when nginx takes its new settings
    with plain_nginx(folder, hub.base_url, buffering) as proxy:
        publish(hub, "a", "generating", progress=1)
        page.clock.install()
        connected(page, proxy)
        becomes(page, "polling")
        shows(page, "a", 1)
        assert page.evaluate("hub.failing")
        with page.expect_request(re.compile(r"/changes\?since=[a-z0-9]+-\d+&wait=25")):
            page.clock.fast_forward(2_000)
        publish(hub, "a", "generating", progress=2)
        shows(page, "a", 2)
        config = folder / "nginx.conf"
        config.write_text(config.read_text().replace(buffering, ""))
        os.kill(int((folder / "nginx.pid").read_text()), signal.SIGHUP)

        def returned() -> bool:
            page.clock.fast_forward(10_000)
            return bool(page.evaluate("hub.state") == "live")

        eventually(returned)
        publish(hub, "a", "complete")
        shows(page, "a", "completed")
        assert page.evaluate("seen") == ["a 1", "a 2", "a completed"]
        assert not page.evaluate("hub.failing")
        page.evaluate("hub.close()")


def test_eight_tabs_have_one_stream(tabs: list[Page], hub: LiveHub) -> None:
    """Over HTTP/1.1, where a browser opens six connections to a server; all are live."""
    eventually(lambda: streams(hub.base_url) == 1)
    publish(hub, "a", "generating", progress=5)
    for page in tabs:
        shows(page, "a", 5)
    assert streams(hub.base_url) == 1


def test_another_tab_takes_over(tabs: list[Page], hub: LiveHub) -> None:
    """When the tab that has the stream is closed, the others miss and repeat nothing."""
    publish(hub, "a", "generating", progress=0)
    for page in tabs:
        shows(page, "a", 0)
    for number in range(1, TABS - 1):
        tabs[number - 1].close()
        publish(hub, "a", "generating", progress=number)
        for page in tabs[number:]:
            shows(page, "a", number)
    eventually(lambda: streams(hub.base_url) == 1)
    for page in tabs[TABS - 2 :]:
        assert page.evaluate("seen") == [f"a {number}" for number in range(TABS - 1)]


def test_tabs_of_other_channels_share_the_stream(browser: Browser, hub: LiveHub) -> None:
    """Each sees its own; a channel joins and leaves without a gap."""
    context = browser.new_context()
    for channel in ("c", "d", "e/1"):
        publish(hub, f"{channel}-old", "generating", channel)
    first = connected(context, hub.base_url)
    becomes(first, "live")
    second = connected(context, hub.base_url, channels=["d"], match="e/*")
    second.evaluate("hub.ready()")
    assert set(second.evaluate("hub.contents().map(({ id }) => id)")) == {"d-old", "e/1-old"}
    assert first.evaluate("hub.contents().map(({ id }) => id)") == ["c-old"]
    publish(hub, "e/1-new", "complete", "e/1")
    publish(hub, "c-new", "complete")
    shows(second, "e/1-new", "completed")
    shows(first, "c-new", "completed")
    assert streams(hub.base_url) == 1
    first.evaluate("hub.add('d'), hub.ready()")
    shows(first, "d-old", "processing")
    first.evaluate("hub.drop('d')")
    assert set(first.evaluate("hub.contents().map(({ id }) => id)")) == {"c-old", "c-new"}
    second.close()
    publish(hub, "c-last", "complete")
    shows(first, "c-last", "completed")
    context.close()


@pytest.mark.parametrize("share", [True, False], ids=["shared", "alone"])
@pytest.mark.parametrize(
    ("target", "sleep", "wake"), [("document", "freeze", "resume"), ("window", "pagehide", "pageshow")]
)
def test_a_sleeping_page_catches_up(page: Page, hub: LiveHub, target: str, sleep: str, wake: str, share: bool) -> None:
    """One that the browser freezes, or keeps for "back", lets go of its stream, and has all when it wakes."""
    publish(hub, "a", "generating", progress=1)
    connected(page, hub.base_url, share=share)
    becomes(page, "live")
    page.evaluate("([target, type]) => globalThis[target].dispatchEvent(new Event(type))", [target, sleep])
    eventually(lambda: streams(hub.base_url) == 0)
    publish(hub, "a", "generating", progress=2)
    publish(hub, "a", "complete")
    woken = "new PageTransitionEvent(type, { persisted: true })"
    page.evaluate(f"([target, type]) => globalThis[target].dispatchEvent({woken})", [target, wake])
    shows(page, "a", "completed")
    becomes(page, "live")


HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.mark.parametrize("share", [True, False], ids=["shared", "alone"])
def test_a_hidden_page_lets_go_and_catches_up(page: Page, hub: LiveHub, share: bool) -> None:
    """After a minute, but not while it waits for an end."""
    page.clock.install()
    connected(page, hub.base_url, share=share)
    becomes(page, "live")
    page.evaluate("void (window.end = hub.until('a').then(({ phase }) => phase))")
    page.evaluate(HIDE, True)
    page.clock.fast_forward(20_000)
    publish(hub, "a", "complete")
    assert page.evaluate("end") == "completed"
    for _ in range(5):
        page.clock.fast_forward(15_000)
    eventually(lambda: streams(hub.base_url) == 0)
    publish(hub, "b", "complete")
    page.evaluate(HIDE, False)
    shows(page, "b", "completed")
    becomes(page, "live")


def test_a_silent_stream_is_replaced(page: Page, hub: LiveHub) -> None:
    """Without heartbeats the page opens another one at its cursor."""
    page.clock.install()
    publish(hub, "a", "generating", progress=1)
    connected(page, hub.base_url, share=False)
    becomes(page, "live")
    with page.expect_request(re.compile(r"/events\?since=[a-z0-9]+-\d+&")):
        page.clock.fast_forward(40_000)
    becomes(page, "live")
    publish(hub, "a", "generating", progress=2)
    shows(page, "a", 2)


def test_a_reset_replaces_the_state(page: Page, hub: LiveHub, tolerated: list[str]) -> None:
    """Of a hub that begins anew, the page shows only the new contents."""
    tolerated.append("ERR_")
    port = int(hub.base_url.rpartition(":")[2])
    publish(hub, "old", "generating")
    connected(page, hub.base_url)
    shows(page, "old", "processing")
    hub.stop()
    with live_hub("memory:", port=port) as other:
        publish(other, "new", "generating")
        page.evaluate("hub.retry()")
        shows(page, "new", "processing")
        page.wait_for_function("!hub.get('old')")
        page.evaluate("hub.close()")


def test_a_channel_that_is_refused_is_no_matter_to_others(page: Page, hub: LiveHub, tolerated: list[str]) -> None:
    """A name that is not legal is refused with the hub's words, not tried again and again as offline."""
    tolerated.append("422")
    publish(hub, "a", "generating", progress=1)
    connected(page, hub.base_url, channels=["c", " c"])
    becomes(page, "refused")
    shows(page, "a", 1)
    assert page.evaluate("hub.error.status") == 422
    assert "channel" in page.evaluate("hub.reason")
    publish(hub, "a", "generating", progress=2)
    shows(page, "a", 2)
    page.evaluate("hub.drop(' c')")
    becomes(page, "live")


def test_cancel_reaches_the_hub(page: Page, hub: LiveHub, tolerated: list[str]) -> None:
    """The request shows in the content; of a content that has ended, it is refused with the hub's words."""
    tolerated.append("409")
    publish(hub, "a", "generating")
    publish(hub, "b", "complete")
    connected(page, hub.base_url)
    page.evaluate("hub.ready()")
    page.evaluate("hub.cancel('a', { reason: 'no longer needed' })")
    page.wait_for_function("hub.get('a').data.cancel_requested?.reason === 'no longer needed'")
    refused = page.evaluate("hub.cancel('b').catch(({ name, status, code }) => [name, status, code])")
    assert refused == ["HubError", 409, "ended"]


@pytest.mark.parametrize("transport", ["websocket", "polling", "auto"])
def test_every_transport_shows_the_same(page: Page, hub: LiveHub, transport: str, tolerated: list[str]) -> None:
    """States, texts that grow, removals, and patterns beside channels; a channel that joins later, too."""
    writer = Writer(hub, "e/1")
    writer.begin("text", "The ")
    publish(hub, "a", "generating", progress=1)
    publish(hub, "late", "generating", "d")
    # Chromium lets no page that is an intercepted request open a socket to a loopback address.
    tolerated.append("404")  # of the icon that such a page has not
    page.goto(f"{hub.base_url}/healthz")
    page.evaluate(CONNECT, {"transport": transport, "share": False, "match": "e/*"})
    page.evaluate("hub.ready()")
    becomes(page, "polling" if transport == "polling" else "live")
    for piece in ("sea ", "is ", "old."):
        writer.add("text", piece)
    page.wait_for_function("hub.get('text').data.text === 'The sea is old.'")
    publish(hub, "a", "complete")
    shows(page, "a", "completed")
    httpx.post(f"{hub.base_url}/api/contents/c/remove", json={"content_ids": ["a"]}).raise_for_status()
    page.wait_for_function("!hub.get('a')")
    page.evaluate("hub.add('d'), hub.ready()")
    shows(page, "late", "processing")
    writer.end("text")
    shows(page, "text", "completed")
    page.evaluate("hub.close()")


def test_a_token_is_sent_in_a_header(page: Page, tolerated: list[str]) -> None:
    """Streams are read by fetch then; a token that the hub refuses is refused with its words."""
    tolerated.append("401")
    with live_hub(secret=SECRET) as hub:
        cursor = httpx.post(
            f"{hub.base_url}/api/publish",
            json={"channel": "c", "content_id": "a", "data": {"status": "generating", "progress": 1}},
            headers=bearer(),
        ).json()["cursor"]
        secret = token()
        with page.expect_request("**/events*") as opened:
            connected(page, hub.base_url, token=secret)
        assert opened.value.headers["authorization"] == f"Bearer {secret}"
        becomes(page, "live")
        shows(page, "a", 1)
        assert page.evaluate("hub.get('a').cursor") == cursor
        page.evaluate("hub.close()")
        page.evaluate(CONNECT, {"token": "wrong"})
        becomes(page, "refused")
        refused = page.evaluate("hub.ready().catch(({ name, status, code }) => [name, status, code])")
        assert refused == ["HubError", 401, "unauthorized"]
        page.evaluate("hub.close()")


def test_a_worker_follows_a_hub(page: Page, hub: LiveHub) -> None:
    """Where there is no window."""
    open_page(page, hub.base_url)
    publish(hub, "a", "generating")
    page.evaluate(
        """() => {
            const script = `
                import { connect } from "${location.origin}/assets/client/index.js";
                const hub = connect({ channels: ["c"] });
                hub.ready().then(() => postMessage(hub.contents().length));
                hub.until("a").then(({ phase }) => postMessage(phase));
            `;
            window.said = [];
            const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
            new Worker(url, { type: "module" }).onmessage = ({ data }) => said.push(data);
        }"""
    )
    page.wait_for_function("said.includes(1)")
    publish(hub, "a", "complete")
    page.wait_for_function("said.includes('completed')")


def test_only_contents_that_are_wanted_are_kept(page: Page, hub: LiveHub) -> None:
    """Of a long channel, or of all channels."""
    for number in range(20):
        publish(hub, f"n-{number}", "generating", f"jobs/{number % 3}")
    connected(page, hub.base_url, channels=[], contentIds=["n-3", "n-7"])
    page.evaluate("hub.ready()")
    publish(hub, "n-4", "complete", "jobs/1")
    publish(hub, "n-3", "complete", "jobs/0")
    shows(page, "n-3", "completed")
    assert page.evaluate("hub.contents().map(({ id }) => id)") == ["n-3", "n-7"]
    page.evaluate("hub.close()")
