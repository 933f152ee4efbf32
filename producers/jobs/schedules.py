"""Starts jobs at the times of their schedules, once however many workers do so.

A schedule has a content of its own, whose seq is the planned time in minutes: of many workers that mark a time as done
one is stored, and none can mark an earlier one. The job comes first, and its id is made of the planned time, so that a
worker that dies between the two loses nothing and doubles nothing.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from statushub.hub.model.errors import Invalid
from statushub.hub.model.event import Event, decode
from statushub.hub.model.publication import publication
from statushub.hub.model.receipt import Refusal
from statushub.hub.model.timestamp import timestamp
from statushub.producers.jobs.definition import Job
from statushub.producers.jobs.names import SCHEDULES, schedule_id
from statushub.producers.jobs.schedule import Schedule
from statushub.producers.jobs.state import JOB_ATTEMPT, job_publication, runner
from statushub.producers.jobs.store import Store

SCHEDULE_RETENTION: Final = 2 * 366 * 24 * 3600.0
"""How long it is known when a schedule has run last: longer than between two times of a yearly one."""

SKIP_SECONDS: Final = 60.0
"""How late a job that skips missed times may start: the workers look each half second, and an outage of a few seconds
is no reason to leave a day out."""

logger = logging.getLogger(__name__)


class _Mark(msgspec.Struct):
    last: datetime
    schedule: str = ""
    timezone: str = ""


class Schedules:
    """The schedules of a tenant. `look` is to be called often; it asks the broker only where a time has come."""

    def __init__(self, store: Store, tenant: str, jobs: list[Job], *, retention: dict[str, float]) -> None:
        self._store = store
        self._tenant = tenant
        self._jobs = [job for job in jobs if job.schedule is not None]
        self._retention = retention
        self._next: dict[str, datetime | None] = {}

    async def look(self, now: datetime) -> None:
        """Start what is due. Raises `BrokerUnavailable`; the next look makes up for it."""
        for job in self._jobs:
            schedule = job.schedule
            if schedule is None or (job.name in self._next and not _reached(self._next[job.name], now)):
                continue
            last = await self._last(job, schedule)
            if last is None:
                last = now.replace(second=0, microsecond=0)
                await self._mark(job, schedule, last)
            planned = schedule.latest(last, now)
            if planned is not None:
                late = job.missed == "skip" and now - planned > timedelta(seconds=SKIP_SECONDS)
                if late:
                    logger.info("%s: the time %s was missed, and is skipped", job.name, timestamp(planned))
                elif not await self._start(job, planned):
                    continue
                await self._mark(job, schedule, planned)
                last = planned
            self._next[job.name] = schedule.next(last)

    async def _last(self, job: Job, schedule: Schedule) -> datetime | None:
        """The last time that is done; None where it begins now, or begins anew with another expression."""
        (event,) = (await self._store.lookup(self._tenant, [schedule_id(job.name)])).events
        mark = None if event is None or event.removed else _read(event)
        if mark is None or (mark.schedule, mark.timezone) != (schedule.cron, schedule.timezone):
            return None
        return mark.last

    async def _start(self, job: Job, planned: datetime) -> bool:
        job_id = f"{job.name}-{planned.astimezone(UTC):%Y%m%dT%H%MZ}"
        data = {
            "status": "pending",
            "job": job.name,
            "priority": job.priority,
            "planned_at": timestamp(planned),
            "created_at": timestamp(),
            "runner": runner(claim=0, holder=None, attempt=JOB_ATTEMPT),
        }
        said = job_publication(job_id, data, seq=0)
        (receipt,) = await self._store.publish(self._tenant, [said], retention=self._retention[job.name])
        if receipt.reason is Refusal.QUOTA_EXCEEDED:
            logger.warning("%s: the tenant stores as much as it may, so that it cannot start", job_id)
            return False
        return True

    async def _mark(self, job: Job, schedule: Schedule, last: datetime) -> None:
        following = schedule.next(last)
        data: dict[str, Any] = {
            "status": "idle",
            "job": job.name,
            "schedule": schedule.cron,
            "timezone": schedule.timezone,
            "last": timestamp(last),
            "next": None if following is None else timestamp(following),
        }
        said = publication(
            channel=SCHEDULES,
            content_id=schedule_id(job.name),
            data=data,
            attempt=JOB_ATTEMPT,
            seq=int(last.timestamp()) // 60,
            lease=0,
        )
        await self._store.publish(self._tenant, [said], retention=SCHEDULE_RETENTION)


def _reached(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment <= now


def _read(event: Event) -> _Mark | None:
    try:
        return msgspec.convert(decode(event.data), _Mark)
    except (Invalid, msgspec.ValidationError):
        return None
