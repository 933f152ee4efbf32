"""The state of what is followed."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from statushub.hub.model.cursor import Cursor
from statushub.producers.following.change import READY, RESET, Change

Statuses = Mapping[str, Mapping[str, Any]]
"""The latest status of each content, by its id."""


class Contents(Mapping[str, Statuses]):
    """The latest status of each content, by channel and content id: `contents["encodes"]["clip-7"]["progress"]`.

    It takes in what is read through it: `async for change in contents` where it was made of `follow(…)`, and
    `for change in contents.changes()` where of `follow_sync(…)`. `apply` takes in a change that was read elsewhere.
    A channel without contents is an empty mapping, and is not among the keys. Not to be shared by threads of which one
    reads changes while another iterates.
    """

    def __init__(self, source: AsyncIterable[Change] | Iterable[Change] = ()) -> None:
        self._source = source
        self._channels: dict[str, dict[str, Mapping[str, Any]]] = {}
        # What was there before a reset, and has not come again.
        self._doubtful: set[tuple[str, str]] = set()
        self.ready = False
        """Whether all that was there has been told; false again between a reset and the next `ready`."""
        self.cursor: Cursor | None = None
        """The cursor to store together with this state."""

    def apply(self, change: Change) -> None:
        """Take in a change. After a reset, what is no longer there is dropped at the next `ready`."""
        if change.type == RESET:
            self.ready = False
            self._doubtful = {(channel, content_id) for channel in self for content_id in self._channels[channel]}
        elif change.type == READY:
            self.ready = True
            for channel, content_id in self._doubtful:
                self._drop(channel, content_id)
            self._doubtful = set()
        elif change.content_id:
            self._doubtful.discard((change.channel, change.content_id))
            if change.removed:
                self._drop(change.channel, change.content_id)
            else:
                self._channels.setdefault(change.channel, {})[change.content_id] = change.data
        self.cursor = change.cursor

    def changes(self) -> Iterator[Change]:
        """Each change of a `follow_sync`, once it is taken in."""
        if not isinstance(self._source, Iterable):
            raise TypeError("made of an asynchronous source: use `async for change in contents`")
        for change in self._source:
            self.apply(change)
            yield change

    def __aiter__(self) -> AsyncIterator[Change]:
        """Each change of a `follow`, once it is taken in."""
        if not isinstance(self._source, AsyncIterable):
            raise TypeError("not made of an asynchronous source: use `for change in contents.changes()`")
        return self._applied(aiter(self._source))

    def __getitem__(self, channel: str) -> Statuses:
        return MappingProxyType(self._channels.get(channel, {}))

    def __contains__(self, channel: object) -> bool:
        return channel in self._channels

    def __iter__(self) -> Iterator[str]:
        return iter(self._channels)

    def __len__(self) -> int:
        return len(self._channels)

    async def _applied(self, changes: AsyncIterator[Change]) -> AsyncIterator[Change]:
        async for change in changes:
            self.apply(change)
            yield change

    def _drop(self, channel: str, content_id: str) -> None:
        contents = self._channels.get(channel, {})
        contents.pop(content_id, None)
        if not contents:
            self._channels.pop(channel, None)
