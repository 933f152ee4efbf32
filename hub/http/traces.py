"""Traces of requests: of those whose clients trace them. Polls come by the thousand, and begin none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from statushub.hub.http.observer import Observed
from statushub.hub.model.traceparent import TRACEPARENT, TraceParent, parse

if TYPE_CHECKING:
    from statushub.hub.tracing import Tracing

HEADER: Final = TRACEPARENT.encode()

FAILED: Final = 500
"""From this status on a request counts as failed, by the conventions for HTTP servers."""


class Traced:
    """Gives a request that belongs to a trace a span, named by its route."""

    def __init__(self, app: ASGIApp, tracing: Callable[[], Tracing], routes: Observed) -> None:
        """`tracing` is that of the hub, once it is there."""
        self._app = app
        self._tracing = tracing
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parent = _parent(scope) if scope["type"] == "http" else None
        if parent is None:
            await self._app(scope, receive, send)
            return
        with self._tracing().request(scope["method"], parent) as span:

            async def traced(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= FAILED:
                        span.set_attribute("error.type", str(message["status"]))
                await send(message)

            try:
                await self._app(scope, receive, traced)
            finally:
                route = self._routes.find(scope).path
                span.update_name(f"{scope['method']} {route}")
                span.set_attributes({"http.request.method": scope["method"], "http.route": route})


def _parent(scope: Scope) -> TraceParent | None:
    """The span that the client names; None where it names none, or several."""
    named = [value for name, value in scope["headers"] if name == HEADER]
    return parse(named[0].decode("latin-1")) if len(named) == 1 else None
