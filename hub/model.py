"""The nouns that every part of Statushub speaks: cursors, statuses, publications, events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from hub.errors import Invalid, TooLarge

NAME_CHARACTERS: Final = 128
"""Longest channel, content or type name: fits an indexed column, a log line and a URL segment."""

EVENT_BYTES: Final = 64 * 1024
"""Largest `data` of one event, as JSON. A status is a few hundred bytes; results belong behind a URL."""

COUNTER_MAX: Final = 2**53 - 1
"""Largest attempt, seq or offset: what Lua and JavaScript count exactly (RFC 8259, section 6)."""

LEASE_SECONDS_MAX: Final = 24 * 3600.0
"""Longest lease. A worker that is silent for a day is not late, it is gone."""

CURSOR_CHARACTERS: Final = 64
"""Longest cursor that is parsed; a real one has under 30. Fetch preflights `Last-Event-ID` over 128 bytes."""

DEFAULT_TENANT: Final = "default"
"""The tenant of everything where authentication is off."""

_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CURSOR = re.compile(r"([a-z0-9]{1,32})-(0|[1-9][0-9]{0,15})", re.ASCII)
_TYPE = re.compile(r"[A-Za-z0-9_.:-]+", re.ASCII)


class Phase(StrEnum):
    """What a status means, whatever the vocabulary it was said in."""

    IDLE = "idle"
    """Nothing is under way and nothing is expected."""
    PENDING = "pending"
    """Accepted, not begun."""
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """Whether this phase ends an attempt."""
        return self in (Phase.COMPLETED, Phase.FAILED)


CONTENT_STATUS: Final[Mapping[Phase, str]] = {
    Phase.IDLE: "idle",
    Phase.PENDING: "idle",
    Phase.PROCESSING: "generating",
    Phase.COMPLETED: "complete",
    Phase.FAILED: "error",
}
"""The vocabulary of the wire: what `status` says of a content in each phase."""

VIDEO_STATUS: Final[Mapping[Phase, str]] = {
    Phase.IDLE: "PENDING",
    Phase.PENDING: "PENDING",
    Phase.PROCESSING: "PROCESSING",
    Phase.COMPLETED: "READY",
    Phase.FAILED: "FAILED",
}
"""The vocabulary of the video progress route."""

JOB_STATUS: Final[Mapping[Phase, str]] = {
    Phase.IDLE: "processing",
    Phase.PENDING: "processing",
    Phase.PROCESSING: "processing",
    Phase.COMPLETED: "completed",
    Phase.FAILED: "failed",
}
"""The vocabulary of the job route, which knows no waiting job."""

PHASES: Final[Mapping[str, Phase]] = {
    "idle": Phase.IDLE,
    "generating": Phase.PROCESSING,
    "complete": Phase.COMPLETED,
    "error": Phase.FAILED,
    "PENDING": Phase.PENDING,
    "PROCESSING": Phase.PROCESSING,
    "READY": Phase.COMPLETED,
    "FAILED": Phase.FAILED,
    "pending": Phase.PENDING,
    "processing": Phase.PROCESSING,
    "completed": Phase.COMPLETED,
    "failed": Phase.FAILED,
}
"""Every `status` that may be published (content, video, job), and its phase."""

PROCESSING_PHASES: Final[Mapping[str, Phase]] = {
    "pending": Phase.PENDING,
    "uploading": Phase.PROCESSING,
    "summarizing": Phase.PROCESSING,
    "qa_generating": Phase.PROCESSING,
    "completed": Phase.COMPLETED,
    "failed": Phase.FAILED,
}
"""The `processing_status` values whose phase is known; others are allowed and mean what `status` says."""

STATUS_UPDATE: Final = "content_status_update"
ENCODING_PROGRESS: Final = "encoding_progress"
COMPLETE: Final = "processing_complete"
ERROR: Final = "processing_error"

_TYPE_PHASES: Final[Mapping[str, Phase]] = {
    ENCODING_PROGRESS: Phase.PROCESSING,
    COMPLETE: Phase.COMPLETED,
    ERROR: Phase.FAILED,
}

RESERVED_TYPES: Final = frozenset({"ready", "reset", "heartbeat", "drain", "open", "error", "message"})
"""Types no producer may use: the control events, and the names `EventSource` gives its own events."""

STALLED: Final = "stalled"
"""The `error_code` of a content whose lease ran out."""


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """A place on a tenant's clock, written `<epoch>-<offset>`; safe as an SSE id and as an ETag."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"

    @classmethod
    def parse(cls, text: str, *, field: str = "since") -> Cursor:
        """Read a cursor. Raises `Invalid` naming `field` where the text is none."""
        match = _CURSOR.fullmatch(text) if len(text) <= CURSOR_CHARACTERS else None
        if match is None or int(match[2]) > COUNTER_MAX:
            raise Invalid(f"{field} is not a cursor: expected <epoch>-<offset>, such as k3f9a2-184", field=field)
        return cls(epoch=match[1], offset=int(match[2]))


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One status of one content, as the broker stored it. `data` is a JSON object, whole and opaque."""

    channel: str
    content_id: str
    offset: int
    type: str
    data: bytes


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the broker announces it; `prev` is the channel's offset before it."""

    tenant: str
    epoch: str
    prev: int
    event: Event


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """One status of one content, as a producer offers it. Make it with `publication`, which checks it."""

    channel: str
    content_id: str
    type: str
    data: bytes
    terminal: bool
    attempt: int | None = None
    seq: int | None = None
    lease: float | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a publication: its cursor where it was accepted, a `Refusal` where not."""

    cursor: Cursor | None = None
    reason: Refusal | None = None

    @property
    def accepted(self) -> bool:
        return self.cursor is not None


class Refusal(StrEnum):
    """Why a publication was not stored. Results, not errors: the broker did what it promises."""

    SUPERSEDED = "superseded"
    """A newer attempt, or a later seq of this one, is already stored."""
    CLOSED = "closed"
    """The attempt has ended; only a higher attempt reopens the content."""
    WRONG_CHANNEL = "wrong_channel"
    """The content lives in another channel."""


_decoder = msgspec.json.Decoder(dict[str, Any])
_encoder = msgspec.json.Encoder()


def timestamp(moment: datetime | None = None) -> str:
    """`moment` (now by default) as ISO 8601 in UTC with milliseconds: `2025-07-31T13:00:00.000Z`."""
    utc = (moment or datetime.now(UTC)).astimezone(UTC)
    return f"{utc.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def check_name(value: object, field: str) -> str:
    """Return `value` if it is a legal channel or content name; else raise `Invalid` naming `field`.

    1 to 128 printable characters (so no control character, line separator or NUL), no space or slash at
    either end, and no `*`, which patterns use.
    """
    if not isinstance(value, str):
        raise Invalid(f"{field} must be a string", field=field)
    if not value:
        raise Invalid(f"{field} must not be empty", field=field)
    if len(value) > NAME_CHARACTERS:
        raise Invalid(f"{field} has {len(value)} characters; at most {NAME_CHARACTERS} are allowed", field=field)
    if not value.isprintable() or value != value.strip(" /") or "*" in value:
        raise Invalid(
            f"{field} may hold printable characters alone, no '*', and no space or slash at its ends",
            field=field,
        )
    return value


def check_tenant(value: object, field: str = "tenant") -> str:
    """Return `value` if it is a legal tenant name; else raise `Invalid` naming `field`."""
    if not isinstance(value, str) or _TENANT.fullmatch(value) is None:
        raise Invalid(f"{field} must be 1 to 64 of the characters A-Z a-z 0-9 _ -", field=field)
    return value


def publication(
    *,
    channel: object,
    content_id: object,
    data: object,
    type: object = None,
    attempt: object = None,
    seq: object = None,
    lease: object = None,
) -> Publication:
    """Check what a producer says and bring it into the form that is stored.

    `data` is a mapping that holds at least a `status` (of any vocabulary in `PHASES`) unless `type` or a
    known `processing_status` implies it. The stored `data` is that mapping with `content_id`,
    `channel_id`, `status` (content vocabulary), `processing_status` and `timestamp` filled in.

    Raises `Invalid` naming the field at fault, `TooLarge` where `data` is over `EVENT_BYTES`.
    """
    channel = check_name(channel, "channel")
    content_id = check_name(content_id, "content_id")
    if not isinstance(data, Mapping):
        raise Invalid("data must be an object", field="data")
    if type is not None:
        _check_type(type)
    _check_echo(data, "content_id", content_id)
    _check_echo(data, "channel_id", channel)
    phase = _phase(data, type)
    processing_status = _processing_status(data, phase)
    _check_progress(data)

    filled: dict[str, Any] = {
        "content_id": content_id,
        "channel_id": channel,
        "status": CONTENT_STATUS[phase],
        "processing_status": processing_status,
    }
    filled.update((key, value) for key, value in data.items() if key not in filled)
    if phase is Phase.FAILED:
        filled["error_message"] = _error_message(data)
    filled["timestamp"] = _timestamp(data)

    return Publication(
        channel=channel,
        content_id=content_id,
        type=type if isinstance(type, str) else _type(data, phase),
        data=_encode(filled),
        terminal=phase.terminal,
        attempt=_counter(attempt, "attempt"),
        seq=_counter(seq, "seq"),
        lease=_lease(lease),
    )


def stalled(event: Event) -> Publication:
    """The ending of a content whose lease ran out: all it last said, and that it stalled."""
    try:
        data = decode(event.data)
    except Invalid:
        data = {"content_id": event.content_id, "channel_id": event.channel}
    data.update(
        status=CONTENT_STATUS[Phase.FAILED],
        processing_status=Phase.FAILED.value,
        error_code=STALLED,
        error_message="The worker stopped reporting before the work ended.",
        timestamp=timestamp(),
    )
    return Publication(
        channel=event.channel,
        content_id=event.content_id,
        type=ERROR,
        data=_encoder.encode(data),
        terminal=True,
    )


def decode(data: bytes) -> dict[str, Any]:
    """The mapping in an event's `data`. Raises `Invalid` where a foreign publisher stored no JSON object."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"data is not a JSON object: {error}", field="data") from error


