"""The event stream: one channel, up to 64 of one tenant, or those that patterns name, handed over where the server can.

The only importer of sse-starlette, whose `EventSourceResponse` is the portable path.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from sse_starlette.sse import EventSourceResponse, SendTimeoutError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from statushub.hub.api.filters import filter_of
from statushub.hub.api.matching import matching, together
from statushub.hub.auth.patterns import Patterns
from statushub.hub.http.client import address_of, identify
from statushub.hub.http.extension import MakeProtocol, Take, abort, taker
from statushub.hub.http.resume import resume_cursor
from statushub.hub.http.route import Route
from statushub.hub.http.state import config_of, hub_of
from statushub.hub.model.errors import Invalid, KeysUnavailable, TooManyRequests
from statushub.hub.model.names import check_name
from statushub.hub.replicas.selection import Selection
from statushub.hub.viewers.pull import PullViewer
from statushub.hub.viewers.push import PushViewer
from statushub.hub.viewers.session import RETRY_MS
from statushub.hub.wire.sse import DELTA_FORMATS, FORMATS, Formats

HEARTBEAT_SECONDS: Final = (2, 60)
"""Least and most seconds between the heartbeats of a stream that asks for its own: under the shortest read time-out of
common clients, 5 s, and no longer than proxies keep a silent connection. Whole ones, so that intervals are few."""

HEARTBEATS: Final = frozenset(map(str, range(HEARTBEAT_SECONDS[0], HEARTBEAT_SECONDS[1] + 1)))

OVERLOAD_RETRY_MS: Final = (10_000, 60_000)
"""When a client that was refused may come back. Any status but 200 would end an `EventSource` for good."""

FAREWELL_SECONDS: Final = 2.0
"""How long sse-starlette, which hears of a stop before the hub does, leaves a stream to say its farewell."""

HEADERS: Final = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
MEDIA_TYPE: Final = "text/event-stream"

logger = logging.getLogger(__name__)


async def channel_events(request: Request) -> Response:
    """GET /api/contents/{channel_id}/events"""
    return await _stream(request, [check_name(request.path_params["channel_id"], "channel_id")], "channel_id")


async def events(request: Request) -> Response:
    """GET /api/events?channel=a&channel=b, and GET /api/events?match=jobs/**"""
    channels, patterns = matching(request)
    return await _stream(request, channels, "channel", patterns)


routes = [
    Route("/api/contents/{channel_id:path}/events", channel_events),
    Route("/api/events", events),
]


async def _stream(request: Request, channels: list[str], field: str, patterns: Patterns | None = None) -> Response:
    """A stream of these channels, and of those that the patterns name."""
    since = resume_cursor(request, request.query_params.get("since"))
    heartbeat = heartbeat_of(request.query_params.get("heartbeat"))
    formats = _formats(
        request.query_params.get("events") or config_of(request).events,
        deltas=deltas_of(request.query_params.get("deltas")),
    )
    hub = hub_of(request)
    try:
        identity = await identify(request)
    except KeysUnavailable:
        return _refused(formats)
    for channel in channels:
        identity.check_read(channel, field)
    content_ids = filter_of(request, channels)
    if request.method == "HEAD":
        head = Response(headers=HEADERS, media_type=MEDIA_TYPE)
        # That of the empty body; a stream has none.
        del head.headers["content-length"]
        return head
    address = address_of(request)
    if hub.draining:
        # Another hub takes it, or this one when it is up again.
        return _refused(formats, RETRY_MS)
    scope: Sequence[str] | Selection = channels
    if patterns is not None and not hub.stream_limit(identity, address):
        try:
            scope = await hub.select(
                identity, together(channels, patterns), resumes=since is not None, content_ids=content_ids
            )
        except TooManyRequests as error:
            hub.counts.refuse(error)
            return _refused(formats)
    if limit := hub.stream_limit(identity, address, scope):
        hub.counts.refusals[limit] += 1
        return _refused(formats)
    take = taker(request.scope)
    if take is None:
        viewer = hub.pull_viewer(
            identity,
            address,
            scope,
            since,
            format=formats.plain,
            heartbeat=heartbeat,
            content_ids=content_ids,
        )
        return PortableStream(viewer, hub.stall_timeout)

    def make(connections: set[Any], paused: bool, head: bytes) -> PushViewer:
        # Not before the hand-over: a client that leaves earlier makes no replica.
        return hub.push_viewer(
            identity,
            address,
            scope,
            since,
            connections=connections,
            stalled=paused,
            head=head,
            format=formats.chunked,
            heartbeat=heartbeat,
            content_ids=content_ids,
        )

    return HandedOverStream(make, take)


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


def _formats(kind: str, *, deltas: bool) -> Formats:
    if kind not in FORMATS:
        raise Invalid(f"events must be {' or '.join(map(repr, FORMATS))}, or left out", field="events")
    return DELTA_FORMATS[kind] if deltas else FORMATS[kind]


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
        self.init_headers(HEADERS)
        # Starlette gives an empty body's length to a response that has none yet.
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.take.hold_head()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        self.take(self.make)


class PortableStream(EventSourceResponse):
    """The same stream for any server and protocol: a `PullViewer`, asked again and again."""

    def __init__(self, viewer: PullViewer, stall_timeout: float) -> None:
        """`stall_timeout` is how many seconds one send may take."""
        self.viewer = viewer
        self.stall_timeout = stall_timeout
        super().__init__(
            self._frames(),
            headers=HEADERS,
            ping=0,
            send_timeout=stall_timeout,
            shutdown_grace_period=FAREWELL_SECONDS,
        )
        # HTTP/2 forbids it and Safari rejects it (RFC 9113, section 8.2.2).
        del self.headers["connection"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Here rather than in the generator, whose `finally` would not run if it were never started.
        self.viewer.host.attach(self.viewer)
        self.viewer.opened()
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            logger.info("a viewer took nothing for %g s; its connection is aborted", self.stall_timeout)
            await abort(scope)
        finally:
            self.viewer.host.detach(self.viewer)

    async def _frames(self) -> AsyncIterator[bytes]:
        yield self.viewer.format.retry(random.randint(*RETRY_MS))
        while not self.viewer.closed:
            for frame in self.viewer.frames():
                yield frame
            await self.viewer.wake.wait()
        yield self.viewer.farewell()
