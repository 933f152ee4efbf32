"""Celery: `report_tasks(app, channel="imports")` beside the definition of the app."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from billiard import current_process
from celery import signals, states

from statushub.producers.integrations.reporter import EXPIRED, REVOKED, TaskReporter
from statushub.producers.integrations.tries import Try
from statushub.producers.work import LEASE_SECONDS

if TYPE_CHECKING:
    from celery import Celery

OWN_TASKS: Final = "celery."
"""Beginning of the names of Celery's own tasks, which are not reported."""

MAIN_PROCESS: Final = "MainProcess"
"""What billiard, Celery's multiprocessing, calls the process that was not forked by a pool."""

RECEIVED: Final = 10_000
"""Tasks whose retry a worker remembers: far more than it holds at a time."""


def report_tasks(
    app: Celery,
    *,
    channel: str | Callable[[Try], str | None],
    content_id: Callable[[Try], str] | None = None,
    fields: Callable[[Try], Mapping[str, Any]] | None = None,
    lease: float | None = LEASE_SECONDS,
    url: str | None = None,
    tenant: str | None = None,
    token: str | None = None,
) -> None:
    """Report the tasks of `app`: from the process that calls `delay()` that they wait, from the worker the rest.

    Call it once, in the module that makes the app, which both import. Each try of a task is a run of its content,
    named `<task id>/<retry>`; `retry` is also a field, beside `task` and `title`, the task's name. Within a task
    `statushub.current().update(progress=40)` reports more. A task that is revoked, expires, exceeds its time limit or
    loses its process ends as `error`. No task waits for a report, or fails by one.

    `channel` may be a function of the `Try`, which returns None for a task that is not reported; `content_id` is one,
    too, where the content is not the task, but what it works on. The rest is as for `Producer` and its `work`. Raises
    `ConfigError` for an address that can never be used.
    """
    reporter = TaskReporter(
        channel=channel, content_id=content_id, fields=fields, lease=lease, url=url, tenant=tenant, token=token
    )
    _Signals(app, reporter).connect()


class _Signals:
    """The handlers of Celery's signals, for the tasks of one app."""

    def __init__(self, app: Celery, reporter: TaskReporter) -> None:
        self._app = app
        self._reporter = reporter
        self._retries: OrderedDict[str, int] = OrderedDict()

    def connect(self) -> None:
        # Not weakly: nothing else refers to the handlers.
        for signal, handler in (
            (signals.before_task_publish, self._published),
            (signals.task_received, self._received),
            (signals.task_prerun, self._started),
            (signals.task_postrun, self._ended),
            (signals.task_failure, self._failed),
            (signals.task_revoked, self._revoked),
            (signals.worker_process_shutdown, self._closed),
            (signals.worker_shutdown, self._closed),
        ):
            signal.connect(handler, weak=False)

    def _published(self, sender: Any = None, headers: Any = None, body: Any = None, **_: Any) -> None:
        name = str(sender)
        if isinstance(headers, dict) and "id" in headers and self._reports(name):
            args, kwargs = body[:2] if isinstance(body, tuple | list) and len(body) >= 2 else ((), {})
            retry = headers.get("retries") or 0
            task = Try(task_id=str(headers["id"]), name=name, retry=retry, args=args, kwargs=kwargs)
            waits = {"starts_at": headers["eta"]} if headers.get("eta") else {}
            self._reporter.queued(task, **waits)

    def _received(self, request: Any = None, **_: Any) -> None:
        # Where the pool's process dies, the signal does not say which try it was.
        self._retries[request.id] = int(request.request_dict.get("retries") or 0)
        while len(self._retries) > RECEIVED:
            self._retries.popitem(last=False)

    def _started(self, task_id: str = "", task: Any = None, args: Any = (), kwargs: Any = None, **_: Any) -> None:
        if self._reports_task(task):
            self._reporter.started(_try(task_id, task, task.request.retries, args, kwargs))

    def _ended(self, task_id: str = "", task: Any = None, state: Any = None, retval: Any = None, **_: Any) -> None:
        tried = _try(task_id, task, task.request.retries)
        if state in (states.SUCCESS, states.IGNORED):
            self._reporter.succeeded(tried)
        elif state == states.RETRY or (state == states.REJECTED and getattr(retval, "requeue", False)):
            self._reporter.handed_on(tried)
        elif state is not None:
            self._reporter.failed(tried, retval)
        elif current_process().name != MAIN_PROCESS:
            # The pool ends this process, and the worker knows why: revoked, over its time limit, or lost.
            self._reporter.handed_on(tried)
        else:
            self._reporter.cancelled(tried)

    def _failed(self, sender: Any = None, task_id: str = "", exception: Any = None, **more: Any) -> None:
        retry = self._retries.get(task_id, sender.request.retries)
        tried = _try(task_id, sender, retry, more.get("args"), more.get("kwargs"))
        # Where the try runs in this process, its end follows.
        if self._reports_task(sender) and not self._reporter.runs(tried):
            name = type(exception).__name__
            self._reporter.ended_elsewhere(tried, error_message=str(exception) or name, error_code=name)

    def _revoked(self, sender: Any = None, request: Any = None, expired: bool = False, **_: Any) -> None:
        if self._reports_task(sender):
            tried = _try(request.id, sender, request.retries, request.args, request.kwargs)
            self._reporter.ended_elsewhere(tried, **(EXPIRED if expired else REVOKED))

    def _closed(self, **_: Any) -> None:
        self._reporter.close()

    def _reports_task(self, task: Any) -> bool:
        return task.app is self._app and self._reports(task.name)

    def _reports(self, name: str) -> bool:
        return name in self._app.tasks and not name.startswith(OWN_TASKS)


def _try(task_id: str, task: Any, retry: int | None, args: Any = (), kwargs: Any = None) -> Try:
    return Try(task_id=task_id, name=task.name, retry=retry or 0, args=args or (), kwargs=kwargs or {})
