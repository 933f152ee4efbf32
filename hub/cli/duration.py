"""Lengths of time as text."""

from __future__ import annotations

from typing import Final

CHARACTERS: Final = 7
"""Longest text that `duration` makes, such as `12m 30s`."""

DAYS: Final = 100
"""From so many days on, a length of time is only that: long."""


def duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    whole = round(min(seconds, DAYS * 86_400))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if minutes < 1:
        return f"{whole}s"
    if hours < 1:
        return f"{minutes}m {whole % 60:02}s"
    if days < 1:
        return f"{hours}h {minutes % 60:02}m"
    return f"{days}d {hours % 24:02}h" if days < DAYS else f">{DAYS - 1}d"
