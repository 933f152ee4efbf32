"""Pictures of the dashboard, light, dark and on a phone: `make screenshots` writes them into docs/screenshots/.

They show a real hub with a real encode; only the names and the numbers beside it are made up.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from playwright.sync_api import Browser, Page, expect, sync_playwright

from statushub.hub.model.results import result_folder, result_path
from tests.support.chromium import running
from tests.support.command import command
from tests.support.growing import Writer
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish_all

FOLDER: Final = Path(__file__).parents[2] / "docs" / "screenshots"

WIDE: Final[Any] = {"width": 1360, "height": 860}
PHONE: Final[Any] = {"width": 390, "height": 844}

PAGES: Final[dict[str, dict[str, str]]] = {
    "overview": {},
    "channel": {"channel": "encodes"},
    "content": {"channel": "encodes", "content": "harbour"},
    "failed": {"channel": "imports/customers", "content": "customers-11"},
    "result": {"channel": "encodes", "content": "lighthouse"},
    "text": {"channel": "answers", "content": "answer-88"},
}
"""The pages, by what their addresses have."""

FILMS: Final = (
    *(
        "Night market, Seoul",
        "Winter in the Alps",
        "City from above",
        "Studio interview",
        "Coral reef",
        "Old town walk",
    ),
    *("Desert rally", "Northern lights", "Rooftop concert", "Harvest", "Tide pools", "Mountain hut"),
)

STEPS: Final = {
    "downloading": 14,
    "probing": 2,
    "preparing": 1,
    "transcoding": 71,
    "validating": 4,
    "thumbnail": 2,
    "uploading": 8,
}
"""The steps of an encode, and how many seconds each takes."""

ANSWER: Final = (
    "Tides are the rise and fall of the sea, caused by the pull of the Moon and the Sun. ",
    "Twice a day the water comes in and goes out again, because the Earth turns beneath two bulges of water: ",
    "one on the side of the Moon, and one on the side away from it.\n\n",
    "When Sun and Moon stand in one line, at new and full moon, their pulls add up to spring tides; ",
    "at half moon they work against each other, and the neap tides are the lowest ",
)

TRACE: Final = """row 8101: "plan" must be one of free, team, business, not "Bussiness"

Traceback (most recent call last):
  File "/srv/imports/run.py", line 88, in import_rows
    customer = Customer.parse(row)
  File "/srv/imports/customer.py", line 41, in parse
    raise InvalidRow(row.number, "plan", row["plan"])
