"""The budget: limits on the measurements, and whether they were met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from tests.bench.harness import Results, Spread, spread

HUB: Final = "hub-redis"
KIB: Final = 1024


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One limit: the median of these numbers is at most, or at least, `limit`."""

    name: str
    words: str
    limit: float
    unit: str
    numbers: Callable[[Results], Sequence[float]]
    at_least: bool = False


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a limit was met; `kept` is None where it was not measured."""

    line: Line
    found: Spread | None
    kept: bool | None


def verdicts(results: Results) -> list[Verdict]:
    """The verdict on every line of the budget."""
    return [_verdict(line, results) for line in LINES]


def _verdict(line: Line, results: Results) -> Verdict:
    found = spread(line.numbers(results))
    if found is None:
        return Verdict(line=line, found=None, kept=None)
    kept = found.median >= line.limit if line.at_least else found.median <= line.limit
    return Verdict(line=line, found=found, kept=kept)


def _value(workload: str, label: str, name: str, *, scale: float = 1) -> Callable[[Results], Sequence[float]]:
    return lambda results: [value / scale for value in results.values(workload, label, HUB, name)]


def _ratio(workload: str, label: str, other: str, name: str, *, of: str = HUB) -> Callable[[Results], Sequence[float]]:
    return lambda results: results.ratios(workload, label, of, other, name)


def _across(name: str, case: tuple[str, str, str], other: tuple[str, str, str]) -> Callable[[Results], Sequence[float]]:
    """The ratio of two cases, by round."""
    return lambda results: [
        value / base for value, base in zip(results.values(*case, name), results.values(*other, name), strict=False)
    ]


SIZES: Final = (1_000, 5_000, 10_000)

LINES: Final = (
    *(
        Line(
            name=f"a-nchan-{viewers}",
            words=f"(a) CPU per delivery, {viewers:,} viewers, to nchan's",
            limit=0.9,
            unit="times",
            numbers=_ratio("a", f"{viewers:,} viewers", "nchan", "cpu_us"),
        )
        for viewers in SIZES
    ),
    *(
        Line(
            name=f"a-floor-{viewers}",
            words=f"(a) CPU per delivery, {viewers:,} viewers, to the bare C loop's",
            limit=1.4,
            unit="times",
            numbers=_ratio("a", f"{viewers:,} viewers", "floor", "cpu_us"),
        )
        for viewers in SIZES
    ),
    Line(
        name="b",
        words="(b) CPU per event with one viewer each, 20,000 events/s through Redis",
        limit=14,
        unit="µs",
        numbers=_value("b", "20,000 events/s", "cpu_us"),
    ),
    Line(
        name="c",
        words="(c) CPU per delivery at 200 events/s, to that of one event at a time just before",
        limit=1.0,
        unit="times",
        numbers=_value("c", "200 events/s", "to_single"),
    ),
    Line(
        name="d",
        words="(d) CPU per reconnect, caught up from the replica",
        limit=150,
        unit="µs",
        numbers=_value("d", "10,000 viewers", "cpu_us"),
    ),
    Line(
        name="d-reads",
        words="(d) reads from the broker for 10,000 reconnects",
        limit=0,
        unit="",
        numbers=_value("d", "10,000 viewers", "broker_reads"),
    ),
    Line(
        name="e",
        words="(e) memory of an idle viewer",
        limit=3,
        unit="KiB",
        numbers=_value("e", "10,000 viewers", "viewer_bytes", scale=KIB),
    ),
    Line(
        name="e-nchan",
        words="(e) memory of an idle viewer, to nchan's",
        limit=1 / 3,
        unit="times",
        numbers=_ratio("e", "10,000 viewers", "nchan", "viewer_bytes"),
    ),
    Line(
        name="e-beats",
        words="(e) heartbeats of 10,000 viewers",
        limit=1.5,
        unit="% of a core",
        numbers=_value("e", "10,000 viewers", "core_percent"),
    ),
    Line(
        name="f",
        words="(f) memory per stalled viewer",
        limit=100,
        unit="KiB",
        numbers=_value("f", "250 stalled", "grown_bytes", scale=KIB),
    ),
    Line(
        name="f-others",
        words="(f) p99 of the others, to that without stalled ones",
        limit=1.5,
        unit="times",
        numbers=_across("p99_ms", ("f", "250 stalled", HUB), ("f", "none stalled", HUB)),
    ),
    *(
        Line(
            name=f"g-{where}",
            words=f"(g) batch polls of 100 ids from the {where}, to POSTs that do nothing",
            limit=1 / 3,
            unit="times",
            numbers=_ratio("g", f"batch of 100, {where}", "nothing", "per_second"),
            at_least=True,
        )
        for where in ("replica", "broker")
    ),
    Line(
        name="h",
        words="(h) publishing through the SDK over Redis, one process",
        limit=15_000,
        unit="events/s",
        numbers=_value("h", "Redis", "per_second"),
        at_least=True,
    ),
    Line(
        name="index-page",
        words="the index: CPU of hub and Redis for the first page of 1,000 among 100,000 channels",
        limit=20,
        unit="ms",
        numbers=_value("index", "100,000 channels, first page of 1,000", "page_ms"),
    ),
    Line(
        name="index-publish",
        words="the index: Redis' CPU per event in 1,000 of 100,000 channels, to that without it",
        limit=1.1,
        unit="times",
        numbers=_value("index", "100,000 channels, publishing into 1,000", "to_bare"),
    ),
    *(
        Line(
            name=f"i-{name}",
            words=f"(i) {what} of a WebSocket, to that of a stream",
            limit=1.15,
            unit="times",
            numbers=_ratio("i", "5,000 viewers", HUB, name, of="hub-websocket"),
        )
        for name, what in (("cpu_us", "CPU per delivery"), ("open_us", "CPU to open"), ("viewer_bytes", "memory"))
    ),
)
"""In the order of the workloads, whose letters they begin with."""
