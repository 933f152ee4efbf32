"""Feeds: write likes, follows, counters and notifications into a hub that serves them (`STATUSHUB_FEED=on`)."""

from __future__ import annotations

from statushub.producers.feed import Batch, Feed, SyncFeed

__all__ = ["Batch", "Feed", "SyncFeed"]
