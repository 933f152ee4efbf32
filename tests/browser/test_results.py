"""Results in the dashboard: which have a link, and how they open in the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from statushub.hub.model.results import result_folder, result_path
from tests.support.command import command
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish_all
from tests.support.tokens import SECRET, bearer, token

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

CHANNEL = "films"
CONTENT = "metropolis"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results with an encoded video of two seconds and a report."""
    folder = tmp_path_factory.mktemp("results")
    destination = folder / result_folder("default", CHANNEL, CONTENT)
    options = ("--sample", 2, "--preset", "ultrafast", "--destination", destination, "--hub", "http://127.0.0.1:9")
    encoded = command("encode", *options)
    assert encoded.returncode == 0, encoded.stderr
    (destination / "report.txt").write_text("two seconds of film")
    return folder


@pytest.fixture(scope="module")
def hub(results: Path) -> Iterator[LiveHub]:
    """A hub that serves the folder."""
    with live_hub(results_dir=str(results)) as hub:
        yield hub


def done(hub: LiveHub, channel: str, headers: dict[str, str] | None = None, **data: Any) -> None:
    """Publish a content that is complete."""
    event = {"channel": channel, "content_id": f"{channel}-1", "data": {"status": "complete", "title": "Film", **data}}
    publish_all(hub, [event], headers=headers)


def show(page: Page, hub: LiveHub, channel: str) -> Locator:
    """Open the dashboard and return the content's row."""
    page.goto(f"{hub.base_url}/?channel={channel}")
    row = page.locator(f'.row[data-content="{channel}-1"]')
    expect(row).to_be_visible()
    return row


def opened(page: Page, row: Locator) -> Locator:
    """Click the row's result, which opens on the content's own page, and return the video."""
    row.get_by_role("link", name="Open result of Film").click()
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    return page.locator("#result-media")


@pytest.mark.parametrize("native", [True, False], ids=["browser", "script"])
def test_an_encoded_video_plays_in_the_page(page: Page, hub: LiveHub, native: bool) -> None:
    """Where the browser plays HLS itself, and where a script feeds it."""
    channel = f"plays-{native}"
    if not native:
        page.add_init_script("HTMLMediaElement.prototype.canPlayType = () => ''")
    base = result_path(CHANNEL, CONTENT)
    done(hub, channel, hls_path=f"{base}/master.m3u8", poster=f"{base}/poster.jpg")
    row = show(page, hub, channel)
    expect(row.locator("img")).to_have_attribute("src", f"{hub.base_url}/results/{base}/poster.jpg")
    assert row.locator("img").evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0
    video = opened(page, row)
    video.evaluate("(video) => (video.muted = true, video.play())")
    page.wait_for_function("(video) => video.currentTime > 0.5", arg=video.element_handle())
    assert video.evaluate("(video) => video.videoWidth") > 0
    assert 1.5 < video.evaluate("(video) => video.duration") < 2.6
    video.evaluate("(video) => (video.currentTime = 0.1)")
    page.wait_for_function("(video) => !video.seeking && video.currentTime < 1.5", arg=video.element_handle())
    assert page.url.endswith(f"?channel={channel}&content={channel}-1")
    page.go_back()
    expect(row).to_be_visible()


def test_a_result_that_is_missing_is_said_in_the_page(page: Page, hub: LiveHub, tolerated: list[str]) -> None:
    """The page stays, and shows the hub's reason."""
    tolerated.append("404 (Not Found)")
    done(hub, "gone", hls_path=f"{result_path(CHANNEL, 'gone')}/master.m3u8")
    row = show(page, hub, "gone")
    video = opened(page, row)
    expect(page.locator("#result-message")).to_have_text("there is no such result, or it is not a file")
    expect(video).to_be_hidden()
    expect(page.locator("#result-link")).to_be_hidden()


def test_a_damaged_result_is_said_in_the_page(page: Page, hub: LiveHub, results: Path) -> None:
    """The browser's reason is shown."""
    (results / result_folder("default", CHANNEL, CONTENT) / "broken.mp4").write_bytes(b"no film" * 100)
    done(hub, "broken", result_url=f"{result_path(CHANNEL, CONTENT)}/broken.mp4")
    opened(page, show(page, hub, "broken"))
    expect(page.locator("#result-message")).to_have_text("This browser cannot play it.")


