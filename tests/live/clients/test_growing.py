"""A content that grows before clients of other authors, whose connections break all the time."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator

import pytest
from anyio.from_thread import start_blocking_portal
from starlette.responses import HTMLResponse

from statushub.hub.viewers import session
from tests.live.clients.catalogue import CLIENTS, Client
from tests.live.clients.languages import INSTALL_SECONDS, Missing, prepared
from tests.live.clients.running import Running, Shown, html, running_page, running_process, shown, wait_for
from tests.support.asgi_server import live_server
from tests.support.growing import Writer
from tests.support.live import live_hub
from tests.support.proxy import Proxy

pytest_plugins = ["tests.support.browser"]
pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.timeout(INSTALL_SECONDS)]

IMPORTS = {"eventsource": 'import { EventSource } from "eventsource";', "EventSource": ""}
"""The `EventSource` of Node, and that of the browser."""

PROGRAM = """
let cursor = "", opened = 0, wholes = 0, misfits = 0, data = {};

const source = new EventSource("http://localhost:8000/api/contents/drafts/events?deltas=1");
source.onopen = () => (opened += 1);
const show = ({ lastEventId }) => {
  cursor = lastEventId;
  console.log("shown", JSON.stringify({ opened, wholes, misfits, text: data.text, status: data.status }));
};
source.addEventListener("content_delta", (event) => {
  const { back, append = {} } = JSON.parse(event.data);
  const [[epoch, offset], [its, at]] = [cursor, event.lastEventId].map((id) => id.split("-"));
  if (its !== epoch || at - back !== Number(offset)) misfits += 1;
  data.text += append.text ?? "";
  show(event);
});
for (const type of ["content_status_update", "processing_complete"])
  source.addEventListener(type, (event) => {
    wholes += 1;
    data = JSON.parse(event.data);
    show(event);
  });
"""

BREAKS = 50
WORDS = ["the sea ", "is old, ", "세계 ", "and “deep” ", "😀 ", "\u2028", "\n", '"', "\\ "]


def has_opened(count: int) -> Callable[[Shown], bool]:
    """Whether the client has opened so many connections."""
    return lambda event: bool(event.data["opened"] >= count)


@contextlib.contextmanager
def running(
    client: Client, base_url: str, request: pytest.FixtureRequest, folder_of: pytest.TempPathFactory
) -> Iterator[Running]:
    """The program for the block; skips where its language or its packages are missing."""
    source = IMPORTS[client.name] + PROGRAM.replace("http://localhost:8000", base_url)
    if client.language == "browser":
        with (
            live_server(HTMLResponse(html(source, base_url)), http="h11") as address,
            running_page(request.getfixturevalue("browser"), address) as program,
        ):
            yield program
        return
    try:
        command = prepared(client, source)
    except Missing as missing:
        pytest.skip(str(missing))
    with running_process(command, folder_of.mktemp("client"), base_url) as program:
        yield program


@pytest.mark.parametrize("client", [it for it in CLIENTS if it.name in IMPORTS], ids=str)
def test_a_client_whose_connection_breaks_fifty_times_has_every_character_once(
    client: Client,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also within a frame; each delta builds on what the client has, and the whole text comes once."""
    monkeypatch.setattr(session, "RETRY_MS", (10, 50))
    random_ = random.Random(1)
    with contextlib.ExitStack() as stack:
        hub = stack.enter_context(live_hub("memory:"))
        portal = stack.enter_context(start_blocking_portal())
        proxy = Proxy(("127.0.0.1", int(hub.base_url.rpartition(":")[2])), random_)
        stack.enter_context(portal.wrap_async_context_manager(proxy))
        writer = Writer(hub, "drafts")
        writer.begin("a", "Once ")
        program = stack.enter_context(running(client, f"http://127.0.0.1:{proxy.port}", request, tmp_path_factory))
        wait_for(program, lambda event: event.data["text"] == "Once ", "the beginning")
        for number in range(BREAKS):
            portal.call(random_.choice([proxy.sever, proxy.cut]))
            # It is what a connection is cut within, or what its client comes back for.
            writer.add("a", random_.choice(WORDS))
            writer.add("a", random_.choice(WORDS))
            wait_for(program, has_opened(number + 2), f"connection {number + 2}")
        wait_for(program, lambda event: event.data["text"] == writer.texts["a"], "the whole text")
        last = shown(program)[-1].data
        assert (last["wholes"], last["misfits"]) == (1, 0)
        writer.end("a")
        wait_for(program, lambda event: event.data["status"] == "complete", "the end")
        assert shown(program)[-1].data["text"] == writer.texts["a"]
