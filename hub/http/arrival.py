"""Arrival: what a connection is until its first request has come.

After a restart every viewer comes back within seconds, each with one small GET on a connection of its own. Where that
opens a stream or a socket at once, the connection goes straight to its viewer. Whatever else comes is left, unread, to
the protocol of the ordinary way.

Private parts of uvicorn used here (`compatibility` checks them), beside the settings that it makes a connection with:

- `ServerState`: `connections` are told when the server stops; `default_headers` are in each head.
"""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import httptools

from statushub.hub.http.access_log import log_answer
from statushub.hub.http.close_delimited import CHUNKED_SINCE
from statushub.hub.http.head import head_of
from statushub.hub.http.shortcut import shortcut_of

PLAIN_BYTES: Final = 4_096
"""Longest request that is looked at here: more than a browser's, and cookies."""

CHUNKED: Final = (b"transfer-encoding", b"chunked")

START: Final = b"GET /"
END: Final = b"\r\n\r\n"
OPTIONS: Final = frozenset({b"keep-alive", b"upgrade"})
"""What a plain request may say of its connection."""


class Arrivals:
    """Makes the connections of a server, for uvicorn's `http` setting."""

    def __init__(self, make: Callable[..., asyncio.Protocol], *, head_bytes: int, head_seconds: float) -> None:
        """`make` makes the protocol of the ordinary way, whose limits these are."""
        self.make = make
        self.plain_bytes = min(PLAIN_BYTES, head_bytes)
        self.head_seconds = head_seconds
        # Each with when it is closed if it stays silent, the first one first.
        self._silent: dict[Arrival, float] = {}
        self._due: asyncio.TimerHandle | None = None

    def __call__(self, **server: Any) -> asyncio.Protocol:
        """A connection; `server` is what uvicorn tells it of itself."""
        return Arrival(self, server)

    def await_request(self, arrival: Arrival) -> None:
        """Close this connection where nothing comes for as long as a head may take."""
        loop = asyncio.get_running_loop()
        self._silent[arrival] = loop.time() + self.head_seconds
        if self._due is None:
            self._due = loop.call_later(self.head_seconds, self._close_silent)

    def forget(self, arrival: Arrival) -> None:
        """Undo `await_request`."""
        self._silent.pop(arrival, None)

    def _close_silent(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = None
        for arrival, due in self._silent.items():
            if due > loop.time():
                self._due = loop.call_at(due, self._close_silent)
                break
            # Browsers open connections in advance; there is no request that could be answered.
            arrival.shutdown()


class Arrival(asyncio.Protocol):
    """A connection on which nothing has come yet. `transport` is None once it is another protocol's, or gone."""

    __slots__ = ("_arrivals", "_server", "transport")

    def __init__(self, arrivals: Arrivals, server: dict[str, Any]) -> None:
        self._arrivals = arrivals
        self._server = server
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._server["server_state"].connections.add(self)
        self._arrivals.await_request(self)

    def data_received(self, data: bytes) -> None:
        transport = self._leave()
        if transport is None:
            return
        opened = None
        if data.startswith(START) and data.endswith(END) and len(data) <= self._arrivals.plain_bytes:
            # Most requests are for neither: they are parsed only once, by the ordinary way.
            target = data[: data.index(b"\r\n")].split(b" ")[1]
            shortcut = shortcut_of(self._server["config"].loaded_app, target.partition(b"?")[0])
            if shortcut is not None and (asked := self._asked(transport, data)) is not None:
                scope, upgrades = asked
                opened = shortcut(scope, upgrades)
        if opened is None:
            ordinary = self._arrivals.make(**self._server)
            transport.set_protocol(ordinary)
            ordinary.connection_made(transport)
            ordinary.data_received(data)
            return
        log_answer(scope, opened.status)
        state, headers = self._server["server_state"], opened.headers
        if opened.status is not HTTPStatus.SWITCHING_PROTOCOLS:
            headers = [*state.default_headers, *headers, CHUNKED]
        protocol = opened.make(state.connections, False, head_of(opened.status, headers))
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def shutdown(self) -> None:
        """The server stops, or nothing came for too long."""
        if self.transport is not None:
            self.transport.close()

    def _leave(self) -> asyncio.Transport | None:
        """Be no connection any longer; returns the transport, where it was one."""
        self._arrivals.forget(self)
        self._server["server_state"].connections.discard(self)
        transport, self.transport = self.transport, None
        return transport

    def _asked(self, transport: asyncio.Transport, data: bytes) -> tuple[dict[str, Any], bool] | None:
        """The scope of this request, and whether it asks for another protocol; None where it is not a plain one."""
        request = _Request()
        parser = httptools.HttpRequestParser(request)
        try:
            try:
                parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if upgrade.args[0] != len(data):
                    return None
            address = httptools.parse_url(request.url)
            path = address.path.decode("ascii")
        except (httptools.HttpParserError, UnicodeDecodeError):
            return None
        if not request.is_plain or parser.get_http_version() != CHUNKED_SINCE:
            return None
        config, app_state = self._server["config"], self._server["app_state"]
        scope = {
            "type": "http",
            "asgi": {"version": config.asgi_version, "spec_version": "2.3"},
            "http_version": CHUNKED_SINCE,
            "method": parser.get_method().decode("ascii"),
            "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
            "path": config.root_path + urllib.parse.unquote(path),
            "raw_path": config.root_path.encode("ascii") + address.path,
            "root_path": config.root_path,
            "query_string": address.query or b"",
            "headers": request.headers,
            "client": _address(transport.get_extra_info("peername")),
            # Which address it came to concerns no stream; each question is a system call.
            "server": None,
            "state": app_state.copy(),
        }
        return scope, parser.should_upgrade()


class _Request:
    """What a parser tells of a request."""

    __slots__ = ("complete", "headers", "url")

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_message_complete(self) -> None:
        self.complete += 1

    @property
    def is_plain(self) -> bool:
        """Whether there is one request, whose connection goes on, and nothing of it that may be read in two ways."""
        said = b",".join([value for name, value in self.headers if name == b"connection"]).lower()
        known = not said or said in OPTIONS or OPTIONS.issuperset([option.strip() for option in said.split(b",")])
        return self.complete == 1 and known and b"#" not in self.url


def _address(told: Any) -> tuple[str, int] | None:
    """An address as scopes have it; None for that of a Unix socket."""
    return (str(told[0]), int(told[1])) if isinstance(told, tuple) and len(told) > 1 else None
