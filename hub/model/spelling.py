"""What a misspelt name may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

ALIKE: Final = 0.6
"""Likeness (difflib's ratio) from which on a name is suggested."""


def closest(name: str, known: Iterable[str], *, alike: float = ALIKE) -> str | None:
    """The one of `known` that is most like `name`; None where none is."""
    # Imported for a name that is unknown: most programs never meet one.
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(known), n=1, cutoff=alike)), None)
