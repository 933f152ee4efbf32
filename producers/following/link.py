"""What a follower does with the world: requests, pauses, calls. One follower runs over either implementation: that of
asyncio, or one that blocks, whose coroutines never suspend."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import httpx

from statushub.hub.model.errors import BrokerUnavailable
from statushub.producers.connections import reason


class Closed(Exception):
    """Raised by a link that was closed while it was used."""


class Silent(BrokerUnavailable):
    """Raised where a connection is made, and nothing comes over it: a hub answers immediately, a proxy may not."""


class Refused(BrokerUnavailable):
    """Raised where a server answers this request with an error that passes: another route may work meanwhile."""


class Answer(Protocol):
    """An answer whose body is still arriving."""

    status: int
    reason: str
    """The phrase of the status line."""

    def header(self, name: str) -> str | None:
        """The value of a field."""

    async def read(self) -> bytes:
        """The next part of the body, empty at its end. Raises `BrokerUnavailable` where the connection breaks."""

    async def aclose(self) -> None:
        """Read no more."""


class Link(Protocol):
    """The way to a hub."""

    async def get(self, url: httpx.URL, headers: Mapping[str, str], silence: float) -> Answer:
        """Ask, and return with the head of the answer. No part of it, from then on too, may take longer than `silence`.

        Raises `BrokerUnavailable` where none comes.
        """

    async def sleep(self, seconds: float) -> None:
        """Pause."""

    async def call(self, function: Callable[[], str | Awaitable[str]]) -> str:
        """What `function` returns, awaited if need be."""

    async def aclose(self) -> None:
        """Close all connections."""


@contextmanager
def reaching(name: str, silence: float) -> Iterator[None]:
    """Raise what goes wrong in the block on the way to the hub, called `name`, as `BrokerUnavailable`."""
    try:
        yield
    except httpx.ReadTimeout:
        raise Silent(f"{name} has been silent for {silence:g} s") from None
    except (httpx.HTTPError, httpx.StreamError, OSError, UnicodeError, ssl.SSLError) as error:
        # Without the cause: what a library says of a request may hold a secret of it.
        raise BrokerUnavailable(f"{name} {reason(error)}") from None


def request(url: httpx.URL, headers: Mapping[str, str], *, connect: float, silence: float) -> httpx.Request:
    """The request, with its limits in seconds."""
    timeout = httpx.Timeout(connect, read=silence).as_dict()
    return httpx.Request("GET", url, headers=dict(headers), extensions={"timeout": timeout})
