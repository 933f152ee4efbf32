"""The short way to a stream or a socket: opened in one call, where nothing has to be waited for.

After a restart every viewer comes back within seconds, and most of what a request costs is the way through a task, four
layers of middleware and a router. This way makes the same checks with the same functions, and gives the same answer;
what does not open at once, errors included, goes the ordinary way, which decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterable
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Final, NamedTuple, cast

from starlette import datastructures
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from statushub.hub.http.cors import Cors
from statushub.hub.http.extension import MakeProtocol
from statushub.hub.http.head import HeaderList
from statushub.hub.http.middleware import RequestMiddleware
from statushub.hub.http.observer import Observer
from statushub.hub.model.errors import StatushubError


class Opened(NamedTuple):
    """An answer after which another protocol goes on."""

    status: HTTPStatus
    headers: HeaderList
    """Those that its route gives it."""
    make: MakeProtocol


Open = Callable[[Request], Opened | None]
"""Answers a request at once; None where it would have to wait, and `StatushubError` where it is refused."""

ORIGINS_KEPT: Final = 64
"""Origins for which the headers of the answer are kept: most hubs have pages of one or two."""

FORWARDED: Final = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})
"""What trusted proxies say about the client."""


class Shortcut:
    """Opens streams and sockets of an application. `routes` are theirs, with what opens each at once."""

    def __init__(
        self,
        app: Starlette,
        routes: Iterable[tuple[Route, Open]],
        *,
        guard: RequestMiddleware,
        observer: Observer,
        cors: Cors,
    ) -> None:
        """The other arguments are the layers of the ordinary way."""
        self._app = app
        self._shared = lru_cache(ORIGINS_KEPT)(self._headers_for)
        # With how their paths end: most requests are for none, and are told by that.
        self._routes = tuple((route.path.rpartition("}")[2].encode(), route, open_) for route, open_ in routes)
        self._ends = tuple(end for end, _, _ in self._routes)
        self._proxies: Any = ProxyHeadersMiddleware(cast(Any, _nothing))
        self._guard = guard
        self._observer = observer
        self._cors = cors

    def concerns(self, path: bytes) -> bool:
        """Whether a request for this path, as it was sent, may open one at once."""
        return path.endswith(self._ends)

    def __call__(self, scope: Scope, upgrades: bool, proxies: ProxyHeadersMiddleware | None) -> Opened | None:
        """What is opened; None where the request has to go the ordinary way. The scope is filled in as the layers do.
        `upgrades` tells that the request asks for another protocol; `proxies` is the server's middleware that takes the
        word of trusted proxies about the client, where it has one."""
        found = self._route(scope)
        if found is None:
            return None
        child, open_ = found
        began = time.perf_counter()
        scope.update(child, app=self._app)
        if proxies is not None and not FORWARDED.isdisjoint(dict(scope["headers"])):
            self._proxies.trusted_hosts = proxies.trusted_hosts
            _now(self._proxies(scope, _unread, _unsent))
        if self._guard.fault(scope) is not None:
            return None
        try:
            request = Request(scope)
            opened = open_(request)
        except StatushubError:
            return None
        if opened is None or opened.status is HTTPStatus.SWITCHING_PROTOCOLS:
            # To that, no layer adds anything.
            return opened
        if upgrades:
            # That is ignored, and the connection ends with the answer.
            return None
        status, headers, make = opened
        self._observer.note(scope, status, began)
        return Opened(status, [*headers, *self._shared(request.headers.get("origin"))], make)

    def _route(self, asked: Scope) -> tuple[Scope, Open] | None:
        """What its route adds to the request, and what opens it; None where the request is for another."""
        path = asked["raw_path"]
        for end, route, open_ in self._routes:
            if path.endswith(end):
                match, child = route.matches(asked)
                if match is Match.FULL:
                    return child, open_
        return None

    def _headers_for(self, origin: str | None) -> HeaderList:
        """The headers that tell whether pages of this origin may read the answer."""
        start: Message = {"type": "http.response.start", "status": HTTPStatus.OK, "headers": []}
        asked = datastructures.Headers({} if origin is None else {"origin": origin})
        _now(self._cors.send(start, _unsent, request_headers=asked))
        headers: HeaderList = start["headers"]
        return headers


class Front:
    """The application, with the short way to its streams and sockets."""

    def __init__(self, app: ASGIApp, shortcut: Shortcut) -> None:
        self._app = app
        self.shortcut = shortcut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def shortcut_of(app: Any, path: bytes) -> Callable[[Scope, bool], Opened | None] | None:
    """The short way to the streams and sockets of what a server has loaded; None where this path is of none, where the
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
