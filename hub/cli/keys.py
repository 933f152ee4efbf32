"""Keys that are pressed in a terminal, such as those that scroll."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
import tty
from collections.abc import Iterator
from enum import Enum
from typing import Final


class Key(Enum):
    """A key that a watch knows."""

    UP = "up"
    DOWN = "down"
    PAGE_UP = "page up"
    PAGE_DOWN = "page down"
    HOME = "home"
    END = "end"
    QUIT = "q"


SEQUENCES: Final = {
    **dict.fromkeys(("\x1b[A", "\x1bOA", "k"), Key.UP),
    **dict.fromkeys(("\x1b[B", "\x1bOB", "j"), Key.DOWN),
    **dict.fromkeys(("\x1b[5~", "b"), Key.PAGE_UP),
    **dict.fromkeys(("\x1b[6~", " "), Key.PAGE_DOWN),
    **dict.fromkeys(("\x1b[H", "\x1bOH", "\x1b[1~", "g"), Key.HOME),
    **dict.fromkeys(("\x1b[F", "\x1bOF", "\x1b[4~", "G"), Key.END),
    "q": Key.QUIT,
}
"""What terminals send for them (ECMA-48 and xterm), and the letters of `less`."""


@contextlib.contextmanager
def pressed() -> Iterator[Iterator[Key]]:
    """The keys that are pressed while the block runs. There are none where stdin is not this process's terminal."""
    if not _interactive():
        yield iter(())
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield _keys(terminal)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def keys_in(text: str) -> Iterator[Key]:
    """The keys in what a terminal has sent; others are skipped."""
    while text:
        found = next((sequence for sequence in SEQUENCES if text.startswith(sequence)), None)
        if found is not None:
            yield SEQUENCES[found]
        text = text[len(found or text[0]) :]


def _keys(terminal: int) -> Iterator[Key]:
    with contextlib.suppress(OSError):  # the terminal is gone
        while portion := os.read(terminal, 1024):
            yield from keys_in(portion.decode(errors="replace"))


def _interactive() -> bool:
    # A process in the background would be stopped by the terminal when it changes its mode.
    try:
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False
