"""The system of record while it is away, slow, or asked by many; and its cache."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.support.database_server import DatabaseServer, MariadbServer, PostgresServer, running_database
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish
from tests.support.record import TeamDatabase, contents_table, row
from tests.support.redis_server import RedisServer, running_redis
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import eventually

TABLE = contents_table()


@pytest.fixture(scope="module", params=[PostgresServer, MariadbServer], ids=["postgres", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    """A database that a test may stop, with two rows."""
    with running_database(request.param) as server:
        TeamDatabase(server.url).create(TABLE, [row("a", status="READY", title="Row"), row("b", status="FAILED")])
        yield server


@pytest.fixture
def file(tmp_path: Any) -> TeamDatabase:
    """An SQLite database with two rows."""
    (tmp_path / "team.db").touch()
    database = TeamDatabase(f"sqlite+aiosqlite:///{tmp_path / 'team.db'}")
    database.create(TABLE, [row("a", status="READY", title="Row"), row("b", status="FAILED")])
    return database


class Polls:
    """Every kind of poll that reads the record."""

    def __init__(self, hub: LiveHub, client: httpx.Client) -> None:
        self.hub = hub
        self.client = client

    def answers(self) -> dict[str, httpx.Response]:
        """What each is answered."""
        ids = {"content_ids": ["a", "b", "live"]}
        url = self.hub.base_url
        return {
            "page": self.client.get(f"{url}/api/contents/c"),
            "summary": self.client.get(f"{url}/api/contents/c/status"),
            "list": self.client.get(f"{url}/api/contents/c/status?view=list"),
            "batch": self.client.post(f"{url}/api/contents/status/batch", json=ids),
            "jobs": self.client.post(f"{url}/v1/ai/jobs/batch-status", json={"job_ids": ids["content_ids"]}),
            "video": self.client.get(f"{url}/api/v1/media/videos/a/progress/"),
        }

    def whole(self) -> bool:
        """Whether all are answered, with what the record knows."""
        found = {name: answer.json() for name, answer in self.answers().items()}
        return (
            len(found["page"]["contents"]) == 3
            and found["summary"]["total_failed"] == 1
            and found["batch"]["statuses"][0]["status"] == "complete"
            and found["jobs"]["jobs"]["a"]["status"] == "completed"
            and found["video"]["status"] == "READY"
        )


def shown(page: httpx.Response) -> dict[str, Any]:
    """The contents of a page, with their progress."""
    return {content["content_id"]: content.get("progress") for content in page.json()["contents"]}


@contextmanager
def polls(hub: LiveHub) -> Iterator[Polls]:
    with httpx.Client(timeout=60) as client:
        yield Polls(hub, client)


def metric(hub: LiveHub, name: str) -> float:
    lines = httpx.get(f"{hub.base_url}/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(name + " ")).split()[-1])


def failures(hub: LiveHub) -> float:
    return metric(hub, 'statushub_source_failures_total{source="record"}')


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_restart_of_the_database_is_no_error(server: DatabaseServer, how: str) -> None:
    """While it is away its contents are unknown; no poll fails, and those of the hub are answered as ever."""
    with live_hub(source=server.url) as hub, polls(hub) as asked:
        publish(hub, "live", "generating", progress=30)
        eventually(asked.whole)
        codes: set[int] = set()
        stop = threading.Event()

        def poll() -> None:
            with polls(hub) as other:
                while not stop.is_set():
                    codes.update(answer.status_code for answer in other.answers().values())
                    publish(hub, "live", "generating", progress=31)

        with ThreadPoolExecutor() as threads:
            running = [threads.submit(poll) for _ in range(3)]
            try:
                getattr(server, how)()
                before = failures(hub)
                eventually(lambda: failures(hub) > before)
                eventually(lambda: shown(asked.answers()["page"]) == {"live": 31})
            finally:
                server.start()
                eventually(asked.whole)
                stop.set()
            for each in running:
                each.result()
        assert codes == {200}


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_restart_between_two_polls_goes_unnoticed(server: DatabaseServer, how: str) -> None:
    """The connections of before are dead, and what is read over one of them is read again over a new one."""
    with live_hub(source=server.url) as hub, polls(hub) as asked:
        publish(hub, "live", "generating")
        eventually(asked.whole)
        before = failures(hub)
        getattr(server, how)()
        server.start()
        publish(hub, "live", "generating", progress=1)
        eventually(lambda: shown(asked.answers()["page"])["live"] == 1)
        assert asked.whole()
        assert failures(hub) == before


def test_a_database_that_does_not_answer_is_not_waited_for(server: DatabaseServer) -> None:
    """The first polls wait for its deadline; then it is not asked for a while."""
    with live_hub(source=server.url) as hub, polls(hub) as asked:
        publish(hub, "live", "generating")
        eventually(asked.whole)
        server.pause()
        try:
            publish(hub, "live", "generating")
            answers = asked.answers()
            assert {answer.status_code for answer in answers.values()} == {200}
            assert list(shown(answers["page"])) == ["live"]
        finally:
            server.resume()
        eventually(asked.whole)


@pytest.mark.parametrize(
    "source",
    ["postgresql://127.0.0.1:1/team", "mysql://127.0.0.1:1/team", "sqlite:////nowhere/team.db"],
)
def test_a_hub_starts_without_its_record(source: str, caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong is logged once, without the password."""
    source = source.replace("://127", "://user:hunter2@127")
    with live_hub(source=source) as hub, polls(hub) as asked:
        publish(hub, "live", "generating")
        for _ in range(3):
            assert {answer.status_code for answer in asked.answers().values()} == {200}
        assert failures(hub) > 0
    told = [record.getMessage() for record in caplog.records if record.name.endswith("read_through")]
    assert 1 <= len(told) <= 3
    assert "hunter2" not in caplog.text


