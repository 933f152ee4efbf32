"""Where a follower stands on the clock of its tenant."""

from __future__ import annotations

from collections.abc import Collection

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Invalid


class Position:
    """A cursor before which all has been told and, while channels are polled one by one, how far each is beyond it."""

    def __init__(self, since: Cursor | None) -> None:
        self.cursor = since
        self.since = since is not None
        """Whether the cursor is still the one that the program gave, whose errors are the program's."""
        self._ahead: dict[str, Cursor] = {}

    @property
    def epoch(self) -> str | None:
        """The life of the clock that is known, None where none is."""
        known = self.cursor or next(iter(self._ahead.values()), None)
        return known.epoch if known else None

    def of(self, channel: str) -> Cursor | None:
        """Where a poll of this channel goes on."""
        return self._ahead.get(channel, self.cursor)

    def repeats(self, channel: str, id: Cursor) -> bool:
        """Whether an event was told before: a stream after polls begins at the common cursor."""
        ahead = self._ahead.get(channel)
        return ahead is not None and ahead.epoch == id.epoch and id.offset <= ahead.offset

    def advance(self, cursor: Cursor) -> None:
        """A stream has come to `cursor`, in all channels."""
        self.cursor, self.since = cursor, False
        if all(ahead.offset <= cursor.offset for ahead in self._ahead.values()):
            self._ahead.clear()

    def advance_channel(self, channel: str, cursor: Cursor, channels: Collection[str]) -> None:
        """A poll has come to `cursor` in this one of `channels`. The common cursor is that of the last of them."""
        ahead = self._ahead.get(channel)
        if ahead is None or ahead.precedes(cursor):
            self._ahead[channel] = cursor
        self.since = False
        if len(self._ahead) == len(channels):
            last = min(self._ahead.values(), key=lambda it: it.offset)
            if self.cursor is None or self.cursor.precedes(last):
                self.cursor = last

    def reset(self) -> None:
        """The cursor was void."""
        self.cursor, self.since = None, False
        self._ahead.clear()


def cursor_in(text: object) -> Cursor | None:
    """The cursor in `text`, None where there is none."""
    try:
        return Cursor.parse(text) if isinstance(text, str) else None
    except Invalid:
        return None
