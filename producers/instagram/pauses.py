"""Pauses of the calls: of all of them, or of those for one account."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

APP: Final = ""
"""The scope of all calls; the others are accounts."""


class Pauses:
    """Until when each scope makes no call, on the monotonic clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def add(self, scope: str, seconds: float) -> None:
        """Let the scope make no call for so long; a longer pause stays."""
        self._until[scope] = max(self._until.get(scope, 0.0), self._clock() + seconds)

    def left(self, account: str) -> float:
        """The seconds until a call for the account may be made."""
        now = self._clock()
        for scope in (APP, account):
            if self._until.get(scope, now) < now:
                del self._until[scope]
        return max(0.0, *(self._until.get(scope, now) - now for scope in (APP, account)))

    async def wait(self, account: str) -> None:
        """Return once a call for the account may be made."""
        while (left := self.left(account)) > 0:  # noqa: ASYNC110 - a pause may become longer meanwhile
            await asyncio.sleep(left)
