"""A page of the feed: the videos of the system of record, or of the hub where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.feed_access import NO_STORE, feeds_of, place_of, place_text, reader_of
from statushub.hub.feeds.contract import Trend
from statushub.hub.http.client import admit_reader
from statushub.hub.http.query import limit_of, query_value
from statushub.hub.http.response import json_response
from statushub.hub.http.route import Route
from statushub.hub.http.state import config_of, hub_of
from statushub.hub.model import status
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, Invalid
from statushub.hub.model.event import Event
from statushub.hub.model.vocabulary import Phase
from statushub.hub.replicas.polls import PageRequest
from statushub.hub.sources.row import Position

PAGE: Final = 20
"""Videos of a page, where no other number is asked for."""

PAGE_MAX: Final = 100

SORTS: Final = ("new", "trending")


class FeedUser(msgspec.Struct):
    """The user of a video."""

    id: str | None


class FeedVideo(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A video, with what the record says of it that the public may see. Its other fields are not the public's."""

    id: str
    user: FeedUser
    title: Any = msgspec.UNSET
    description: Any = msgspec.UNSET
    category: Any = msgspec.UNSET
    url: Any = msgspec.UNSET
    img_url: Any = msgspec.UNSET
    video_url: Any = msgspec.UNSET
    hls_path: Any = msgspec.UNSET
    duration: Any = msgspec.UNSET
    created_at: Any = msgspec.UNSET
    updated_at: Any = msgspec.UNSET


SHOWN: Final = FeedVideo.__struct_fields__[2:]
"""The fields that are taken of what the record says."""


class FeedPage(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A page of videos, the latest first. `next_cursor` is null on the last page; a page may have less than `limit`."""

    videos: list[FeedVideo]
    next_cursor: str | None
    has_more: bool


async def videos(request: Request) -> Response:
    """`{"videos":[{"id","user":{"id"},…}],"next_cursor","has_more"}`: those that are complete."""
    feeds_of(request)
    identity = await reader_of(request)
    limit = limit_of(request, PAGE_MAX) if query_value(request, "limit") else PAGE
    sort = query_value(request, "sort") or SORTS[0]
    if sort not in SORTS:
        raise Invalid(f"sort must be {' or '.join(SORTS)}, or left out", field="sort")
    spend = admit_reader(request, identity)
    read = _trending if sort == "trending" else _recorded if hub_of(request).record is not None else _published
    found, place = await read(request, identity.tenant, limit)
    spend(len(found))
    return json_response(FeedPage(videos=found, next_cursor=place, has_more=place is not None), headers=NO_STORE)


async def _recorded(request: Request, tenant: str, limit: int) -> tuple[list[FeedVideo], str | None]:
    """A page of the record's rows, the latest first, and the place of the next one."""
    place = place_of(request, "r", tuple[str, str | int | float | None, str])
    after = None if place is None else Position(updated=place[1], id=place[2])
    record, settings = hub_of(request).record, config_of(request)
    found = None if record is None else await record.page(tenant, settings.feed_channel, after, limit)
    if found is None:
        raise BrokerUnavailable("the system of record does not answer")
    shown = [
        _shown(row.id, row.status.data, settings.feed_user) for row in found.rows if row.status.phase is Phase.COMPLETED
    ]
    return shown, None if found.next is None else place_text("r", found.next.updated, found.next.id)


async def _published(request: Request, tenant: str, limit: int) -> tuple[list[FeedVideo], str | None]:
    """The same of what was published into the channel."""
    place = place_of(request, "e", tuple[str, str])
    after = None if place is None else Cursor.parse(place[1])
    settings = config_of(request)
    page = PageRequest(limit=limit, after=after)
    found = await hub_of(request).read(tenant, settings.feed_channel, page)
    shown = _completed(found.events, settings.feed_user)
    return shown, None if found.next is None else place_text("e", str(found.next))


async def _trending(request: Request, tenant: str, limit: int) -> tuple[list[FeedVideo], str | None]:
    """The same in the order of the counters."""
    place = place_of(request, "t", tuple[str, int, str])
    after = None if place is None else Trend(score=place[1], video=place[2])
    hub, settings = hub_of(request), config_of(request)
    found = await feeds_of(request).store.trending(tenant, after, limit + 1)
    ids = [it.video for it in found[:limit]]
    known: dict[str, FeedVideo] = {}
    if hub.record is not None:
        rows = [row for row in await hub.record.find(tenant, ids) if row is not None]
        known = {
            row.id: _shown(row.id, row.status.data, settings.feed_user)
            for row in rows
            if row.channel == settings.feed_channel and row.status.phase is Phase.COMPLETED
        }
    else:
        events = [hub.state(tenant, settings.feed_channel, id) for id in ids]
        if not all(events):
            # Reading a page of the channel makes the hub follow it.
            await hub.read(tenant, settings.feed_channel, PageRequest(limit=1))
            events = [hub.state(tenant, settings.feed_channel, id) for id in ids]
        known = {it.id: it for it in _completed([event for event in events if event], settings.feed_user)}
    last = found[limit - 1] if len(found) > limit else None
    return [known[id] for id in ids if id in known], None if last is None else place_text("t", last.score, last.video)


def _completed(events: Sequence[Event], user: str) -> list[FeedVideo]:
    known = [(event.content_id, status.read(event)) for event in events]
    return [_shown(id, it.data, user) for id, it in known if it.phase is Phase.COMPLETED]


def _shown(id: str, data: Mapping[str, Any], user: str) -> FeedVideo:
    owner = data.get(user)
    return FeedVideo(
        id=id,
        user=FeedUser(id=None if owner is None else str(owner)),
        **{name: data[name] for name in SHOWN if data.get(name) is not None},
    )


routes: Final = [Route(f"/v1/videos{slash}", videos) for slash in ("/", "")]
