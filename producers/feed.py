"""Feeds as producers write them: `await Feed(producer).like("ann", "v1")`, one write or a batch in one request."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Final

from msgspec.structs import replace

from statushub.hub.feeds.contract import Written
from statushub.hub.feeds.writes import BATCH, AnyWrite, Count, Delete, Follow, Like, Notify, check_writes
from statushub.hub.model.errors import Invalid
from statushub.producers.handle import Handle
from statushub.producers.producer import Producer
from statushub.producers.sync import SyncProducer

ID_BYTES: Final = 12
"""Of the random id of a write that its caller does not name."""


class Batch:
    """Writes that are sent together. Each may have an `id`, with which it takes effect once, however often the program
    repeats it; otherwise it is named at random, so that the SDK can repeat it. Raises `Invalid` for an illegal one."""

    def __init__(self) -> None:
        self.writes: list[AnyWrite] = []

    def like(self, user: str, video: str, *, id: str | None = None) -> None:
        """The user likes the video; one that is liked already changes nothing."""
        self.add(Like(id=id, user_id=user, video_id=video))

    def unlike(self, user: str, video: str, *, id: str | None = None) -> None:
        """The user likes the video no longer."""
        self.add(Like(id=id, user_id=user, video_id=video, liked=False))

    def follow(self, user: str, followed: str, *, id: str | None = None) -> None:
        """The user follows the other one."""
        self.add(Follow(id=id, user_id=user, followed_id=followed))

    def unfollow(self, user: str, followed: str, *, id: str | None = None) -> None:
        """The user follows the other one no longer."""
        self.add(Follow(id=id, user_id=user, followed_id=followed, following=False))

    def count(
        self,
        video: str,
        *,
        views: int = 0,
        likes: int = 0,
        comments: int = 0,
        remixes: int = 0,
        glitches: int = 0,
        id: str | None = None,
    ) -> None:
        """Add to the counters of the video; none goes below zero. Likes of users are counted by `like`."""
        self.add(
            Count(
                id=id,
                video_id=video,
                views=views,
                likes=likes,
                comments=comments,
                remixes=remixes,
                glitches=glitches,
            )
        )

    def notify(self, user: str, category: str, *, id: str | None = None, **data: Any) -> None:
        """Notify the user; `data` are further fields of the notification."""
        self.add(Notify(id=id, user_id=user, category=category, data=data))

    def delete(self, video: str, *, id: str | None = None) -> None:
        """The video is deleted, for good."""
        self.add(Delete(id=id, video_id=video))

    def add(self, write: AnyWrite) -> None:
        """Any write. Raises `Invalid` where it is illegal."""
        check_writes([write])
        self.writes.append(write if write.id else replace(write, id=secrets.token_urlsafe(ID_BYTES)))


class Feed:
    """Writes into feeds, by an open `Producer`: over HTTP with the right to write `feed/**`, or straight into Redis.

    Each call is one request, and returns whether it changed something. What is not known to have arrived is repeated
    within the producer's patience. Raises `Invalid` for an illegal write, `BrokerUnavailable` where it was not
    delivered (it may have been: name an `id` where the program repeats it), `Denied`.
    """

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def like(self, user: str, video: str, *, id: str | None = None) -> bool:
        """As `Batch.like`."""
        return await self._one(_made("like", user, video, id=id))

    async def unlike(self, user: str, video: str, *, id: str | None = None) -> bool:
        """As `Batch.unlike`."""
        return await self._one(_made("unlike", user, video, id=id))

    async def follow(self, user: str, followed: str, *, id: str | None = None) -> bool:
        """As `Batch.follow`."""
        return await self._one(_made("follow", user, followed, id=id))

    async def unfollow(self, user: str, followed: str, *, id: str | None = None) -> bool:
        """As `Batch.unfollow`."""
        return await self._one(_made("unfollow", user, followed, id=id))

    async def count(self, video: str, *, id: str | None = None, **changes: int) -> bool:
        """As `Batch.count`: `count("v1", views=1)`."""
        return await self._one(_made("count", video, id=id, **changes))

    async def notify(self, user: str, category: str, *, id: str | None = None, **data: Any) -> bool:
        """As `Batch.notify`."""
        return await self._one(_made("notify", user, category, id=id, **data))

    async def delete(self, video: str, *, id: str | None = None) -> bool:
        """As `Batch.delete`."""
        return await self._one(_made("delete", video, id=id))

    async def write(self, batch: Batch) -> list[bool]:
        """Send a batch: up to 100 writes in one request, which are stored all or none; more in further requests.
        Returns of each whether it changed something."""
        return [written for part in _parts(batch) for written in _applied(await self._sent(part))]

    async def _one(self, batch: Batch) -> bool:
        return (await self.write(batch))[0]

    async def _sent(self, writes: Sequence[AnyWrite]) -> list[Written]:
        return await asyncio.wrap_future(self._producer.fed(writes))


class SyncFeed:
    """A `Feed` for ordinary code, by an open `SyncProducer`."""

    def __init__(self, producer: SyncProducer) -> None:
        self._producer: Handle = producer

    def like(self, user: str, video: str, *, id: str | None = None) -> bool:
        """As `Batch.like`."""
        return self._one(_made("like", user, video, id=id))

    def unlike(self, user: str, video: str, *, id: str | None = None) -> bool:
        """As `Batch.unlike`."""
        return self._one(_made("unlike", user, video, id=id))

    def follow(self, user: str, followed: str, *, id: str | None = None) -> bool:
        """As `Batch.follow`."""
        return self._one(_made("follow", user, followed, id=id))

    def unfollow(self, user: str, followed: str, *, id: str | None = None) -> bool:
        """As `Batch.unfollow`."""
        return self._one(_made("unfollow", user, followed, id=id))

    def count(self, video: str, *, id: str | None = None, **changes: int) -> bool:
        """As `Batch.count`."""
        return self._one(_made("count", video, id=id, **changes))

    def notify(self, user: str, category: str, *, id: str | None = None, **data: Any) -> bool:
        """As `Batch.notify`."""
        return self._one(_made("notify", user, category, id=id, **data))

    def delete(self, video: str, *, id: str | None = None) -> bool:
        """As `Batch.delete`."""
        return self._one(_made("delete", video, id=id))

    def write(self, batch: Batch) -> list[bool]:
        """As `Feed.write`."""
        return [written for part in _parts(batch) for written in _applied(self._sent(part).result())]

    def _one(self, batch: Batch) -> bool:
        return self.write(batch)[0]

    def _sent(self, writes: Sequence[AnyWrite]) -> Future[list[Written]]:
        return self._producer.fed(writes)


def _made(kind: str, *named: str, id: str | None, **more: Any) -> Batch:
    batch = Batch()
    try:
        getattr(batch, kind)(*named, id=id, **more)
    except TypeError as error:
        raise Invalid(f"{kind}: {error}", field=kind) from error
    return batch


def _parts(batch: Batch) -> list[list[AnyWrite]]:
    return [batch.writes[start : start + BATCH] for start in range(0, len(batch.writes), BATCH)]


def _applied(written: Sequence[Written]) -> list[bool]:
    return [it.applied for it in written]
