"""taskiq: `broker.with_middlewares(StatushubMiddleware(channel="imports"))`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final

from taskiq import TaskiqMessage, TaskiqMiddleware, TaskiqResult

from statushub.producers.integrations.reporter import TaskReporter
from statushub.producers.integrations.tries import Try
from statushub.producers.work import LEASE_SECONDS

RETRIES: Final = "_retries"
"""The label in which taskiq's own middlewares count repetitions."""


class _Execution:
    """The try that runs in a context, and whether its task has been sent again since."""

    def __init__(self, tried: Try) -> None:
        self.tried = tried
        self.repeated = False


_execution: ContextVar[_Execution | None] = ContextVar("statushub_execution", default=None)


class StatushubMiddleware(TaskiqMiddleware):
    """Reports the tasks of a broker: where they are sent that they wait, in the worker the rest.

    Each try of a task is a run of its content, named `<task id>/<retry>`; `retry` is also a field, beside `task` and
    `title`, the task's name. Within a task `statushub.current().update(progress=40)` reports more. Add it before the
    middleware that repeats tasks. No task waits for a report, or fails by one.
    """

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
        """As for `statushub.integrations.celery.report_tasks`."""
        super().__init__()
        self._reporter = TaskReporter(
            channel=channel, content_id=content_id, fields=fields, lease=lease, url=url, tenant=tenant, token=token
        )

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        execution = _execution.get()
        if execution is not None and execution.tried.task_id == message.task_id:
            execution.repeated = True
        self._reporter.queued(_try(message))
        return message

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        # Kept, because a middleware that repeats the task changes the labels of this message.
        tried = _try(message)
        _execution.set(_Execution(tried))
        self._reporter.started(tried)
        return message

    def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        execution = _execution.get()
        if execution is None:
            return
        if execution.repeated:
            self._reporter.handed_on(execution.tried)
        elif result.is_err:
            self._reporter.failed(execution.tried, result.error)
        else:
            self._reporter.succeeded(execution.tried)

    async def shutdown(self) -> None:
        await asyncio.to_thread(self._reporter.close)


def _try(message: TaskiqMessage) -> Try:
    return Try(
        task_id=message.task_id,
        name=message.task_name,
        retry=int(message.labels.get(RETRIES, 0)),
        args=message.args,
        kwargs=message.kwargs,
    )
