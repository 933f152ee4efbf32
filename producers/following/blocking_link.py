"""The link for ordinary code: it blocks in the calling thread, where asyncio would suspend.

So there is no event loop and no thread of its own: it works in any thread, in a notebook, in a forked process, and
where gevent or eventlet have replaced sockets.
"""

from __future__ import annotations

import contextlib
import inspect
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import httpx

from statushub.hub.model.errors import BrokerUnavailable, ConfigError
from statushub.producers.connections import open_blocking_connections
from statushub.producers.following.link import Closed, Link, reaching, request
from statushub.producers.hub_address import HubAddress

T = TypeVar("T")

CONNECTED: Final = ("connection.connect_tcp.complete", "connection.start_tls.complete")
"""The steps of httpcore that make a stream over a socket."""


class BlockingAnswer:
    """As `Answer`."""

    def __init__(self, response: httpx.Response, link: BlockingLink, name: str, silence: float) -> None:
        self.status = response.status_code
        self.reason = response.reason_phrase
        self._response = response
        self._link = link
        self._name = name
        self._silence = silence
        self._parts: Iterator[bytes] = response.iter_bytes()

    def header(self, name: str) -> str | None:
        value: str | None = self._response.headers.get(name)
        return value

    async def read(self) -> bytes:
        with self._link.open(), reaching(self._name, self._silence):
            return next(self._parts, b"")

    async def aclose(self) -> None:
        self._response.close()


class BlockingLink:
    """Its `close` may be called from any thread, and ends what blocks."""

    def __init__(self, address: HubAddress, connect: float) -> None:
        """`connect` is how many seconds a connection may take."""
        self._address = address
        self._connect = connect
        self._closed = threading.Event()
        self._connections: dict[str, httpx.BaseTransport] = {}
        self._socket: socket.socket | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Raise `Closed` where the link is, or is closed within the block."""
        if self._closed.is_set():
            raise Closed
        try:
            yield
        except BrokerUnavailable:
            if self._closed.is_set():
                raise Closed from None
            raise
        if self._closed.is_set():
            raise Closed

    def close(self) -> None:
        """End what blocks, and let nothing else begin."""
        self._closed.set()
        if self._socket is not None:
            # Closing it would free its number for another file while a thread still reads from it.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    async def get(self, url: httpx.URL, headers: Mapping[str, str], silence: float) -> BlockingAnswer:
        with self.open():
            if url.scheme not in self._connections:
                self._connections[url.scheme] = open_blocking_connections(url, self._address.name)
            asked = request(url, headers, connect=self._connect, silence=silence)
            asked.extensions["trace"] = self._connecting
            with reaching(self._address.name, silence):
                response = self._connections[url.scheme].handle_request(asked)
        return BlockingAnswer(response, self, self._address.name, silence)

    async def sleep(self, seconds: float) -> None:
        with self.open():
            self._closed.wait(seconds)

    async def call(self, function: Callable[[], str | Awaitable[str]]) -> str:
        found = function()
        if not inspect.isawaitable(found):
            return found
        if inspect.iscoroutine(found):
            found.close()
        raise ConfigError("the token's function is asynchronous, which only `follow` can await", field="token")

    async def aclose(self) -> None:
        for connections in self._connections.values():
            connections.close()

    def _connecting(self, step: str, about: dict[str, Any]) -> None:
        """Keep the socket of a new connection, before anything is read from it (httpcore's extension `trace`)."""
        if step in CONNECTED:
            self._socket = about["return_value"].get_extra_info("socket")


def finished(work: Awaitable[T]) -> T:
    """The result of a coroutine that never suspends, such as those of a `BlockingLink`."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("a coroutine over a blocking link has suspended")


_fits: Callable[..., Link] = BlockingLink
