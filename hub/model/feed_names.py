"""The names of feeds: the channel of all videos' counters, and the channel of each user."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

FEED_CHANNEL: Final = "feed/videos"
"""The channel in which the counters of all videos are announced."""

STATS: Final = "stats:"
"""What the id of a video's counters begins with in that channel: the video itself may be a content of another one."""

USERS: Final = "users/"
"""What the channels of users begin with."""

ANONYMOUS_USER: Final = "anonymous"
"""The user of every request where no token is needed."""


def user_channel(sub: str) -> str:
    """The channel of a user, in which the `sub` is percent-encoded."""
    return USERS + quote(sub, safe="")


def stats_id(video: str) -> str:
    """The content that has a video's counters."""
    return STATS + video
