"""The link for asyncio."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import anyio
import anyio.to_thread
import httpx

from statushub.producers.connections import open_connections
from statushub.producers.following.link import Link, reaching, request
from statushub.producers.hub_address import HubAddress


class AsyncAnswer:
    """As `Answer`."""

    def __init__(self, response: httpx.Response, name: str, silence: float) -> None:
        self.status = response.status_code
        self.reason = response.reason_phrase
        self._response = response
        self._name = name
        self._silence = silence
        self._parts: AsyncIterator[bytes] = response.aiter_bytes()

    def header(self, name: str) -> str | None:
        value: str | None = self._response.headers.get(name)
        return value

    async def read(self) -> bytes:
        with reaching(self._name, self._silence):
            return await anext(self._parts, b"")

    async def aclose(self) -> None:
        await self._response.aclose()


class AsyncLink:
    """Uses the event loop of its caller."""

    def __init__(self, address: HubAddress, connect: float) -> None:
        """`connect` is how many seconds a connection may take."""
        self._address = address
        self._connect = connect
        self._connections: dict[str, httpx.AsyncBaseTransport] = {}

    async def get(self, url: httpx.URL, headers: Mapping[str, str], silence: float) -> AsyncAnswer:
        if url.scheme not in self._connections:
            self._connections[url.scheme] = open_connections(url, self._address.name)
        asked = request(url, headers, connect=self._connect, silence=silence)
        with reaching(self._address.name, silence):
            response = await self._connections[url.scheme].handle_async_request(asked)
        return AsyncAnswer(response, self._address.name, silence)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def call(self, function: Callable[[], str | Awaitable[str]]) -> str:
        if inspect.iscoroutinefunction(function):
            found: str | Awaitable[str] = function()
        else:
            # It may block, and is left behind where the follower is cancelled.
            found = await anyio.to_thread.run_sync(function, abandon_on_cancel=True)
        return await found if inspect.isawaitable(found) else found

    async def aclose(self) -> None:
        for connections in self._connections.values():
            await connections.aclose()


_fits: Callable[..., Link] = AsyncLink
