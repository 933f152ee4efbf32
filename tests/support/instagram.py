"""The sync of Instagram under test: its database, its accounts, and what it should have stored of a Graph server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from statushub.hub.config import Config
from statushub.hub.instagram import InstagramSync
from statushub.hub.sources.contract import SourceUnavailable
from statushub.hub.sources.sql.address import parse_address
from statushub.hub.sources.sql.database import Database
from statushub.producers.instagram.answers import moment
from statushub.producers.instagram.database import Tables, write
from statushub.producers.instagram.reading import DAILY, TOTALS
from statushub.producers.instagram.tables import ACCOUNTS, COMMENTS, INSIGHTS, MEDIA, METADATA, PROFILES
from statushub.producers.instagram.timing import Timing
from statushub.producers.instagram.windows import months_before, windows
from statushub.producers.jobs.retry import Retry
from statushub.producers.jobs.store import Store
from statushub.producers.jobs.timing import Timing as JobTiming
from tests.support.graph_server import FEW_FOLLOWERS, VERSION, GraphServer, User, metric_value
from tests.support.jobs import FAST, TENANT

QUICK: Final = Timing(minute=0.05, limited=0.01, limited_longest=0.02, retry=0.001, retry_longest=0.002)

Row = dict[str, Any]


def settings(database: str, server: GraphServer, **more: Any) -> Config:
    """The settings of the sync of a tenant of the tests."""
    given = {"instagram_tenant": TENANT, **more}
    return Config(
        instagram=True,
        instagram_database=database,
        instagram_graph=server.url,
        instagram_version=VERSION,
        **given,
    )


def sync_of(database: str, server: GraphServer, *, timing: JobTiming = FAST, **more: Any) -> InstagramSync:
    """The sync with short pauses."""
    retry = Retry(tries=3, first=0.01, longest=0.02)
    return InstagramSync(settings(database, server, **more), timing=timing, graph_timing=QUICK, retry=retry)


@asynccontextmanager
async def working(sync: InstagramSync, store: Store) -> AsyncIterator[None]:
    """A process that runs the sync for the block, and ends as one that is killed does: without a word."""
    task = asyncio.ensure_future(sync.worker(store, exclusive=False).run())
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=1)


@asynccontextmanager
async def open_tables(url: str) -> AsyncIterator[Tables]:
    """The tables in a database, for the block."""
    tables = Tables(Database(parse_address(url, "instagram_database"), 30, create=True), SourceUnavailable)
    try:
        yield tables
    finally:
        await tables.aclose()


async def drop(url: str) -> None:
    """Remove the tables."""

    async def work(connection: AsyncConnection) -> None:
        await connection.run_sync(METADATA.drop_all)

    async with open_tables(url) as tables:
        await tables.run(work)


async def rows(tables: Tables, table: Table) -> list[Row]:
    """All rows of a table in the order of its key, without the time of the sync."""

    async def work(connection: AsyncConnection) -> list[Row]:
        found = await connection.execute(select(table).order_by(*table.primary_key))
        return [{name: value for name, value in row.items() if name != "synced_at"} for row in found.mappings()]

    return await tables.run(work)


async def put(tables: Tables, table: Table, *given: Mapping[str, Any]) -> None:
    """Store rows."""
    await tables.run(lambda connection: write(connection, table, given))


async def connect(tables: Tables, server: GraphServer) -> None:
    """Store the accounts of a server, whose users are numbered in their order."""
    unmarked = {"refused_token": None, "refused_reason": None, "refused_at": None}
    given = [
        {"user_no": number, "ig_user_id": user.id, "access_token": user.token, **unmarked}
        for number, user in enumerate(server.users.values(), 1)
    ]
    await put(tables, ACCOUNTS, *given)


async def stored(tables: Tables) -> dict[str, list[Row]]:
    """All that was read, by the names of the tables."""
    return {table.name: await rows(tables, table) for table in (PROFILES, MEDIA, COMMENTS, INSIGHTS)}


def expected(
    server: GraphServer, months: int, now: datetime, *, but: frozenset[int] = frozenset()
) -> dict[str, list[Row]]:
    """What is to be stored of a server by a sync at `now`, but for the users with these numbers. Windows that end `now`
    have the end that the sync itself had."""
    found: dict[str, list[Row]] = {table.name: [] for table in (PROFILES, MEDIA, COMMENTS, INSIGHTS)}
    since = months_before(now, months)
    for number, user in enumerate(server.users.values(), 1):
        if number in but:
            continue
        found[PROFILES.name].append(
            {"user_no": number, **{("ig_user_id" if name == "id" else name): it for name, it in user.profile.items()}}
        )
        posts = [post for post in user.posts if (moment(post.fields["timestamp"]) or now) >= since]
        for post in posts:
            found[MEDIA.name].append(_columns(MEDIA, number, post.fields))
            for comment in post.comments:
                of = {"media_id": post.fields["id"]}
                found[COMMENTS.name].append(_columns(COMMENTS, number, comment) | of)
                for reply in comment.get("replies", {"data": []})["data"]:
                    found[COMMENTS.name].append(_columns(COMMENTS, number, reply) | of | {"parent_id": comment["id"]})
        found[INSIGHTS.name] += _insights(server, number, user, since, now)
    for table in (PROFILES, MEDIA, COMMENTS, INSIGHTS):
        key = [column.name for column in table.primary_key]
        found[table.name].sort(key=lambda row, key=key: tuple(row[name] for name in key))  # type: ignore[misc]
    return found


def _insights(server: GraphServer, number: int, user: User, since: datetime, now: datetime) -> list[Row]:
    made: list[Row] = []
    for start, end in windows(since, now):
        for name in DAILY:
            if name == "follower_count" and user.profile["followers_count"] < FEW_FOLLOWERS:
                continue
            for value in server.days(user.id, name, int(start.timestamp()), int(end.timestamp())):
                ends = moment(value["end_time"])
                assert ends is not None
                said = {"metric": name, "period": "day", "starts_at": ends - timedelta(days=1), "ends_at": ends}
                made.append({"user_no": number, **said, "value": value["value"]})
        for name in TOTALS:
            total = metric_value(user.id, name, int(start.timestamp()))
            said = {"metric": name, "period": "month", "starts_at": start, "ends_at": end}
            made.append({"user_no": number, **said, "value": total})
    return made


def _columns(table: Table, number: int, fields: Mapping[str, Any]) -> Row:
    """The row of a post or a comment: what the server left out is null."""
    row = {column.name: fields.get(column.name) for column in table.columns if column.name != "synced_at"}
    return row | {"user_no": number, "timestamp": moment(fields["timestamp"])}


def without_open_ends(found: Mapping[str, list[Row]], now: datetime) -> dict[str, list[Row]]:
    """The same without the ends of windows that are not over yet, which are the moments of the syncs."""
    month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    insights = [
        {name: value for name, value in row.items() if name != "ends_at" or row["ends_at"] <= month}
        for row in found[INSIGHTS.name]
    ]
    return {**found, INSIGHTS.name: insights}
