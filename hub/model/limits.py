"""Limits on what a tenant stores and how fast it publishes, for all hubs together."""

from __future__ import annotations

from typing import Final

import msgspec

MAX_CONTENTS: Final = 1_000_000
"""Contents of a tenant: about 1 GB of the broker's memory with small states."""

MAX_BYTES: Final = 1024**3
"""Bytes of data of a tenant: what one neighbour may take of a broker with a few GB."""

MAX_CHANNEL_CONTENTS: Final = 100_000
"""Contents of a channel: a hub holds all of a channel that is read, about 100 MB at this size."""


class StorageLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant may store. A publication that would exceed it is refused with `quota_exceeded`."""

    contents: int = MAX_CONTENTS
    bytes: int = MAX_BYTES
    channel_contents: int = MAX_CHANNEL_CONTENTS


class PublishRate(msgspec.Struct, frozen=True, kw_only=True):
    """How much a publisher may publish in a second; a bucket holds a second's worth."""

    sub: str
    events: float
    bytes: float
