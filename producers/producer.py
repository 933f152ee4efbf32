"""The producer: publishes the status of works."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import anyio

from statushub.hub.model import variables
from statushub.hub.model.backoff import Backoff
from statushub.hub.model.errors import BrokerUnavailable, Invalid
from statushub.hub.model.names import DEFAULT_TENANT, check_tenant
from statushub.hub.model.publication import Publication, publication
from statushub.hub.model.receipt import Receipt
from statushub.producers.address import open_transport
from statushub.producers.outbox import Outbox
from statushub.producers.run import Run
from statushub.producers.transports import Busy, Denied, Transport
from statushub.producers.work import FAREWELL_SECONDS, LEASE_SECONDS, Work

RATE: Final = 10.0
"""Updates a second of one content: a progress bar that moves more often looks no smoother."""

PATIENCE_SECONDS: Final = 5.0
"""How long a finished work waits for its last state to arrive: longer than a hub's restart, shorter than an outage."""

FIRST_DELAY_SECONDS: Final = 0.1
"""Before the first repeat of a call that failed: longer than a lost packet takes to be sent again."""

LONGEST_DELAY_SECONDS: Final = 5.0
"""Between repeats: a hub that is back is noticed within seconds."""

NAMED_CONTENTS: Final = 20
"""Most contents that one warning names, so that its line stays readable."""

logger = logging.getLogger(__name__)


