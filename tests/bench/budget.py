"""The budget: limits on the measurements, and whether they were met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from tests.bench.harness import Results, Spread, spread
from tests.bench.several import KILLED, SEVERAL_LABELS, SEVERAL_VIEWERS

HUB: Final = "hub-redis"


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


def _value(workload: str, label: str, name: str, *, of: str = HUB) -> Callable[[Results], Sequence[float]]:
    return lambda results: results.values(workload, label, of, name)


def _ratio(workload: str, label: str, other: str, name: str, *, of: str = HUB) -> Callable[[Results], Sequence[float]]:
    return lambda results: results.ratios(workload, label, of, other, name)


def _across(name: str, case: tuple[str, str, str], other: tuple[str, str, str]) -> Callable[[Results], Sequence[float]]:
    """The ratio of two cases, by round."""
    return lambda results: [
        value / base for value, base in zip(results.values(*case, name), results.values(*other, name), strict=False)
    ]


SIZES: Final = (1_000, 5_000, 10_000)
RATES: Final = (1_000, 5_000, 20_000)
MANY: Final = "10,000 viewers"
"""Of (d) and (e)."""

LINES: Final = (
    *(
        Line(
            name=f"a-{other}-{viewers}",
            words=f"(a) CPU per delivery, {viewers:,} viewers, to {whose}",
            limit=limit,
            unit="times",
            numbers=_ratio("a", f"{viewers:,} viewers", other, "cpu_us"),
        )
        for other, whose, limit in (
            ("centrifugo", "Centrifugo's", 0.6),
            ("nchan", "nchan's", 0.8),
            ("floor", "the bare C loop's", 1.3),
        )
        for viewers in SIZES
    ),
    *(
        Line(
            name=f"b-{hub}-{rate}",
            words=f"(b) CPU per event with one viewer each, {rate:,} events/s {where}, to nchan's",
            limit=limit,
            unit="times",
            numbers=_ratio("b", f"{rate:,} events/s", "nchan", "cpu_us", of=hub),
        )
        for hub, where, limit in ((HUB, "through Redis", 1.1), ("hub-embedded", "embedded", 1.3))
        for rate in RATES
    ),
    Line(
        name="c",
        words="(c) CPU per delivery at 200 events/s, to that of one event at a time just before",
        limit=1.0,
        unit="times",
        numbers=_value("c", "200 events/s", "to_single"),
    ),
    *(
        Line(
            name=f"d-{other}",
            words=f"(d) CPU per reconnect, caught up from the replica, to {whose}",
            limit=limit,
            unit="times",
            numbers=_ratio("d", MANY, other, "cpu_us"),
        )
        for other, whose, limit in (
            ("centrifugo", "Centrifugo's", 0.8),
            ("floor", "the bare C loop's, which catches nothing up", 4.0),
        )
    ),
    Line(
        name="d-reads",
        words="(d) reads from the broker for 10,000 reconnects",
        limit=0,
        unit="",
        numbers=_value("d", MANY, "broker_reads"),
    ),
    *(
        Line(
            name=f"e-{other}",
            words=f"(e) memory of an idle viewer, to {whose}",
            limit=limit,
            unit="times",
            numbers=_ratio("e", MANY, other, "viewer_bytes"),
        )
        for other, whose, limit in (("centrifugo", "Centrifugo's", 0.1), ("nchan", "nchan's", 0.25))
    ),
    Line(
        name="e-beats",
        words="(e) CPU of the heartbeats of 10,000 viewers, to nchan's",
        limit=1.6,
        unit="times",
        numbers=_ratio("e", MANY, "nchan", "core_percent"),
    ),
    Line(
        name="f",
        words="(f) memory per stalled viewer, to nchan's",
        limit=0.05,
        unit="times",
        numbers=_ratio("f", "250 stalled", "nchan", "grown_bytes"),
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
    *(
        Line(
            name=f"processes-{several}",
            words=f"CPU per delivery, {what} on one Redis, to one process'",
            limit=1.1,
            unit="times",
            numbers=_ratio("processes", SEVERAL_VIEWERS, HUB, "cpu_us", of=several),
        )
        for several, what in SEVERAL_LABELS.items()
    ),
    *(
        Line(
            name=f"processes-spread-{name}",
            words=f"viewers of the fullest of four processes, of those that come {how}, to an even share",
            limit=1.3,
            unit="times",
            numbers=_value("processes", SEVERAL_VIEWERS, name, of="workers-4"),
        )
        for name, how in (("fullest_single", "one by one"), ("fullest", "together"))
    ),
    *(
        Line(
            name=f"processes-death-{name}",
            words=f"one of four processes is killed: {what}",
            limit=limit,
            unit="",
            numbers=_value("processes-death", KILLED, name, of="workers-4"),
        )
        for name, what, limit in (
            ("reconnects", "most reconnects of a viewer", 1),
            ("missed", "viewers that miss a state", 0),
        )
    ),
)
"""In the order of the workloads, whose letters they begin with."""
