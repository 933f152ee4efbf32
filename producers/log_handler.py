"""A handler of Python's logging that writes to the work in whose block a record was made."""

from __future__ import annotations

import logging
from typing import Final

from statushub.producers.current import current

OWN: Final = "statushub"
"""The loggers of this package: what they say of the reporting is not of the work, and reporting it would go round."""


class LogHandler(logging.Handler):
    """Appends each record to the field `log` of the current work: `logging.getLogger().addHandler(LogHandler())`.

    A record that is made outside of a work, or by Statushub itself, is ignored.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] == OWN:
            return
        try:
            current().log(self.format(record), record.levelname)
        except Exception:  # noqa: BLE001 - a handler hands any error on to logging, which may print it
            self.handleError(record)
