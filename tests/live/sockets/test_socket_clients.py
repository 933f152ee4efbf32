"""WebSocket clients of other authors on a real hub: each follows 64 channels, and resumes them after every loss."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.responses import HTMLResponse

from statushub.hub.auth.revocations import Revocation
from statushub.hub.intervals import Intervals
from statushub.hub.viewers.commands import SOCKET_CHANNELS
from statushub.hub.viewers.push_socket import PushSocket
from tests.live.clients.languages import INSTALL_SECONDS, Missing
from tests.live.sockets.installed import HERE, PROGRAMS
from tests.support.asgi_server import live_server
from tests.support.live import LiveHub, live_hub
from tests.support.ports import free_port
from tests.support.publishing import publish_all
from tests.support.replacing import replace_text
from tests.support.tokens import SECRET, bearer, token
from tests.support.waiting import eventually

pytest_plugins = ["tests.support.browser"]
# The first test of a client installs it.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(INSTALL_SECONDS)]

CHANNELS = [f"c{number}" for number in range(SOCKET_CHANNELS)]
Shown = Callable[[], list[dict[str, Any]]]

PAGE = """<!doctype html><link rel="icon" href="data:,"><script type="module">
FOLLOW
follow(WebSocket, ADDRESS, CHANNELS, console.log, token);
</script>"""


class Stage:
    """A hub with a file, on one port, that stops and starts again; and the file that has the client's token."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.tokens = folder / "token"
        self._broker = f"sqlite:///{folder / 'hub.db'}"
        self._stack = contextlib.ExitStack()
        self.renew(token())
        self.start()

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"ws://localhost:{self.port}/api/ws"

    def start(self) -> None:
        """Start the hub."""
        options: dict[str, Any] = {"secret": SECRET, "port": self.port, "intervals": Intervals(expiry=0.05)}
        self.hub: LiveHub = self._stack.enter_context(live_hub(self._broker, **options))

    def stop(self) -> None:
        """Stop it as on SIGTERM."""
        self._stack.close()

    def renew(self, text: str) -> None:
        """Give the client another token."""
        replace_text(self.tokens, text)

    def publish(self, content_id: str, status: str, channel: str = "c0", **data: str) -> str:
        """Publish one event; returns its cursor."""
        event = {"channel": channel, "content_id": content_id, "data": {"status": status, **data}}
        return publish_all(self.hub, [event], headers=bearer())[0]

    def cut(self) -> None:
        """Abort every socket, as a network does that fails."""

        def abort() -> None:
            for socket in list(self.hub.hub.viewers):
                if isinstance(socket, PushSocket) and socket.transport is not None:
                    socket.transport.abort()

        self.hub.call(abort)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A hub for one test."""
    stage = Stage(tmp_path)
    try:
        yield stage
    finally:
        stage.stop()


@pytest.fixture(params=[*PROGRAMS, pytest.param("browser", marks=pytest.mark.browser)])
def start(request: pytest.FixtureRequest, stage: Stage, tmp_path: Path) -> Iterator[Callable[[], Shown]]:
    """Starts the client, and returns a function that returns the messages that it has shown."""
    with contextlib.ExitStack() as stack:
        if request.param == "browser":
            page = stack.enter_context(request.getfixturevalue("browser").new_context()).new_page()
            yield lambda: _page(stack, page, stage)
        else:
            try:
                command = PROGRAMS[request.param]()
            except Missing as missing:
                pytest.skip(str(missing))
            yield lambda: _process(stack, [*command, stage.address, str(stage.tokens), *CHANNELS], tmp_path)


def _process(stack: contextlib.ExitStack, command: list[str], folder: Path) -> Shown:
    out = folder / "out"
    with out.open("wb") as stdout:
        process = subprocess.Popen(command, stdout=stdout)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return lambda: [msgspec.json.decode(line) for line in out.read_text().split("\n")[:-1]]


def _page(stack: contextlib.ExitStack, page: Any, stage: Stage) -> Shown:
    lines: list[str] = []
    page.on("console", lambda said: lines.append(said.text))
    page.expose_function("token", lambda: stage.tokens.read_text())
    script = (HERE / "follow.mjs").read_text().replace("export ", "")
    html = PAGE.replace("FOLLOW", script).replace("ADDRESS", repr(stage.address)).replace("CHANNELS", repr(CHANNELS))
    page.goto(stack.enter_context(live_server(HTMLResponse(html), http="h11")))

    def shown() -> list[dict[str, Any]]:
        # Events of a page arrive only while Playwright runs.
        page.wait_for_timeout(10)
        return [msgspec.json.decode(line) for line in tuple(lines) if line.startswith("{")]

    return shown


def until(shown: Shown, content_id: str, status: str) -> list[dict[str, Any]]:
    """The messages shown once this status of a content is."""

    def found() -> bool:
        return any(
            said["data"]["content_id"] == content_id and said["data"]["status"] == status
            for said in shown()
            if "data" in said
        )

    eventually(found)
    return shown()


def ready(shown: Shown) -> set[str]:
    """The channels of which everything was shown at least once."""
    return {said["channel_id"] for said in shown() if said["type"] == "ready"}


def test_a_client_follows_64_channels_through_every_loss(stage: Stage, start: Callable[[], Shown]) -> None:
    """First state, live, a cut connection, a restart of the hub and the end of its token: each event is shown once."""
    for number, channel in enumerate(CHANNELS):
        stage.publish(f"early-{number}", "generating", channel)
    shown = start()
    eventually(lambda: ready(shown) == set(CHANNELS))
    until(shown, "early-63", "generating")

    stage.publish("live", "complete", "c7", title="x" * 60_000 + "é\u2028")
    until(shown, "live", "complete")

    stage.cut()
    stage.publish("cut", "complete", "c1")
    until(shown, "cut", "complete")

    stage.stop()
    stage.start()
    stage.publish("restart", "complete", "c63")
    until(shown, "restart", "complete")

    stage.renew(token(jti="soon"))
    stage.cut()
    # The page asks for its token only while Playwright runs, as it does in `shown`.
    eventually(lambda: shown() and any(it.identity.jti == "soon" for it in list(stage.hub.hub.viewers)))
    stage.hub.run(_revoked(stage, "soon"))
    eventually(lambda: any(said.get("code") == 4401 for said in shown() if said["type"] == "closed"))
    stage.renew(token(jti="later"))
    stage.publish("expiry", "complete", "c9")
    until(shown, "expiry", "complete")

    events = [said["id"] for said in shown() if "data" in said]
    assert len(events) == len(set(events)) == len(CHANNELS) + 4
    codes = {said["code"] for said in shown() if said["type"] == "closed"}
    assert {1001, 4401} <= codes
    assert not any(said["type"] in ("error", "reset") for said in shown())


async def _revoked(stage: Stage, jti: str) -> None:
    now = time.time()
    revocation = Revocation(tenant="acme", kind="jti", value=jti, at=now, until=now + 3_600)
    await stage.hub.hub.revoke(revocation)
