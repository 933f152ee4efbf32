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

from tests.support.live import live_hub
from tests.support.ports import free_port
from tests.support.publishing import publish_all

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

FORBIDDEN = "403 (Forbidden)"
UNREACHABLE = "net::ERR_"

GREY = "(element) => getComputedStyle(element.closest('main')).filter"


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


def refuse(route: Route) -> None:
    route.fulfill(status=403, body="blocked")


def titles(page: Page) -> Locator:
    """The titles of the rows, in their order."""
    return page.locator("#contents .title")


def headings(page: Page) -> Locator:
    """Those of the groups, with their counts."""
    return page.locator("#contents h2")


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
    expect(page.get_by_role("link", name="Open result of clip.mp4")).to_have_attribute("href", address)
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
        expect(page.locator(".row")).to_have_count(2)
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
    """A page whose stream a proxy answers with 403 polls, and says so."""
    tolerated.append(FORBIDDEN)
    publish(hub_url, channel, f"{channel}-1", status="generating", progress=45)
    page.route("**/events*", refuse)
    show(page, hub_url, channel, "polling")
    shown = row(page, f"{channel}-1")
    expect(shown.locator(".percent")).to_have_text("45%")
    publish(hub_url, channel, f"{channel}-1", status="complete")
    expect(shown.locator(".badge")).to_have_text("Completed")


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


def test_a_full_hub_is_polled(page: Page, channel: str) -> None:
    """A hub over its stream quota sends a delay for the reconnect, and the page polls until then."""
    with live_hub("memory:", max_streams=0) as hub:
        publish(hub.base_url, channel, f"{channel}-1", status="generating", progress=45)
        show(page, hub.base_url, channel, "polling")
        expect(row(page, f"{channel}-1").locator(".percent")).to_have_text("45%")


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
    page.locator(".command", has=page.locator("#publish-command")).get_by_role("button").click()
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


def test_an_address_of_a_channel_survives_a_reload(page: Page, hub_url: str, channel: str) -> None:
    """So do what is searched for and the state that is filtered by; the back button leaves the channel."""
    publish(hub_url, channel, f"{channel}-1", status="generating", title="The first")
    publish(hub_url, channel, f"{channel}-2", status="complete", title="The second")
    page.goto(hub_url)
    page.get_by_role("searchbox").fill(channel)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{hub_url}/?channel={channel}")
    page.get_by_role("searchbox").fill("second")
    expect(titles(page)).to_have_text(["The second"])
    page.get_by_role("button", name="Completed").click()
    page.reload()
    expect(titles(page)).to_have_text(["The second"])
    expect(page.get_by_role("searchbox")).to_have_value("second")
    expect(page.get_by_role("button", name="Completed")).to_have_attribute("aria-pressed", "true")
    page.go_back()
    expect(page.get_by_role("heading", name="Running now")).to_be_visible()


def test_a_name_that_no_channel_has_is_refused_once(page: Page, hub_url: str, tolerated: list[str]) -> None:
    """The hub's message is shown, and not "Offline"; nothing is tried again."""
    tolerated.append("422")
    page.clock.install()
    show(page, hub_url, "all*", "invalid")
    expect(page.locator("#connection-label")).to_have_text("No such name")
    expect(page.locator("#connection-meaning")).to_contain_text("may hold")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.fast_forward(3_600_000)
    page.evaluate("fetch('/healthz').then((answer) => answer.status)")
    assert [url for url in asked if "all*" in url or "all%2A" in url] == []


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
    assert page.locator(".row .result[href]").count() == 0
    assert page.locator(".row img[src], .row script, .row :is(.title, .error, .step, .path) *").count() == 0
    assert page.evaluate("window.harmed") is None


