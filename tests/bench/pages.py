"""What a page receives that polls, and on each step from there to the stream: `python -m tests.bench.pages`.

The pages are the snippets of docs/migrate/polling.md. Each is open in a profile of its own, on an origin that is not
the hub's; all of them are open for the same time, over the same contents, which change as often as `--changes` says.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any, Final

import msgspec
from playwright.sync_api import Browser, Page, sync_playwright
from starlette.responses import HTMLResponse

from tests.support.asgi_server import live_server
from tests.support.chromium import running
from tests.support.hub_process import hub_process
from tests.support.publishing import Event, publish_all
from tests.support.snippets import ROOT, snippets_of

DOCUMENT: Final = ROOT / "docs/migrate/polling.md"
HUB: Final = "https://hub.example"
"""The hub's address in the document."""

STEPS: Final = ("polls", "conditional polls", "long polls of changes", "stream")
"""What the snippets of the document are, in its order."""

CHANNEL: Final = "drafts"
CONTENTS: Final = 25
BUSY: Final = 3
"""Contents that change, one after the other; the others have ended."""

SECONDS: Final = 60.0
CHANGES: Final = 12
SIZES: Final = (50_000, 2_000)
"""Bytes of a content: as many as an event may have, and so few that all of them together have 50 KB."""

PAGE: Final = """<!doctype html>
<link rel="icon" href="data:,">
<script type="module">
  const shown = new Map();
  window.delays = [];
  const clear = () => document.body.replaceChildren();
  const remove = (id) => document.getElementById(id)?.remove();
  function render({ content_id, status, progress = "", timestamp }) {
    const before = shown.get(content_id);
    if (before && before !== timestamp) delays.push(Date.now() - Date.parse(timestamp));
    shown.set(content_id, timestamp);
    const row = document.getElementById(content_id) ?? document.body.appendChild(document.createElement("p"));
    row.id = content_id;
    row.textContent = `${status} ${progress}`;
  }
  SNIPPET
</script>"""
"""A page around a snippet. It shows each content, and keeps how old a change was when it was shown, in milliseconds."""


def steps() -> dict[str, str]:
    """The document's snippets, by what they are."""
    texts = [snippet.text for snippet in snippets_of(DOCUMENT) if snippet.language == "js"]
    return dict(zip(STEPS, texts, strict=True))


def document_of(step: str, hub: str) -> str:
    """The HTML of the page of a step, for the hub at that address."""
    return PAGE.replace("SNIPPET", steps()[step].replace(HUB, hub))


class _Answer(msgspec.Struct):
    """What the browser has received of an answer."""

    streamed: bool
    total: float = 0.0
    ended: bool = False


class Traffic:
    """What a page asks of the hub and receives from it, as Chromium counts it, from its first request on."""

    def __init__(self, page: Page, hub: str, seconds: float = float("inf")) -> None:
        """`seconds` after its first request no more is counted."""
        self._hub = hub
        self._seconds = seconds
        self._began: float | None = None
        self._answers: dict[str, _Answer] = {}
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.requestWillBeSent", self._asked)
        session.on("Network.responseReceived", self._answered)
        session.on("Network.dataReceived", self._received)
        session.on("Network.loadingFinished", self._finished)

    @property
    def requests(self) -> int:
        """How many there were."""
        return len(self._answers)

    @property
    def received(self) -> int:
        """Bytes of answers that have ended, and of streams, with their headers."""
        return int(sum(answer.total for answer in self._answers.values()))

    @property
    def pending(self) -> int:
        """How many requests have not ended, streams not counted."""
        return sum(not (answer.ended or answer.streamed) for answer in self._answers.values())

    def _asked(self, event: Mapping[str, Any]) -> None:
        if not event["request"]["url"].startswith(self._hub):
            return
        if self._began is None:
            self._began = event["timestamp"]
        if event["timestamp"] < self._began + self._seconds:
            self._answers[event["requestId"]] = _Answer(streamed=event["type"] == "EventSource")

    def _answered(self, event: Mapping[str, Any]) -> None:
        for answer in self._counted(event, streamed=True):
            answer.total += event["response"]["encodedDataLength"]

    def _received(self, event: Mapping[str, Any]) -> None:
        # The encoded length of a stream comes late. Its data are not compressed, so that they are as long.
        for answer in self._counted(event, streamed=True):
            answer.total += event["dataLength"]

    def _finished(self, event: Mapping[str, Any]) -> None:
        # Only now is it known what came from the network, and what from the browser's cache.
        for answer in self._counted(event, streamed=False):
            answer.total = event["encodedDataLength"]
            answer.ended = True

    def _counted(self, event: Mapping[str, Any], *, streamed: bool) -> Iterator[_Answer]:
        answer = self._answers.get(event["requestId"])
        if answer and answer.streamed is streamed and event["timestamp"] < (self._began or 0.0) + self._seconds:
            yield answer


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a page has taken; `delays` are the milliseconds from each change to the page that shows it."""

    requests: int
    received: int
    delays: list[float]


def state(number: int, size: int, *, progress: int) -> Event:
    """A content with a text of so many bytes; the first `BUSY` of them are in progress."""
    data: dict[str, Any] = {"status": "complete", "ai_gen_metadata": {"summary": "x" * size}}
    if number < BUSY:
        data |= {"status": "generating", "processing_status": "summarizing", "progress": progress}
    return {"channel": CHANNEL, "content_id": f"draft-{number}", "data": data}


def measure(
    browser: Browser,
    hub: str,
    *,
    size: int,
    contents: int = CONTENTS,
    seconds: float = SECONDS,
    changes: int = CHANGES,
) -> dict[str, Cost]:
    """Open the page of each step for so many seconds; returns what each has taken."""
    publish_all(hub, [state(number, size, progress=0) for number in range(contents)])
    with ExitStack() as stack:
        pages = {step: stack.enter_context(browser.new_context()).new_page() for step in STEPS}
        traffic = {step: Traffic(page, hub, seconds) for step, page in pages.items()}
        for step, page in pages.items():
            page.goto(stack.enter_context(live_server(HTMLResponse(document_of(step, hub)), http="h11")))
            page.locator("p").nth(contents - 1).wait_for()
        for number in range(changes):
            pages[STEPS[-1]].wait_for_timeout(seconds * 1000 / (changes + 1))
            publish_all(hub, [state(number % BUSY, size, progress=number + 1)])
        pages[STEPS[-1]].wait_for_timeout(seconds * 1000 / (changes + 1))
        return {
            step: Cost(requests=traffic[step].requests, received=traffic[step].received, delays=page.evaluate("delays"))
            for step, page in pages.items()
        }


def _row(name: str, cost: Cost) -> str:
    delays = f"{statistics.median(cost.delays):,.0f} ({max(cost.delays):,.0f}) ms" if cost.delays else ""
    return f"| {name} | {cost.requests} | {cost.received / 1e6:.3f} MB | {delays} |"


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pages", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="bytes of a content")
    parser.add_argument("--changes", type=int, nargs="+", default=[CHANGES, 0], help="how many there are meanwhile")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args(arguments)
    with sync_playwright() as playwright, running(playwright) as browser:
        for size, changes in product(options.sizes, options.changes):
            with tempfile.TemporaryDirectory() as folder, hub_process(Path(folder)) as hub:
                costs = measure(browser, hub.base_url, size=size, seconds=options.seconds, changes=changes)
            for step, cost in costs.items():
                print(_row(f"{step}, {changes} changes of {size:,} bytes", cost), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
