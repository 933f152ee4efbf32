"""How log lines look: the hub's own and uvicorn's alike, without what helps nobody."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final

from statushub.hub.model.timestamp import timestamp

NOISE: Final = (
    "Started server process",
    "Finished server process",
    "Uvicorn running on",
    "Waiting for application",
    "Application startup complete",
    "Application shutdown complete",
)
"""How the lines begin with which uvicorn tells its own progress. Ours says where the hub serves; an operator
needs that, and what goes wrong."""

ACCESS_PATH: Final = 2
"""Which argument of uvicorn's access line is the path with its query."""


class Line(logging.Formatter):
    """`2025-07-31T13:00:00.000Z INFO    Serving …`; UTC, so that lines of several machines can be put in order."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return timestamp(datetime.fromtimestamp(record.created, UTC))


class Quiet(logging.Filter):
    """Drops uvicorn's `NOISE`."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO or not str(record.msg).startswith(NOISE)


class WithoutQuery(logging.Filter):
    """Cuts the query off the paths of the access log: it may hold a ticket, and logs are read by many."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) > ACCESS_PATH:
            path = str(record.args[ACCESS_PATH]).partition("?")[0]
            record.args = (*record.args[:ACCESS_PATH], path, *record.args[ACCESS_PATH + 1 :])
        return True


def logging_config(level: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`, and for uvicorn's `log_config`; `level` as in `Config.log_level`."""
    chosen = level.upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": Line}},
        "filters": {"quiet": {"()": Quiet}, "without_query": {"()": WithoutQuery}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        # The filters are the loggers': they stay whatever handlers uvicorn gives these afterwards.
        "loggers": {
            "statushub": {"level": chosen},
            "uvicorn": {"level": chosen},
            "uvicorn.error": {"level": chosen, "filters": ["quiet"]},
            "uvicorn.access": {"level": chosen, "filters": ["without_query"]},
        },
    }
