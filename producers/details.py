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

    def log(self, message: object, level: object) -> None:
        """Append a line to the log."""
        self._log = self._log or WorkLog()
        self._log.add(message, level)

    def fields(self, status: object) -> dict[str, Any]:
        """The fields of a state with this `status`; one that ends the work ends its steps."""
        meaning = meaning_of(status)
        if self.steps is not None and meaning is not None and meaning.phase.terminal:
            self.steps.finish(failed=meaning.phase is Phase.FAILED)
        self._said = self._now()
        if self.steps is not None and meaning is not None and meaning.phase is Phase.COMPLETED:
            return {**self._said, "progress": 100, "remaining_seconds": 0}
        return self._said

    @property
    def changed(self) -> bool:
        """Whether they differ from those that were last asked for, but for the time left."""
        return _comparable(self._now()) != _comparable(self._said)

    def _now(self) -> dict[str, Any]:
        log = {} if self._log is None else {"log": self._log.lines()}
        return {**log, **(self.steps.fields() if self.steps else {})}


def _comparable(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "estimated_completion"}
