"""The tables of an embedded store: one SQLite connection, used by one thread. Every method blocks."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec

from statushub.hub.brokers.sqlite.file import Layout, open_file
from statushub.hub.brokers.sqlite.sql import statements
from statushub.hub.feeds.contract import (
    CLAIM_MS,
    CLAIMED,
    IDS,
    IDS_MS,
    LIKES,
    NEWS,
    NOTIFICATIONS,
    STATS_MS,
    WEIGHTS,
    Claim,
    Counts,
    News,
    Notification,
    Reason,
    Trend,
    UserNews,
    VideoNews,
    Written,
)
from statushub.hub.feeds.news import news_of, note_id, record
from statushub.hub.feeds.writes import COUNTER_MAX, AnyWrite, Count, Delete, Follow, Like, Notify, Read

_FOLDER = files("statushub.hub.feeds.sqlite")
_SCHEMA: Final = _FOLDER.joinpath("schema.sql").read_text(encoding="utf-8").split(";\n")
_LAYOUT: Final = Layout(
    application_id=0x53544846,  # "STHF"
    version=1,
    schema=_SCHEMA,
    name="the file of feeds",
    setting="feed",
)
_STATEMENTS: Final = statements(_FOLDER.joinpath("statements.sql").read_text(encoding="utf-8"))

_encode = msgspec.json.Encoder().encode
_NOTHING: Final = Counts()
_ZEROS: Final = (0, 0, 0, 0, 0)
_COLUMNS: Final = ("views", "likes", "comments", "remixes", "glitches")


class _User(msgspec.Struct):
    """A user's row, as `users` has it."""

    likes: int = 0
    follows: int = 0
    news: int = 0
    version: int = 0
    said: int = 0


class Tables:
    """The store's state. `path` is its file, None for memory.

    Raises `BrokerInUse` where another process holds the file, `ConfigError` where it cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        self._connection = open_file(path, _LAYOUT)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything written within is on disk when this ends, and nothing of it when this raises."""
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._run("ROLLBACK")
            raise

    def write(self, tenant: str, writes: Sequence[AnyWrite]) -> list[Written]:
        """As `FeedStore.write`, within a transaction."""
        return _Batch(self, tenant).run(writes)

    def members(self, statement: str, tenant: str, user: str, ids: Sequence[str]) -> list[bool]:
        """Whether each of the ids is in the user's set that the statement reads."""
        found = {row[0] for row in self.rows(statement, tenant=tenant, user=user, ids=_json(ids))}
        return [id in found for id in ids]

    def counts(self, tenant: str, videos: Sequence[str]) -> list[Counts | None]:
        """As `FeedStore.counts`."""
        found = {
            video: None if deleted else _counts(values)
            for video, *values, deleted in self.rows("counts", tenant=tenant, videos=_json(videos))
        }
        return [found.get(video, _NOTHING) for video in videos]

    def trending(self, tenant: str, after: Trend | None, limit: int) -> list[Trend]:
        """As `FeedStore.trending`."""
        after = after or Trend(score=COUNTER_MAX + 1, video="")
        rows = self.rows("trending", tenant=tenant, score=after.score, video=after.video, limit=limit)
        return [Trend(score=score, video=video) for score, video in rows]

    def notifications(
        self, tenant: str, user: str, category: str | None, before: int | None, limit: int
    ) -> list[Notification]:
        """As `FeedStore.notifications`."""
        before = COUNTER_MAX if before is None else before
        rows = self.rows("notes", tenant=tenant, user=user, category=category, before=before, limit=limit)
        return [Notification(place=place, record=stored, read=bool(read)) for place, stored, read in rows]

    def unread(self, tenant: str, user: str) -> int:
        """As `FeedStore.unread`."""
        return int(self.rows("unread", tenant=tenant, user=user)[0][0])

    def tenants(self) -> list[str]:
        """As `FeedStore.tenants`."""
        return [tenant for (tenant,) in self.rows("due_tenants")]

    def claim(self, tenant: str) -> Claim:
        """As `FeedStore.claim`, within a transaction."""
        now = now_ms()
        token = now + CLAIM_MS
        videos: list[VideoNews] = []
        users: list[UserNews] = []
        for (member,) in self.rows("due", tenant=tenant, now=now, limit=CLAIMED):
            self.rows("claim", tenant=tenant, member=member, at=token)
            if member[0] == "v":
                videos.append(self._video(tenant, member[1:], token, now))
            else:
                users.append(self._user(tenant, member[1:], token))
        soonest = self.rows("next_due", tenant=tenant)[0][0]
        next_ms = None if soonest is None else max(soonest - now, 0)
        return Claim(videos=videos, users=users, next_ms=next_ms)

    def _video(self, tenant: str, video: str, token: int, now: int) -> VideoNews:
        [(version, deleted, *values)] = self.rows("video_news", tenant=tenant, video=video)
        self.rows("say_video", tenant=tenant, video=video, now=now)
        return VideoNews(video=video, token=token, version=version, counts=None if deleted else _counts(values))

    def _user(self, tenant: str, user: str, token: int) -> UserNews:
        row = self.user(tenant, user)
        news = [
            News(slot=slot, version=version, type=type, data=data)
            for slot, version, type, data in self.rows("news", tenant=tenant, user=user, said=row.said)
        ]
        return UserNews(user=user, token=token, version=row.version, unread=self.unread(tenant, user), news=news)

    def done(self, tenant: str, claim: Claim) -> None:
        """As `FeedStore.done`, within a transaction."""
        for video in claim.videos:
            self.rows("done", tenant=tenant, member=f"v{video.video}", token=video.token)
        for user in claim.users:
            self.rows("done", tenant=tenant, member=f"u{user.user}", token=user.token)
            self.rows("say_user", tenant=tenant, user=user.user, version=user.version)

    def user(self, tenant: str, user: str) -> _User:
        """The user's row."""
        rows = self.rows("user", tenant=tenant, user=user)
        return _User(*rows[0]) if rows else _User()

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """What a statement answers."""
        return self._connection.execute(_STATEMENTS[statement], values).fetchall()

    def changed(self, statement: str, **values: Any) -> int:
        """How many rows a statement changed."""
        return self._connection.execute(_STATEMENTS[statement], values).rowcount

    def _run(self, statement: str) -> None:
        self._connection.execute(statement)


