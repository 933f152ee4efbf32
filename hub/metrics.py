"""The metrics of a hub. Counts are plain integers on the hot path, read when they are scraped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from statushub.hub.histogram import Histogram
from statushub.hub.model.errors import StatushubError

LIMITS: Final = (
    "streams_hub",
    "streams_tenant",
    "streams_sub",
    "streams_address",
    "channels_tenant",
    "channels_sub",
    "publish_rate",
    "revocations",
    "read_rate",
    "feed_rate",
    "feed_list",
    "body",
    "event",
    "name",
    "head",
    "request_timeout",
    "stall_timeout",
    "unread",
    "messages",
)
"""Every limit that refusals are counted by."""


SOURCES: Final = ("video_keys", "record")
"""Every source that reads and failures are counted by."""

CAUSES: Final = ("opened", "resumed", "stalled", "interrupted")
"""Every cause that catch-ups are counted by: a viewer came without a cursor or with one, its socket had been full, or
the announcements of its channels had been interrupted."""

LIVE_RESULTS: Final = ("succeeded", "failed")
"""What becomes of attempts to go live."""

STATUSES: Final = ("2xx", "3xx", "4xx", "5xx")
"""The classes of statuses that answers are counted by."""

CACHE_RESULTS: Final = ("hit", "miss")

OTHER_ROUTE: Final = "other"
"""The route of requests that reach none, so that no client can make series."""


class Route(msgspec.Struct, frozen=True):
    """A route as metrics name it: its path with its parameters' names, and what it is for."""

    path: str
    kind: str


class Answers(msgspec.Struct, kw_only=True):
    """The answers of one route: how many by class of status, and how long each took."""

    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    seconds: Histogram = msgspec.field(default_factory=Histogram)

    def count(self, status: int, seconds: float) -> None:
        """Count an answer that began after so many seconds."""
        self.statuses[status // 100] += 1
        self.seconds.observe(seconds)


CACHES: Final = (("video_keys", "status"), ("record", "contents"), ("record", "status"), ("record", "processing"))
"""Every cache that reads are counted by, with its source: of first pages of channels (`contents`), of single contents
(`status`), and of how many of a channel's are processed."""


class Counts(msgspec.Struct, kw_only=True):
    """What has happened since the hub started.

    `polling_seconds` are the intervals that polling pages name, `lag` is from the time stamps of events to their
    writes, and `stalls` are sockets that were found full.
    """

    announcements: int = 0
    deliveries: int = 0
    syncs: int = 0
    resets: int = 0
    dismissals: int = 0
    reconnects: int = 0
    stalls: int = 0
    stall_timeouts: int = 0
    cancels: int = 0
    polling_seconds: float = 0.0
    refusals: Counter[str] = msgspec.field(default_factory=Counter)
    catch_ups: Counter[str] = msgspec.field(default_factory=Counter)
    live_attempts: Counter[str] = msgspec.field(default_factory=Counter)
    answers: dict[Route, Answers] = msgspec.field(default_factory=dict)
    lag: Histogram = msgspec.field(default_factory=Histogram)

    def refuse(self, error: StatushubError) -> None:
        """Count an error by the limit that was exceeded, where it was one."""
        if error.limit is not None:
            self.refusals[error.limit] += 1


WRITTEN: Final = ("written", "same", "newer", "missing", "locked", "refused")
"""What becomes of a state that is to go into the record: its row was updated, says it already, is newer, is not there,
or is locked, so that it is tried again, or the database refuses what it says."""


class Writes(msgspec.Struct, kw_only=True):
    """What one hub writes back into the record.

    `results` are states by what became of them, `failures` batches that the database did not take, and `seconds` the
    times of those that it took. `pending` is how many events may not be in the record yet, `behind` for how many
    seconds some have not been.
    """

    results: Counter[str] = msgspec.field(default_factory=Counter)
    failures: int = 0
    seconds: Histogram = msgspec.field(default_factory=Histogram)
    pending: int = 0
    behind: float = 0.0


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """A hub's counts, and what it holds at this moment."""

    counts: Counts
    streams: int
    replicas: int
    contents: int
    skipped: int
    evicting: bool
    lost_seconds: float
    ended_stalled: int = 0
    ended_cancelled: int = 0
    commands: int = 0
    commands_max: int = 0
    source_failures: Mapping[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(SOURCES, 0))
    source_reads: Mapping[tuple[str, str], Counter[str]] = msgspec.field(default_factory=dict)
    bridged: int = 0
    writes: Writes = msgspec.field(default_factory=Writes)
