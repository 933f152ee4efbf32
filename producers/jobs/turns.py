"""Turns: of a group, one job at a time is let begin, over all hubs, and a second one is refused.

A turn is a content of its own, whose attempts count the turns: of many hubs that take the next one, the broker stores
the first and takes the others for repeats, so that the state then names the job whose turn it is. A job whose hub died
before it had published it never begins: before another takes its place, it is ended, and what its hub may still publish
is refused because the job is closed.
"""

from __future__ import annotations

import time
from typing import Annotated, Final

import msgspec

from statushub.hub.model.cursor import COUNTER_MAX
from statushub.hub.model.errors import Invalid
from statushub.hub.model.event import Event, decode
from statushub.hub.model.publication import publication
from statushub.hub.model.receipt import Refusal
from statushub.hub.model.timestamp import timestamp
from statushub.producers.jobs.names import TURNS, turn_id
from statushub.producers.jobs.state import JOB_ATTEMPT, job_publication, read_job, runner
from statushub.producers.jobs.store import Store

START_SECONDS: Final = 10.0
"""How long a hub may take to publish a job whose turn it is: a broker that does not answer in half of that is away."""

TURN_RETENTION: Final = 60 * 24 * 3600.0
"""How long a turn is known: longer than a job may take."""

UNKNOWN_SECONDS: Final = 12 * 3600.0
"""After which a job that is not there was forgotten, rather than never published: tombstones are kept for a day."""

NEVER: Final = "The hub that was to start it ended before it did."


class _Turn(msgspec.Struct):
    turn: Annotated[int, msgspec.Meta(ge=0, lt=COUNTER_MAX)] = 0
    job: str = ""
    taken_at: float = 0.0


async def take_turn(store: Store, tenant: str, name: str, group: str, job_id: str) -> bool:
    """Whether it is the turn of this job, which is now to be published within `START_SECONDS`; `name` is that of the
    job's function. Raises `BrokerUnavailable`."""
    (event,) = (await store.lookup(tenant, [turn_id(group)])).events
    held = _Turn() if event is None or event.removed else _read(event)
    if held.job and not await _over(store, tenant, name, held):
        return False
    turn = held.turn + 1
    while turn <= COUNTER_MAX:
        data = {"status": "idle", "job": job_id, "turn": turn, "taken_at": time.time()}
        said = publication(channel=TURNS, content_id=turn_id(group), data=data, attempt=turn, seq=0, lease=0)
        (receipt,) = await store.publish(tenant, [said], retention=TURN_RETENTION)
        if receipt.reason is not Refusal.REMOVED:
            break
        # It was removed, and it is not known how far it was.
        turn *= 2
    (event,) = (await store.lookup(tenant, [turn_id(group)])).events
    return event is not None and not event.removed and _read(event).job == job_id


async def was_ended(store: Store, tenant: str, job_id: str) -> bool:
    """Whether a job that was published now had been ended before, because its turn was over; the broker takes it for a
    repeat of that. Raises `BrokerUnavailable`."""
    (event,) = (await store.lookup(tenant, [job_id])).events
    job = None if event is None or event.removed else read_job(event)
    return job is not None and job.data.get("error_message") == NEVER


async def _over(store: Store, tenant: str, name: str, held: _Turn) -> bool:
    """Whether the job that has the turn has ended, or will never begin."""
    (event,) = (await store.lookup(tenant, [held.job])).events
    if event is None:
        age = abs(time.time() - held.taken_at)
        if age < START_SECONDS:
            return False
        if age > UNKNOWN_SECONDS:
            return True
        await store.publish(tenant, [job_publication(held.job, _never(name), seq=0)], retention=TURN_RETENTION)
        (event,) = (await store.lookup(tenant, [held.job])).events
    if event is None or event.removed:
        return True
    job = read_job(event)
    return job is None or job.phase.terminal


def _never(name: str) -> dict[str, object]:
    """The state of a job that did not begin."""
    now = timestamp()
    return {
        "status": "failed",
        "job": name,
        "total": 0,
        "error_message": NEVER,
        "created_at": now,
        "ended_at": now,
        "runner": runner(claim=0, holder=None, attempt=JOB_ATTEMPT),
    }


def _read(event: Event) -> _Turn:
    try:
        return msgspec.convert(decode(event.data), _Turn)
    except (Invalid, msgspec.ValidationError):
        return _Turn()
