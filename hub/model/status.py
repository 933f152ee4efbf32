"""Reading the data of stored events, which are untrusted.

Publishers that use `statushub.hub.model.publication` store checked data. Others call the broker's functions directly,
and their data may lack fields, hold some of a wrong type, or be no JSON at all. Every answer is valid all the same.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from statushub.hub.model.errors import Invalid
from statushub.hub.model.event import Event, decode
from statushub.hub.model.timestamp import estimated_completion
from statushub.hub.model.vocabulary import (
    CONTENT_STATUS,
    ERROR_TEXTS,
    TYPE_PHASES,
    ContentStatus,
    Phase,
    meaning_of,
    phase_of,
)

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One status of one content. A field of a wrong type, or out of range, is None, as if it were missing."""

    phase: Phase
    data: dict[str, Any]

    def text(self, *names: str) -> str | None:
        """The first of these fields that holds a text."""
        return next((value for name in names if isinstance(value := self.data.get(name), str) and value), None)

    def number(self, name: str) -> int | float | None:
        """A number of at least 0."""
        value = self.data.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            return None
        return value

    def count(self, name: str) -> int | None:
        """A whole number of at least 0."""
        value = self.number(name)
        return int(value) if value is not None and value == int(value) else None

    @property
    def progress(self) -> int | float | None:
        """From 0 to 100."""
        value = self.number("progress")
        return value if value is None or value <= 100 else None

    @property
    def percent(self) -> int | float:
        """The progress; where it is unknown, 100 for a completed content and 0 for others."""
        if self.progress is not None:
            return self.progress
        return 100 if self.phase is Phase.COMPLETED else 0

    @property
    def error_message(self) -> str | None:
        """Why it failed: the first of `ERROR_TEXTS` that is set."""
        return self.text(*ERROR_TEXTS)

    @property
    def estimated_completion(self) -> str | None:
        """When the work will be done (ISO 8601): as its producer says, else reckoned from what remains."""
        said, moment = self.text("estimated_completion"), self.text("timestamp")
        if said is not None or moment is None:
            return said
        return estimated_completion(moment, self.data.get("remaining_seconds"))


class _Shape(msgspec.Struct, gc=False):
    """The fields that sound data have. Decoding checks the grammar of all the rest without building it."""

    content_id: str
    status: ContentStatus


class _Line(_Shape, gc=False):
    """The same of a batch's line."""

    id: str


class _Own(msgspec.Struct, gc=False):
    """The field that a producer may have set, and that its event's type replaces."""

    type: Any = msgspec.UNSET


class _Words(msgspec.Struct, gc=False):
    """The fields that a phase follows from, of any type."""

    status: Any = None
    processing_status: Any = None


_shape_decoder = msgspec.json.Decoder(_Shape)
_line_decoder = msgspec.json.Decoder(_Line)
_own_decoder = msgspec.json.Decoder(_Own)
_words_decoder = msgspec.json.Decoder(_Words)
_encode = msgspec.json.Encoder().encode


def parse(event: Event) -> Status:
    """What the event says. Raises `Invalid` where its data are no JSON object."""
    try:
        return _status(event, decode(event.data))
    except RecursionError as error:
        raise Invalid("data is nested too deeply", field="data") from error


def read(event: Event) -> Status:
    """What the event says; where that cannot be read, its phase."""
    try:
        return parse(event)
    except Invalid:
        return Status(phase=phase(event), data={})


def phase(event: Event) -> Phase:
    """The phase of `read`, without building the rest; where the data cannot be read, what the event's type says."""
    try:
        words = _words_decoder.decode(_text(event.data))
    except _UNREADABLE:
        return _phase(event, {})
    return _phase(event, {"status": words.status, "processing_status": words.processing_status})


def whole(event: Event) -> bytes:
    """The event's data, to be written as they are: a JSON object with at least `content_id` and a `status` of
    the content vocabulary. Data that are not so are repaired.
    """
    try:
        sound = _shape_decoder.decode(_text(event.data)).content_id == event.content_id
    except _UNREADABLE:
        sound = False
    return event.data if sound else _encode(_repaired(event))


def missing_line(content_id: str) -> bytes:
    """A line of a batch for a content that is unknown."""
    return b'{"id":%b,"status":"not_found"}' % _encode(content_id)


def line(event: Event) -> bytes:
    """A line of a batch: the event's data, whose first field is the id.

    Data are spliced unread. What is sent is, byte for byte, what was checked, so no data can break the answer,
    nor overrule the id with one of their own.
    """
    content_id = event.content_id
    text = b'{"id":%b,%b' % (_encode(content_id), event.data[1:])
    try:
        said = _line_decoder.decode(_text(text))
    except _UNREADABLE:
        said = None
    if said is None or said.id != content_id or said.content_id != content_id:
        return _encode({"id": content_id} | _repaired(event) | {"id": content_id})
    return text


def typed(event: Event) -> bytes:
    """The event's data, whose first field is the event's type, in place of the producer's own `type`.

    Data without one are spliced unread, as in `line`, but for their grammar.
    """
    data = event.data
    try:
        own = _own_decoder.decode(_text(data)).type
    except _UNREADABLE:
        own = None
    if own is msgspec.UNSET and data.startswith(b'{"'):
        return b'{"type":%b,%b' % (_encode(event.type), data[1:])
    fields = read(event).data or _repaired(event)
    return _encode({"type": event.type} | fields | {"type": event.type})


def sound(event: Event) -> bytes:
    """The event's data as they are, where they are a JSON object in UTF-8; else what can be read of them."""
    try:
        _own_decoder.decode(_text(event.data))
    except _UNREADABLE:
        return _encode(_repaired(event))
    return event.data


def _text(data: bytes) -> bytes:
    """`data`, if they are UTF-8, which msgspec leaves unchecked in what it skips."""
    if not data.isascii():
        data.decode()
    return data


def _repaired(event: Event) -> dict[str, Any]:
    status = read(event)
    return {
        **status.data,
        "content_id": event.content_id,
        "channel_id": event.channel,
        "status": CONTENT_STATUS[status.phase],
        "processing_status": status.text("processing_status"),
    }


def _status(event: Event, data: dict[str, Any]) -> Status:
    return Status(phase=_phase(event, data), data=data)


def _phase(event: Event, data: dict[str, Any]) -> Phase:
    if meaning_of(data.get("status")) is not None:
        return phase_of(data)
    return TYPE_PHASES.get(event.type, Phase.PROCESSING)
