"""Hand-over: a connection leaves uvicorn's HTTP protocol for one of our own, as a WebSocket upgrade does.

An idle viewer then costs a socket and a viewer: the request, its task, its parser and its scope are freed.
The response head has gone out through the ordinary `send` by then, so middleware had its say.

Rests on uvicorn 0.54's httptools protocol: `RequestResponseCycle.response_complete` tells `run_asgi` that
there is nothing left to complain of, and `ServerState.connections` is whom a shutdown is announced to.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, MutableMapping
from typing import Any, Final, Protocol

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from statushub.hub.http.connection import Connection

EXTENSION: Final = "statushub.handover"
"""The ASGI extension, in `scope["extensions"]`: `"take"` is a `Take` or None, `"transport"` a weak reference."""

CHUNKED_SINCE: Final = "1.1"
"""The HTTP version that has chunked bodies; earlier ones go the portable way."""

MakeProtocol = Callable[[set[Any], bool], asyncio.Protocol]
"""Given the server's set of connections and whether writing is paused, makes the connection's new protocol."""


class Take(Protocol):
    """What `EXTENSION` offers."""

    def __call__(self, make: MakeProtocol) -> None:
        """Hand the connection over, after the head of a chunked response was sent and before any body.

        The protocol that `make` returns has its `connection_made` called here, and `shutdown()` called when
        the server stops. Does nothing where the client is gone already. The caller sends no more.
        """


def taker(scope: MutableMapping[str, Any]) -> Take | None:
    """The hand-over that this request's server offers, or None."""
    extension = scope.get("extensions", {}).get(EXTENSION)
    return extension["take"] if extension else None


class Offer:
    """A `Take`. Holds nobody: a request must be freed with its response, not with the next collection."""

    __slots__ = ("_cycle", "_protocol")

    def __init__(self, protocol: HandoverProtocol, cycle: RequestResponseCycle) -> None:
        self._protocol = weakref.ref(protocol)
        self._cycle = weakref.ref(cycle)

    def __call__(self, make: MakeProtocol) -> None:
        protocol, cycle = self._protocol(), self._cycle()
        if protocol is not None and cycle is not None:
            protocol.hand_over(cycle, make)


async def abort(scope: MutableMapping[str, Any]) -> None:
    """Cut the request's connection, where the server lets us: a close would wait for what is stuck in it."""
    extension = scope.get("extensions", {}).get(EXTENSION)
    if extension and (transport := extension["transport"]()):
        transport.abort()
        # The connection's end is told in the loop's next turn.
        await asyncio.sleep(0)


class HandoverProtocol(Connection):
    """A connection that offers `EXTENSION` to each of its requests. For uvicorn's `http` setting."""

    def on_headers_complete(self) -> None:
        before = self.cycle
        super().on_headers_complete()
        cycle = self.cycle
        if cycle is not before:
            # The task that runs the application starts in a later turn of the loop.
            take = Offer(self, cycle) if cycle.scope["http_version"] == CHUNKED_SINCE else None
            cycle.scope["extensions"] = {EXTENSION: {"take": take, "transport": weakref.ref(self.transport)}}

    def hand_over(self, cycle: RequestResponseCycle, make: MakeProtocol) -> None:
        """As `Take`, for the request of this cycle."""
        if not cycle.chunked_encoding and not cycle.disconnected:
            raise RuntimeError("a connection is handed over after the head of a chunked response")
        cycle.response_complete = True
        cycle.message_event.set()
        cycle.scope["extensions"] = {}
        if cycle.disconnected or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._have_head()
        self.forget_what_follows()
        self.connections.discard(self)
        # The parser calls back, and would keep this protocol until a collection.
        self.parser = None  # type: ignore[assignment]
        protocol = make(self.connections, self.flow.write_paused)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
