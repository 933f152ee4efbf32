"""The accounts, and what the sync stores of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from statushub.producers.instagram.answers import Comment, Media, Profile, Reply, moment, name, stored, word
from statushub.producers.instagram.database import Tables, write
from statushub.producers.instagram.graph import Account
from statushub.producers.instagram.tables import ACCOUNTS, COMMENTS, INSIGHTS, MEDIA, PROFILES

Row = dict[str, Any]


class Refusal(Exception):
    """Raised where the token of an account was refused before, and has not changed."""


class AccountStore:
    """The accounts of users, with their tokens. Each method raises `Tables.unavailable`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def users(self) -> list[int]:
        """The users whose accounts may be synced, in order: those with a token that was not refused."""

        async def work(connection: AsyncConnection) -> list[int]:
            rows = await connection.execute(select(ACCOUNTS).order_by(ACCOUNTS.c.user_no))
            return [row.user_no for row in rows if row.access_token and row.refused_token != _digest(row.access_token)]

        return await self._tables.run(work)

    async def account(self, user_no: int) -> Account | None:
        """The account of a user; None where there is none. Raises `Refusal`."""

        async def work(connection: AsyncConnection) -> Any:
            return (await connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.user_no == user_no))).first()

        row = await self._tables.run(work)
        if row is None or not row.access_token:
            return None
        if row.refused_token == _digest(row.access_token):
            raise Refusal(f"the token was refused at {row.refused_at:%Y-%m-%d %H:%M} UTC: {row.refused_reason}")
        return Account(user_no=user_no, ig_user_id=row.ig_user_id, token=row.access_token)

    async def refuse(self, account: Account, reason: str) -> None:
        """Mark the token of an account as refused: it is not used again, another one is."""
        statement = (
            update(ACCOUNTS)
            .where(ACCOUNTS.c.user_no == account.user_no)
            .values(refused_token=_digest(account.token), refused_reason=reason, refused_at=datetime.now(UTC))
        )

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self._tables.run(work)


class ResultStore:
    """What was read of accounts. What is stored again replaces what is there."""

    def __init__(self, tables: Tables, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._tables = tables
        self._now = now

    async def profile(self, user_no: int, profile: Profile) -> None:
        """Store a profile."""
        texts = {field: _text(getattr(profile, field)) for field in ("biography", "website", "profile_picture_url")}
        counts = {field: getattr(profile, field) for field in ("followers_count", "follows_count", "media_count")}
        names = {"username": name(profile.username), "name": name(profile.name)}
        await self._write(PROFILES, [{"user_no": user_no, "ig_user_id": profile.id, **names, **texts, **counts}])

    async def media(self, user_no: int, media: Sequence[Media]) -> None:
        """Store posts."""
        await self._write(MEDIA, [_media(user_no, each) for each in media])

    async def media_since(self, user_no: int, since: datetime) -> list[str]:
        """The ids of the stored posts of a user since then, the newest first."""
        statement = (
            select(MEDIA.c.id)
            .where(MEDIA.c.user_no == user_no, MEDIA.c.timestamp >= since)
            .order_by(MEDIA.c.timestamp.desc())
        )

        async def work(connection: AsyncConnection) -> list[str]:
            return [row.id for row in await connection.execute(statement)]

        return await self._tables.run(work)

    async def comments(self, user_no: int, comments: Sequence[tuple[str, Comment]]) -> int:
        """Store comments, each with the post that it is on, and the replies that they have with them; returns how
        many."""
        rows = []
        for media_id, comment in comments:
            replies = comment.replies.data if comment.replies else ()
            rows.append(_comment(user_no, media_id, comment, None))
            rows += [_comment(user_no, media_id, reply, comment.id) for reply in replies]
        await self._write(COMMENTS, rows)
        return len(rows)

    async def insights(self, user_no: int, rows: Sequence[Row]) -> None:
        """Store values of metrics: `metric`, `period`, `starts_at`, `ends_at`, `value`."""
        await self._write(INSIGHTS, [{"user_no": user_no, **row} for row in rows])

    async def _write(self, table: Table, rows: Sequence[Row]) -> None:
        if not rows:
            return
        now = self._now()
        timed = [{**row, "synced_at": now} for row in rows]
        await self._tables.run(lambda connection: write(connection, table, timed))


def _media(user_no: int, media: Media) -> Row:
    return {
        "user_no": user_no,
        "id": media.id,
        "media_type": word(media.media_type),
        "media_product_type": word(media.media_product_type),
        **{field: _text(getattr(media, field)) for field in ("caption", "media_url", "permalink", "thumbnail_url")},
        "timestamp": moment(media.timestamp),
        "like_count": media.like_count,
        "comments_count": media.comments_count,
    }


def _comment(user_no: int, media_id: str, comment: Reply, parent_id: str | None) -> Row:
    return {
        "user_no": user_no,
        "id": comment.id,
        "media_id": media_id,
        "parent_id": parent_id,
        "username": name(comment.username),
        "text": _text(comment.text),
        "like_count": comment.like_count,
        "timestamp": moment(comment.timestamp),
    }


def _text(said: str | None) -> str | None:
    return None if said is None else stored(said)


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
