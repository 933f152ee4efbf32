"""The browser client in Firefox, against real hubs: live, through a hub's death, and behind a proxy that buffers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.firefox import Firefox, installed, running
from tests.support.hub_process import HubProcess
from tests.support.live import live_hub
from tests.support.nginx_server import plain_nginx
from tests.support.publishing import publish

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(installed() is None, reason="needs Firefox: tests/support/install-tools firefox"),
]

CONNECT = """
    import("/assets/client/index.js").then(({ connect }) => {
        globalThis.hub = connect({ channels: ["c"] });
        globalThis.seen = [];
        hub.on("status", ({ id, content }) => seen.push(`${id} ${content.data.progress ?? content.phase}`));
    })
"""


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    with running(tmp_path_factory.mktemp("firefox")) as browser:
        yield browser


def connected(firefox: Firefox, base_url: str) -> None:
    """The page, which has the hub's origin, follows a channel."""
    firefox.goto(f"{base_url}/assets/client/index.js")
    firefox.evaluate(CONNECT)


def becomes(firefox: Firefox, state: str) -> None:
    firefox.wait_for(f"hub.state === '{state}'")


def shows(firefox: Firefox, content_id: str, progress: int) -> None:
    firefox.wait_for(f"hub.get('{content_id}')?.data.progress === {progress}")


def test_a_page_shows_what_happens(firefox: Firefox) -> None:
    """The state first, then each change, and ends resolve what waits for them."""
    with live_hub("memory:") as hub:
        publish(hub, "a", "generating", progress=1)
        publish(hub, "b", "generating", progress=2)
        connected(firefox, hub.base_url)
        firefox.evaluate("hub.ready()")
        assert firefox.evaluate("hub.contents('c').map(({ id }) => id)") == ["b", "a"]
        publish(hub, "a", "complete")
        assert firefox.evaluate("hub.until('a').then(({ phase }) => phase)") == "completed"
        assert firefox.evaluate("seen") == ["a 1", "b 2", "a completed"]
        firefox.evaluate("hub.close()")


def test_a_killed_hub_comes_back_without_a_gap(firefox: Firefox, tmp_path: Path) -> None:
    """A page whose hub is killed says that it is offline, and is live again with all that happened."""
    hub = HubProcess(tmp_path, broker=f"sqlite:///{tmp_path / 'hub.db'}")
    hub.start()
    try:
        publish(hub, "a", "generating", progress=1)
        connected(firefox, hub.base_url)
        becomes(firefox, "live")
        shows(firefox, "a", 1)
        hub.kill()
        becomes(firefox, "offline")
        hub.start()
        publish(hub, "a", "generating", progress=2)
        publish(hub, "b", "generating", progress=3)
        becomes(firefox, "live")
        shows(firefox, "b", 3)
        assert firefox.evaluate("seen") == ["a 1", "a 2", "b 3"]
        firefox.evaluate("hub.close()")
    finally:
        hub.kill()


def test_a_page_behind_a_proxy_that_buffers_polls_and_returns(firefox: Firefox, tmp_path: Path) -> None:
    """It polls with the stream's cursor, and is live once the proxy passes streams on."""
    buffering = "proxy_ignore_headers X-Accel-Buffering; gzip on; gzip_types text/event-stream; gzip_min_length 0;"
    folder = tmp_path / "nginx"
    with live_hub("memory:") as hub, plain_nginx(folder, hub.base_url, buffering) as proxy:
        publish(hub, "a", "generating", progress=1)
        connected(firefox, proxy)
        becomes(firefox, "polling")
        shows(firefox, "a", 1)
        publish(hub, "a", "generating", progress=2)
        shows(firefox, "a", 2)
        config = folder / "nginx.conf"
        config.write_text(config.read_text().replace(buffering, ""))
        os.kill(int((folder / "nginx.pid").read_text()), signal.SIGHUP)
        publish(hub, "a", "generating", progress=3)
        becomes(firefox, "live")
        shows(firefox, "a", 3)
        assert firefox.evaluate("seen") == ["a 1", "a 2", "a 3"]
        firefox.evaluate("hub.close()")
