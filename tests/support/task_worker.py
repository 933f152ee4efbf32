"""A worker of a task queue in a process, and what a hub is told of its tasks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.support.command import END_SECONDS, Process, environment, line_with, started
from tests.support.waiting import eventually

READY_SECONDS: Final = 30.0
"""How long a worker may take to import its library and its tasks."""


class Told:
    """What viewers of a channel are told, in order, read from a `statushub watch --json` of it."""

    def __init__(self, watch: Process) -> None:
        self._watch = watch
        self.events: list[dict[str, Any]] = []

    def until(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first event that meets `condition`, of those that were not returned or passed yet."""
        assert self._watch.stdout is not None
        while line := self._watch.stdout.readline():
            data: dict[str, Any] = json.loads(line)["data"]
            self.events.append(data)
            if condition(data):
                return data
        raise AssertionError(f"the watch has ended; told were {self.events}")

    def ended(self, content_id: str | None = None) -> dict[str, Any]:
        """The next final state, of this content or of any."""
        return self.until(
            lambda data: data.get("status") in ("complete", "error") and content_id in (None, data["content_id"])
        )

    def statuses(self, content_id: str) -> list[str]:
        """The statuses of a content up to now, each as often as it followed another one."""
        said = [_status(data) for data in self.events if data.get("content_id") == content_id]
        return [status for number, status in enumerate(said) if number == 0 or said[number - 1] != status]

    def since_its_start(self, content_id: str) -> list[str]:
        """As `statuses`, without that it waited, which is told unless a worker was faster."""
        return [status for status in self.statuses(content_id) if status != "pending 0"]


def _status(data: Mapping[str, Any]) -> str:
    pending = data["status"] == "idle" and data.get("processing_status") == "pending"
    return f"{'pending' if pending else data['status']} {data['retry']}"


@contextlib.contextmanager
def watching(hub: str, channel: str) -> Iterator[Told]:
    """What viewers of `channel` are told from now on."""
    with started("watch", channel, "--json", "--hub", hub) as watch:
        line_with(watch, '"type":"ready"')
        yield Told(watch)


@contextlib.contextmanager
def program(*arguments: str, cwd: Path, env: Mapping[str, str], ready: str | None = None) -> Iterator[Process]:
    """A running Python program, once a line of its output has `ready`; it is killed at the end with its children."""
    log = cwd / "program.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd,
            env=environment({"PYTHONPATH": str(cwd), "PYTHONUNBUFFERED": "1", **env}),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(process, log, ready)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def stopped(process: Process) -> int:
    """Send SIGTERM and wait; returns the exit code."""
    process.terminate()
    return process.wait(END_SECONDS)


def run(*arguments: str, cwd: Path, env: Mapping[str, str]) -> str:
    """Run a Python program to its end, with exit code 0; returns its stdout."""
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment({"PYTHONPATH": str(cwd), **env}),
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def _wait_for(process: Process, log: Path, ready: str | None) -> None:
    if ready is not None:
        eventually(lambda: ready in log.read_text(errors="replace") or process.poll() is not None)
    assert process.poll() is None, log.read_text(errors="replace")
