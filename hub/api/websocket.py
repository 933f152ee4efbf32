"""The event stream over WebSocket: handed over where the server can, and on other servers by their own protocol."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import anyio
import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from statushub.hub.api.events import OVERLOAD_RETRY_MS, deltas_of, heartbeat_of
from statushub.hub.api.filters import filter_of
from statushub.hub.auth.identity import Identity
from statushub.hub.http.client import address_of, identify, known_identity
from statushub.hub.http.errors import refuse
from statushub.hub.http.extension import MakeProtocol, Upgrade, abort, upgrader
from statushub.hub.http.handshake import Handshake
from statushub.hub.http.head import head_of
from statushub.hub.http.resume import resume_cursor
from statushub.hub.http.route import Route, WebSocketRoute
from statushub.hub.http.shortcut import Opened
from statushub.hub.http.state import authenticator_of, hub_of
from statushub.hub.hub import Hub
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import StatushubError, UpgradeRequired
from statushub.hub.model.names import check_name
from statushub.hub.viewers.pull_socket import PullSocket
from statushub.hub.viewers.push_socket import Farewell, PushSocket
from statushub.hub.viewers.socket import GOING_AWAY, STOPS, TOO_MANY, Opening
from statushub.hub.wire.frames import closing
from statushub.hub.wire.websocket import FRAMES, MESSAGES

INTERNAL: Final = 500
"""The status of an error that is not the request's fault."""

logger = logging.getLogger(__name__)


class _Asked(msgspec.Struct, frozen=True):
    """What a request for a socket asks for."""

    channels: list[str]
    """The channel that it follows unasked, if it does."""
    since: Cursor | None
    deltas: bool
    heartbeat: int | None


def _asked(connection: HTTPConnection) -> _Asked:
    """Raises `Forbidden` for a foreign page, and `Invalid`."""
    # Most have none.
    query: Mapping[str, str] = connection.query_params if connection.scope["query_string"] else {}
    since = resume_cursor(connection, query.get("since"))
    heartbeat = heartbeat_of(query.get("heartbeat"))
    deltas = deltas_of(query.get("deltas"))
    name = connection.path_params.get("channel_id")
    channels = [] if name is None else [check_name(name, "channel_id")]
    authenticator_of(connection).check_page(connection)
    return _Asked(channels, since, deltas, heartbeat)


def _first(connection: HTTPConnection, identity: Identity, asked: _Asked) -> tuple[str, Opening] | None:
    """The channel that is followed unasked, and how. Raises `Forbidden` where it is not to be read, and `Invalid`."""
    if not asked.channels:
        return None
    [channel] = asked.channels
    identity.check_read(channel, "channel_id")
    return channel, Opening(asked.since, asked.deltas, filter_of(connection, asked.channels))


def _refusal(hub: Hub, identity: Identity, address: str, asked: _Asked) -> tuple[int, str] | None:
    """The close code and reason of a socket that the hub has no room for; None where it has."""
    if hub.draining:
        return GOING_AWAY, STOPS
    if limit := hub.stream_limit(identity, address, asked.channels):
        hub.counts.refusals[limit] += 1
        return TOO_MANY, f"the limit {limit} is reached"
    return None


def _maker(
    hub: Hub, identity: Identity, address: str, first: tuple[str, Opening] | None, heartbeat: int | None
) -> MakeProtocol:
    def make(connections: set[Any], paused: bool, head: bytes) -> PushSocket:
        return hub.push_socket(
            identity, address, first, connections=connections, stalled=paused, head=head, heartbeat=heartbeat
        )

    return make


def _farewell(code: int, reason: str) -> MakeProtocol:
    last = FRAMES.drain(random.randint(*OVERLOAD_RETRY_MS)) + closing(code, reason)

    def make(connections: set[Any], paused: bool, head: bytes) -> Farewell:
        return Farewell(connections, head + last)

    return make


async def socket(request: Request) -> Response:
    """GET /api/ws and /api/contents/{channel_id}/ws"""
    asked, handshake = _asked(request), Handshake(request.headers)
    identity = await identify(request, handshake.offered_token())
    first = _first(request, identity, asked)
    head = head_of(HTTPStatus.SWITCHING_PROTOCOLS, handshake.accept())
    upgrade = upgrader(request.scope)
    if upgrade is None or request.method != "GET":
        raise UpgradeRequired("this server cannot upgrade this request: WebSocket needs a GET of HTTP/1.1")
    hub, address = hub_of(request), address_of(request)
    if refusal := _refusal(hub, identity, address, asked):
        return HandedOverSocket(upgrade, head, _farewell(*refusal))
    make = _maker(hub, identity, address, first, asked.heartbeat)
    return HandedOverSocket(upgrade, head, make)


def open_socket(request: Request) -> Opened | None:
    """The same at once."""
    asked, handshake = _asked(request), Handshake(request.headers)
    identity = known_identity(request, handshake.offered_token())
    if identity is None:
        return None
    first = _first(request, identity, asked)
    headers = handshake.accept()
    hub, address = hub_of(request), address_of(request)
    if request.method != "GET" or hub.draining or hub.stream_limit(identity, address, asked.channels):
        return None
    make = _maker(hub, identity, address, first, asked.heartbeat)
    return Opened(HTTPStatus.SWITCHING_PROTOCOLS, headers, make)


async def portable_socket(websocket: WebSocket) -> None:
    """The same on a server that accepts the upgrade by itself."""
    hub = hub_of(websocket)
    try:
        asked, handshake = _asked(websocket), Handshake(websocket.headers)
        identity = await identify(websocket, handshake.offered_token())
        first = _first(websocket, identity, asked)
        subprotocol = handshake.chosen_subprotocol()
    except StatushubError as error:
        if error.status == INTERNAL:
            raise
        hub.counts.refuse(error)
        await refuse(error, websocket.scope, websocket.receive, websocket.send)
        return
    address = address_of(websocket)
    refusal = _refusal(hub, identity, address, asked)
    await websocket.accept(subprotocol)
    if refusal is not None:
        await websocket.send_text(MESSAGES.drain(random.randint(*OVERLOAD_RETRY_MS)).decode())
        await websocket.close(*refusal)
        return
    pulled = hub.pull_socket(identity, address, heartbeat=asked.heartbeat)
    await PortableSocket(websocket, pulled, hub.stall_timeout).run(first)


_PATHS: Final = ("/api/contents/{channel_id:path}/ws", "/api/ws")

_HANDED_OVER: Final = [Route(path, socket) for path in _PATHS]

routes: Final = [*_HANDED_OVER, *(WebSocketRoute(path, portable_socket) for path in _PATHS)]

SHORTCUTS: Final = tuple((route, open_socket) for route in _HANDED_OVER)
"""What opens the sockets of a route at once, where nothing has to be waited for."""


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
