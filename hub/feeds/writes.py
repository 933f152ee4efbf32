"""What is written into a feed: likes, follows, counters, notifications, deleted videos. Checked, without I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec

from statushub.hub.model.errors import Invalid, TooLarge

BATCH: Final = 100
"""Most writes of one batch, and ids of one question: a few milliseconds of the store's time."""

ID_CHARACTERS: Final = 128
"""Longest id of a video, a write or a notification, as of contents."""

USER_CHARACTERS: Final = 256
"""Longest id of a user: the longest `sub` of a token."""

CATEGORY_CHARACTERS: Final = 64

DATA_BYTES: Final = 4096
"""Largest `data` of a notification, as JSON: a sentence, a link and a picture's address, in some languages."""

COUNTER_MAX: Final = 2**53 - 1
"""Largest count, and largest change of one: JavaScript knows no larger integers."""

OWN_FIELDS: Final = frozenset(
    {
        "id",
        "category",
        "read",
        "created_at",
        "type",
        "status",
        "processing_status",
        "content_id",
        "channel_id",
        "timestamp",
    }
)
"""Fields that a notification, or its event, has anyway: its data may not have them."""

CHANGES: Final = ("views", "likes", "comments", "remixes", "glitches")
"""The fields of a `Count`, in the order of `Counts`."""

_MOST: Final = {"user_id": USER_CHARACTERS, "followed_id": USER_CHARACTERS, "category": CATEGORY_CHARACTERS}

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_CHARACTERS)]
UserId = Annotated[str, msgspec.Meta(min_length=1, max_length=USER_CHARACTERS)]
Change = Annotated[int, msgspec.Meta(ge=-COUNTER_MAX, le=COUNTER_MAX)]


class Write(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="op"):
    """A write. One with an `id` takes effect once, however often it is sent."""

    id: Id | None = None


class Like(Write, frozen=True, kw_only=True, tag="like"):
    """The user likes the video, or no longer does; the video's count follows."""

    user_id: UserId
    video_id: Id
    liked: bool = True


class Follow(Write, frozen=True, kw_only=True, tag="follow"):
    """The user follows another one, or no longer does."""

    user_id: UserId
    followed_id: UserId
    following: bool = True


class Count(Write, frozen=True, kw_only=True, tag="count"):
    """By how much the counters of a video change; none of them goes below zero."""

    video_id: Id
    views: Change = 0
    likes: Change = 0
    comments: Change = 0
    remixes: Change = 0
    glitches: Change = 0

    @property
    def changes(self) -> tuple[int, int, int, int, int]:
        """In the order of `Counts`."""
        return self.views, self.likes, self.comments, self.remixes, self.glitches


class Delete(Write, frozen=True, kw_only=True, tag="delete"):
    """The video is deleted, for good: it has no counters, and is not liked any more."""

    video_id: Id


class Notify(Write, frozen=True, kw_only=True, tag="notify"):
    """The user is notified. The `id` is that of the notification, too; `data` are its further fields."""

    user_id: UserId
    category: Annotated[str, msgspec.Meta(min_length=1, max_length=CATEGORY_CHARACTERS)]
    data: dict[str, Any] = {}


class Read(Write, frozen=True, kw_only=True, tag="read"):
    """The user has read these notifications, or all of them."""

    user_id: UserId
    notification_ids: Annotated[list[Id], msgspec.Meta(max_length=BATCH)] | None = None


AnyWrite = Like | Follow | Count | Delete | Notify | Read


def check_writes(writes: Sequence[AnyWrite], field: str = "writes") -> None:
    """Raise `Invalid` naming the field of the first write that cannot be stored, such as `writes[3].video_id`."""
    if not 1 <= len(writes) <= BATCH:
        raise Invalid(f"{field} must be 1 to {BATCH} writes, not {len(writes)}", field=field)
    for index, write in enumerate(writes):
        for name in ("id", "user_id", "video_id", "followed_id", "category"):
            check_id(getattr(write, name, None), f"{field}[{index}].{name}", _MOST.get(name, ID_CHARACTERS))
        if isinstance(write, Count):
            for name, change in zip(CHANGES, write.changes, strict=True):
                _check_change(change, f"{field}[{index}].{name}")
        if isinstance(write, Notify):
            _check_data(write.data, f"{field}[{index}].data")
        if isinstance(write, Read):
            for place, id in enumerate(write.notification_ids or ()):
                check_id(id, f"{field}[{index}].notification_ids[{place}]")


def _check_change(change: object, field: str) -> None:
    if isinstance(change, bool) or not isinstance(change, int) or abs(change) > COUNTER_MAX:
        raise Invalid(f"{field} must be a whole number, at most {COUNTER_MAX} either way", field=field)


def check_id(value: str | None, field: str, most: int = USER_CHARACTERS) -> None:
    """Raise `Invalid` naming `field` where an id is empty, too long, or holds what is not printable."""
    if value is None:
        return
    if not isinstance(value, str):
        raise Invalid(f"{field} must be a text", field=field)
    if not 1 <= len(value) <= most:
        raise Invalid(f"{field} must have 1 to {most} characters", field=field)
    if not value.isprintable():
        raise Invalid(f"{field} may have only printable characters", field=field)


def check_ids(values: Sequence[str], field: str, most: int = ID_CHARACTERS) -> None:
    """`check_id` of each of them."""
    for index, value in enumerate(values):
        check_id(value, f"{field}[{index}]", most)


def _check_data(data: dict[str, Any], field: str) -> None:
    if own := OWN_FIELDS & data.keys():
        name = min(own)
        raise Invalid(f"{field} may not have the field {name!r}, which each notification has", field=f"{field}.{name}")
    try:
        size = len(msgspec.json.encode(data))
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"{field} is not JSON: {error}", field=field) from error
    if size > DATA_BYTES:
        raise TooLarge(f"{field} has {size} bytes as JSON; at most {DATA_BYTES} are allowed", field=field)
