"""Every metric of a hub, once. Counts are plain integers on the hot path and read when somebody asks."""

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
    "publish_rate",
    "body",
    "event",
    "name",
    "head",
    "request_timeout",
)
"""Every limit, by the name under which its refusals are counted."""


class Counts(msgspec.Struct, kw_only=True):
    """What has happened since the hub began."""

    announcements: int = 0
    deliveries: int = 0
    syncs: int = 0
    resets: int = 0
    dismissals: int = 0
    refusals: Counter[str] = msgspec.field(default_factory=Counter)

    def refuse(self, error: StatushubError) -> None:
        """Count an error by the limit that was met, where it was one."""
        if error.limit is not None:
            self.refusals[error.limit] += 1


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """What has happened in a hub, and what is there at this moment."""

    counts: Counts
    streams: int
    replicas: int
    contents: int
    lost_seconds: float


class HubCollector(Collector):
    """A hub's measures in Prometheus' form."""

    def __init__(self, measures: Measures) -> None:
        self.measures = measures

    def collect(self) -> Iterator[Metric]:
        now, counts = self.measures, self.measures.counts
        yield GaugeMetricFamily("statushub_streams", "Open streams.", now.streams)
        yield GaugeMetricFamily("statushub_replicas", "Channels held in memory.", now.replicas)
        yield GaugeMetricFamily("statushub_contents", "Contents held in memory.", now.contents)
        yield GaugeMetricFamily("statushub_broker_lost_seconds", "For how long the broker is lost.", now.lost_seconds)
        yield CounterMetricFamily("statushub_announcements", "Announcements the broker made.", counts.announcements)
        yield CounterMetricFamily("statushub_deliveries", "Events given to viewers as they came.", counts.deliveries)
        yield CounterMetricFamily("statushub_syncs", "Reads that made or repaired a replica.", counts.syncs)
        yield CounterMetricFamily("statushub_resets", "Cursors found void.", counts.resets)
        yield CounterMetricFamily(
            "statushub_dismissals", "Streams whose token ended before they did.", counts.dismissals
        )
        refusals = CounterMetricFamily("statushub_refusals", "Requests that met a limit, by limit.", labels=["limit"])
        for limit in LIMITS:
            # Each from the start: an alert on a series that does not exist yet never fires.
            refusals.add_metric([limit], counts.refusals[limit])
        yield refusals


def exposition(measures: Measures) -> bytes:
    """The measures in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(HubCollector(measures))
    return generate_latest(registry)
