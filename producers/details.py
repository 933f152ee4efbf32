"""What a work reports beside the fields that it is given: its steps and its log. No I/O."""

from __future__ import annotations

from typing import Any

from statushub.hub.model.vocabulary import Phase, meaning_of
from statushub.producers.steps import Steps
from statushub.producers.work_log import WorkLog


class Details:
    """The steps of a work, where it has any, and its log. Used under the lock of its work."""

    def __init__(self, steps: Steps | None) -> None:
        self.steps = steps
        self._log: WorkLog | None = None
        self._said: dict[str, Any] = {}
        self.log_whole = False
        """Whether states have the whole log, to which the work can append no more."""

    def log(self, message: object, level: object) -> None:
        """Append a line to the log."""
        self._log = self._log or WorkLog()
        self._log.add(message, level)

    def lines(self) -> tuple[list[dict[str, Any]], bool]:
        """As `WorkLog.take`."""
        return ([], False) if self._log is None else self._log.take()

    def fields(self, status: object) -> dict[str, Any]:
        """The fields of a whole state with this `status`; one that ends the work ends its steps, and has the log."""
        meaning = meaning_of(status)
        ends = meaning is not None and meaning.phase.terminal
        if self.steps is not None and meaning is not None and ends:
            self.steps.finish(failed=meaning.phase is Phase.FAILED)
        self._said = self._now()
        log = {"log": self._log.lines()} if self._log is not None and (ends or self.log_whole) else {}
        if self.steps is not None and meaning is not None and meaning.phase is Phase.COMPLETED:
            return {**log, **self._said, "progress": 100, "remaining_seconds": 0}
        return {**log, **self._said}

    def changes(self) -> dict[str, Any]:
        """The fields that differ from those that were last asked for; none where only the moment of the end does."""
        before, self._said = self._said, self._now()
        changed = {name: value for name, value in self._said.items() if name not in before or before[name] != value}
        if changed.keys() <= {"estimated_completion"}:
            self._said = before
            return {}
        return changed

    def _now(self) -> dict[str, Any]:
        return self.steps.fields() if self.steps else {}
