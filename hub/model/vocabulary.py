"""The vocabularies in which producers and pages say what a status is, and what their words mean.

This is the source. JavaScript and Lua repeat some of it; tests/unit/test_vocabulary.py compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Literal


class Phase(StrEnum):
    """What a status means, in every vocabulary."""

    IDLE = "idle"
    """There is no work, and none is expected."""
    PENDING = "pending"
    """The work is accepted and has not begun."""
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """Whether this phase ends an attempt."""
        return self in (Phase.COMPLETED, Phase.FAILED)


ContentStatus = Literal["idle", "generating", "complete", "error"]
"""The words of the content vocabulary."""

CONTENT_STATUS: Final[Mapping[Phase, ContentStatus]] = {
    Phase.IDLE: "idle",
    Phase.PENDING: "idle",
    Phase.PROCESSING: "generating",
    Phase.COMPLETED: "complete",
    Phase.FAILED: "error",
}
"""The content vocabulary, in which events are stored and sent."""

VIDEO_STATUS: Final[Mapping[Phase, str]] = {
    Phase.IDLE: "PENDING",
    Phase.PENDING: "PENDING",
    Phase.PROCESSING: "PROCESSING",
    Phase.COMPLETED: "READY",
    Phase.FAILED: "FAILED",
}
"""The video vocabulary, in which the progress route answers."""

JOB_STATUS: Final[Mapping[Phase, str]] = {
    Phase.IDLE: "processing",
    Phase.PENDING: "processing",
    Phase.PROCESSING: "processing",
    Phase.COMPLETED: "completed",
    Phase.FAILED: "failed",
}
"""The job vocabulary, in which the job route answers; it has no word for a pending job."""

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
"""Every `status` that may be published, of all three vocabularies, and its phase."""

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

TYPE_PHASES: Final[Mapping[str, Phase]] = {
    ENCODING_PROGRESS: Phase.PROCESSING,
    COMPLETE: Phase.COMPLETED,
    ERROR: Phase.FAILED,
}
"""The event types that imply a phase."""

CONTENT_REMOVED: Final = "content_removed"
"""The type of a tombstone, the last event of a content that was removed."""

CONTROL_TYPES: Final = frozenset({"ready", "reset", "heartbeat", "drain"})
"""The types of a stream's own events."""

_FUTURE_TYPES: Final = frozenset(
    {"content_delta", "limit", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "ping", "pong"}
)
"""Types that the protocol keeps for itself."""

EVENT_SOURCE_TYPES: Final = frozenset({"open", "error", "message"})
"""The types of the events that a browser's `EventSource` makes itself."""

RESERVED_TYPES: Final = CONTROL_TYPES | EVENT_SOURCE_TYPES | _FUTURE_TYPES | {CONTENT_REMOVED}
"""Types that producers may not use."""

ERROR_TEXTS: Final = ("error_message", "error", "error_reason")
"""The fields that may say why a content failed, in order of precedence."""

STALLED: Final = "stalled"
"""The `error_code` of a content whose lease ran out."""


def phase_of(data: Mapping[str, Any]) -> Phase:
    """The phase of a stored status. An unknown `status` counts as processing."""
    phase = PHASES.get(str(data.get("status")), Phase.PROCESSING)
    if phase is Phase.IDLE and data.get("processing_status") == Phase.PENDING:
        return Phase.PENDING
    return phase