def test_no_request_leaves_the_origin(page: Page, hub_url: str, channel: str) -> None:
    """Published URLs of other origins are not fetched."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    foreign = f"http://localhost:{free_port()}"
    publish(hub_url, channel, f"{channel}-own", status="complete", thumbnail_url="/assets/dashboard/favicon.svg")
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
    expect(row(page, f"{channel}-foreign").locator(".result")).to_have_attribute("href", f"{foreign}/a")
    expect(row(page, f"{channel}-foreign").locator("img")).to_be_hidden()
    assert asked
    assert {url for url in asked if not url.startswith(f"{hub_url}/")} == set()


def test_rows_move_only_when_their_phase_changes(page: Page, hub_url: str, channel: str) -> None:
    """What waits is a group of its own, the next one first; of the others, the newest row is first."""
    for name in "wxa":
        publish(hub_url, channel, f"{channel}-{name}", title=name, status="pending")
    for name in "bc":
        publish(hub_url, channel, f"{channel}-{name}", title=name, status="generating", progress=1)
    show(page, hub_url, channel)
    expect(headings(page)).to_have_text(["In progress 2", "Waiting 3"])
    expect(titles(page)).to_have_text(["c", "b", "w", "x", "a"])
    expect(page.locator("#total-pending")).to_have_text("3")
    expect(page.locator("#total-processing")).to_have_text("2")
    publish(hub_url, channel, f"{channel}-b", title="b", status="generating", progress=2)
    expect(row(page, f"{channel}-b").locator(".percent")).to_have_text("2%")
    expect(titles(page)).to_have_text(["c", "b", "w", "x", "a"])
    publish(hub_url, channel, f"{channel}-w", title="w", status="generating", progress=1)
    expect(titles(page)).to_have_text(["w", "c", "b", "x", "a"])
    for name in "wb":
        publish(hub_url, channel, f"{channel}-{name}", title=name, status="complete")
    publish(hub_url, channel, f"{channel}-d", title="d", status="error")
    expect(titles(page)).to_have_text(["c", "x", "a", "d", "b", "w"])
    expect(headings(page)).to_have_text(["In progress 1", "Waiting 2", "Failed 1", "Completed 2"])


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
    """Between two reports; what is past its end is overdue. After minutes of silence nothing is counted down."""
    page.clock.install()
    show(page, hub_url, channel)
    publish(hub_url, channel, f"{channel}-1", status="generating", remaining_seconds=1800)
    publish(hub_url, channel, f"{channel}-2", status="generating", remaining_seconds=60)
    left = row(page, f"{channel}-1").locator(".left")
    expect(left).to_have_text(re.compile(r"^(30:00|29:\d\d) left$"))
    page.clock.fast_forward(90_000)
    expect(left).to_have_text(re.compile(r"^28:[0-3]\d left$"))
    expect(row(page, f"{channel}-2").locator(".left")).to_have_text("overdue")
    page.clock.fast_forward(90_000)
    expect(left).to_be_hidden()
    expect(row(page, f"{channel}-1").locator(".updated")).to_have_text("no news for 3 min")


def test_nothing_is_counted_down_while_the_hub_does_not_answer(
    page: Page, hub_url: str, channel: str, tolerated: list[str]
) -> None:
    """The times stand still, and everything loses its colours, not only what runs."""
    tolerated.append(UNREACHABLE)
    with live_hub("memory:") as hub:
        publish(hub.base_url, channel, f"{channel}-1", status="generating", remaining_seconds=1800)
        publish(hub.base_url, channel, f"{channel}-2", status="complete")
        page.clock.install()
        show(page, hub.base_url, channel)
        expect(page.locator(".row")).to_have_count(2)
    expect(connection(page, "reconnecting")).to_be_visible()
    left = row(page, f"{channel}-1").locator(".left")
    before = left.inner_text()
    page.clock.run_for(60_000)
    expect(connection(page, "offline")).to_be_visible()
    expect(left).to_have_text(before)
    expect(page.locator("#connection-meaning")).to_contain_text("The last known state, of")
    for number in (1, 2):
        assert row(page, f"{channel}-{number}").evaluate(GREY) == "grayscale(1)"


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
    """Of 500 contents with rapid events each shows its last state; only those in view are in the document."""
    show(page, hub_url, channel)
    names = [f"{channel}-{number}" for number in range(500)]
    for progress in (10, 20, 30, 40):
        publish_all(hub_url, [event(channel, name, status="generating", progress=progress) for name in names])
    publish_all(hub_url, [event(channel, name, status="complete") for name in names])
    expect(page.locator("#total-completed")).to_have_text("500")
    expect(page.locator("#total-processing")).to_have_text("0")
    expect(headings(page)).to_have_text(["Completed 500"])
    expect(page.locator(".row").first).to_have_attribute("data-content", names[-1])
    assert page.locator(".row").count() < 60
    page.keyboard.press("End")
    expect(row(page, names[0])).to_be_in_viewport()
    assert page.locator(".row").count() < 60


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
    fits = "(row) => [...row.querySelectorAll(':scope > *')].every((e) => e.getBoundingClientRect().right <= 360)"
    assert [shown.evaluate(fits) for shown in page.locator(".row").all()] == [True, True, True]
    heights = {shown.evaluate("(row) => row.offsetHeight") for shown in page.locator(".row").all()}
    assert len(heights) == 1


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


@pytest.mark.parametrize(
    "path",
    [
        "dashboard/index.html",
        "dashboard/dashboard.js",
        "dashboard/dashboard.css",
        "dashboard/favicon.svg",
        "client/index.js",
        "vendor/hls.light.min.mjs",
    ],
)
def test_assets_have_their_types_and_are_revalidated(hub_url: str, path: str) -> None:
    """Each file has its media type, and an unchanged one is answered with 304."""
    types = {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".css": "text/css",
        ".svg": "image/svg+xml",
        ".html": "text/html",
    }
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