def phase_of(data: Mapping[str, Any]) -> Phase:
    """The phase of a stored status. What no vocabulary knows counts as being processed."""
    phase = PHASES.get(str(data.get("status")), Phase.PROCESSING)
    if phase is Phase.IDLE and data.get("processing_status") == Phase.PENDING:
        return Phase.PENDING
    return phase


def _check_type(value: object) -> None:
    check_name(value, "type")
    if not isinstance(value, str) or _TYPE.fullmatch(value) is None:
        raise Invalid("type may hold the characters A-Z a-z 0-9 _ . : - alone", field="type")
    if value in RESERVED_TYPES:
        raise Invalid(f"type {value!r} is reserved", field="type")


def _check_echo(data: Mapping[str, Any], key: str, expected: str) -> None:
    if data.get(key, expected) != expected:
        raise Invalid(f"data.{key} contradicts the publication, which says {expected!r}", field=f"data.{key}")


def _phase(data: Mapping[str, Any], type: object) -> Phase:
    implied = _TYPE_PHASES.get(type) if isinstance(type, str) else None
    phase = _said_phase(data, implied)
    # A page learns of an ending by its type, and listens for no others: an ending has that type and no other.
    ending = implied if implied is not None and implied.terminal else None
    if type is not None and ending is not (phase if phase.terminal else None):
        raise Invalid(f"type {type!r} contradicts the status, which is {CONTENT_STATUS[phase]!r}", field="type")
    return phase


