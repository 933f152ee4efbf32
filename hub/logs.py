"""Formats and filters of the log: one tree of loggers below `statushub`, and uvicorn's in the same format.

Libraries log warnings and errors only, through the root logger.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from statushub.hub.model.line import one_line
from statushub.hub.model.timestamp import timestamp

TRACE: Final = ContextVar("TRACE", default="")
"""The id of the trace that the current request belongs to; empty where it is not traced."""

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

SOCKET_PATH: Final = 1
"""The same of the line by which uvicorn reports a WebSocket that it accepted or refused."""

TRAFFIC: Final = ("< ", "> ")
"""Beginnings of the lines by which `websockets` reports what was received and sent."""


_encode = msgspec.json.Encoder().encode


class Line(logging.Formatter):
    """`2025-07-31T13:00:00.000Z INFO    Serving …`, in UTC, so that lines of several machines can be sorted."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return timestamp(datetime.fromtimestamp(record.created, UTC))

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        return f"{line} trace_id={trace}" if (trace := TRACE.get()) else line


class JsonLine(logging.Formatter):
    """`{"time","level","logger","message"}`, with `trace_id` within a trace and `exception` with a traceback: an object
    a line, for programs that gather logs."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": timestamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace := TRACE.get():
            said["trace_id"] = trace
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return one_line(_encode(said)).decode()


class Quiet(logging.Filter):
    """Drops uvicorn's `NOISE`."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO or not str(record.msg).startswith(NOISE)


class WithoutQuery(logging.Filter):
    """Redacts the queries in lines whose argument of this index is a path: they may hold tickets."""

    def __init__(self, path: int) -> None:
        super().__init__()
        self._path = path

    def filter(self, record: logging.LogRecord) -> bool:
        if self.about_request(record) and isinstance(record.args, tuple) and len(record.args) > self._path:
            path = str(record.args[self._path]).partition("?")[0]
            record.args = (*record.args[: self._path], path, *record.args[self._path + 1 :])
        return True

    def about_request(self, record: logging.LogRecord) -> bool:
        """Whether it is a line of an access log, as all are by default."""
        return True


class WithoutSecrets(WithoutQuery):
    """The same for WebSocket, of which uvicorn's other log has the access lines; and drops the lines in which the
    library `websockets` writes heads and frames, which may hold tokens."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno <= logging.DEBUG and str(record.msg).startswith(TRAFFIC):
            return False
        return super().filter(record)

    def about_request(self, record: logging.LogRecord) -> bool:
        return "WebSocket" in str(record.msg)


FORMATS: Final[Mapping[str, type[logging.Formatter]]] = {"text": Line, "json": JsonLine}
"""The formats of the log by their names."""


def logging_config(level: str, format: str = "text") -> dict[str, Any]:
    """For `logging.config.dictConfig` and uvicorn's `log_config`; `level` and `format` as in `Config.log_level` and
    `Config.log_format`."""
    chosen = level.upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": FORMATS[format]}},
        "filters": {
            "quiet": {"()": Quiet},
            "without_query": {"()": WithoutQuery, "path": ACCESS_PATH},
            "without_secrets": {"()": WithoutSecrets, "path": SOCKET_PATH},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": max(logging.WARNING, logging.getLevelNamesMapping()[chosen])},
        # Filters of loggers, not of handlers, which uvicorn may replace.
        "loggers": {
            "statushub": {"level": chosen},
            "uvicorn": {"level": chosen},
            "uvicorn.error": {"level": chosen, "filters": ["quiet", "without_secrets"]},
            "uvicorn.access": {"level": chosen, "filters": ["without_query"]},
        },
    }
