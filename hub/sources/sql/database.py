"""The connections to a database, on which each piece of work has a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError
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

BUSY_MILLISECONDS: Final = 20_000
"""How long a writer of a file of the hub's own waits for others: many do so, and none is told when it is its turn."""

REFUSING_STATES: Final = ("22", "23", "44", "P0")
"""The classes of SQLSTATE that say that a value is refused: by its type, a constraint, a view or a trigger."""

REFUSING_NUMBERS: Final = (1644, 3819, 4025)
"""The same of MySQL and MariaDB: a trigger's SIGNAL, and their constraints, which their drivers call operational."""

CONNECT: Final[Mapping[str, dict[str, Any]]] = {
    # Their columns of type TIMESTAMP are given in the zone of the session, and times without one are read as UTC. A
    # row that is locked for longer than a second, the least that they take, is tried again later.
    name: {"init_command": "SET time_zone = '+00:00', innodb_lock_wait_timeout = 1"}
    for name in ("mysql", "mariadb")
}
"""What a connection to each database begins with."""

LOCKED_STATES: Final = ("55P03", "40P01")
LOCKED_NUMBERS: Final = (1205, 1213)
"""Of PostgreSQL, and of MySQL and MariaDB: a lock was waited for too long, or in a circle."""

T = TypeVar("T")

Work = Callable[[AsyncConnection], Awaitable[T]]


class Refused(SourceUnavailable):
    """Raised when the database takes the statement, and refuses its values: another try would be refused, too."""


class Locked(SourceUnavailable):
    """Raised when another transaction has locked what the statement writes."""


class Database:
    """A database. Connections are opened when they are needed."""

    losses: int
    """How many times a connection was found lost."""

    def __init__(self, address: URL, deadline: float = DEADLINE_SECONDS, *, create: bool = False) -> None:
        """`deadline` is in seconds. With `create` a file of SQLite is the hub's own, and made where it is missing."""
        self.losses = 0
        self.where = where_of(address)
        self._deadline = deadline
        self._file = file_of(address)
        self._create = create
        pool: dict[str, Any] = {"pool_size": CONNECTIONS, "max_overflow": 0, "pool_timeout": deadline}
        self._engine: AsyncEngine = create_async_engine(
            address,
            pool_recycle=RECYCLE_SECONDS,
            hide_parameters=True,
            connect_args=CONNECT.get(address.get_backend_name(), {}),
            **pool,
        )
        if create and self._file is not None:
            event.listen(self._engine.sync_engine, "connect", _own_file)

    async def aclose(self) -> None:
        """Close the connections."""
        # A server that is away cannot be told.
        with suppress(SQLAlchemyError, OSError, TimeoutError):
            async with asyncio.timeout(self._deadline):
                await self._engine.dispose()

    async def run(self, work: Work[T]) -> T:
        """What `work` returns, in one transaction. It is repeated once where its connection was lost: the server may
        have restarted since it was last used.

        Raises `SourceUnavailable`: `Refused` where that is for the values, `Locked` where it is for a lock.
        """
        # Not left to the driver, whose thread may outlive the event loop after a failure.
        if self._file is not None and not self._file.is_file():
            self._missing(self._file)
        try:
            async with asyncio.timeout(self._deadline):
                try:
                    return await self._once(work)
                except DBAPIError as error:
                    if not error.connection_invalidated:
                        raise
                    self.losses += 1
                return await self._once(work)
        except (TimeoutError, PoolTimeout) as error:
            raise SourceUnavailable(f"{self.where} does not answer within {self._deadline:g} s") from error
        except (SQLAlchemyError, OSError) as error:
            kind = Locked if _is_locked(error) else Refused if _refuses(error) else SourceUnavailable
            raise kind(f"{self.where}: {_reason(error)}") from error

    def _missing(self, file: Path) -> None:
        if not self._create:
            raise SourceUnavailable(f"{self.where}: there is no such file")
        try:
            file.touch()
        except OSError as error:
            raise SourceUnavailable(f"{self.where}: {error.strerror}") from error

    async def _once(self, work: Work[T]) -> T:
        async with self._engine.begin() as connection:
            return await work(connection)


def _own_file(connection: Any, _record: object) -> None:
    """Let readers and a writer of the file not wait for each other, and a transaction not wait for the disk: after a
    loss of power the last ones may be missing, and the file is whole."""
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", f"busy_timeout = {BUSY_MILLISECONDS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _is_locked(error: Exception) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else None
    number = next(iter(getattr(cause, "args", ())), None)
    return getattr(cause, "sqlstate", None) in LOCKED_STATES or number in LOCKED_NUMBERS


def _refuses(error: Exception) -> bool:
    if not isinstance(error, DBAPIError):
        return isinstance(error, StatementError)
    if isinstance(error, IntegrityError | DataError):
        return True
    cause = error.orig
    state, number = getattr(cause, "sqlstate", None), next(iter(getattr(cause, "args", ())), None)
    return (
        (isinstance(state, str) and state[:2] in REFUSING_STATES)
        or number in REFUSING_NUMBERS
        # PostgreSQL's driver does not even send it.
        or isinstance(getattr(cause, "__cause__", None), ValueError)
    )


def _reason(error: Exception) -> str:
    """What went wrong, in one line without secrets."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = str(cause).strip().splitlines()
    return censored(lines[0] if lines else type(cause).__name__)
