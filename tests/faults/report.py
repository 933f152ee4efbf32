"""The summary of a run, and its place in docs/reliability.md."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Final

import msgspec

from tests.faults.injections import INJECTIONS
from tests.faults.lane import Round

PAGE: Final = Path(__file__).parents[2] / "docs/reliability.md"

BEGIN: Final = "<!-- Written by `make faults`: do not edit. -->"
END: Final = "<!-- The end of what is written. -->"

RUNS_KEPT: Final = 3
"""The number of runs on the page: the latest ones."""

_RUN = re.compile(r"^\| `\w+` \|.*$", re.MULTILINE)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds of one run."""

    seed: str
    seconds: float
    rounds: list[Round]

    @property
    def violations(self) -> list[str]:
        return [violation for it in self.rounds for violation in it.violations]

    @property
    def totals(self) -> tuple[int, int, int, int]:
        """Faults, publishes acknowledged, deliveries checked, violations."""
        publishes, deliveries = sum(it.publishes for it in self.rounds), sum(it.deliveries for it in self.rounds)
        return len(self.rounds), publishes, deliveries, len(self.violations)


def describe(it: Round) -> str:
    """One line about a round, with details where there are violations."""
    line = f"{it.lane:<18} {it.fault:<22} {it.seconds:5.1f} s {it.publishes:6,} publishes {it.deliveries:8,} deliveries"
    if not it.violations:
        return line
    return "\n".join([f"{line}  VIOLATIONS: {len(it.violations)}", *(f"  {v}" for v in it.violations[:20]), it.logs])


def table(run: Run) -> str:
    """A table of the faults: how often each was injected, what was checked, and the longest time to converge."""
    by_fault: dict[str, list[Round]] = defaultdict(list)
    for it in run.rounds:
        by_fault[it.fault].append(it)
    lines = [
        "| fault | injected | publishes acknowledged | deliveries checked | violations | worst time to converge |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for fault, injection in INJECTIONS.items():
        if rounds := by_fault[fault]:
            count, publishes, deliveries, wrong = Run(seed="", seconds=0, rounds=rounds).totals
            worst = max(it.seconds for it in rounds)
            lines.append(f"| {injection.title} | {count} | {publishes:,} | {deliveries:,} | {wrong} | {worst:.1f} s |")
    count, publishes, deliveries, wrong = run.totals
    lines.append(f"| all | {count} | {publishes:,} | {deliveries:,} | {wrong} | |")
    return "\n".join(lines)


def write(run: Run, page: Path = PAGE) -> None:
    """Write the run into the page, before the earlier ones."""
    text = page.read_text()
    head, _, rest = text.partition(BEGIN)
    old, _, tail = rest.partition(END)
    count, publishes, deliveries, wrong = run.totals
    row = f"| `{run.seed}` | {run.seconds:.0f} s | {count} | {publishes:,} | {deliveries:,} | {wrong} |"
    rows = [row, *_RUN.findall(old)][:RUNS_KEPT]
    runs = [
        "| seed | took | faults injected | publishes acknowledged | deliveries checked | violations |",
        "| --- | --: | --: | --: | --: | --: |",
        *rows,
    ]
    written = "\n".join([BEGIN, "", "The last runs:", "", *runs, "", "The last of them, by fault:", "", table(run), ""])
    page.write_text(f"{head}{written}\n{END}{tail}")
