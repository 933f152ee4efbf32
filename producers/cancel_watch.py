"""The cancel watch: asks for requests to cancel while some run wants to know. Lives on the background thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from statushub.hub.brokers.contract import Cancel
from statushub.hub.model.backoff import Backoff
from statushub.hub.model.errors import BrokerUnavailable
from statushub.producers.run import Run
from statushub.producers.transports import Transport

FIRST_DELAY_SECONDS: Final = 1.0
"""Before the first repeat of a poll that failed: as long as a request may take to be seen anyway."""

LONGEST_DELAY_SECONDS: Final = 30.0
"""Between repeats: meanwhile receipts tell of a request, with each report."""

logger = logging.getLogger(__name__)


class CancelWatch:
    """Tells runs of requests to cancel them, by one poll for all runs of a target."""

    def __init__(self, transport: Transport, open_runs: Callable[[], Iterable[Run]]) -> None:
        """`open_runs` are those of the target; all of them are told, and those that were added keep the poll going."""
        self._transport = transport
        self._open_runs = open_runs
        self._watched: set[Run] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, run: Run) -> None:
        """Poll until `run` is settled."""
        if run.settled.is_set():
            return
        self._watched.add(run)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._watch())

    def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        polling = asyncio.ensure_future(self._poll())
        try:
            while self._watched and not polling.done():
                # One after the other: the poll goes on until the last of them has settled.
                run = next(iter(self._watched))
                settled = asyncio.ensure_future(run.settled.wait())
                await asyncio.wait((settled, polling), return_when=asyncio.FIRST_COMPLETED)
                settled.cancel()
                self._watched = {each for each in self._watched if not each.settled.is_set()}
        finally:
            polling.cancel()

    async def _poll(self) -> None:
        backoff, since = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS), None
        while True:
            names = {run.content_id: None for run in self._watched}
            try:
                found = await self._transport.cancels([*names], since)
            except BrokerUnavailable as error:
                logger.debug("requests to cancel are not known: %s", error)
                await asyncio.sleep(backoff.next())
                continue
            except Exception as error:  # noqa: BLE001 - an older hub, or a token that may not ask; receipts tell, too
                logger.debug("requests to cancel are told by receipts only: %s", error)
                return
            backoff.reset()
            since = found.cursor
            for cancel in found.cancels:
                self._tell(cancel)

    def _tell(self, cancel: Cancel) -> None:
        for run in self._open_runs():
            if (run.channel, run.content_id) == (cancel.channel, cancel.content_id):
                run.ask(cancel.attempt, cancel.request)
