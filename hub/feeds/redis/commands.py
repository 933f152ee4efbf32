"""The calls of `functions.lua`, as arguments and answers. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import msgspec

from statushub.hub.feeds.contract import (
    CLAIMED,
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
from statushub.hub.feeds.writes import AnyWrite, Count, Delete, Follow, Like, Notify

MAJOR: Final = 1
"""The library's major version. Its functions carry it in their names: another one has another form."""

MINOR: Final = 1
"""The library's minor version. It replaces a lower one on a server."""

FUNCTION: Final = f"statushubfeed{MAJOR}_"
"""What the names of the functions begin with."""

LIBRARY: Final = files("statushub.hub.feeds.redis").joinpath("functions.lua").read_text(encoding="utf-8")
"""The library's source, for `FUNCTION LOAD REPLACE`."""

Arg = str | bytes | int

VIDEO: Final = "v"
USER: Final = "u"
"""What a member of the set of what is due begins with."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a function: its name without the prefix, its keys, of which the first names the slot, and the rest."""

    function: str
    keys: Sequence[str]
    args: Sequence[Arg] = ()

    @property
    def command(self) -> list[Arg]:
        """The command and its arguments."""
        return ["FCALL", FUNCTION + self.function, len(self.keys), *self.keys, *self.args]


class Keys(msgspec.Struct, frozen=True):
    """The keys of a tenant, whose prefix this is."""

    prefix: str

    def __call__(self, kind: str, name: str | None = None) -> str:
        """The key of a kind, of a video or a user."""
        return f"{self.prefix}:feed:{kind}" if name is None else f"{self.prefix}:feed:{kind}:{name}"

    @property
    def shared(self) -> list[str]:
        """Those that every write touches."""
        return [self(kind) for kind in ("clock", "ids", "trending", "due")]


def tenants(root: str) -> str:
    """The key of the set of tenants that have feeds. It lies outside the tenants' own slots."""
    return f"{root}:feeds"


def write_call(key: Keys, writes: Sequence[AnyWrite]) -> Call:
    """The call that stores a batch."""
    keys, args = key.shared, list[Arg]()
    for write in writes:
        own, given = _write(key, write)
        keys += own
        args += (str(write.__struct_config__.tag), write.id or "", len(given), *given)
    return Call(function="write", keys=keys, args=args)


def _write(key: Keys, write: AnyWrite) -> tuple[list[str], list[Arg]]:
    """The keys and the arguments of a write."""
    match write:
        case Like():
            own = [key("likes", write.user_id), key("video", write.video_id), key("user", write.user_id)]
            return own, [write.user_id, write.video_id, int(write.liked), *news_of(write)]
        case Follow():
            own = [key("follows", write.user_id), key("user", write.user_id)]
            return own, [write.user_id, write.followed_id, int(write.following), *news_of(write)]
        case Count():
            return [key("video", write.video_id)], [write.video_id, *write.changes]
        case Delete():
            return [key("video", write.video_id)], [write.video_id]
        case Notify():
            id = note_id(write)
            own = [key(kind, write.user_id) for kind in ("notes", "noted", "unread", "user")]
            return own, [write.user_id, id, write.category, record(id, write)]
    own = [key("unread", write.user_id), key("user", write.user_id)]
    if write.notification_ids is None:
        return own, [write.user_id, "all"]
    return own, [write.user_id, "some", *write.notification_ids]


def written(answer: Sequence[int | bytes]) -> list[Written]:
    """The answer of `write`."""
    words = iter(answer)
    return [
        Written(reason=None if applied else Reason(_text(reason)), marked=int(marked))
        for applied, reason, marked in zip(words, words, words, strict=True)
    ]


def counts_call(key: Keys, videos: Sequence[str]) -> Call:
    """The call that reads counters."""
    return Call(function="counts", keys=[key("video", video) for video in videos])


def counts(answer: Sequence[Any]) -> list[Counts | None]:
    """The answer of `counts`."""
    return [_counts(stored) for stored in answer]


def trending_call(key: Keys, after: Trend | None, limit: int) -> Call:
    """The call that reads videos in the order of their counters."""
    place: list[Arg] = ["", ""] if after is None else [after.score, after.video]
    return Call(function="trending", keys=[key("trending")], args=[*place, limit])


def trending(answer: Sequence[bytes]) -> list[Trend]:
    """The answer of `trending`."""
    words = iter(answer)
    return [Trend(score=int(float(score)), video=_text(video)) for video, score in zip(words, words, strict=True)]


def notifications_call(key: Keys, user: str, category: str | None, before: int | None, limit: int) -> Call:
    """The call that reads a user's notifications."""
    keys = [key(kind, user) for kind in ("notes", "noted", "unread")]
    place = "+inf" if before is None else f"({before}"
    return Call(function="notifications", keys=keys, args=[place, limit, category or ""])


def notifications(answer: Sequence[Any]) -> list[Notification]:
    """The answer of `notifications`."""
    words = iter(answer)
    return [
        Notification(place=int(float(place)), record=stored, read=bool(read))
        for place, stored, read in zip(words, words, words, strict=True)
    ]


def due_call(key: Keys) -> Call:
    """The call that reads what is due."""
    return Call(function="due", keys=[key("due")], args=[CLAIMED])


def due(answer: Sequence[int | bytes]) -> tuple[int | None, list[str]]:
    """The answer of `due`: in how many milliseconds something is due, None for never; and what is."""
    next_ms, *members = answer
    return None if int(next_ms) < 0 else int(next_ms), [_text(member) for member in members]


def claim_call(key: Keys, members: Sequence[str]) -> Call:
    """The call that claims what is due."""
    keys = [key("due")]
    for member in members:
        kind, name = member[:1], member[1:]
        keys += [key("video", name)] * 2 if kind == VIDEO else [key("user", name), key("unread", name)]
    return Call(function="claim", keys=keys, args=members)


def claim(answer: Sequence[Any], next_ms: int | None) -> Claim:
    """The answer of `claim`."""
    videos: list[VideoNews] = []
    users: list[UserNews] = []
    for row in answer:
        member, token, version = _text(row[0]), int(row[1]), int(row[2])
        if member.startswith(VIDEO):
            videos.append(VideoNews(video=member[1:], token=token, version=version, counts=_counts(row[3])))
        else:
            news = _news(row[4])
            users.append(UserNews(user=member[1:], token=token, version=version, unread=int(row[3]), news=news))
    return Claim(videos=videos, users=users, next_ms=next_ms)


def _news(row: Sequence[Any]) -> list[News]:
    words = iter(row)
    found = []
    for slot, told in zip(words, words, strict=True):
        version, type, data = told.split(b"\t", 2)
        found.append(News(slot=int(slot), version=int(version), type=_text(type), data=data))
    return sorted(found, key=lambda it: it.version)


def done_call(key: Keys, claim: Claim) -> Call:
    """The call that says what was announced."""
    keys, args = [key("due")], list[Arg]()
    for video in claim.videos:
        keys.append(key("video", video.video))
        args += (VIDEO + video.video, video.token, video.version)
    for user in claim.users:
        keys.append(key("user", user.user))
        args += (USER + user.user, user.token, user.version)
    return Call(function="done", keys=keys, args=args)


def _counts(stored: Any) -> Counts | None:
    if not stored:
        return None
    views, likes, comments, remixes, glitches = (int(value or 0) for value in stored)
    return Counts(
        view_count=views, like_count=likes, comment_count=comments, remix_count=remixes, glitch_count=glitches
    )


def _text(value: bytes | str | int) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
