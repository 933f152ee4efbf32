"""A sync while the process that does it is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import anyio.to_thread
import httpx
import pytest

from statushub.producers.instagram.database import Tables
from tests.support.command import END_SECONDS, environment
from tests.support.graph_server import VERSION, GraphServer, graph_server, make_users
from tests.support.hub_process import HubProcess
from tests.support.instagram import connect, expected, open_tables, stored, without_open_ends
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

PATH: Final = "/api/v1/batch/instagram"

NOW: Final = datetime.now(UTC)

USERS: Final = 8


class Process(Protocol):
    """What does the work; it can be killed and started again."""

    def start(self) -> None: ...

    def kill(self) -> None: ...


class Worker:
    """`statushub worker`, which needs no module for the sync."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._folder = folder
        self._environment = {f"STATUSHUB_{name.upper()}": str(value) for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "worker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "statushub", "worker"],
                env=environment(self._environment),
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """Send SIGTERM; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(END_SECONDS)


@pytest.fixture
def server() -> Iterator[GraphServer]:
    with graph_server(make_users(USERS, posts=12, comments=3, now=NOW), now=NOW) as server:
        yield server


@pytest.mark.parametrize(
    "killed",
    [
        "hub",
        # The job is left alone for a lease of 15 s before another worker takes it over.
        pytest.param("worker", marks=[pytest.mark.redis, pytest.mark.slow]),
    ],
)
async def test_a_sync_goes_on_after_its_process_was_killed(
    server: GraphServer, tmp_path: Path, killed: str, request: pytest.FixtureRequest
) -> None:
    """What is stored in the end is what the server has, and each user counts once."""
    database = f"sqlite:///{tmp_path / 'sync.db'}"
    settings: dict[str, Any] = {
        "broker": f"sqlite:///{tmp_path / 'hub.db'}",
        "instagram": "on",
        "instagram_database": database,
        "instagram_graph": server.url,
        "instagram_version": VERSION,
        "instagram_time": "off",
    }
    async with open_tables(database) as tables:
        await connect(tables, server)
        with ExitStack() as stack:
            if killed == "worker":
                redis: RedisServer = request.getfixturevalue("redis_server")
                settings["broker"] = redis.url
            hub = HubProcess(tmp_path, **settings)
            stack.callback(hub.kill)
            hub.start()
            process: Process = hub
            if killed == "worker":
                process = Worker(tmp_path, **settings)
                stack.callback(process.kill)
                process.start()
            await anyio.to_thread.run_sync(_killed_and_ended, hub, process, server)
            await _compare(tables, server)
            if isinstance(process, Worker):
                assert await anyio.to_thread.run_sync(process.stop) == 0


def _killed_and_ended(hub: HubProcess, process: Process, server: GraphServer) -> None:
    """Kill the process in the middle of the work, start it again, and wait for the end."""
    server.hold_after = 20
    with httpx.Client(base_url=hub.base_url) as client:
        client.post(f"{PATH}/sync/months/1").raise_for_status()
        eventually(lambda: server.comments > 20)
        process.kill()
        server.hold_after = None
        process.start()

        def ended() -> Any:
            execution = client.get(f"{PATH}/status").json()["data"]["execution"]
            return execution if execution["status"] not in ("waiting", "running") else None

        execution = eventually(ended, within=2 * END_SECONDS)
    assert (execution["status"], execution["completed"], execution["failed"]) == ("completed", USERS, 0)
    assert execution["counts"].items() >= {"profile": 8, "media": 96, "comments": 288}.items()


async def _compare(tables: Tables, server: GraphServer) -> None:
    now = datetime.now(UTC)
    assert without_open_ends(await stored(tables), now) == without_open_ends(expected(server, 1, now), now)
