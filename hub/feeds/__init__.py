"""Feeds: what viewers see of likes, follows, counters and notifications. `contract` has the promises of their store."""

from __future__ import annotations

from typing import Final

from statushub.hub.feeds.contract import FeedStore

_FILE: Final = "sqlite:///"
_MEMORY: Final = "memory:"

SUFFIX: Final = "-feed"
"""What the name of an embedded store's file has behind that of the broker's."""


def open_feeds(broker: str) -> FeedStore:
    """The store beside the broker at this URL, not yet entered: in the same Redis, in a file beside its file, or in
    memory. Raises `ConfigError` for a malformed URL of Redis; the others are the broker's to check."""
    if broker == _MEMORY or broker.startswith(_FILE):
        # Here, because the SDK imports this package, too, and has no files.
        from pathlib import Path

        from statushub.hub.feeds.sqlite.store import EmbeddedFeeds

        return EmbeddedFeeds(None if broker == _MEMORY else Path(broker.removeprefix(_FILE) + SUFFIX))
    # Imported only here: a hub with an embedded broker needs nothing of Redis.
    from statushub.hub.feeds.redis.store import RedisFeeds

    return RedisFeeds(broker)
