"""The list of a tenant's channels, with their contents by phase."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.fields import Count, CursorText, NameText, component
from statushub.hub.brokers.contract import PAGE_CHANNELS, ChannelEntry
from statushub.hub.http.client import admit_reader, identify
from statushub.hub.http.query import limit_of, query_value
from statushub.hub.http.response import body_response, held_cursor
from statushub.hub.http.route import Route
from statushub.hub.http.state import hub_of, places_of
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.names import check_prefix
from statushub.hub.model.timestamp import timestamp_at
from statushub.hub.replicas.index import ChannelsRequest


class Channel(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A channel: how many contents it has in each phase, and its latest event."""

    channel: NameText
    pending: Count
    processing: Count
    completed: Count
    failed: Count
    idle: Count
    updated_at: Annotated[str, component("Timestamp")]
    cursor: CursorText


class Channels(msgspec.Struct, forbid_unknown_fields=True):
    """A page of channels."""

    channels: Annotated[list[Channel], msgspec.Meta(max_length=PAGE_CHANNELS)]
    next: Annotated[
        str | None,
        msgspec.Meta(
            description="`after` of the next page; null where this is the last one. A page with a `next` may have less "
            "than `limit` channels, or none."
        ),
    ]


async def channels(request: Request) -> Response:
    """`{"channels":[…],"next"}`: the channels that the token reads; the latest first, or by name."""
    identity = await identify(request)
    places, after = places_of(request), query_value(request, "after")
    page = ChannelsRequest(
        prefix=check_prefix(query_value(request, "prefix") or "", "prefix"),
        after=places.reveal(after, identity.tenant) if after else None,
        limit=limit_of(request, PAGE_CHANNELS),
    )
    spend = admit_reader(request, identity)
    found = await hub_of(request).channels(identity, page, held_cursor(request))
    spend(found.looked)
    next = places.hide(found.next, identity.tenant) if found.next is not None and found.secret else found.next
    answer = Channels(channels=[_channel(found.cursor.epoch, entry) for entry in found.entries], next=next)
    more = {} if next is None else {"Link": _link(page, next)}
    return body_response(request, answer, found.cursor, more)


def _channel(epoch: str, entry: ChannelEntry) -> Channel:
    return Channel(
        channel=entry.channel,
        pending=entry.pending,
        processing=entry.processing,
        completed=entry.completed,
        failed=entry.failed,
        idle=entry.idle,
        updated_at=timestamp_at(entry.updated_at),
        cursor=str(Cursor(epoch=epoch, offset=entry.offset)),
    )


def _link(page: ChannelsRequest, after: str) -> str:
    # Relative to this URL (RFC 8288, section 3.1), whose path a proxy may have changed. It repeats no ticket.
    prefix = f"prefix={quote(page.prefix, safe='')}&" if page.prefix else ""
    return f'<?{prefix}limit={page.limit}&after={after}>; rel="next"'


routes: Final = [Route("/api/channels", channels)]
