"""Following a channel within the hub, without a connection: `async for event in follow(host, replica)`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from statushub.hub.model.event import Event
from statushub.hub.replicas.reader import Reader, ReaderHost
from statushub.hub.replicas.replica import Replica


class Follower(Reader):
    """A reader that waits until it is told of events."""

    __slots__ = ("wake",)

    def __init__(self, host: ReaderHost, replica: Replica) -> None:
        super().__init__(host, (replica,), None)
        self.wake = asyncio.Event()

    def pause(self) -> None:
        """A follower reads when it can; there is nothing to stop."""

    def catch_up(self) -> None:
        self.wake.set()


async def follow(host: ReaderHost, replica: Replica) -> AsyncGenerator[Event]:
    """The latest event of each of the channel's contents, then each event as it comes, in offset order.

    An event that is superseded before it is read is skipped; a final one is never skipped. After a reset the
    channel's contents come again, whole. Ends only when it is closed; close it (`contextlib.aclosing`), since it
    keeps the replica.
    """
    follower = Follower(host, replica)
    replica.subscribers.add(follower)
    replica.pollers.add(follower)
    try:
        while True:
            follower.wake.clear()
            _, events = follower.take()
            for event in events:
                yield event
            await follower.wake.wait()
    finally:
        replica.remove(follower)
