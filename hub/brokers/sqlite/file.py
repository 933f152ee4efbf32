"""Opens the embedded broker's file: checks that it is ours, locks it, and creates the tables in a new one, or
takes over those of an older layout."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from statushub.hub.brokers.sqlite.sql import SCHEMA, UPGRADES
from statushub.hub.model.errors import BrokerInUse, ConfigError, StatushubError

SCHEMA_VERSION: Final = 4
"""Of schema.sql, kept in the file's `user_version`."""

APPLICATION_ID: Final = 0x53544855
"""Marks the file as ours ("STHU"), so that another program's database is not written to."""

LOCK_SECONDS: Final = 1.0
"""How long to wait for the file's lock: a predecessor that is just ending releases it within that."""


def open_file(path: Path | None) -> sqlite3.Connection:
    """Open the database at `path`, or one in memory for None, in autocommit mode.

    Raises `BrokerInUse` where another process holds the file, `ConfigError` where it cannot be used.
    """
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"the folder of {path} does not exist", field="broker")
    if path is not None:
        # For its owner only; SQLite gives the -wal and -shm files the same mode. What cannot be made, it explains.
        with suppress(OSError):
            path.touch(0o600, exist_ok=False)
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=LOCK_SECONDS)
        _prepare(connection, path)
    except (sqlite3.Error, ConfigError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error):
            raise _refusal(path, error) from error
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN EXCLUSIVE")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if not empty and mark != APPLICATION_ID:
        raise ConfigError(f"{path} is another program's database", field="broker")
    if version > SCHEMA_VERSION:
        raise ConfigError(f"{path} was written by a newer version of Statushub", field="broker")
    if empty or version < SCHEMA_VERSION:
        for statement in SCHEMA if empty else UPGRADES[version]:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _refusal(path: Path | None, error: sqlite3.Error) -> StatushubError:
    # Extended codes say more in their higher bytes (sqlite.org/rescode.html).
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
        return BrokerInUse(f"{path} is in use by another process; only one hub at a time can use it", field="broker")
    return ConfigError(f"{path} cannot be used as the broker's file: {error}", field="broker")
