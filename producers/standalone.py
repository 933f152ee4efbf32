"""A work with a producer of its own: `with statushub.work("clip-1", channel="encodes") as work`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from statushub.producers.producer import PATIENCE_SECONDS, Producer
from statushub.producers.sync import SyncProducer, SyncWork
from statushub.producers.work import LEASE_SECONDS, Work


@contextmanager
def work(
    content_id: str,
    *,
    channel: str,
    url: str | None = None,
    tenant: str | None = None,
    token: str | None = None,
    patience: float = PATIENCE_SECONDS,
    attempt: int | None = None,
    lease: float | None = LEASE_SECONDS,
    **fields: Any,
) -> Generator[SyncWork]:
    """Report the work on one content with a producer that lives as long as the block; yields a `SyncWork`.

    `url`, `tenant`, `token` and `patience` are those of `Producer`, the rest those of `Producer.work`; raises what
    these two raise, on entering the block. Each starts a thread and opens a connection: a program with many works
    shares one `SyncProducer` between them.
    """
    with (
        SyncProducer(url, tenant=tenant, token=token, patience=patience) as producer,
        producer.work(content_id, channel=channel, attempt=attempt, lease=lease, **fields) as reported,
    ):
        yield reported


@asynccontextmanager
async def awork(
    content_id: str,
    *,
    channel: str,
    url: str | None = None,
    tenant: str | None = None,
    token: str | None = None,
    patience: float = PATIENCE_SECONDS,
    attempt: int | None = None,
    lease: float | None = LEASE_SECONDS,
    **fields: Any,
) -> AsyncGenerator[Work]:
    """As `work`, for `async with`; each opens a connection."""
    async with (
        Producer(url, tenant=tenant, token=token, patience=patience) as producer,
        producer.work(content_id, channel=channel, attempt=attempt, lease=lease, **fields) as reported,
    ):
        yield reported
