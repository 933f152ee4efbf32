"""Waiting for a condition that nobody announces."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
WAIT_SECONDS = 15.0


def eventually(condition: Callable[[], T], *, within: float = WAIT_SECONDS) -> T:
    """Return the condition's first true value; fail if there is none in time."""
    deadline = time.monotonic() + within
    pause = threading.Event()
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:g} s: {condition}")
        pause.wait(0.01)
    return value
