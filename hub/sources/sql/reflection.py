"""The table of the record as it was reflected last; read again now and then, since teams migrate it."""

from __future__ import annotations

import time
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from statushub.hub.model.record_names import RecordNames
from statushub.hub.sources.sql.table import RecordTable

REFLECTED_SECONDS: Final = 60.0
"""After which the table's columns are read again: a migration is seen without a restart."""


class Reflection:
    """The table of a database."""

    def __init__(self, names: RecordNames) -> None:
        self._names = names
        self._table: RecordTable | None = None
        self._reflected_at = 0.0

    async def table(self, connection: AsyncConnection) -> RecordTable:
        """The table. Raises `SourceUnavailable` as `RecordTable.reflect`."""
        now = time.monotonic()
        if self._table is None or now - self._reflected_at > REFLECTED_SECONDS:
            self._table = await connection.run_sync(lambda it: RecordTable.reflect(it, self._names))
            self._reflected_at = now
        return self._table

    def forget(self) -> None:
        """Read it again next time: what failed may have been for a column that is no longer there."""
        self._table = None
