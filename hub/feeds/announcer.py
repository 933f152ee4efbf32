"""Announces what is written into feeds: the counters of videos, and the news of users, as ordinary publications.

A video's counters are announced once a second at most, over all hubs; each hub claims what it announces.
"""

from __future__ import annotations

import logging
import time
from hashlib import blake2b
from typing import Any, Final

import anyio
import msgspec

from statushub.hub.brokers.contract import Broker
from statushub.hub.feeds.contract import Claim, FeedStore, News, UserNews, VideoNews
from statushub.hub.model.errors import BrokerUnavailable, Invalid
from statushub.hub.model.feed_names import FEED_CHANNEL, stats_id, user_channel
from statushub.hub.model.publication import Publication, publication

LOOK_SECONDS: Final = 0.25
"""Between two looks at a store that others write into, too: their news are told within that time."""

TENANTS_SECONDS: Final = 5.0
"""Between two reads of which tenants there are."""

PAUSE_SECONDS: Final = 1.0
"""After a failure of the store or the broker."""

RETENTION_SECONDS: Final = 3600.0
"""For how long an announcement is kept: pages read at first what there is, and only what changes from their channels.
So these hold what has changed within the hour."""

SUB_BYTES: Final = 8
"""Of the hash of a user in the ids of their news: a content's id may be shorter than a user's."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode

logger = logging.getLogger(__name__)


class Announcer:
    """Announces what is due in a store, until cancelled."""

    def __init__(self, store: FeedStore, broker: Broker) -> None:
        self._store = store
        self._broker = broker
        # When each tenant is looked at next, on the monotonic clock.
        self._looks: dict[str, float] = {}
        self._woken = anyio.Event()

    def wake(self, tenant: str) -> None:
        """Something was written for this tenant."""
        self._looks[tenant] = 0.0
        self._woken.set()

    async def run(self) -> None:
        """Announce until cancelled."""
        listed_at = -TENANTS_SECONDS
        while True:
            try:
                if self._store.shared or not self._looks:
                    now = time.monotonic()
                    if now - listed_at >= TENANTS_SECONDS:
                        listed_at = now
                        for tenant in await self._store.tenants():
                            self._looks.setdefault(tenant, 0.0)
                await self._look()
            except BrokerUnavailable as error:
                logger.info("feeds are announced later: %s", error.message)
                await anyio.sleep(PAUSE_SECONDS)
            except Exception:
                logger.exception("feeds are announced later")
                await anyio.sleep(PAUSE_SECONDS)

    async def _look(self) -> None:
        """Look at the tenants that are to be looked at now; else wait until one is, or one is woken."""
        soonest = min(self._looks.values(), default=time.monotonic() + TENANTS_SECONDS)
        with anyio.move_on_after(max(soonest - time.monotonic(), 0.0)):
            await self._woken.wait()
        self._woken = anyio.Event()
        now = time.monotonic()
        for tenant in [tenant for tenant, at in self._looks.items() if at <= now]:
            # Before the claim: what is written meanwhile wakes it again.
            self._looks[tenant] = now + LOOK_SECONDS
            claim = await self._store.claim(tenant)
            await self._announce(tenant, claim)
            self._plan(tenant, claim)

    def _plan(self, tenant: str, claim: Claim) -> None:
        if self._looks[tenant] == 0.0:
            return  # woken
        now = time.monotonic()
        if claim.videos or claim.users:
            # There may be more, or what was claimed is due again.
            self._looks[tenant] = now
        elif self._store.shared:
            next_ms = LOOK_SECONDS * 1000 if claim.next_ms is None else claim.next_ms
            self._looks[tenant] = now + min(next_ms / 1000, LOOK_SECONDS)
        elif claim.next_ms is None:
            del self._looks[tenant]
        else:
            self._looks[tenant] = now + claim.next_ms / 1000

    async def _announce(self, tenant: str, claim: Claim) -> None:
        publications = [it for video in claim.videos if (it := stats(video)) is not None]
        for user in claim.users:
            publications += news(user)
        if publications:
            await self._broker.publish(tenant, publications, retention=RETENTION_SECONDS)
        deleted = [stats_id(video.video) for video in claim.videos if video.counts is None]
        if deleted:
            await self._broker.remove(tenant, FEED_CHANNEL, deleted)
        if claim.videos or claim.users:
            await self._store.done(tenant, claim)


def stats(video: VideoNews) -> Publication | None:
    """A video's counters, ordered by their version: one that comes late changes nothing. None for one that is deleted,
    or whose id no content can have."""
    if video.counts is None:
        return None
    counters = msgspec.to_builtins(video.counts)
    try:
        return publication(
            channel=FEED_CHANNEL,
            content_id=stats_id(video.video),
            type="stats_update",
            data={"status": "idle", "video_id": video.video, **counters},
            seq=video.version,
        )
    except Invalid:
        return None


def news(user: UserNews) -> list[Publication]:
    """What a user's tabs are told; nothing where no channel can have their name."""
    channel = user_channel(user.user)
    try:
        return [
            *(_told(channel, user.user, it) for it in user.news),
            publication(
                channel=channel,
                content_id=f"unread:{_short(user.user)}",
                type="unread_count",
                data={"status": "idle", "unread_count": user.unread},
                seq=user.version,
            ),
        ]
    except Invalid:
        return []


def _told(channel: str, user: str, it: News) -> Publication:
    """One of the latest news: a content for each slot, so that a tab that opens is told no more than these."""
    fields = _decode(it.data)
    if it.type == "notification":
        fields["read"] = False
    return publication(
        channel=channel,
        content_id=f"news:{_short(user)}:{it.slot}",
        type=it.type,
        data={"status": "idle", **fields},
        seq=it.version,
    )


def _short(user: str) -> str:
    return blake2b(user.encode(), digest_size=SUB_BYTES).hexdigest()
