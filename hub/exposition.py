"""The metrics of a hub in Prometheus' text format. Imported with the first scrape: its client takes over 1 MB."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from statushub.hub.metrics import (
    CACHE_RESULTS,
    CACHES,
    CAUSES,
    LIMITS,
    LIVE_RESULTS,
    SOURCES,
    STATUSES,
    WRITTEN,
    Answers,
    Measures,
    Route,
)


class HubCollector(Collector):
    """A hub's measures as Prometheus metrics; each of `routes` has its counters from the start."""

    def __init__(self, measures: Measures, routes: Iterable[Route] = ()) -> None:
        self.measures = measures
        self.routes = [*dict.fromkeys([*routes, *measures.counts.answers])]

    def collect(self) -> Iterator[Metric]:
        yield from self._state()
        yield from self._delivery()
        yield from self._viewers()
        yield from self._requests()
        yield from self._sources()
        yield from self._writes()

    def _state(self) -> Iterator[Metric]:
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
            "statushub_broker_reconnects", "Returns of the broker after it was lost.", counts.reconnects
        )
        yield GaugeMetricFamily(
            "statushub_broker_commands", "Commands that the broker executes, or that wait for it.", now.commands
        )
        yield GaugeMetricFamily(
            "statushub_broker_commands_max", "How many of them are executed; more have to wait.", now.commands_max
        )
        yield CounterMetricFamily(
            "statushub_contents_stalled", "Contents ended by this hub because their lease ran out.", now.ended_stalled
        )
        yield CounterMetricFamily(
            "statushub_contents_cancelled",
            "Contents ended by this hub because their workers did not heed a request to cancel.",
            now.ended_cancelled,
        )
        yield CounterMetricFamily("statushub_cancel_requests", "Requests to cancel that were taken.", counts.cancels)

    def _delivery(self) -> Iterator[Metric]:
        counts = self.measures.counts
        yield CounterMetricFamily(
            "statushub_announcements", "Announcements received from the broker.", counts.announcements
        )
        yield CounterMetricFamily("statushub_deliveries", "Events delivered to viewers.", counts.deliveries)
        yield HistogramMetricFamily(
            "statushub_delivery_lag_seconds",
            "From the time stamps of events to their writes to viewers; a sample.",
            buckets=counts.lag.buckets,
            sum_value=counts.lag.sum,
        )
        yield CounterMetricFamily("statushub_syncs", "Reads that made or repaired a replica.", counts.syncs)
        yield CounterMetricFamily("statushub_resets", "Cursors found void.", counts.resets)

    def _viewers(self) -> Iterator[Metric]:
        counts = self.measures.counts
        yield _labelled(
            "statushub_catch_ups", "Catch-ups of streams and sockets, by cause.", "cause", CAUSES, counts.catch_ups
        )
        yield _labelled(
            "statushub_live_attempts",
            "Attempts to go live: streams that lasted, and those that polling pages say failed.",
            "result",
            LIVE_RESULTS,
            counts.live_attempts,
        )
        yield CounterMetricFamily(
            "statushub_polling_seconds",
            "Intervals of the polls of pages that have no stream: the rate is how many pages poll.",
            counts.polling_seconds,
        )
        yield CounterMetricFamily("statushub_stalls", "Times that a viewer's socket was full.", counts.stalls)
        yield CounterMetricFamily(
            "statushub_stall_timeouts", "Viewers closed because they took nothing for too long.", counts.stall_timeouts
        )
        yield CounterMetricFamily(
            "statushub_dismissals", "Streams closed because their token expired or was revoked.", counts.dismissals
        )

    def _requests(self) -> Iterator[Metric]:
        counts = self.measures.counts
        requests = CounterMetricFamily(
            "statushub_requests",
            "Requests that were answered, by route, kind of route and class of status.",
            labels=["route", "kind", "status"],
        )
        seconds = HistogramMetricFamily(
            "statushub_request_duration_seconds", "Until the head of an answer was sent, by route.", labels=["route"]
        )
        for route in self.routes:
            answers = counts.answers.get(route) or Answers()
            for number, status in enumerate(STATUSES, 2):
                requests.add_metric([route.path, route.kind, status], answers.statuses[number])
            if answers.statuses:
                seconds.add_metric([route.path], answers.seconds.buckets, answers.seconds.sum)
        yield requests
        yield seconds
        # Each from the start: an alert on a series that does not exist never fires.
        yield _labelled(
            "statushub_refusals", "Requests that exceeded a limit, by limit.", "limit", LIMITS, counts.refusals
        )

    def _sources(self) -> Iterator[Metric]:
        now = self.measures
        yield CounterMetricFamily(
            "statushub_bridged", "Statuses that the bridge of video workers' keys published.", now.bridged
        )
        reads = CounterMetricFamily(
            "statushub_source_reads",
            "What a source was asked for, by source, cache and whether the cache knew it.",
            labels=["source", "cache", "result"],
        )
        for cache in CACHES:
            for result in CACHE_RESULTS:
                reads.add_metric([*cache, result], now.source_reads.get(cache, Counter())[result])
        yield reads
        failures = CounterMetricFamily(
            "statushub_source_failures", "Reads of a source beside the hub that failed, by source.", labels=["source"]
        )
        for source in SOURCES:
            failures.add_metric([source], now.source_failures.get(source, 0))
        yield failures

    def _writes(self) -> Iterator[Metric]:
        writes = self.measures.writes
        yield _labelled(
            "statushub_record_writes",
            "States that this hub was to write into the record, by what became of them.",
            "result",
            WRITTEN,
            writes.results,
        )
        yield CounterMetricFamily(
            "statushub_record_write_failures",
            "Batches that this hub could not write into the record, and tries again.",
            writes.failures,
        )
        yield HistogramMetricFamily(
            "statushub_record_write_duration_seconds",
            "How long the record took for a batch that this hub wrote.",
            buckets=writes.seconds.buckets,
            sum_value=writes.seconds.sum,
        )
        yield GaugeMetricFamily(
            "statushub_record_pending",
            "Events that may not be in the record yet, of the hub that writes.",
            writes.pending,
        )
        yield GaugeMetricFamily(
            "statushub_record_behind_seconds",
            "For how long there have been some that are not, of the hub that writes.",
            writes.behind,
        )


def _labelled(name: str, text: str, label: str, values: Iterable[str], counts: Counter[str]) -> CounterMetricFamily:
    """A counter with a series for each of these values of its label."""
    family = CounterMetricFamily(name, text, labels=[label])
    for value in values:
        family.add_metric([value], counts[value])
    return family


def exposition(measures: Measures, routes: Iterable[Route] = ()) -> bytes:
    """The measures in Prometheus' text format, with those of the process (memory, files, time of the processor)."""
    registry = CollectorRegistry()
    registry.register(HubCollector(measures, routes))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
