"""`python -m tests.faults`: inject faults into real processes under load, and check every guarantee."""

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
"""The default time in which faults are injected: each about a dozen times. With the start and the last rounds, a run
ends well within ten minutes."""


SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

INTERRUPTED: Final = 130
"""The exit code after Ctrl+C."""


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns 1 where a guarantee was violated."""
    options = _parser().parse_args(arguments)
    names = options.only or [*INJECTIONS]
    try:
        run = execute(options.seed or seed(), options.seconds, names, cut=options.cut, keep=options.keep, log=_print)
    except KeyboardInterrupt:
        return INTERRUPTED
    print(f"\n{report.table(run)}\n\nseed {run.seed}, {run.seconds:.0f} s")
    if options.write:
        report.write(run)
    return int(bool(run.violations))


def seed() -> str:
    """A random seed."""
    return secrets.token_hex(4)


def execute(
    seed: str,
    seconds: float,
    only: Sequence[str],
    *,
    cut: bool,
    keep: Path | None = None,
    log: Callable[[str], None],
) -> Run:
    """Run once, in a folder that is removed afterwards unless it is given as `keep`."""
    log(f"seed {seed} (repeat with --seed {seed})")
    folder = keep or Path(tempfile.mkdtemp(prefix="statushub-faults-"))
    begun, rounds = time.monotonic(), list[Round]()

    def on_round(it: Round) -> None:
        rounds.append(it)
        log(report.describe(it))

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_interruptible(_lanes(seed, begun + seconds, only, cut=cut, folder=folder, on_round=on_round)))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return Run(seed=seed, seconds=time.monotonic() - begun, rounds=rounds)


async def _interruptible(work: Coroutine[Any, Any, None]) -> None:
    """Run the coroutine; the first signal cancels it with all of its tasks, and later signals are ignored."""
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
    seed: str, deadline: float, only: Sequence[str], *, cut: bool, folder: Path, on_round: Callable[[Round], None]
) -> None:
    lanes: list[asyncio.Task[None]] = []
    try:
        for number, plan in enumerate(PLANS):
            chosen = set(only) - (set() if clock.available() else {"clock-stepped"})
            if chosen & set(plan.faults):
                place = folder / f"lane-{number}"
                place.mkdir(parents=True)
                work = _lane(plan, place, seed, chosen, deadline, cut=cut, on_round=on_round)
                lanes.append(asyncio.create_task(work, name=plan.name))
        await asyncio.gather(*lanes)
    finally:
        # A failed lane ends the others.
        await end(lanes)


async def _lane(
    plan: Plan,
    folder: Path,
    seed: str,
    only: set[str],
    deadline: float,
    *,
    cut: bool,
    on_round: Callable[[Round], None],
) -> None:
    async with opened(plan, folder, seed, quick=cut, on_round=on_round) as lane:
        faults = (fault for fault in shuffled(plan, lane.scene.rng, cut=cut) if fault in only)
        await lane.run(faults, deadline)


def _print(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    known = ", ".join(INJECTIONS)
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__, epilog=f"Faults: {known}.")
    parser.add_argument("--seed", help="the seed of an earlier run, to repeat the same faults in the same order")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"inject new faults for this long; {SECONDS:g} by default"
    )
    parser.add_argument("--only", type=_faults, metavar="FAULTS", help="inject only these faults, separated by commas")
    parser.add_argument("--cut", action="store_true", help="inject each fault once, for a shorter time: about 90 s")
    parser.add_argument("--write", action="store_true", help="write the summary into docs/reliability.md")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep logs and files in this new folder")
    return parser


def _faults(text: str) -> list[str]:
    words = text.split(",")
    for word in words:
        if word not in INJECTIONS:
            raise argparse.ArgumentTypeError(f"{word!r} is not a fault; the faults are {', '.join(INJECTIONS)}")
    return words


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
