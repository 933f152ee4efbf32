"""`python -m tests.faults`: inject faults into real processes under load, and check that every promise is kept."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from tests.faults import clock, report
from tests.faults.injections import INJECTIONS
from tests.faults.lane import PLANS, Plan, Round, opened, shuffled
from tests.faults.report import Run
from tests.support.tasks import end

SECONDS: Final = 400.0
"""For how long faults are injected by default: each a dozen times; with the start and the last rounds, well within
the ten minutes."""


SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

INTERRUPTED: Final = 130
"""The exit code of what Ctrl+C has ended."""


def main(arguments: Sequence[str]) -> int:
    """Run the command line; 1 where a promise was broken."""
    options = _parser().parse_args(arguments)
    names = options.only or [*INJECTIONS]
    try:
        run = execute(options.seed or seed(), options.seconds, names, cut=options.cut, keep=options.keep, told=_print)
    except KeyboardInterrupt:
        return INTERRUPTED
    print(f"\n{report.table(run)}\n\nseed {run.seed}, {run.seconds:.0f} s")
    if options.write:
        report.write(run)
    return int(bool(run.violations))


def seed() -> str:
    """One that nobody chose."""
    return secrets.token_hex(4)


def execute(
    seed: str,
    seconds: float,
    only: Sequence[str],
    *,
    cut: bool,
    keep: Path | None = None,
    told: Callable[[str], None],
) -> Run:
    """One run, in a folder that is removed afterwards, except where it is to be kept."""
    told(f"seed {seed} (repeat with --seed {seed})")
    folder = keep or Path(tempfile.mkdtemp(prefix="statushub-faults-"))
    begun, rounds = time.monotonic(), list[Round]()

    def tell(it: Round) -> None:
        rounds.append(it)
        told(report.said(it))

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_interruptible(_lanes(seed, begun + seconds, only, cut=cut, folder=folder, told=tell)))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return Run(seed=seed, seconds=time.monotonic() - begun, rounds=rounds)


async def _interruptible(work: Coroutine[Any, Any, None]) -> None:
    """Do the work; the first signal to stop ends everything that was started, and further ones change nothing."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

    def stop() -> None:
        if not task.cancelling():
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        await task
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def _lanes(
    seed: str, deadline: float, only: Sequence[str], *, cut: bool, folder: Path, told: Callable[[Round], None]
) -> None:
    lanes: list[asyncio.Task[None]] = []
    try:
        for number, plan in enumerate(PLANS):
            there = set(only) - (set() if clock.available() else {"clock-stepped"})
            if there & set(plan.faults):
                place = folder / f"lane-{number}"
                place.mkdir(parents=True)
                work = _lane(plan, place, seed, there, deadline, cut=cut, told=told)
                lanes.append(asyncio.create_task(work, name=plan.name))
        await asyncio.gather(*lanes)
    finally:
        # Where one has failed the others need not go on.
        await end(lanes)


async def _lane(
    plan: Plan,
    folder: Path,
    seed: str,
    only: set[str],
    deadline: float,
    *,
    cut: bool,
    told: Callable[[Round], None],
) -> None:
    async with opened(plan, folder, seed, quick=cut, told=told) as lane:
        faults = (fault for fault in shuffled(plan, lane.scene.rng, cut=cut) if fault in only)
        await lane.run(faults, deadline)


def _print(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    known = ", ".join(INJECTIONS)
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__, epilog=f"Faults: {known}.")
    parser.add_argument("--seed", help="repeat the run that printed this one: the same faults in the same order")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"how long to begin new faults; {SECONDS:g} by default"
    )
    parser.add_argument("--only", type=_faults, metavar="FAULTS", help="these faults alone, with commas between")
    parser.add_argument("--cut", action="store_true", help="each fault once, in a shorter form: about 90 s")
    parser.add_argument("--write", action="store_true", help="write the summary into docs/reliability.md")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the logs and files there; it must be new")
    return parser


def _faults(text: str) -> list[str]:
    words = text.split(",")
    for word in words:
        if word not in INJECTIONS:
            raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(INJECTIONS)}")
    return words


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
