"""What a request names: channels, and those that patterns name."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from statushub.hub.auth.patterns import Patterns
from statushub.hub.model.errors import Invalid
from statushub.hub.model.names import check_name

STREAM_CHANNELS: Final = 64
"""Most channels of one stream: each is another replica to read when the stream catches up."""


def matching(request: Request) -> tuple[list[str], Patterns | None]:
    """The channels of `?channel=` and the patterns of `?match=`, None where there are none. Raises `Invalid`."""
    channels = list(dict.fromkeys(request.query_params.getlist("channel")))
    patterns = None
    if matches := list(dict.fromkeys(request.query_params.getlist("match"))):
        if len(matches) + len(channels) > STREAM_CHANNELS:
            raise Invalid(f"match and channel may be given {STREAM_CHANNELS} times together", field="match")
        patterns = Patterns(matches, "match")
    elif not channels:
        raise Invalid(f"channel must be given 1 to {STREAM_CHANNELS} times, or match", field="channel")
    elif len(channels) > STREAM_CHANNELS:
        raise Invalid(f"channel may be given {STREAM_CHANNELS} times, not {len(channels)}", field="channel")
    return [check_name(channel, "channel") for channel in channels], patterns


def together(channels: list[str], patterns: Patterns) -> Patterns:
    """The patterns of both: a channel is the pattern that names only itself."""
    return Patterns([*patterns.texts, *channels], "match")
