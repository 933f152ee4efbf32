"""The sync of Instagram, put together: for the hub's routes, and for the processes that do the work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self

import anyio

from statushub.hub.brokers.contract import Broker
from statushub.hub.config import Config
from statushub.hub.instagram_settings import NO_TIME
from statushub.hub.model.errors import ConfigError, Invalid
from statushub.hub.settings import SETTINGS
from statushub.hub.sources.contract import SourceUnavailable
from statushub.hub.sources.sql.address import parse_address
from statushub.hub.sources.sql.database import Database
from statushub.producers.instagram.database import Tables
from statushub.producers.instagram.executions import ExecutionStore
from statushub.producers.instagram.graph import Graph
from statushub.producers.instagram.history import History
from statushub.producers.instagram.pool import MOST
from statushub.producers.instagram.starting import Starter
from statushub.producers.instagram.store import AccountStore, ResultStore
from statushub.producers.instagram.sync import RETRY, Sync, sync_job
from statushub.producers.instagram.timing import Timing as GraphTiming
from statushub.producers.jobs.definition import Job
from statushub.producers.jobs.retry import Retry
from statushub.producers.jobs.store import Store
from statushub.producers.jobs.timing import Timing
from statushub.producers.jobs.worker import Worker

DATABASE: Final = "instagram_database"

DEADLINE_SECONDS: Final = 30.0
"""For a transaction: only the sync waits for one, and each writes some hundred rows."""


class InstagramSync:
    """The sync of one database and one tenant. An async context manager, which opens no connection before it is
    asked."""

    def __init__(
        self,
        settings: Config,
        *,
        timing: Timing = Timing(),
        graph_timing: GraphTiming = GraphTiming(),
        retry: Retry = RETRY,
    ) -> None:
        """Raises `ConfigError` for settings of which none can be made, and `MissingExtra`."""
        if not settings.instagram_database:
            raise ConfigError(f"{SETTINGS[DATABASE].label} is missing: the database of the sync", field=DATABASE)
        address = parse_address(settings.instagram_database, DATABASE)
        self.tenant = settings.instagram_tenant
        self.months = settings.instagram_months
        self._timing = timing
        self._tables = Tables(Database(address, DEADLINE_SECONDS, create=True), SourceUnavailable)
        self._graph = Graph(settings.instagram_graph, settings.instagram_version, timing=graph_timing)
        self.accounts = AccountStore(self._tables)
        self.results = ResultStore(self._tables)
        self.executions = ExecutionStore(self._tables)
        self.job = self._job(settings, retry)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._graph.__aexit__(kind, error, trace)
        await self._tables.aclose()

    def starter(self, broker: Broker) -> Starter:
        """What starts executions."""
        return Starter(broker, self.executions, self.tenant)

    def worker(self, store: Store, *, exclusive: bool) -> Worker:
        """What runs executions; `exclusive` is as for `Worker`."""
        return Worker(store, [self.job], tenants=(self.tenant,), exclusive=exclusive, slots=MOST, timing=self._timing)

    def history(self, store: Store) -> History:
        """What keeps them in the database."""
        return History(store, self.executions, self.tenant, months=self.months, unavailable=SourceUnavailable)

    @asynccontextmanager
    async def running(self, store: Store, *, works: bool, exclusive: bool) -> AsyncIterator[None]:
        """Keeps executions in the database for the time of the block, and where this process `works`, runs them."""
        worker = self.worker(store, exclusive=exclusive)
        async with anyio.create_task_group() as keeping:
            keeping.start_soon(self.history(store).run)
            async with anyio.create_task_group() as working:
                if works:
                    working.start_soon(worker.run)
                try:
                    yield
                finally:
                    worker.stop()
            keeping.cancel_scope.cancel()

    def _job(self, settings: Config, retry: Retry) -> Job:
        sync = Sync(self._graph, self.accounts, self.results, self.executions, months=self.months)
        time = settings.instagram_time
        hour, _, minute = time.partition(":")
        schedule = None if time == NO_TIME else f"{int(minute)} {int(hour)} * * *"
        try:
            return sync_job(sync, schedule=schedule, timezone=settings.instagram_timezone, retry=retry)
        except Invalid as error:
            raise ConfigError(error.message, field="instagram_timezone") from error
