"""Format and filters of the log: one tree of loggers below `statushub`, and uvicorn's in the same format.

Libraries log warnings and errors only, through the root logger.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final

from statushub.hub.model.timestamp import timestamp

NOISE: Final = (
    "Started server process",
    "Finished server process",
    "Started parent process",
    "Stopping parent process",
    "Terminated child process",
    "Waiting for child process",
    "Uvicorn running on",
    "Waiting for application",
    "Application startup complete",
    "Application shutdown complete",
)
"""Beginnings of the lines by which uvicorn reports its progress. The hub's own line says where it serves."""

ACCESS_PATH: Final = 2
"""Index of the path with its query among the arguments of uvicorn's access line."""


class Line(logging.Formatter):
    """`2025-07-31T13:00:00.000Z INFO    Serving …`, in UTC, so that lines of several machines can be sorted."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return timestamp(datetime.fromtimestamp(record.created, UTC))


class Quiet(logging.Filter):
    """Drops uvicorn's `NOISE`."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO or not str(record.msg).startswith(NOISE)


class WithoutQuery(logging.Filter):
    """Redacts the queries in the access log, which may hold tickets."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) > ACCESS_PATH:
            path = str(record.args[ACCESS_PATH]).partition("?")[0]
            record.args = (*record.args[:ACCESS_PATH], path, *record.args[ACCESS_PATH + 1 :])
        return True


def logging_config(level: str) -> dict[str, Any]:
    """For `logging.config.dictConfig` and uvicorn's `log_config`; `level` as in `Config.log_level`."""
    chosen = level.upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": Line}},
        "filters": {"quiet": {"()": Quiet}, "without_query": {"()": WithoutQuery}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": max(logging.WARNING, logging.getLevelNamesMapping()[chosen])},
        # Filters of loggers, not of handlers, which uvicorn may replace.
        "loggers": {
            "statushub": {"level": chosen},
            "uvicorn": {"level": chosen},
            "uvicorn.error": {"level": chosen, "filters": ["quiet"]},
            "uvicorn.access": {"level": chosen, "filters": ["without_query"]},
        },
    }
