"""The index of channels in the embedded broker's file: what is asked of it, and its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from statushub.hub.brokers.contract import ChannelEntry
from statushub.hub.brokers.listing import Listing
from statushub.hub.model.cursor import COUNTER_MAX

_BEYOND = "\U0010ffff"
"""Comes after every character that a name may have."""

Row = tuple[bytes, int, float, int, int, int, int, int]
"""Name, offset, time of the latest event, and contents by phase."""


def statement(tenant: str, listing: Listing) -> tuple[str, Mapping[str, str | int]]:
    """The name and the values of the statement that reads a page."""
    shared: dict[str, str | int] = {"tenant": tenant, "rows": listing.rows}
    if listing.by_name:
        prefix = listing.prefix.decode()
        named = (listing.named or b"").decode(errors="replace")
        return "channels_by_name", {**shared, "named": named, "prefix": prefix, "beyond": prefix + _BEYOND}
    below = COUNTER_MAX + 1 if listing.below is None else listing.below
    return "channels_by_offset", {**shared, "since": listing.since, "below": below}


def entries(rows: Sequence[Row]) -> list[ChannelEntry]:
    """Rows as the contract has them."""
    return [
        ChannelEntry(
            channel=name.decode(),
            offset=offset,
            updated_at=updated,
            pending=pending,
            processing=processing,
            completed=completed,
            failed=failed,
            idle=idle,
        )
        for name, offset, updated, pending, processing, completed, failed, idle in rows
    ]
