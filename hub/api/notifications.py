"""The notifications of the token's user."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.answers import array
from statushub.hub.api.feed_access import NO_STORE, feeds_of, place_of, place_text, user_of
from statushub.hub.api.fields import Count, lines_of
from statushub.hub.feeds.news import read_record
from statushub.hub.feeds.writes import BATCH, CATEGORY_CHARACTERS, Read, check_id, check_ids
from statushub.hub.http.body import POLL_BODY_BYTES, read_json
from statushub.hub.http.client import admit_reader
from statushub.hub.http.query import limit_of, query_value
from statushub.hub.http.response import json_response
from statushub.hub.http.route import Route
from statushub.hub.http.state import feed_limiter_of

PAGE: Final = 20
"""Notifications of a page, where no other number is asked for."""


class Notifications(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A page of notifications, the newest first. `next_cursor` is null on the last page."""

    notifications: Annotated[msgspec.Raw, lines_of("Notification")]
    next_cursor: str | None
    has_more: bool


class UnreadCount(msgspec.Struct, forbid_unknown_fields=True):
    """How many notifications are not read."""

    unread_count: Count


class NotificationIds(msgspec.Struct, forbid_unknown_fields=True):
    """The notifications that were read."""

    notification_ids: Annotated[list[str], msgspec.Meta(max_length=BATCH)]


class Marked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How many notifications were not read, and are now."""

    marked_count: Count
    success: Annotated[bool, msgspec.Meta(extra_json_schema={"const": True})] = True


_decoder = msgspec.json.Decoder(NotificationIds)


async def notifications(request: Request) -> Response:
    """`{"notifications":[…],"next_cursor","has_more"}`, the newest first."""
    feeds = feeds_of(request)
    identity, user = await user_of(request)
    limit = limit_of(request, BATCH) if query_value(request, "limit") else PAGE
    category = query_value(request, "category") or None
    check_id(category, "category", CATEGORY_CHARACTERS)
    place = place_of(request, "n", tuple[str, int])
    before = None if place is None else place[1]
    spend = admit_reader(request, identity)
    found = await feeds.store.notifications(identity.tenant, user, category=category, before=before, limit=limit + 1)
    page, more = found[:limit], len(found) > limit
    spend(len(page))
    return json_response(
        Notifications(
            notifications=array(read_record(it.record, read=it.read) for it in page),
            next_cursor=place_text("n", page[-1].place) if more else None,
            has_more=more,
        ),
        headers=NO_STORE,
    )


async def unread_count(request: Request) -> Response:
    """`{"unread_count":n}`"""
    feeds = feeds_of(request)
    identity, user = await user_of(request)
    admit_reader(request, identity)(1)
    return json_response(UnreadCount(unread_count=await feeds.store.unread(identity.tenant, user)), headers=NO_STORE)


async def batch_mark_read(request: Request) -> Response:
    """`{"marked_count","success":true}`: those already read, unknown or of others do not count."""
    feeds_of(request)
    identity, user = await user_of(request, writes=True)
    asked: list[str] = (await read_json(request, _decoder, limit=POLL_BODY_BYTES)).notification_ids
    check_ids(asked, "notification_ids")
    return await _marked(request, identity.tenant, Read(user_id=user, notification_ids=asked))


async def mark_all_read(request: Request) -> Response:
    """The same of all of the user's."""
    feeds_of(request)
    identity, user = await user_of(request, writes=True)
    return await _marked(request, identity.tenant, Read(user_id=user))


async def _marked(request: Request, tenant: str, read: Read) -> Response:
    feed_limiter_of(request).take(tenant, read.user_id)
    [written] = await feeds_of(request).write(tenant, [read])
    return json_response(Marked(marked_count=written.marked))


routes: Final[list[Any]] = [
    *(Route(f"/v1/notifications{slash}", notifications) for slash in ("/", "")),
    Route("/v1/notifications/unread-count", unread_count),
    Route("/v1/notifications/batch-mark-read", batch_mark_read, methods=["POST"]),
    Route("/v1/notifications/mark-all-read", mark_all_read, methods=["POST"]),
]
