"""The state of what is watched, as its changes tell it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Final

import msgspec

from statushub.hub.cli.terminal import printable
from statushub.hub.model.vocabulary import ERROR_TEXTS, Phase, phase_of
from statushub.producers.following.change import READY, RESET, Change

TAIL_CHARACTERS: Final = 200
"""Longest end of a growing text that is kept with its row: a line of a wide terminal."""

LINE_CHARACTERS: Final = 60
"""Longest end of a growing text in a line of output."""

BUSY: Final = (Phase.PROCESSING, Phase.PENDING)
"""The phases of contents that are not done."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A content's latest status, safe to print: it holds no control characters."""

    channel: str
    content_id: str
    title: str
    status: str
    step: str
    """What the work is doing; may be empty."""
    error: str
    """Why it failed; may be empty."""
    progress: float | None
    remaining: float | None
    """Seconds left when the row was made, at `made`."""
    phase: Phase
    timestamp: str
    made: float
    """On the monotonic clock."""
    tail: str = ""
    """The end of the text that grows, on one line; may be empty."""

    @property
    def detail(self) -> str:
        """The error, or the step and the seconds left, and the end of the text that grows; may be empty."""
        if self.phase.terminal:
            return self.error
        left = "" if self.remaining is None else f"{self.remaining:.0f} s left"
        said = ", ".join(part for part in (self.step, left) if part)
        return "  ".join(part for part in (said, self.tail[-LINE_CHARACTERS:]) if part)


class Board:
    """The contents of the watched channels, built from the changes of one or more sources.

    `wanted` are the contents that have to be there and done before the board is; without any, at least one has to be.
    """

    def __init__(self, wanted: Sequence[str] = (), *, sources: int = 1) -> None:
        self._wanted = wanted
        # By phase, each in the order in which its contents came to it.
        self._rows: dict[Phase, dict[str, Row]] = {phase: {} for phase in Phase}
        self._phases: dict[str, Phase] = {}
        self._sources: dict[str, int] = {}
        # The field by which each content was seen to grow.
        self._growing: dict[str, str] = {}
        self._channels: Counter[str] = Counter()
        self._unready = set(range(sources))

    def __len__(self) -> int:
        return len(self._phases)

    @property
    def ready(self) -> bool:
        """Whether each source has told all that was there."""
        return not self._unready

    @property
    def channels(self) -> int:
        """How many channels have contents here."""
        return len(self._channels)

    def apply(self, change: Change, source: int = 0) -> Row | None:
        """Apply a change of a source, and return the row it changed, or None where there is none (any more)."""
        if change.type == READY:
            self._unready.discard(source)
        elif change.type == RESET:
            self._unready.add(source)
            for content_id in [content_id for content_id, told in self._sources.items() if told == source]:
                self._remove(content_id)
        elif change.removed:
            self._remove(change.content_id)
        elif change.content_id:
            self._sources[change.content_id] = source
            if change.delta is not None and (field := _appended(change.delta)):
                self._growing[change.content_id] = field
            field = self._growing.get(change.content_id, "")
            return self._update(change.content_id, row(change.content_id, change.data, change.channel, field))
        return None

    def rows(self) -> Iterator[Row]:
        """What is processed first, then failures, then what waits, then what is done, the latest end first."""
        groups = self._rows
        return chain(
            groups[Phase.PROCESSING].values(),
            reversed(groups[Phase.FAILED].values()),
            groups[Phase.PENDING].values(),
            reversed(groups[Phase.COMPLETED].values()),
            groups[Phase.IDLE].values(),
        )

    def count(self, phase: Phase) -> int:
        """How many contents are in this phase."""
        return len(self._rows[phase])

    @property
    def done(self) -> bool:
        """Whether the whole state is known, what is wanted is there, and no content is waiting or being processed."""
        return self.ready and len(self) > 0 and not self.busy and not self.missing

    @property
    def busy(self) -> list[str]:
        """The contents that are waiting or being processed."""
        return [content_id for phase in BUSY for content_id in self._rows[phase]]

    @property
    def missing(self) -> list[str]:
        """What is wanted and not there."""
        return [content_id for content_id in self._wanted if content_id not in self._phases]

    @property
    def failed(self) -> list[str]:
        """The contents that have failed."""
        return list(self._rows[Phase.FAILED])

    def _update(self, content_id: str, changed: Row) -> Row:
        held = self._rows[self._phases[content_id]][content_id] if content_id in self._phases else None
        if held is None or (held.phase, held.channel) != (changed.phase, changed.channel):
            source, field = self._sources[content_id], self._growing.get(content_id)
            self._remove(content_id)
            self._sources[content_id] = source
            if field is not None and changed.phase is Phase.PROCESSING:
                self._growing[content_id] = field
            self._channels[changed.channel] += 1
        self._phases[content_id] = changed.phase
        self._rows[changed.phase][content_id] = changed
        return changed

    def _remove(self, content_id: str) -> None:
        self._sources.pop(content_id, None)
        self._growing.pop(content_id, None)
        if (phase := self._phases.pop(content_id, None)) is None:
            return
        removed = self._rows[phase].pop(content_id)
        self._channels[removed.channel] -= 1
        if not self._channels[removed.channel]:
            del self._channels[removed.channel]


def row(content_id: str, data: Mapping[str, Any], channel: str = "", field: str = "") -> Row:
    """The row for a content of `channel` with this status, of which this field grows."""
    phase = phase_of(data)
    return Row(
        channel=printable(channel),
        content_id=printable(content_id),
        title=_text(data, "title") or printable(content_id),
        status=_text(data, "status"),
        step=_text(data, "step") or _text(data, "processing_status"),
        error=next((text for name in ERROR_TEXTS if (text := _text(data, name))), ""),
        progress=_number(data, "progress"),
        remaining=_remaining(data),
        phase=phase,
        timestamp=_text(data, "timestamp"),
        made=time.monotonic(),
        tail=_tail(data.get(field)) if phase is Phase.PROCESSING else "",
    )


def _appended(delta: Mapping[str, Any]) -> str:
    """The field that a delta appends to, a text before a list; empty where it appends to none."""
    fields: Mapping[str, Any] = delta.get("append", {})
    texts = (name for name, value in fields.items() if isinstance(value, str))
    return next(texts, next(iter(fields), ""))


def _tail(value: object) -> str:
    """The end of a text, or of the last item of a list, on one line."""
    if isinstance(value, list) and value:
        last = value[-1]
        value = last.get("message") if isinstance(last, dict) else last
    return printable(" ".join(value[-TAIL_CHARACTERS:].split())) if isinstance(value, str) else ""


def _remaining(data: Mapping[str, Any]) -> float | None:
    """The seconds left: as the producer says, or until its estimated completion."""
    if (said := _number(data, "remaining_seconds")) is not None:
        return said
    try:
        end, now = (datetime.fromisoformat(_text(data, name)) for name in ("estimated_completion", "timestamp"))
        return max((end - now).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None  # not said, no time, or without a time zone


def _number(data: Mapping[str, Any], name: str) -> float | None:
    value = data.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return printable(value) if isinstance(value, str) else ""
