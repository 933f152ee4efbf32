"""A hub whose uvicorn lacks a private part logs it once and serves the portable path."""

from __future__ import annotations

import signal
import subprocess
import sys

import httpx
import pytest

from tests.support.command import ended, environment, line_with
from tests.support.ports import wait_for_port
from tests.support.sse_client import open_stream

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