class Producer:
    """Publishes the status of works: `async with Producer("redis://localhost", tenant="acme") as producer`.

    The latest state of each content is sent, at most `rate` times a second; a final state is sent always, and
    immediately. While the hub is away, the latest state of each content is kept and the works go on. `patience` is
    the number of seconds that a work's end, and leaving the producer, wait for delivery.

    Belongs to the event loop that it was entered on: other threads use a `SyncProducer`. It cannot be pickled or used
    after a fork: create one in each process.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        tenant: str | None = None,
        token: str | None = None,
        rate: float = RATE,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """`url` is the address of a Redis, in any form that a hub's broker may have, whose keys belong to `tenant`; or
        that of a hub (`http:`, `https:`), where `token` names the tenant. The defaults are read from the environment:
        `STATUSHUB_URL`, `STATUSHUB_TENANT`, `STATUSHUB_TOKEN`.

        Raises `ConfigError` for an address that cannot be used, `Invalid` for an invalid tenant or rate.
        """
        if not rate > 0:
            raise Invalid("rate must be a number greater than 0", field="rate")
        environment = settings(os.environ)
        self._transport: Transport = open_transport(
            url or environment["url"],
            tenant=check_tenant(tenant or environment["tenant"]),
            token=token or environment["token"] or None,
        )
        self._patience = patience
        self._outbox = Outbox(rate=rate)
        self._tasks = asyncio.TaskGroup()
        self._flusher: asyncio.Task[None] | None = None
        self._backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS)
        self._lost_at: float | None = None
        self._trouble: type[BrokerUnavailable | Denied] | None = None

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._flusher = self._tasks.create_task(self._flush())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ordinary = error is None or isinstance(error, Exception)
        patience = self._patience if ordinary else min(self._patience, FAREWELL_SECONDS)
        try:
            self._outbox.hurry()
            with anyio.move_on_after(patience, shield=True):
                await self._outbox.emptied()
            self._warn_of_undelivered()
        finally:
            await self._close()

    def work(
        self,
        content_id: str,
        *,
        channel: str,
        attempt: int | None = None,
        lease: float | None = LEASE_SECONDS,
        **fields: Any,
    ) -> Work:
        """A work on a content, reported as one run. `fields` are part of each of its events.

        A run that begins later supersedes an earlier one, on whichever machine it ran and whatever its clock says.
        With an `attempt` the caller numbers the runs instead. `lease` is in seconds: the content of a producer that is
        silent for so long ends as `stalled`; while its event loop runs, the producer repeats the latest state in time.
        With None the lease never ends. Raises `Invalid`.
        """
        if self._flusher is None or self._flusher.done():
            raise RuntimeError("a producer reports only within its `async with` block")
        return Work(self, content_id, channel=channel, attempt=attempt, lease=lease, fields=fields)

    async def publish(
        self,
        content_id: str,
        *,
        channel: str,
        status: str | None = None,
        data: Mapping[str, Any] | None = None,
        type: str | None = None,
        attempt: int | None = None,
        seq: int | None = None,
        lease: float | None = None,
        run: str | None = None,
        age_ms: int | None = None,
        restart: bool = False,
    ) -> Receipt:
        """Publish one event immediately and once, and return its receipt. `run` names the try of the work that
        reports, which has been running for `age_ms` milliseconds.

        Raises `Invalid` where it breaks a rule; `BrokerUnavailable` where it was not delivered, or its answer was lost
        (with an attempt and a seq, repeating it is harmless); `Denied`.
        """
        fields = {**(data or {})} if status is None else {**(data or {}), "status": status}
        event = publication(
            channel=channel,
            content_id=content_id,
            data=fields,
            type=type,
            attempt=attempt,
            seq=seq,
            lease=lease,
            run=run,
            age_ms=age_ms,
            restart=restart,
        )
        return (await self._transport.send([event]))[0]

    async def deliver(self, run: Run, state: Publication) -> None:
        """Send `state` of `run` when it is due, without waiting for it."""
        if run.say(state):
            self._outbox.offer(run)
        if self._outbox.overdue:
            # A program that only updates would otherwise never let the loop send.
            await asyncio.sleep(0)

    async def settled(self, run: Run) -> bool:
        """Whether the last state of `run` arrived. Waits for it, but in one outage no longer than `patience` in all."""
        began = time.monotonic() if self._lost_at is None else self._lost_at
        with anyio.move_on_after(began + self._patience - time.monotonic()):
            await run.settled.wait()
        return run.delivered

    async def _flush(self) -> None:
        while True:
            await self._outbox.due()
            batch = self._outbox.take()
            if batch:
                await self._send(batch)

    async def _send(self, batch: Sequence[Run]) -> None:
        try:
            receipts = await self._transport.send([run.sending for run in batch if run.sending is not None])
        except BrokerUnavailable as error:
            self._lost(error)
            for run in batch:
                self._outbox.retry(run)
        except Denied as error:
            self._lost(error)
            for run in batch:
                self._outbox.give_up(run)
        except Invalid as error:
            await self._bisect(batch, error)
        else:
            self._found()
            for run, receipt in zip(batch, receipts, strict=True):
                self._outbox.settle(run, receipt)

    async def _bisect(self, batch: Sequence[Run], error: Invalid) -> None:
        """One event of the batch is invalid: find it by bisection, so that the others are not lost with it."""
        if len(batch) == 1:
            logger.error("content %r: a state is invalid: %s", batch[0].content_id, error)
            self._outbox.give_up(batch[0])
            return
        middle = len(batch) // 2
        await self._send(batch[:middle])
        await self._send(batch[middle:])

    def _lost(self, error: BrokerUnavailable | Denied) -> None:
        if self._lost_at is None:
            self._lost_at = time.monotonic()
        if type(error) is not self._trouble:
            self._trouble = type(error)
            denied = isinstance(error, Denied)
            logger.warning("%s; until this is corrected, states are %s", error, "dropped" if denied else "kept")
        asked = error.retry_after if isinstance(error, Busy) else 0.0
        self._outbox.hold(max(asked, self._backoff.next()))

    def _found(self) -> None:
        if self._lost_at is not None:
            logger.info("%s takes states again", self._transport.name)
        self._lost_at, self._trouble = None, None
        self._backoff.reset()

    def _warn_of_undelivered(self) -> None:
        lost = self._outbox.endings
        if lost:
            named = ", ".join(lost[:NAMED_CONTENTS]) + (", …" if len(lost) > NAMED_CONTENTS else "")
            logger.warning("the final state of %d contents could not be delivered: %s", len(lost), named)

    async def _close(self) -> None:
        with anyio.CancelScope(shield=True):
            if self._flusher is not None:
                self._flusher.cancel()
            try:
                await self._tasks.__aexit__(None, None, None)
            finally:
                await self._transport.aclose()


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The `url`, `tenant` and `token` that `environ` configures, or their defaults."""
    return {
        "url": environ.get(variables.URL) or variables.DEFAULT_URL,
        "tenant": environ.get(variables.TENANT) or DEFAULT_TENANT,
        "token": environ.get(variables.TOKEN, ""),
    }
