from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from statushub.hub.api.dashboard import WEB
from tests.support.live import live_hub
from tests.support.ports import free_port
from tests.support.publishing import publish_all

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

FORBIDDEN = "403 (Forbidden)"
UNREACHABLE = "net::ERR_"


@pytest.fixture(scope="module")
def hub_url() -> Iterator[str]:
    """The URL of a hub for tests that do not stop it; each test uses its own channel."""
    with live_hub("memory:") as hub:
        yield hub.base_url


@pytest.fixture
def channel(request: pytest.FixtureRequest) -> str:
    """A channel named after the test."""
    return str(request.node.name)[:100]


def publish(base_url: str, channel: str, content_id: str, **data: Any) -> None:
    publish_all(base_url, [event(channel, content_id, **data)])


def event(channel: str, content_id: str, **data: Any) -> dict[str, Any]:
    return {"channel": channel, "content_id": content_id, "data": data}


def show(page: Page, base_url: str, channel: str, state: str = "live") -> None:
    """Open the dashboard and wait until its connection is in `state`."""
    page.goto(f"{base_url}/?channel={quote(channel, safe='')}")
    expect(connection(page, state)).to_be_visible()


def connection(page: Page, state: str) -> Locator:
    return page.locator(f"#connection[data-state={state}]")


def row(page: Page, content_id: str) -> Locator:
    return page.locator(f'.row[data-content="{content_id}"]')


def open_stream(page: Page, base_url: str, channel: str, *, blocked: bool = False) -> None:
    """Open a second stream beside the dashboard's; `html` shows its state and the progress it received."""
    page.goto(f"{base_url}/?channel=elsewhere")
    if blocked:
        page.route(f"**/{channel}/events*", refuse)
    page.evaluate(
        """async (channel) => {
            const { StatusStream } = await import("/assets/client.js");
            const { dataset } = document.documentElement;
            const received = [];
            window.stream = new StatusStream(channel);
            stream.addEventListener("state", () => (dataset.state = stream.state));
            stream.addEventListener("status", ({ detail }) => {
                received.push(detail.data.progress);
                dataset.received = received.join(" ");
            });
        }""",
        channel,
    )


def refuse(route: Route) -> None:
    route.fulfill(status=403, body="blocked")


def titles(page: Page, section: str) -> Locator:
    return page.locator(f"#{section} .title")


# The stream


def test_the_step_of_questions_and_answers_reads_well(page: Page, hub_url: str, channel: str) -> None:
    """The hub's own word for it begins with an abbreviation."""
    show(page, hub_url, channel)
    publish(hub_url, channel, f"{channel}-qa", status="generating", processing_status="qa_generating")
    expect(row(page, f"{channel}-qa").locator(".step")).to_have_text("Q&A generating")


def test_progress_and_completion_show_as_they_happen(page: Page, hub_url: str, channel: str) -> None:
    """The stream brings progress, step and remaining time, then the completion with its result."""
    show(page, hub_url, channel)
    publish(
        hub_url,
        channel,
        f"{channel}-1",
        title="clip.mp4",
        status="processing",
        step="transcoding",
        step_index=3,
        total_steps=6,
        progress=45.9,
        remaining_seconds=5000,
    )
    shown = row(page, f"{channel}-1")
    expect(shown.locator(".title")).to_have_text("clip.mp4")
    expect(shown.locator(".badge")).to_have_text("Processing")
    expect(shown.locator(".percent")).to_have_text("45%")
    expect(shown.locator(".step")).to_have_text("Transcoding · step 3 of 6")
    expect(shown.locator(".left")).to_have_text("1 h 23 min left")
    bar = page.get_by_role("progressbar", name="Progress of clip.mp4")
    expect(bar).to_have_attribute("aria-valuenow", "45")
    expect(page.locator("#total-processing")).to_have_text("1")

    address = "https://media.example.com/1/master.m3u8"
    publish(hub_url, channel, f"{channel}-1", title="clip.mp4", status="completed", hls_path=address)
    expect(shown.locator(".badge")).to_have_text("Completed")
    expect(page.get_by_role("link", name="Open the result of clip.mp4")).to_have_attribute("href", address)
    expect(page.locator("#total-completed")).to_have_text("1")
    expect(page.locator("#processing")).to_be_hidden()
    expect(connection(page, "live")).to_be_visible()


