"""The connections to a database, on which each piece of work has a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from statushub.hub.model.redaction import censored
from statushub.hub.sources.contract import SourceUnavailable
from statushub.hub.sources.sql.address import file_of, where_of

DEADLINE_SECONDS: Final = 2.0
"""For the database to answer: polls wait for it, and are answered without it after that."""

CONNECTIONS: Final = 8
"""Of one process. Reads of one kind wait for each other, so there are seldom more at a time."""

RECYCLE_SECONDS: Final = 600
"""After which a connection is not used again: below the idle times after which firewalls and servers drop them."""

T = TypeVar("T")

Work = Callable[[AsyncConnection], Awaitable[T]]


class Database:
    """A database. Connections are opened when they are needed."""

    def __init__(self, address: URL, deadline: float = DEADLINE_SECONDS) -> None:
        """`deadline` is in seconds."""
        self.where = where_of(address)
        self._deadline = deadline
        self._file = file_of(address)
        pool: dict[str, Any] = {"pool_size": CONNECTIONS, "max_overflow": 0, "pool_timeout": deadline}
        self._engine: AsyncEngine = create_async_engine(
            address, pool_recycle=RECYCLE_SECONDS, hide_parameters=True, **pool
        )

    async def aclose(self) -> None:
        """Close the connections."""
        # A server that is away cannot be told.
        with suppress(SQLAlchemyError, OSError, TimeoutError):
            async with asyncio.timeout(self._deadline):
                await self._engine.dispose()

    async def run(self, work: Work[T]) -> T:
        """What `work` returns, in one transaction. It is repeated once where its connection was lost: the server may
        have restarted since it was last used.

        Raises `SourceUnavailable`.
        """
        # Not left to the driver, whose thread may outlive the event loop after a failure.
        if self._file is not None and not self._file.is_file():
            raise SourceUnavailable(f"{self.where}: there is no such file")
        try:
            async with asyncio.timeout(self._deadline):
                try:
                    return await self._once(work)
                except DBAPIError as error:
                    if not error.connection_invalidated:
                        raise
                return await self._once(work)
        except (TimeoutError, PoolTimeout) as error:
            raise SourceUnavailable(f"{self.where} does not answer within {self._deadline:g} s") from error
        except (SQLAlchemyError, OSError) as error:
            raise SourceUnavailable(f"{self.where}: {_reason(error)}") from error

    async def _once(self, work: Work[T]) -> T:
        async with self._engine.begin() as connection:
            return await work(connection)


def _reason(error: Exception) -> str:
    """What went wrong, in one line without secrets."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = str(cause).strip().splitlines()
    return censored(lines[0] if lines else type(cause).__name__)
