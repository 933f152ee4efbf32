"""Measurements of the operating system: CPU time, memory and system calls of processes, and the machine."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

SERVER_CORE: Final = 0
LOAD_CORE: Final = 1
"""With two cores or more, the server has one, and the load generator and Redis share the other."""

PROFILED: Final = 0
VIRTUAL: Final = 1
SCHEDULED: Final = 2
"""The CPU clocks of a process: user and system time, and user time, both sampled by the kernel's timer, and user and
system time, in nanoseconds."""


def cpu_seconds(pids: Iterable[int], clock: int = SCHEDULED) -> float:
    """User and system time of these processes so far, including all threads, or another of their clocks."""
    # The clock's id is computed as clock_getcpuclockid(3) does; /proc/PID/stat only counts ticks of 10 ms.
    return sum(time.clock_gettime((~pid << 3) | clock) for pid in pids)


def pss_bytes(pids: Iterable[int]) -> int:
    """Proportional set size of these processes: shared pages are divided among the processes that share them."""
    total = 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        total += int(found[1]) * 1024 if found else 0
    return total


def switches(pids: Iterable[int]) -> int:
    """Voluntary context switches of these processes: how often they waited for work."""
    text = "".join(Path(f"/proc/{pid}/status").read_text() for pid in pids)
    return sum(map(int, re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.MULTILINE)))


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    members = [pid]
    for member in members:
        for children in Path(f"/proc/{member}/task").glob("*/children"):
            members += map(int, children.read_text().split())
    return members


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Pin processes that are started within the block to this core, where there is more than one."""
    before = os.sched_getaffinity(0)
    cores = sorted(before)
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class SystemCalls:
    """Counts the system calls of processes with strace, which must be installed and slows them."""

    def __init__(self, pids: list[int], folder: Path) -> None:
        self._table = folder / "strace"
        attach = [word for pid in pids for word in ("-p", str(pid))]
        self._process = subprocess.Popen(
            ["strace", "-c", "-f", "-o", str(self._table), *attach], stderr=subprocess.PIPE, text=True
        )
        for _ in pids:
            self._process.stderr.readline()  # type: ignore[union-attr]

    def stop(self) -> int:
        """Detach, and return the number of system calls."""
        self._process.terminate()
        self._process.communicate()
        found = re.search(
            r"^100\.00\s+\S+\s+(?:\S+\s+)?(\d+)\s+(?:\d+\s+)?total", self._table.read_text(), re.MULTILINE
        )
        return int(found[1]) if found else 0


def machine() -> dict[str, str]:
    """The machine of the measurements, without anything that identifies it."""
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {
        "processor": cpu[1].strip() if cpu else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "?",
        "kernel": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
    }


def versions() -> dict[str, str]:
    """The versions of the installed programs and packages that are measured."""
    found = {"Python": platform.python_version()}
    for package in ("uvicorn", "uvloop", "httptools", "starlette", "sse-starlette", "redis", "hiredis", "msgspec"):
        found[package] = version(package)
    for name, words, pattern in PROGRAMS:
        if shutil.which(words[0]):
            said = subprocess.run(words, capture_output=True, text=True, check=False)
            number = re.search(pattern, said.stdout + said.stderr)
            found[name] = number[1] if number else "?"
    return found


PROGRAMS: Final = (
    ("nginx", ("nginx", "-v"), r"nginx/(\S+)"),
    ("nchan", ("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"), r"^(?:\d+:)?([\d.]+)"),
    ("Node", ("node", "--version"), r"v(\S+)"),
    ("Go", ("go", "version"), r"go(\d\S+)"),
    ("redis-server", ("redis-server", "--version"), r"v=(\S+)"),
    ("cc", ("cc", "--version"), r"(\d+\.\d+\.\d+)"),
)
"""Programs, the command that prints their version, and the pattern of it in the output."""
