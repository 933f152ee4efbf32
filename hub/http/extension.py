"""The hand-over extension: a server offers that its connection leaves HTTP for a protocol of our own.

An ASGI extension, in `scope["extensions"]`. `handover` implements it for uvicorn; a server that lacks it serves
streams the portable way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any, Final, Protocol

EXTENSION: Final = "statushub.handover"
"""The extension's name. It has three entries: `"take"`, a `Take` or None; `"upgrade"`, an `Upgrade`, or None where the
request asks for no other protocol; and `"transport"`, which returns the transport or None where it is gone."""

MakeProtocol = Callable[[set[Any], bool, bytes], asyncio.Protocol]
"""Given the server's set of connections, whether writing is paused, and the head of the response, makes the
connection's new protocol. It writes the head with its first frames: each write is a system call."""


class Take(Protocol):
    """Takes the connection of a request."""

    @property
    def chunked(self) -> bool:
        """Whether the protocol writes the body's chunks itself; otherwise it writes what the body holds."""

    def hold_head(self) -> None:
        """Keep the head of the response, which is sent now in the ordinary way, for the new protocol."""

    def __call__(self, make: MakeProtocol) -> None:
        """Hand the connection over, after the head of a chunked response was held and before any body.

        The protocol that `make` returns has its `connection_made` called here, and `shutdown()` called when
        the server stops. Does nothing where the client has disconnected. The caller sends no more.
        """


class Upgrade(Protocol):
    """Takes the connection of a request that asks for another protocol."""

    def __call__(self, make: MakeProtocol, head: bytes) -> None:
        """As `Take`, before any response: `head` is the whole response, which switches protocols (101).

        What the client has sent after its request is passed to the new protocol's `data_received`.
        """


def upgrader(scope: MutableMapping[str, Any]) -> Upgrade | None:
    """The upgrade that this request's server offers, or None."""
    extension = scope.get("extensions", {}).get(EXTENSION)
    return extension["upgrade"] if extension else None


def taker(scope: MutableMapping[str, Any]) -> Take | None:
    """The hand-over that this request's server offers, or None."""
    extension = scope.get("extensions", {}).get(EXTENSION)
    return extension["take"] if extension else None


async def abort(scope: MutableMapping[str, Any]) -> None:
    """Abort the request's connection, where the server has the extension: a close would wait for unsent bytes."""
    extension = scope.get("extensions", {}).get(EXTENSION)
    if extension and (transport := extension["transport"]()):
        transport.abort()
        # `connection_lost` is called in the next iteration of the event loop.
        await asyncio.sleep(0)
