"""The documentation's JavaScript runs in a browser, on a page of another origin than the hub's."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest
from playwright.sync_api import Page, expect
from starlette.responses import HTMLResponse

from tests.support.asgi_server import live_server
from tests.support.live import LiveHub, live_hub
from tests.support.model_server import model_server, says
from tests.support.publishing import publish
from tests.support.snippets import Snippet, snippets

pytest_plugins = ["tests.support.browser"]
pytestmark = pytest.mark.browser


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a snippet presupposes: the origin of its page, the channel, and the page's own functions."""

    foreign: bool
    channel: str
    prelude: str


SHOW = "(content) => document.getElementById('shown').append(content.content_id + ' ' + content.status + '; ')"
PAGE = f"const render = {SHOW}, clear = () => {{}}, remove = () => {{}};"
IMPORT = 'import { connect } from "/assets/client/index.js";'
"""The import for a snippet that shows only a call."""

SETTINGS = {
    'new EventSource("http': Setting(foreign=True, channel="drafts", prelude=""),
    'connect({ channels: ["drafts"': Setting(foreign=True, channel="drafts", prelude=PAGE),
    'fetch("https://hub.example': Setting(foreign=True, channel="drafts", prelude=PAGE),
    "fetch(`${changes}": Setting(foreign=True, channel="drafts", prelude=PAGE),
    'new WebSocket("wss': Setting(foreign=True, channel="drafts", prelude=f"const token = 'any', show = {SHOW};"),
    'new EventSource("/api': Setting(
        foreign=False, channel="encodes", prelude=f"const render = {SHOW}, clear = () => {{}}, poll = () => {{}};"
    ),
    'connect({ channels: ["encodes"': Setting(
        foreign=False,
        channel="encodes",
        prelude=f"const render = {SHOW}, clear = () => {{}}, remove = () => {{}}, showConnection = () => {{}}, "
        "setClock = () => {};",
    ),
    "ticket: fetchTicketFromMyBackend": Setting(
        foreign=False,
        channel="encodes",
        prelude=f"{IMPORT} const fetchTicketFromMyBackend = async () => 'ticket';",
    ),
}
"""The setting of each snippet, by a part of its text."""

LISTEN = f"hub.on('status', ({{ content }}) => ({SHOW})(content.data));"
"""A listener for a snippet that connects without one."""


ANSWERS = 'connect({ channels: ["answers"]'
"""A part of the snippet that shows what the program beside it streams."""


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    """A hub with one content in each channel."""
    with live_hub("memory:") as hub:
        for channel in ("drafts", "encodes"):
            publish(hub, f"{channel}-1", "generating", channel)
        yield hub


@pytest.mark.parametrize("snippet", [it for it in snippets("js") if ANSWERS not in it.text], ids=str)
def test_javascript(snippet: Snippet, hub: LiveHub, page: Page) -> None:
    """As a module of a page, the snippet shows the state and then an event."""
    found = [setting for part, setting in SETTINGS.items() if part in snippet.text]
    assert len(found) == 1, f"{snippet} is in {len(found)} classes of this module; it needs exactly one"
    [setting] = found
    script = re.sub(r"http://localhost:8000|https://hub\.example", hub.base_url, snippet.text)
    script = script.replace("wss://hub.example", hub.base_url.replace("http", "ws", 1))
    listen = LISTEN if "connect(" in script and "hub.on" not in script and "subscribe" not in script else ""
    body = f"""<!doctype html>
        <link rel="icon" href="data:,">
        <p id="shown"></p>
        <script type="module">{setting.prelude}\n{script}\n{listen}</script>"""
    with ExitStack() as stack:
        if setting.foreign:
            # A real server, since Chromium forbids a page of an intercepted request to access loopback addresses.
            base_url = stack.enter_context(live_server(HTMLResponse(body), http="h11"))
        else:
            base_url = hub.base_url
            page.route(f"{base_url}/snippet", lambda route: route.fulfill(content_type="text/html", body=body))
        page.goto(f"{base_url}/snippet")
        shown = page.locator("body")
        expect(shown).to_contain_text(f"{setting.channel}-1 generating")
        done = f"done-{snippet.line}"
        publish(hub, done, "complete", setting.channel)
        expect(shown).to_contain_text(f"{done} complete")
        page.goto("about:blank")


def test_the_page_shows_the_answer_that_the_program_streams(
    hub: LiveHub, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the beginning, from the middle on, and after its end."""
    [script] = [it.text for it in snippets("js") if ANSWERS in it.text]
    [program] = [it for it in snippets("python") if "from openai import" in it.text]
    body = f'<!doctype html><link rel="icon" href="data:,"><body></body><script type="module">{script}</script>'
    page.route(f"{hub.base_url}/snippet", lambda route: route.fulfill(content_type="text/html", body=body))
    page.goto(f"{hub.base_url}/snippet")
    go_on = threading.Event()
    shown = page.locator("#answer-1")
    with model_server(says("Rivers carry salt into the sea.", before=go_on, at=3)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        monkeypatch.setenv("STATUSHUB_URL", hub.base_url)
        worker = threading.Thread(target=exec, args=(compile(program.text, str(program), "exec"), {}))
        worker.start()
        try:
            for _ in range(2):
                expect(shown).to_have_text("Rivers carry salt")
                expect(shown).to_have_attribute("aria-busy", "true")
                page.reload()
        finally:
            go_on.set()
            worker.join()
    for _ in range(2):
        expect(shown).to_have_text("Rivers carry salt into the sea.")
        expect(shown).to_have_attribute("aria-busy", "false")
        page.reload()


def test_every_setting_is_used() -> None:
    """A setting without a snippet has to be removed."""
    assert all(any(part in snippet.text for snippet in snippets("js")) for part in SETTINGS)
