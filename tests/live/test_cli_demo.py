"""`statushub demo`, from the first line to the last process."""

from __future__ import annotations

import os
import select
import signal
import socket
from pathlib import Path

import httpx
import pytest

from statushub.hub.cli.demo import DEMO_PORT
from tests.support.command import Process, command, ended, line_with, started


def children(process: Process) -> list[int]:
    """The processes that this one started and that still run."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    """Whether no such process runs any more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def demo(*arguments: object) -> tuple[object, ...]:
    return ("demo", "--no-browser", *arguments)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_encodes_and_ends_without_a_trace(number: int, tmp_path: Path) -> None:
    """The clip gets to `complete`; a signal ends the hub and leaves no process and no file."""
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


def test_a_demo_that_is_encoding_takes_its_encodes_along(tmp_path: Path) -> None:
    """Ctrl+C in the midst of an encode leaves nothing running."""
    with started(*demo("--port", 0, "--seconds", 60), env={"TMPDIR": str(tmp_path)}) as process:
        url = line_with(process, r"Open (http://\S+)")[1]
        with started("watch", "encodes", "--hub", url) as watch:
            line_with(watch, "transcoding")
        [encoder] = children(process)
        assert ended(process, signal.SIGINT)[0] == 0
    assert gone(encoder)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_demo_leaves_no_orphan(tmp_path: Path) -> None:
    """Even where the demo cannot say good-bye, its encodes end: their stdin does."""
    with started(*demo("--port", 0, "--seconds", 60), env={"TMPDIR": str(tmp_path)}) as process:
        line_with(process, "Open")
        line_with(process, "Ctrl\\+C ends")
        [encoder] = children(process)
        descriptor = os.pidfd_open(encoder)
        process.kill()
        ended(process)
        assert select.select([descriptor], [], [], 20)[0]
        os.close(descriptor)


def test_a_taken_port_is_replaced_and_told(tmp_path: Path) -> None:
    """A newcomer's machine may well serve something on 8000 already."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", DEMO_PORT))
            taken.listen()
        except OSError:
            pass  # somebody else has it, which serves as well
        environ = {"TMPDIR": str(tmp_path), "STATUSHUB_SECRET": "x" * 32}
        with started(*demo("--clips", 1), env=environ) as process:
            line_with(process, f"Port {DEMO_PORT} is taken")
            url = line_with(process, r"Open (http://\S+)")[1]
            assert not url.endswith(f":{DEMO_PORT}")
            # What the environment says of another hub asks nobody to sign in here.
            assert httpx.get(f"{url}/api/contents/encodes").status_code == 200
            assert ended(process, signal.SIGTERM)[0] == 0


def test_a_port_that_was_asked_for_is_not_replaced() -> None:
    """Who names a port wants that one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = command(*demo("--port", taken.getsockname()[1]))
    assert result.returncode == 2
    assert "cannot be had" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_demo_opens_a_browser_where_there_is_one(tmp_path: Path) -> None:
    """Once the page can be had, the newcomer need not even copy its address."""
    os.mkfifo(tmp_path / "opened")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path / "opened"}\n')
    browser.chmod(0o755)
    variables = {"BROWSER": f"{browser} %s", "DISPLAY": ":0"}
    with started("demo", "--port", 0, "--clips", 1, env=variables) as process:
        url = line_with(process, r"Open (http://\S+)")[1]
        assert (tmp_path / "opened").read_text() == f"{url}\n"
        assert ended(process, signal.SIGTERM)[0] == 0
