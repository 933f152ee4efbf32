"""Marks of a setting's declaration: what its type does not say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

UNITS: Final = ("SECONDS", "BYTES")
"""Metavars that are the unit of a number."""


class Flag(msgspec.Struct, frozen=True, kw_only=True):
    """What the flag of a setting is called, where its name and type do not say so."""

    name: str = ""
    """By default `--` and the setting's name."""
    metavar: str = ""
    """Placeholder for the value in the help; by default `TEXT`."""
    form: str = ""
    """What a `pattern` accepts, in words, for its error."""


class Rule(msgspec.Struct, frozen=True):
    """What each text of a setting must be, beside its type and pattern. The default is not checked."""

    check: Callable[[str], None]
    """Raises `ValueError` with what is wrong, in words that fit behind the text."""


class Secret(msgspec.Struct, frozen=True):
    """Marks a setting that has no flag: other users of the machine can read a process's command line."""
