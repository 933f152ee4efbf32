"""Vocabularies: the words in which producers and pages say what a status is, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final


class Phase(StrEnum):
    """What a status means, in every vocabulary."""

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

TYPE_PHASES: Final[Mapping[str, Phase]] = {
    ENCODING_PROGRESS: Phase.PROCESSING,
    COMPLETE: Phase.COMPLETED,
    ERROR: Phase.FAILED,
}
"""The types that say a phase by themselves."""

RESERVED_TYPES: Final = frozenset({"ready", "reset", "heartbeat", "drain", "open", "error", "message"})
"""Types no producer may use: the control events, and the names `EventSource` gives its own events."""

ERROR_TEXTS: Final = ("error_message", "error", "error_reason")
"""The fields that may say why a content failed, in order of precedence. web/content.js keeps the same order."""

STALLED: Final = "stalled"
"""The `error_code` of a content whose lease ran out."""


def phase_of(data: Mapping[str, Any]) -> Phase:
    """The phase of a stored status. What no vocabulary knows counts as being processed."""
    phase = PHASES.get(str(data.get("status")), Phase.PROCESSING)
    if phase is Phase.IDLE and data.get("processing_status") == Phase.PENDING:
        return Phase.PENDING
    return phase
