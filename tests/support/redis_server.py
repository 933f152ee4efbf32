"""A redis-server on a free port."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.ports import START_SECONDS, free_port, wait_for_port
from tests.support.waiting import eventually


class RedisServer:
    """A redis-server with an append-only file in `folder`; it can be killed, emptied and paused."""

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
        """Start the server with the data in its folder, and wait until it has loaded them."""
        self.process = subprocess.Popen(
            [
                "redis-server",
                *("--port", str(self.port)),
                *("--bind", "127.0.0.1"),
                *("--dir", str(self.folder)),
                *("--save", ""),
                *("--appendonly", "yes" if self.appendonly else "no"),
                *("--appendfsync", "always" if self.appendonly else "no"),
                # By default a master waits for 5 s, so that several replicas share a transfer.
                *("--repl-diskless-sync-delay", "0"),
                *self.arguments,
            ],
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self.port, self.process)
        eventually(self._loaded)

    def kill(self) -> None:
        """Send SIGKILL: nothing more is written."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Send SIGTERM, and wait."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Send SIGSTOP: connections stay open, and commands are not answered."""
        if self.process:
            self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT."""
        if self.process:
            self.process.send_signal(signal.SIGCONT)

    def command(self, *words: str) -> str:
        """The output of redis-cli for a command."""
        said = subprocess.run(
            ["redis-cli", "-p", str(self.port), *words],
            capture_output=True,
            text=True,
            check=True,
            timeout=START_SECONDS,
        )
        return said.stdout.strip()

    def forget(self) -> None:
        """Remove the server's data; only while it is down."""
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _loaded(self) -> bool:
        """Whether it no longer refuses commands because it reads its file: it listens before it has read it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=START_SECONDS) as connection:
            connection.sendall(b"PING\r\n")
            return not connection.recv(1024).startswith(b"-LOADING")

    def _end(self, number: signal.Signals) -> None:
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(START_SECONDS)
            self.process = None


@contextlib.contextmanager
def running_redis(folder: Path, *, appendonly: bool = True, arguments: tuple[str, ...] = ()) -> Iterator[RedisServer]:
    """A redis-server for the block."""
    server = RedisServer(folder, appendonly=appendonly, arguments=arguments)
    server.start()
    try:
        yield server
    finally:
        server.kill()
