"""Observes requests: their routes, the status of each answer, and how long it took to begin."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from starlette.routing import BaseRoute
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from statushub.hub.metrics import OTHER_ROUTE, Answers, Counts, Route

WAITS: Final = b"wait="
"""In the query of a long poll, whose answer comes when there is something to tell."""

OTHER: Final = Route(OTHER_ROUTE, "other")


class Observed:
    """The routes of an application by their endpoints, as metrics name them."""

    def __init__(self, kinds: Mapping[str, Iterable[BaseRoute]], waiting: Collection[Any]) -> None:
        """`kinds` are routes by what they are for; `waiting` are the endpoints that answer long polls, too."""
        self._routes: dict[Any, Route] = {}
        self._waiting: dict[Any, Route] = {}
        for kind, routes in kinds.items():
            for route in routes:
                if isinstance(route, StarletteRoute):
                    path = route.path.replace(":path}", "}")
                    self._routes.setdefault(route.endpoint, Route(path, kind))
                    if route.endpoint in waiting:
                        self._waiting[route.endpoint] = Route(f"{path}?wait", "long_poll")

    def __iter__(self) -> Iterator[Route]:
        return iter((*self._routes.values(), *self._waiting.values(), OTHER))

    def find(self, scope: Scope) -> Route:
        """The route that has answered a request."""
        endpoint = scope.get("endpoint")
        if WAITS in scope["query_string"] and endpoint in self._waiting:
            return self._waiting[endpoint]
        return self._routes.get(endpoint, OTHER)


class Observer:
    """Counts the answers to HTTP requests. Of what is told, only names of routes are kept: no channel, no content.

    It hands the application's own awaitables on, and adds none: there are thousands of polls a second.
    """

    def __init__(self, app: ASGIApp, routes: Observed, counts: Callable[[], Counts]) -> None:
        """`counts` are those of the hub, once it is there."""
        self._app = app
        self._routes = routes
        self._counts = counts
        self._answers: dict[Route, Answers] = {}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                # Each life of the application has a hub of its own.
                self._answers.clear()
            return self._app(scope, receive, send)
        began = time.perf_counter()

        def observed(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                self.note(scope, message["status"], began)
            return send(message)

        return self._app(scope, receive, observed)

    def note(self, scope: Scope, status: int, began: float) -> None:
        """Count the answer to a request that began at this time of `perf_counter`."""
        self._of(self._routes.find(scope)).count(status, time.perf_counter() - began)

    def _of(self, route: Route) -> Answers:
        answers = self._answers.get(route)
        if answers is None:
            answers = self._answers[route] = self._counts().answers.setdefault(route, Answers())
        return answers
