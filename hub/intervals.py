"""How often a hub does what it does by the clock."""

from __future__ import annotations

import msgspec


class Intervals(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds between runs of the hub's periodic tasks; tests shorten them."""

    sweep: float = 1.0
    """Between sweeps for leases that ran out: a dead worker's content ends at most this late."""
    audit: float = 10.0
    """Between audits. A lost announcement shows with the channel's next one; after the last one there is none, and
    the last one often ends the work."""
    directory: float = 1.0
    """Between audits of tenants whose patterns are followed: a channel that came into being unheard is found then."""
    eviction: float = 5.0
    """Between searches for idle replicas and for contents past their retention."""
    idle: float = 60.0
    """How long a replica outlives its last subscriber or poll."""
    record: float = 1.0
    """Between looks for what is to be written back into the record: of many states of a content in this time the
    latest is written."""
    sync_retry: tuple[float, float] = (0.2, 1.0)
    """The first and the longest delay before a failed sync is retried."""
    expiry: float = 1.0
    """Between checks of the tokens of open streams: a stream outlives its token by at most this. A check of 10,000
    viewers takes a millisecond."""
