"""Attempts to go live: an attempt succeeds where the stream or socket is still open after a while."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import anyio

from statushub.hub.viewers.session import Session

LIVE_SECONDS: Final = 10.0
"""After which a stream counts as live. The browser client gives one up whose first event has not come after 5 s,
because a proxy buffers it."""

LOOK_SECONDS: Final = 1.0


class Attempts:
    """The sessions that have begun lately, the oldest first, each with when it counts. `clock` is monotonic."""

    def __init__(self, results: Counter[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._results = results
        self._clock = clock
        self._young: dict[Session, float] = {}

    def began(self, session: Session) -> None:
        """Count the session once it has lasted."""
        self._young[session] = self._clock() + LIVE_SECONDS

    def ended(self, session: Session) -> None:
        """It is over. One that lasted has been counted."""
        self._young.pop(session, None)

    def settle(self) -> None:
        """Count the sessions that have lasted."""
        now = self._clock()
        lasted = []
        for session, due in self._young.items():
            if due > now:
                break
            lasted.append(session)
        for session in lasted:
            del self._young[session]
        if not self._young:
            # A dictionary keeps the room that a wave of viewers took.
            self._young = {}
        self._results["succeeded"] += len(lasted)

    async def run(self) -> None:
        """Settle until cancelled."""
        while True:
            await anyio.sleep(LOOK_SECONDS)
            self.settle()
