"""The ASGI application: settings, hub, routes and middleware put together."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
from starlette.applications import Starlette
from starlette.types import ASGIApp

from statushub.extras import MissingExtra, required
from statushub.hub.api import (
    access,
    batch,
    cancel,
    changes,
    channels,
    contents,
    dashboard,
    description,
    documents,
    documents_page,
    events,
    feed_checks,
    feed_page,
    feed_writes,
    health,
    instagram,
    jobs,
    notifications,
    publish,
    removal,
    results,
    videos,
    websocket,
)
from statushub.hub.auth.keys import Start
from statushub.hub.auth.places import Places
from statushub.hub.auth.revocations import RevocationLimits
from statushub.hub.auth.tokens import Authenticator, open_auth
from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from statushub.hub.config import Config
from statushub.hub.environment import load, unknown_variables
from statushub.hub.feeds import open_feeds
from statushub.hub.http.cors import Cors
from statushub.hub.http.errors import exception_handlers
from statushub.hub.http.hosts import Hosts
from statushub.hub.http.middleware import RequestMiddleware
from statushub.hub.http.observer import Observed, Observer
from statushub.hub.http.portable import Portable
from statushub.hub.http.rate_limiter import RateLimiter, ReadLimiter, WriteLimiter
from statushub.hub.http.shortcut import Front, Shortcut
from statushub.hub.http.stopping import hearing_of_stop
from statushub.hub.http.traces import Traced
from statushub.hub.hub import Hub
from statushub.hub.intervals import Intervals
from statushub.hub.job_parts import check_jobs, open_jobs
from statushub.hub.model.document_batch import Documents
from statushub.hub.model.errors import ConfigError
from statushub.hub.model.limits import StorageLimits
from statushub.hub.model.record_names import RecordNames, record_names
from statushub.hub.replicas.limits import ReplicaLimits
from statushub.hub.sources import follow_video_keys, open_record, open_record_cache, open_record_writer, open_video_keys
from statushub.hub.viewers.quotas import ChannelLimits, StreamLimits

ROUTES: Final = (
    # First, because routes are tried in this order, and nothing is requested as often.
    *publish.routes,
    *events.routes,
    *websocket.routes,
    *removal.routes,
    *cancel.routes,
    *batch.routes,
    *changes.routes,
    *contents.routes,
    *channels.routes,
    *jobs.routes,
    *videos.routes,
    *documents.routes,
    *feed_checks.routes,
    *feed_page.routes,
    *notifications.routes,
    *feed_writes.routes,
    *instagram.routes,
    *access.routes,
    *health.routes,
    *description.routes,
    *results.routes,
    *documents_page.routes,
    *dashboard.routes,
)
"""Every route. Those that end in a word come before the one that takes any path as a channel."""

KINDS: Final = {
    "stream": (*events.routes, *websocket.routes),
    "poll": (
        *batch.routes,
        *changes.routes,
        *contents.routes,
        *channels.routes,
        *jobs.routes,
        *videos.routes,
        *documents.polls,
        *instagram.polls,
    ),
    "feed": (*feed_checks.routes, *feed_page.routes, *notifications.routes, *feed_writes.routes),
    "publish": (*publish.routes, *removal.routes, *cancel.routes, *documents.starts, *instagram.starts),
    "access": access.routes,
    "operation": (*health.routes, *description.routes),
    "page": (*results.routes, *documents_page.routes, *dashboard.routes),
}
"""The same routes by what they are for, as metrics have it."""

WAITING: Final = (changes.changes, changes.matching_changes, cancel.cancels)
"""The endpoints that answer long polls."""

if TYPE_CHECKING:
    from statushub.hub.instagram import InstagramSync
    from statushub.hub.sources.bridge import Bridge
    from statushub.hub.sources.record import RecordSource
    from statushub.hub.sources.redis_keys import RedisKeys
    from statushub.hub.sources.states import RecordWriter
    from statushub.hub.tracing import Tracing

logger = logging.getLogger(__name__)


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
    opened = broker or open_broker(
        settings.broker, retention=settings.retention, default_lease=settings.default_lease, limits=limits
    )
    keys = _video_keys(settings)
    tracing = _tracing(settings)
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
        match_channels=settings.max_channels_match,
        sources=[] if keys is None else [keys],
        record=_record(settings),
        record_cache=open_record_cache(None if settings.embedded else settings.broker) if settings.source else None,
        record_writer=_record_writer(settings),
        record_all=settings.record == "all",
        bridge=_bridge(settings, keys, opened),
        tracing=tracing,
        feeds=open_feeds(settings.broker) if settings.feed else None,
        notices=settings.jobs_tenants if settings.feed_job_notices else (),
        instagram=_instagram(settings),
    )
    try:
        async with opened, hub, _jobs(settings, opened) as hub.documents, _syncing(settings, hub):
            yield hub
    finally:
        if tracing is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(tracing.close)


def check(settings: Config) -> None:
    """Raise `ConfigError` where a part of the hub cannot be made of these settings.

    To be called before anything is opened: an error of a worker process, or of a running hub, would have a traceback.
    """
    open_broker(settings.broker)
    _auth(settings, lambda work: None)
    _video_keys(settings)
    _record(settings)
    if settings.tracing:
        _tracing_kind()
    if settings.results_dir:
        results.prepare(settings.results_dir)
    check_jobs(settings)
    if settings.instagram or settings.instagram_database:
        _open_instagram(settings)


@asynccontextmanager
async def _jobs(settings: Config, broker: Broker) -> AsyncIterator[Documents | None]:
    """For the time of the block, runs jobs, where that is switched on; yields the batches of document counts."""
    if not (settings.jobs or settings.counts_documents):
        yield None
        return
    async with open_jobs(settings, broker) as (jobs, batches), anyio.create_task_group() as tasks:
        if not (settings.jobs and jobs):
            yield batches
            return
        from statushub.producers.jobs.worker import Worker

        worker = Worker(broker, jobs, tenants=settings.jobs_tenants, exclusive=not broker.shared)
        tasks.start_soon(worker.run)
        try:
            yield batches
        finally:
            worker.stop()


@asynccontextmanager
async def _syncing(settings: Config, hub: Hub) -> AsyncIterator[None]:
    """Runs the sync of Instagram for the time of the block, where that is switched on."""
    if hub.instagram is None:
        yield
        return
    broker = hub.broker
    async with hub.instagram.running(broker, works=settings.jobs or not broker.shared, exclusive=not broker.shared):
        yield


def _instagram(settings: Config) -> InstagramSync | None:
    """The sync of Instagram; None where it is switched off. Raises `ConfigError`."""
    return _open_instagram(settings) if settings.instagram else None


def _open_instagram(settings: Config) -> InstagramSync:
    try:
        with required("the sync of Instagram"):
            from statushub.hub.instagram import InstagramSync
        return InstagramSync(settings)
    except MissingExtra as error:
        raise ConfigError(str(error), field="instagram") from error


def _video_keys(settings: Config) -> RedisKeys | None:
    """The keys of video workers; None where they are not read. Raises `ConfigError`."""
    if not settings.video_keys:
        return None
    return open_video_keys(
        settings.video_keys,
        channel=settings.video_channel,
        tenants=settings.video_tenants,
        jobs=settings.video_job_tenants,
        steps=settings.video_steps,
    )


def _bridge(settings: Config, keys: RedisKeys | None, broker: Broker) -> Bridge | None:
    """What publishes the keys of video workers; None where nothing does."""
    if keys is None or not settings.video_bridge:
        return None
    from statushub.hub.sources.bridge import Bridge

    return Bridge(keys, broker, follow_video_keys(settings.video_keys))


def _tracing(settings: Config) -> Tracing | None:
    """The tracing of a hub, begun; None where it is switched off."""
    return _tracing_kind()() if settings.tracing else None


def _tracing_kind() -> type[Tracing]:
    """Imported only where it is used: OpenTelemetry takes a quarter of a second. Raises `ConfigError` without it."""
    try:
        with required("tracing"):
            from statushub.hub.tracing import Tracing
    except MissingExtra as error:
        raise ConfigError(str(error), field="tracing") from error
    return Tracing


def _record(settings: Config) -> RecordSource | None:
    """The system of record; None where there is none. Raises `ConfigError`."""
    if not settings.source:
        return None
    return open_record(settings.source, _record_names(settings))


def _record_writer(settings: Config) -> RecordWriter | None:
    """What writes into the system of record; None where nothing does. Raises `ConfigError`."""
    if settings.record == "off":
        return None
    return open_record_writer(settings.source, _record_names(settings))


def _record_names(settings: Config) -> RecordNames:
    return record_names(
        table=settings.source_table,
        columns=settings.source_columns,
        tenant_column=settings.source_tenant_column,
        tenants=settings.source_tenants,
    )


def _auth(settings: Config, start: Start) -> Authenticator:
    return open_auth(
        secret=settings.secret,
        public_key=settings.public_key,
        jwks_url=settings.jwks_url,
        ticket_secret=settings.ticket_secret,
        ticket_ttl=settings.ticket_ttl,
        cookie=settings.cookie,
        issuer=settings.issuer,
        audience=settings.audience,
        origins=settings.cors_origins,
        start=start,
        feeds=settings.feed,
    )


def create_app(settings: Config, hub: Hub | None = None, *, broker: Broker | None = None) -> ASGIApp:
    """The application. Its lifespan opens a hub, unless it is given one, which its caller opened."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Hub]]:
        async with open_hub(settings, broker) as app.state.hub:
            with hearing_of_stop(app.state.hub.drain):
                yield {"hub": app.state.hub}

    app = Starlette(
        routes=ROUTES, lifespan=None if hub else lifespan, exception_handlers=exception_handlers, debug=False
    )
    # A redirect would answer a wrong path with an address; an error says what is wrong.
    app.router.redirect_slashes = False
    app.state.config = settings
    app.state.hub = hub
    app.state.auth = _auth(settings, lambda work: app.state.hub.start(work))
    if settings.results_dir:
        results.prepare(settings.results_dir)
    # Hubs that accept each other's tickets read each other's places.
    app.state.places = Places((settings.ticket_secret or settings.secret or secrets.token_hex()).encode())
    app.state.rates = RateLimiter(settings.publish_rate, settings.publish_bytes)
    app.state.reads = ReadLimiter(settings.read_rate)
    app.state.feed_rates = WriteLimiter(settings.feed_rate, "feed_rate")
    app.state.feed_producers = WriteLimiter(settings.publish_rate, "publish_rate")
    app.state.routes = Observed(KINDS, WAITING)
    inner: ASGIApp = Traced(app, lambda: app.state.hub.tracing, app.state.routes) if settings.tracing else app
    guard = RequestMiddleware(
        inner,
        head_bytes=settings.max_head,
        hosts=Hosts(settings.allowed_hosts, address=settings.host, auth_required=settings.auth_required),
        refused=lambda error: app.state.hub.counts.refuse(error),
    )
    observer = Observer(guard, app.state.routes, lambda: app.state.hub.counts)
    # Outermost, around the handler of crashes too: a page sees an error without CORS headers as a CORS error.
    cors = Cors(
        observer, origins=settings.cors_origins, headers=settings.cors_headers, credentials=settings.auth_required
    )
    # A trace is begun in the ordinary way only.
    shortcuts = () if settings.tracing else (*events.SHORTCUTS, *websocket.SHORTCUTS)
    return Front(Portable(cors), Shortcut(app, shortcuts, guard=guard, observer=observer, cors=cors))


def app_from_environment() -> ASGIApp:
    """The application of the settings in the environment, for any server that takes a factory."""
    for sentence in unknown_variables(os.environ):
        logger.warning("%s", sentence)
    return create_app(load(os.environ))
