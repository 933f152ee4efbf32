"""A broker whose reads and announcements a test holds up, so that they meet in one order only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ParamSpec, TypeVar

from statushub.hub.brokers.contract import Broker, Listener
from statushub.hub.model.event import Announcement, Event

P = ParamSpec("P")
T = TypeVar("T")


class Gate:
    """Where calls wait while it is shut. To be opened on the loop that waits."""

    def __init__(self) -> None:
        self.waiting = 0
        self._open = asyncio.Event()
        self._open.set()

    def shut(self) -> None:
        """Let no call through from now on."""
        self._open.clear()

    def open(self) -> None:
        """Let those through that wait, and later ones."""
        self._open.set()

    async def wait(self) -> None:
        """Return once it is open."""
        self.waiting += 1
        try:
            await self._open.wait()
        finally:
            self.waiting -= 1


class HeldBroker:
    """Controls a broker: `follows` holds up calls of `follow`, `reads` those of `changes` and `answers` what they have
    read. Announcements that `keep` refuses are lost."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.follows, self.reads, self.answers = Gate(), Gate(), Gate()
        self.keep: Callable[[Event], bool] = lambda _: True
        self.held: list[Announcement] | None = None
        """The announcements that are held up, or None where they pass."""
        self._listener: Listener | None = None
        listen = broker.listen

        def listen_here(listener: Listener) -> None:
            self._listener = listener
            listen(self)

        broker.listen = listen_here  # type: ignore[method-assign]
        broker.follow = _between(self.follows, broker.follow, Gate())  # type: ignore[method-assign]
        broker.changes = _between(self.reads, broker.changes, self.answers)  # type: ignore[method-assign]

    def hold(self) -> None:
        """Hold announcements up from now on."""
        self.held = []

    def release(self) -> None:
        """Pass on what was held up, in one batch; on the hub's loop."""
        held, self.held = self.held or [], None
        self.announced(held)

    # As a `Listener`

    def announced(self, batch: Sequence[Announcement]) -> None:
        if self.held is not None:
            self.held += batch
        elif self._listener is not None:
            self._listener.announced([it for it in batch if self.keep(it.event)])

    def lost(self) -> None:
        if self._listener is not None:
            self._listener.lost()

    def restored(self) -> None:
        if self._listener is not None:
            self._listener.restored()


def _between(
    before: Gate, call: Callable[P, Coroutine[Any, Any, T]], after: Gate
) -> Callable[P, Coroutine[Any, Any, T]]:
    async def held(*args: P.args, **options: P.kwargs) -> T:
        await before.wait()
        answer = await call(*args, **options)
        await after.wait()
        return answer

    return held
