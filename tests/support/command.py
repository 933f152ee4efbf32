"""The command line as users run it: in a process, with signals and exit codes."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from signal import SIGKILL

from tests.support.ports import wait_for_port

END_SECONDS = 60.0

Process = subprocess.Popen[bytes]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without Statushub's variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STATUSHUB_")}
    return {**kept, "COLUMNS": "100", **(extra or {})}


def command(
    *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command line until it ends."""
    return subprocess.run(
        [sys.executable, "-m", "statushub", *map(str, arguments)],
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=END_SECONDS * 2,
        check=False,
    )


@contextlib.contextmanager
def started(
    *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, stdout: int = subprocess.PIPE
) -> Iterator[Process]:
    """A running command for the block; it is killed at the end unless it has ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "statushub", *map(str, arguments)],
        cwd=cwd,
        env=environment(env),
        stdout=stdout,
        stderr=subprocess.PIPE,
        # Buffered lines would be missing from what `communicate` reads.
        bufsize=0,
        # A hub's workers outlive the process that started them, and hold its pipes: the whole group is killed.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, SIGKILL)
        process.communicate()


def ended(process: Process, signal: int | None = None) -> tuple[int, str, str]:
    """Send `signal`, wait for the end, and return the exit code and the unread part of stdout and stderr."""
    if signal is not None:
        process.send_signal(signal)
    out, err = process.communicate(timeout=END_SECONDS)
    return process.returncode, (out or b"").decode(), (err or b"").decode()


def line_with(process: Process, pattern: str, *, of: str = "stdout") -> re.Match[str]:
    """The match in the next line that matches; fails where the stream ends first."""
    stream = process.stdout if of == "stdout" else process.stderr
    seen = []
    while stream is not None and (line := stream.readline().decode()):
        seen.append(line)
        if match := re.search(pattern, line):
            return match
    raise AssertionError(f"no line has {pattern!r}: {seen}")


@contextlib.contextmanager
def serving(
    *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[tuple[Process, str]]:
    """Run `statushub serve`, on a free port unless one is given; yields the process and the hub's URL."""
    chosen = arguments if "--port" in arguments else ("--port", 0, *arguments)
    with started("serve", *chosen, cwd=cwd, env=env) as process:
        url = line_with(process, r"Serving (http://\S+:(\d+));", of="stderr")
        wait_for_port(int(url[2]), process)
        yield process, url[1]


def read_terminal(terminal: int, *, until: str | None = None) -> str:
    """The output of a terminal (read from its pty master) until `until` occurs; by default, all of it."""
    seen = ""
    while until is None or until not in seen:
        try:
            portion = os.read(terminal, 65536)
        except OSError:  # Linux raises EIO once the other end is closed
            break
        seen += portion.decode(errors="replace")
    return seen
