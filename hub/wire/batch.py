"""The lines of a batch poll's answer. No I/O."""

from __future__ import annotations

from typing import Final

from statushub.hub.model import status
from statushub.hub.model.event import Event
from statushub.hub.wire.format import EventFormat


class BatchLine:
    """An event as one element of the answer's JSON array; the epoch does not appear in it."""

    def event(self, epoch: str, event: Event) -> bytes:
        return status.line(event)


BATCH_LINE: Final[EventFormat] = BatchLine()
