"""The cursor from which a stream or a poll resumes."""

from __future__ import annotations

from typing import Final

from starlette.requests import HTTPConnection

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Invalid
from statushub.hub.replicas.reader import VOID

LAST_EVENT_ID: Final = "lastEventId"
"""The query parameter in which clients that replace `EventSource` repeat the last id, where they can send no header."""


def resume_cursor(request: HTTPConnection, since: str | None) -> Cursor | None:
    """The cursor to resume from: that of the header `Last-Event-ID`, or of `?lastEventId=`, or else `since`.

    What a client repeats by itself comes before what its author wrote, since a URL stays the same for ever. There, text
    that is no cursor is void: another service of the origin issued it, and an error would end an `EventSource`. Raises
    `Invalid` where `since` is none. Empty text counts as missing.
    """
    last = request.headers.get("last-event-id")
    if not last and request.scope["query_string"]:
        last = request.query_params.get(LAST_EVENT_ID)
    if not last:
        return Cursor.parse(since) if since else None
    try:
        return Cursor.parse(last)
    except Invalid:
        return Cursor(epoch=VOID, offset=0)
