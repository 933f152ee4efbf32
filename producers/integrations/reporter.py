"""Reports the tasks of a queue: waiting, running, repeated, ended. No failure of a report reaches a task."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec

from statushub.producers.integrations.tries import Try
from statushub.producers.run import CANCELLED
from statushub.producers.sync import SyncProducer, SyncWork
from statushub.producers.work import LEASE_SECONDS, reason_of

P = ParamSpec("P")

REVOKED: Final = {"error_code": "cancelled", "error_message": "the task was revoked"}
EXPIRED: Final = {"error_code": "cancelled", "error_message": "the task expired before it was run"}
STOPPED: Final = {"error_code": "cancelled", "error_message": "the task was stopped"}

logger = logging.getLogger(__name__)


def _harmless(
    method: Callable[Concatenate[TaskReporter, P], None],
) -> Callable[Concatenate[TaskReporter, P], None]:
    """Log what `method` raises, each kind once, instead of raising it."""

    @wraps(method)
    def reported(self: TaskReporter, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:
            if type(error) not in self.logged:
                self.logged.add(type(error))
                logger.warning("a task is not reported: %s: %s", type(error).__name__, error, exc_info=error)

    return reported


class TaskReporter:
    """Reports the tries of tasks, each as a run of its content. May be used from any thread, and after a fork."""

    def __init__(
        self,
        *,
        channel: str | Callable[[Try], str | None],
        content_id: Callable[[Try], str] | None = None,
        fields: Callable[[Try], Mapping[str, Any]] | None = None,
        lease: float | None = LEASE_SECONDS,
        url: str | None = None,
        tenant: str | None = None,
        token: str | None = None,
    ) -> None:
        """`channel` may be a function, which returns None for a task that is not reported. `content_id` is by default
        the task's id, and `fields` are further fields of each state. The rest is as for `Producer` and its `work`.

        Raises `ConfigError` for an address that can never be used, and `Invalid`.
        """
        self.logged: set[type[Exception]] = set()
        self._channel = channel
        self._content_id = content_id
        self._fields = fields
        self._lease = lease
        self._producer = SyncProducer(url, tenant=tenant, token=token)
        self._works: dict[str, SyncWork] = {}
        self._lock = threading.Lock()

    @_harmless
    def queued(self, task: Try, /, **fields: Any) -> None:
        """The try waits to be run; waits for nothing."""
        if (where := self._where(task)) is not None:
            self._producer.open().announce(**where, run=task.run, **{"status": "pending", **fields})

    @_harmless
    def started(self, task: Try) -> None:
        """The try runs, in this thread or task, where its work is now the current one."""
        if (where := self._where(task)) is not None:
            work = self._producer.open().work(**where, run=task.run, lease=self._lease)
            with self._lock:
                self._works[task.run] = work
            work.begin()

    @_harmless
    def succeeded(self, task: Try) -> None:
        """The try that was started has done its work; waits for nothing."""
        if (work := self._left(task)) is not None and not work.ended:
            work.say("complete", work.done())

    @_harmless
    def failed(self, task: Try, error: object) -> None:
        """The try that was started has failed, for good; waits for nothing."""
        if (work := self._left(task)) is not None and not work.ended:
            work.say("error", reason_of(error) if isinstance(error, Exception) else {"error_message": str(error)})

    @_harmless
    def cancelled(self, task: Try) -> None:
        """The try that was started is interrupted; waits for nothing."""
        if (work := self._left(task)) is not None and not work.ended:
            work.say("error", CANCELLED)

    @_harmless
    def handed_on(self, task: Try) -> None:
        """The try that was started is over, and another one of the same task follows."""
        if (work := self._left(task)) is not None:
            work.abandon()

    @_harmless
    def ended_elsewhere(self, task: Try, /, **fields: Any) -> None:
        """The try was ended from another process than the one that runs it, or was never run; waits for nothing."""
        if (where := self._where(task)) is not None:
            self._producer.open().announce(**where, run=task.run, **{"status": "error", **fields})

    def runs(self, task: Try) -> bool:
        """Whether the try runs in this process."""
        return task.run in self._works

    @_harmless
    def close(self) -> None:
        """Deliver what is left, waiting at most for the producer's patience."""
        self._producer.close()

    def _where(self, task: Try) -> dict[str, Any] | None:
        channel = self._channel(task) if callable(self._channel) else self._channel
        if channel is None:
            return None
        said = {"title": task.name, "task": task.name, "retry": task.retry}
        more = self._fields(task) if self._fields else {}
        return {
            "content_id": self._content_id(task) if self._content_id else task.task_id,
            "channel": channel,
            **said,
            **more,
        }

    def _left(self, task: Try) -> SyncWork | None:
        with self._lock:
            work = self._works.pop(task.run, None)
        if work is not None:
            work.leave()
        return work
