"""The event stream: one channel, or up to 64 of one tenant, handed over where the server can.

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

from statushub.hub.http.client import address_of, identify
from statushub.hub.http.extension import MakeProtocol, Take, abort, taker
from statushub.hub.http.route import Route
from statushub.hub.http.state import hub_of
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Invalid, KeysUnavailable
from statushub.hub.model.names import check_name
from statushub.hub.replicas.reader import VOID
from statushub.hub.viewers.pull import PullViewer
from statushub.hub.viewers.push import PushViewer
from statushub.hub.viewers.viewer import RETRY_MS
from statushub.hub.wire.sse import SSE

STREAM_CHANNELS: Final = 64
"""Most channels of one stream: each is another replica to read when the stream catches up."""

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
    hub = hub_of(request)
    try:
        identity = await identify(request)
    except KeysUnavailable:
        return _refused()
    for channel in channels:
        identity.check_read(channel, field)
    if request.method == "HEAD":
        return Response(headers=HEADERS, media_type=MEDIA_TYPE)
    address = address_of(request)
    if hub.draining:
        return _refused()
    if limit := hub.stream_limit(identity, address, channels):
        hub.counts.refusals[limit] += 1
        return _refused()
    take = taker(request.scope)
    if take is None:
        viewer = hub.pull_viewer(identity, address, channels, since)
        return PortableStream(viewer, hub.stall_timeout)

    def make(connections: set[Any], paused: bool) -> PushViewer:
        # Not before the hand-over: a client that leaves earlier makes no replica.
        return hub.push_viewer(identity, address, channels, since, connections=connections, stalled=paused)

    return HandedOverStream(make, take)


def _refused() -> Response:
    return Response(SSE.drain(random.randint(*OVERLOAD_RETRY_MS)), headers=HEADERS, media_type=MEDIA_TYPE)


def _since(request: Request) -> Cursor | None:
    """The cursor to resume from: `Last-Event-ID` before `?since=`, which an `EventSource` repeats for ever."""
    last_event_id = request.headers.get("last-event-id")
    if last_event_id:
        try:
            return Cursor.parse(last_event_id)
        except Invalid:
            # Issued by another service of this origin. An error would end the EventSource; it needs a reset.
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
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            logger.info("a viewer took nothing for %g s; its connection is aborted", self.stall_timeout)
            await abort(scope)
        finally:
            self.viewer.host.detach(self.viewer)

    async def _frames(self) -> AsyncIterator[bytes]:
        yield SSE.retry(random.randint(*RETRY_MS))
        while not self.viewer.closed:
            for frame in self.viewer.frames():
                yield frame
            await self.viewer.wake.wait()
        yield self.viewer.farewell()
