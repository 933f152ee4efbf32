"""What the hub stores of a job and of an item, read from events and written as publications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from statushub.hub.model.cancel import CANCEL_REQUESTED, CancelRequest, requested
from statushub.hub.model.cursor import COUNTER_MAX
from statushub.hub.model.errors import Invalid
from statushub.hub.model.event import Event, decode
from statushub.hub.model.publication import Publication, publication
from statushub.hub.model.vocabulary import Phase, phase_of
from statushub.producers.jobs.names import JOBS, item_id, items_channel

JOB_ATTEMPT: Final = 1
"""The one attempt of a job: it begins once and ends once, whichever workers run it."""

ITEMS_MAX: Final = 50_000
"""Most items of a job: half of what a channel holds by default."""

SEQ_BITS: Final = 32
"""The seqs of one claim: at one event a millisecond, 50 days."""

CLAIMS_MAX: Final = COUNTER_MAX >> SEQ_BITS
"""The last claim whose seqs are counters: two million."""

TITLE_CHARACTERS: Final = 200
"""Longest title that is taken from an input."""

_FILLED: Final = frozenset(
    {"content_id", "channel_id", "status", "processing_status", "timestamp", "estimated_completion", CANCEL_REQUESTED}
)
"""Fields of a stored state that the hub has filled in."""


class _Runner(msgspec.Struct):
    claim: Annotated[int, Meta(ge=0, le=CLAIMS_MAX)] = 0
    holder: str | None = None
    items: Annotated[int, Meta(ge=0, le=CLAIMS_MAX)] = JOB_ATTEMPT


class _Fields(msgspec.Struct):
    """The fields of a job that workers act on. Others are kept as they are."""

    job: str
    priority: str = "normal"
    group: str | None = None
    total: Annotated[int, Meta(ge=0, le=ITEMS_MAX)] | None = None
    params: dict[str, Any] = {}
    created_at: str = ""
    ended_at: str | None = None
    runner: _Runner = msgspec.field(default_factory=_Runner)


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the hub has it. `data` is all that its last event says.

    `claim` counts how often it was claimed, `holder` is the worker that did so last, and `attempt` that of its items.
    `total` is None until its items are known.
    """

    id: str
    offset: int
    phase: Phase
    job: str
    priority: str
    group: str | None
    total: int | None
    params: Mapping[str, Any]
    created_at: str
    ended_at: str | None
    claim: int
    holder: str | None
    attempt: int
    cancel: CancelRequest | None
    data: Mapping[str, Any]

    @property
    def occupies(self) -> bool:
        """Whether it keeps the other jobs of its group waiting."""
        return self.phase is Phase.PROCESSING or (self.phase is Phase.PENDING and self.holder is not None)


class ItemState(msgspec.Struct, frozen=True, kw_only=True):
    """An item as the hub has it; `retry_at`, in Unix seconds, is 0 where it did not fail. `sums` are what it has added
    to those of the job."""

    number: int
    phase: Phase
    input: Any
    tries: int
    finished: tuple[str, ...]
    retry_at: float
    sums: Mapping[str, int] = {}


class _ItemFields(msgspec.Struct):
    input: Any = None
    tries: int = 0
    finished: tuple[str, ...] = ()
    retry_at: float = 0.0
    sums: dict[str, int] = {}


def read_job(event: Event) -> JobState | None:
    """The job in an event of the channel `jobs`; None where a foreign publisher stored there what can be none."""
    try:
        data = decode(event.data)
        fields = msgspec.convert(data, _Fields)
    except (Invalid, msgspec.ValidationError):
        return None
    return JobState(
        id=event.content_id,
        offset=event.offset,
        phase=phase_of(data),
        job=fields.job,
        priority=fields.priority,
        group=fields.group,
        total=fields.total,
        params=fields.params,
        created_at=fields.created_at,
        ended_at=fields.ended_at,
        claim=fields.runner.claim,
        holder=fields.runner.holder,
        attempt=fields.runner.items,
        cancel=requested(event.data),
        data=data,
    )


def read_item(event: Event) -> ItemState | None:
    """The item in an event of a job's channel; None where it is none."""
    number = event.content_id.rpartition("/")[2]
    if not (number.isascii() and number.isdecimal()):
        return None
    try:
        data = decode(event.data)
        fields = msgspec.convert(data, _ItemFields)
    except (Invalid, msgspec.ValidationError):
        return None
    return ItemState(
        number=int(number),
        phase=phase_of(data),
        input=fields.input,
        tries=fields.tries,
        finished=fields.finished,
        retry_at=fields.retry_at,
        sums=fields.sums,
    )


def job_publication(job_id: str, data: Mapping[str, Any], *, seq: int) -> Publication:
    """The event of a job. It has no lease: a job whose workers are gone waits for the next one. Raises `Invalid`,
    `TooLarge`."""
    return publication(channel=JOBS, content_id=job_id, data=data, attempt=JOB_ATTEMPT, seq=seq, lease=0)


def item_publication(job_id: str, number: int, data: Mapping[str, Any], *, attempt: int, seq: int) -> Publication:
    """The event of an item. Raises `Invalid`, `TooLarge`."""
    return publication(
        channel=items_channel(job_id),
        content_id=item_id(job_id, number),
        data=data,
        attempt=attempt,
        seq=seq,
        lease=0,
    )


def kept(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the next event of a content repeats of its last."""
    return {name: value for name, value in data.items() if name not in _FILLED}


def new_item(input: Any) -> dict[str, Any]:
    """The state of an item that waits."""
    said: dict[str, Any] = {"status": "pending", "input": input}
    if isinstance(input, str):
        said["title"] = input[:TITLE_CHARACTERS]
    return said


def runner(*, claim: int, holder: str | None, attempt: int) -> dict[str, Any]:
    """The field by which workers know who runs a job."""
    return {"claim": claim, "holder": holder, "items": attempt}
