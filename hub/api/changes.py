"""The poll of what has changed since a cursor: in a channel, or in all channels that patterns name."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.answers import are_long, array, encoded, in_parts
from statushub.hub.api.fields import CursorText, lines_of
from statushub.hub.api.filters import filter_of
from statushub.hub.api.lines import CHANGE_LINE
from statushub.hub.api.matching import matching, together
from statushub.hub.api.pages import PAGE_CONTENTS
from statushub.hub.api.polling import count_polling
from statushub.hub.auth.identity import Identity
from statushub.hub.http.client import address_of, admit_reader, identify
from statushub.hub.http.disconnect import while_connected
from statushub.hub.http.names import channel_of
from statushub.hub.http.query import query_value, wait_of
from statushub.hub.http.response import json_response, poll_headers, unchanged
from statushub.hub.http.resume import resume_cursor
from statushub.hub.http.route import Route
from statushub.hub.http.state import hub_of
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Invalid
from statushub.hub.viewers.long_poll import Changes as Found


class Changes(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The contents that changed after a cursor."""

    cursor: Annotated[CursorText, msgspec.Meta(description="The cursor for the next request.")]
    reset: Annotated[
        bool,
        msgspec.Meta(description="Whether the request's cursor is void: discard all state, `events` is the whole one."),
    ]
    events: Annotated[msgspec.Raw, lines_of("ChangeEvent")]


async def changes(request: Request) -> Response:
    """`{"cursor","reset","events":[{"id","type","data"}]}`: what changed since a cursor; `wait` long-polls."""
    identity, channel = await identify(request), channel_of(request)
    identity.check_read(channel, "channel_id")
    content_ids = filter_of(request, [channel])
    changes = partial(hub_of(request).changes, identity, address_of(request), channel, content_ids=content_ids)
    return await _changes(request, identity, changes)


async def matching_changes(request: Request) -> Response:
    """As `changes`, of all channels that `?match=` and `?channel=` name and the token reads, with one cursor."""
    identity = await identify(request)
    channels, patterns = matching(request)
    if patterns is None:
        raise Invalid(
            "match must be given: the changes of a channel are at /api/contents/{channel_id}/changes", field="match"
        )
    for channel in channels:
        identity.check_read(channel, "channel")
    named = together(channels, patterns)
    content_ids = filter_of(request, channels)
    changes = partial(hub_of(request).changes_matching, identity, address_of(request), named, content_ids=content_ids)
    return await _changes(request, identity, changes)


async def _changes(
    request: Request, identity: Identity, changes: Callable[[Cursor | None, float], Coroutine[Any, Any, Found]]
) -> Response:
    """What `changes` finds after a cursor, in so many seconds."""
    since, wait = query_value(request, "since"), wait_of(request)
    spend = admit_reader(request, identity)
    hub, address = hub_of(request), address_of(request)
    count_polling(request, hub.counts)
    if hub.stream_limit(identity, address):
        # A long poll counts as a stream. Where there is no room for one, the poll is answered immediately.
        wait = 0.0
    cursor = resume_cursor(request, since)
    found = await while_connected(request, changes(cursor, wait))
    if found is None:
        return Response(status_code=204)  # never sent: the client has disconnected
    if (same := unchanged(request, found.cursor, 0.0)) is not None:
        spend(1)
        return same
    spend(len(found.events))
    headers = poll_headers(found.cursor, 0.0)
    answer, epoch = Changes(cursor=str(found.cursor), reset=found.reset, events=array(())), found.cursor.epoch
    if len(found.events) > PAGE_CONTENTS or are_long(found.events):
        return in_parts(request, answer, (CHANGE_LINE.event(epoch, event) for event in found.events), headers)
    answer.events = array(await encoded(request, CHANGE_LINE, epoch, found.events))
    return json_response(answer, headers=headers)


routes: Final = [
    Route("/api/contents/{channel_id:path}/changes", changes),
    Route("/api/changes", matching_changes),
]
"""To be added before the route that takes any path as a channel."""
