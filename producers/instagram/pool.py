"""How many executions run, wait, or are refused: as a Java ThreadPoolTaskExecutor with core size 5, a queue of 25 and
maximum size 10 has it. No I/O.

Up to five run. Of more, 25 wait. Where all of these places are taken, each of up to five further ones lets one more run
immediately: itself, or one that waits. The pool is so much wider until nothing waits any longer. Beyond, executions are
refused.

The state is in the executions themselves: each keeps the place that it was given.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from statushub.hub.model.vocabulary import Phase
from statushub.producers.instagram.params import JOB, Params, Place
from statushub.producers.jobs.state import JobState

CORE: Final = 5
QUEUE: Final = 25
MOST: Final = 10


class Full(Exception):
    """Raised where an execution has no place."""


class _Entry(msgspec.Struct, frozen=True):
    place: Place
    over: bool
    begun: bool

    @property
    def waits(self) -> bool:
        return self.place.waits and not self.begun and not self.over


def width(jobs: Iterable[JobState]) -> int:
    """How many executions run together, as of these jobs."""
    return _width(_entries(jobs))


def place(jobs: Iterable[JobState], number: int) -> Place:
    """Where the next execution belongs, whose number is the highest of all. Raises `Full`."""
    entries = _entries(jobs)
    now = _width(entries)
    live = sum(not it.over for it in entries)
    # Which of them workers have begun already says nothing: there is room for so many.
    running = min(live, max(now, sum(it.begun for it in entries)))
    waiting = live - running
    if running < CORE:
        return Place(number=number, width=CORE, waits=False)
    if waiting < QUEUE:
        # Whichever ends first makes room for it.
        return Place(number=number, width=max(now, running), waits=True)
    if running < MOST:
        return Place(number=number, width=running + 1, waits=False)
    raise Full(f"{running} executions run, and {waiting} wait")


def _width(entries: list[_Entry]) -> int:
    """The pool is wide for those that begin beyond its core, and while what was queued at that time, or joined the
    queue since then, waits."""
    waiting = [it.place for it in entries if it.waits]
    first = min((it.number for it in waiting), default=None)
    widths = [it.width for it in waiting]
    for it in entries:
        beyond = not it.place.waits
        if beyond and (not (it.over or it.begun) or (first is not None and first < it.place.number)):
            widths.append(it.place.width)
    return min(MOST, max([CORE, *widths]))


def _entries(jobs: Iterable[JobState]) -> list[_Entry]:
    return [_entry(job) for job in jobs if job.job == JOB]


def _entry(job: JobState) -> _Entry:
    try:
        place = msgspec.convert({**job.params}, Params).place
    except msgspec.ValidationError:
        place = Place()
    return _Entry(place, over=job.phase.terminal, begun=job.phase is Phase.PROCESSING)
