"""The examples that use the npm package: installed, built and run as their scripts say, against a real hub."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect
from starlette.responses import HTMLResponse

from tests.support.asgi_server import live_server
from tests.support.command import END_SECONDS
from tests.support.live import LiveHub, live_hub
from tests.support.npm import installed
from tests.support.publishing import publish
from tests.support.snippets import ROOT, Snippet, snippets

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser

CHANNEL = "drafts"
SUFFIXES = {"jsx": "js*", "vue": "vue", "html": "html"}
PREVIEW = ("preview", "--host", "127.0.0.1", "--strictPort")


@pytest.fixture
def hub() -> Iterator[LiveHub]:
    """A hub with one content in progress."""
    with live_hub("memory:") as hub:
        publish(hub, "first", "generating", CHANNEL, progress=45, title="Summer <b>sale</b>")
        yield hub


def follows(page: Page, hub: LiveHub) -> None:
    """The page shows the state, and what changes without a further load."""
    expect(page.get_by_role("status")).to_have_text("live")
    first = page.locator("#first")
    expect(first).to_contain_text("Summer <b>sale</b>: processing")
    publish(hub, "second", "error", CHANNEL, error_message="no text")
    expect(page.locator("#second")).to_contain_text("failed")
    publish(hub, "first", "complete", CHANNEL, title="Summer <b>sale</b>")
    expect(first).to_contain_text("completed")


@pytest.mark.parametrize("example", ["react", "vue"])
def test_a_page_of_a_vite_build_is_live(page: Page, hub: LiveHub, tmp_path: Path, example: str) -> None:
    """It asks for a content to be cancelled, too."""
    project = installed(example, tmp_path)
    project.build()
    with project.running(*PREVIEW, STATUSHUB_URL=hub.base_url) as url:
        page.goto(url)
        page.locator("#first").get_by_role("button", name="Cancel").click()
        cancelled = page.request.get(f"{hub.base_url}/api/contents/{CHANNEL}")
        expect(cancelled).to_be_ok()
        follows(page, hub)
        expect(page.get_by_role("button")).to_have_count(0)
        page.goto("about:blank")


@pytest.mark.slow
def test_a_page_of_next_is_rendered_on_the_server_and_live(page: Page, hub: LiveHub, tmp_path: Path) -> None:
    """The HTML has the state already, and hydrating it finds no difference."""
    project = installed("nextjs", tmp_path)
    project.build(STATUSHUB_URL=hub.base_url)
    with project.running("start", "--hostname", "127.0.0.1", STATUSHUB_URL=hub.base_url) as url:
        assert "Summer &lt;b&gt;sale&lt;/b&gt;" in httpx.get(url, timeout=60).text
        page.goto(url)
        follows(page, hub)
        page.goto("about:blank")


@pytest.mark.parametrize(("status", "code"), [("complete", 0), ("error", 1)])
def test_a_program_of_node_waits_for_an_end(hub: LiveHub, tmp_path: Path, status: str, code: int) -> None:
    """It prints the progress until then, and ends by itself."""
    project = installed("node", tmp_path)
    process = subprocess.Popen(
        ["node", "wait.js", CHANNEL, "first"],
        cwd=project.path,
        env={"PATH": os.environ["PATH"], "STATUSHUB_URL": hub.base_url},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "processing 45\n"
        publish(hub, "first", status, CHANNEL, error_message="no text")
        said, _ = process.communicate(timeout=END_SECONDS)
    finally:
        process.kill()
        process.communicate()
    last = said.splitlines()[-1]
    assert process.returncode == code
    assert last == "no text" if code else json.loads(last)["status"] == "complete"


def test_two_lines_of_html_are_a_live_list(page: Page, hub: LiveHub) -> None:
    """The page comes from another origin; titles are text."""
    text = (ROOT / "examples/html/index.html").read_text().replace("http://localhost:8000", hub.base_url)
    with live_server(HTMLResponse(text), http="h11") as site:
        page.goto(site)
        row = page.get_by_role("listitem")
        expect(row).to_contain_text("Summer <b>sale</b>")
        expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "45")
        expect(page.locator("h1")).to_contain_text("1 running")
        publish(hub, "first", "error", CHANNEL, error_message="no text")
        expect(row).to_contain_text("no text")
        expect(page.locator("h1")).to_contain_text("0 running, 1 failed")
        page.goto("about:blank")


@pytest.mark.parametrize("snippet", snippets("jsx") + snippets("vue") + snippets("html"), ids=str)
def test_the_documentation_shows_the_examples(snippet: Snippet) -> None:
    """Each line of it is one of the same example, which the tests above run, in the same order."""
    folders = [ROOT / "examples" / name for name in ("html", "react", "vue", "nextjs")]
    files = [path for folder in folders for path in folder.rglob(f"*.{SUFFIXES[snippet.language]}")]
    assert any(_has(path.read_text(), snippet.text) for path in files if "node_modules" not in path.parts)


def _has(text: str, part: str) -> bool:
    lines = iter(_lines(text))
    return all(any(line == other for other in lines) for line in _lines(part))


def _lines(text: str) -> list[str]:
    return [stripped for line in text.splitlines() if (stripped := line.strip())]