def test_texts_and_pictures_show_in_the_page(page: Page, hub: LiveHub, results: Path) -> None:
    """As text, whatever it holds; other files open in a new tab."""
    folder = results / result_folder("default", CHANNEL, CONTENT)
    (folder / "page.log").write_text("<b>two</b> seconds of film")
    (folder / "archive.zip").write_bytes(b"PK")
    base = result_path(CHANNEL, CONTENT)
    for name, file in (("log", "page.log"), ("picture", "poster.jpg"), ("archive", "archive.zip")):
        done(hub, name, result_url=f"{base}/{file}")
    show(page, hub, "log").get_by_role("link", name="Open result").click()
    expect(page.locator("#result .text")).to_have_text("<b>two</b> seconds of film")
    show(page, hub, "picture").get_by_role("link", name="Open result").click()
    assert page.locator("#result img").evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0
    link = show(page, hub, "archive").get_by_role("link", name="Open result")
    expect(link).to_have_attribute("target", "_blank")
    expect(link).to_have_attribute("href", f"{hub.base_url}/results/{base}/archive.zip")


@pytest.mark.parametrize(
    "path",
    [
        "encodes/clip/master.m3u8",
        "/srv/videos/clip/master.m3u8",
        "C:\\videos\\clip.mp4",
        "../clip.mp4",
        "//host/clip.mp4",
    ],
)
def test_a_path_of_the_worker_is_no_link(page: Page, path: str) -> None:
    """A hub without results shows the path as text."""
    with live_hub() as hub:
        done(hub, "paths", hls_path=path)
        row = show(page, hub, "paths")
        expect(row.locator(".path")).to_have_text(path)
        expect(row.locator(".result")).to_be_hidden()


@pytest.mark.parametrize(
    "path", ["/srv/videos/clip.mp4", "../clip.mp4", "../results2/clip.mp4", "//host/results/clip.mp4"]
)
def test_a_path_out_of_the_results_is_no_link(page: Page, hub: LiveHub, path: str) -> None:
    """Only what lies below the results opens."""
    channel = f"out-{path.encode().hex()}"
    done(hub, channel, hls_path=path)
    expect(show(page, hub, channel).locator(".path")).to_have_text(path)


def test_results_elsewhere_open_there(page: Page, results: Path) -> None:
    """A relative path is read below the configured URL; the page may play from that origin, and from no other."""
    with live_hub(results_dir=str(results), cors_origins=("http://127.0.0.1:*",)) as other:
        address = f"{other.base_url}/results/"
        with live_hub(results_url=address) as hub:
            done(hub, "elsewhere", hls_path=f"{result_path(CHANNEL, CONTENT)}/master.m3u8")
            row = show(page, hub, "elsewhere")
            video = opened(page, row)
            expect(page.locator("#result-link")).to_have_attribute("href", f"{address}films/metropolis/master.m3u8")
            page.wait_for_function("(video) => video.readyState > 0", arg=video.element_handle())


def test_results_at_a_path_of_the_site_open_there(page: Page, tolerated: list[str]) -> None:
    """Behind a proxy, another program serves them on the same origin."""
    tolerated.append("404 (Not Found)")
    with live_hub(results_url="/") as hub:
        done(hub, "site", hls_path="/media/1/master.m3u8")
        opened(page, show(page, hub, "site"))
        expect(page.locator("#result-link")).to_have_attribute("href", f"{hub.base_url}/media/1/master.m3u8")
        page.goto("about:blank")


def test_a_signed_in_page_plays_its_results(page: Page, results: Path) -> None:
    """The cookie of the sign-in reads the results of its tenant, with their segments."""
    with live_hub(secret=SECRET, results_dir=str(results)) as hub:
        channel = "signed"
        done(hub, channel, bearer(tenant="default"), hls_path=f"{result_path(CHANNEL, CONTENT)}/master.m3u8")
        cookie = {"name": "statushub_token", "value": token(tenant="default"), "url": hub.base_url, "httpOnly": True}
        page.context.add_cookies([cookie])  # type: ignore[list-item]
        video = opened(page, show(page, hub, channel))
        page.wait_for_function("(video) => video.readyState > 1", arg=video.element_handle())
