"""A listener that keeps what it is told, and lets a test wait until it has been told enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from statushub.hub.model.event import Announcement, Event

WAIT_SECONDS = 20.0


class Recorder:
    """Every announcement in the order it came; in `told`, the words `lost` and `restored` in the order they came."""

    def __init__(self) -> None:
        self.announcements: list[Announcement] = []
        self.told: list[str] = []
        self._news = asyncio.Event()

    @property
    def events(self) -> list[Event]:
        return [announcement.event for announcement in self.announcements]

    @property
    def contents(self) -> list[str]:
        return [event.content_id for event in self.events]

    @property
    def losses(self) -> int:
        return self.told.count("lost")

    @property
    def restorations(self) -> int:
        return self.told.count("restored")

    @property
    def offsets(self) -> list[int]:
        return [announcement.event.offset for announcement in self.announcements]

    def announced(self, batch: Sequence[Announcement]) -> None:
        self.announcements += batch
        self._news.set()

    def lost(self) -> None:
        self.told.append("lost")
        self._news.set()

    def restored(self) -> None:
        self.told.append("restored")
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; it is looked at after each report."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def count(self, number: int) -> list[Event]:
        """The events announced, once there are at least `number`."""
        await self.until(lambda: len(self.announcements) >= number)
        return self.events
