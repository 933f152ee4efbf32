"""A hub that faults are injected into, and what it logs of them."""

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
"""So that a viewer of a stopped hub notices within a few seconds."""

STALL_SECONDS: Final = 4.0
"""After which a hub cuts off a viewer that takes nothing: within the time that some are made to stall."""

ASK_SECONDS: Final = 0.05
"""Between two questions whether something has come to be that nobody announces."""

LOG_LINES: Final = 15
"""Of a log, shown with a violation."""


class FaultyHub(HubProcess):
    """A hub whose wall clock can be stepped, and whose log is read as it grows."""

    def __init__(self, name: str, broker: str, folder: Path, clock: Clock) -> None:
        super().__init__(
            folder,
            name=name,
            env=clock.environment,
            broker=broker,
            heartbeat=HEARTBEAT_SECONDS,
            stall_timeout=STALL_SECONDS,
        )
        self._read = 0

    @property
    def address(self) -> Address:
        return "127.0.0.1", self.port

    def troubles(self) -> list[str]:
        """Whether it died by itself, and the errors that it has logged since the last call."""
        with self.log.open(errors="replace") as log:
            log.seek(self._read)
            lines, self._read = log.read().splitlines(), log.tell()
        died = [f"{self.name} died by itself"] if self.process is not None and self.process.poll() is not None else []
        errors = [number for number, line in enumerate(lines) if "Traceback" in line]
        return died + [f"{self.name} logged an error: {' '.join(lines[number - 1 :][:LOG_LINES])}" for number in errors]


async def started(server: FaultyHub | RedisServer) -> None:
    """Start a server without holding up the others; nobody is interrupted before there is a process to end."""
    starting = asyncio.ensure_future(asyncio.to_thread(server.start))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await starting
        raise


async def until_ready(hub: FaultyHub, within: float) -> None:
    """Return when the hub can serve."""
    async with asyncio.timeout(within), httpx.AsyncClient() as client:
        while True:
            with suppress(httpx.HTTPError):
                if (await client.get(f"{hub.base_url}/readyz", timeout=within)).is_success:
                    return
            await asyncio.sleep(ASK_SECONDS)
