"""Writes the results: docs/benchmarks.md, its picture, and the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tests.bench.budget import Verdict, verdicts
from tests.bench.harness import STARTS, Beside, Results, Sample, Spread, spread
from tests.bench.picture import Bars, Curves, picture
from tests.bench.plan import TITLES
from tests.bench.remarks import (
    ACTS,
    AFTER_CHOICE,
    BESIDE,
    BUDGET,
    CHOOSING,
    ELSEWHERE,
    FAILURES,
    GROWTH,
    MEMORY,
    METHOD,
    NEIGHBOURS,
    PUBLISHED,
    REMARKS,
)
from tests.bench.servers import LABELS, SERVERS
from tests.bench.several import SEVERAL_LABELS

PEERS: Final = ("nchan", "floor")
CHOICE: Final = (
    "hub-redis",
    "hub-embedded",
    "centrifugo",
    "mercure",
    "nchan",
    "better-sse",
    "sse-starlette",
    "floor",
)
"""The servers between which a reader chooses, and the least that any of them could cost."""

JSON: Final = "benchmarks.json"
MARKDOWN: Final = "benchmarks.md"
PICTURE: Final = "benchmarks.svg"

COLUMNS: Final = {
    "per_second": ("per second", 1.0),
    "cpu_us": ("CPU, µs each", 1.0),
    "user_us": ("in user space", 1.0),
    "system_us": ("in the kernel", 1.0),
    "page_ms": ("CPU of hub and Redis, ms per page", 1.0),
    "bare_us": ("Redis' CPU without the index", 1.0),
    "to_bare": ("to without", 1.0),
    "open_us": ("CPU to open, µs", 1.0),
    "to_single": ("to one at a time", 1.0),
    "redis_us": ("Redis' CPU, µs per event", 1.0),
    "p50_ms": ("p50, ms", 1.0),
    "p99_ms": ("p99, ms", 1.0),
    "of_rate": ("share of the rate", 1.0),
    "skipped": ("superseded, skipped", 1.0),
    "viewer_bytes": ("bytes per viewer", 1.0),
    "content_bytes": ("bytes per content", 1.0),
    "grown_bytes": ("bytes per stalled viewer", 1.0),
    "core_percent": ("% of a core", 1.0),
    "fresh_bytes": ("MiB before the first viewer", 2.0**20),
    "caught_up": ("events caught up", 1.0),
    "broker_reads": ("broker reads", 1.0),
    "seconds": ("seconds", 1.0),
    "calls": ("system calls per delivery", 1.0),
    "open_calls": ("system calls per connect", 1.0),
    "fullest_single": ("viewers of the fullest process, to an even share: come one by one", 1.0),
    "fullest": ("come together", 1.0),
    "affected": ("viewers cut off", 1.0),
    "reconnects": ("most reconnects of a viewer", 1.0),
    "missed": ("viewers that miss a state", 1.0),
    "disordered": ("events out of order", 1.0),
    "back_ms": ("until all are back, ms", 1.0),
}
"""The values that are reported, in this order: the head of the column, and the divisor."""

NAMES: Final = {**LABELS, **SEVERAL_LABELS, "nothing": "the same server, doing nothing"}

ZEROS: Final = frozenset({"missed", "disordered"})
"""Values that are told even if all are zero."""

RATIOS: Final = {
    "a": ("centrifugo", *PEERS),
    "b": PEERS,
    "c": PEERS,
    "d": ("centrifugo", *PEERS),
    "e": ("centrifugo", "nchan"),
    "processes": ("hub-redis",),
    "processes-events": ("hub-redis",),
    "g": ("nothing",),
    "i": ("hub-redis",),
}
"""Workloads whose first value is also reported as ratios, and to which servers."""


def read(folder: Path) -> Results:
    """The last results written to `folder`."""
    return msgspec.json.decode((folder / JSON).read_bytes(), type=Results)


def write(results: Results, folder: Path) -> None:
    """Write numbers, picture and report to `folder`."""
    (folder / JSON).write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    (folder / PICTURE).write_text(_picture(results), encoding="utf-8")
    (folder / MARKDOWN).write_text("\n".join(_document(results)) + "\n", encoding="utf-8")


def summary(results: Results) -> str:
    """The budget, and the ratios of (a), for a terminal."""
    lines = [
        f"{_mark(verdict):8} {verdict.line.words}: {_found(verdict)}" for verdict in verdicts(results) if verdict.found
    ]
    lines += [f"skipped  {name}: install {needed}" for name, needed in results.skipped.items()]
    return "\n".join(lines)


def _document(results: Results) -> Iterator[str]:
    yield "# Benchmarks"
    yield ""
    yield "Written by `make bench`; do not edit. [How it is measured](#how-it-is-measured) is at the end."
    yield ""
    yield from _choice(results)
    yield f"![Cost and memory beside the peers]({PICTURE})"
    yield ""
    yield "## Budget"
    yield ""
    yield BUDGET.strip()
    yield ""
    yield from _table(
        ("", "promise", "limit", "found (minimum to maximum)"),
        [(_mark(v), v.line.words, _limit(v), _found(v)) for v in verdicts(results)],
    )
    yield from _missed(results)
    for workload, title in TITLES.items():
        yield from _workload(results, workload, title)
    yield from _neighbours(results)
    yield from _counted(results)
    yield ELSEWHERE.strip()
    yield ""
    yield from _method(results)


def _choice(results: Results) -> Iterator[str]:
    """The table for a reader who has to choose."""
    yield "## Which server costs what"
    yield ""
    yield CHOOSING.strip()
    yield ""
    columns = (
        ("a", "1,000 viewers", "cpu_us"),
        ("a", "1,000 viewers", "p50_ms"),
        ("a", "1,000 viewers", "p99_ms"),
        ("e", "10,000 viewers", "viewer_bytes"),
        ("d", "10,000 viewers", "cpu_us"),
    )
    rows = []
    for server in CHOICE:
        found = [spread(results.values(workload, label, server, name)) for workload, label, name in columns]
        if any(found):
            ratio = spread(results.ratios(*columns[0][:2], server, "hub-redis", "cpu_us"))
            cells = ["" if it is None else _number(it.median) for it in found]
            rows.append((NAMES[server], cells[0], "" if ratio is None else _number(ratio.median), *cells[1:]))
    heads = ("", "CPU a delivery, µs", "times ours", "p50, ms", "p99, ms", "bytes an idle viewer", "CPU a connect, µs")
    yield from _table(heads, [*rows[:-1], PUBLISHED, *rows[-1:]])
    yield AFTER_CHOICE.strip()
    yield ""


def _method(results: Results) -> Iterator[str]:
    yield "## How it is measured"
    yield ""
    yield METHOD.strip()
    yield ""
    yield f"Measured by {', '.join(f'`{it}`' for it in results.commands)}."
    yield ""
    yield from _table(("machine", ""), list(results.machine.items()))
    yield from _table(("version of", ""), list(results.versions.items()))
    if results.skipped:
        for name, needed in results.skipped.items():
            yield f"- {NAMES[name]} was skipped: it needs {needed}"
        yield ""
    problems = [sample for sample in results.samples if sample.problem]
    if problems:
        yield "Measurements that failed, and are in no table:"
        yield ""
        for it in problems:
            what = f"({it.workload}) {it.label}, {NAMES[it.server]}"
            said = FAILURES.get(f"{it.workload}-{it.server}") or FAILURES.get(it.server, "")
            yield f"- {what}: {it.problem.strip()}. {said}".rstrip()
        yield ""
    yield "To repeat it: `make bench` (all of it), `make bench-quick` (two minutes), or"
    yield "`.venv/bin/python -m tests.bench --only a,e --servers hub-redis,nchan,floor --repeat 5`."


def _missed(results: Results) -> Iterator[str]:
    for verdict in verdicts(results):
        if verdict.kept is False:
            said = REMARKS.get(verdict.line.name, "Nothing has been tried yet.")
            yield f"**Missed: {verdict.line.words}** ({_found(verdict)}, limit {_limit(verdict)}). {said}"
            yield ""


def _workload(results: Results, workload: str, title: str) -> Iterator[str]:
    samples = [sample for sample in results.samples if sample.workload == workload and sample.values]
    if not samples:
        return
    named = f"({workload}) {title}" if len(workload) == 1 else title
    yield f"## {named[0].upper()}{named[1:]}"
    yield ""
    yield _rounds(samples)
    yield ""
    names = [name for name in COLUMNS if any(name in sample.values for sample in samples)]
    names = [name for name in names if name in ZEROS or any(sample.values.get(name) for sample in samples)]
    ratios = RATIOS.get(workload, ())
    heads = ("", "", *(COLUMNS[name][0] for name in names), *(f"to {other}" for other in ratios))
    rows = []
    for label in dict.fromkeys(sample.label for sample in samples):
        there = {sample.server for sample in samples if sample.label == label}
        for server in STARTS:
            if server in there:
                cells = [
                    _cell(spread(results.values(workload, label, server, name)), COLUMNS[name][1]) for name in names
                ]
                told = [_cell(spread(results.ratios(workload, label, server, other, names[0]))) for other in ratios]
                rows.append((label, NAMES[server], *cells, *told))
    yield from _table(heads, rows)
    if workload in GROWTH:
        yield GROWTH[workload]
        yield ""


def _rounds(samples: Sequence[Sample]) -> str:
    """How often it was measured, and which servers less often."""
    rounds = {
        server: len({it.round for it in samples if it.server == server}) for server in {it.server for it in samples}
    }
    most = max(rounds.values())
    less = [f"{count} of {NAMES[server]}" for server, count in sorted(rounds.items()) if count < most]
    return f"{most} round{'s' if most > 1 else ''}{'; ' if less else ''}{', '.join(less)}."


def _neighbours(results: Results) -> Iterator[str]:
    yield "## A neighbour that misbehaves"
    yield ""
    yield from _beside(results)
    yield MEMORY.strip()
    yield ""
    if not results.neighbours:
        return
    yield NEIGHBOURS.strip()
    yield ""
    rows = [
        (
            label,
            f"{waits.served:,}",
            f"{waits.opened / 1e3:,.1f}",
            f"{waits.median:,.0f}",
            f"{waits.worst:,.0f}",
            f"{waits.again / 1e3:,.1f}",
            f"{waits.worst_again:,.0f}",
        )
        for label, waits in results.neighbours.items()
    ]
    heads = (
        "",
        "streams served",
        "all answered, s",
        "the other tenant's polls, median, ms",
        "worst, ms",
        "last stream up to date after the cut, s",
        "worst poll after the cut, ms",
    )
    yield from _table(heads, rows)


def _beside(results: Results) -> Iterator[str]:
    if not results.beside:
        return
    yield BESIDE.strip()
    yield ""
    kinds = ("before", "now")
    rows = [
        (
            ACTS.get(act, act),
            *(_waits(found.get(kind), "delivery_p99", "delivery_worst") for kind in kinds),
            *(_waits(found.get(kind), "poll_p99", "poll_worst") for kind in kinds),
            *(f"{found[kind].refused:,}" if kind in found else "" for kind in kinds),
        )
        for act, found in results.beside.items()
    ]
    heads = (
        "the neighbour",
        "deliveries, p99 (worst), ms: before",
        "now",
        "polls, p99 (worst), ms: before",
        "now",
        "publishes refused: before",
        "now",
    )
    yield from _table(heads, rows)


def _waits(found: Beside | None, p99: str, worst: str) -> str:
    return "" if found is None else f"{getattr(found, p99):,.0f} ({getattr(found, worst):,.0f})"


def _counted(results: Results) -> Iterator[str]:
    yield "## Counters that repeat"
    yield ""
    yield "One delivery in the interpreter, with a transport that only counts; the same every time."
    yield ""
    rows = [
        (label, f"{values['calls']:.2f}", f"{values['bytecodes']:.1f}", f"{values['peak_bytes']:.1f}")
        for label, values in results.counters.items()
    ]
    yield from _table(("", "calls", "bytecodes", "bytes allocated at peak"), rows)


def _picture(results: Results) -> str:
    return picture(
        [
            (
                "CPU per delivery, 1,000 viewers of one channel (µs; less is better)",
                _bars(results, "a", "1,000 viewers", "cpu_us"),
            ),
            ("Memory per idle viewer, 10,000 viewers (bytes)", _bars(results, "e", "10,000 viewers", "viewer_bytes")),
            ("CPU per reconnect, 10,000 viewers (µs)", _bars(results, "d", "10,000 viewers", "cpu_us")),
            ("CPU per event, 1,000 channels, 20,000 events/s (µs)", _bars(results, "b", "20,000 events/s", "cpu_us")),
            ("CPU per delivery (µs) against viewers of one channel", _curves(results, "growth-viewers", "cpu_us")),
            ("CPU per event (µs) against channels with one viewer each", _curves(results, "growth-channels", "cpu_us")),
            ("CPU per event (µs) against channels without viewers", _curves(results, "growth-unwatched", "cpu_us")),
            (
                "Memory per content (bytes) against contents of a channel",
                _curves(results, "growth-contents", "content_bytes"),
            ),
        ]
    )


def _bars(results: Results, workload: str, label: str, name: str) -> Bars:
    found = [(server, spread(results.values(workload, label, server, name))) for server in SERVERS]
    bars = [(LABELS[server], numbers, server.startswith("hub")) for server, numbers in found if numbers]
    return sorted(bars, key=lambda bar: bar[1].median)


def _curves(results: Results, workload: str, name: str) -> Curves:
    curves = {}
    for server in SERVERS:
        sizes = {s.label: s.size for s in results.samples if (s.workload, s.server) == (workload, server)}
        points = [(size, spread(results.values(workload, label, server, name))) for label, size in sizes.items()]
        if any(numbers for _, numbers in points):
            curves[server] = [(size, numbers.median) for size, numbers in points if numbers]
    return curves


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _cell(numbers: Spread | None, scale: float = 1) -> str:
    if numbers is None:
        return ""
    middle, least, most = (_number(value / scale) for value in (numbers.median, numbers.least, numbers.most))
    return middle if least == most else f"{middle} ({least} to {most})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:.3g}"


def _mark(verdict: Verdict) -> str:
    return {True: "met", False: "**missed**", None: "not measured"}[verdict.kept]


def _limit(verdict: Verdict) -> str:
    line = verdict.line
    return f"{'≥' if line.at_least else '≤'} {_number(line.limit)} {line.unit}".strip()


def _found(verdict: Verdict) -> str:
    return f"{_cell(verdict.found)} {verdict.line.unit}".strip() if verdict.found else "-"
