"""The lines of polls' answers: what a page, a list, a summary or the changes say of one content."""

from __future__ import annotations

from typing import Annotated, Final, Protocol

import msgspec

from statushub.hub.api.fields import ChangedData, ContentStatus, CursorText, EventType, NameText, Percent
from statushub.hub.model import status
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.model.status import Status
from statushub.hub.model.vocabulary import CONTENT_STATUS, Phase
from statushub.hub.wire.format import EventFormat

_encode = msgspec.json.Encoder().encode


class StatusLine(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A content in a summary."""

    id: NameText
    status: ContentStatus
    processing_status: str | None


class ProcessingLine(StatusLine, kw_only=True):
    """A content in a summary that is pending or being processed."""

    progress: Percent
    estimated_completion: Annotated[
        str | None,
        msgspec.Meta(
            description="When it will be done, as its producer says or as what remains implies; null where neither is "
            "known."
        ),
    ]


class FailedLine(StatusLine, kw_only=True):
    """A content in a summary that failed."""

    error_message: str | None


class ListedStatus(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A content in a list."""

    id: NameText
    status: ContentStatus


class ChangeEvent(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The latest event of a content; `id` is its cursor."""

    id: CursorText
    type: EventType
    data: ChangedData


class ContentFormat(EventFormat, Protocol):
    """Encodes contents of a channel, those of the record included."""

    def content(self, said: Status) -> bytes:
        """A content whose `id` is among its fields."""


class WholeLine:
    """A content's whole status."""

    def event(self, epoch: str, event: Event) -> bytes:
        return status.whole(event)

    def content(self, said: Status) -> bytes:
        return _encode(said.data)


class ChangeLine:
    """A change."""

    def event(self, epoch: str, event: Event) -> bytes:
        cursor = Cursor(epoch=epoch, offset=event.offset)
        data = event.data if event.removed else status.whole(event)
        return _encode(ChangeEvent(id=str(cursor), type=event.type, data=msgspec.Raw(data)))


class ListLine:
    """A content in a list."""

    def event(self, epoch: str, event: Event) -> bytes:
        return _encode(_listed_status(event.content_id, status.phase(event)))

    def content(self, said: Status) -> bytes:
        return _encode(_listed_status(said.data["id"], said.phase))


class SummaryLine:
    """A content in a summary."""

    def event(self, epoch: str, event: Event) -> bytes:
        return _encode(_status_line(event.content_id, status.read(event)))

    def content(self, said: Status) -> bytes:
        return _encode(_status_line(said.data["id"], said))


WHOLE_LINE: Final[ContentFormat] = WholeLine()
CHANGE_LINE: Final[EventFormat] = ChangeLine()
LIST_LINE: Final[ContentFormat] = ListLine()
SUMMARY_LINE: Final[ContentFormat] = SummaryLine()


def _listed_status(id: str, phase: Phase) -> ListedStatus:
    """A content in a list."""
    return ListedStatus(id=id, status=CONTENT_STATUS[phase])


def _status_line(id: str, said: Status) -> StatusLine:
    """A content in a summary."""
    word, step = CONTENT_STATUS[said.phase], said.text("processing_status")
    if said.phase is Phase.FAILED:
        return FailedLine(id=id, status=word, processing_status=step, error_message=said.error_message)
    if said.phase in (Phase.PENDING, Phase.PROCESSING):
        return ProcessingLine(
            id=id,
            status=word,
            processing_status=step,
            progress=said.progress or 0,
            estimated_completion=said.estimated_completion,
        )
    return StatusLine(id=id, status=word, processing_status=step)
