"""What writes are stored as: the records of notifications, and the news of users. No I/O."""

from __future__ import annotations

import secrets
from typing import Final

import msgspec

from statushub.hub.feeds.contract import Kind
from statushub.hub.feeds.writes import Follow, Like, Notify
from statushub.hub.model.timestamp import timestamp

ID_BYTES: Final = 9
"""Of the random id of a notification that has none."""

_encode = msgspec.json.Encoder().encode


def note_id(write: Notify) -> str:
    """The id of the notification."""
    return write.id or secrets.token_urlsafe(ID_BYTES)


def record(id: str, write: Notify) -> bytes:
    """The fields of the notification, without whether it was read."""
    return _encode({"id": id, "category": write.category, "created_at": timestamp(), **write.data})


def read_record(stored: bytes, *, read: bool) -> bytes:
    """The same, with whether it was read."""
    return b'{"read":%b,%b' % (b"true" if read else b"false", stored[1:])


def news_of(write: Like | Follow) -> tuple[Kind, bytes]:
    """The type and the data of what a user's other tabs are told."""
    if isinstance(write, Like):
        return "liked", _encode({"video_id": write.video_id, "liked": write.liked})
    return "followed", _encode({"user_id": write.followed_id, "following": write.following})
