"""The sync of Instagram over each broker, against a Graph server, into a database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec
import pytest

from statushub.hub.brokers.contract import Broker
from statushub.hub.instagram import InstagramSync
from statushub.hub.model.vocabulary import Phase
from statushub.producers.instagram import pool
from statushub.producers.instagram.database import Tables
from statushub.producers.instagram.history import History, execution_of_job
from statushub.producers.instagram.tables import ACCOUNTS
from statushub.producers.jobs.item import Item
from statushub.producers.jobs.schedules import Schedules
from statushub.producers.jobs.state import JobState
from tests.support.graph_server import Fault, GraphServer, graph_server, make_users
from tests.support.instagram import (
    connect,
    expected,
    open_tables,
    put,
    rows,
    stored,
    sync_of,
    without_open_ends,
    working,
)
from tests.support.jobs import FAST, TENANT, ended, item_events, items, job_state, jobs_of
from tests.support.waiting import WAIT_SECONDS, until

pytestmark = pytest.mark.anyio

NOW: Final = datetime.now(UTC)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def kind(request: pytest.FixtureRequest) -> str:
    """A file is to jobs what memory is."""
    return str(request.param)


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'sync.db'}"


@pytest.fixture
def server() -> Iterator[GraphServer]:
    """Seven accounts, one of them with posts of a page and a bit, the last of which are older than a month."""
    users = make_users(7, posts=4, comments=2, replies=1, now=NOW)
    [users[0]] = make_users(1, posts=128, comments=1, replies=1, now=NOW)
    with graph_server(users, now=NOW) as server:
        yield server


@pytest.fixture
async def tables(database: str, server: GraphServer) -> AsyncIterator[Tables]:
    """The database, with the accounts of the server."""
    async with open_tables(database) as tables:
        await connect(tables, server)
        yield tables


@pytest.fixture
async def sync(database: str, server: GraphServer) -> AsyncIterator[InstagramSync]:
    async with sync_of(database, server) as sync:
        yield sync


def history(sync: InstagramSync, broker: Broker) -> History:
    return sync.history(broker)


async def done(sync: InstagramSync, broker: Broker, **asked: Any) -> JobState:
    """An execution, once it has ended."""
    job_id = await sync.starter(broker).start(**{"months": 1, "user_no": None} | asked)
    async with working(sync, broker):
        return await ended(broker, job_id)


async def test_what_is_stored_is_what_the_server_has_and_a_second_sync_doubles_nothing(
    broker: Broker, sync: InstagramSync, tables: Tables, server: GraphServer
) -> None:
    """All rows are compared. Posts that are older are left out, with their comments."""
    for _ in range(2):
        state = await done(sync, broker)
        assert state.phase is Phase.COMPLETED
        assert (state.data["current"], state.data["failed"]) == (7, 0)
        assert [(step["name"], step["current"]) for step in state.data["steps"]] == [
            ("profile", 7),
            ("media", 7),
            ("comments", 7),
            ("insights", 7),
        ]
    now = datetime.now(UTC)
    assert without_open_ends(await stored(tables), now) == without_open_ends(expected(server, 1, now), now)
    results = [it["result"] for it in (await items(broker, state.id)).values()]
    assert sum(it["comments"] for it in results) == len((await stored(tables))["instagram_comments"])


async def test_five_users_are_synced_together_and_the_comments_of_five_posts(
    broker: Broker, database: str, tables: Tables, server: GraphServer
) -> None:
    """A user more waits until one is done, and so does a post."""
    steps = Steps()
    async with sync_of(database, server) as sync:
        sync.job = msgspec.structs.replace(sync.job, run=steps.watched(sync.job.run))
        await done(sync, broker)
        server.hold_after = server.most_together = 0
        job_id = await sync.starter(broker).start(months=1, user_no=1)
        async with working(sync, broker):
            await until(lambda: server.together == 5)
            server.hold_after = None
            await ended(broker, job_id)
    assert steps.most == 5
    assert server.most_together == 5


class Steps:
    """Counts the users that are synced together."""

    def __init__(self) -> None:
        self.running = self.most = 0

    def watched(self, run: Any) -> Any:
        async def watched(item: Any) -> Any:
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                return await run(item)
            finally:
                self.running -= 1

        return watched


async def test_a_user_who_fails_is_reported_and_the_others_finish(
    broker: Broker, sync: InstagramSync, tables: Tables, server: GraphServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A token that is refused is marked and not tried again; a permission that is missing is told with its step."""
    caplog.set_level(logging.INFO, logger="statushub")
    users = [*server.users.values()]
    users[2].dead = True
    server.fail(f"{users[3].id}/insights", *[Fault(code=10, status=403, message="No permission for insights")] * 9)
    state = await done(sync, broker)
    await history(sync, broker).look()
    assert (state.phase, state.data["failed"]) == (Phase.COMPLETED, 2)
    [execution] = await sync.executions.detailed(await sync.executions.latest(1))
    assert (execution.id, execution.status, execution.users) == (state.id, "completed", 7)
    assert (execution.completed, execution.failed, execution.counts["profile"]) == (5, 2, 6)
    assert [(it.user_no, it.step) for it in execution.failures] == [(3, "profile"), (4, "insights")]
    assert "Session has expired" in str(execution.failures[0].error)
    assert "No permission for insights" in str(execution.failures[1].error)
    now = datetime.now(UTC)
    found = await stored(tables)
    assert {row["user_no"] for row in found["instagram_profiles"]} == {1, 2, 4, 5, 6, 7}
    assert found["instagram_comments"] == expected(server, 1, now, but=frozenset({3}))["instagram_comments"]
    assert server.tokens[users[2].token] == 1
    again = await done(sync, broker)
    assert (again.data["total"], server.tokens[users[2].token]) == (6, 1)
    single = await done(sync, broker, user_no=3)
    assert (single.phase, server.tokens[users[2].token]) == (Phase.FAILED, 1)
    [mark] = [row for row in await rows(tables, ACCOUNTS) if row["user_no"] == 3]
    users[2].token, users[2].dead = "EAAanew", False
    await put(tables, ACCOUNTS, {**mark, "access_token": "EAAanew"})
    assert (await done(sync, broker, user_no=3)).phase is Phase.COMPLETED
    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("[InstagramBatch-1] 1/4단계 프로필 동기화 완료: userNo=1") for line in lines)
    assert any(line.startswith("[InstagramBatch-1] 동기화 실패: userNo=4, 단계=insights") for line in lines)
    await _no_token(broker, state, tables, [*server.tokens], lines)


