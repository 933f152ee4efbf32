"""What processes cost before they do anything: `python -m tests.bench.startup`.

Processor time is that of whole processes, from their start to their end. They are started in turn, and told as ratios
of one run: the time of a process moves with the machine's load by half. Modules are compiled before.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.support.hub_process import HubProcess, hub_process
from tests.support.redis_server import running_redis
from tests.support.tokens import SECRET

ROUNDS: Final = 15

FLOOR: Final = "python -c pass"
VERSION: Final = "statushub --version"
PUBLISH: Final = "statushub publish"
IMPORTS: Final = (
    "import statushub",
    "from statushub import track",
    "from statushub import SyncProducer, work",
    "from statushub import follow",
)


def commands(hub: str) -> dict[str, list[str]]:
    """The command lines that are compared, by their names; `hub` is a hub's address."""
    statushub = [sys.executable, "-m", "statushub"]
    return {
        FLOOR: [sys.executable, "-c", "pass"],
        VERSION: [*statushub, "--version"],
        PUBLISH: [*statushub, "publish", "startup", "content", "generating", "--hub", hub],
        f"{PUBLISH}, a user in the address": [
            *statushub, "publish", "startup", "content", "generating", "--hub", hub.replace("//", "//user@")
        ],
        **{line: [sys.executable, "-c", line] for line in IMPORTS},
    }  # fmt: skip


def cpu_seconds(command: list[str]) -> float:
    """User and system time of a process that runs this command. Raises `RuntimeError` where it fails."""
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=silent)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


def times(hub: str, rounds: int) -> dict[str, float]:
    """The median of each command's processor time, in seconds."""
    measured = defaultdict[str, list[float]](list)
    for number in range(rounds + 1):
        for name, command in commands(hub).items():
            seconds = cpu_seconds(command)
            # The first round compiles.
            if number:
                measured[name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in measured.items()}


def megabytes(hub: HubProcess) -> tuple[float, float]:
    """The proportional and the whole resident set of a hub: the former shares pages among the processes that map them,
    the latter is what it has on a machine where no other process maps any."""
    assert hub.process
    rollup = Path(f"/proc/{hub.process.pid}/smaps_rollup").read_text()
    pss, rss = (int(re.findall(rf"^{name}:\s+(\d+) kB", rollup, re.MULTILINE)[0]) / 1024 for name in ("Pss", "Rss"))
    return pss, rss


def fresh(folder: Path, settings: Mapping[str, str], rounds: int) -> tuple[float, float]:
    """The medians of `megabytes` of hubs that serve and had no viewer yet."""
    measured = []
    for _ in range(rounds):
        with hub_process(folder, **settings) as hub:
            measured.append(megabytes(hub))
    return statistics.median(it[0] for it in measured), statistics.median(it[1] for it in measured)


def main(arguments: Sequence[str]) -> None:
    """Measure, and print a table of times and one of memory."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.startup", description=__doc__)
    parser.add_argument("--repeat", type=int, default=ROUNDS, metavar="ROUNDS", help="[default: %(default)s]")
    rounds = parser.parse_args(arguments).repeat
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with hub_process(folder) as hub:
            measured = times(hub.base_url, rounds)
        print(f"| process | CPU | more than `{FLOOR}` | times `{VERSION}` |\n| --- | --- | --- | --- |")
        for command, seconds in measured.items():
            more = 1_000 * (seconds - measured[FLOOR])
            print(f"| `{command}` | {1_000 * seconds:.0f} ms | {more:.0f} ms | {seconds / measured[VERSION]:.2f} |")
        print("\n| hub before its first viewer | PSS | RSS |\n| --- | --- | --- |")
        with running_redis(folder) as redis:
            hubs = {
                "embedded": {},
                "embedded, with a secret": {"secret": SECRET},
                "over Redis": {"broker": redis.url},
                "over Redis, with a secret": {"broker": redis.url, "secret": SECRET},
            }
            for label, settings in hubs.items():
                pss, rss = fresh(folder, settings, max(rounds // 5, 1))
                print(f"| {label} | {pss:.1f} MB | {rss:.1f} MB |")


if __name__ == "__main__":
    main(sys.argv[1:])
