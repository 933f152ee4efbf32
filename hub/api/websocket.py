"""The event stream over WebSocket: handed over where the server can, and on other servers by their own protocol."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable
from typing import Any, Final

import anyio
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from statushub.hub.api.events import OVERLOAD_RETRY_MS, deltas_of, heartbeat_of
from statushub.hub.api.filters import filter_of
from statushub.hub.auth.identity import Identity
from statushub.hub.http.client import address_of, identify
from statushub.hub.http.errors import refuse
from statushub.hub.http.extension import MakeProtocol, Upgrade, abort, upgrader
from statushub.hub.http.handshake import chosen_subprotocol, offered_token, switching
from statushub.hub.http.resume import resume_cursor
from statushub.hub.http.route import Route, WebSocketRoute
from statushub.hub.http.state import authenticator_of, hub_of
from statushub.hub.model.errors import StatushubError, UpgradeRequired
from statushub.hub.model.names import check_name
from statushub.hub.viewers.pull_socket import PullSocket
from statushub.hub.viewers.push_socket import Farewell
from statushub.hub.viewers.socket import GOING_AWAY, STOPS, TOO_MANY, Opening
from statushub.hub.wire.frames import closing
from statushub.hub.wire.websocket import FRAMES, MESSAGES

INTERNAL: Final = 500
"""The status of an error that is not the request's fault."""

logger = logging.getLogger(__name__)


async def _asked(connection: HTTPConnection) -> tuple[Identity, tuple[str, Opening] | None, int | None]:
    """Who opens a socket, the channel that it follows unasked and how, and its heartbeat in seconds.

    Raises what identifying does, `Forbidden` for a foreign page and an unreadable channel, and `Invalid`.
    """
    since = resume_cursor(connection, connection.query_params.get("since"))
    heartbeat = heartbeat_of(connection.query_params.get("heartbeat"))
    deltas = deltas_of(connection.query_params.get("deltas"))
    name = connection.path_params.get("channel_id")
    channel = None if name is None else check_name(name, "channel_id")
    authenticator_of(connection).check_page(connection)
    identity = await identify(connection, offered_token(connection.headers))
    if channel is None:
        return identity, None, heartbeat
    identity.check_read(channel, "channel_id")
    return identity, (channel, Opening(since, deltas, filter_of(connection, [channel]))), heartbeat


def _refusal(
    connection: HTTPConnection, identity: Identity, first: tuple[str, Opening] | None
) -> tuple[int, str] | None:
    """The close code and reason of a socket that the hub has no room for; None where it has."""
    hub = hub_of(connection)
    if hub.draining:
        return GOING_AWAY, STOPS
    if limit := hub.stream_limit(identity, address_of(connection), first[:1] if first else ()):
        hub.counts.refusals[limit] += 1
        return TOO_MANY, f"the limit {limit} is reached"
    return None


async def socket(request: Request) -> Response:
    """GET /api/ws and /api/contents/{channel_id}/ws"""
    identity, first, heartbeat = await _asked(request)
    head = switching(request.headers)
    upgrade = upgrader(request.scope)
    if upgrade is None or request.method != "GET":
        raise UpgradeRequired("this server cannot upgrade this request: WebSocket needs a GET of HTTP/1.1")
    hub, address = hub_of(request), address_of(request)
    refusal = _refusal(request, identity, first)

    def make(connections: set[Any], paused: bool, head: bytes) -> asyncio.Protocol:
        if refusal is not None:
            last = FRAMES.drain(random.randint(*OVERLOAD_RETRY_MS)) + closing(*refusal)
            return Farewell(connections, head + last)
        return hub.push_socket(
            identity, address, first, connections=connections, stalled=paused, head=head, heartbeat=heartbeat
        )

    return HandedOverSocket(upgrade, head, make)


async def portable_socket(websocket: WebSocket) -> None:
    """The same on a server that accepts the upgrade by itself."""
    hub = hub_of(websocket)
    try:
        identity, first, heartbeat = await _asked(websocket)
        subprotocol = chosen_subprotocol(websocket.headers)
    except StatushubError as error:
        if error.status == INTERNAL:
            raise
        hub.counts.refuse(error)
        await refuse(error, websocket.scope, websocket.receive, websocket.send)
        return
    refusal = _refusal(websocket, identity, first)
    await websocket.accept(subprotocol)
    if refusal is not None:
        await websocket.send_text(MESSAGES.drain(random.randint(*OVERLOAD_RETRY_MS)).decode())
        await websocket.close(*refusal)
        return
    pulled = hub.pull_socket(identity, address_of(websocket), heartbeat=heartbeat)
    await PortableSocket(websocket, pulled, hub.stall_timeout).run(first)


_PATHS: Final = ("/api/contents/{channel_id:path}/ws", "/api/ws")

routes: Final = [
    *(Route(path, socket) for path in _PATHS),
    *(WebSocketRoute(path, portable_socket) for path in _PATHS),
]


class HandedOverSocket(Response):
    """Leaves the connection to the protocol that `make` makes, with `head` as the whole response."""

    def __init__(self, upgrade: Upgrade, head: bytes, make: MakeProtocol) -> None:
        self.upgrade = upgrade
        self.head = head
        self.make = make
        self.status_code = 101
        self.background = None
        self.init_headers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.upgrade(self.make, self.head)


class PortableSocket:
    """A socket for any server: a `PullSocket`, asked again and again, and told what its client says."""

    def __init__(self, websocket: WebSocket, pulled: PullSocket, stall_timeout: float) -> None:
        """`stall_timeout` is how many seconds one message may take to be sent."""
        self._websocket = websocket
        self._pulled = pulled
        self._stall_timeout = stall_timeout
        # One sends at a time: what was asked for before a message is answered before it.
        self._sending = anyio.Lock()

    async def run(self, first: tuple[str, Opening] | None) -> None:
        """Serve until either side closes. `first` is the channel that is followed unasked, and how."""
        host = self._pulled.host
        host.attach(self._pulled)
        try:
            if first is not None:
                await self._send(self._pulled.subscribe((first[0],), first[1])[0])
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read, tasks.cancel_scope)
                await self._write()
                tasks.cancel_scope.cancel()
        except* TimeoutError:
            logger.info("a socket took nothing for %g s; its connection is aborted", self._stall_timeout)
            await abort(self._websocket.scope)
        except* WebSocketDisconnect:
            # It went while it was written to.
            pass
        finally:
            host.detach(self._pulled)

    async def _write(self) -> None:
        pulled = self._pulled
        while pulled.ending is None:
            async with self._sending:
                await self._send(pulled.messages())
            await pulled.wake.wait()
        retry_ms, code, reason = pulled.ending
        async with self._sending:
            if retry_ms is not None:
                await self._send([MESSAGES.drain(random.randint(*retry_ms))])
            await self._websocket.close(code, reason)

    async def _read(self, scope: anyio.CancelScope) -> None:
        pulled = self._pulled
        while (said := await self._websocket.receive())["type"] == "websocket.receive":
            text = said.get("text")
            message: bytes = said["bytes"] if text is None else text.encode()
            async with self._sending:
                await self._send(pulled.said(message))
        scope.cancel()

    async def _send(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            with anyio.fail_after(self._stall_timeout):
                await self._websocket.send_text(message.decode())
