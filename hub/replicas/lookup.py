"""LookupBatcher: contents read from the broker by their ids, for all who ask at once in one read.

While a read of a tenant's contents is under way, whoever asks for more waits for the next one, which asks for
all of theirs. So the more there are who poll, the less each of them costs, here and on the broker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING, Final

import anyio

from statushub.hub.brokers.contract import Broker
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.replicas.replica import Row, Unknown

if TYPE_CHECKING:
    from statushub.hub.hub import Hub

GATHERED_IDS: Final = 1_000
"""Contents in one read: a few milliseconds of the broker's, for which everybody else waits."""


class Read:
    """One read of contents. Once it is `done`, `rows` has the row of each that was asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.epoch = ""
        self.rows: dict[str, Row | Unknown] = {}
        self.done = anyio.Event()
        self.failure: Exception | None = None

    async def perform(self, broker: Broker, tenant: str) -> None:
        """Ask the broker. Raises what `Broker.lookup` does."""
        content_ids = [*self.asked]
        found = await broker.lookup(tenant, content_ids)
        self.epoch = found.cursor.epoch
        rows = [Row(event) if event else Unknown() for event in found.events]
        self.rows = dict(zip(content_ids, rows, strict=True))
        self.done.set()

    def fail(self, error: Exception) -> None:
        """Tell those who wait for it that it came to nothing."""
        self.failure = error
        self.done.set()


class LookupBatcher:
    """The reads of a hub's polls, one at a time for each tenant."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._queues: dict[str, deque[Read]] = {}

    async def read(self, tenant: str, content_ids: Sequence[str]) -> Read:
        """A read of these contents, and maybe of others, which began after this was called.

        Raises what `Broker.lookup` does.
        """
        read = self._joined(tenant, content_ids)
        await read.done.wait()
        if read.failure is not None:
            # An error for each: one for all would keep the frames of everybody who raised it.
            raise copy(read.failure) from read.failure
        return read

    def _joined(self, tenant: str, content_ids: Sequence[str]) -> Read:
        """A read that has not begun, to which these contents were added."""
        queue = self._queues.get(tenant)
        if queue is None:
            queue = self._queues[tenant] = deque()
            self._hub.start(self._serve, tenant, queue)
        if not queue or len(queue[-1].asked) + len(content_ids) > GATHERED_IDS:
            queue.append(Read())
        queue[-1].asked.update(content_ids)
        return queue[-1]

    async def _serve(self, tenant: str, queue: deque[Read]) -> None:
        read = queue[0]
        failure: Exception = BrokerUnavailable("the hub is going down")
        try:
            while queue:
                read = queue.popleft()
                await read.perform(self._hub.broker, tenant)
        except Exception as error:  # noqa: BLE001 - those who wait for it raise it
            failure = error
        finally:
            # A broker that does not answer is not waited for again, once for each read.
            del self._queues[tenant]
            for unread in (read, *queue):
                if not unread.done.is_set():
                    unread.fail(failure)
