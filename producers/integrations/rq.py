"""RQ: `rq worker --worker-class statushub.integrations.rq.ReportingWorker`, and a `ReportingQueue` to enqueue into."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Final

from rq import Queue, Retry, Worker
from rq.job import Job, JobStatus

from statushub.producers.integrations.reporter import STOPPED, TaskReporter
from statushub.producers.integrations.tries import Try
from statushub.producers.work import LEASE_SECONDS

RETRY: Final = "statushub_retry"
"""The key of a job's `meta` that counts its tries: RQ counts only those that are left."""

REQUEUED: Final = frozenset({JobStatus.QUEUED, JobStatus.SCHEDULED, JobStatus.DEFERRED})
"""The states of a job that will be tried again."""


class Reporting:
    """What worker and queue have in common: where they report, as class attributes that a subclass may set.

    The address, tenant and token of the hub are those of the environment: `STATUSHUB_URL` and its family.
    """

    statushub_channel: ClassVar[str] = "jobs"
    """The channel of all jobs."""

    statushub_lease: ClassVar[float | None] = LEASE_SECONDS
    """Seconds after which the job of a worker that is gone ends as `stalled`."""

    @classmethod
    def statushub_content_id(cls, job: Try) -> str:
        """The content of a job; by default its id."""
        return job.task_id

    @classmethod
    def statushub_fields(cls, job: Try) -> Mapping[str, Any]:
        """Further fields of each state."""
        return {}

    @cached_property
    def statushub(self) -> TaskReporter:
        """What reports the jobs. Raises `ConfigError` for an address that can never be used."""
        return TaskReporter(
            channel=self.statushub_channel,
            content_id=self.statushub_content_id,
            fields=self.statushub_fields,
            lease=self.statushub_lease,
        )


class ReportingQueue(Reporting, Queue):
    """A queue that reports of each job that it waits."""

    def _enqueue_job(self, job: Job, *args: Any, **options: Any) -> Job:
        # Before the job can be taken.
        self.statushub.queued(_try(job))
        return super()._enqueue_job(job, *args, **options)


class ReportingWorker(Reporting, Worker):
    """A worker that reports its jobs: running, repeated, ended, stopped, or gone with the process that ran them.

    Each try of a job is a run of its content, named `<job id>/<retry>`; `retry` is also a field, beside `task` and
    `title`, the name of its function. Within a job `statushub.current().update(progress=40)` reports more.
    """

    _statushub_error: object = None

    def perform_job(self, job: Job, queue: Queue, *args: Any, **options: Any) -> bool:
        reporter, tried = self.statushub, _try(job)
        reporter.started(tried)
        job.meta[RETRY] = tried.retry + 1
        job.save_meta()  # type: ignore[no-untyped-call]
        done = super().perform_job(job, queue, *args, **options)
        if isinstance(job._result, Retry) or (not done and job.get_status() in REQUEUED):
            reporter.handed_on(tried)
            reporter.queued(_try(job))
        elif done:
            reporter.succeeded(tried)
        else:
            reporter.failed(tried, self._statushub_error)
        # The process ends without the interpreter's shutdown.
        reporter.close()
        return done

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        self._statushub_error = exc_info[1]
        super().handle_exception(job, *exc_info)

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: Any) -> None:
        reason = {"error_message": "the process that ran the job was killed", "error_code": "worker_lost"}
        self.statushub.ended_elsewhere(_tried(job), **reason)
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]

    def _handle_stopped_job(self, job: Job, *args: Any, **options: Any) -> None:
        self.statushub.ended_elsewhere(_tried(job), **STOPPED)
        super()._handle_stopped_job(job, *args, **options)


def _try(job: Job) -> Try:
    """The next try of a job."""
    return _numbered(job, int(job.meta.get(RETRY, 0)))


def _tried(job: Job) -> Try:
    """The try of a job that has been started."""
    job.refresh()  # type: ignore[no-untyped-call]
    return _numbered(job, max(int(job.meta.get(RETRY, 0)) - 1, 0))


def _numbered(job: Job, retry: int) -> Try:
    return Try(task_id=job.id, name=job.func_name or job.id, retry=retry, args=job.args or (), kwargs=job.kwargs or {})
