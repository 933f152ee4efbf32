"""Claims: which worker runs a job, decided by the broker's fence.

All events of a job belong to one attempt, and their seqs begin with the number of the claim: `claim << 32`. A claim is
an event with the next number. Of two workers that publish it the broker stores the first, and takes the second for a
repeat, so that the state then names the one that has the job. What a former holder still publishes, of the job or of
its items, has a lower seq and is refused; and what has ended is closed. So the result of an item is stored once, even
where two workers believe that they have the job.

Of a group, one job runs at a time, or as many as the job declares. A worker claims a job of one while it is still
pending, and reads the channel: if that many other jobs of the group run, or were claimed at a lower offset of the
tenant's clock, it gives its own back. All workers see the same clock, so that no more than that go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from statushub.hub.model.vocabulary import Phase
from statushub.producers.jobs.board import Board
from statushub.producers.jobs.definition import Job
from statushub.producers.jobs.state import SEQ_BITS, JobState, job_publication, kept, read_job, runner
from statushub.producers.jobs.store import Store


def first_seq(claim: int) -> int:
    """The seq of the event by which a job is claimed."""
    return claim << SEQ_BITS


def occupied(job: Job, jobs: Iterable[JobState], *, but: str) -> bool:
    """Whether other jobs than `but` keep this one's group waiting."""
    if job.group is None:
        return False
    known = [*jobs]
    others = sum(it.group == job.group and it.occupies and it.id != but for it in known)
    return others >= _together(job, known)


async def claim(
    store: Store, board: Board, tenant: str, state: JobState, job: Job, holder: str, *, retention: float
) -> JobState | None:
    """The job, if `holder` has it now. Raises `BrokerUnavailable`: whether it has it is not known then."""
    number = state.claim + 1
    running = state.phase is Phase.PROCESSING
    data = kept(state.data) | {
        "status": "processing" if running else "pending",
        "group": job.group,
        "runner": runner(claim=number, holder=holder, attempt=state.attempt),
    }
    said = job_publication(state.id, data, seq=first_seq(number))
    (receipt,) = await store.publish(tenant, [said], retention=retention)
    if not receipt.accepted:
        return None
    (event,) = (await store.lookup(tenant, [state.id])).events
    mine = None if event is None or event.removed else read_job(event)
    if mine is None or (mine.claim, mine.holder) != (number, holder) or mine.phase.terminal:
        return None
    if running or mine.cancel is not None or job.group is None or await _among_first(board, mine, job):
        return mine
    data["runner"] = runner(claim=number, holder=None, attempt=state.attempt)
    await store.publish(tenant, [job_publication(state.id, data, seq=first_seq(number) + 1)], retention=retention)
    return None


async def _among_first(board: Board, mine: JobState, job: Job) -> bool:
    await board.read()
    known = [*board]
    before = [
        it
        for it in known
        if it.group == job.group
        and it.id != mine.id
        and it.occupies
        and (it.phase is Phase.PROCESSING or it.offset < mine.offset)
    ]
    return len(before) < _together(job, known)


def _together(job: Job, jobs: Sequence[JobState]) -> int:
    return job.together if isinstance(job.together, int) else job.together(jobs)
