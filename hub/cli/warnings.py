"""The warnings of producers on stderr, while a command works."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from statushub.hub.cli.terminal import echo


class _Printer(logging.Handler):
    """Prints warnings about the hub; the work goes on without it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


@contextmanager
def shown_warnings() -> Iterator[None]:
    """Print them during the block."""
    logger, printer = logging.getLogger("statushub.producers"), _Printer()
    logger.addHandler(printer)
    try:
        yield
    finally:
        logger.removeHandler(printer)
        # What is still undelivered at the process's end has been said, and would be printed as it is.
        logger.addHandler(logging.NullHandler())


def note(message: object) -> None:
    """Print a line that is not the command's result."""
    echo(f"statushub: {message}", err=True)
