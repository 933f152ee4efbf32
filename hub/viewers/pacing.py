"""Pacing: how often viewers that take no deltas are sent the whole state of a content that grows."""

from __future__ import annotations

from typing import Final

from statushub.hub.model.delta import GROWN_BYTES
from statushub.hub.model.publication import EVENT_BYTES_MAX

SECONDS: Final = 0.5
"""Least seconds between two whole states of a content: what a reader of a growing text takes for immediate."""

BYTES_PER_SECOND: Final = 128 * 1024
"""Most bytes of a content in a second, so that a long text does not fill a viewer's line: one of 1 MiB comes every 8
seconds. Viewers that take deltas get it as it grows."""

LONGEST_SECONDS: Final = (GROWN_BYTES + EVENT_BYTES_MAX) / BYTES_PER_SECOND
"""The interval of the longest state: what deltas have made, and the whole event beneath."""


def interval(size: int) -> float:
    """Seconds between two whole states of so many bytes."""
    return max(SECONDS, size / BYTES_PER_SECOND)
