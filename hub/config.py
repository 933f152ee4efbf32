"""The settings of a hub: type, range, default and description of each.

`Config` is the only declaration. `settings` reads it, and from there come the environment variables
(`environment`), the flags of `statushub serve` (`cli/serve`) and the table in docs/deployment.md
(`cli/settings_table`).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from statushub.hub.document_settings import (
    Documents,
    DocumentsCategories,
    DocumentsCounter,
    DocumentsHeaders,
    DocumentsIndex,
    DocumentsPace,
    DocumentsQueue,
    DocumentsRetry,
    DocumentsUrl,
)
from statushub.hub.feed_settings import (
    FEED_RATE,
    Feed,
    FeedChannel,
    FeedJobNotices,
    FeedPrivate,
    FeedRate,
    FeedTenant,
    FeedUser,
)
from statushub.hub.instagram_settings import (
    Instagram,
    InstagramDatabase,
    InstagramGraph,
    InstagramMonths,
    InstagramTenant,
    InstagramTime,
    InstagramTimezone,
    InstagramVersion,
)
from statushub.hub.job_settings import Jobs, JobsModules, JobsTenants
from statushub.hub.marks import Flag, Rule, Secret
from statushub.hub.model.addresses import check_base, check_key_address, check_listener, check_origin, check_proxy
from statushub.hub.model.limits import MAX_BYTES, MAX_CHANNEL_CONTENTS, MAX_CONTENTS
from statushub.hub.model.names import DEFAULT_TENANT, NAME_CHARACTERS
from statushub.hub.model.publication import EVENT_BYTES, EVENT_BYTES_MAX, LEASE_SECONDS_MAX
from statushub.hub.model.record_names import TABLE
from statushub.hub.model.retention import DEFAULT_LEASE_SECONDS, RETENTION_SECONDS
from statushub.hub.model.variables import DEFAULT_VIDEO_CHANNEL
from statushub.hub.model.video_steps import VIDEO_STEPS
from statushub.hub.model.video_tenants import JOB_TENANTS
from statushub.hub.source_settings import (
    RecordMode,
    Source,
    SourceColumns,
    SourceTable,
    SourceTenantColumn,
    SourceTenants,
)
from statushub.hub.video_settings import (
    VideoBridge,
    VideoChannel,
    VideoJobTenants,
    VideoKeys,
    VideoSteps,
    VideoTenants,
)

LOCAL_ORIGINS: Final = ("http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*")
"""Origins allowed by default: pages served on the same machine."""

LOCAL_PROXIES: Final = ("127.0.0.1", "::1")
"""Proxies trusted by default: those on the same machine."""

HEARTBEAT_SECONDS: Final = 15.0
"""Between heartbeats: under the 30 to 60 s after which proxies and mobile networks close an idle connection."""

STALL_SECONDS: Final = 60.0
"""How long a viewer may read nothing, and how long the next 64 KiB of any other answer may take: 1.1 KB/s, less than
any mobile link carries."""

UNREAD_BYTES: Final = 64 * 1024 * 1024
"""Answers that wait for their clients: a thousand slow ones at 64 KiB each, and little of a machine's memory."""

MAX_STREAMS: Final = 50_000
"""Streams of one process: at 10 µs per delivery, an event to all of them takes half a second of CPU."""

MAX_STREAMS_TENANT: Final = 50_000
"""Streams of one tenant: by default all of the process. Lower it where tenants share a hub."""

MAX_STREAMS_SUB: Final = 100
"""Streams of one subject: a user's tabs on several machines, and a script that leaks some."""

MAX_STREAMS_ADDRESS: Final = 1_000
"""Streams of one address: an office behind NAT. All clients of a proxy that is not in `proxies` count as one."""

MAX_REVOCATIONS: Final = 20_000
"""Revocations of all tenants: every hub holds each of them, in 2 KB, so 40 MB."""

MAX_REVOCATIONS_TENANT: Final = 5_000
"""Revocations of one tenant: a quarter of all, so that one cannot keep the others from revoking."""

MAX_CHANNELS_TENANT: Final = 50_000
"""Channels that one tenant's viewers follow: 130 MB, and a second or two to read after an interruption.
Lower it where tenants share a hub."""

MAX_CHANNELS_MATCH: Final = 1_000
"""Channels that one pattern stream follows: a catch-up looks at each of them, a tenth of a millisecond, and the first
stream reads them in about a second."""

