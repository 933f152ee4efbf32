"""Writing into feeds: a user's own likes, follows and views; and anything, by producers."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.feed_access import feeds_of, reader_of, user_of
from statushub.hub.feeds.contract import Reason, Written
from statushub.hub.feeds.writes import (
    BATCH,
    ID_CHARACTERS,
    USER_CHARACTERS,
    AnyWrite,
    Count,
    Follow,
    Like,
    check_id,
    check_writes,
)
from statushub.hub.http.body import read_json
from statushub.hub.http.client import address_of, identify
from statushub.hub.http.response import json_response
from statushub.hub.http.route import Route
from statushub.hub.http.state import feed_limiter_of, producer_limiter_of
from statushub.hub.model.errors import Invalid, NotFound
from statushub.hub.model.feed_names import FEED_CHANNEL

BODY_BYTES: Final = 1024 * 1024
"""Largest body of a batch: 100 notifications of the largest size, and their escapes."""


class LikeState(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Whether the user likes the video now, and whether this request changed that."""

    video_id: str
    liked: bool
    changed: bool


class FollowState(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Whether the user follows the other one now, and whether this request changed that."""

    user_id: str
    following: bool
    changed: bool


class Viewed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The view is counted."""

    video_id: str
    counted: Annotated[bool, msgspec.Meta(extra_json_schema={"const": True})] = True


class FeedWrites(msgspec.Struct, forbid_unknown_fields=True):
    """Writes, which are stored in their order, all or none."""

    writes: Annotated[list[AnyWrite], msgspec.Meta(min_length=1, max_length=BATCH)]


class FeedWritten(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What became of a write: the reason is null where it changed something."""

    applied: bool
    reason: Reason | None


class FeedResults(msgspec.Struct, forbid_unknown_fields=True):
    """What became of each write, in their order."""

    results: Annotated[list[FeedWritten], msgspec.Meta(min_length=1, max_length=BATCH)]


_decoder = msgspec.json.Decoder(FeedWrites)


async def like(request: Request) -> Response:
    """PUT and DELETE /v1/likes/{video_id}"""
    feeds_of(request)
    identity, user = await user_of(request, writes=True)
    video, liked = _named(request, "video_id", ID_CHARACTERS), request.method == "PUT"
    written = await _write(request, identity.tenant, user, Like(user_id=user, video_id=video, liked=liked))
    return json_response(LikeState(video_id=video, liked=liked, changed=written.applied))


async def follow(request: Request) -> Response:
    """PUT and DELETE /v1/follows/{user_id}"""
    feeds_of(request)
    identity, user = await user_of(request, writes=True)
    followed, following = _named(request, "user_id", USER_CHARACTERS), request.method == "PUT"
    write = Follow(user_id=user, followed_id=followed, following=following)
    written = await _write(request, identity.tenant, user, write)
    return json_response(FollowState(user_id=followed, following=following, changed=written.applied))


async def view(request: Request) -> Response:
    """POST /v1/videos/{id}/view: by any client that may read the feed."""
    feeds_of(request)
    identity = await reader_of(request)
    video = _named(request, "id", ID_CHARACTERS)
    viewer = identity.publisher if identity.sub or identity.jti else None
    await _write(request, identity.tenant, viewer or address_of(request), Count(video_id=video, views=1))
    return json_response(Viewed(video_id=video))


async def write(request: Request) -> Response:
    """POST /v1/feed/writes: a batch of a producer's, whose token writes `feed/**`."""
    feeds = feeds_of(request)
    identity = await identify(request)
    identity.check_write(FEED_CHANNEL, "writes")
    limiter, producer = producer_limiter_of(request), identity.publisher or address_of(request)
    limiter.check(identity.tenant, producer)
    writes = (await read_json(request, _decoder, limit=BODY_BYTES)).writes
    check_writes(writes)
    limiter.take(identity.tenant, producer, len(writes))
    written = await feeds.write(identity.tenant, writes)
    results = [FeedWritten(applied=it.applied, reason=it.reason) for it in written]
    return json_response(FeedResults(results=results))


async def _write(request: Request, tenant: str, viewer: str, write: Like | Follow | Count) -> Written:
    """Raises `TooManyRequests` where the viewer writes too fast, `NotFound` where the video is deleted."""
    feed_limiter_of(request).take(tenant, viewer)
    [written] = await feeds_of(request).write(tenant, [write])
    if written.reason is Reason.DELETED:
        raise NotFound("the video is deleted", field="video_id")
    if written.reason is Reason.FULL:
        raise Invalid("the list of this user is full", field="user_id", limit="feed_list")
    return written


def _named(request: Request, name: str, most: int) -> str:
    value: str = request.path_params[name]
    check_id(value, name, most)
    return value


routes: Final = [
    Route("/v1/likes/{video_id:path}", like, methods=["PUT", "DELETE"]),
    Route("/v1/follows/{user_id:path}", follow, methods=["PUT", "DELETE"]),
    Route("/v1/videos/{id:path}/view", view, methods=["POST"]),
    Route("/v1/feed/writes", write, methods=["POST"]),
]
"""To be added behind the other routes of feeds, whose paths these take, too."""
