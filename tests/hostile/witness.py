"""Checks of a hub after hostile input: nothing is left over, and nothing was logged."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from tests.support.live import LiveHub, live_hub
from tests.support.waiting import eventually
from tests.support.wire import LAST, exchange

LOGGERS = ("asyncio", "statushub", "uvicorn", "uvicorn.error")


class Trouble(logging.Handler):
    """Collects log records that no request may cause: errors, and all with a traceback."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR or record.exc_info:
            self.lines.append(logging.Formatter().format(record))


@contextlib.contextmanager
def unharmed(**settings: Any) -> Iterator[LiveHub]:
    """A hub for the block; at its end it still answers, holds nothing, and has logged no `Trouble`."""
    trouble = Trouble()
    with live_hub(**settings) as hub:
        for name in LOGGERS:
            logging.getLogger(name).addHandler(trouble)
        try:
            yield hub
            check_settled(hub)
        finally:
            for name in LOGGERS:
                logging.getLogger(name).removeHandler(trouble)
    assert trouble.lines == []


def check_settled(hub: LiveHub) -> None:
    """Assert that the hub answers, and that disconnected clients left no viewer, connection or task."""
    [answer] = exchange(hub.base_url, LAST)
    assert answer.status == 200
    eventually(lambda: len(hub.hub.viewers) == 0)
    eventually(lambda: not hub.server_state.connections)
    eventually(lambda: not hub.server_state.tasks)
    assert not list(hub.hub.viewers)