async def _no_token(broker: Broker, state: JobState, tables: Tables, tokens: list[str], lines: list[str]) -> None:
    """No token is in a log line or in what the hub has."""
    said = repr([state.data, *((event.data) for event in (await item_events(broker, state.id)).values()), *lines])
    assert tokens
    assert not [token for token in tokens if token in said]


async def test_a_user_without_an_account_fails(broker: Broker, sync: InstagramSync, tables: Tables) -> None:
    """The error names the user."""
    state = await done(sync, broker, user_no=99)
    assert state.phase is Phase.FAILED
    assert "99" in (await items(broker, state.id))[1]["error_message"]


async def test_posts_that_were_deleted_meanwhile_and_metrics_that_are_not_there_are_left_out(
    broker: Broker, sync: InstagramSync, tables: Tables, server: GraphServer
) -> None:
    """Neither is a failure."""
    user = next(iter(server.users.values()))
    gone = user.posts[1].fields["id"]
    server.fail(f"{gone}/comments", Fault(code=100, subcode=33, message="Object does not exist"))
    state = await done(sync, broker, user_no=1)
    assert state.phase is Phase.COMPLETED
    found = await stored(tables)
    assert gone not in {row["media_id"] for row in found["instagram_comments"]}
    # With less than a hundred followers, an account has none of the one, and all of the others.
    metrics = {row["metric"] for row in found["instagram_insights"]}
    assert "follower_count" not in metrics
    assert {"reach", "views", "saves"} <= metrics


async def test_a_sync_goes_on_after_a_crash_with_the_steps_that_are_not_done(
    broker: Broker, sync: InstagramSync, tables: Tables, server: GraphServer, database: str
) -> None:
    """The counts of what was done before are those that were stored."""
    user = next(iter(server.users.values()))
    server.fail(f"{user.id}/insights", *[Fault(code=17)] * 10_000)
    job_id = await sync.starter(broker).start(months=1, user_no=1)
    async with working(sync, broker):
        await until(lambda: server.paths[f"{user.id}/insights"])
    server.faults.clear()
    async with sync_of(database, server) as other, working(other, broker):
        state = await ended(broker, job_id)
    assert state.phase is Phase.COMPLETED
    assert server.paths[user.id] == 1
    result = (await items(broker, job_id))[1]["result"]
    now = datetime.now(UTC)
    one = {name: [row for row in found if row["user_no"] == 1] for name, found in expected(server, 1, now).items()}
    assert without_open_ends(await stored(tables), now) == without_open_ends(one, now)
    assert (result["media"], result["comments"]) == (len(one["instagram_media"]), len(one["instagram_comments"]))


