"""Jobs: work that is cut into items, runs beside the hub or in workers, and survives what happens to them.

Declare one with `@job(…)`, run it with `statushub worker` or in a hub (`STATUSHUB_JOBS=on`), and start it with `Jobs`.
Needs `pip install 'statushub[jobs]'` where it runs.
"""

from __future__ import annotations

from statushub.producers.jobs.definition import Job, job
from statushub.producers.jobs.item import Item, PermanentFailure, RetryLater
from statushub.producers.jobs.log import JobLog
from statushub.producers.jobs.retry import Retry
from statushub.producers.jobs.start import Jobs, NotStarted

__all__ = ["Item", "Job", "JobLog", "Jobs", "NotStarted", "PermanentFailure", "Retry", "RetryLater", "job"]
