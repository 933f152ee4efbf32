"""Starting jobs from any program: over a hub's HTTP address, or straight into Redis."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from statushub.hub.model.backoff import Backoff
from statushub.hub.model.errors import BrokerUnavailable, StatushubError
from statushub.hub.model.publication import Publication
from statushub.hub.model.timestamp import timestamp
from statushub.producers.address import open_transport, settings
from statushub.producers.jobs.definition import Job, check_priority
from statushub.producers.jobs.execution import check_count
from statushub.producers.jobs.names import check_job_name, new_job_id
from statushub.producers.jobs.state import JOB_ATTEMPT, item_publication, job_publication, new_item, runner
from statushub.producers.values import plain

BATCH_EVENTS: Final = 500
BATCH_BYTES: Final = 1024 * 1024
"""Most of one request: an eighth of what a hub takes, and a fraction of a second of its time."""

PATIENCE_SECONDS: Final = 10.0
"""How long a start waits for a hub that is away."""


class NotStarted(StatushubError):
    """Raised when the hub refuses a job, or its items."""

    code = "not_started"


class Jobs:
    """Starts jobs: `async with Jobs("redis://localhost") as jobs: await jobs.start(count, ["a", "b"])`.

    `url` is the address of a hub, or the Redis of the hubs; by default all three are those of STATUSHUB_URL,
    STATUSHUB_TENANT and STATUSHUB_TOKEN.
    """

    def __init__(self, url: str | None = None, *, tenant: str | None = None, token: str | None = None) -> None:
        """Raises `ConfigError` for an address that can never be used."""
        said = settings(os.environ)
        self._transport = open_transport(
            url or said["url"], tenant=tenant or said["tenant"], token=token or said["token"] or None
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.aclose()

    async def start(
        self,
        job: Job | str,
        items: Iterable[Any] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        priority: str | None = None,
    ) -> str:
        """Start a job, which may be named where its function is not at hand; returns its id.

        Without `items` they are those that the job's own function finds. The job is there once this returns, and is not
        there at all where it raises: `Invalid` for items and parameters that cannot be stored, `NotStarted`,
        `BrokerUnavailable`, `Denied`.
        """
        job_id, publications = new_job(job, items, params=params, priority=priority)
        for batch in batches(publications):
            await self._send(job_id, batch)
        return job_id

    async def _send(self, job_id: str, batch: Sequence[Publication]) -> None:
        backoff = Backoff(0.1, 1.0)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                receipts = await self._transport.send(batch)
                break
            except BrokerUnavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(backoff.next())
        refusal = next((receipt.reason for receipt in receipts if not receipt.accepted), None)
        if refusal is not None:
            raise NotStarted(f"{job_id} was refused: {refusal}")


def new_job(
    job: Job | str,
    items: Iterable[Any] | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    priority: str | None = None,
    job_id: str | None = None,
) -> tuple[str, list[Publication]]:
    """The id of a new job, and what starts it, to be published in this order: the job comes last, so that workers see
    it when all of its items are there. `job_id` is one of `new_job_id`, by default the name's; publishing
    it twice under one id starts it once.

    Raises `Invalid` for what cannot be stored."""
    name, usual = (check_job_name(job), "normal") if isinstance(job, str) else (job.name, job.priority)
    inputs = None if items is None else [plain(it) for it in items]
    check_count(len(inputs or ()))
    job_id = job_id or new_job_id(name)
    data = {
        "status": "pending",
        "job": name,
        "priority": check_priority(priority or usual),
        "total": None if inputs is None else len(inputs),
        "params": plain(params or {}),
        "created_at": timestamp(),
        "runner": runner(claim=0, holder=None, attempt=JOB_ATTEMPT),
    }
    publications = [
        item_publication(job_id, number, new_item(it), attempt=JOB_ATTEMPT, seq=0)
        for number, it in enumerate(inputs or (), 1)
    ]
    return job_id, [*publications, job_publication(job_id, data, seq=0)]


def batches(publications: Sequence[Publication]) -> Iterator[list[Publication]]:
    """The publications in the parts in which they are sent."""
    batch: list[Publication] = []
    size = 0
    for said in publications:
        if batch and (len(batch) >= BATCH_EVENTS or size + len(said.data) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(said)
        size += len(said.data)
    yield batch
