"""Hears of a stop in time. Servers tell an application of it once every answer has ended, and streams do not end."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
"""Those that stop a server."""


@contextmanager
def hearing_of_stop(stopping: Callable[[], None]) -> Iterator[None]:
    """For the time of the block, call `stopping` on the event loop when a signal stops the server of this process.

    What the server does at the signal is done as well; where it does nothing, or does not run in the main thread, which
    alone has signals, `stopping` is not called.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}

    def heard(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopping)
        handlers[number](number, frame)

    heard_of = [number for number in SIGNALS if callable(handlers[number])]
    for number in heard_of:
        signal.signal(number, heard)
    try:
        yield
    finally:
        for number in heard_of:
            # A server may have put its own back.
            if signal.getsignal(number) is heard:
                signal.signal(number, handlers[number])
