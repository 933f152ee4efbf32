"""The socket that a hub listens on, and the one of each of its processes."""

from __future__ import annotations

import socket
import sys
from typing import Any, Final

from statushub.hub.model.errors import ConfigError

UNSENT_BYTES: Final = 16 * 1024
"""Bytes that the kernel buffers for a socket beyond its peer's window. By default it buffers 4 MB for each viewer that
stops reading, and delivers them, stale, when the viewer reads again."""

SPREADS: Final = sys.platform == "linux"
"""Whether the kernel spreads connections evenly over the sockets that listen on an address with SO_REUSEPORT; others
have the option, and give all connections to one of them."""


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address. Raises `ConfigError`, whose `field` is `host` or `port`, where that fails."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot resolve host {host!r}: {reason}", field="host") from error
    listener = _prepared((SharedListener if SPREADS else socket.socket)(family))
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot bind port {port} on {host}: {error.strerror}", field="port") from error
    listener.set_inheritable(True)
    return listener


class SharedListener(socket.socket):
    """A bound socket. Pickled for a worker process, it becomes another socket on the same address there.

    Processes that accept from one socket take connections as they get to it: of those that come one after another, one
    of four processes took more than half, and held as many of the streams.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # Only now: bound with the option, it would have let another hub of this user bind the port, too.
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return _beside, (self.family, self.getsockname())


def _beside(family: int, address: Any) -> socket.socket:
    listener = _prepared(socket.socket(family))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(address)
    return listener


def _prepared(listener: socket.socket) -> socket.socket:
    """The same socket, with its options."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # Accepted connections inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    return listener
