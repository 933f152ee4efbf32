"""The short way to a stream: opened in one call, where nothing has to be waited for.

After a restart every viewer comes back within seconds, and most of what a request costs is the way through a task, four
layers of middleware and a router. This way makes the same checks with the same functions, and gives the same answer;
what is not a stream that opens at once, errors included, goes the ordinary way, which decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterable
from functools import lru_cache, partial
from typing import Any, Final, cast

from starlette import datastructures
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from statushub.hub.http.cors import Cors
from statushub.hub.http.extension import MakeProtocol
from statushub.hub.http.middleware import RequestMiddleware
from statushub.hub.http.observer import Observer
from statushub.hub.model.errors import StatushubError

Headers = list[tuple[bytes, bytes]]

Opening = tuple[Headers, MakeProtocol]
"""The headers of the answer, and what makes the protocol that goes on."""

OpenStream = Callable[[Request], MakeProtocol | None]
"""Opens the stream of a GET; None where it would have to wait, and `StatushubError` where it is refused."""

OK: Final = 200

ORIGINS_KEPT: Final = 64
"""Origins for which the headers of the answer are kept: most hubs have pages of one or two."""

FORWARDED: Final = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})
"""What trusted proxies say about the client."""


class Shortcut:
    """Opens streams of an application. `routes` are those of its streams, with what opens each at once."""

    def __init__(
        self,
        app: Starlette,
        routes: Iterable[tuple[Route, OpenStream]],
        headers: Headers,
        *,
        guard: RequestMiddleware,
        observer: Observer,
        cors: Cors,
    ) -> None:
        """`headers` are those of each stream; the other arguments are the layers of the ordinary way."""
        self._app = app
        self._headers = headers
        self._shared = lru_cache(ORIGINS_KEPT)(self._headers_for)
        self._routes = tuple(routes)
        # How the paths of streams end: most requests are none, and are told by that.
        self._ends = tuple(route.path.rpartition("}")[2].encode() for route, _ in self._routes)
        self._proxies: Any = ProxyHeadersMiddleware(cast(Any, _nothing))
        self._guard = guard
        self._observer = observer
        self._cors = cors

    def concerns(self, path: bytes) -> bool:
        """Whether a request for this path, as it was sent, may be for a stream."""
        return path.endswith(self._ends)

    def __call__(self, scope: Scope, proxies: ProxyHeadersMiddleware | None) -> Opening | None:
        """The opening of a stream; None where the request has to go the ordinary way. The scope is filled in as the
        layers do. `proxies` is the server's middleware that takes the word of trusted proxies about the client, where
        it has one."""
        found = self._route(scope)
        if found is None:
            return None
        child, open_stream = found
        began = time.perf_counter()
        scope.update(child, app=self._app)
        if proxies is not None and any(name in FORWARDED for name, _ in scope["headers"]):
            self._proxies.trusted_hosts = proxies.trusted_hosts
            _now(self._proxies(scope, _unread, _unsent))
        if self._guard.fault(scope) is not None:
            return None
        try:
            request = Request(scope)
            make = open_stream(request)
        except StatushubError:
            return None
        if make is None:
            return None
        self._observer.note(scope, OK, began)
        return self._shared(request.headers.get("origin")), make

    def _route(self, asked: Scope) -> tuple[Scope, OpenStream] | None:
        """What the route of a stream adds to the request, and what opens it; None where the request is for another."""
        for route, open_stream in self._routes:
            match, child = route.matches(asked)
            if match is Match.FULL:
                return child, open_stream
        return None

    def _headers_for(self, origin: str | None) -> Headers:
        """The headers with those that tell whether pages of this origin may read the answer."""
        start: Message = {"type": "http.response.start", "status": OK, "headers": list(self._headers)}
        asked = datastructures.Headers({} if origin is None else {"origin": origin})
        _now(self._cors.send(start, _unsent, request_headers=asked))
        headers: Headers = start["headers"]
        return headers


class Front:
    """The application, with the short way to its streams."""

    def __init__(self, app: ASGIApp, shortcut: Shortcut) -> None:
        self._app = app
        self.shortcut = shortcut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def shortcut_of(app: Any, path: bytes) -> Callable[[Scope], Opening | None] | None:
    """The short way to the streams of what a server has loaded; None where this path is of no stream, where the
    application has none, or where anything else is around it."""
    proxies = app if type(app) is ProxyHeadersMiddleware else None
    front = app if proxies is None else proxies.app
    if type(front) is not Front or not front.shortcut.concerns(path):
        return None
    return partial(front.shortcut, proxies=proxies)


def _now(work: Coroutine[Any, Any, Any]) -> None:
    """Run to its end a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration:
        return
    work.close()
    raise RuntimeError("it waits")


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that does nothing."""


async def _unread() -> Message:
    raise RuntimeError("nothing is received")


async def _unsent(message: Message) -> None:
    """What is sent is discarded."""
