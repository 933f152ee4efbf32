"""A command in a terminal: a pseudo-terminal of its own, whose screen an emulator keeps."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import pyte

from tests.support.command import END_SECONDS, environment

COLUMNS: Final = 80
LINES: Final = 24

LAUNCH: Final = """
import os, sys
os.login_tty(int(sys.argv[1]))
os.execv(sys.executable, [sys.executable, "-m", "statushub", *sys.argv[2:]])
"""
"""Makes the pseudo-terminal that of a new session, and runs the command in it."""


class Terminal:
    """A running `statushub` command in a terminal, for its `with` block; it is killed at the end."""

    def __init__(
        self, *arguments: object, columns: int = COLUMNS, lines: int = LINES, env: Mapping[str, str] | None = None
    ) -> None:
        self.written = ""
        """All that the command has written, escape sequences included."""
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._ours, theirs = os.openpty()
        self._resize(columns, lines)
        variables = environment({"TERM": "xterm-256color", **(env or {})})
        # They would count for more than the terminal's own size; readline exports them.
        for name in ("COLUMNS", "LINES"):
            variables.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(theirs), *map(str, arguments)],
            env={name: value for name, value in variables.items() if value},
            pass_fds=(theirs,),
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._ours)

    @property
    def rows(self) -> list[str]:
        """The lines of the screen, without blanks at their ends."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.rows)

    def colour(self, text: str) -> str:
        """The colour of the first character of `text` on the screen."""
        for number, row in enumerate(self._screen.display):
            if (column := row.find(text)) >= 0:
                return str(self._screen.buffer[number][column].fg)
        raise AssertionError(f"{text!r} is not on the screen:\n{self.text}")

    def shows(self, *texts: str, without: str | None = None, seconds: float = END_SECONDS) -> str:
        """Wait until the screen shows all of `texts`, and not `without`; returns its text."""
        until = time.monotonic() + seconds
        while not all(text in self.text for text in texts) or (without is not None and without in self.text):
            if time.monotonic() > until or not self._read(until - time.monotonic()):
                raise AssertionError(f"the screen does not show {texts}:\n{self.text}")
        return self.text

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the window."""
        self._screen.resize(lines, columns)
        self._resize(columns, lines)

    def ended(self) -> int:
        """Wait for the end, and return the exit code."""
        until = time.monotonic() + END_SECONDS
        while self._read(until - time.monotonic()):
            pass
        if self.process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                return self.process.wait(max(until - time.monotonic(), 0) + 1)
            raise AssertionError(f"the command does not end:\n{self.text}")
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        """Take in what the command writes within `seconds`; False where the terminal is closed, or time ran out."""
        if not select.select([self._ours], [], [], max(seconds, 0))[0]:
            return False
        try:
            portion = os.read(self._ours, 65_536)
        except OSError:  # Linux raises EIO once the other end is closed
            return False
        self.written += portion.decode(errors="replace")
        self._stream.feed(portion)
        return bool(portion)

    def _resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
