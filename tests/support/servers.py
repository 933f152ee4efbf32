"""Real servers for tests: each on a free port, each ended by whoever started it."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

START_SECONDS = 20.0


def free_port() -> int:
    """A loopback port nobody holds at this moment, outside the range that outgoing connections draw from."""
    while True:
        port = random.randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once something accepts connections on `port`; fail if `process` ends first."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{process.args!r} does not listen on {port}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)


class RedisServer:
    """A redis-server of our own, with an append-only file in `folder`; it can be killed, emptied, paused."""

    def __init__(
        self,
        folder: Path,
        *,
        appendonly: bool = True,
        arguments: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.environment = environment or {}
        self.port = free_port()
        self.appendonly = appendonly
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it accepts connections; what its folder holds is loaded."""
        self.process = subprocess.Popen(
            [
                "redis-server",
                *("--port", str(self.port)),
                *("--bind", "127.0.0.1"),
                *("--dir", str(self.folder)),
                *("--save", ""),
                *("--appendonly", "yes" if self.appendonly else "no"),
                *("--appendfsync", "always" if self.appendonly else "no"),
                *self.arguments,
            ],
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self.port, self.process)

    def kill(self) -> None:
        """SIGKILL: no farewell, no last write."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        if self.process:
            self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        if self.process:
            self.process.send_signal(signal.SIGCONT)

    def command(self, *words: str) -> str:
        """What redis-cli says to a command; it comes with redis-server."""
        said = subprocess.run(
            ["redis-cli", "-p", str(self.port), *words],
            capture_output=True,
            text=True,
            check=True,
            timeout=START_SECONDS,
        )
        return said.stdout.strip()

    def forget(self) -> None:
        """Remove its data; only while it is down."""
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _end(self, number: signal.Signals) -> None:
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(START_SECONDS)
            self.process = None


@contextlib.contextmanager
def running_redis(folder: Path, *, appendonly: bool = True, arguments: tuple[str, ...] = ()) -> Iterator[RedisServer]:
    """A redis-server for the time of the block."""
    server = RedisServer(folder, appendonly=appendonly, arguments=arguments)
    server.start()
    try:
        yield server
    finally:
        server.kill()
