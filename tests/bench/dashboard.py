"""`python -m tests.bench.dashboard`: how busy the dashboard keeps a browser at 5,000 contents and 500 events a second.

A browser calls a task of more than 50 ms long: it delays a click or a scroll by as much.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.chromium import running
from tests.support.hub_process import hub_process
from tests.support.publishing import publish_all

CONTENTS: Final = 5_000
RATE: Final = 500
BATCH: Final = 25
SECONDS: Final = 20.0

OBSERVE: Final = """() => {
    window.long = [];
    window.frames = 0;
    const frame = () => { frames += 1; requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
    new PerformanceObserver((list) => long.push(...list.getEntries().map((entry) => entry.duration)))
        .observe({ type: "longtask", buffered: false });
}"""


def event(number: int, progress: int) -> dict[str, Any]:
    """A state of one content; each hundredth event is an end, after which another attempt begins."""
    attempt, part = divmod(progress, 100)
    data: dict[str, Any] = {
        "status": "generating",
        "progress": part,
        "step": f"step_{part // 20}",
        "title": f"Film {number}",
    }
    if part == 99:
        data["status"] = "complete" if number % 7 else "error"
    return {"channel": "films", "content_id": f"film-{number}", "attempt": attempt + 1, "data": data}


class Load:
    """Publishes at a steady rate, from a thread of its own."""

    def __init__(self, base_url: str) -> None:
        self._base_url, self._progress = base_url, [random.randrange(90) for _ in range(CONTENTS)]
        self._over = threading.Event()
        self.published = 0

    def fill(self) -> None:
        for first in range(0, CONTENTS, 500):
            publish_all(self._base_url, [event(it, self._progress[it]) for it in range(first, first + 500)])

    def run(self) -> None:
        began = time.monotonic()
        client = httpx.Client(base_url=self._base_url)
        while not self._over.is_set():
            numbers = random.sample(range(CONTENTS), BATCH)
            for number in numbers:
                self._progress[number] += random.choice((1, 1, 2, 3)) if self._progress[number] % 100 < 96 else 1
            client.post("/api/publish", json={"events": [event(it, self._progress[it]) for it in numbers]})
            self.published += BATCH
            self._over.wait(max(began + self.published / RATE - time.monotonic(), 0))

    def stop(self) -> None:
        self._over.set()


def measure(page: Page, base_url: str, load: Load, address: str, name: str) -> bool:
    """Print what one page's main thread does under the load. Returns whether it stays within its budget."""
    page.goto(f"{base_url}/{address}")
    expect(page.locator("#connection[data-state=live]")).to_be_visible(timeout=60_000)
    if address:
        expect(page.locator("#total-all")).to_have_text(f"{CONTENTS:,}", timeout=60_000)
    page.evaluate(OBSERVE)
    thread = threading.Thread(target=load.run)
    before, began = load.published, time.monotonic()
    thread.start()
    while time.monotonic() < began + SECONDS:
        # Scrolls meanwhile.
        page.mouse.wheel(0, random.choice((-900, 900, 1_800)))
        page.wait_for_timeout(250)
    seconds = time.monotonic() - began
    long, frames = page.evaluate("[long, frames]")
    load.stop()
    thread.join()
    rate = (load.published - before) / seconds
    share = sum(long) / (seconds * 1_000)
    worst = max(long, default=0)
    print(
        f"{name}: {rate:.0f} events/s, {frames / seconds:.0f} frames/s, {len(long)} long tasks, "
        f"the longest {worst:.0f} ms, {share:.1%} of the time, {page.locator('#contents .row').count()} rows drawn",
        flush=True,
    )
    return worst <= 100 and share <= 0.05


def main() -> int:
    within = []
    with (
        tempfile.TemporaryDirectory() as folder,
        hub_process(Path(folder)) as hub,
        sync_playwright() as playwright,
        running(playwright) as browser,
    ):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        first = Load(hub.base_url)
        first.fill()
        for address, name in (("?channel=films", "channel"), ("", "overview"), ("?channel=films&q=film+4", "search")):
            load = Load(hub.base_url)
            load._progress = first._progress
            within.append(measure(page, hub.base_url, load, address, name))
    return int(not all(within))


if __name__ == "__main__":
    sys.exit(main())
