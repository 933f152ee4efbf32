"""Words of other systems for a status: what Celery, RQ, Airflow, Kubernetes, GitHub, Prefect, Temporal, BullMQ and
others call the states of their work. `vocabulary` says what each means; docs/concepts.md lists them.
"""

from __future__ import annotations

from typing import Final

PENDING: Final = (
    *("queued", "enqueued", "waiting", "scheduled", "rescheduled", "deferred", "delayed", "throttled", "blocked"),
    *("created", "submitted", "received", "accepted", "requested", "registered", "runnable", "prioritized"),
    *("not_started", "on_hold", "paused", "suspended", "retry", "awaiting_retry", "up_for_retry", "up_for_reschedule"),
    *("waiting_children", "waiting_for_resource", "requires_action", "action_required"),
)
"""The work is accepted and waits: to begin, to be tried again, or for someone to act."""

PROCESSING: Final = (
    *("running", "started", "starting", "in_progress", "progress", "progressing", "active", "busy", "working"),
    *("executing", "preparing", "initializing", "configuring", "provisioning", "validating", "finalizing"),
    *("completing", "resuming", "resumed", "retrying", "restarting", "cancelling", "canceling", "stopping"),
    *("terminating", "continued_as_new"),
)

COMPLETED: Final = (
    *("success", "succeeded", "successful", "done", "finished", "ok", "passed", "skipped", "omitted", "ignored"),
    *("neutral", "cached"),
)

FAILED: Final = (
    *("failure", "errored", "exception", "fatal", "crashed", "dead", "rejected", "broken", "startup_failure"),
    *("upstream_failed", "evicted", "preempted", "oom_killed", "out_of_memory", "node_fail"),
)

CANCELLED: Final = (*("cancelled", "canceled", "revoked", "aborted", "terminated", "killed", "stopped", "interrupted"),)

TIMEOUT: Final = ("timeout", "timed_out", "expired", "deadline_exceeded")
