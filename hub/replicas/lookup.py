"""The lookup batcher: contents read from the broker by their ids, one read for all polls that wait for one.

While a read of a tenant's contents is under way, further polls wait for the next one, which asks for all of theirs.
So the more polls there are, the less each of them costs, here and on the broker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import copy
from typing import Final

import anyio

from statushub.hub.brokers.contract import Broker
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.event import Event
from statushub.hub.replicas.loader import Start

BATCH_IDS: Final = 1_000
"""Most contents in one read: a few milliseconds of the broker's, for which every other call waits."""


class Read:
    """One read of contents. Once it is `done`, `events` has the event of each that is known or was removed, and `clock`
    the tenant's clock."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.clock = Cursor(epoch="", offset=0)
        self.events: dict[str, Event] = {}
        self.done = anyio.Event()
        self.failure: Exception | None = None

    async def perform(self, broker: Broker, tenant: str) -> None:
        """Ask the broker. Raises what `Broker.lookup` does."""
        content_ids = [*self.asked]
        found = await broker.lookup(tenant, content_ids)
        self.clock = found.cursor
        self.events = {id: event for id, event in zip(content_ids, found.events, strict=True) if event}
        self.done.set()

    def fail(self, error: Exception) -> None:
        """Let those who wait for it raise this."""
        self.failure = error
        self.done.set()


class LookupBatcher:
    """The reads of a hub's polls, one at a time for each tenant."""

    def __init__(self, broker: Broker, start: Start) -> None:
        self._broker = broker
        self._start = start
        self._queues: dict[str, deque[Read]] = {}

    async def read(self, tenant: str, content_ids: Sequence[str]) -> Read:
        """A read of these contents, and maybe of others, which began after this was called.

        Raises what `Broker.lookup` does.
        """
        read = self._joined(tenant, content_ids)
        await read.done.wait()
        if read.failure is not None:
            # A copy for each: a shared one would keep the frames of everything that raised it.
            raise copy(read.failure) from read.failure
        return read

    def _joined(self, tenant: str, content_ids: Sequence[str]) -> Read:
        """A read that has not begun, to which these contents were added."""
        queue = self._queues.get(tenant)
        if queue is None:
            queue = self._queues[tenant] = deque()
            self._start(self._serve, tenant, queue)
        if not queue or len(queue[-1].asked) + len(content_ids) > BATCH_IDS:
            queue.append(Read())
        queue[-1].asked.update(content_ids)
        return queue[-1]

    async def _serve(self, tenant: str, queue: deque[Read]) -> None:
        read = queue[0]
        failure: Exception = BrokerUnavailable("the hub is going down")
        try:
            while queue:
                read = queue.popleft()
                await read.perform(self._broker, tenant)
        except Exception as error:  # noqa: BLE001 - the polls that wait for it raise it
            failure = error
        finally:
            # A broker that does not answer is not waited for once more for each read.
            del self._queues[tenant]
            for unread in (read, *queue):
                if not unread.done.is_set():
                    unread.fail(failure)
