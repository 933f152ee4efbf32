"""The ASGI application: settings, hub, routes and middleware put together."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from statushub.hub.api import access, contents, dashboard, description, events, health, jobs, publish, videos
from statushub.hub.auth.origins import Origins
from statushub.hub.auth.revocations import RevocationLimits
from statushub.hub.auth.tokens import open_auth
from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from statushub.hub.config import Config
from statushub.hub.environment import load
from statushub.hub.http.errors import exception_handlers
from statushub.hub.http.hosts import Hosts
from statushub.hub.http.middleware import RequestMiddleware
from statushub.hub.http.rate_limiter import RateLimiter, ReadLimiter
from statushub.hub.hub import Hub
from statushub.hub.intervals import Intervals
from statushub.hub.model.limits import StorageLimits
from statushub.hub.replicas.limits import ReplicaLimits
from statushub.hub.viewers.quotas import ChannelLimits, StreamLimits

ROUTES: Final = (
    *events.routes,
    *contents.routes,
    *jobs.routes,
    *videos.routes,
    *publish.routes,
    *access.routes,
    *health.routes,
    *description.routes,
    *dashboard.routes,
)
"""Every route. Those that end in a word come before the one that takes any path as a channel."""

PREFLIGHT_SECONDS: Final = 7200
"""How long a browser may remember a preflight: the most that Chromium honours."""


@asynccontextmanager
async def open_hub(
    settings: Config,
    broker: Broker | None = None,
    *,
    intervals: Intervals = Intervals(),
    replica_limits: ReplicaLimits = ReplicaLimits(),
) -> AsyncIterator[Hub]:
    """A running hub on the broker that `settings` name, or on `broker`, for the time of the block."""
    limits = StorageLimits(
        contents=settings.max_contents_tenant,
        bytes=settings.max_bytes_tenant,
        channel_contents=settings.max_contents_channel,
    )
    opened = broker or open_broker(settings.broker, retention=settings.retention, limits=limits)
    hub = Hub(
        opened,
        heartbeat=settings.heartbeat,
        stall_timeout=settings.stall_timeout,
        patience=settings.patience,
        grace=settings.grace,
        auth_required=settings.auth_required,
        intervals=intervals,
        replica_limits=replica_limits,
        stream_limits=StreamLimits(
            hub=settings.max_streams,
            tenant=settings.max_streams_tenant,
            sub=settings.max_streams_sub,
            address=settings.max_streams_address,
        ),
        revocation_limits=RevocationLimits(hub=settings.max_revocations, tenant=settings.max_revocations_tenant),
        channel_limits=ChannelLimits(tenant=settings.max_channels_tenant, sub=settings.max_channels_sub),
    )
    async with opened, hub:
        yield hub


def create_app(settings: Config, hub: Hub | None = None, *, broker: Broker | None = None) -> ASGIApp:
    """The application. Its lifespan opens a hub, unless it is given one, which its caller opened."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Hub]]:
        async with open_hub(settings, broker) as app.state.hub:
            yield {"hub": app.state.hub}

    app = Starlette(
        routes=ROUTES, lifespan=None if hub else lifespan, exception_handlers=exception_handlers, debug=False
    )
    # A redirect would answer a wrong path with an address; an error says what is wrong.
    app.router.redirect_slashes = False
    app.state.config = settings
    app.state.hub = hub
    app.state.auth = open_auth(
        secret=settings.secret,
        public_key=settings.public_key,
        jwks_url=settings.jwks_url,
        ticket_secret=settings.ticket_secret,
        ticket_ttl=settings.ticket_ttl,
        cookie=settings.cookie,
        issuer=settings.issuer,
        audience=settings.audience,
        origins=settings.cors_origins,
        start=lambda work: app.state.hub.start(work),
    )
    app.state.rates = RateLimiter(settings.publish_rate, settings.publish_bytes)
    app.state.reads = ReadLimiter(settings.read_rate)
    origins = Origins(settings.cors_origins)
    # Outermost, around the handler of crashes too: a page sees an error without CORS headers as a CORS error.
    return CORSMiddleware(
        RequestMiddleware(
            app,
            head_bytes=settings.max_head,
            hosts=Hosts(settings.allowed_hosts, address=settings.host, auth_required=settings.auth_required),
            refused=lambda error: app.state.hub.counts.refuse(error),
        ),
        allow_origins=origins.listed,
        allow_origin_regex=origins.expression,
        # Cookies are for the origins that the settings name, not for `*`.
        allow_credentials=settings.auth_required and origins.named,
        allow_methods=["DELETE", "GET", "HEAD", "POST"],
        allow_headers=["Authorization", "Content-Type", "If-None-Match", "Last-Event-ID"],
        expose_headers=["Age", "ETag", "Link", "Retry-After", "WWW-Authenticate"],
        max_age=PREFLIGHT_SECONDS,
    )


def app_from_environment() -> ASGIApp:
    """The application of the settings in the environment, for any server that takes a factory."""
    return create_app(load(os.environ))
