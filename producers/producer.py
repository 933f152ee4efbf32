"""The producer for asyncio: publishes the status of works."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import anyio

from statushub.hub.model.receipt import Receipt
from statushub.producers.handle import Handle
from statushub.producers.removal import Removed
from statushub.producers.work import FAREWELL_SECONDS, LEASE_SECONDS, STUCK_SECONDS, Work


class Producer(Handle):
    """Publishes the status of works: `async with Producer("redis://localhost", tenant="acme") as producer`, or `open()`
    and `close()`.

    The latest state of each content is sent, at most `rate` times a second; a final state is sent always, and
    immediately. While the hub is away, the latest state of each content is kept and the works go on. `patience` is the
    number of seconds that works, and leaving the producer, wait for delivery in one outage, all together; what is not
    delivered by then is delivered in the background, while the process lives.

    May be used from any event loop of asyncio; a thread of its own sends, however busy the loops are.
    """

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ordinary = error is None or isinstance(error, Exception)
        await self._close(self._patience if ordinary else min(self._patience, FAREWELL_SECONDS))

    async def open(self) -> Self:
        """Begin to use it, where `async with` does not fit: in an application's start, in a notebook. Twice is once."""
        self.begin()
        return self

    async def close(self) -> None:
        """Deliver what is left, waiting at most `patience`, and use it no longer. Twice is once."""
        await self._close(self._patience)

    def work(
        self,
        content_id: str,
        *,
        channel: str,
        attempt: int | None = None,
        run: str | None = None,
        lease: float | None = LEASE_SECONDS,
        steps: Mapping[str, float] | None = None,
        **fields: Any,
    ) -> Work:
        """A work on a content, reported as one run. `fields` are part of each of its events.

        A run that begins later supersedes an earlier one, on whichever machine it ran and whatever its clock says.
        With an `attempt` the caller numbers the runs instead, and with a `run` names them. `lease` is in seconds: the
        content of a process that is silent for so long ends as `stalled`; while it lives, the latest state is repeated
        in time. With None it is the default lease of the hubs, with 0 there is none. `steps` are the parts of the work,
        each with its part of the time in any unit: `{"download": 1, "summarize": 5}`; from `work.step("download")` the
        fields `progress`, `step`, `step_index`, `total_steps`, `steps` and those of the time left follow. Raises
        `Invalid` for an invalid name, attempt, run, lease or steps.
        """
        options: dict[str, Any] = {"channel": channel, "attempt": attempt, "run": run, "lease": lease}
        return Work(content_id=content_id, fields=fields, steps=steps, **options, **self._for_works())

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
        reports, which has been running for `age_ms` milliseconds. With `restart` a content that has ended is opened
        again; the run is named at random where none is given.

        Raises `Invalid` where it breaks a rule; `BrokerUnavailable` where it was not delivered, or its answer was lost
        (with an attempt and a seq, repeating it is harmless); `Denied`.
        """
        event: dict[str, Any] = {"channel": channel, "content_id": content_id, "type": type, "attempt": attempt}
        event = {**event, "seq": seq, "lease": lease, "run": run, "age_ms": age_ms, "restart": restart}
        return await asyncio.wrap_future(self._sent(status, data, event))

    async def remove(self, channel: str, *content_ids: str, all: bool = False) -> Removed:
        """Remove contents of a channel, or with `all` those that it has. What is not there is left alone; events of the
        removed runs are refused from then on, and a later run begins anew.

        Raises `Invalid` for an illegal name, and unless either contents are named or `all` is true; `BrokerUnavailable`
        where it is not known whether all were removed (repeating it is harmless); `Denied`.
        """
        return await asyncio.wrap_future(self._removed(channel, content_ids, all=all))

    async def _close(self, patience: float) -> None:
        left = self._end(patience)
        if left is not None:
            with anyio.move_on_after(patience + STUCK_SECONDS, shield=True):
                await asyncio.wrap_future(left)
