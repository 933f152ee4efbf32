"""Directories with I/O: makes and ends them, finds selections, and audits what they heard."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from functools import partial

import anyio

from statushub.hub.auth.identity import Identity
from statushub.hub.auth.patterns import Patterns
from statushub.hub.brokers.contract import Broker
from statushub.hub.brokers.periodic import repeat
from statushub.hub.model.cursor import epoch_precedes
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.replicas.directory import Directory
from statushub.hub.replicas.loader import Start
from statushub.hub.replicas.registry import Registry
from statushub.hub.replicas.scheduler import Scheduler
from statushub.hub.replicas.selection import Criteria, Selection
from statushub.hub.replicas.surveyor import Surveyor
from statushub.hub.replicas.sync import JOIN_SECONDS, READABLE_SECONDS, Synchronizer

logger = logging.getLogger(__name__)


class Directories:
    """The directories of the tenants whose patterns are followed."""

    def __init__(
        self,
        broker: Broker,
        registry: Registry,
        synchronizer: Synchronizer,
        start: Start,
        scheduler: Scheduler,
        *,
        retry: tuple[float, float],
        patience: float,
        idle: float,
        selected: int,
        tenant: int,
    ) -> None:
        """`retry`, `patience` and `idle` are as for replicas. A selection has at most `selected` channels, a tenant
        `tenant` replicas."""
        self._broker = broker
        self._registry = registry
        self._synchronizer = synchronizer
        self._start = start
        self._scheduler = scheduler
        self._idle = max(idle, JOIN_SECONDS)
        self._surveyor = Surveyor(
            broker,
            registry,
            synchronizer,
            start,
            retry=retry,
            patience=patience,
            selected=selected,
            tenant=tenant,
        )
        self._verifying: set[Directory] = set()

    def obtain(self, identity: Identity, patterns: Patterns, *, stats: bool = True) -> Selection:
        """The selection of what the identity reads of these patterns, with the counters of all videos or without; its
        index may be read yet."""
        directory = self._registry.directory(identity.tenant) or self._made(identity.tenant)
        selection = directory.select(Criteria.of(patterns, identity, stats=stats))
        selection.idle_since = time.monotonic()
        if not selection.indexed:
            self._surveyor.survey(directory)
        return selection

    def current(self, identity: Identity, selection: Selection) -> Selection:
        """The selection itself, or its successor where it was dropped before it had a viewer."""
        directory = self._registry.directory(identity.tenant)
        if directory is not None and selection in directory.selections:
            return selection
        return self.obtain(identity, selection.criteria.patterns, stats=selection.criteria.stats)

    async def select(
        self, identity: Identity, patterns: Patterns, *, resumes: bool = False, stats: bool = True
    ) -> Selection:
        """As `obtain`, once the index is read. Where the broker is away, the selection waits for it.

        Raises `MatchLimit` where there are more channels than may be followed, unless the client `resumes`, and
        `TooManyRequests` where the tenant would have too many in memory.
        """
        selection = self.obtain(identity, patterns, stats=stats)
        selection.resumed = selection.resumed or resumes
        selection.waiting += 1
        try:
            with anyio.move_on_after(READABLE_SECONDS):
                while not (selection.indexed or selection.refused or self._synchronizer.lost_at is not None):
                    await selection.settled.wait()
        finally:
            selection.waiting -= 1
            selection.idle_since = time.monotonic()
        if selection.refused is not None:
            raise selection.refused()
        return selection

    async def run(self, interval: float) -> None:
        """Audit every `interval` seconds until cancelled, and drop what has no viewers."""
        await repeat(interval, self.audit)

    async def audit(self) -> None:
        """Find what was announced and not heard. Raises the first `BrokerUnavailable` once all are audited."""
        failure: BrokerUnavailable | None = None
        for directory in self._registry.directories():
            try:
                await self._tidy(directory)
                if directory.hearing:
                    await self._audit(directory)
            except BrokerUnavailable as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _made(self, tenant: str) -> Directory:
        directory = Directory(
            tenant,
            start=self._surveyor.survey,
            verify=self._verify,
            expect=self._synchronizer.expect_epoch,
            later=lambda selection: self._scheduler.later(partial(self._wake, selection)),
        )
        self._registry.direct(directory)
        return directory

    def _wake(self, selection: Selection) -> None:
        selection.waking = False
        for viewer in tuple(selection.viewers):
            # Each in a step of its own: there may be many.
            self._scheduler.later(viewer.catch_up)

    # Audits

    async def _audit(self, directory: Directory) -> None:
        number, before = directory.survey, directory.last
        told = await self._broker.follow(directory.tenant)
        if number != directory.survey or not directory.hearing:
            return
        epoch, offset = told.cursor.epoch, told.cursor.offset
        if epoch != directory.epoch and epoch_precedes(directory.epoch or "", epoch):
            self._synchronizer.begin_anew(directory.tenant, epoch)
        elif epoch != directory.epoch or offset < before:
            directory.begin_survey()
        elif directory.misses(told.cursor):
            logger.warning("announcements of a tenant that is followed were missed; its channels are read again")
            self._synchronizer.resync(directory.tenant)
        else:
            directory.floor = max(directory.floor, told.floor)

    def _verify(self, directory: Directory) -> None:
        """Find out whether cursors ahead of what was heard are ahead of the clock, too, and so void."""
        if self._synchronizer.lost_at is None and directory not in self._verifying:
            self._verifying.add(directory)
            self._start(self._verified, directory)

    async def _verified(self, directory: Directory) -> None:
        asked = [(it, it.cursor) for selection in directory.selections for it in selection.viewers]
        try:
            told = await self._broker.follow(directory.tenant)
            await self._audit(directory)
        except BrokerUnavailable:
            # A survey asks until it is answered, and then viewers catch up.
            directory.begin_survey()
            return
        finally:
            self._verifying.discard(directory)
        for viewer, cursor in asked:
            if cursor.epoch == told.cursor.epoch == directory.epoch and cursor.offset > told.cursor.offset:
                # Ahead of the clock: it was never issued.
                viewer.invalidate()
        directory.catch_up()

    # Ends

    async def _tidy(self, directory: Directory) -> None:
        idle = time.monotonic() - self._idle
        for selection in tuple(directory.selections):
            if not selection.viewers and not selection.waiting and selection.idle_since < idle:
                directory.drop(selection)
        if not directory.selections and not directory.surveying:
            await self._close(directory)

    async def _close(self, directory: Directory) -> None:
        """Follow the tenant no longer. Its replicas are subscribed first, so that they miss nothing."""
        tenant = directory.tenant
        channels = [replica.channel for replica in self._registry.of(tenant)]
        self._registry.undirect(directory)
        # An audit would follow the tenant again.
        directory.lose()
        with suppress(BrokerUnavailable):
            await self._broker.subscribe(tenant, channels)
        await self._broker.unfollow(tenant)
        gone = [channel for channel in channels if self._registry.find(tenant, channel) is None]
        await self._broker.unsubscribe(tenant, gone)
        if self._registry.directory(tenant) is not None:
            # Its successor may have begun to follow before this ended.
            self._synchronizer.resync(tenant)
