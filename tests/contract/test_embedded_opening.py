"""Opening the embedded broker's file: its lock, and files that are refused."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from statushub.hub.brokers.sqlite.broker import EmbeddedBroker
from statushub.hub.brokers.sqlite.file import SCHEMA_VERSION
from statushub.hub.brokers.sqlite.mark import SUFFIX
from statushub.hub.model.errors import BrokerInUse, ConfigError
from tests.support.publications import accepted, update

pytestmark = pytest.mark.anyio

TENANT = "acme"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


def alter(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement)
        connection.commit()


async def refused(file: Path) -> str:
    """The error message for a file that cannot be used."""
    with pytest.raises(ConfigError) as raised:
        await EmbeddedBroker(file).__aenter__()
    assert raised.value.field == "broker"
    assert str(file) in raised.value.message
    return raised.value.message


async def test_a_second_hub_is_refused(file: Path) -> None:
    """A second hub gets an error that names the file, and can open it afterwards."""
    async with EmbeddedBroker(file) as broker:
        with pytest.raises(BrokerInUse, match=r"hub\.db is in use by another process"):
            await EmbeddedBroker(file).__aenter__()
        await accepted(broker, TENANT, update("a"))
    async with EmbeddedBroker(file) as broker:
        assert (await broker.lookup(TENANT, ["a"])).events != [None]


async def test_only_the_owner_can_read_a_new_file(file: Path) -> None:
    """The file and what SQLite writes beside it have mode 0600, whatever the umask; an older file keeps its mode."""
    before = os.umask(0)
    try:
        async with EmbeddedBroker(file) as broker:
            await accepted(broker, TENANT, update("a"))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
        assert modes.keys() >= {"hub.db", "hub.db-wal"}
        assert set(modes.values()) == {0o600}
        file.chmod(0o640)
        async with EmbeddedBroker(file) as broker:
            await accepted(broker, TENANT, update("b"))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
        assert modes.pop(f"{file.name}{SUFFIX}") == 0o600
        assert set(modes.values()) == {0o640}
    finally:
        os.umask(before)


async def test_a_second_process_is_refused(file: Path) -> None:
    """The same across processes, until the first one has ended, even by SIGKILL."""
    command = [sys.executable, "-m", "tests.support.acknowledge", f"sqlite:///{file}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        with pytest.raises(BrokerInUse):
            await EmbeddedBroker(file).__aenter__()
        owner.kill()
        owner.wait()
    async with EmbeddedBroker(file) as broker:
        await broker.ping()


async def test_a_cancelled_opening_releases_the_file(file: Path) -> None:
    """An opening that was cancelled while it waited does not take the lock later."""
    async with EmbeddedBroker(file):
        opening = asyncio.create_task(EmbeddedBroker(file).__aenter__())
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    async with EmbeddedBroker(file) as broker:
        await broker.ping()


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """The folder is not created."""
    assert "folder" in await refused(tmp_path / "nowhere" / "hub.db")
    assert not (tmp_path / "nowhere").exists()


async def test_a_folder_is_refused(tmp_path: Path) -> None:
    """The error names a path that is a folder."""
    await refused(tmp_path)


async def test_a_file_that_is_no_database_is_not_changed(file: Path) -> None:
    """A text file is refused and not overwritten."""
    file.write_text("Dear diary, " * 1_000)
    assert "not a database" in await refused(file)
    assert file.read_text().startswith("Dear diary")


async def test_another_programs_database_is_not_changed(file: Path) -> None:
    """A database without our mark gets no tables."""
    alter(file, "CREATE TABLE recipes (name TEXT)")
    assert "another program" in await refused(file)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("recipes",)]


async def test_a_newer_layout_is_refused(file: Path) -> None:
    """A file with a higher schema version is refused."""
    async with EmbeddedBroker(file):
        pass
    alter(file, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert "newer" in await refused(file)


async def test_a_damaged_file_is_refused(file: Path) -> None:
    """A file whose first pages are overwritten is reported when it is opened."""
    async with EmbeddedBroker(file) as broker:
        await broker.publish(TENANT, [update(f"c{n}") for n in range(500)])
    content = file.read_bytes()
    file.write_bytes(content[:100] + b"\xa5" * 8_000 + content[8_100:])
    await refused(file)
