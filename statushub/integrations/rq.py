"""RQ: `rq worker --worker-class statushub.integrations.rq.ReportingWorker`, and a `ReportingQueue` to enqueue into."""

from __future__ import annotations

from statushub.producers.integrations.rq import ReportingQueue, ReportingWorker
from statushub.producers.integrations.tries import Try

__all__ = ["ReportingQueue", "ReportingWorker", "Try"]
