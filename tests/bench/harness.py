"""The measurements: every case with each server in turn, in several rounds, each with a fresh server."""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tests.bench.load import Missing
from tests.bench.running import Start
from tests.bench.servers import SERVERS, nothing
from tests.bench.session import session
from tests.bench.several import SEVERAL
from tests.bench.workloads import Case, Values

STARTS: Final[dict[str, Start]] = {**SERVERS, **SEVERAL, "nothing": nothing}

MOST_ROUNDS: Final = {
    **dict.fromkeys(("growth-contents", "growth-unwatched", "calls", "calls-open"), 1),
    **dict.fromkeys(("growth-viewers", "growth-channels", "index"), 2),
    "f": 3,
}
"""Workloads of fewer rounds: whose numbers are reproducible, counters and sizes, of which the shape of a curve counts,
or that take minutes."""

BUSY: Final = 0.3
"""Load per core, beyond the benchmark's own, from which on other processes disturb the measurement."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement, or the problem that prevented it."""

    workload: str
    label: str
    size: float
    server: str
    round: int
    values: dict[str, float]
    problem: str = ""


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """How long a tenant waits beside a neighbour that opens many streams, and while Redis' pub/sub connection comes
    back. Times are in milliseconds.

    `median` and `worst` are of the tenant's polls, each of a channel that was not polled before: from the first request
    until the first 200, however many failed between.
    """

    served: int
    """The neighbour's streams that were not refused."""
    opened: float
    """Until the last of the neighbour's streams was served or refused."""
    median: float
    worst: float
    again: float
    """From the cut until the neighbour's last stream gets an event that was published meanwhile."""
    worst_again: float
    """As `worst`, from the cut on."""


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant's polls and deliveries take beside a neighbour, in milliseconds.

    A poll counts from its first request to its first 200, a delivery from when its event was due at the publisher.
    """

    poll_p99: float
    poll_worst: float
    delivery_p99: float
    delivery_worst: float
    refused: int
    """Publishes of the tenant that were not accepted."""


class Results(msgspec.Struct, kw_only=True):
    """All measurements of one run of the harness."""

    machine: dict[str, str]
    versions: dict[str, str]
    commands: list[str]
    samples: list[Sample]
    skipped: dict[str, str]
    counters: dict[str, dict[str, float]] = {}
    neighbours: dict[str, Waits] = {}
    beside: dict[str, dict[str, Beside]] = {}
    """By what the neighbour does, and by version."""

    def values(self, workload: str, label: str, server: str, name: str) -> list[float]:
        """The values of this name, by round."""
        return [
            sample.values[name]
            for sample in self.samples
            if (sample.workload, sample.label, sample.server) == (workload, label, server) and name in sample.values
        ]

    def ratios(self, workload: str, label: str, server: str, other: str, name: str) -> list[float]:
        """The ratios of `server` to `other`, each of one round, in which both were measured next to each other."""
        found = {
            (sample.server, sample.round): sample.values[name]
            for sample in self.samples
            if (sample.workload, sample.label) == (workload, label) and name in sample.values
        }
        rounds = sorted({number for _, number in found})
        return [
            found[server, number] / found[other, number]
            for number in rounds
            if (server, number) in found and found.get((other, number))
        ]


class Spread(msgspec.Struct, frozen=True):
    """The median, minimum and maximum of some numbers."""

    median: float
    least: float
    most: float


def spread(numbers: Sequence[float]) -> Spread | None:
    """The spread of these numbers; None for an empty sequence."""
    return Spread(statistics.median(numbers), min(numbers), max(numbers)) if numbers else None


def run(
    cases: Iterable[Case],
    *,
    rounds: int,
    servers: Collection[str] | None,
    results: Results,
    told: Callable[[str], None],
    first: int = 0,
) -> None:
    """Measure every case into `results`, in rounds that count from `first`; `told` takes lines of progress.

    A server that is not installed is skipped, with the reason in `results`.
    """
    raise_file_limit()
    folder = Path(tempfile.mkdtemp(prefix="statushub-bench-"))
    try:
        for case in cases:
            wanted = [name for name in case.servers if servers is None or name in servers]
            for number in range(first, first + min(rounds, MOST_ROUNDS.get(case.workload, rounds))):
                # The order rotates, so that no server is always first.
                for name in wanted[number % len(wanted) :] + wanted[: number % len(wanted)] if wanted else ():
                    _measure(case, name, number, folder, results, told)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def raise_file_limit() -> None:
    """Raise the limit of open files to the maximum, for this process and its children."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _measure(case: Case, name: str, number: int, folder: Path, results: Results, told: Callable[[str], None]) -> None:
    if name in results.skipped:
        return
    values: Values = {}
    problem = ""
    began = time.monotonic()
    try:
        with session(STARTS[name], folder) as opened:
            values = case.measure(opened, name)
    except Missing as error:
        results.skipped[name] = str(error)
        told(f"{name} is skipped; it needs {error}")
        return
    except Exception as error:  # noqa: BLE001 - it is reported, and does not end a run of hours
        problem = f"{type(error).__name__}: {error}"
    results.samples.append(
        Sample(
            workload=case.workload,
            label=case.label,
            size=case.size,
            server=name,
            round=number,
            values=values,
            problem=problem,
        )
    )
    said = problem or "  ".join(f"{key} {value:.4g}" for key, value in values.items())
    told(f"({case.workload}) {case.label:24} {name:14} {said}   [{time.monotonic() - began:.0f} s]{_busy()}")


def _busy() -> str:
    running = os.getloadavg()[0] / (os.cpu_count() or 1)
    return f"   [load {running:.1f} a core]" if running > 1 + BUSY else ""