def test_a_missing_table_is_unknown(file: TeamDatabase, caplog: pytest.LogCaptureFixture) -> None:
    """And is found once it is there."""
    with live_hub(source=file.url, source_table="posts") as hub, polls(hub) as asked:
        publish(hub, "live", "generating")
        assert {answer.status_code for answer in asked.answers().values()} == {200}
        assert "there is no table posts" in caplog.text
        file.execute("ALTER TABLE contents RENAME TO posts;\n")
        eventually(asked.whole)


def test_a_table_that_lacks_a_needed_column_is_unknown(file: TeamDatabase, caplog: pytest.LogCaptureFixture) -> None:
    """The line that is logged names the column."""
    file.execute("CREATE TABLE posts (id TEXT, channel_id TEXT);\n")
    with live_hub(source=file.url, source_table="posts") as hub, polls(hub) as asked:
        assert {answer.status_code for answer in asked.answers().values()} == {200}
    assert "the table posts has no column updated_at" in caplog.text


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements on tables of contents that hubs of this process execute."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        if "FROM contents" in statement:
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_a_batch_is_one_query(file: TeamDatabase) -> None:
    """Of 100 contents; the next poll of them within their time is none, and is counted as hits."""
    with live_hub(source=file.url) as hub, statements() as seen, httpx.Client() as client:
        body = {"content_ids": ["a", "b", *(f"x{number}" for number in range(98))]}
        for expected in (1, 1, 1):
            client.post(f"{hub.base_url}/api/contents/status/batch", json=body).raise_for_status()
            assert len(seen) == expected
        assert metric(hub, 'statushub_source_reads_total{cache="status",result="miss",source="record"}') == 100
        assert metric(hub, 'statushub_source_reads_total{cache="status",result="hit",source="record"}') == 200


def test_first_pages_and_totals_are_kept(file: TeamDatabase) -> None:
    """One query each, for pages of any length."""
    with live_hub(source=file.url) as hub, statements() as seen, httpx.Client() as client:
        for limit in (100, 1, 2, 1000):
            client.get(f"{hub.base_url}/api/contents/c/status?limit={limit}").raise_for_status()
            client.get(f"{hub.base_url}/api/contents/c?limit={limit}").raise_for_status()
        # Of a page the second one is of rows without a time.
        assert len(seen) == 2 + 1
        for cache, hits in (("contents", 7), ("processing", 3)):
            for result, number in (("miss", 1), ("hit", hits)):
                name = f'statushub_source_reads_total{{cache="{cache}",result="{result}",source="record"}}'
                assert metric(hub, name) == number


def test_an_event_drops_what_is_kept(file: TeamDatabase) -> None:
    """Of its content and its channel; what the row says is read anew, and what others say is kept."""
    with live_hub(source=file.url) as hub, polls(hub) as asked:
        before = {name: answer.json() for name, answer in asked.answers().items()}
        file.execute("UPDATE contents SET title = 'New', status = 'FAILED' WHERE id = 'a';\n")
        file.execute("UPDATE contents SET title = 'New' WHERE id = 'b';\n")
        same = {name: answer.json() for name, answer in asked.answers().items()}
        assert same == before
        publish(hub, "a", "generating")
        eventually(lambda: asked.answers()["batch"].json()["statuses"][0]["status"] == "generating")
        found = {name: answer.json() for name, answer in asked.answers().items()}
        assert [each["title"] for each in found["page"]["contents"]] == ["New", "New"]
        assert [each.get("title") for each in found["batch"]["statuses"]] == ["New", None, None]
        assert found["summary"]["total_processing"] == 1
        assert found["summary"]["total_completed"] == 0