def test_a_failure_shows_its_message(page: Page, hub_url: str, channel: str) -> None:
    """A failed content shows its error message and its last progress."""
    publish(hub_url, channel, f"{channel}-1", status="error", progress=62, error_message="The source ended early.")
    show(page, hub_url, channel)
    shown = row(page, f"{channel}-1")
    expect(shown.locator(".badge")).to_have_text("Failed")
    expect(shown.locator(".error")).to_have_text("The source ended early.")
    expect(shown.locator(".percent")).to_have_text("62%")
    expect(page.locator("#total-failed")).to_have_text("1")


def test_a_removed_content_leaves_the_page(page: Page, channel: str) -> None:
    """Its row and its count go the moment that its retention ends, and it may come back."""
    with live_hub("memory:", retention=600.0) as hub:
        show(page, hub.base_url, channel)
        publish(hub.base_url, channel, "gone", status="complete")
        publish(hub.base_url, channel, "there", status="generating")
        expect(row(page, "gone")).to_be_visible()
        hub.run(hub.hub.broker.expire(time.time() + 700))
        expect(row(page, "gone")).to_have_count(0)
        expect(page.locator("#total-completed")).to_have_text("0")
        publish(hub.base_url, channel, "gone", status="generating")
        expect(row(page, "gone")).to_be_visible()


def test_a_page_resumes_after_a_restart(page: Page, tmp_path: Path, channel: str, tolerated: list[str]) -> None:
    """The page reconnects with its cursor: existing rows stay, and missed events arrive."""
    tolerated.append(UNREACHABLE)
    port, broker = free_port(), f"sqlite:///{tmp_path / 'hub.db'}"
    base_url = f"http://127.0.0.1:{port}"
    with live_hub(broker, port=port):
        publish(base_url, channel, "a", status="generating", progress=10)
        publish(base_url, channel, "b", status="generating", progress=20)
        show(page, base_url, channel)
        expect(row(page, "a").locator(".percent")).to_have_text("10%")
        page.evaluate("for (const row of document.querySelectorAll('.row')) row.kept = true")
    expect(connection(page, "reconnecting")).to_be_visible()
    with live_hub(broker, port=port):
        publish(base_url, channel, "b", status="complete")
        expect(row(page, "b").locator(".badge")).to_have_text("Completed")
        expect(connection(page, "live")).to_be_visible()
        expect(row(page, "a").locator(".percent")).to_have_text("10%")
        assert page.evaluate("[...document.querySelectorAll('.row')].every((row) => row.kept)")


def test_a_reset_shows_only_the_new_state(page: Page, channel: str, tolerated: list[str]) -> None:
    """A hub that lost its clock starts a new epoch, so that the page removes its rows."""
    tolerated.append(UNREACHABLE)
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    with live_hub("memory:", port=port):
        for number in range(5):
            publish(base_url, channel, f"old-{number}", status="generating")
        show(page, base_url, channel)
        expect(page.locator(".row")).to_have_count(5)
    with live_hub("memory:", port=port):
        publish(base_url, channel, "new", status="generating", progress=1)
        expect(page.locator(".row")).to_have_count(1)
        expect(row(page, "new").locator(".percent")).to_have_text("1%")
        expect(page.locator("#total-processing")).to_have_text("1")


def test_a_silent_connection_is_replaced(page: Page, hub_url: str, channel: str) -> None:
    """Without a heartbeat the page reconnects with its cursor."""
    page.clock.install()
    publish(hub_url, channel, f"{channel}-1", status="generating", progress=10)
    show(page, hub_url, channel)
    with page.expect_request(re.compile(r"/events\?since=[a-z0-9]+-\d+&")):
        page.clock.fast_forward(40_000)
    expect(connection(page, "live")).to_be_visible()
    publish(hub_url, channel, f"{channel}-1", status="generating", progress=11)
    expect(row(page, f"{channel}-1").locator(".percent")).to_have_text("11%")


# Polling


