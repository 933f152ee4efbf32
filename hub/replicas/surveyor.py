"""The surveyor: follows tenants, and reads the index for the selections of their directories."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import anyio

from statushub.hub.brokers.contract import PAGE_CHANNELS, Broker
from statushub.hub.model.backoff import Backoff
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, MatchLimit, StatushubError, TooManyRequests
from statushub.hub.replicas.directory import Directory
from statushub.hub.replicas.loader import Start
from statushub.hub.replicas.registry import Registry
from statushub.hub.replicas.selection import Selection
from statushub.hub.replicas.sync import Synchronizer

FULL_SECONDS: Final = 10.0
"""When a client whose tenant has too many channels in memory may come back: idle ones were evicted by then."""

logger = logging.getLogger(__name__)


class Surveyor:
    """Surveys directories: after that they miss no channel."""

    def __init__(
        self,
        broker: Broker,
        registry: Registry,
        synchronizer: Synchronizer,
        start: Start,
        *,
        retry: tuple[float, float],
        patience: float,
        selected: int,
        tenant: int,
    ) -> None:
        """As `Directories` takes them."""
        self._broker = broker
        self._registry = registry
        self._synchronizer = synchronizer
        self._start = start
        self._retry = retry
        self._patience = patience
        self._selected = selected
        self._tenant = tenant
        self._doubted: dict[Directory, float] = {}

    def survey(self, directory: Directory) -> None:
        """Survey until all is known or the broker is lost; returns immediately."""
        if not directory.surveying:
            directory.surveying = True
            self._start(self._surveying, directory)

    async def _surveying(self, directory: Directory) -> None:
        """Follow the tenant, and read the index for its selections, until all is known or the broker is lost."""
        backoff = Backoff(*self._retry)
        try:
            while self._registry.directory(directory.tenant) is directory and self._synchronizer.lost_at is None:
                try:
                    if await self._surveyed(directory):
                        return
                except BrokerUnavailable as error:
                    logger.debug("the channels of a tenant wait for the broker: %s", error.message)
                except Exception:
                    logger.exception("the channels of a tenant cannot be listed; retrying")
                await anyio.sleep(backoff.next())
        finally:
            directory.surveying = False

    async def _surveyed(self, directory: Directory) -> bool:
        """Survey once; returns whether nothing came between."""
        number = directory.survey
        if not directory.hearing:
            told = await self._broker.follow(directory.tenant)
            if number != directory.survey or not self._believed(directory, told.cursor):
                return False
            directory.hear_on(told.cursor.epoch, told.cursor.offset, told.floor)
            # Nothing that is lost from now on goes unnoticed; what was lost during earlier reads would.
            self._synchronizer.read_again(directory.tenant)
            if any(it.epoch not in (None, directory.epoch) for it in self._registry.of(directory.tenant)):
                self._synchronizer.begin_anew(directory.tenant, told.cursor.epoch)
        while (selection := next((it for it in directory.selections if not it.indexed), None)) is not None:
            names = await self._names(directory, selection)
            if number != directory.survey or not directory.hearing:
                return False
            if selection in directory.selections:
                self._take_in(directory, selection, names)
        directory.catch_up()
        return True

    def _believed(self, directory: Directory, clock: Cursor) -> bool:
        """Whether the clock is not behind what is known, or has been for as long as `patience`."""
        tenant, went_back = directory.tenant, clock.epoch == directory.epoch and clock.offset < directory.last
        if not went_back and not self._synchronizer.outdated(tenant, clock):
            self._doubted.pop(directory, None)
            self._registry.tenants[tenant].epoch = clock.epoch
            return True
        since = self._doubted.setdefault(directory, time.monotonic())
        if time.monotonic() - since < self._patience:
            return False
        del self._doubted[directory]
        self._synchronizer.void(tenant, clock)
        directory.epoch = None
        return True

    async def _names(self, directory: Directory, selection: Selection) -> list[str]:
        """The channels that the index has of the selection: at most one more than it may have."""
        names: list[str] = []
        match, tenant = selection.criteria.match, directory.tenant
        for prefix in selection.criteria.prefixes():
            after = None
            while len(names) <= self._selected:
                page = await self._broker.channels(
                    tenant, prefix=prefix, by_name=True, after=after, limit=PAGE_CHANNELS
                )
                names += [entry.channel for entry in page.entries if match(entry.channel)]
                if (after := page.next) is None:
                    break
        # After the index: a channel that was forgotten before it was read has raised the floor.
        told = await self._broker.offsets(tenant, [])
        if told.cursor.epoch != directory.epoch:
            raise BrokerUnavailable("the clock has begun anew during the read")
        directory.floor = max(directory.floor, told.floor)
        return names[: self._selected + 1]

    def _take_in(self, directory: Directory, selection: Selection, names: list[str]) -> None:
        """Let the selection have these channels; refuse it where they are too many and it has no viewer yet."""
        further = [it for it in names if self._registry.find(directory.tenant, it) is None]
        room = self._tenant - len(self._registry.of(directory.tenant))
        refused: Callable[[], StatushubError] | None = None
        if not selection.resumed and (len(names) > self._selected or selection.exceeded is not None):
            refused = partial(MatchLimit, selection.criteria.patterns.texts, self._selected)
        elif len(further) > room:
            refused = _full
        if refused is not None and not selection.viewers:
            selection.refused = refused
            directory.drop(selection)
        else:
            self._follow(directory, selection, names, dropped=frozenset(further[max(room, 0) :]))
            selection.indexed = True
        selection.settled.set()

    def _follow(self, directory: Directory, selection: Selection, names: list[str], dropped: frozenset[str]) -> None:
        for name in names:
            replica = None if name in dropped else self._synchronizer.obtain(directory.tenant, name)
            if replica is not None and (selection.has(replica) or selection.has_room(self._selected)):
                selection.add(replica)
            else:
                selection.exceed(name, len(selection))


def _full() -> TooManyRequests:
    return TooManyRequests(
        "too many channels are followed at this hub", retry_after=FULL_SECONDS, limit="channels_tenant"
    )
