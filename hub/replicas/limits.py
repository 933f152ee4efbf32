"""Limits on what replicas hold in memory."""

from __future__ import annotations

import msgspec


class ReplicaLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The most that is kept; beyond it things are read again, or dropped."""

    waiting: int = 10_000
    """Announcements kept for a replica that is being synced: 200 ms of 50,000 a second, some MB. Beyond that they
    are read again."""
    idle: int = 10_000
    """Replicas kept without a subscriber: polls for names that do not exist cost some MB, not all memory."""
