"""The metrics of a hub. Counts are plain integers on the hot path, read when they are scraped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

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
    "body",
    "event",
    "name",
    "head",
    "request_timeout",
    "stall_timeout",
    "unread",
)
"""Every limit that refusals are counted by."""


class Counts(msgspec.Struct, kw_only=True):
    """What has happened since the hub started."""

    announcements: int = 0
    deliveries: int = 0
    syncs: int = 0
    resets: int = 0
    dismissals: int = 0
    refusals: Counter[str] = msgspec.field(default_factory=Counter)

    def refuse(self, error: StatushubError) -> None:
        """Count an error by the limit that was exceeded, where it was one."""
        if error.limit is not None:
            self.refusals[error.limit] += 1


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """A hub's counts, and what it holds at this moment."""

    counts: Counts
    streams: int
    replicas: int
    contents: int
    skipped: int
    evicting: bool
    lost_seconds: float


class HubCollector(Collector):
    """A hub's measures as Prometheus metrics."""

    def __init__(self, measures: Measures) -> None:
        self.measures = measures

    def collect(self) -> Iterator[Metric]:
        now, counts = self.measures, self.measures.counts
        yield GaugeMetricFamily("statushub_streams", "Open streams.", now.streams)
        yield GaugeMetricFamily("statushub_replicas", "Channels held in memory.", now.replicas)
        yield GaugeMetricFamily("statushub_contents", "Contents held in memory.", now.contents)
        yield GaugeMetricFamily("statushub_broker_lost_seconds", "How long the broker has been lost.", now.lost_seconds)
        yield GaugeMetricFamily(
            "statushub_broker_evicting", "1 where the broker may evict accepted events.", float(now.evicting)
        )
        yield CounterMetricFamily(
            "statushub_skipped", "Rows of the broker that were skipped: missing, or another program's.", now.skipped
        )
        yield CounterMetricFamily(
            "statushub_announcements", "Announcements received from the broker.", counts.announcements
        )
        yield CounterMetricFamily("statushub_deliveries", "Events delivered to viewers.", counts.deliveries)
        yield CounterMetricFamily("statushub_syncs", "Reads that made or repaired a replica.", counts.syncs)
        yield CounterMetricFamily("statushub_resets", "Cursors found void.", counts.resets)
        yield CounterMetricFamily(
            "statushub_dismissals", "Streams closed because their token expired or was revoked.", counts.dismissals
        )
        refusals = CounterMetricFamily(
            "statushub_refusals", "Requests that exceeded a limit, by limit.", labels=["limit"]
        )
        for limit in LIMITS:
            # Each from the start: an alert on a series that does not exist never fires.
            refusals.add_metric([limit], counts.refusals[limit])
        yield refusals


def exposition(measures: Measures) -> bytes:
    """The measures in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(HubCollector(measures))
    return generate_latest(registry)
