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

from statushub.hub.http.client import address_of, identify
from statushub.hub.http.handover import MakeProtocol, Take, abort, taker
from statushub.hub.hub import Hub
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Invalid, KeysUnavailable
from statushub.hub.model.names import check_name
from statushub.hub.viewers.viewer import RETRY_MS, VOID, PullViewer, PushViewer
from statushub.hub.wire import sse

STREAM_CHANNELS: Final = 64
"""Most channels of one stream: each is a place to look when the stream catches up."""

OVERLOAD_RETRY_MS: Final = (10_000, 60_000)
"""When a client that was turned away may come back. Any status but 200 would end an `EventSource` for good."""

FAREWELL_SECONDS: Final = 2.0
"""How long sse-starlette, which hears of a stop before the hub does, leaves a stream for its farewell."""

logger = logging.getLogger(__name__)

HEADERS: Final = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
MEDIA_TYPE: Final = "text/event-stream"


async def channel_events(request: Request) -> Response:
    """GET /api/contents/{channel_id}/events"""
    return await _stream(request, [check_name(request.path_params["channel_id"], "channel_id")], "channel_id")


async def events(request: Request) -> Response:
    """GET /api/events?channel=a&channel=b"""
    channels = list(dict.fromkeys(request.query_params.getlist("channel")))
    if not 1 <= len(channels) <= STREAM_CHANNELS:
        raise Invalid(f"channel must be given 1 to {STREAM_CHANNELS} times, not {len(channels)}", field="channel")
    return await _stream(request, [check_name(channel, "channel") for channel in channels], "channel")


routes = [
    Route("/api/contents/{channel_id:path}/events", channel_events),
    Route("/api/events", events),
]


async def _stream(request: Request, channels: Sequence[str], field: str) -> Response:
    since = _since(request)
    hub: Hub = request.app.state.hub
    try:
        identity = await identify(request)
    except KeysUnavailable:
        return _turned_away()
    for channel in channels:
        identity.check_read(channel, field)
    if request.method == "HEAD":
        return Response(headers=HEADERS, media_type=MEDIA_TYPE)
    address = address_of(request)
    if hub.draining:
        return _turned_away()
    if limit := hub.places.full(identity, address):
        hub.counts.refusals[limit] += 1
        return _turned_away()
    take = taker(request.scope)
    if take is None:
        return PortableStream(PullViewer(hub, hub.replicas(identity.tenant, channels), since, identity, address))

    def make(connections: set[Any], paused: bool) -> PushViewer:
        # Not sooner, so that whoever leaves before makes no replica.
        replicas = hub.replicas(identity.tenant, channels)
        return PushViewer(hub, replicas, since, connections, identity, address, paused=paused)

    return HandedOverStream(make, take)


def _turned_away() -> Response:
    return Response(sse.drain(random.randint(*OVERLOAD_RETRY_MS)), headers=HEADERS, media_type=MEDIA_TYPE)


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
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        self.take(self.make)


class PortableStream(EventSourceResponse):
    """The same stream for any server and protocol: a `PullViewer`, asked again and again."""

    def __init__(self, viewer: PullViewer) -> None:
        self.hub = viewer.hub
        self.viewer = viewer
        timeout = self.hub.heartbeat.stall_timeout
        super().__init__(
            self._frames(viewer),
            headers=HEADERS,
            ping=0,
            send_timeout=timeout,
            shutdown_grace_period=FAREWELL_SECONDS,
        )
        # HTTP/2 forbids it and Safari rejects it (RFC 9113, section 8.2.2).
        del self.headers["connection"]

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
