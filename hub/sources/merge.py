"""One content of the record and of the hub as one object. No I/O."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from statushub.hub.model import status
from statushub.hub.model.event import Event
from statushub.hub.model.status import Status
from statushub.hub.model.vocabulary import CONTENT_STATUS
from statushub.hub.sources.row import PROCESSING_STATUS, Row, moment_of

TIMES: Final = ("created_at", "updated_at")
"""Fields that are the record's, whatever an event says."""


class _Timed(msgspec.Struct, gc=False):
    timestamp: Any = None


_timed_decoder = msgspec.json.Decoder(_Timed)


def merged(row: Row | None, event: Event | None) -> Status:
    """What is known of a content: the fields of its row, and over them those of its event, whose status is the newer.

    `id`, `content_id` and `channel_id` are texts, and `status` and `processing_status` are always there. At least one
    of both is given.
    """
    recorded = {} if row is None else row.status.data
    if event is None:
        if row is None:
            raise ValueError("neither a row nor an event")
        names = {"id": row.id, "content_id": row.id, "channel_id": row.channel}
        return Status(phase=row.status.phase, data={**names, **recorded, **names})
    said = status.read(event)
    names = {"id": event.content_id, "content_id": event.content_id, "channel_id": event.channel}
    live = {name: value for name, value in said.data.items() if value is not None or name not in recorded}
    words = {
        "status": CONTENT_STATUS[said.phase],
        "processing_status": said.text("processing_status") or PROCESSING_STATUS.get(said.phase),
    }
    times: dict[str, Any] = {name: recorded[name] for name in TIMES if name in recorded}
    return Status(phase=said.phase, data={**names, **recorded, **live, **times, **names, **words})


def event_moment(event: Event) -> float:
    """When an event was, in Unix seconds, as its producer says; for ever later where it does not."""
    try:
        said = _timed_decoder.decode(event.data).timestamp
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = None
    return moment_of(said) or float("inf")
