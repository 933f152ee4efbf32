"""A hub as a process that is started, stopped, killed and short of room."""

from __future__ import annotations

import asyncio
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx

from tests.faults.clock import Clock
from tests.support.command import environment
from tests.support.proxy import Address
from tests.support.servers import RedisServer, free_port, wait_for_port

HEARTBEAT_SECONDS: Final = 1.0
"""So that a viewer of a stopped hub notices within a few seconds."""

STALL_SECONDS: Final = 4.0
"""After which a hub cuts off a viewer that takes nothing: within the time that some are made to stall."""

ASK_SECONDS: Final = 0.05
"""Between two questions whether something has come to be that nobody announces."""

LOG_LINES: Final = 15
"""Of a log, shown with a violation."""


class HubProcess:
    """`statushub serve` on a port that it keeps, over its deaths."""

    def __init__(self, name: str, broker: str, folder: Path, clock: Clock) -> None:
        self.name = name
        self.port = free_port()
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._broker = broker
        self._folder = folder
        self._clock = clock
        self._read = 0

    @property
    def address(self) -> Address:
        return "127.0.0.1", self.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        settings = ["--port", self.port, "--broker", self._broker]
        settings += ["--heartbeat", HEARTBEAT_SECONDS, "--stall-timeout", STALL_SECONDS]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "statushub", "serve", *map(str, settings)],
                cwd=self._folder,
                env=environment({**self._clock.environment, "PYTHONPATH": str(Path(__file__).parents[2])}),
                stdout=log,
                stderr=log,
            )
        wait_for_port(self.port, self.process)

    def troubles(self) -> list[str]:
        """Whether it died by itself, and the errors that it logged and nobody foresaw, since the last call."""
        with self.log.open(errors="replace") as log:
            log.seek(self._read)
            lines, self._read = log.read().splitlines(), log.tell()
        died = [f"{self.name} died by itself"] if self.process is not None and self.process.poll() is not None else []
        errors = [number for number, line in enumerate(lines) if "Traceback" in line]
        return died + [f"{self.name} logged an error: {' '.join(lines[number - 1 :][:LOG_LINES])}" for number in errors]

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        if self.process is not None:
            self.process.send_signal(number)

    def limit_files(self, size: int) -> None:
        """No file of its may grow beyond `size` bytes from now on: to it, a full disk."""
        if self.process is not None:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def started(server: HubProcess | RedisServer) -> None:
    """Start a server without holding up the others; nobody is interrupted before there is a process to end."""
    starting = asyncio.ensure_future(asyncio.to_thread(server.start))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await starting
        raise


async def until_ready(hub: HubProcess, within: float) -> None:
    """Return when the hub can serve."""
    async with asyncio.timeout(within), httpx.AsyncClient() as client:
        while True:
            with suppress(httpx.HTTPError):
                if (await client.get(f"{hub.url}/readyz", timeout=within)).is_success:
                    return
            await asyncio.sleep(ASK_SECONDS)