MAX_CHANNELS_SUB: Final = 5_000
"""Channels that one subject follows: 78 streams of 64 channels each, and a tenth of what a tenant may."""

PUBLISH_RATE: Final = 10_000.0
"""Events per second of one publisher: a busy worker, and a fifth of what one Redis accepts in total."""

PATIENCE_SECONDS: Final = 30.0
"""How long a hub waits for what a client's cursor stands for: longer than a failover takes to be seen by all hubs."""

PUBLISH_BYTES: Final = 16 * 1024**2
"""Bytes per second of one publisher: a neighbour fills a gigabyte in a minute at the fastest, and is seen."""

READ_RATE: Final = 100_000.0
"""Contents per second of one reader: one channel of the largest size, or a fifth of a process's time."""

BODY_BYTES: Final = 8 * 1024 * 1024
"""Largest body. 1,000 events of a few hundred bytes take under 1 MiB; parsing 8 MiB blocks the event loop for a
few tens of milliseconds."""

HEAD_BYTES: Final = 16 * 1024
"""Largest request head: a token of 8 KiB, a URL of 4 KiB, and the headers that browsers add."""

REQUEST_SECONDS: Final = 10.0
"""For a request's head to arrive, and then for its body: long enough for a slow mobile link, short enough against
slow-loris clients."""

TICKET_SECONDS: Final = 30.0
"""Lifetime of a ticket: it covers the reconnects of an unstable connection, and is short because URLs are logged."""

SECRET_BYTES: Final = 32
"""Shortest secret: HS256 needs a key at least as long as its hash (RFC 7518, section 3.2)."""

GRACE_SECONDS: Final = 10.0
"""How long a stopping hub waits for running requests; orchestrators kill after 10 to 30 s."""


DOCUMENTS_PACE_SECONDS: Final = 0.3
"""Between look-ups: three a second, under what search APIs allow."""

DOCUMENTS_RETRY_SECONDS: Final = 60.0
"""After a failed look-up: most outages of a search API are over by then."""

