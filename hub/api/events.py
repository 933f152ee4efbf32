"""The event stream: one channel, up to 64 of one tenant, or those that patterns name.

Its connection is handed over where the server can; elsewhere the same viewer writes to the body of the response.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from statushub.hub.api.filters import filter_of
from statushub.hub.api.matching import matching, together
from statushub.hub.auth.identity import Identity
from statushub.hub.auth.patterns import Patterns
from statushub.hub.http.client import address_of, identify, known_identity
from statushub.hub.http.extension import MakeProtocol, Take, taker
from statushub.hub.http.portable import PortableTake
from statushub.hub.http.resume import resume_cursor
from statushub.hub.http.route import Route
from statushub.hub.http.shortcut import Opened
from statushub.hub.http.state import config_of, hub_of
from statushub.hub.hub import Hub
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Invalid, KeysUnavailable, TooManyRequests
from statushub.hub.model.names import check_name
from statushub.hub.replicas.selection import Selection
from statushub.hub.viewers.push import PushViewer
from statushub.hub.viewers.session import RETRY_MS
from statushub.hub.wire.format import StreamFormat
from statushub.hub.wire.sse import CHANNELS_DELTA_FORMATS, DELTA_FORMATS, FORMATS, Formats

HEARTBEAT_SECONDS: Final = (2, 60)
"""Least and most seconds between the heartbeats of a stream that asks for its own: under the shortest read time-out of
common clients, 5 s, and no longer than proxies keep a silent connection. Whole ones, so that intervals are few."""

HEARTBEATS: Final = frozenset(map(str, range(HEARTBEAT_SECONDS[0], HEARTBEAT_SECONDS[1] + 1)))

OVERLOAD_RETRY_MS: Final = (10_000, 60_000)
"""When a client that was refused may come back. Any status but 200 would end an `EventSource` for good."""

HEADERS: Final = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
MEDIA_TYPE: Final = "text/event-stream"

STREAM_HEADERS: Final = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()] + [
    (b"content-type", f"{MEDIA_TYPE}; charset=utf-8".encode())
]
"""The same as the head of a stream has them."""


async def channel_events(request: Request) -> Response:
    """GET /api/contents/{channel_id}/events"""
    return await _stream(request, _of_channel(request))


async def events(request: Request) -> Response:
    """GET /api/events?channel=a&channel=b, and GET /api/events?match=jobs/**"""
    return await _stream(request, _of_channels(request))


def open_channel_events(request: Request) -> Opened | None:
    """The same at once."""
    return _opening(request, _of_channel(request))


def open_events(request: Request) -> Opened | None:
    """The same at once."""
    return _opening(request, _of_channels(request))


_CHANNEL: Final = Route("/api/contents/{channel_id:path}/events", channel_events)
_CHANNELS: Final = Route("/api/events", events)

routes = [_CHANNEL, _CHANNELS]

SHORTCUTS: Final = ((_CHANNEL, open_channel_events), (_CHANNELS, open_events))
"""What opens the streams of a route at once, where nothing has to be waited for."""


class _Asked(msgspec.Struct, frozen=True):
    """What a request for a stream asks for."""

    channels: list[str]
    patterns: Patterns | None
    field: str
    """What named the channels."""
    since: Cursor | None
    heartbeat: int | None
    formats: Formats


def _of_channel(request: Request) -> _Asked:
    channels = [check_name(request.path_params["channel_id"], "channel_id")]
    return _asked(request, channels, None, "channel_id", DELTA_FORMATS)


def _of_channels(request: Request) -> _Asked:
    return _asked(request, *matching(request), "channel", CHANNELS_DELTA_FORMATS)


def _asked(
    request: Request,
    channels: list[str],
    patterns: Patterns | None,
    field: str,
    delta_formats: Mapping[str, Formats],
) -> _Asked:
    # Most have none.
    query: Mapping[str, str] = request.query_params if request.scope["query_string"] else {}
    return _Asked(
        channels,
        patterns,
        field,
        resume_cursor(request, query.get("since")),
        heartbeat_of(query.get("heartbeat")),
        _format(
            query.get("events") or config_of(request).events,
            delta_formats if deltas_of(query.get("deltas")) else FORMATS,
        ),
    )


async def _stream(request: Request, asked: _Asked) -> Response:
    hub = hub_of(request)
    try:
        identity = await identify(request)
    except KeysUnavailable:
        return _refused(asked.formats)
    _check_read(identity, asked)
    content_ids = filter_of(request, asked.channels)
    if request.method == "HEAD":
        head = Response(headers=HEADERS, media_type=MEDIA_TYPE)
        # That of the empty body; a stream has none.
        del head.headers["content-length"]
        return head
    address = address_of(request)
    if hub.draining:
        # Another hub takes it, or this one when it is up again.
        return _refused(asked.formats, RETRY_MS)
    scope: Sequence[str] | Selection = asked.channels
    if asked.patterns is not None and not hub.stream_limit(identity, address):
        try:
            patterns = together(asked.channels, asked.patterns)
            scope = await hub.select(identity, patterns, resumes=asked.since is not None, content_ids=content_ids)
        except TooManyRequests as error:
            hub.counts.refuse(error)
            return _refused(asked.formats)
    if limit := hub.stream_limit(identity, address, scope):
        hub.counts.refusals[limit] += 1
        return _refused(asked.formats)
    take = taker(request.scope) or PortableTake(request.scope)
    format = asked.formats.chunked if take.chunked else asked.formats.plain
    return HandedOverStream(_maker(hub, identity, address, scope, asked, content_ids, format), take)


def _opening(request: Request, asked: _Asked) -> Opened | None:
    """As `_stream`, of a stream that is handed over at once; None where it has to wait or is refused."""
    if asked.patterns is not None:
        return None
    identity = known_identity(request)
    if identity is None:
        return None
    _check_read(identity, asked)
    hub, address = hub_of(request), address_of(request)
    if hub.draining or hub.stream_limit(identity, address, asked.channels):
        return None
    content_ids = filter_of(request, asked.channels)
    make = _maker(hub, identity, address, asked.channels, asked, content_ids, asked.formats.chunked)
    return Opened(HTTPStatus.OK, STREAM_HEADERS, make)


def _check_read(identity: Identity, asked: _Asked) -> None:
    for channel in asked.channels:
        identity.check_read(channel, asked.field)


def _maker(
    hub: Hub,
    identity: Identity,
    address: str,
    scope: Sequence[str] | Selection,
    asked: _Asked,
    content_ids: frozenset[str] | None,
    format: StreamFormat,
) -> MakeProtocol:
    def make(connections: set[Any], paused: bool, head: bytes) -> PushViewer:
        # Not before the hand-over: a client that leaves earlier makes no replica.
        return hub.push_viewer(
            identity,
            address,
            scope,
            asked.since,
            connections=connections,
            stalled=paused,
            head=head,
            format=format,
            heartbeat=asked.heartbeat,
            content_ids=content_ids,
        )

    return make


def heartbeat_of(text: str | None) -> int | None:
    """The interval that a client asks for, in seconds; None where it asks for none."""
    if not text:
        return None
    if text not in HEARTBEATS:
        raise Invalid(
            f"heartbeat must be a whole number of seconds from {HEARTBEAT_SECONDS[0]} to {HEARTBEAT_SECONDS[1]}",
            field="heartbeat",
        )
    return int(text)


def deltas_of(text: str | None) -> bool:
    """Whether a client takes deltas of contents that grow."""
    if text not in (None, "", "0", "1"):
        raise Invalid("deltas must be 1, 0 or left out", field="deltas")
    return text == "1"


def _format(kind: str, formats: Mapping[str, Formats]) -> Formats:
    if kind not in FORMATS:
        raise Invalid(f"events must be {' or '.join(map(repr, FORMATS))}, or left out", field="events")
    return formats[kind]


def _refused(formats: Formats, retry_ms: tuple[int, int] = OVERLOAD_RETRY_MS) -> Response:
    farewell = formats.plain.drain(random.randint(*retry_ms))
    return Response(farewell, headers=HEADERS, media_type=MEDIA_TYPE)


class HandedOverStream(Response):
    """Sends the head, then leaves the connection to the viewer that `make` makes."""

    media_type = MEDIA_TYPE

    def __init__(self, make: MakeProtocol, take: Take) -> None:
        self.make = make
        self.take = take
        self.status_code = 200
        self.background = None
        self.raw_headers = list(STREAM_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.take.hold_head()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        self.take(self.make)
