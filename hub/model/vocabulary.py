"""The vocabularies in which producers and pages say what a status is, and what their words mean.

This is the source. JavaScript and Lua repeat some of it; tests/unit/test_vocabulary.py compares them. `words` has the
words of other systems.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

from statushub.hub.model import words
from statushub.hub.model.spelling import closest

WORD_CHARACTERS: Final = 40
"""Longest word that is compared with the known ones for a suggestion: comparing takes the product of their lengths."""

SIMILARITY: Final = 0.8
"""Least similarity of a suggestion: `runing` is like `running`, and `dancing` is like none."""


class Phase(StrEnum):
    """What a status means, in every vocabulary."""

    IDLE = "idle"
    """There is no work, and none is expected."""
    PENDING = "pending"
    """The work is accepted and has not begun."""
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"

    terminal: bool
    """Whether this phase ends an attempt."""

    def __init__(self, word: str) -> None:
        self.terminal = word in ("completed", "failed")


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

CONTENT_DELTA: Final = "content_delta"
"""The type of an event that says only what changed in a content that grows."""

CONTROL_TYPES: Final = frozenset({"ready", "reset", "heartbeat", "drain"})
"""The types of a stream's own events."""

LIMIT: Final = "limit"
"""The type that says that a stream's patterns name more channels than it follows."""

_FUTURE_TYPES: Final = frozenset({"subscribe", "subscribed", "unsubscribe", "unsubscribed", "ping", "pong"})
"""Types that the protocol keeps for itself."""

EVENT_SOURCE_TYPES: Final = frozenset({"open", "error", "message"})
"""The types of the events that a browser's `EventSource` makes itself."""

RESERVED_TYPES: Final = CONTROL_TYPES | EVENT_SOURCE_TYPES | _FUTURE_TYPES | {CONTENT_REMOVED, CONTENT_DELTA, LIMIT}
"""Types that producers may not use."""

ERROR_TEXTS: Final = ("error_message", "error", "error_reason")
"""The fields that may say why a content failed, in order of precedence."""

STALLED: Final = "stalled"
"""The `error_code` of a content whose lease ran out."""

CANCELLED: Final = "cancelled"
"""The `error_code` of a content whose work was cancelled."""

TIMEOUT: Final = "timeout"
"""The `error_code` of a content whose work exceeded its own time limit."""


class Meaning(msgspec.Struct, frozen=True):
    """What a word for a status means: its phase, and the `error_code` of a failure that the word names."""

    phase: Phase
    error_code: str | None = None


WORDS: Final[Mapping[str, Meaning]] = {
    **dict.fromkeys(words.PENDING, Meaning(Phase.PENDING)),
    **dict.fromkeys(words.PROCESSING, Meaning(Phase.PROCESSING)),
    **dict.fromkeys(words.COMPLETED, Meaning(Phase.COMPLETED)),
    **dict.fromkeys(words.FAILED, Meaning(Phase.FAILED)),
    **dict.fromkeys(words.CANCELLED, Meaning(Phase.FAILED, CANCELLED)),
    **dict.fromkeys(words.TIMEOUT, Meaning(Phase.FAILED, TIMEOUT)),
}
"""Every word of other systems that may be published as a `status`."""

_SEPARATORS: Final = re.compile(r"[-_ ]")


def _plain(word: str) -> str:
    """The word without its case and its separators: systems write IN_PROGRESS, in-progress and InProgress."""
    return _SEPARATORS.sub("", word).lower()


_EXACT: Final = {**{word: Meaning(phase) for word, phase in PHASES.items()}, **WORDS}

# Without `READY`: in small letters other systems say it of work that has not begun.
_PLAIN: Final = {_plain(word): meaning for word, meaning in _EXACT.items() if word != "READY"}


def meaning_of(word: object) -> Meaning | None:
    """What a `status` means, in any vocabulary, case and spelling; None where it is unknown."""
    if not isinstance(word, str):
        return None
    if (known := _EXACT.get(word)) is not None:
        return known
    return _PLAIN.get(_plain(word)) if len(word) <= WORD_CHARACTERS else None


def phase_of(data: Mapping[str, Any]) -> Phase:
    """The phase of a stored status. An unknown `status` counts as processing."""
    meaning = meaning_of(data.get("status"))
    phase = Phase.PROCESSING if meaning is None else meaning.phase
    if phase is Phase.IDLE and data.get("processing_status") == Phase.PENDING:
        return Phase.PENDING
    return phase


def advice(word: object) -> str:
    """What to do about an unknown `status`: a sentence, or more, that begins with a space; empty where nothing is
    like it."""
    if not isinstance(word, str) or len(word) > WORD_CHARACTERS:
        return ""
    if word in PROCESSING_PHASES:
        return f" {word!r} is a processing_status, which details a status such as 'generating'."
    known = {_plain(name): name for name in (*WORDS, *PHASES)}
    close = closest(_plain(word), known, alike=SIMILARITY)
    return "" if close is None else f" Did you mean {known[close]!r}?"
