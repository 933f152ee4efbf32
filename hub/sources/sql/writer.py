"""Writes states into the rows of a database.

Rows are locked while they are compared with the states, and are changed where they are still as they were compared. So
of two hubs that write the same, one does; the other one finds the row as it is to be.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from cachetools import LRUCache
from sqlalchemy import Update as UpdateStatement
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from statushub.hub.model.record_names import RecordNames
from statushub.hub.sources.contract import SourceUnavailable
from statushub.hub.sources.sql.database import Database, Locked, Refused
from statushub.hub.sources.sql.reflection import Reflection
from statushub.hub.sources.sql.table import TENANT, RecordTable, parameters
from statushub.hub.sources.sql.update import COMPARED, WORDS, update_of, utc_now
from statushub.hub.sources.states import Outcome, RecordWriter, State

READ: Final = ("id", "channel_id", "updated_at", *COMPARED)
"""The columns that are read of a row before it is written."""

TRIES: Final = 5
"""How often rows are compared anew that others change meanwhile, before they wait for the next try."""

LOCKED_ROWS: Final = 5
"""Most locked rows of a batch: each is waited for. Where there are more, the table may be locked."""

LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout = '250ms'"
"""For PostgreSQL to wait for a row, far less than for the whole batch."""

OWN_ROWS: Final = 10_000
"""Rows of which is known when this hub changed them: those of the last minutes, in a few MB."""

logger = logging.getLogger(__name__)

Row = Mapping[str, Any]


class SqlWriter:
    """The contents table of a database."""

    def __init__(self, database: Database, names: RecordNames) -> None:
        """`database` is closed with this."""
        self.where = database.where
        self.tenants: Sequence[str] | None = None if names.tenant_column else names.tenants
        self._database = database
        self._names = names
        self._reflection = Reflection(names)
        # What `updated_at` was after a row was written: a trigger may have made it later than the state.
        self._own: LRUCache[tuple[str, str], Any] = LRUCache(OWN_ROWS)
        self._warned = False

    @property
    def losses(self) -> int:
        return self._database.losses

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._database.aclose()

    async def ping(self) -> None:
        async def ask(connection: AsyncConnection) -> None:
            await connection.execute(select(1))

        await self._database.run(ask)

    async def write(self, tenant: str, states: Sequence[State]) -> list[Outcome]:
        try:
            return await self._settled(tenant, states)
        except (Refused, Locked) as error:
            if len(states) > 1:
                return await self._each(tenant, states)
            return [Outcome.LOCKED if isinstance(error, Locked) else await self._without(tenant, states[0], error)]
        except SourceUnavailable:
            self._reflection.forget()
            raise

    async def _each(self, tenant: str, states: Sequence[State]) -> list[Outcome]:
        """Write each by itself, so that what the database does not take keeps no other one back."""
        outcomes: list[Outcome] = []
        for state in states:
            if outcomes.count(Outcome.LOCKED) == LOCKED_ROWS:
                raise SourceUnavailable(f"{self.where}: other transactions have locked many rows")
            outcomes += await self.write(tenant, [state])
        return outcomes

    async def _without(self, tenant: str, state: State, error: Refused) -> Outcome:
        """Write the words alone of a state that the database refuses."""
        try:
            [outcome] = await self._settled(tenant, [state], only=(*WORDS, "updated_at"))
        except Refused:
            outcome = Outcome.REFUSED
        if not self._warned:
            self._warned = True
            logger.warning(
                "%s; of content %r %s was written; further ones are not logged",
                error.message,
                state.content_id,
                "nothing" if outcome is Outcome.REFUSED else "only the status",
            )
        return outcome

    async def _settled(self, tenant: str, states: Sequence[State], only: Sequence[str] = ()) -> list[Outcome]:
        for _ in range(TRIES):
            try:
                return await self._database.run(partial(self._written, tenant=tenant, states=states, only=only))
            except _Changed:
                continue
        raise SourceUnavailable(f"{self.where}: rows change again and again while they are written")

    async def _written(
        self, connection: AsyncConnection, tenant: str, states: Sequence[State], only: Sequence[str]
    ) -> list[Outcome]:
        """What became of these states. Raises `_Changed` where a row was changed meanwhile."""
        table = await self._reflection.table(connection)
        if connection.dialect.name == "postgresql":
            await connection.execute(text(LOCK_TIMEOUT))
        rows = await self._rows(connection, table, tenant, [state.content_id for state in states], lock=True)
        outcomes: list[Outcome] = []
        changes: dict[tuple[Collection[str], bool], list[dict[str, Any]]] = {}
        changed: list[str] = []
        for state in states:
            row = rows.get(state.content_id)
            if row is None or str(row["channel_id"]) != state.channel:
                outcomes.append(Outcome.MISSING)
                continue
            key = tenant, state.content_id
            own = key in self._own and self._own[key] == row["updated_at"]
            change = update_of(table, row, state, own=own, now=utc_now())
            if isinstance(change, Outcome):
                outcomes.append(change)
                continue
            values = {name: value for name, value in change.values.items() if not only or name in only}
            group = tuple(values), row["updated_at"] is not None
            changes.setdefault(group, []).append(parameters(row, values))
            changed.append(state.content_id)
            outcomes.append(Outcome.WRITTEN)
        for (names, timed), each in changes.items():
            await self._change(connection, table.change(tenant, names, timed=timed), each)
        if changed:
            after = await self._rows(connection, table, tenant, changed)
            self._own.update({(tenant, id): row["updated_at"] for id, row in after.items()})
        return outcomes

    async def _rows(
        self,
        connection: AsyncConnection,
        table: RecordTable,
        tenant: str,
        content_ids: Sequence[str],
        *,
        lock: bool = False,
    ) -> dict[str, Row]:
        statement = table.found(tenant, content_ids, READ)
        if statement is None:
            return {}
        if lock:
            # In one order, so that hubs do not wait for each other in a circle, and so that rows of other tables may go
            # on to refer to these. SQLite has no locks of rows.
            statement = statement.order_by(table.column("id")).with_for_update(key_share=True)
        found = [dict(row._mapping) for row in await connection.execute(statement)]
        owner = self._names.tenant_value(tenant)
        return {str(row["id"]): row for row in found if str(row.get(TENANT, owner)) == owner}

    async def _change(
        self, connection: AsyncConnection, statement: UpdateStatement | None, each: list[dict[str, Any]]
    ) -> None:
        if statement is not None:
            result = await connection.execute(statement, each)
            if 0 <= result.rowcount < len(each):
                raise _Changed(f"{self.where}: a row was changed meanwhile")


class _Changed(SourceUnavailable):
    """Raised when a row is no longer as it was compared."""


_fits: type[RecordWriter] = SqlWriter
