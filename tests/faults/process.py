"""A hub into which faults are injected, and the errors in its log."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx

from tests.faults.clock import Clock
from tests.support.hub_process import HubProcess
from tests.support.proxy import Address
from tests.support.redis_server import RedisServer

HEARTBEAT_SECONDS: Final = 1.0
"""Short, so that a viewer of a stopped hub notices within a few seconds."""

STALL_SECONDS: Final = 4.0
"""The time after which a hub aborts a stalled viewer: shorter than the stall of some viewers."""

ASK_SECONDS: Final = 0.05
"""The pause between two evaluations of a condition without a notification."""

LOG_LINES: Final = 15
"""The number of log lines that are shown with a violation."""


PATIENCE_SECONDS: Final = 8.0
"""Longer than a hub is cut off, and short enough to converge where an emptied Redis has a clock that was set back."""


class FaultyHub(HubProcess):
    """A hub whose wall clock can be stepped, and whose log is read while it grows."""

    def __init__(self, name: str, broker: str, folder: Path, clock: Clock) -> None:
        super().__init__(
            folder,
            name=name,
            env=clock.environment,
            broker=broker,
            heartbeat=HEARTBEAT_SECONDS,
            stall_timeout=STALL_SECONDS,
            patience=PATIENCE_SECONDS,
        )
        self._read = 0

    @property
    def address(self) -> Address:
        return "127.0.0.1", self.port

    def troubles(self) -> list[str]:
        """The errors logged since the last call, and whether the hub exited."""
        with self.log.open(errors="replace") as log:
            log.seek(self._read)
            lines, self._read = log.read().splitlines(), log.tell()
        died = [f"{self.name} exited by itself"] if self.process is not None and self.process.poll() is not None else []
        errors = [number for number, line in enumerate(lines) if "Traceback" in line]
        return died + [f"{self.name} logged an error: {' '.join(lines[number - 1 :][:LOG_LINES])}" for number in errors]


async def started(server: FaultyHub | RedisServer) -> None:
    """Start a server without blocking the event loop; a cancellation waits until there is a process to end."""
    starting = asyncio.ensure_future(asyncio.to_thread(server.start))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await starting
        raise


async def until_ready(hub: FaultyHub, within: float) -> None:
    """Return once the hub is ready."""
    async with asyncio.timeout(within), httpx.AsyncClient() as client:
        while True:
            with suppress(httpx.HTTPError):
                if (await client.get(f"{hub.base_url}/readyz", timeout=within)).is_success:
                    return
            await asyncio.sleep(ASK_SECONDS)
