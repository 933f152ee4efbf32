"""What is followed: some channels, and those that patterns name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

import msgspec

from statushub.hub.model.errors import Invalid
from statushub.hub.model.names import check_name

NAMES_MAX: Final = 64
"""Most channels and patterns of one stream of a hub. Several streams would have no common cursor to store and to resume
from."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Channels, and those that patterns such as `jobs/**` name."""

    channels: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    @property
    def only(self) -> str:
        """The only channel that is followed, empty where there may be others."""
        return self.channels[0] if len(self.channels) == 1 and not self.patterns else ""

    @property
    def path(self) -> str:
        """The route of the stream."""
        return f"{channel_path(self.only)}/events" if self.only else "/api/events"

    @property
    def query(self) -> list[tuple[str, str]]:
        """What the route has to be told."""
        if self.only:
            return []
        return [("channel", name) for name in self.channels] + [("match", pattern) for pattern in self.patterns]


def subject(channels: str | Iterable[str] | None, match: str | Iterable[str] | None) -> Subject:
    """The subject of these arguments. Raises `Invalid` naming the one that is wrong."""
    names = tuple(check_name(name, "channels") for name in _each(channels))
    patterns = _each(match)
    if not all(patterns):
        raise Invalid("match must be a pattern, such as 'jobs/**'", field="match")
    if not 1 <= len(names) + len(patterns) <= NAMES_MAX:
        raise Invalid(
            f"channels and match must be 1 to {NAMES_MAX} together, which one stream carries, not "
            f"{len(names) + len(patterns)}: follow more in parts, or by a pattern",
            field="channels",
        )
    return Subject(channels=names, patterns=patterns)


def _each(names: str | Iterable[str] | None) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(dict.fromkeys(names or ()))


def channel_path(channel: str) -> str:
    """The path of a channel's routes."""
    return f"/api/contents/{quote(channel, safe='')}"
