"""How a command ends when it does not end well."""

from __future__ import annotations

from typing import Final

import click

TROUBLE: Final = 1
"""Something is away, or the work failed: trying again may help."""

USAGE: Final = 2
"""The command line, a setting or a value is wrong; what click itself ends with."""

REFUSED: Final = 3
"""The hub took note of a status and did not store it: it is superseded, or the work on the content is over."""

INTERRUPTED: Final = 130
"""Ctrl+C: 128 and the signal's number, as shells count."""

TERMINATED: Final = 143
"""The same for SIGTERM."""


class Failure(click.ClickException):
    """Ends the command with one line on stderr and this exit code."""

    def __init__(self, message: str, code: int = TROUBLE) -> None:
        super().__init__(message)
        self.code = code
