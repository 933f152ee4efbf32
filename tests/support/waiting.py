"""Waiting for conditions without a notification."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import anyio

T = TypeVar("T")

WAIT_SECONDS: Final = 30.0
"""The time limit for a condition, on a machine that is busy with other tests."""

LOOK_SECONDS: Final = 0.005
"""The pause between two evaluations."""


def eventually(condition: Callable[[], T], *, within: float = WAIT_SECONDS) -> T:
    """The condition's first true value; fails if there is none in time."""
    deadline = time.monotonic() + within
    pause = threading.Event()
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:g} s: {condition}")
        pause.wait(LOOK_SECONDS)
    return value


async def until(condition: Callable[[], object]) -> None:
    """Return once `condition` holds; raises `TimeoutError` after `WAIT_SECONDS`."""
    with anyio.fail_after(WAIT_SECONDS):
        while not condition():
            await anyio.sleep(LOOK_SECONDS)
