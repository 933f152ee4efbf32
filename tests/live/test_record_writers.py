"""Writing back into the record while hubs are several, are killed, and the database is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio import to_thread
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from statushub.hub.intervals import Intervals
from tests.support.database_server import DatabaseServer, MariadbServer, PostgresServer, running_database
from tests.support.hub_process import HubProcess
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish, publish_all
from tests.support.record import TeamDatabase
from tests.support.redis_server import RedisServer
from tests.support.sse_client import stream
from tests.support.waiting import eventually
from tests.support.written import WrittenTable

FAST = Intervals(record=0.05)

PATIENT = Intervals(record=2.0)
"""With which a hub has to be stuck for ten seconds before another one writes."""


@pytest.fixture(scope="module", params=[PostgresServer, MariadbServer], ids=["postgres", "mariadb"])
def running(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    with running_database(request.param) as server:
        yield server


@pytest.fixture
def server(running: DatabaseServer) -> Iterator[DatabaseServer]:
    """A database that a test may stop."""
    yield running
    if running.process is None:
        running.start()


@pytest.fixture
def ids() -> list[str]:
    return [f"x{number:02}" for number in range(60)]


def settings(table: WrittenTable) -> dict[str, Any]:
    return {"source": table.database.url, "source_table": table.name, "record": "endings"}


def metric(base_url: str, name: str) -> float:
    """A metric without labels, or with these."""
    lines = httpx.get(f"{base_url}/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(name + " ")).split()[-1])


def written(base_url: str) -> float:
    return metric(base_url, 'statushub_record_writes_total{result="written"}')


def end(hub: LiveHub | HubProcess, content_ids: list[str]) -> None:
    """Publish their endings together."""
    publish_all(hub, [{"channel": "c", "content_id": each, "data": {"status": "complete"}} for each in content_ids])


@pytest.mark.redis
def test_of_two_hubs_one_writes(postgres_server: DatabaseServer, redis_server: RedisServer, ids: list[str]) -> None:
    """What is published at either, each ending once."""
    table = WrittenTable(TeamDatabase(postgres_server.url), *ids)
    broker = f"{redis_server.url.rpartition('/')[0]}/9"
    with ExitStack() as stack:
        one, two = (stack.enter_context(live_hub(broker, intervals=PATIENT, **settings(table))) for _ in range(2))
        for number, content_id in enumerate(ids):
            publish((one, two)[number % 2], content_id, "complete")
        eventually(lambda: set(table.statuses().values()) == {"complete"})
        assert table.writes() == dict.fromkeys(ids, 1)
        eventually(lambda: sorted(written(hub.base_url) for hub in (one, two)) == [0, len(ids)])


@pytest.mark.redis
def test_another_hub_goes_on_where_one_was_killed(
    postgres_server: DatabaseServer, redis_server: RedisServer, ids: list[str], tmp_path: Path
) -> None:
    """With what it has not written yet, and nothing that it has."""
    table = WrittenTable(TeamDatabase(postgres_server.url), *ids)
    broker = f"{redis_server.url.rpartition('/')[0]}/10"
    hubs = [HubProcess(tmp_path, name=name, broker=broker, **settings(table)) for name in ("one", "two")]
    try:
        for hub in hubs:
            hub.start()
        end(hubs[0], ids[:20])
        eventually(lambda: sum(table.writes().values()) == 20)
        eventually(lambda: sum(written(hub.base_url) for hub in hubs) == 20)
        writer, other = sorted(hubs, key=lambda hub: written(hub.base_url), reverse=True)
        end(other, ids[20:40])
        writer.kill()
        end(other, ids[40:])
        eventually(lambda: set(table.statuses().values()) == {"complete"})
        assert table.writes() == dict.fromkeys(ids, 1)
    finally:
        for hub in hubs:
            hub.kill()


@pytest.mark.redis
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_hub_that_was_killed_before_it_wrote_writes_after_its_restart(
    server: DatabaseServer, redis_server: RedisServer, ids: list[str], tmp_path: Path, kind: str
) -> None:
    """The database was away when the endings came, and the hub is gone before it is back."""
    table = WrittenTable(TeamDatabase(server.url), *ids)
    redis = f"{redis_server.url.rpartition('/')[0]}/11?prefix={table.name}-{server.port}"
    broker = redis if kind == "redis" else f"sqlite:///{tmp_path}/hub.db"
    hub = HubProcess(tmp_path, broker=broker, **settings(table))
    hub.start()
    try:
        server.kill()
        end(hub, ids)
        eventually(lambda: metric(hub.base_url, "statushub_record_write_failures_total") > 0)
        eventually(lambda: metric(hub.base_url, "statushub_record_pending") >= len(ids))
        hub.kill()
        server.start()
        hub.start()
        eventually(lambda: set(table.statuses().values()) == {"complete"})
        assert table.writes() == dict.fromkeys(ids, 1)
        eventually(lambda: metric(hub.base_url, "statushub_record_behind_seconds") == 0)
    finally:
        hub.kill()


@contextmanager
def polling(hub: LiveHub, codes: set[int]) -> Iterator[None]:
    """Poll pages and batches in threads for the block."""
    stop = threading.Event()

    def poll() -> None:
        with httpx.Client(base_url=hub.base_url, timeout=60) as client:
            while not stop.is_set():
                codes.add(client.get("/api/contents/c").status_code)
                codes.add(client.post("/api/contents/status/batch", json={"content_ids": ["x00"]}).status_code)

    with ThreadPoolExecutor() as threads:
        running = [threads.submit(poll) for _ in range(2)]
        try:
            yield
        finally:
            stop.set()
        for each in running:
            each.result()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_restart_of_the_database_loses_and_doubles_nothing(server: DatabaseServer, ids: list[str], how: str) -> None:
    """In the middle of polls and of writes: no poll is answered an error, and each ending is written once."""
    table = WrittenTable(TeamDatabase(server.url), *ids)
    codes: set[int] = set()
    with live_hub(intervals=FAST, **settings(table)) as hub, polling(hub, codes):
        for content_id in ids[:20]:
            publish(hub, content_id, "complete")
        getattr(server, how)()
        failed = metric(hub.base_url, "statushub_record_write_failures_total")
        for content_id in ids[20:40]:
            publish(hub, content_id, "complete")
        eventually(lambda: metric(hub.base_url, "statushub_record_write_failures_total") > failed)
        server.start()
        for content_id in ids[40:]:
            publish(hub, content_id, "complete")
        eventually(lambda: set(table.statuses().values()) == {"complete"})
        assert table.writes() == dict.fromkeys(ids, 1)
    assert codes == {200}


def test_what_a_database_lost_in_a_crash_is_written_again(server: DatabaseServer, ids: list[str]) -> None:
    """MariaDB loses here what it wrote within a second before; the hub finds so although no write has failed."""
    table = WrittenTable(TeamDatabase(server.url), *ids)
    with live_hub(intervals=FAST, **settings(table)) as hub:
        end(hub, ids[1:])
        eventually(lambda: written(hub.base_url) == len(ids) - 1)
        server.kill()
        server.start()
        end(hub, ids[:1])
        eventually(lambda: set(table.statuses().values()) == {"complete"})
        assert table.writes() == dict.fromkeys(ids, 1)


def test_nobody_waits_for_a_database_that_does_not_answer(server: DatabaseServer, ids: list[str]) -> None:
    """Publications are accepted and streams go on while it is stopped; what is outdated by then is not written."""
    table = WrittenTable(TeamDatabase(server.url), *ids)
    with live_hub(intervals=FAST, **settings(table)) as hub:
        server.pause()
        try:
            with stream(hub) as client:
                for content_id in ids:
                    publish(hub, content_id, "complete")
                    client.until_content(content_id=content_id, status="complete")
            publish_all(hub, [{"channel": "c", "content_id": "x00", "attempt": 2, "data": {"status": "generating"}}])
            eventually(lambda: metric(hub.base_url, "statushub_record_write_failures_total") > 0)
        finally:
            server.resume()
        eventually(lambda: sum(table.writes().values()) >= len(ids) - 1)
        assert table.writes() == dict.fromkeys(ids[1:], 1)


def test_a_row_that_is_locked_keeps_no_other_one_back(server: DatabaseServer, ids: list[str]) -> None:
    """It is written once the transaction that has locked it has ended; the hub tells that it is behind meanwhile."""
    database = TeamDatabase(server.url)
    table = WrittenTable(database, *ids)
    with live_hub(intervals=FAST, **settings(table)) as hub:

        async def lock(connection: AsyncConnection) -> None:
            await connection.execute(text(f"UPDATE {table.name} SET title = 'Edited' WHERE id IN ('x00', 'x07')"))
            await to_thread.run_sync(end, hub, ids)
            await to_thread.run_sync(eventually, lambda: written(hub.base_url) == len(ids) - 2)
            await to_thread.run_sync(eventually, lambda: metric(hub.base_url, "statushub_record_behind_seconds") > 0)

        database.run(lock)
        eventually(lambda: set(table.statuses().values()) == {"complete"})
        # Once by the transaction.
        assert table.writes() == {**dict.fromkeys(ids, 1), "x00": 2, "x07": 2}
        eventually(lambda: metric(hub.base_url, "statushub_record_behind_seconds") == 0)
