"""Receipts: what became of a publication."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.cursor import Cursor


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a publication: its cursor and attempt where it was accepted, a `Refusal` where not.

    `channel` is the content's where that is the reason, unless the publisher may not know it, and `seq` its last one,
    where a delta does not follow it. `cancel` is the request
    to cancel the attempt, where it is accepted and there is one.
    """

    cursor: Cursor | None = None
    attempt: int | None = None
    reason: Refusal | None = None
    channel: str | None = None
    seq: int | None = None
    cancel: CancelRequest | None = None

    @property
    def accepted(self) -> bool:
        return self.cursor is not None


class CancelRefusal(StrEnum):
    """Why a request to cancel was not stored."""

    UNKNOWN = "unknown"
    """The channel has no such content."""
    ENDED = "ended"
    """Its attempt has ended."""


class CancelReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request to cancel: the one that is in force, which may be an earlier one, and the cursor with
    which it was announced; or a `CancelRefusal`."""

    cursor: Cursor | None = None
    request: CancelRequest | None = None
    reason: CancelRefusal | None = None


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
    REMOVED = "removed"
    """The content was removed on request, and this belongs to what was removed."""
    UNKNOWN = "unknown"
    """A delta of a content that is not known."""
    GAP = "gap"
    """A delta that does not follow the content's last event: its attempt is not open, or not processed, or another seq
    than the delta follows is the last one. A whole event closes the gap."""
    TOO_LARGE = "too_large"
    """The delta would have the content grow beyond its limits."""
    OCCUPIED = "occupied"
    """Another program's key lies where the broker would store the content."""