imports.errors.InvalidRow: row 8101: plan"""


def steps(reached: str) -> list[dict[str, Any]]:
    """The steps of an encode that has begun this one."""
    began = datetime.now(UTC) - timedelta(seconds=50)
    said, state = [], "completed"
    for name, seconds in STEPS.items():
        state = "processing" if name == reached else "pending" if state != "completed" else state
        ended = began + timedelta(seconds=seconds)
        said.append(
            {
                "name": name,
                "state": state,
                "started_at": None if state == "pending" else began.isoformat(),
                "ended_at": ended.isoformat() if state == "completed" else None,
            }
        )
        began = ended
    return said


def event(channel: str, content_id: str, status: str = "generating", attempt: int = 1, **data: Any) -> dict[str, Any]:
    return {"channel": channel, "content_id": content_id, "attempt": attempt, "data": {"status": status, **data}}


def harbour(progress: float, **data: Any) -> dict[str, Any]:
    """An encode that runs."""
    return event(
        "encodes",
        "harbour",
        title="Harbour at dawn, 4K",
        progress=progress,
        step="transcoding",
        step_index=4,
        total_steps=len(STEPS),
        steps=steps("transcoding"),
        remaining_seconds=round((100 - progress) * 1.1),
        duration=312.4,
        width=3840,
        height=2160,
        **data,
    )


def fill(hub: LiveHub, results: Path) -> None:
    """Channels in which work waits, runs, has failed and is done."""
    ago = datetime.now(UTC) - timedelta(minutes=11)
    films = [*enumerate(FILMS * 3, 1)]
    publish_all(hub, [event("encodes", f"film-{number:03}", "complete", title=title) for number, title in films])
    for channel, many in (("thumbnails", 229), ("newsletters/november", 900), ("uploads", 40)):
        names = [f"{channel.partition('/')[0]}-{number}" for number in range(many)]
        publish_all(hub, [event(channel, name, "complete", timestamp=ago.isoformat()) for name in names])
    encode(hub, results)
    publish_all(
        hub,
        [
            event("encodes", "queue-1", "pending", title="Sunday matinee"),
            event("encodes", "queue-2", "pending", title="Ferry to the islands"),
            event("encodes", "film-091", "error", title="Press conference", progress=41, error_code="stalled"),
            event("encodes", "aerial", title="Aerial survey, part 2", progress=12, step="downloading", step_index=1,
                  total_steps=7, remaining_seconds=410),
            event("imports/customers", "customers-11", title="customers-2026-11.csv", progress=62, step="validating"),
            event("imports/customers", "customers-12", title="customers-2026-12.csv", progress=23, done=2_300,
                  total=10_000, rate=310, remaining_seconds=25, step="validating"),
            event("jobs", "count_8f31", title="count keywords", progress=57, current=57, total=100,
                  remaining_seconds=130, step="counting"),
            event("uploads", "drone-07", title="drone-07.mp4", progress=38, done=412, total=1_084, rate=12.4,
                  remaining_seconds=54, step="receiving"),
            event("uploads", "wedding", "error", title="wedding-raw.mov", progress=62, error_code="timeout"),
        ],
    )  # fmt: skip


def encode(hub: LiveHub, results: Path) -> None:
    """A real encode, whose result the page plays; it is given a title afterwards."""
    options = ("--sample", 6, "--preset", "veryfast", "--content-id", "lighthouse", "--hub", hub.base_url)
    encoded = command("encode", *options, "--destination", results / result_folder("default", "encodes", "lighthouse"))
    if encoded.returncode:
        sys.exit(encoded.stderr)
    contents = httpx.get(f"{hub.base_url}/api/contents/encodes").json()["contents"]
    [said] = [content for content in contents if content["content_id"] == "lighthouse"]
    path = result_path("encodes", "lighthouse")
    where = {"title": "Lighthouse", "hls_path": f"{path}/master.m3u8", "poster": f"{path}/poster.jpg"}
    kept = {name: value for name, value in said.items() if name not in ("content_id", "channel_id", "id")}
    publish_all(hub, [event("encodes", "lighthouse", attempt=2, **{**kept, **where})])


def live(hub: LiveHub, writer: Writer, moment: int, attempt: int) -> None:
    """What happens while a page is open."""
    progress = 34 + 6.5 * moment + (moment % 3)
    publish_all(hub, [harbour(progress)])
    publish_all(hub, [event("uploads", f"late-{attempt}-{moment}-{n}", "complete") for n in range(1 + moment % 4)])
    imported: dict[str, Any] = {
        "progress": 62 + moment * 3,
        "done": 6_200 + moment * 300,
        "total": 10_000,
        "step": "importing",
    }
    rows = event("imports/customers", "customers-11", attempt=attempt, title="customers-2026-11.csv", **imported)
    publish_all(hub, [rows])
    writer.add("answer-88", ANSWER[moment % len(ANSWER)])


def take(browser: Browser, hub: LiveHub, writer: Writer, name: str, attempt: int, *, scheme: Any, size: Any) -> Page:
    """One page, once things have happened on it."""
    context = browser.new_context(viewport=size, color_scheme=scheme, device_scale_factor=1.5, locale="en-GB")
    page = context.new_page()
    page.goto(f"{hub.base_url}/?{urlencode(PAGES[name])}".rstrip("?"))
    expect(page.locator("#connection[data-state=live]")).to_be_visible()
    for moment in range(6):
        live(hub, writer, moment, attempt)
        page.wait_for_timeout(450)
    failed: dict[str, Any] = {"title": "customers-2026-11.csv", "progress": 81, "done": 8_100, "total": 10_000}
    failed |= {"error_code": "invalid_row", "error_message": TRACE}
    publish_all(hub, [event("imports/customers", "customers-11", "error", attempt, **failed)])
    if name == "result":
        page.wait_for_function("() => document.querySelector('#result-media')?.readyState > 2")
        page.evaluate("document.querySelector('#result-media').currentTime = 1.4")
    page.wait_for_timeout(600)
    return page


def reopen(hub: LiveHub, writer: Writer, attempt: int) -> None:
    """What has ended begins again for the next picture."""
    again: dict[str, Any] = {"title": "customers-2026-11.csv", "progress": 0, "step": "validating"}
    publish_all(hub, [event("imports/customers", "customers-11", attempt=attempt, **again)])
    writer.begin("answer-88", title="How do tides work?", model="assistant")


def main(folder: Path, wanted: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as results, live_hub("memory:", results_dir=results) as hub:
        fill(hub, Path(results))
        writer = Writer(hub, "answers")
        attempt = 1
        with sync_playwright() as playwright, running(playwright) as browser:
            for name in wanted:
                for kind, scheme, size in (("light", "light", WIDE), ("dark", "dark", WIDE), ("phone", "light", PHONE)):
                    attempt += 1
                    reopen(hub, writer, attempt)
                    page = take(browser, hub, writer, name, attempt, scheme=scheme, size=size)
                    page.screenshot(path=folder / f"{name}-{kind}.png")
                    page.context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER, sys.argv[2:] or [*PAGES])