def test_a_refused_stream_turns_into_polling(page: Page, hub_url: str, channel: str, tolerated: list[str]) -> None:
    """A page whose stream a proxy answers with 403 polls, and shows its interval."""
    tolerated.append(FORBIDDEN)
    publish(hub_url, channel, f"{channel}-1", status="generating", progress=45)
    page.route("**/events*", refuse)
    show(page, hub_url, channel, "polling")
    expect(page.locator("#connection-label")).to_have_text("Polling every 3 s")
    shown = row(page, f"{channel}-1")
    expect(shown.locator(".percent")).to_have_text("45%")
    publish(hub_url, channel, f"{channel}-1", status="complete")
    expect(shown.locator(".badge")).to_have_text("Completed")
    expect(page.locator("#connection-label")).to_have_text("Polling every 10 s")


def test_an_aborted_stream_turns_into_polling(page: Page, hub_url: str, channel: str, tolerated: list[str]) -> None:
    """A page polls where the browser retries the stream without success."""
    tolerated.append(UNREACHABLE)
    publish(hub_url, channel, f"{channel}-1", status="generating")
    page.route("**/events*", lambda route: route.abort())
    show(page, hub_url, channel, "polling")
    publish(hub_url, channel, f"{channel}-1", status="complete")
    expect(row(page, f"{channel}-1").locator(".badge")).to_have_text("Completed")


def test_a_stream_that_stays_silent_turns_into_polling(page: Page, hub_url: str, channel: str) -> None:
    """A page polls where a buffering proxy holds the stream back."""
    publish(hub_url, channel, f"{channel}-1", status="generating", progress=45)
    page.route("**/events*", lambda route: None)
    show(page, hub_url, channel, "polling")
    expect(row(page, f"{channel}-1").locator(".percent")).to_have_text("45%")


def test_a_page_that_polls_tells_the_hub(page: Page, channel: str, tolerated: list[str]) -> None:
    """Its interval with each poll, and an attempt that failed with one; once live it has nothing to tell."""
    tolerated.append(FORBIDDEN)
    with live_hub("memory:") as hub:
        page.route("**/events*", refuse)
        with page.expect_request("**/changes*") as polled:
            show(page, hub.base_url, channel, "polling")
        assert "polling=10000" in polled.value.url
        assert "failed=1" in polled.value.url
        publish(hub.base_url, channel, f"{channel}-1", status="generating")
        page.clock.install()
        with page.expect_request("**/changes*") as polled:
            page.clock.fast_forward(12_000)
        assert "failed=" not in polled.value.url
        expect(row(page, f"{channel}-1")).to_be_visible()
        counts = hub.hub.counts
        # The second interval may be that of a channel in which something is processed.
        assert counts.polling_seconds in (13, 20)
        assert counts.live_attempts["failed"] == 1
        page.goto("about:blank")


def test_a_full_hub_is_polled(page: Page, channel: str) -> None:
    """A hub over its stream quota sends a delay for the reconnect, and the page polls until then."""
    with live_hub("memory:", max_streams=0) as hub:
        publish(hub.base_url, channel, f"{channel}-1", status="generating", progress=45)
        # The page's clock is stopped, so that no timeout of the page makes it poll.
        page.clock.install(time="2030-01-01T00:00:00")
        page.clock.pause_at("2030-01-01T00:00:01")
        show(page, hub.base_url, channel, "polling")
        page.clock.resume()
        expect(row(page, f"{channel}-1").locator(".percent")).to_have_text("45%")


def test_changing_transports_neither_misses_nor_repeats_a_state(
    page: Page, hub_url: str, channel: str, tolerated: list[str]
) -> None:
    """From polling to the stream and back, each state arrives once, in order."""
    tolerated.append(FORBIDDEN)
    open_stream(page, hub_url, channel, blocked=True)
    dispatch = "(type) => dispatchEvent(new Event(type))"
    stream = page.locator("html")
    expect(stream).to_have_attribute("data-state", "polling")
    publish(hub_url, channel, f"{channel}-1", status="generating", progress=1)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(stream).to_have_attribute("data-received", "1")
    page.unroute(f"**/{channel}/events*")
    page.evaluate(dispatch, "online")
    expect(stream).to_have_attribute("data-state", "live")
    publish(hub_url, channel, f"{channel}-2", status="generating", progress=2)
    expect(stream).to_have_attribute("data-received", "1 2")
    page.route(f"**/{channel}/events*", refuse)
    page.evaluate(dispatch, "online")
    expect(stream).to_have_attribute("data-state", "polling")
    publish(hub_url, channel, f"{channel}-3", status="generating", progress=3)
    expect(stream).to_have_attribute("data-received", "1 2 3")


