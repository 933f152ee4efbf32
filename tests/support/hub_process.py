"""A hub in a process: `statushub serve`, which can be stopped, killed and started again."""

from __future__ import annotations

import contextlib
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support.command import END_SECONDS, environment
from tests.support.ports import free_port, wait_for_port

LOG_BYTES = 20_000
"""The end of a log that is shown where it has an error."""


class HubProcess:
    """A hub that keeps its port over restarts and logs to a file. `settings` are named as in `Config`."""

    def __init__(
        self, folder: Path, *, name: str = "hub", env: Mapping[str, str] | None = None, **settings: Any
    ) -> None:
        self.name = name
        self.port = free_port()
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._folder = folder
        given = {"broker": "memory:", "port": self.port} | settings
        self._environment = {
            **{f"STATUSHUB_{setting.upper()}": str(value) for setting, value in given.items()},
            **(env or {}),
        }

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def memory(self) -> int:
        """The hub's private memory in bytes, which its end would free."""
        if self.process is None:
            raise RuntimeError(f"{self.name} does not run")
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        own = ("Private_Clean:", "Private_Dirty:")
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(own))

    def start(self) -> None:
        """Start the hub, and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "statushub", "serve"],
                cwd=self._folder,
                env=_unmeasured(environment(self._environment)),
                stdout=log,
                stderr=log,
            )
        wait_for_port(self.port, self.process)

    def stop(self) -> int | None:
        """Send SIGTERM and wait; returns the exit code."""
        if self.process is None:
            return None
        self.process.terminate()
        return self.process.wait(END_SECONDS)

    def kill(self) -> None:
        """Send SIGKILL, unless the process has ended."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        if self.process is not None:
            self.process.send_signal(number)

    def limit_files(self, size: int) -> None:
        """Limit the process's files to `size` bytes from now on, as on a full disk."""
        if self.process is not None:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _unmeasured(environ: Mapping[str, str]) -> dict[str, str]:
    """Without the measurement of coverage, which halves the speed of a hub; tests of LiveHub run the same lines."""
    return {name: value for name, value in environ.items() if not name.startswith("COVERAGE_")}


@contextlib.contextmanager
def hub_process(folder: Path, **settings: Any) -> Iterator[HubProcess]:
    """A hub for the block; it must end with exit code 0, without an error or a traceback in its log."""
    hub = HubProcess(folder, **settings)
    try:
        hub.start()
        yield hub
        assert hub.stop() == 0
    finally:
        hub.kill()
    written = hub.log.read_text(errors="replace")
    assert "Traceback" not in written, written[-LOG_BYTES:]
    assert " ERROR " not in written, written[-LOG_BYTES:]