@pytest.mark.redis
def test_hubs_share_a_cache_in_redis(redis_server: RedisServer, file: TeamDatabase) -> None:
    """Under the names and for the times that the teams' own caches have; an event at one hub drops it for all."""
    broker = f"{redis_server.url.rpartition('/')[0]}/7"
    settings: dict[str, Any] = {"broker": broker, "source": file.url, "secret": SECRET, "source_tenants": ("acme",)}
    with live_hub(**settings) as one, live_hub(**settings) as two, statements() as seen:
        headers = bearer(tenant="acme")
        for hub in (one, two):
            with polls(hub) as asked:
                asked.client.headers.update(headers)
                asked.answers()
        asked_twice = len(seen)

        def ttl(key: str) -> int:
            return int(redis_server.command("-n", "7", "TTL", f"tenant:acme:{key}"))

        assert 290 < ttl("channel:c:contents") <= 300
        assert 20 < ttl("content:a:status") <= 30
        assert 0 < ttl("channel:c:processing") <= 10
        assert ttl("content:live:status") == -2
        kept = json.loads(redis_server.command("-n", "7", "GET", "tenant:acme:channel:c:contents"))
        assert [each["id"] for each in kept["contents"]] == ["b", "a"]
        with polls(two) as asked:
            asked.client.headers.update(headers)
            asked.client.get(f"{two.base_url}/api/contents/c").raise_for_status()
            assert len(seen) == asked_twice
        body = {"events": [{"channel": "c", "content_id": "a", "data": {"status": "generating"}}]}
        httpx.post(f"{one.base_url}/api/publish", json=body, headers=headers).raise_for_status()
        keys = ("channel:c:contents", "content:a:status", "channel:c:processing")
        eventually(lambda: [ttl(key) for key in keys] == [-2, -2, -2])
        assert ttl("content:b:status") > 0


@pytest.mark.redis
@pytest.mark.parametrize("value", ["", "[]", "{", "null", '{"contents":[{}],"next":null}', "x" * 90_000])
def test_what_another_program_keeps_is_read_anew(redis_server: RedisServer, file: TeamDatabase, value: str) -> None:
    """A value that is none of the hub's, is a miss."""
    broker = f"{redis_server.url.rpartition('/')[0]}/8"
    with live_hub(broker=broker, source=file.url) as hub, polls(hub) as asked:
        for key in ("channel:c:contents", "content:a:status", "channel:c:processing"):
            redis_server.command("-n", "8", "SET", key, value)
        answers = asked.answers()
        assert sorted(each["id"] for each in answers["page"].json()["contents"]) == ["a", "b"]
        assert answers["batch"].json()["statuses"][0]["title"] == "Row"
        assert answers["summary"].json()["total_failed"] == 1
        redis_server.command("-n", "8", "FLUSHDB")


@pytest.mark.redis
def test_a_redis_that_does_not_let_it_cache_is_no_error(
    tmp_path: Any, file: TeamDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """Then the hub keeps rows in its memory, and says so once; events drop them there, too."""
    (tmp_path / "redis").mkdir()
    with running_redis(tmp_path / "redis") as redis:
        redis.command("ACL", "SETUSER", "hub", "on", ">pw", "~hub*", "&hub*", "+@all")
        broker = redis.url.replace("://", "://hub:pw@")
        with live_hub(broker=broker, source=file.url) as hub, polls(hub) as asked, statements() as seen:
            asked.answers()
            number = len(seen)
            asked.answers()
            assert len(seen) == number
            publish(hub, "a", "generating", title=None)
            eventually(lambda: asked.answers()["page"].json()["contents"][0]["status"] == "generating")
            assert len(seen) > number
    told = [record.getMessage() for record in caplog.records if "cached in memory" in record.getMessage()]
    assert len(told) == 1


def test_polls_of_one_moment_share_a_query(file: TeamDatabase) -> None:
    """Single-flight: of many polls at a time at most a few reach the database."""
    with live_hub(source=file.url) as hub, statements() as seen, ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: httpx.get(f"{hub.base_url}/api/contents/c"), range(48)))
        assert {len(answer.json()["contents"]) for answer in answers} == {2}
        assert len(seen) <= 4
