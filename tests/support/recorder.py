"""A listener that records its calls, and on which a test can wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from statushub.hub.model.event import Announcement, Event
from tests.support.waiting import WAIT_SECONDS


class Recorder:
    """Records announcements, and in `reports` the calls of `lost` and `restored`, in order."""

    def __init__(self) -> None:
        self.announcements: list[Announcement] = []
        self.reports: list[str] = []
        self._news = asyncio.Event()

    @property
    def events(self) -> list[Event]:
        return [announcement.event for announcement in self.announcements]

    @property
    def contents(self) -> list[str]:
        return [event.content_id for event in self.events]

    @property
    def losses(self) -> int:
        return self.reports.count("lost")

    @property
    def restorations(self) -> int:
        return self.reports.count("restored")

    @property
    def offsets(self) -> list[int]:
        return [announcement.event.offset for announcement in self.announcements]

    def announced(self, batch: Sequence[Announcement]) -> None:
        self.announcements += batch
        self._news.set()

    def lost(self) -> None:
        self.reports.append("lost")
        self._news.set()

    def restored(self) -> None:
        self.reports.append("restored")
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; it is evaluated after each call."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def count(self, number: int) -> list[Event]:
        """The announced events, once there are at least `number`."""
        await self.until(lambda: len(self.announcements) >= number)
        return self.events
