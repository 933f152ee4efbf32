"""A hub in a process of its own: what it takes of memory is its own, and what it logs is kept."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.command import END_SECONDS, environment
from tests.support.servers import free_port, wait_for_port


class HubProcess:
    """A hub that serves, where it is, and how much memory it has."""

    def __init__(self, process: subprocess.Popen[bytes], base_url: str) -> None:
        self.base_url = base_url
        self._process = process

    @property
    def memory(self) -> int:
        """Bytes that it would give back if it ended (its own pages, as Linux counts them)."""
        lines = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text().splitlines()
        own = ("Private_Clean:", "Private_Dirty:")
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(own))


@contextlib.contextmanager
def hub_process(folder: Path, **settings: Any) -> Iterator[HubProcess]:
    """A hub with these settings for the time of the block. It ends as it should, and has logged no traceback."""
    port, log = free_port(), folder / "log"
    said = {f"STATUSHUB_{name.upper()}": str(value) for name, value in ({"broker": "memory:"} | settings).items()}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "statushub", "serve", "--port", str(port)],
            cwd=folder,
            env=environment(said),
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        wait_for_port(port, process)
        yield HubProcess(process, f"http://127.0.0.1:{port}")
        process.terminate()
        assert process.wait(END_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
    written = log.read_text(errors="replace")
    assert "Traceback" not in written, written[-20_000:]
    assert " ERROR " not in written, written[-20_000:]
