"""The common implementation: sse-starlette with a queue per client, as its documentation shows."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HEARTBEAT_SECONDS = 15

clients: defaultdict[str, set[asyncio.Queue[ServerSentEvent]]] = defaultdict(set)


async def stream(channel: str) -> AsyncIterator[ServerSentEvent]:
    queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue()
    clients[channel].add(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        clients[channel].discard(queue)


async def events(request: Request) -> Response:
    return EventSourceResponse(stream(request.path_params["channel"]), ping=HEARTBEAT_SECONDS)


async def publish(request: Request) -> Response:
    event = ServerSentEvent((await request.body()).decode(), event="content_status_update", id="1-1")
    for queue in clients[request.path_params["channel"]]:
        queue.put_nowait(event)
    return Response(status_code=204)


app = Starlette(routes=[Route("/{channel}", events), Route("/{channel}", publish, methods=["POST"])])
