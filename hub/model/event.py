"""Events as the broker stores and announces them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from statushub.hub.model.errors import Invalid
from statushub.hub.model.line import one_line
from statushub.hub.model.vocabulary import CONTENT_DELTA, CONTENT_REMOVED

_decoder = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One status of one content, as the broker stored it. `data` is a JSON object, whole and opaque.

    Only announcements have deltas: events of the type `content_delta`, whose `data` are those of `delta.encode`. They
    build on the content's event at the offset `after`.

    It refers to nothing that could refer to it, so the garbage collector need not look at a channel's 100,000.
    """

    channel: str
    content_id: str
    offset: int
    type: str
    data: bytes
    after: int = 0

    @property
    def delta(self) -> bool:
        """Whether it says only what changed since the content's event at `after`."""
        return self.type == CONTENT_DELTA

    @property
    def removed(self) -> bool:
        """Whether it is a tombstone: the content is removed, and is unknown until it is published again."""
        return self.type == CONTENT_REMOVED


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the broker announces it; `prev` is the channel's offset before it, 0 where the channel was empty.

    Where the whole tenant is followed, `before` is the offset of its clock before the event, and `floor` that of its
    empty channels.
    """

    tenant: str
    epoch: str
    prev: int
    event: Event
    before: int | None = None
    floor: int = 0


def with_channel(event: Event) -> Event:
    """The event of a delta with data that begin with its `channel_id`, for readers of several channels; any other event
    as it is, whose data have it."""
    if event.type != CONTENT_DELTA:
        return event
    return replace(event, data=b'{"channel_id":%b,%b' % (one_line(_encode(event.channel)), event.data[1:]))


def tombstone(channel: str, content_id: str, offset: int) -> Event:
    """The event that says that a content was removed."""
    data = _encode({"content_id": content_id, "channel_id": channel})
    return Event(channel=channel, content_id=content_id, offset=offset, type=CONTENT_REMOVED, data=data)


def decode(data: bytes) -> dict[str, Any]:
    """The mapping in an event's `data`. Raises `Invalid` where a foreign publisher stored no JSON object."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"data is not a JSON object: {error}", field="data") from error
