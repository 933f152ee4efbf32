"""The processes: hubs, the broker they share, and the proxies between all of them, on free loopback ports."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from statushub.hub.brokers.redis.broker import RedisBroker
from statushub.hub.brokers.sqlite.growth import GrowthRows
from statushub.hub.brokers.sqlite.journal import Journal
from statushub.hub.brokers.sqlite.sql import STATEMENTS, Values
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.event import Event
from statushub.hub.model.names import DEFAULT_TENANT
from tests.faults.clock import Clock
from tests.faults.history import State, Stored
from tests.faults.load import CHANNELS
from tests.faults.process import ASK_SECONDS, LOG_LINES, FaultyHub, started
from tests.faults.resp import Dropper
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer

SYNCED: Final = "master_link_status:up"
"""The line of a replica that is in sync."""

REPLICA_SECONDS: Final = 60.0
"""The time limit for a replica to be in sync."""

_CONTENTS: Final = f"""
SELECT channel, content_id, offset, type, data, grown IS NOT NULL FROM contents
WHERE channel IN ({", ".join(f"'{channel}'" for channel in CHANNELS)}) ORDER BY offset
"""


class World(ABC):
    """Hubs on one broker, each behind a proxy. An async context manager; subclasses provide the broker."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder = folder
        self.rng = rng
        self.clock = Clock(folder)
        self.hubs: list[FaultyHub] = []
        self.fronts: list[Proxy] = []
        self.brokers: list[Proxy] = []
        self.droppers: list[Dropper] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def proxies(self) -> list[Proxy]:
        """All proxies that can cut connections."""
        return [*self.fronts, *self.brokers]

    @property
    def publish_to(self) -> str | None:
        """The URL of Redis for producers that publish straight into it."""
        return None

    @abstractmethod
    async def stored(self) -> Stored:
        """The state in the broker, read without a hub."""

    def logs(self) -> str:
        """The last lines of every hub's log."""
        tails = []
        for hub in self.hubs:
            if hub.log.exists():
                lines = hub.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
                tails += [f"  {hub.name}: {line}" for line in lines]
        return "\n".join(tails)

    @abstractmethod
    async def _open(self, stack: AsyncExitStack) -> None:
        """Start all processes."""

    async def _add_hub(self, stack: AsyncExitStack, broker: str) -> None:
        hub = FaultyHub(f"hub-{len(self.hubs)}", broker, self.folder, self.clock)
        stack.callback(hub.kill)
        await started(hub)
        self.hubs.append(hub)
        self.fronts.append(await stack.enter_async_context(Proxy(hub.address, self.rng)))


class RedisWorld(World):
    """Two hubs, each behind a proxy of its own to one Redis; with `replicated`, Redis has a replica and no file."""

    def __init__(self, folder: Path, rng: random.Random, *, replicated: bool = False) -> None:
        super().__init__(folder, rng)
        self.replicated = replicated
        self.redis = self._server("redis-a")
        self.replica = self._server("redis-b") if replicated else None

    @property
    def durable(self) -> bool:
        """Whether Redis restarts with the data that it acknowledged."""
        return self.redis.appendonly

    @property
    def publish_to(self) -> str | None:
        return f"redis://127.0.0.1:{self.brokers[-1].port}/0"

    async def stored(self) -> Stored:
        while True:
            with suppress(BrokerUnavailable):
                async with RedisBroker(self.redis.url) as broker:
                    snapshots = [await broker.changes(DEFAULT_TENANT, channel) for channel in CHANNELS]
                epoch = snapshots[0].cursor.epoch
                events = [event for snapshot in snapshots for event in snapshot.events if not event.removed]
                return Stored(epoch=epoch, states={event.content_id: State.of(epoch, event) for event in events})
            await asyncio.sleep(ASK_SECONDS)

    async def replicate(self) -> None:
        """Make the second server a replica of the first, with all of its data."""
        if self.replica is None:
            return
        if self.replica.process is None:
            await started(self.replica)
        await asyncio.to_thread(self.replica.command, "REPLICAOF", "127.0.0.1", str(self.redis.port))
        async with asyncio.timeout(REPLICA_SECONDS):
            while SYNCED not in await asyncio.to_thread(self.replica.command, "INFO", "replication"):
                await asyncio.sleep(ASK_SECONDS)

    async def replicated_at(self) -> float:
        """The time before which everything has reached the replica."""
        moment = time.monotonic()
        # Replication is in order, so that this write arrives after all earlier ones.
        pipe = subprocess.PIPE
        process = await asyncio.create_subprocess_exec("redis-cli", "-p", str(self.redis.port), stdin=pipe, stdout=pipe)
        answer, _ = await process.communicate(b"SET mark 1\nWAIT 1 5000\n")
        if answer.split()[-1] != b"1":
            raise RuntimeError(f"the replica does not follow: {answer!r}")
        return moment

    def take_over(self) -> None:
        """Make the replica the server to which all proxies lead."""
        if self.replica is not None:
            self.redis, self.replica = self.replica, self.redis
        for proxy in self.brokers:
            proxy.target = ("127.0.0.1", self.redis.port)

    async def _open(self, stack: AsyncExitStack) -> None:
        for server in (self.redis, self.replica):
            if server is not None:
                stack.callback(server.kill)
        await started(self.redis)
        await self.replicate()
        target = ("127.0.0.1", self.redis.port)
        for _ in range(2):
            dropper = Dropper(self.rng)
            self.droppers.append(dropper)
            proxy = await stack.enter_async_context(Proxy(target, self.rng, dropper))
            self.brokers.append(proxy)
            await self._add_hub(stack, f"redis://127.0.0.1:{proxy.port}/0")
        self.brokers.append(await stack.enter_async_context(Proxy(target, self.rng)))

    def _server(self, name: str) -> RedisServer:
        folder = self.folder / name
        folder.mkdir()
        arguments = ("--repl-diskless-sync-delay", "0")
        return RedisServer(
            folder, appendonly=not self.replicated, arguments=arguments, environment=self.clock.environment
        )


