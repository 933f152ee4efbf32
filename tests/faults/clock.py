"""A wall clock that can be stepped while the process that reads it runs."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("clock.c")


def available() -> bool:
    """Whether there is a C compiler, which builds the preloaded library."""
    return shutil.which("cc") is not None


class Clock:
    """The wall clock of the processes started with `environment`; at first it equals the machine's."""

    def __init__(self, folder: Path) -> None:
        self.moved = 0.0
        self._file = folder / "clock"
        self._library = folder / "clock.so"
        self._write()
        if available():
            command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(self._library), str(SOURCE)]
            subprocess.run(command, check=True)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which a process reads this clock."""
        return {"LD_PRELOAD": str(self._library), "STEPPED_CLOCK": str(self._file)} if available() else {}

    def step(self, seconds: float) -> None:
        """Step the clock forward or back."""
        self.moved += seconds
        self._write()

    def _write(self) -> None:
        # Written in place, so that processes that mapped the file see it.
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", round(self.moved * 1e9)))
