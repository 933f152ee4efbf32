"""What the hook saves a page that polls its 25 items: `python -m tests.bench.hooks`.

The page that polls fetches `/api/contents/{channel}/status` every 3 s by TanStack Query; the other one shows the same
by `useContentStatusWithFallback`. Both are open in the same minute, each in a profile of its own, while items proceed
and end. Requests and bytes are those between the page and the hub, from the first one on.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import httpx
from playwright.sync_api import Browser, sync_playwright
from starlette.staticfiles import StaticFiles

from tests.bench.pages import Cost, Traffic
from tests.support.asgi_server import live_server
from tests.support.chromium import running
from tests.support.hub_process import hub_process
from tests.support.npm import hooks_build
from tests.support.publishing import Event, publish_all

PAGES: Final = {"polls every 3 s": "items_polled", "useContentStatusWithFallback": "items_live"}

CHANNEL: Final = "drafts"
CONTENTS: Final = 25
SECONDS: Final = 60.0
ENDS: Final = 12
"""Items that end within the minute, at even distances that are no multiple of the interval of the polls."""

STEPS: Final = 4
"""States of an item in progress before it ends."""


def item(number: int, step: int) -> Event:
    """The state of an item at a step; the last one is its end."""
    busy = {"status": "generating", "processing_status": "summarizing", "progress": step * 100 // STEPS}
    data = busy if step < STEPS else {"status": "complete"}
    return {"channel": CHANNEL, "content_id": f"draft-{number}", "data": data}


def measure(browser: Browser, hub: str, site: str, *, seconds: float = SECONDS, ends: int = ENDS) -> dict[str, Cost]:
    """Open both pages for so many seconds; the delays are those from each end to the page that shows it."""
    publish_all(hub, [item(number, 0 if number < ends else STEPS) for number in range(CONTENTS)])
    with ExitStack() as stack:
        pages = {name: stack.enter_context(browser.new_context()).new_page() for name in PAGES}
        traffic = {name: Traffic(page, hub, seconds) for name, page in pages.items()}
        for name, page in pages.items():
            page.goto(f"{site}/?{urlencode({'hub': hub, 'page': PAGES[name]})}")
            page.locator("li").nth(CONTENTS - 1).wait_for()
        for number in range(ends):
            for step in range(1, STEPS + 1):
                page.wait_for_timeout(seconds * 1000 / (ends * STEPS + 1))
                publish_all(hub, [item(number, step)])
        ended = published(hub, ends)
        for page in pages.values():
            page.wait_for_function("(ids) => ids.every((id) => shown[id])", arg=list(ended))
        shown = {name: page.evaluate("shown") for name, page in pages.items()}
        page.wait_for_timeout(seconds * 1000 / (ends * STEPS + 1))
        return {
            name: Cost(
                requests=traffic[name].requests,
                received=traffic[name].received,
                delays=[shown[name][id] - moment for id, moment in ended.items()],
            )
            for name in PAGES
        }


def published(hub: str, ends: int) -> dict[str, float]:
    """When each end was published, in Unix milliseconds."""
    contents = httpx.get(f"{hub}/api/contents/{CHANNEL}").json()["contents"]
    moments = {content["content_id"]: datetime.fromisoformat(content["timestamp"]) for content in contents}
    return {f"draft-{number}": moments[f"draft-{number}"].timestamp() * 1000 for number in range(ends)}


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hooks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        dist = hooks_build(folder)
        site = stack.enter_context(live_server(StaticFiles(directory=dist, html=True), http="h11"))
        browser = stack.enter_context(running(stack.enter_context(sync_playwright())))
        hub = stack.enter_context(hub_process(folder))
        costs = measure(browser, hub.base_url, site, seconds=options.seconds)
    for name, cost in costs.items():
        delays = f"{statistics.median(cost.delays):,.0f} ms ({max(cost.delays):,.0f} ms)"
        print(f"| {name} | {cost.requests} | {cost.received / 1000:.1f} KB | {delays} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
