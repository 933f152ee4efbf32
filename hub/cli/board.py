"""The state of a watched channel, as its events tell it."""

from __future__ import annotations

from typing import Any

import msgspec

from statushub.hub.cli.follow import Message
from statushub.hub.model.vocabulary import ERROR_TEXTS, Phase, phase_of


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A content's latest status, safe to print: it holds no control characters."""

    content_id: str
    title: str
    status: str
    detail: str
    """The current step and the seconds left, or the error; may be empty."""
    progress: float | None
    phase: Phase
    timestamp: str


class Board:
    """The contents of a channel, built from the messages of its stream."""

    def __init__(self) -> None:
        self._phases: dict[str, Phase] = {}
        self.ready = False

    def apply(self, message: Message) -> Row | None:
        """Apply a message, and return the row it changed, or None for a control event."""
        if message.type == "ready":
            self.ready = True
        elif message.type == "reset":
            self._phases.clear()
            self.ready = False
        elif isinstance(content_id := message.data.get("content_id"), str):
            shown = row(content_id, message.data)
            self._phases[content_id] = shown.phase
            return shown
        return None

    @property
    def done(self) -> bool:
        """Whether the whole state is known, and no content is waiting or being processed."""
        busy = (Phase.PENDING, Phase.PROCESSING)
        return self.ready and not any(phase in busy for phase in self._phases.values())

    @property
    def failed(self) -> list[str]:
        """The contents that have failed."""
        return [content_id for content_id, phase in self._phases.items() if phase is Phase.FAILED]


def row(content_id: str, data: dict[str, Any]) -> Row:
    """The row for a content with this status."""
    phase = phase_of(data)
    progress = data.get("progress")
    number = isinstance(progress, int | float) and not isinstance(progress, bool)
    return Row(
        content_id=printable(content_id),
        title=_text(data, "title") or printable(content_id),
        status=_text(data, "status"),
        detail=_detail(data, phase),
        progress=float(progress) if number and progress is not None else None,
        phase=phase,
        timestamp=_text(data, "timestamp"),
    )


def printable(text: str) -> str:
    """`text` with each control character replaced, so that it cannot control a terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _detail(data: dict[str, Any], phase: Phase) -> str:
    if phase is Phase.FAILED:
        return next((text for name in ERROR_TEXTS if (text := _text(data, name))), "")
    if phase.terminal:
        return ""
    parts = [_text(data, "step") or _text(data, "processing_status")]
    remaining = data.get("remaining_seconds")
    if isinstance(remaining, int | float) and not isinstance(remaining, bool):
        parts.append(f"{remaining:.0f} s left")
    return ", ".join(part for part in parts if part)


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    return printable(value) if isinstance(value, str) else ""