class EmbeddedWorld(World):
    """One hub with a file."""

    @property
    def file(self) -> Path:
        return self.folder / "statushub.db"

    async def stored(self) -> Stored:
        """The state in a copy of the file, since the hub holds the file's lock."""
        seen: Sequence[object] = ()
        while True:
            epoch, rows = await asyncio.to_thread(self._copied)
            # If the hub wrote between the copies of its file and of its log, the next copies differ.
            if seen == rows:
                events = [Event(channel=c, content_id=i, offset=o, type=t, data=d) for c, i, o, t, d in rows]
                return Stored(epoch=epoch, states={event.content_id: State.of(epoch, event) for event in events})
            seen = rows
            await asyncio.sleep(ASK_SECONDS)

    def save_copy(self) -> None:
        """Copy the file and its log, while no hub runs."""
        for path in self.folder.glob(f"saved-{self.file.name}*"):
            # A log of another moment would be played into the database.
            path.unlink()
        for path in self.folder.glob(f"{self.file.name}*"):
            shutil.copyfile(path, path.with_name(f"saved-{path.name}"))

    def restore_copy(self) -> None:
        """Put the copy back, while no hub runs."""
        for path in self.folder.glob(f"{self.file.name}*"):
            path.unlink()
        for path in self.folder.glob(f"saved-{self.file.name}*"):
            shutil.copyfile(path, path.with_name(path.name.removeprefix("saved-")))

    async def _open(self, stack: AsyncExitStack) -> None:
        await self._add_hub(stack, f"sqlite:///{self.file}")

    def _copied(self) -> tuple[str, list[tuple[str, str, int, str, bytes]]]:
        copy = self.folder / "copy.db"
        for suffix in ("", "-wal"):
            there = self.file.with_name(self.file.name + suffix)
            if there.exists():
                shutil.copyfile(there, copy.with_name(copy.name + suffix))
        with closing(sqlite3.connect(copy)) as connection:

            def execute(name: str, values: Values = ()) -> sqlite3.Cursor:
                return connection.execute(STATEMENTS[name], values)

            journal, growth = Journal(execute), GrowthRows(execute)
            journal.recover()
            journal.fold()
            rows = [
                (channel, content_id, offset, type, growth.state(DEFAULT_TENANT, content_id, data) if grown else data)
                for channel, content_id, offset, type, data, grown in connection.execute(_CONTENTS)
            ]
            clocks = connection.execute("SELECT epoch FROM clocks WHERE tenant = ?", (DEFAULT_TENANT,)).fetchall()
        for path in self.folder.glob("copy.db*"):
            path.unlink()
        return clocks[0][0] if clocks else "none", rows
