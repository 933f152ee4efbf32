"""What a follower is told: one change at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.vocabulary import CONTENT_REMOVED, Phase, phase_of

READY: Final = "ready"
RESET: Final = "reset"
LIMIT: Final = "limit"
"""The type of the event that says that a pattern names more channels than one stream carries."""

NOTHING: Final[Mapping[str, Any]] = {}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a content, or one of the stream itself, which has no `content_id`.

    `type` is the event's, as the protocol names it: for a content `content_status_update`, `encoding_progress`,
    `processing_complete`, `processing_error`, a producer's own or `content_removed`; for the stream `ready` (all that
    was there has been told), `reset` (the cursor was void: the whole state follows, and what is not in it is gone) and
    `limit`.
    """

    type: str
    channel: str = ""
    content_id: str = ""
    data: Mapping[str, Any] = NOTHING
    """The whole status, as it was published; of a removal only the ids."""
    delta: Mapping[str, Any] | None = None
    """What has changed, where the content has grown: `{"set": {field: value}, "append": {field: text or list}}`. None
    where the whole status was published."""
    cursor: Cursor | None = None
    """The cursor to store: what follows it has not been told yet. None where there is none, as after a reset."""

    @property
    def removed(self) -> bool:
        """Whether the content is gone."""
        return self.type == CONTENT_REMOVED

    @property
    def phase(self) -> Phase | None:
        """What the status means, in every vocabulary; None for a removal and for changes of the stream."""
        return phase_of(self.data) if self.content_id and not self.removed else None


def content_change(type: str, data: object, *, only: str) -> Change | None:
    """The change of a content, still without a cursor; None where `data` are none of one, which any producer may have
    written. `only` is the channel where the data name none, as those of straight publishers may not."""
    if not isinstance(data, dict) or not isinstance(content_id := data.get("content_id"), str):
        return None
    channel = data.get("channel_id")
    return Change(type=type, channel=channel if isinstance(channel, str) else only, content_id=content_id, data=data)
