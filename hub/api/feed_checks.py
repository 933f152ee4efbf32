"""What a page asks of all its videos and their users in one call each: liked, followed, and the counters."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.feed_access import NO_STORE, feeds_of, reader_of, user_of
from statushub.hub.feeds.contract import Counts
from statushub.hub.feeds.writes import BATCH, USER_CHARACTERS, check_ids
from statushub.hub.http.body import POLL_BODY_BYTES, read_json
from statushub.hub.http.client import admit_reader
from statushub.hub.http.response import json_response
from statushub.hub.http.route import Route

Ids = Annotated[list[str], msgspec.Meta(max_length=BATCH)]


class VideoIds(msgspec.Struct, forbid_unknown_fields=True):
    """The videos asked for."""

    video_ids: Ids


class UserIds(msgspec.Struct, forbid_unknown_fields=True):
    """The users asked for."""

    user_ids: Ids


class LikedVideos(msgspec.Struct, forbid_unknown_fields=True):
    """Whether the token's user likes each video."""

    liked_videos: dict[str, bool]


class FollowedUsers(msgspec.Struct, forbid_unknown_fields=True):
    """Whether the token's user follows each user."""

    following_users: dict[str, bool]


class VideoMetadata(msgspec.Struct, forbid_unknown_fields=True):
    """The counters of each video that is not deleted."""

    videos: dict[str, Counts]


_videos = msgspec.json.Decoder(VideoIds)
_users = msgspec.json.Decoder(UserIds)


async def check_likes(request: Request) -> Response:
    """`{"liked_videos":{id:true}}` for the token's user."""
    feeds = feeds_of(request)
    identity, user = await user_of(request)
    asked = (await read_json(request, _videos, limit=POLL_BODY_BYTES)).video_ids
    check_ids(asked, "video_ids")
    admit_reader(request, identity)(len(asked))
    liked = await feeds.store.liked(identity.tenant, user, asked)
    return json_response(LikedVideos(liked_videos=dict(zip(asked, liked, strict=True))), headers=NO_STORE)


async def check_follows(request: Request) -> Response:
    """`{"following_users":{id:false}}` for the token's user."""
    feeds = feeds_of(request)
    identity, user = await user_of(request)
    asked = (await read_json(request, _users, limit=POLL_BODY_BYTES)).user_ids
    check_ids(asked, "user_ids", USER_CHARACTERS)
    admit_reader(request, identity)(len(asked))
    followed = await feeds.store.followed(identity.tenant, user, asked)
    return json_response(FollowedUsers(following_users=dict(zip(asked, followed, strict=True))), headers=NO_STORE)


async def batch_metadata(request: Request) -> Response:
    """`{"videos":{id:{"view_count",…}}}`: zeros for an unknown video; a deleted one is left out."""
    feeds = feeds_of(request)
    identity = await reader_of(request)
    asked = (await read_json(request, _videos, limit=POLL_BODY_BYTES)).video_ids
    check_ids(asked, "video_ids")
    admit_reader(request, identity)(len(asked))
    counts = await feeds.store.counts(identity.tenant, asked)
    known = {video: each for video, each in zip(asked, counts, strict=True) if each is not None}
    return json_response(VideoMetadata(videos=known), headers=NO_STORE)


routes: Final = [
    Route("/v1/likes/check-batch", check_likes, methods=["POST"]),
    Route("/v1/follows/check-batch", check_follows, methods=["POST"]),
    Route("/v1/videos/batch-metadata", batch_metadata, methods=["POST"]),
]