def _said_phase(data: Mapping[str, Any], implied: Phase | None) -> Phase:
    status, processing_status = data.get("status"), data.get("processing_status")
    if status is None:
        known = PROCESSING_PHASES.get(processing_status) if isinstance(processing_status, str) else None
        if (phase := implied or known) is None:
            raise Invalid("data.status is missing", field="data.status")
        return phase
    if not isinstance(status, str) or status not in PHASES:
        raise Invalid(f"data.status must be one of {', '.join(PHASES)}", field="data.status")
    return phase_of(data)


def _processing_status(data: Mapping[str, Any], phase: Phase) -> str | None:
    value = data.get("processing_status")
    if value is None:
        return phase.value if phase.terminal or phase is Phase.PENDING else None
    check_name(value, "data.processing_status")
    said = PROCESSING_PHASES.get(value)
    if (said is not None and said.terminal and said is not phase) or (phase.terminal and said is not phase):
        raise Invalid(
            f"data.processing_status {value!r} contradicts the status, which is {CONTENT_STATUS[phase]!r}",
            field="data.processing_status",
        )
    return str(value)


def _check_progress(data: Mapping[str, Any]) -> None:
    value = data.get("progress")
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise Invalid("data.progress must be a number from 0 to 100", field="data.progress")


def _error_message(data: Mapping[str, Any]) -> str:
    for key in ("error_message", "error", "error_reason"):
        value = data.get(key)
        if isinstance(value, str) and value:
            return value
    return "The producer reported an error and gave no reason."


def _timestamp(data: Mapping[str, Any]) -> str:
    value = data.get("timestamp")
    if value is None:
        return timestamp()
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise Invalid("data.timestamp must say its time zone, such as Z", field="data.timestamp")
        return timestamp(moment)
    except (TypeError, ValueError, OverflowError) as error:
        raise Invalid("data.timestamp must be an ISO 8601 date and time", field="data.timestamp") from error


def _type(data: Mapping[str, Any], phase: Phase) -> str:
    if phase is Phase.COMPLETED:
        return COMPLETE
    if phase is Phase.FAILED:
        return ERROR
    return ENCODING_PROGRESS if data.get("status") in ("PENDING", "PROCESSING") else STATUS_UPDATE


def _counter(value: object, field: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= COUNTER_MAX:
        raise Invalid(f"{field} must be a whole number from 0 to 2^53 - 1", field=field)
    return value


def _lease(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LEASE_SECONDS_MAX:
        raise Invalid(f"lease must be a number of seconds over 0 and up to {LEASE_SECONDS_MAX:g}", field="lease")
    return float(value)


def _encode(data: Mapping[str, Any]) -> bytes:
    try:
        encoded = _encoder.encode(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"data cannot be written as JSON: {error}", field="data") from error
    if len(encoded) > EVENT_BYTES:
        raise TooLarge(f"data has {len(encoded)} bytes; at most {EVENT_BYTES} are allowed", field="data")
    return encoded
