"""Opens a file of the hub's own, the embedded broker's or that of feeds: checks that it is ours, locks it, and creates
the tables in a new one, or takes over those of an older layout."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from statushub.hub.brokers.sqlite.sql import SCHEMA, UPGRADES
from statushub.hub.model.errors import BrokerInUse, ConfigError, StatushubError

SCHEMA_VERSION: Final = 5
"""Of schema.sql, kept in the file's `user_version`."""

LOCK_SECONDS: Final = 1.0
"""How long to wait for the file's lock: a predecessor that is just ending releases it within that."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What a file of ours holds."""

    application_id: int
    """Marks the file as ours, so that another program's database is not written to."""
    version: int
    """Of the schema, kept in the file's `user_version`."""
    schema: Sequence[str]
    upgrades: Mapping[int, Sequence[str]] = {}
    """What makes this version of an older one."""
    name: str
    """What errors call the file."""
    setting: str
    """The setting that names it."""


BROKER: Final = Layout(
    application_id=0x53544855,  # "STHU"
    version=SCHEMA_VERSION,
    schema=SCHEMA,
    upgrades=UPGRADES,
    name="the broker's file",
    setting="broker",
)


def open_file(path: Path | None, layout: Layout = BROKER) -> sqlite3.Connection:
    """Open the database at `path`, or one in memory for None, in autocommit mode.

    Raises `BrokerInUse` where another process holds the file, `ConfigError` where it cannot be used.
    """
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"the folder of {path} does not exist", field=layout.setting)
    if path is not None:
        # For its owner only; SQLite gives the -wal and -shm files the same mode. What cannot be made, it explains.
        with suppress(OSError):
            path.touch(0o600, exist_ok=False)
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=LOCK_SECONDS)
        _prepare(connection, path, layout)
    except (sqlite3.Error, ConfigError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error):
            raise _refusal(path, layout, error) from error
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path | None, layout: Layout) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN EXCLUSIVE")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if not empty and mark != layout.application_id:
        raise ConfigError(f"{path} is another program's database", field=layout.setting)
    if version > layout.version:
        raise ConfigError(f"{path} was written by a newer version of Statushub", field=layout.setting)
    if empty or version < layout.version:
        for statement in layout.schema if empty else layout.upgrades[version]:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {layout.application_id}")
        connection.execute(f"PRAGMA user_version = {layout.version}")
    connection.execute("COMMIT")


def _refusal(path: Path | None, layout: Layout, error: sqlite3.Error) -> StatushubError:
    # Extended codes say more in their higher bytes (sqlite.org/rescode.html).
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
        message = f"{path} is in use by another process; only one hub at a time can use it"
        return BrokerInUse(message, field=layout.setting)
    return ConfigError(f"{path} cannot be used as {layout.name}: {error}", field=layout.setting)
