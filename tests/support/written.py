"""A table whose every update is noted by the database itself."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any, Final

from sqlalchemy import Table
from sqlalchemy.engine import make_url

from tests.support.record import TeamDatabase, contents_table, row

_numbers = itertools.count()

_TRIGGERS: Final = {
    "sqlite": ("CREATE TRIGGER {log} AFTER UPDATE ON {table} BEGIN INSERT INTO {log} VALUES (NEW.id); END;\n"),
    "postgresql": (
        "CREATE FUNCTION {log}_note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO {log} VALUES (NEW.id); RETURN NEW; END $$;\n"
        "CREATE TRIGGER {log} AFTER UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {log}_note();\n"
    ),
    "mariadb": ("CREATE TRIGGER {log} AFTER UPDATE ON {table} FOR EACH ROW INSERT INTO {log} VALUES (NEW.id);\n"),
}


class WrittenTable:
    """A table of contents with rows, of which a trigger notes each update."""

    def __init__(self, database: TeamDatabase, *content_ids: str, table: Table | None = None) -> None:
        """Make it, in a database that may have others, with rows of the channel `c`."""
        self.database = database
        self.table = contents_table(f"written_{next(_numbers)}") if table is None else table
        self.name = self.table.name
        self._log = f"{self.name}_log"
        database.create(self.table, [row(each) for each in content_ids])
        kind = make_url(database.url).get_backend_name()
        database.execute(f"CREATE TABLE {self._log} (id VARCHAR(128));\n")
        database.execute(_TRIGGERS[kind].format(log=self._log, table=self.name))

    def row(self, content_id: str) -> dict[str, Any]:
        """A row as the database has it."""
        [found] = self.database.query(f"SELECT * FROM {self.name} WHERE id = '{content_id}'")
        return found

    def statuses(self) -> dict[str, str | None]:
        """The status of each row."""
        return {it["id"]: it["status"] for it in self.database.query(f"SELECT id, status FROM {self.name}")}

    def writes(self) -> Counter[str]:
        """How often each row was updated."""
        return Counter(it["id"] for it in self.database.query(f"SELECT id FROM {self._log}"))
