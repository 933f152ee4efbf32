"""The SQL of the embedded broker, read from schema.sql, statements.sql and the upgrades."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Final, Protocol

_NAME: Final = "-- name: "
"""What stands before a statement's name."""


def _read(file: str) -> str:
    return files("statushub.hub.brokers.sqlite").joinpath(file).read_text(encoding="utf-8")


def statements(text: str) -> dict[str, str]:
    """The statements of a file by their names."""
    named = (part.partition("\n") for part in f"\n{text}".split(f"\n{_NAME}")[1:])
    # What follows the semicolon is the comment of the next statement.
    return {name.strip(): body.partition(";")[0].strip() for name, _, body in named}


SCHEMA: Final = tuple(_read("schema.sql").split(";\n"))
"""The statements that create the tables of a new file."""


def _from(*versions: int) -> tuple[str, ...]:
    return tuple(it for version in versions for it in _read(f"upgrade_{version}.sql").split(";\n"))


UPGRADES: Final[Mapping[int, tuple[str, ...]]] = {
    1: (*SCHEMA, *_read("upgrade_1.sql").split(";\n")),
    2: _from(2, 3, 4),
    3: _from(3, 4),
    4: _from(4),
}
"""The statements that bring an older layout to this one, by its version."""

STATEMENTS: Final[Mapping[str, str]] = statements(_read("statements.sql"))
"""The statements by name."""

Value = str | bytes | int | float | None

Values = Sequence[Value] | Mapping[str, Value]
"""What a statement is executed with, by place or by name."""


class Execute(Protocol):
    """Executes a statement of statements.sql."""

    def __call__(self, name: str, values: Values = ()) -> sqlite3.Cursor: ...
