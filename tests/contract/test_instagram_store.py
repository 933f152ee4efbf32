"""The tables of the sync in a database of each kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from statushub.producers.instagram.answers import Comment, Media, Page, Profile, Reply
from statushub.producers.instagram.database import Tables
from statushub.producers.instagram.executions import Execution, ExecutionStore, Failure, UserRun
from statushub.producers.instagram.store import AccountStore, Refusal, ResultStore
from statushub.producers.instagram.tables import ACCOUNTS, COMMENTS, INSIGHTS, MEDIA, PROFILES
from tests.support.instagram import drop, open_tables, put, rows

pytestmark = pytest.mark.anyio

NOW: Final = datetime(2026, 7, 31, 12, 0, 0, 123_456, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind, without a table of the sync."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'sync.db'}"
    return str(request.getfixturevalue(f"{request.param}_server").url)


@pytest.fixture
async def tables(url: str) -> AsyncIterator[Tables]:
    """The tables of the sync, empty."""
    await drop(url)
    async with open_tables(url) as tables:
        yield tables


def execution(id: str = "instagram_1", **changes: Any) -> Execution:
    return replace(
        Execution(
            id=id,
            execution_type="manual_async",
            target_user_no=None,
            months=6,
            status="waiting",
            users=None,
            completed=0,
            failed=0,
            steps=[],
            error=None,
            created_at=NOW,
            started_at=None,
            ended_at=None,
        ),
        **changes,
    )


async def test_what_is_read_twice_is_stored_once_and_brought_up_to_date(tables: Tables) -> None:
    """Profiles, posts, comments and values keep one row each; their columns are those of the last reading."""
    results = ResultStore(tables, lambda: NOW)
    posts = [
        Media(id=str(number), caption=f"글 {number} 🙂", timestamp="2026-07-01T10:00:00+0000") for number in range(450)
    ]
    for turn in (1, 2):
        await results.profile(7, Profile(id="178", username="상점", followers_count=turn))
        await results.media(7, [replace(post, like_count=turn) for post in posts])
        replies = Page(data=[Reply(id="c2", text=f"답글 {turn}", timestamp="2026-07-02T10:00:00+0000")])
        comment = Comment(id="c1", text=f"댓글 {turn}", like_count=turn, replies=replies)
        assert await results.comments(7, [("3", comment)]) == 2
        value = {"metric": "reach", "period": "day", "starts_at": NOW, "ends_at": NOW + timedelta(days=1)}
        await results.insights(7, [{**value, "value": turn}])
    [profile] = await rows(tables, PROFILES)
    assert (profile["username"], profile["followers_count"], profile["name"]) == ("상점", 2, None)
    stored = await rows(tables, MEDIA)
    assert [row["id"] for row in stored] == sorted(post.id for post in posts)
    assert {row["like_count"] for row in stored} == {2}
    assert (stored[3]["caption"], stored[3]["timestamp"]) == ("글 100 🙂", datetime(2026, 7, 1, 10, tzinfo=UTC))
    comments = await rows(tables, COMMENTS)
    assert [(row["id"], row["parent_id"], row["text"]) for row in comments] == [
        ("c1", None, "댓글 2"),
        ("c2", "c1", "답글 2"),
    ]
    [insight] = await rows(tables, INSIGHTS)
    assert (insight["starts_at"], insight["value"]) == (NOW, 2)


async def test_ids_and_users_are_told_apart(tables: Tables) -> None:
    """Two users may have one account, and ids that differ in case are two."""
    results = ResultStore(tables)
    for user_no in (1, 2):
        await results.media(user_no, [Media(id="a"), Media(id="A"), Media(id="a")])
    assert [(row["user_no"], row["id"]) for row in await rows(tables, MEDIA)] == [
        (1, "A"),
        (1, "a"),
        (2, "A"),
        (2, "a"),
    ]


async def test_texts_that_databases_do_not_take_are_stored_without_what_they_refuse(tables: Tables) -> None:
    """A NUL, half of a surrogate pair and a name without an end are no reason to lose a comment."""
    await ResultStore(tables).comments(1, [("m", Comment(id="c", text="a\0b\ud800c", username="x" * 1000))])
    [row] = await rows(tables, COMMENTS)
    assert (row["text"], row["username"]) == ("ab?c", "x" * 255)


async def test_posts_since_a_moment_are_found_newest_first(tables: Tables) -> None:
    """The comments of older posts are not read."""
    results = ResultStore(tables)
    days = {"old": "2026-01-01", "new": "2026-07-01", "newer": "2026-07-02"}
    await results.media(1, [Media(id=id, timestamp=f"{day}T00:00:00+0000") for id, day in days.items()])
    assert await results.media_since(1, datetime(2026, 7, 1, tzinfo=UTC)) == ["newer", "new"]
    assert await results.media_since(2, datetime(2026, 7, 1, tzinfo=UTC)) == []


async def test_a_refused_token_is_not_used_until_it_changes(tables: Tables) -> None:
    """The mark belongs to the token, not to the user."""
    accounts = AccountStore(tables)
    given = [{"user_no": number, "ig_user_id": f"178{number}", "access_token": f"EAA{number}"} for number in (3, 1, 2)]
    unmarked = {"refused_token": None, "refused_reason": None, "refused_at": None}
    await put(tables, ACCOUNTS, *({**each, **unmarked} for each in given))
    assert await accounts.users() == [1, 2, 3]
    account = await accounts.account(2)
    assert account is not None
    assert (account.ig_user_id, account.token) == ("1782", "EAA2")
    assert "EAA2" not in f"{account} {account!r}"
    await accounts.refuse(account, "Session has expired")
    assert await accounts.users() == [1, 3]
    with pytest.raises(Refusal, match="Session has expired"):
        await accounts.account(2)
    [row] = [row for row in await rows(tables, ACCOUNTS) if row["user_no"] == 2]
    await put(tables, ACCOUNTS, {**row, "access_token": "EAA2 anew"})
    assert await accounts.users() == [1, 2, 3]
    assert await accounts.account(4) is None


async def test_an_execution_that_has_ended_stays_as_it_is(tables: Tables) -> None:
    """Of several processes that write it, one may be late."""
    store = ExecutionStore(tables)
    await store.save(execution())
    await store.save(execution(status="running", users=2, started_at=NOW, steps=[{"name": "profile"}]))
    done = execution(status="completed", users=2, completed=1, failed=1, started_at=NOW, ended_at=NOW)
    await store.save(done)
    await store.save(execution(status="running", users=2))
    await store.lost(done.id)
    assert await store.latest(10) == [done]
    await store.save(execution("instagram_2", created_at=NOW + timedelta(seconds=1)))
    await store.lost("instagram_2")
    newest, _ = await store.latest(10)
    assert (newest.id, newest.status) == ("instagram_2", "removed")


async def test_the_counts_and_failures_of_an_execution_are_those_of_its_users(tables: Tables) -> None:
    """They are summed for each execution; a user counts once however often it was tried."""
    store = ExecutionStore(tables)
    for id in ("a", "b"):
        await store.save(execution(id))
    for _ in range(2):
        await store.save_user(UserRun(execution_id="a", user_no=1, status="completed", media=3, comments=5))
        await store.save_user(
            UserRun(execution_id="a", user_no=2, status="failed", step="media", profile=1, error="no")
        )
    assert await store.user("a", 2) == UserRun(
        execution_id="a", user_no=2, status="failed", step="media", profile=1, error="no"
    )
    assert await store.user("b", 2) is None
    found = {each.id: each for each in await store.detailed(await store.latest(10))}
    assert found["a"].counts == {"profile": 1, "media": 3, "comments": 5, "insights": 0}
    assert found["a"].failures == [Failure(user_no=2, step="media", error="no")]
    assert (found["b"].counts["media"], found["b"].failures) == (0, [])


async def test_executions_are_admitted_one_at_a_time_over_all_hubs(url: str, tables: Tables) -> None:
    """Each is given a number of its own, and one that is refused leaves no row."""
    inside = 0

    async def admit(number: int) -> tuple[Execution, int]:
        nonlocal inside
        inside += 1
        alone = inside == 1
        await asyncio.sleep(0.01)
        inside -= 1
        assert alone
        return execution(f"instagram_{number}"), number

    async def refuse(_: int) -> tuple[Execution, int]:
        raise LookupError

    async with hubs(url, 4) as others:
        stores = [ExecutionStore(each) for each in others]
        assert sorted(await asyncio.gather(*(store.admitted(admit) for store in stores))) == [1, 2, 3, 4]
        with pytest.raises(LookupError):
            await stores[0].admitted(refuse)
    assert len(await ExecutionStore(tables).latest(10)) == 4


async def test_many_processes_make_the_tables(url: str, tables: Tables) -> None:
    """They do so simultaneously, and each finds them."""
    async with hubs(url, 4) as others:
        await asyncio.gather(*(ResultStore(each).media(1, [Media(id="a")]) for each in others))
    assert len(await rows(tables, MEDIA)) == 1


@asynccontextmanager
async def hubs(url: str, count: int) -> AsyncIterator[list[Tables]]:
    """The tables as so many processes have them, for the block."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_tables(url)) for _ in range(count)]