def test_an_older_state_is_ignored(page: Page, hub_url: str, channel: str, tolerated: list[str]) -> None:
    """Neither an older or equal offset of a content nor an unknown type is passed on."""
    tolerated.append(FORBIDDEN)

    def change(offset: int, content_id: str, type: str = "content_status_update") -> dict[str, Any]:
        return {"id": f"e-{offset}", "type": type, "data": {"content_id": content_id, "progress": offset}}

    events = [change(12, "a"), change(11, "a"), change(12, "a"), change(3, "b"), change(13, "a", "other")]
    page.route(
        f"**/{channel}/changes*",
        lambda route: route.fulfill(json={"cursor": "e-20", "reset": False, "events": [*events, change(20, "c")]}),
    )
    open_stream(page, hub_url, channel, blocked=True)
    expect(page.locator("html")).to_have_attribute("data-received", "12 3 20")


def test_a_closed_stream_sends_no_request(page: Page, hub_url: str, channel: str) -> None:
    """After `close`, events of network and tab do not start it again."""
    page.clock.install()
    open_stream(page, hub_url, channel)
    expect(page.locator("html")).to_have_attribute("data-state", "live")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if channel in request.url else None)
    page.evaluate(
        """() => {
            stream.close();
            dispatchEvent(new Event("online"));
            dispatchEvent(new Event("offline"));
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    page.clock.fast_forward(120_000)
    page.evaluate("fetch('/healthz').then((answer) => answer.status)")
    assert asked == []


def test_a_hidden_tab_does_not_poll(page: Page, hub_url: str, channel: str, tolerated: list[str]) -> None:
    """Polling pauses while the tab is hidden, and resumes immediately when it is shown."""
    tolerated.append(FORBIDDEN)
    page.clock.install()
    page.route("**/events*", refuse)
    show(page, hub_url, channel, "polling")
    expect(page.locator("#empty")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/changes" in request.url else None)
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    page.clock.fast_forward(120_000)
    # Earlier requests of the page have been observed once this one is answered.
    page.evaluate("fetch('/healthz').then((answer) => answer.status)")
    assert asked == []
    with page.expect_request("**/changes*"):
        page.evaluate(hide, False)


def test_retry_after_is_honoured(page: Page, hub_url: str, channel: str, tolerated: list[str]) -> None:
    """The page does not poll before the time in `Retry-After`, and shows the hub's reason meanwhile."""
    tolerated += [FORBIDDEN, "503 (Service Unavailable)"]
    page.clock.install()
    page.route("**/events*", refuse)
    page.route(
        "**/changes*",
        lambda route: route.fulfill(
            status=503,
            headers={"Retry-After": "3600"},
            json={"error": {"code": "broker_unavailable", "message": "The broker is away."}},
        ),
    )
    show(page, hub_url, channel, "offline")
    expect(page.locator("#connection-meaning")).to_have_text("The broker is away.")
    expect(page.locator("#total-processing")).to_have_text("\N{EN DASH}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/changes" in request.url else None)
    page.clock.fast_forward(3_500_000)
    page.evaluate("fetch('/healthz').then((answer) => answer.status)")
    assert asked == []
    with page.expect_request("**/changes*"):
        page.clock.fast_forward(200_000)


def test_the_stream_is_retried_once_a_poll_succeeds(
    page: Page, hub_url: str, channel: str, tolerated: list[str]
) -> None:
    """An offline page opens the stream immediately after a successful poll."""
    tolerated += [FORBIDDEN, UNREACHABLE]
    page.route("**/events*", refuse)
    page.route("**/changes*", lambda route: route.abort())
    show(page, hub_url, channel, "offline")
    page.unroute("**/events*")
    page.unroute("**/changes*")
    expect(connection(page, "live")).to_be_visible()


# The page


def test_an_empty_channel_shows_commands(page: Page, hub_url: str, channel: str) -> None:
    """The copied command, run by a shell, publishes to the channel, whatever its name."""
    quoted = f'it\'s $(exit) `{channel}` "x"'
    show(page, hub_url, quoted)
    expect(page.get_by_role("heading", name=f"Nothing in {quoted} yet")).to_be_visible()
    expect(page.locator("#encode-command")).to_contain_text("statushub encode clip.mp4 --channel 'it'\\''s $(exit)")
    page.locator("[data-copies=publish-command]").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    command = page.evaluate("navigator.clipboard.readText()")
    subprocess.run(["sh", "-ec", command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    expect(page.locator(".row .percent")).to_have_text("42%")
    expect(page.locator("#empty")).to_be_hidden()


def test_commands_of_another_channel_name_other_contents(page: Page, hub_url: str, channel: str) -> None:
    """A content lives in one channel, and one that has ended stays ended: the commands of each page work."""
    seen: set[str] = set()
    for number in range(2):
        show(page, hub_url, f"{channel}-{number}")
        for command in ("encode-command", "publish-command"):
            text = page.locator(f"#{command}").inner_text()
            seen |= set(re.findall(r"clip-[0-9a-f]{8}", text))
    assert len(seen) == 4


def test_the_channel_is_chosen_in_the_page_and_kept_in_its_address(page: Page, hub_url: str, channel: str) -> None:
    """The first channel is `encodes`; the form opens another one and puts it into the URL."""
    publish(hub_url, channel, f"{channel}-1", status="generating")
    page.goto(hub_url)
    field = page.get_by_label("Channel")
    expect(field).to_have_value("encodes")
    field.fill(channel)
    field.press("Enter")
    expect(page).to_have_url(f"{hub_url}/?channel={channel}")
    expect(row(page, f"{channel}-1")).to_be_visible()


def test_an_invalid_channel_shows_the_hubs_error(page: Page, hub_url: str, tolerated: list[str]) -> None:
    """A refused name shows the hub's message."""
    tolerated.append("422")
    show(page, hub_url, "all*", "offline")
    expect(page.locator("#connection-meaning")).to_contain_text("channel_id may hold")


def test_published_markup_is_shown_as_text(page: Page, hub_url: str, channel: str) -> None:
    """Markup in names and messages is not parsed, and URLs of other schemes are not links."""
    markup = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>'
    addresses = ["javascript:window.harmed=1", " java\tscript:window.harmed=1", "data:text/html,<script>1</script>"]
    publish(hub_url, channel, f"{channel}-f", title=markup, status="error", error_message=markup)
    publish(hub_url, channel, f"{channel}-p", title=markup, status="generating", processing_status=markup)
    for number, address in enumerate(addresses):
        done = {"status": "complete", "result_url": address, "thumbnail_url": address}
        publish(hub_url, channel, f"{channel}-{number}", title=f"done {number}", **done)
    show(page, hub_url, channel)
    expect(page.locator(".row")).to_have_count(5)
    expect(row(page, f"{channel}-f").locator(".title")).to_have_text(markup)
    expect(row(page, f"{channel}-f").locator(".error")).to_have_text(markup)
    for number, address in enumerate(addresses):
        expect(row(page, f"{channel}-{number}").locator(".path")).to_have_text(address.strip())
    assert page.locator(".row a[href]").count() == 0
    assert page.locator(".row img[src], .row script").count() == 0
    assert page.evaluate("window.harmed") is None


def test_no_request_leaves_the_origin(page: Page, hub_url: str, channel: str) -> None:
    """Published URLs of other origins are not fetched."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    foreign = f"http://localhost:{free_port()}"
    publish(hub_url, channel, f"{channel}-own", status="complete", thumbnail_url="/assets/favicon.svg")
    publish(
        hub_url,
        channel,
        f"{channel}-foreign",
        status="complete",
        result_url=f"{foreign}/a",
        thumbnail_url=f"{foreign}/b.png",
    )
    show(page, hub_url, channel)
    expect(row(page, f"{channel}-own").locator("img")).to_be_visible()
    expect(row(page, f"{channel}-foreign").locator("a")).to_have_attribute("href", f"{foreign}/a")
    expect(row(page, f"{channel}-foreign").locator("img")).to_be_hidden()
    assert asked
    assert {url for url in asked if not url.startswith(f"{hub_url}/")} == set()


def test_rows_move_only_when_their_phase_changes(page: Page, hub_url: str, channel: str) -> None:
    """The newest row is first; progress moves no row, and a final state moves it to the top of its group."""
    publish(hub_url, channel, f"{channel}-a", title="a", status="pending")
    for name in "bc":
        publish(hub_url, channel, f"{channel}-{name}", title=name, status="generating", progress=1)
    show(page, hub_url, channel)
    expect(titles(page, "processing")).to_have_text(["c", "b", "a"])
    publish(hub_url, channel, f"{channel}-a", title="a", status="generating", progress=2)
    expect(row(page, f"{channel}-a").locator(".percent")).to_have_text("2%")
    expect(titles(page, "processing")).to_have_text(["c", "b", "a"])
    for name in "ab":
        publish(hub_url, channel, f"{channel}-{name}", title=name, status="complete")
    expect(titles(page, "completed")).to_have_text(["b", "a"])
    expect(titles(page, "processing")).to_have_text(["c"])
    headings = page.locator(".group:visible h2")
    publish(hub_url, channel, f"{channel}-d", title="d", status="error")
    expect(headings).to_have_text(["In progress", "Failed", "Completed"])


def test_only_endings_are_announced(page: Page, hub_url: str, channel: str) -> None:
    """Screen readers are told of endings after the page opened, and of no progress."""
    publish(hub_url, channel, f"{channel}-old", status="complete")
    show(page, hub_url, channel)
    publish(hub_url, channel, f"{channel}-1", title="clip.mp4", status="generating", progress=50)
    expect(row(page, f"{channel}-1").locator(".percent")).to_have_text("50%")
    announcer = page.get_by_role("status")
    expect(announcer).to_have_text("")
    publish(hub_url, channel, f"{channel}-1", title="clip.mp4", status="complete")
    expect(announcer).to_have_text("clip.mp4 completed")


def test_the_remaining_time_counts_down(page: Page, hub_url: str, channel: str) -> None:
    """The page counts between two reports; what is past its end is overdue, and shows no negative time."""
    page.clock.install()
    show(page, hub_url, channel)
    publish(hub_url, channel, f"{channel}-1", status="generating", remaining_seconds=1800)
    left = row(page, f"{channel}-1").locator(".left")
    expect(left).to_have_text(re.compile(r"^(30:00|29:\d\d) left$"))
    page.clock.fast_forward(600_000)
    expect(left).to_have_text(re.compile(r"^(20:00|19:\d\d) left$"))
    page.clock.fast_forward(1_800_000)
    expect(left).to_have_text("overdue")


def test_a_silent_content_says_so(page: Page, hub_url: str, channel: str) -> None:
    """A reader who waits learns for how long there was no news; work that has not begun may wait."""
    page.clock.install()
    show(page, hub_url, channel)
    publish(hub_url, channel, f"{channel}-1", status="generating", progress=50)
    publish(hub_url, channel, f"{channel}-2", status="pending")
    publish(hub_url, channel, f"{channel}-3", status="complete")
    updated = [row(page, f"{channel}-{number}").locator(".updated") for number in (1, 2, 3)]
    expect(updated[0]).to_have_text(re.compile("^updated (just now|. s ago)$"))
    page.clock.fast_forward(24 * 60_000)
    expect(updated[0]).to_have_text("no news for 24 min")
    expect(updated[1]).to_have_text("updated 24 min ago")
    expect(updated[2]).to_have_text("24 min ago")
    publish(hub_url, channel, f"{channel}-1", status="generating", progress=51)
    expect(updated[0]).to_have_text(re.compile("^updated (just now|. s ago)$"))


@pytest.mark.parametrize("skew", [-3 * 3600, -90, 90, 3 * 3600], ids=lambda seconds: f"{seconds:+} s")
def test_times_go_by_the_hub_s_clock(page: Page, channel: str, skew: int) -> None:
    """A browser's clock that is wrong makes neither old what is new, nor new what is old."""
    with live_hub("memory:", heartbeat=0.2) as hub:
        old = datetime.now(UTC) - timedelta(minutes=10)
        publish(hub.base_url, channel, "old", status="complete", timestamp=old.isoformat())
        ends = datetime.now(UTC) + timedelta(minutes=30)
        publish(hub.base_url, channel, "ends", status="generating", estimated_completion=ends.isoformat())
        page.clock.install(time=time.time() + skew)
        show(page, hub.base_url, channel)
        page.clock.run_for(3_000)
        expect(row(page, "old").locator(".updated")).to_have_text("10 min ago")
        expect(row(page, "ends").locator(".left")).to_have_text(re.compile(r"^29:\d\d left$"))
        expect(row(page, "ends").locator(".updated")).to_have_text(re.compile("^updated (just now|[0-9]+ s ago)$"))
        publish(hub.base_url, channel, "new", status="generating")
        expect(row(page, "new").locator(".updated")).to_have_text(re.compile("^updated (just now|[0-9] s ago)$"))


def test_the_first_times_go_by_the_hub_s_clock(page: Page, channel: str) -> None:
    """The page does not wait for the first heartbeat."""
    with live_hub("memory:", heartbeat=3600.0) as hub:
        old = datetime.now(UTC) - timedelta(minutes=10)
        publish(hub.base_url, channel, "old", status="complete", timestamp=old.isoformat())
        page.clock.install(time=time.time() - 7200)
        show(page, hub.base_url, channel)
        page.clock.run_for(3_000)
        expect(row(page, "old").locator(".updated")).to_have_text("10 min ago")


def test_a_burst_of_events_ends_in_the_last_state(page: Page, hub_url: str, channel: str) -> None:
    """Each of 500 contents with rapid events shows its last state."""
    show(page, hub_url, channel)
    names = [f"{channel}-{number}" for number in range(500)]
    for progress in (10, 20, 30, 40):
        publish_all(hub_url, [event(channel, name, status="generating", progress=progress) for name in names])
    publish_all(hub_url, [event(channel, name, status="complete") for name in names])
    expect(page.locator("#total-completed")).to_have_text("500")
    expect(page.locator("#completed .row")).to_have_count(500)
    expect(page.locator("#processing .row")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone(page: Page, hub_url: str, channel: str, scheme: Any) -> None:
    """Nothing overflows a width of 360 pixels, however long a name is."""
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for number, status in enumerate(("generating", "error", "complete")):
        publish(hub_url, channel, f"{channel}-{number}", title="x" * 200, status=status, error_message="y" * 300)
    show(page, hub_url, channel)
    expect(page.locator(".row")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    # A row clips its overflow, which the width of the page therefore does not show.
    fits = "(row) => { row.scrollIntoView(); return row.scrollWidth <= row.clientWidth; }"
    assert [shown.evaluate(fits) for shown in page.locator(".row").all()] == [True, True, True]


# Its files


def test_the_policy_forbids_inline_scripts(hub_url: str) -> None:
    """The Content-Security-Policy allows only the page's own files, and the page has no inline code."""
    answer = httpx.get(f"{hub_url}/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert re.findall(r"\son\w+=|\sstyle=|<style|<script(?! type=\"module\" src=)", answer.text) == []


@pytest.mark.parametrize("path", sorted(path.name for path in WEB.iterdir() if path.is_file()))
def test_assets_have_their_types_and_are_revalidated(hub_url: str, path: str) -> None:
    """Each file has its media type, and an unchanged one is answered with 304."""
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
    answer = httpx.get(f"{hub_url}/assets/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(types[Path(path).suffix])
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = httpx.get(f"{hub_url}/assets/{path}", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["missing.js", "..%2fpyproject.toml", "%2e%2e/hub/app.py"])
def test_only_assets_are_served(hub_url: str, path: str) -> None:
    """A path outside of the folder is not found."""
    assert httpx.get(f"{hub_url}/assets/{path}").status_code == 404
