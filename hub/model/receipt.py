"""Receipts: what became of a publication."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from statushub.hub.model.cursor import Cursor


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a publication: its cursor where it was accepted, a `Refusal` where not."""

    cursor: Cursor | None = None
    reason: Refusal | None = None

    @property
    def accepted(self) -> bool:
        return self.cursor is not None


class Refusal(StrEnum):
    """Why a publication was not stored. Results, not errors: the broker did what it promises."""

    SUPERSEDED = "superseded"
    """A newer attempt, or a later seq of this one, is already stored."""
    CLOSED = "closed"
    """The attempt has ended; only a higher attempt reopens the content."""
    WRONG_CHANNEL = "wrong_channel"
    """The content lives in another channel."""
