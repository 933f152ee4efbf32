"""Loopback ports for servers whose port must be chosen before they start."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Final

START_SECONDS: Final = 20.0
"""The time limit for a server to accept connections, on a machine that is busy with other tests."""

PORTS: Final = range(10_100, 32_000)
"""These are below the range from which the kernel picks outgoing ports and port 0, and above 10080, the last one that
browsers refuse (Fetch standard, section 2.9)."""

WORKERS: Final = 64
"""The maximum number of pytest workers with a separate share of the ports."""


SHARE: Final = len(PORTS) // WORKERS


def _share(worker: str) -> Iterator[int]:
    """The ports of one pytest worker in turn, so that no other worker takes one between its choice and its use."""
    first = PORTS.start + int(worker.removeprefix("gw") or 0) % WORKERS * SHARE
    drawn = random.randrange(SHARE)
    return itertools.cycle(first + (drawn + number) % SHARE for number in range(SHARE))


_ports: Final = _share(os.environ.get("PYTEST_XDIST_WORKER", ""))


def free_port() -> int:
    """An unbound port, which is not returned again soon."""
    for port in itertools.islice(_ports, SHARE):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("every port is in use")


def wait_for_port(port: int, process: subprocess.Popen[bytes], *, within: float = START_SECONDS) -> None:
    """Return once something accepts connections on `port`.

    Raises `RuntimeError` where `process` ends first, `TimeoutError` after so many seconds.
    """
    deadline = time.monotonic() + within
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{process.args!r} does not listen on {port}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
