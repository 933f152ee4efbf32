"""A page of another origin that polls a video of which only keys tell, whatever is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from starlette.responses import HTMLResponse

from tests.live.test_video_bridge import working
from tests.support.asgi_server import live_server
from tests.support.live import LiveHub, live_hub
from tests.support.redis_server import RedisServer, running_redis

pytest_plugins = ["tests.support.browser"]
pytestmark = [pytest.mark.browser, pytest.mark.redis, pytest.mark.timeout(180)]

PAGE = """<!doctype html>
<link rel="icon" href="data:,">
<p id="polled"></p><p id="polls">0</p><p id="streamed"></p>
<script>
  const id = new URLSearchParams(location.search).get("id");
  async function poll() {
    try {
      const answer = await fetch(`HUB/api/v1/media/videos/${id}/progress/`);
      const video = await answer.json();
      polled.textContent = `${answer.status} ${video.status} ${video.progress} ${video.hls_path ?? ""}`;
      polls.textContent = Number(polls.textContent) + 1;
      setTimeout(poll, 300);
    } catch (error) {
      polled.textContent = `broken: ${error}`;
    }
  }
  poll();
  const source = new EventSource("HUB/api/contents/videos/events");
  const show = (event) => {
    const video = JSON.parse(event.data);
    if (video.content_id === id) streamed.textContent = `${video.status} ${video.progress ?? ""} ${video.step ?? ""}`;
  };
  for (const type of ["encoding_progress", "processing_complete"]) source.addEventListener(type, show);
</script>"""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
def hub(redis: RedisServer) -> Iterator[LiveHub]:
    with live_hub(video_keys=redis.url, video_bridge=True) as hub:
        yield hub


@pytest.fixture
def site(hub: LiveHub) -> Iterator[str]:
    """The page, on an origin of its own."""
    with live_server(HTMLResponse(PAGE.replace("HUB", hub.base_url)), http="h11") as base_url:
        yield base_url


def test_what_brought_502_and_an_error_of_cors_is_answered(page: Page, site: str, redis: RedisServer) -> None:
    """A missing key, `null`, broken JSON, another type, and a Redis that is away: the page polls on, with 200."""
    page.goto(f"{site}/?id=broken")
    polled = page.locator("#polled")
    expect(polled).to_have_text("200 PENDING 0 ")
    name = "tenant:default:video:broken:status"
    for command in (("SET", name, "null"), ("SET", name, "{"), ("DEL", name), ("LPUSH", name, "x"), ("DEL", name)):
        redis.command(*command)
        polls = int(page.locator("#polls").inner_text())
        page.wait_for_function(f"Number(polls.textContent) >= {polls + 4}", timeout=60_000)
        expect(polled).to_have_text("200 PENDING 0 ")
    redis.kill()
    polls = int(page.locator("#polls").inner_text())
    page.wait_for_function(f"Number(polls.textContent) >= {polls + 4}", timeout=60_000)
    expect(polled).to_have_text("200 PENDING 0 ")
    redis.start()
    redis.command("SET", name, json.dumps({"status": "READY", "hls_path": "v.m3u8"}))
    expect(polled).to_have_text("200 READY 100 v.m3u8")
    page.goto("about:blank")


def test_a_page_and_a_stream_show_a_worker_of_today(page: Page, site: str, redis: RedisServer) -> None:
    """The poll and the stream of one page follow a worker that only writes keys, with times of `None` in between."""
    page.goto(f"{site}/?id=v")
    polled, streamed = page.locator("#polled"), page.locator("#streamed")
    expect(polled).to_have_text("200 PENDING 0 ")
    with working(redis, "v") as worker:
        worker.go_on()
        worker.go_on()
        expect(streamed).to_have_text("generating 10 probing")
        expect(polled).to_have_text("200 PROCESSING 10 ")
        worker.go_on()
        worker.go_on()
        worker.go_on()
        expect(streamed).to_have_text("generating 61.5 transcoding")
        expect(polled).to_have_text("200 PROCESSING 61.5 ")
        worker.go_on()
        expect(polled).to_have_text("200 PROCESSING 61.5 ")
        worker.go_on()
    expect(streamed).to_have_text("complete 100 ")
    expect(polled).to_have_text("200 READY 100 v/master.m3u8")
    page.goto("about:blank")
