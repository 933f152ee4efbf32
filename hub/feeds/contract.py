"""What a store of feeds promises: `FeedStore`. Its obligations are kept by every store, and tested over each.

**Sets and counters.** A like moves the user's set and the video's count together; one that is already there changes
nothing. A counter never goes below zero. A deleted video stays deleted: its counters are gone, it is counted and liked
no more, and an unlike only takes it out of the user's set.

**Batches** are atomic: either all of their writes are stored or none is, and they are one round trip.

**Ids.** A write with an id takes effect at most once. The latest `IDS` ids of a tenant are remembered, for a day at
most; a producer that repeats a write later than that writes it again. A notification whose id the user still has is
never stored twice.

**Notifications.** A user has the latest `NOTIFICATIONS`; an older one goes, read or not.

**Time.** What was written when a call returns survives what the broker's contents survive.

**News.** Each write notes what has to be announced: a video whose counters changed, at most once in `STATS_MS`, and a
user with news of their own, of which the latest `NEWS` are kept until they were announced. `claim` gives what is due
to one hub, which announces it and says so by `done`. What is not done after `CLAIM_MS` is due again.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from types import TracebackType
from typing import Final, Literal, Protocol, Self

import msgspec

from statushub.hub.feeds.writes import AnyWrite

LIKES: Final = 100_000
"""Most videos that a user likes, and users that one follows: some 10 MB of the store's memory."""

NOTIFICATIONS: Final = 1_000
"""Notifications of a user that are kept: as many as a user scrolls through, and a megabyte at most of usual ones."""

IDS: Final = 100_000
"""Ids of writes that are remembered for each tenant: 10 MB, and 20 s of 5,000 writes a second."""

IDS_MS: Final = 24 * 3600 * 1000
"""For how long an id is remembered: longer than a producer tries to deliver."""

STATS_MS: Final = 1_000
"""Least time between two announcements of a video's counters."""

CLAIM_MS: Final = 5_000
"""After which what a hub has claimed and not announced is due again: the hub may have stopped."""

NEWS: Final = 20
"""News of a user that are kept: what comes in a burst, or while no hub runs. The lists have the rest."""

CLAIMED: Final = 100
"""Most videos and users of one claim."""

TRENDING: Final = 10_000
"""Videos of which the order by their counters is kept."""

WEIGHTS: Final = (1, 10, 20, 30, 30)
"""What a view, a like, a comment, a remix and a glitch count for in that order."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The counters of a video."""

    view_count: int = 0
    like_count: int = 0
    comment_count: int = 0
    remix_count: int = 0
    glitch_count: int = 0


class Reason(StrEnum):
    """Why a write changed nothing."""

    REPEAT = "repeat"
    """Its id was written before."""
    UNCHANGED = "unchanged"
    """Everything was so already."""
    DELETED = "deleted"
    """The video is deleted."""
    FULL = "full"
    """The user likes, or follows, as many as they may."""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a write: the reason where it changed nothing; and how many notifications it marked as read."""

    reason: Reason | None = None
    marked: int = 0

    @property
    def applied(self) -> bool:
        """Whether it changed something."""
        return self.reason is None


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A notification: its place among the tenant's, its fields as JSON, and whether it was read."""

    place: int
    record: bytes
    read: bool


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """A video in the order of the counters."""

    score: int
    video: str


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a user: in one of `NEWS` slots, at a version, as the data of an event of this type."""

    slot: int
    version: int
    type: str
    data: bytes


class VideoNews(msgspec.Struct, frozen=True, kw_only=True):
    """A video whose counters are to be announced; None where it is deleted."""

    video: str
    token: int
    version: int
    counts: Counts | None


class UserNews(msgspec.Struct, frozen=True, kw_only=True):
    """A user with news to announce: all that are not done, in the order of their versions."""

    user: str
    token: int
    version: int
    unread: int
    news: list[News]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What one hub is to announce, and in how many milliseconds more is due; None where nothing is waiting."""

    videos: list[VideoNews]
    users: list[UserNews]
    next_ms: int | None


class FeedStore(Protocol):
    """A store of feeds: an async context manager. Each call raises `BrokerUnavailable` where it cannot be answered;
    a write may be stored then."""

    shared: bool
    """Whether others than this process write into it."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def write(self, tenant: str, writes: Sequence[AnyWrite]) -> list[Written]:
        """Store up to `BATCH` writes in their order, all or none."""

    async def liked(self, tenant: str, user: str, videos: Sequence[str]) -> list[bool]:
        """Whether the user likes each of these videos."""

    async def followed(self, tenant: str, user: str, users: Sequence[str]) -> list[bool]:
        """Whether the user follows each of these users."""

    async def counts(self, tenant: str, videos: Sequence[str]) -> list[Counts | None]:
        """The counters of each of these videos, zeros for one that is unknown; None for one that is deleted."""

    async def trending(self, tenant: str, after: Trend | None, limit: int) -> list[Trend]:
        """Up to `limit` videos with counters, in the order of these, the highest first, behind a place."""

    async def notifications(
        self, tenant: str, user: str, *, category: str | None = None, before: int | None = None, limit: int
    ) -> list[Notification]:
        """Up to `limit` notifications of a user, the newest first, of a category, and before a place."""

    async def unread(self, tenant: str, user: str) -> int:
        """How many notifications of the user are not read."""

    async def tenants(self) -> list[str]:
        """Tenants that may have something to announce."""

    async def claim(self, tenant: str) -> Claim:
        """Up to `CLAIMED` that are due and that no other hub has claimed."""

    async def done(self, tenant: str, claim: Claim) -> None:
        """This was announced. What was written since is due by itself."""


Kind = Literal["liked", "followed", "notification"]
"""The types of a user's news."""