Seconds = Annotated[float, Flag(metavar="SECONDS")]
Bytes = Annotated[int, Flag(metavar="BYTES")]
Contents = Annotated[int, Meta(ge=1, le=10**9), Flag(metavar="COUNT")]
Streams = Annotated[int, Meta(ge=1, le=10_000_000), Flag(metavar="COUNT")]
Channels = Annotated[int, Meta(ge=1, le=10_000_000), Flag(metavar="COUNT")]
LogFormat = Literal["text", "json"]
LogLevel = Literal["critical", "error", "warning", "info", "debug"]
EventNames = Literal["named", "message"]


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting. Descriptions are Markdown.

    Constructing one checks nothing: ranges and the rules between settings are checked by `environment.load`.
    """

    host: Annotated[
        str,
        Meta(description="Address to listen on. Any other than loopback needs a key or `--insecure`."),
        Flag(metavar="ADDRESS"),
        Rule(check_listener),
    ] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65_535, description="Port to listen on; `0` for a free one."), Flag(metavar="PORT")
    ] = 8000
    broker: Annotated[
        str,
        Meta(description="Broker to use: `sqlite:///FILE`, `memory:` or `redis://HOST:PORT/DB`."),
        Flag(metavar="URL"),
    ] = "sqlite:///statushub.db"
    workers: Annotated[
        int,
        Meta(ge=1, le=256, description="Processes that share the port. More than one needs Redis."),
        Flag(metavar="COUNT"),
    ] = 1
    insecure: Annotated[
        bool,
        Meta(
            description="Serve an address other than loopback without authentication: every client may read and "
            "publish everything."
        ),
    ] = False
    secret: Annotated[
        str,
        Meta(
            description=f"Secret that signs HS256 tokens, at least {SECRET_BYTES} bytes. It has no flag, because other "
            "users of the machine can read a command line."
        ),
        Secret(),
    ] = ""
    secret_file: Annotated[
        str,
        Meta(description="File that holds the secret, instead of `STATUSHUB_SECRET`."),
        Flag(metavar="FILE"),
    ] = ""
    public_key: Annotated[
        str,
        Meta(description="File with the public key (PEM) that verifies RS256, ES256 or EdDSA tokens."),
        Flag(metavar="FILE"),
    ] = ""
    jwks_url: Annotated[
        str,
        Meta(
            description="URL of the JSON Web Key Set that verifies tokens. It is fetched every 5 minutes and for "
            "an unknown key id; an answer may take 5 s and have 256 KiB."
        ),
        Flag(metavar="URL"),
        Rule(check_key_address),
    ] = ""
    issuer: Annotated[str, Meta(description="The `iss` claim that tokens must have.")] = ""
    audience: Annotated[str, Meta(description="The `aud` claim that tokens must have.")] = ""
    ticket_secret: Annotated[
        str,
        Meta(
            description=f"Secret that signs tickets, at least {SECRET_BYTES} bytes; by default the secret of tokens. "
            "Needed with public keys on Redis, and the same on every hub."
        ),
        Secret(),
    ] = ""
    ticket_ttl: Annotated[Seconds, Meta(ge=1, le=24 * 3600, description="Seconds that a ticket is valid.")] = (
        TICKET_SECONDS
    )
    cookie: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9_.-]+\Z", description="Name of the cookie that may hold a token."),
        Flag(metavar="NAME", form="a cookie name (letters, digits, '_', '.', '-')"),
    ] = "statushub_token"
    cors_origins: Annotated[
        tuple[str, ...],
        Meta(
            description="Origin whose pages may read and publish; a port of `*` matches any port, and `*` any origin."
        ),
        Flag(name="--cors-origin", metavar="ORIGIN"),
        Rule(check_origin),
    ] = LOCAL_ORIGINS
    cors_headers: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'+.^_`|~-]+\Z")], ...],
        Meta(
            description="Header that pages of these origins may send, beside those that the hub reads and that common "
            "clients and tracers send, such as `traceparent`."
        ),
        Flag(name="--cors-header", metavar="NAME", form="the name of a header, such as X-Request-Source"),
    ] = ()
    allowed_hosts: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^(\*|[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])\Z")], ...],
        Meta(
            description="Name by which clients call the hub (their `Host`, without its port), beside `localhost` and "
            "loopback addresses; `*` for any. By default any with a key, and without one only loopback, or IP "
            "addresses where `--host` is not loopback."
        ),
        Flag(
            name="--allowed-host",
            metavar="NAME",
            form="a host name without a scheme or port (IPv6 addresses in brackets), or '*'",
        ),
    ] = ()
    retention: Annotated[
        Seconds,
        Meta(
            ge=1,
            le=10 * 365 * 24 * 3600,
            description="Seconds that a content is kept after its last event.",
        ),
    ] = RETENTION_SECONDS
    heartbeat: Annotated[
        Seconds,
        Meta(
            ge=0.1,
            le=3600,
            description="Seconds between the heartbeats of a stream that asks for none by `?heartbeat=`.",
        ),
    ] = HEARTBEAT_SECONDS
    events: Annotated[
        EventNames,
        Meta(
            description="How a stream sends events to a client that does not say so by `?events=`: `named` by their "
            "types, for `addEventListener`, or each as a `message`, for `onmessage`, with `type` in its data."
        ),
        Flag(metavar="KIND"),
    ] = "named"
    default_lease: Annotated[
        Seconds,
        Meta(
            ge=0,
            le=LEASE_SECONDS_MAX,
            description="Lease of a content that is being processed and whose producer gives none: without another "
            "event within it, the content ends as `stalled`; `0` for none.",
        ),
    ] = DEFAULT_LEASE_SECONDS
    results_dir: Annotated[
        str,
        Meta(
            description="Folder of results, which the hub serves at `/results/` to those who may read their channels; "
            "created if it is missing."
        ),
        Flag(metavar="FOLDER"),
    ] = ""
    results_url: Annotated[
        str,
        Meta(
            description="URL or path below which results are served elsewhere, instead of `--results-dir`: the "
            "dashboard opens a relative `result_url` or `hls_path` there."
        ),
        Flag(metavar="URL"),
        Rule(check_base),
    ] = ""
    stall_timeout: Annotated[
        Seconds,
        Meta(
            ge=0.1,
            le=24 * 3600,
            description="Seconds after which a stream is closed whose socket accepts no bytes, and within which the "
            "client must read each 64 KiB of any other answer.",
        ),
    ] = STALL_SECONDS
    grace: Annotated[
        Seconds, Meta(ge=0, le=3600, description="Seconds that a stopping hub waits for running requests.")
    ] = GRACE_SECONDS
    patience: Annotated[
        Seconds,
        Meta(
            ge=0,
            le=3600,
            description="Seconds that a hub which knows less than a client's cursor waits for the broker to tell it. "
            "Streams are quiet meanwhile, polls get 503; after that the cursor is void.",
        ),
    ] = PATIENCE_SECONDS
    max_streams: Annotated[
        Streams, Meta(description="Open streams of one process. Further clients are told to reconnect a while later.")
    ] = MAX_STREAMS
    max_streams_tenant: Annotated[Streams, Meta(description="Open streams of one tenant in a process.")] = (
        MAX_STREAMS_TENANT
    )
    max_streams_sub: Annotated[Streams, Meta(description="Open streams of one token subject in a process.")] = (
        MAX_STREAMS_SUB
    )
    max_streams_address: Annotated[
        Streams,
        Meta(
            description="Open streams of one client address in a process. Name your proxies with `--proxy`, or all of "
            "their clients count as one."
        ),
    ] = MAX_STREAMS_ADDRESS
    max_revocations: Annotated[
        int,
        Meta(ge=1, le=10_000_000, description="Revocations in force, of all tenants together. A further one gets 429."),
        Flag(metavar="COUNT"),
    ] = MAX_REVOCATIONS
    max_revocations_tenant: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Revocations in force of one tenant."), Flag(metavar="COUNT")
    ] = MAX_REVOCATIONS_TENANT
    max_channels_tenant: Annotated[
        Channels,
        Meta(
            description="Channels that the streams and long polls of one tenant follow in a process. Further streams "
            "are told to reconnect a while later, and a tenant that has as many in memory gets 429 for polls of others."
        ),
    ] = MAX_CHANNELS_TENANT
    max_channels_sub: Annotated[
        Channels,
        Meta(
            description="Channels that the streams and long polls of one token subject follow in a process; of one "
            "client address where there are no tokens."
        ),
    ] = MAX_CHANNELS_SUB
    max_channels_match: Annotated[
        Channels,
        Meta(
            description="Channels that the patterns (`?match=`) of one stream follow. A stream that would begin with "
            "more gets 422; one that comes to more is told so by `limit`, and goes on with those it has."
        ),
    ] = MAX_CHANNELS_MATCH
    publish_rate: Annotated[
        float,
        Meta(
            ge=0.1,
            le=10_000_000,
            description="Events per second that one publisher (token subject or address) may publish over HTTP, over "
            "all hubs. More get 429 with `Retry-After`.",
        ),
        Flag(metavar="RATE"),
    ] = PUBLISH_RATE
    publish_bytes: Annotated[
        Bytes,
        Meta(
            ge=1024,
            le=1024**4,
            description="Bytes of data per second that one publisher may publish over HTTP, over all hubs.",
        ),
    ] = PUBLISH_BYTES
    read_rate: Annotated[
        float,
        Meta(
            ge=1,
            le=1_000_000_000,
            description="Contents per second that one reader (token subject or address) may get from the polls of a "
            "process; an answer without any counts as one. More get 429 with `Retry-After`.",
        ),
        Flag(metavar="RATE"),
    ] = READ_RATE
    max_contents_tenant: Annotated[
        Contents, Meta(description="Contents that a tenant stores. More are refused with `quota_exceeded`.")
    ] = MAX_CONTENTS
    max_bytes_tenant: Annotated[Bytes, Meta(ge=1024, le=1024**5, description="Bytes of data that a tenant stores.")] = (
        MAX_BYTES
    )
    max_contents_channel: Annotated[Contents, Meta(description="Contents that a channel stores.")] = (
        MAX_CHANNEL_CONTENTS
    )
    max_body: Annotated[Bytes, Meta(ge=1024, le=1024**3, description="Bytes of a request body (413).")] = BODY_BYTES
    max_event: Annotated[
        Bytes,
        Meta(
            ge=256,
            le=EVENT_BYTES_MAX,
            description="Bytes of an event's `data` (413). Above the default, clients need readers of lines that take "
            "more than 64 KiB.",
        ),
    ] = EVENT_BYTES
    max_name: Annotated[
        int,
        Meta(ge=8, le=NAME_CHARACTERS, description="Characters of the name of a channel or content (422)."),
        Flag(metavar="CHARACTERS"),
    ] = NAME_CHARACTERS
    max_head: Annotated[Bytes, Meta(ge=1024, le=1024**2, description="Bytes of a request head (431).")] = HEAD_BYTES
    max_unread: Annotated[
        Bytes,
        Meta(
            ge=64 * 1024,
            le=64 * 1024**3,
            description="Bytes of answers that a process holds until their clients read them. Beyond it the connection "
            "whose client has read nothing for longest is closed.",
        ),
    ] = UNREAD_BYTES
    request_timeout: Annotated[
        Seconds,
        Meta(
            ge=0.1,
            le=3600,
            description="Seconds for a request head to arrive, and then for its body (408). A body that is refused "
            "unread has as many after the answer.",
        ),
    ] = REQUEST_SECONDS
    proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Address or network of a reverse proxy whose `X-Forwarded-For` and `X-Forwarded-Proto` are "
            "trusted; `*` for any."
        ),
        Flag(name="--proxy", metavar="ADDRESS"),
        Rule(check_proxy),
    ] = LOCAL_PROXIES
    video_keys: VideoKeys = ""
    video_tenants: VideoTenants = ()
    video_job_tenants: VideoJobTenants = JOB_TENANTS
    video_steps: VideoSteps = VIDEO_STEPS
    video_channel: VideoChannel = DEFAULT_VIDEO_CHANNEL
    video_bridge: VideoBridge = False
    source: Source = ""
    source_table: SourceTable = TABLE
    source_columns: SourceColumns = ()
    source_tenant_column: SourceTenantColumn = ""
    source_tenants: SourceTenants = ()
    record: RecordMode = "off"
    jobs: Jobs = False
    jobs_modules: JobsModules = ()
    jobs_tenants: JobsTenants = (DEFAULT_TENANT,)
    documents: Documents = ""
    documents_index: DocumentsIndex = ""
    documents_url: DocumentsUrl = ""
    documents_categories: DocumentsCategories = ()
    documents_headers: DocumentsHeaders = ()
    documents_counter: DocumentsCounter = ""
    documents_pace: DocumentsPace = DOCUMENTS_PACE_SECONDS
    documents_retry: DocumentsRetry = DOCUMENTS_RETRY_SECONDS
    documents_queue: DocumentsQueue = False
    feed: Feed = False
    feed_private: FeedPrivate = False
    feed_tenant: FeedTenant = DEFAULT_TENANT
    feed_channel: FeedChannel = DEFAULT_VIDEO_CHANNEL
    feed_user: FeedUser = "provider_id"
    feed_rate: FeedRate = FEED_RATE
    feed_job_notices: FeedJobNotices = False
    instagram: Instagram = False
    instagram_database: InstagramDatabase = ""
    instagram_graph: InstagramGraph = "https://graph.facebook.com"
    instagram_version: InstagramVersion = "v26.0"
    instagram_time: InstagramTime = "02:00"
    instagram_timezone: InstagramTimezone = "Asia/Seoul"
    instagram_months: InstagramMonths = 1
    instagram_tenant: InstagramTenant = DEFAULT_TENANT
    access_log: Annotated[bool, Meta(description="Log every request, without its query.")] = False
    log_level: Annotated[LogLevel, Meta(description="Least severity that is logged."), Flag(metavar="LEVEL")] = "info"
    log_format: Annotated[
        LogFormat,
        Meta(
            description="Format of the log: lines of text, or a JSON object a line, with `time`, `level`, `logger` and "
            "`message`, and `trace_id` and `exception` where there is one."
        ),
        Flag(metavar="FORMAT"),
    ] = "text"
    tracing: Annotated[
        bool,
        Meta(
            description="Send traces of publications by OpenTelemetry, to where its variables say "
            "(`OTEL_EXPORTER_OTLP_ENDPOINT` and others). Needs `statushub[otel]`."
        ),
    ] = False

    @property
    def auth_required(self) -> bool:
        """Whether a key is configured, so that every request needs a token."""
        return bool(self.secret or self.public_key or self.jwks_url)

    @property
    def counts_documents(self) -> bool:
        """Whether it is said what documents to count."""
        return bool(self.documents or self.documents_url or self.documents_counter)

    @property
    def embedded(self) -> bool:
        """Whether the broker runs inside this process, and only there."""
        return not self.broker.startswith(("redis", "unix"))
