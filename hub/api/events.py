"""The event stream: one channel, or up to 64 of one tenant, handed over where the server can.

The only importer of sse-starlette, whose `EventSourceResponse` is the portable path.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import anyio
from sse_starlette.sse import EventSourceResponse, SendTimeoutError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hub import sse
from hub.auth import identify
from hub.errors import Invalid
from hub.handover import Take, abort, taker
from hub.hub import Hub
from hub.model import Cursor, check_name
from hub.viewer import RETRY_MS, VOID, PullViewer, PushViewer

STREAM_CHANNELS: Final = 64
"""Most channels of one stream: each is a place to look when the stream catches up."""

OVERLOAD_RETRY_MS: Final = (10_000, 60_000)
"""When a client that was turned away may come back. Any status but 200 would end an `EventSource` for good."""

logger = logging.getLogger("statushub")

HEADERS: Final = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
MEDIA_TYPE: Final = "text/event-stream"


async def channel_events(request: Request) -> Response:
    """GET /api/contents/{channel_id}/events"""
    return _stream(request, [check_name(request.path_params["channel_id"], "channel_id")])


async def events(request: Request) -> Response:
    """GET /api/events?channel=a&channel=b"""
    channels = list(dict.fromkeys(request.query_params.getlist("channel")))
    if not 1 <= len(channels) <= STREAM_CHANNELS:
        raise Invalid(f"channel must be given 1 to {STREAM_CHANNELS} times, not {len(channels)}", field="channel")
    return _stream(request, [check_name(channel, "channel") for channel in channels])


routes = [
    Route("/api/contents/{channel_id:path}/events", channel_events),
    Route("/api/events", events),
]


def _stream(request: Request, channels: Sequence[str]) -> Response:
    since = _since(request)
    tenant = identify(request).tenant
    hub: Hub = request.app.state.hub
    if request.method == "HEAD":
        return Response(headers=HEADERS, media_type=MEDIA_TYPE)
    if hub.draining or hub.streams >= request.app.state.config.max_streams:
        retry_ms = random.randint(*OVERLOAD_RETRY_MS)
        return Response(sse.drain(retry_ms), headers=HEADERS, media_type=MEDIA_TYPE)
    take = taker(request.scope)
    if take is None:
        return PortableStream(hub, tenant, channels, since)
    return HandedOverStream(hub, tenant, channels, since, take)


def _since(request: Request) -> Cursor | None:
    """The cursor to resume from: `Last-Event-ID` before `?since=`, which an `EventSource` repeats for ever."""
    last_event_id = request.headers.get("last-event-id")
    if last_event_id:
        try:
            return Cursor.parse(last_event_id)
        except Invalid:
            # Earned elsewhere on this origin. An error would end the EventSource; a reset is what it needs.
            return Cursor(epoch=VOID, offset=0)
    since = request.query_params.get("since")
    return Cursor.parse(since) if since else None


class HandedOverStream(Response):
    """Sends the head, then leaves the connection to a `PushViewer`."""

    media_type = MEDIA_TYPE

    def __init__(self, hub: Hub, tenant: str, channels: Sequence[str], since: Cursor | None, take: Take) -> None:
        self.hub = hub
        self.tenant = tenant
        self.channels = channels
        self.since = since
        self.take = take
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)
        # Starlette gives an empty body's length to a response that has none yet.
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        self.take(self._viewer)

    def _viewer(self, connections: set[Any], paused: bool) -> PushViewer:
        replicas = self.hub.replicas(self.tenant, self.channels)
        return PushViewer(self.hub, replicas, self.since, connections, paused=paused)


class PortableStream(EventSourceResponse):
    """The same stream for any server and protocol: a `PullViewer`, asked again and again."""

    def __init__(self, hub: Hub, tenant: str, channels: Sequence[str], since: Cursor | None) -> None:
        viewer = PullViewer(hub, hub.replicas(tenant, channels), since)
        super().__init__(self._frames(viewer), headers=HEADERS, ping=0, send_timeout=hub.heartbeat.stall_timeout)
        # HTTP/2 forbids it and Safari rejects it (RFC 9113, section 8.2.2).
        del self.headers["connection"]
        self.hub = hub
        self.viewer = viewer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Here rather than in the generator, whose `finally` would not run if it were never started.
        self.hub.attach(self.viewer)
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            logger.info("a viewer took nothing for %g s and is cut off", self.hub.heartbeat.stall_timeout)
            await abort(scope)
        finally:
            self.hub.detach(self.viewer)

    async def _frames(self, viewer: PullViewer) -> AsyncIterator[bytes]:
        yield sse.retry(random.randint(*RETRY_MS))
        while not viewer.closing:
            for frame in viewer.frames():
                yield frame
            with anyio.move_on_after(viewer.hub.heartbeat.interval) as waiting:
                await viewer.wake.wait()
            if waiting.cancelled_caught:
                yield sse.heartbeat()
        yield viewer.farewell()
