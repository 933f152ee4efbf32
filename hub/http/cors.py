"""CORS: which pages of other origins may use the hub, with which methods and headers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from statushub.hub.auth.origins import Origins
from statushub.hub.http.errors import error_response
from statushub.hub.model.errors import Forbidden

METHODS: Final = ("DELETE", "GET", "HEAD", "POST", "PUT")
"""The methods of the hub's routes."""

PREFLIGHT_SECONDS: Final = 7200
"""How long a browser may remember a preflight: the most that Chromium honours."""

READ_HEADERS: Final = (
    *("Accept", "Authorization", "Content-Type", "If-Modified-Since", "If-None-Match", "If-Range", "Last-Event-ID"),
    "Range",
)
"""What the hub reads."""

LIBRARY_HEADERS: Final = ("Cache-Control", "Pragma", "X-Requested-With")
"""What clients of event streams, and libraries for requests, send of their own accord."""

TRACE_HEADERS: Final = (
    "baggage",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "b3",
    "X-B3-Flags",
    "X-B3-ParentSpanId",
    "X-B3-Sampled",
    "X-B3-SpanId",
    "X-B3-TraceId",
    "X-Datadog-Origin",
    "X-Datadog-Parent-Id",
    "X-Datadog-Sampling-Priority",
    "X-Datadog-Tags",
    "X-Datadog-Trace-Id",
    "newrelic",
    "Request-Context",
    "Request-Id",
    "uber-trace-id",
    "X-Amzn-Trace-Id",
    "X-Correlation-ID",
    "X-Request-ID",
)
"""What tracing adds to every request of a page: W3C, Sentry, B3, Datadog, New Relic, Application Insights, Jaeger,
X-Ray, and two names of many."""

ALLOWED_HEADERS: Final = (*READ_HEADERS, *LIBRARY_HEADERS, *TRACE_HEADERS)
"""The headers that pages may send. Not every one: a page could forge `X-Forwarded-For`."""

EXPOSED_HEADERS: Final = (
    *("Accept-Ranges", "Age", "Allow", "Content-Range", "Date", "ETag", "Link", "Retry-After", "WWW-Authenticate"),
)
"""The headers that pages may read, beside those that every page may (Fetch standard, section 4.5)."""


class Cors(CORSMiddleware):
    """Starlette's middleware, whose refusal of a preflight is an error as any other, which names what is refused."""

    def __init__(
        self, app: ASGIApp, *, origins: Sequence[str], headers: Sequence[str] = (), credentials: bool = False
    ) -> None:
        """`origins` as `Origins`; `headers` are allowed beside `ALLOWED_HEADERS`; `credentials` allows cookies."""
        allowed = Origins(origins)
        super().__init__(
            app,
            allow_origins=allowed.listed,
            allow_origin_regex=allowed.expression,
            # Cookies are for the origins that the settings name, not for `*`.
            allow_credentials=credentials and allowed.named,
            allow_methods=METHODS,
            allow_headers=(*ALLOWED_HEADERS, *headers),
            expose_headers=EXPOSED_HEADERS,
            max_age=PREFLIGHT_SECONDS,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """What is refused is answered 403, with a `field` of `origin`, `method` or `header`."""
        headers = dict(self.preflight_headers)
        origin = request_headers["origin"]
        if self.preflight_explicit_allow_origin and self.is_allowed_origin(origin):
            headers["Access-Control-Allow-Origin"] = origin
        if "access-control-request-private-network" in request_headers:
            # A page of the internet may use a hub of the local network where its origin is allowed.
            headers["Access-Control-Allow-Private-Network"] = "true"
        refusal = self._refusal(request_headers)
        answer = PlainTextResponse("OK") if refusal is None else error_response(refusal)
        answer.headers.update(headers)
        return answer

    def _refusal(self, asked: Headers) -> Forbidden | None:
        if not self.is_allowed_origin(asked["origin"]):
            return Forbidden(
                f"Pages of {asked['origin']!r} may not use this hub; --cors-origin allows an origin", field="origin"
            )
        if (method := asked["access-control-request-method"]) not in METHODS:
            return Forbidden(f"Pages may use {', '.join(METHODS)}, and not {method!r}", field="method")
        names = [name.strip() for name in asked.get("access-control-request-headers", "").split(",")]
        refused = [name for name in names if name and name.lower() not in self.allow_headers]
        if refused:
            return Forbidden(
                f"Pages may not send {', '.join(map(repr, refused))}; --cors-header allows a header", field="header"
            )
        return None
