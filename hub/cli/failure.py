"""Exit codes, and the error that ends a command with one."""

from __future__ import annotations

from typing import Final

import click

TROUBLE: Final = 1
"""The hub or the broker cannot be reached, or the work failed: a retry may succeed."""

USAGE: Final = 2
"""The command line, a setting or a value is invalid. click uses the same code."""

REFUSED: Final = 3
"""The hub did not store a status: it is superseded, or the attempt has ended."""

INTERRUPTED: Final = 130
"""Ctrl+C: 128 plus the number of the signal, as in shells."""

TERMINATED: Final = 143
"""SIGTERM, likewise."""


class Failure(click.ClickException):
    """Ends the command with one line on stderr and this exit code."""

    def __init__(self, message: str, code: int = TROUBLE) -> None:
        super().__init__(message)
        self.code = code
