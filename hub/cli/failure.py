"""Exit codes, and the error that ends a command with one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import click

from statushub.hub.model.cancel import CancelRequest

TROUBLE: Final = 1
"""The hub or the broker cannot be reached, or the work failed: a retry may succeed."""

USAGE: Final = 2
"""The command line, a setting or a value is invalid. click uses the same code."""

CANCELLED: Final = 3
"""The work was cancelled on request."""

REFUSED: Final = 4
"""The hub did not store a status: it is superseded, or the attempt has ended."""

TIMED_OUT: Final = 124
"""The time that was given has passed before what was waited for: the code of timeout(1)."""

INTERRUPTED: Final = 130
"""Ctrl+C: 128 plus the number of the signal, as in shells."""

TERMINATED: Final = 143
"""SIGTERM, likewise."""


class Failure(click.ClickException):
    """Ends the command with one line on stderr and this exit code."""

    def __init__(self, message: str, code: int = TROUBLE) -> None:
        super().__init__(message)
        self.code = code


def cancelled(message: str, request: CancelRequest | None) -> Failure:
    """The end of a command whose work was cancelled on request."""
    return Failure(f"{message}{_since(request)}", CANCELLED)


def _since(request: CancelRequest | None) -> str:
    """How long after the request the work stopped, by the clocks of the hub and of this machine."""
    if request is None:
        return ""
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(request.at)).total_seconds()
    except (ValueError, TypeError):
        return ""
    return f" (stopped {max(seconds, 0):.1f} s after the request)"