class _Batch:
    """One batch of a tenant, within a transaction."""

    def __init__(self, tables: Tables, tenant: str) -> None:
        self._tables = tables
        self._tenant = tenant
        self._now = now_ms()
        rows = tables.rows("tenant", tenant=tenant)
        self._version: int
        self._ids: int
        self._version, self._ids = rows[0] if rows else (0, 0)

    def run(self, writes: Sequence[AnyWrite]) -> list[Written]:
        """Store them all."""
        written = [self._write(write) for write in writes]
        rows, tenant = self._tables.rows, self._tenant
        rows("keep_tenant", tenant=tenant, version=self._version, ids=self._ids)
        rows("forget_old_ids", tenant=tenant, before=self._now - IDS_MS)
        rows("forget_many_ids", tenant=tenant, before=self._ids - IDS)
        return written

    def _write(self, write: AnyWrite) -> Written:
        if write.id is not None and self._tables.rows("has_id", tenant=self._tenant, id=write.id):
            return Written(reason=Reason.REPEAT)
        written = self._stored(write)
        if write.id is not None and written.reason is not Reason.FULL:
            self._ids += 1
            self._tables.rows("keep_id", tenant=self._tenant, id=write.id, number=self._ids, at=self._now)
        return written

    def _stored(self, write: AnyWrite) -> Written:
        match write:
            case Like():
                return Written(reason=self._like(write))
            case Follow():
                return Written(reason=self._follow(write))
            case Count():
                return Written(reason=self._count(write.video_id, write.changes))
            case Delete():
                return Written(reason=self._delete(write.video_id))
            case Notify():
                return Written(reason=self._notify(write))
            case Read():
                return self._read(write)

    def _like(self, write: Like) -> Reason | None:
        user = self._tables.user(self._tenant, write.user_id)
        if write.liked and self._video(write.video_id)[1]:
            return Reason.DELETED
        if reason := self._put("like", write.user_id, write.video_id, write.liked, user.likes):
            return reason
        user.likes += 1 if write.liked else -1
        self._count(write.video_id, (0, 1 if write.liked else -1, 0, 0, 0))
        self._tell(write.user_id, user, *news_of(write))
        return None

    def _follow(self, write: Follow) -> Reason | None:
        user = self._tables.user(self._tenant, write.user_id)
        if reason := self._put("follow", write.user_id, write.followed_id, write.following, user.follows):
            return reason
        user.follows += 1 if write.following else -1
        self._tell(write.user_id, user, *news_of(write))
        return None

    def _put(self, kind: str, user: str, id: str, there: bool, size: int) -> Reason | None:
        """Put an id into a set of so many, or take it out."""
        [before] = self._tables.members(f"{kind}s", self._tenant, user, [id])
        if before == there:
            return Reason.UNCHANGED
        if there and size >= LIKES:
            return Reason.FULL
        self._tables.rows(f"{'add' if there else 'drop'}_{kind}", tenant=self._tenant, user=user, id=id)
        return None

    def _video(self, video: str) -> tuple[Sequence[int], bool, int]:
        """The counters of a video, whether it is deleted, and when it was last announced."""
        rows = self._tables.rows("video", tenant=self._tenant, video=video)
        if not rows:
            return _ZEROS, False, 0
        *values, deleted, said = rows[0]
        return values, bool(deleted), said

    def _count(self, video: str, changes: Sequence[int]) -> Reason | None:
        values, deleted, said = self._video(video)
        if deleted:
            return Reason.DELETED
        after = [min(max(value + change, 0), COUNTER_MAX) for value, change in zip(values, changes, strict=True)]
        if after == list(values):
            return Reason.UNCHANGED
        self._keep(video, after, said)
        return None

    def _delete(self, video: str) -> Reason | None:
        _, deleted, said = self._video(video)
        if deleted:
            return Reason.UNCHANGED
        self._keep(video, _ZEROS, said, deleted=True)
        return None

    def _keep(self, video: str, values: Sequence[int], said: int, *, deleted: bool = False) -> None:
        score = min(sum(value * weight for value, weight in zip(values, WEIGHTS, strict=True)), COUNTER_MAX)
        columns: Mapping[str, int] = dict(zip(_COLUMNS, values, strict=True))
        version = self._next()
        self._tables.rows(
            "keep_video",
            tenant=self._tenant,
            video=video,
            score=score,
            deleted=deleted,
            version=version,
            **columns,
        )
        self._due(f"v{video}", max(self._now, said + STATS_MS))

    def _notify(self, write: Notify) -> Reason | None:
        id, tenant, user = note_id(write), self._tenant, write.user_id
        if self._tables.rows("has_note", tenant=tenant, user=user, id=id):
            return Reason.REPEAT
        place, stored = self._next(), record(id, write)
        self._tables.rows(
            "keep_note", tenant=tenant, user=user, place=place, id=id, category=write.category, record=stored
        )
        self._tables.rows("drop_notes", tenant=tenant, user=user, kept=NOTIFICATIONS)
        self._tell(user, self._tables.user(tenant, user), "notification", stored)
        return None

    def _read(self, write: Read) -> Written:
        user = write.user_id
        if write.notification_ids is None:
            marked = self._tables.changed("read_all", tenant=self._tenant, user=user)
        else:
            marked = self._tables.changed(
                "read_some", tenant=self._tenant, user=user, ids=_json(write.notification_ids)
            )
        if marked:
            self._keep_user(user, self._tables.user(self._tenant, user))
        return Written(reason=None if marked else Reason.UNCHANGED, marked=marked)

    def _tell(self, user: str, row: _User, type: str, data: bytes) -> None:
        """Keep the user's row, with a piece of news."""
        row.news += 1
        version = self._keep_user(user, row)
        slot = row.news % NEWS
        self._tables.rows("keep_news", tenant=self._tenant, user=user, slot=slot, version=version, type=type, data=data)

    def _keep_user(self, user: str, row: _User) -> int:
        version = self._next()
        self._tables.rows(
            "keep_user",
            tenant=self._tenant,
            user=user,
            likes=row.likes,
            follows=row.follows,
            news=row.news,
            version=version,
        )
        self._due(f"u{user}", self._now)
        return version

    def _due(self, member: str, at: int) -> None:
        self._tables.rows("make_due", tenant=self._tenant, member=member, at=at)

    def _next(self) -> int:
        self._version = max(self._version + 1, self._now)
        return self._version


def now_ms() -> int:
    """The time in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def _counts(values: Sequence[int]) -> Counts:
    views, likes, comments, remixes, glitches = values
    return Counts(
        view_count=views, like_count=likes, comment_count=comments, remix_count=remixes, glitch_count=glitches
    )


def _json(ids: Sequence[str]) -> str:
    return _encode(list(ids)).decode()