async def test_executions_run_and_wait_as_the_pool_has_it(
    broker: Broker, tables: Tables, server: GraphServer, database: str
) -> None:
    """Over two processes 35 are taken and the next one is refused; ten run, no more, and all of them end."""
    gate = asyncio.Event()
    # No worker is taken for dead.
    timing = msgspec.structs.replace(FAST, lease=WAIT_SECONDS)

    async def held(_: Item) -> None:
        await gate.wait()

    async with AsyncExitStack() as stack:
        syncs = [await stack.enter_async_context(sync_of(database, server, timing=timing)) for _ in range(2)]
        starter = syncs[0].starter(broker)
        for each in syncs:
            each.job = msgspec.structs.replace(each.job, run=held)
            await stack.enter_async_context(working(each, broker))
        ids = [await starter.start(months=1, user_no=1) for _ in range(35)]
        with pytest.raises(pool.Full):
            await starter.start(months=1, user_no=1)
        with anyio.fail_after(WAIT_SECONDS):
            while len(await running(broker)) < pool.MOST:
                await anyio.sleep(0.02)
        gate.set()
        for job_id in ids:
            assert (await ended(broker, job_id)).phase is Phase.COMPLETED
        await starter.start(months=1, user_no=1)


async def running(broker: Broker) -> set[str]:
    """The executions that run."""
    found = await jobs_of(broker)
    assert sum(job.phase is Phase.PROCESSING for job in found) <= pool.MOST
    return {job.id for job in found if job.phase is Phase.PROCESSING}


async def test_the_schedule_starts_one_execution_over_hubs_and_workers(
    broker: Broker, sync: InstagramSync, tables: Tables, server: GraphServer, database: str
) -> None:
    """Two hubs and three workers look at it, over a clock that is set back, and a restart at 02:00 in Seoul."""
    # Later than any time that the worker below sees on its own clock.
    two = datetime(2126, 8, 1, 17, 0, tzinfo=UTC)

    def processes() -> list[Schedules]:
        return [Schedules(broker, TENANT, [sync.job], retention={sync.job.name: 600}) for _ in range(5)]

    many = processes()
    for seconds in (-3600, -1):
        await asyncio.gather(*(each.look(two + timedelta(seconds=seconds)) for each in many))
    assert await jobs_of(broker) == []
    # Some look before the others are stopped, and all are new then.
    await asyncio.gather(*(each.look(two) for each in many[:3]))
    many = processes()
    for seconds in (0, -1800, -1, 0, 1, 3600):
        await asyncio.gather(*(each.look(two + timedelta(seconds=seconds)) for each in many))
    [job] = await jobs_of(broker)
    async with working(sync, broker):
        state = await ended(broker, job.id)
    await history(sync, broker).look()
    [execution] = await sync.executions.latest(10)
    assert (execution.execution_type, execution.months, execution.users) == ("scheduled", 1, 7)
    assert (execution.status, state.data["current"]) == ("completed", 7)
    await asyncio.gather(*(each.look(two + timedelta(days=1)) for each in many))
    assert len(await jobs_of(broker)) == 2


async def test_executions_are_kept_after_the_hub_has_forgotten_them(
    broker: Broker, sync: InstagramSync, tables: Tables
) -> None:
    """One that is removed before it ended is marked as removed; a process that begins later writes what it missed."""
    first = await done(sync, broker)
    waiting = await sync.starter(broker).start(months=6, user_no=2)
    keeper = history(sync, broker)
    await keeper.look()
    [newest, oldest] = await sync.executions.latest(10)
    assert (newest.id, newest.status, newest.target_user_no, newest.months) == (waiting, "waiting", 2, 6)
    assert (oldest.id, oldest.status) == (first.id, "completed")
    await broker.remove(TENANT, "jobs", [first.id, waiting])
    await keeper.look()
    assert [it.status for it in await sync.executions.latest(10)] == ["removed", "completed"]


async def test_a_job_that_is_no_execution_is_left_alone(broker: Broker, sync: InstagramSync, tables: Tables) -> None:
    """A foreign publisher may store anything under the name of the job."""
    job_id = await sync.starter(broker).start(months=1, user_no=1)
    state = await job_state(broker, job_id)
    assert state is not None
    assert execution_of_job(msgspec.structs.replace(state, params={"months": 99}), 1) is None
