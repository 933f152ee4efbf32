"""The address of a database, as SQLAlchemy reads it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from statushub.extras import required
from statushub.hub.model.errors import ConfigError

FIELD: Final = "source"
"""The setting that names the record."""

DRIVERS: Final = {
    "postgresql": "asyncpg",
    "postgres": "asyncpg",
    "mysql": "asyncmy",
    "mariadb": "asyncmy",
    "sqlite": "aiosqlite",
}
"""The driver of each database."""

DIALECTS: Final = {"postgres": "postgresql"}
"""What SQLAlchemy calls a database that is otherwise known by another name, too."""

FORMS: Final = "postgresql://USER:PASSWORD@HOST/DATABASE, mysql://…, mariadb://… or sqlite:///FILE"


def parse_address(url: str, field: str = FIELD) -> URL:
    """The address with its driver. Raises `ConfigError`, which names the setting `field`, where it is malformed, or
    names another driver, and `MissingExtra` where its driver is not installed."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigError(f"{field} is not the address of a database: {FORMS}", field=field) from error
    name, _, driver = parsed.drivername.partition("+")
    expected = DRIVERS.get(name)
    if expected is None or driver not in ("", expected):
        forms = f"{name}+{expected}://" if expected else FORMS
        raise ConfigError(f"{field} begins with {parsed.drivername}://, which is not supported: {forms}", field=field)
    if not parsed.database:
        raise ConfigError(f"{field} names no database: it is the last part of the address", field=field)
    if expected != "aiosqlite" and not parsed.host and "host" not in parsed.query:
        raise ConfigError(f"{field} names no host: {FORMS}", field=field)
    with required(f"the {field.replace('_', ' ')}"):
        importlib.import_module(expected)
    parsed = parsed.set(drivername=f"{DIALECTS.get(name, name)}+{expected}")
    return _existing(parsed) if expected == "aiosqlite" else parsed


def where_of(address: URL) -> str:
    """The address without its user and its options."""
    database = address.database or ""
    if address.get_backend_name() == "sqlite":
        database = database.removeprefix("file:")
    return URL.create(
        address.drivername.partition("+")[0], host=address.host, port=address.port, database=database
    ).render_as_string()


def file_of(address: URL) -> Path | None:
    """The file of an SQLite database; None where a server has it."""
    if address.get_backend_name() != "sqlite":
        return None
    return Path(unquote((address.database or "").removeprefix("file:")))


def _existing(address: URL) -> URL:
    """The address of a file, which is not created where it is missing."""
    return address.set(database=f"file:{quote(address.database or '')}", query={"mode": "rw", "uri": "true"})
