"""Works without a producer in hand: `with statushub.work("clip-1", channel="encodes") as work`.

They share the connections of the process, one for each target, which are opened at the first use and end with the
process.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from statushub.producers.handle import Handle
from statushub.producers.producer import Producer
from statushub.producers.sender import PATIENCE_SECONDS
from statushub.producers.sync import SyncProducer, SyncWork
from statushub.producers.work import LEASE_SECONDS, Work

H = TypeVar("H", bound=Handle)


def default(kind: type[H], **options: Any) -> H:
    """A producer that is never closed, so that its connection is there for the next work of the process. Raises what
    `kind` raises."""
    producer = kind(**options)
    producer.begin()
    return producer


@contextmanager
def work(
    content_id: str,
    *,
    channel: str,
    url: str | None = None,
    tenant: str | None = None,
    token: str | None = None,
    patience: float = PATIENCE_SECONDS,
    strict: bool = False,
    attempt: int | None = None,
    lease: float | None = LEASE_SECONDS,
    steps: Mapping[str, float] | None = None,
    **fields: Any,
) -> Generator[SyncWork]:
    """Report the work on one content; yields a `SyncWork`.

    `url`, `tenant`, `token`, `patience` and `strict` are those of `Producer`, the rest those of `Producer.work`; raises
    what these two raise, on entering the block. All works with the same address share one connection.
    """
    producer = default(SyncProducer, url=url, tenant=tenant, token=token, patience=patience, strict=strict)
    with producer.work(content_id, channel=channel, attempt=attempt, lease=lease, steps=steps, **fields) as reported:
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
    strict: bool = False,
    attempt: int | None = None,
    lease: float | None = LEASE_SECONDS,
    steps: Mapping[str, float] | None = None,
    **fields: Any,
) -> AsyncGenerator[Work]:
    """As `work`, for `async with`."""
    producer = default(Producer, url=url, tenant=tenant, token=token, patience=patience, strict=strict)
    async with producer.work(
        content_id, channel=channel, attempt=attempt, lease=lease, steps=steps, **fields
    ) as reported:
        yield reported
