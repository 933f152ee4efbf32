"""What is read of one account, step by step, and stored as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from statushub.producers.instagram.answers import Comment, Media, Metric, Page, Profile, moment, whole
from statushub.producers.instagram.errors import BadCall, NotThere
from statushub.producers.instagram.graph import Account, Graph
from statushub.producers.instagram.store import ResultStore
from statushub.producers.instagram.windows import months_before, windows

PROFILE_FIELDS: Final = (
    "id,username,name,biography,website,profile_picture_url,followers_count,follows_count,media_count"
)
MEDIA_FIELDS: Final = (
    "id,media_type,media_product_type,caption,media_url,permalink,thumbnail_url,timestamp,like_count,comments_count"
)
REPLY_FIELDS: Final = "id,text,username,timestamp,like_count"

MEDIA_LIMIT: Final = 100
COMMENTS_LIMIT: Final = 50
"""Entries of a page: the most that the Graph API gives."""

POSTS_TOGETHER: Final = 5
"""Posts of a user whose comments are read together."""

COMMENTS_STORED: Final = 200
"""Comments that are stored in one transaction: most posts have few, and each transaction waits for a disk."""

DAY: Final = timedelta(days=1)

DAILY: Final = ("reach", "follower_count")
"""Metrics of which each day has a value."""

TOTALS: Final = ("views", "total_interactions", "accounts_engaged", "likes", "comments", "shares", "saves")
"""Metrics that have one value for a window."""


class Reading:
    """One account, read as far back as `months`."""

    def __init__(self, graph: Graph, store: ResultStore, account: Account, months: int, now: datetime) -> None:
        self._graph = graph
        self._store = store
        self._account = account
        self._user_no = account.user_no
        self._now = now
        self._since = months_before(now, months)

    async def profile(self) -> int:
        """The profile; returns 1."""
        account = self._account
        profile = await self._graph.get(account, account.ig_user_id, Profile, fields=PROFILE_FIELDS)
        await self._store.profile(self._user_no, profile)
        return 1

    async def media(self) -> int:
        """The posts, which come newest first; returns how many."""
        count = 0
        path = f"{self._account.ig_user_id}/media"
        async for page in self._graph.pages(self._account, path, Media, fields=MEDIA_FIELDS, limit=MEDIA_LIMIT):
            recent = [each for each in page if (moment(each.timestamp) or self._now) >= self._since]
            await self._store.media(self._user_no, recent)
            count += len(recent)
            if page and not recent:
                break
        return count

    async def comments(self) -> int:
        """The comments on the posts that are stored, some posts together; returns how many."""
        ids = await self._store.media_since(self._user_no, self._since)
        room = asyncio.Semaphore(POSTS_TOGETHER)
        read: list[tuple[str, Comment]] = []
        count = 0

        async def store() -> None:
            nonlocal count
            part = [*read]
            read.clear()
            count += await self._store.comments(self._user_no, part)

        async def of_post(media_id: str) -> None:
            async with room:
                async for page in self._comments(media_id):
                    read.extend((media_id, comment) for comment in page)
                    if len(read) >= COMMENTS_STORED:
                        await store()

        try:
            async with asyncio.TaskGroup() as tasks:
                for media_id in ids:
                    tasks.create_task(of_post(media_id))
        except BaseExceptionGroup as errors:
            # The first one says enough.
            raise _first(errors) from None
        await store()
        return count

    async def _comments(self, media_id: str) -> AsyncIterator[list[Comment]]:
        fields = f"{REPLY_FIELDS},replies{{{REPLY_FIELDS}}}"
        pages = self._graph.pages(self._account, f"{media_id}/comments", Comment, fields=fields, limit=COMMENTS_LIMIT)
        # A post may have been deleted since it was listed.
        with suppress(NotThere):
            async for page in pages:
                yield page

    async def insights(self) -> int:
        """The metrics of the account, by parts of months; returns how many values."""
        count = 0
        for since, until in windows(self._since, self._now):
            daily = [row for it in await self._metrics(DAILY, since, until) for row in _days(it)]
            totals = await self._metrics(TOTALS, since, until, metric_type="total_value")
            rows = daily + [row for it in totals for row in _total(it, since, until)]
            await self._store.insights(self._user_no, rows)
            count += len(rows)
        return count

    async def _metrics(
        self, names: Sequence[str], since: datetime, until: datetime, **parameters: str
    ) -> Sequence[Metric]:
        """The metrics that the account has. One that it does not have fails the call for all of them."""
        try:
            page = await self._graph.get(
                self._account,
                f"{self._account.ig_user_id}/insights",
                Page[Metric],
                metric=",".join(names),
                period="day",
                since=int(since.timestamp()),
                until=int(until.timestamp()),
                **parameters,
            )
        except BadCall:
            if len(names) == 1:
                return []
            return [it for name in names for it in await self._metrics([name], since, until, **parameters)]
        return page.data


def _days(metric: Metric) -> list[dict[str, Any]]:
    rows = []
    for each in metric.values:
        end, value = moment(each.end_time), whole(each.value)
        if end is not None and value is not None:
            rows.append(
                {"metric": metric.name, "period": "day", "starts_at": end - DAY, "ends_at": end, "value": value}
            )
    return rows


def _total(metric: Metric, since: datetime, until: datetime) -> list[dict[str, Any]]:
    value = None if metric.total_value is None else whole(metric.total_value.value)
    if value is None:
        return []
    return [{"metric": metric.name, "period": "month", "starts_at": since, "ends_at": until, "value": value}]


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
