"""`statushub demo`: its encodes, its port, and how it ends."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
from pathlib import Path

import httpx
import pytest

from statushub.hub.cli.demo import DEMO_PORT
from tests.support.command import Process, command, ended, line_with, started


def children(process: Process) -> list[int]:
    """The running child processes of this one."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    """Whether the process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def demo(*arguments: object) -> tuple[object, ...]:
    return ("demo", "--no-browser", *arguments)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_encodes_and_cleans_up(number: int, tmp_path: Path) -> None:
    """The clip reaches `complete`; a signal ends the hub and leaves no process and no file."""
    arguments = demo("--port", 0, "--clips", 1, "--seconds", 1)
    with started(*arguments, env={"TMPDIR": str(tmp_path)}) as process:
        url = line_with(process, r"Open (http://\S+)")[1]
        line_with(process, "Ctrl\\+C ends")
        with started("watch", "encodes", "--hub", url) as watch:
            line_with(watch, r"clip-1  complete")
        page = httpx.get(url)
        assert "text/html" in page.headers["content-type"]
        code, out, err = ended(process, number)
    assert (code, err) == (0, "")
    assert out.endswith("The demo has ended.\n")
    assert list(tmp_path.iterdir()) == []


def test_a_demo_summarizes_an_article(tmp_path: Path) -> None:
    """Beside the encodes, on the channel that the page opens; its summary is seen growing."""
    with started(*demo("--port", 0, "--seconds", 15), env={"TMPDIR": str(tmp_path)}) as process:
        url = line_with(process, r"Open (http://\S+)")[1]
        with started("watch", "encodes", "tides", "--json", "--hub", url) as watch:
            first = line_with(watch, r'"summary":\s*"([^"]+)"')[1]
            longer = line_with(watch, rf'"summary":\s*"({re.escape(first)}[^"]+)"')[1]
        assert len(longer) > len(first)
        assert ended(process, signal.SIGINT)[0] == 0
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_a_running_encode(tmp_path: Path) -> None:
    """The encoding process ends with the demo."""
    with started(*demo("--port", 0, "--seconds", 15), env={"TMPDIR": str(tmp_path)}) as process:
        url = line_with(process, r"Open (http://\S+)")[1]
        with started("watch", "encodes", "--hub", url) as watch:
            line_with(watch, "transcoding")
        [encoder] = children(process)
        assert ended(process, signal.SIGINT)[0] == 0
    assert gone(encoder)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_demo_leaves_no_orphan(tmp_path: Path) -> None:
    """The encoding process ends after SIGKILL, since its stdin is closed."""
    with started(*demo("--port", 0, "--seconds", 60), env={"TMPDIR": str(tmp_path)}) as process:
        line_with(process, "Open")
        line_with(process, "Ctrl\\+C ends")
        [encoder] = children(process)
        descriptor = os.pidfd_open(encoder)
        process.kill()
        ended(process)
        assert select.select([descriptor], [], [], 20)[0]
        os.close(descriptor)


def test_a_default_port_in_use_is_replaced(tmp_path: Path) -> None:
    """The demo uses a free port, and prints a line about it."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", DEMO_PORT))
            taken.listen()
        except OSError:
            pass  # in use by another process that also serves
        environ = {"TMPDIR": str(tmp_path), "STATUSHUB_SECRET": "x" * 32}
        with started(*demo("--clips", 1), env=environ) as process:
            line_with(process, f"Port {DEMO_PORT} is in use")
            url = line_with(process, r"Open (http://\S+)")[1]
            assert not url.endswith(f":{DEMO_PORT}")
            # The secret in the environment belongs to another hub: the demo needs no token.
            assert httpx.get(f"{url}/api/contents/encodes").status_code == 200
            assert ended(process, signal.SIGTERM)[0] == 0


def test_a_chosen_port_in_use_is_an_error() -> None:
    """The error is one line, with exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = command(*demo("--port", taken.getsockname()[1]))
    assert result.returncode == 2
    assert "cannot bind port" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_demo_opens_a_browser(tmp_path: Path) -> None:
    """In a graphical session the browser is opened once the page is served."""
    os.mkfifo(tmp_path / "opened")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path / "opened"}\n')
    browser.chmod(0o755)
    variables = {"BROWSER": f"{browser} %s", "DISPLAY": ":0"}
    with started("demo", "--port", 0, "--clips", 1, env=variables) as process:
        url = line_with(process, r"Open (http://\S+)")[1]
        assert (tmp_path / "opened").read_text() == f"{url}\n"
        assert ended(process, signal.SIGTERM)[0] == 0
