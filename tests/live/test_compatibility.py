"""A hub whose uvicorn lacks a private part logs it once and serves the portable path."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.support.command import ended, environment, line_with
from tests.support.ports import wait_for_port
from tests.support.sse_client import open_stream
from tests.support.tokens import SECRET, bearer, token

SERVE = "from statushub.hub.cli import main; main(['serve', '--port', '0', '--broker', 'memory:'])"
IMPORT = "import uvicorn.protocols.http.httptools_impl as implementation"
MODULE = "uvicorn.protocols.http.httptools_impl"

LACKING = {
    "RequestResponseCycle": f"{IMPORT}; del implementation.RequestResponseCycle",
    "HttpToolsProtocol": f"{IMPORT}; del implementation.HttpToolsProtocol",
    "_start_asgi_task": f"{IMPORT}; del implementation.HttpToolsProtocol._start_asgi_task",
    MODULE: f"import sys; sys.modules['{MODULE}'] = None",
}
"""The missing part, and the code that removes it before the hub is imported."""


@pytest.mark.parametrize(("part", "removal"), LACKING.items(), ids=list(LACKING))
def test_a_hub_without_a_part_serves_portably(part: str, removal: str) -> None:
    """Streams and polls work, and one log line names the missing part."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{removal}\n{SERVE}"], env=environment(), stderr=subprocess.PIPE, bufsize=0
    )
    try:
        line_with(process, rf"WARNING .*lacks \S*{part}: serving on its h11 protocol", of="stderr")
        url = line_with(process, r"Serving (http://\S+:(\d+));", of="stderr")
        wait_for_port(int(url[2]), process)
        with open_stream(url[1], "/api/contents/c/events") as stream:
            stream.until("ready")
            event = {"channel": "c", "content_id": "a", "data": {"status": "complete"}}
            assert httpx.post(f"{url[1]}/api/publish", json=event).json()["accepted"] is True
            assert stream.event().json["content_id"] == "a"
            process.send_signal(signal.SIGTERM)
            assert stream.rest()[-1].event == "drain"
            code, _, log = ended(process)
        assert code == 0
        assert "lacks" not in log
        assert "Traceback" not in log
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("removal", ["pass", LACKING["_start_asgi_task"]], ids=["handed over", "portable"])
def test_no_log_has_a_credential_of_a_socket(removal: str) -> None:
    """A token among the subprotocols, one in a header, and a ticket, at the level that logs most."""
    serve = SERVE.replace("'memory:'", "'memory:', '--log-level', 'debug', '--access-log'")
    env = environment({"STATUSHUB_SECRET": SECRET})
    process = subprocess.Popen(
        [sys.executable, "-c", f"{removal}\n{serve}"], env=env, stderr=subprocess.PIPE, bufsize=0
    )
    try:
        url = line_with(process, r"Serving (http://\S+:(\d+));", of="stderr")
        wait_for_port(int(url[2]), process)
        ticket = httpx.post(f"{url[1]}/api/tickets", headers=bearer()).json()["ticket"]
        address, given = f"{url[1].replace('http', 'ws', 1)}/api/contents/c/ws", token()
        ways: list[dict[str, Any]] = [
            {"uri": address, "subprotocols": [Subprotocol("statushub"), Subprotocol(f"bearer.{given}")]},
            {"uri": address, "additional_headers": {"Authorization": f"Bearer {given}"}},
            {"uri": f"{address}?ticket={ticket}"},
        ]
        for way in ways:
            with connect(proxy=None, **way) as socket:
                assert "subscribed" in str(socket.recv(20))
        process.send_signal(signal.SIGTERM)
        code, _, log = ended(process)
        assert code == 0
        assert log.count("/api/contents/c/ws") == len(ways)
        assert given not in log
        assert ticket not in log
    finally:
        process.kill()
        process.communicate()
