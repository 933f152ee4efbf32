"""`python -m tests.bench`: measure, print, and write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench import counters, report
from tests.bench.go_programs import VERSIONS
from tests.bench.harness import STARTS, Results, run
from tests.bench.measure import machine, versions
from tests.bench.plan import TITLES, plan
from tests.bench.workloads import Case

ROUNDS: Final = 5
QUICK_ROUNDS: Final = 3
QUICK_SERVERS: Final = ("hub-redis", "hub-embedded", "nchan", "floor")
DOCS: Final = Path(__file__).parent.parent.parent / "docs"


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns 1 where a measurement failed."""
    options = _parser().parse_args(arguments)
    if options.report:
        report.write(report.read(DOCS), DOCS)
        return 0
    cases = [case for case in plan() if _wanted(case, options)]
    servers = options.servers or (QUICK_SERVERS if options.quick else None)
    rounds = options.repeat or (QUICK_ROUNDS if options.quick else ROUNDS)
    command = " ".join(["python -m tests.bench", *arguments])
    results = Results(machine=machine(), versions=versions() | VERSIONS, commands=[command], samples=[], skipped={})
    first = 0
    if options.add or options.more:
        kept, measured = report.read(DOCS), {case.workload for case in cases}
        results.commands = [*kept.commands, command]
        results.neighbours = kept.neighbours
        results.samples = [it for it in kept.samples if options.more or it.workload not in measured]
        first = max((it.round + 1 for it in results.samples if it.workload in measured), default=0)
    results.counters = {f"{n:,} viewers": asyncio.run(counters.count(n, 20)) for n in (100, 1_000)}
    try:
        run(
            cases,
            rounds=rounds,
            servers=servers,
            results=results,
            told=lambda line: print(line, flush=True),
            first=first,
        )
    finally:
        if options.write or not (options.quick or options.only or options.servers):
            report.write(results, DOCS)
    print(report.summary(results))
    return int(any(sample.problem for sample in results.samples))


def _wanted(case: Case, options: argparse.Namespace) -> bool:
    if options.only:
        return any(case.workload == name or case.workload.startswith(f"{name}-") for name in options.only)
    return case.quick or not options.quick


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only (a) with 1,000 viewers, against nchan and the floor")
    parser.add_argument(
        "--only", type=partial(_words, known=[*TITLES, "growth"]), help="workloads, separated by commas: a,e"
    )
    parser.add_argument(
        "--servers", type=partial(_words, known=[*STARTS]), help="servers, separated by commas: hub-redis,nchan"
    )
    parser.add_argument("--repeat", type=int, help=f"rounds; {ROUNDS} by default, {QUICK_ROUNDS} with --quick")
    parser.add_argument("--write", action="store_true", help="write the report even of a partial run")
    parser.add_argument("--add", action="store_true", help="keep the last report's results of other workloads")
    parser.add_argument(
        "--more", action="store_true", help="keep all results of the last report; these are further rounds"
    )
    parser.add_argument(
        "--report", action="store_true", help="measure nothing; write the report of the last results again"
    )
    return parser


def _words(text: str, known: Collection[str]) -> list[str]:
    words = text.split(",")
    for word in words:
        if word not in known:
            raise argparse.ArgumentTypeError(f"{word!r} is not one of {', '.join(known)}")
    return words


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
