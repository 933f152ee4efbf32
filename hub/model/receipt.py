"""Receipts: what became of a publication."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from statushub.hub.model.cursor import Cursor


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a publication: its cursor and attempt where it was accepted, a `Refusal` where not."""

    cursor: Cursor | None = None
    attempt: int | None = None
    reason: Refusal | None = None

    @property
    def accepted(self) -> bool:
        return self.cursor is not None


class Refusal(StrEnum):
    """Why a publication was not stored. Results, not errors: the broker did what it promises."""

    SUPERSEDED = "superseded"
    """A later run or attempt, or a later seq of this one, is already stored."""
    CLOSED = "closed"
    """The attempt has ended; only a later run or a higher attempt reopens the content."""
    WRONG_CHANNEL = "wrong_channel"
    """The content lives in another channel."""
    QUOTA_EXCEEDED = "quota_exceeded"
    """The tenant or the channel stores as much as it may. Endings of known contents are not refused so."""
    OCCUPIED = "occupied"
    """Another program's key lies where the broker would store the content."""
