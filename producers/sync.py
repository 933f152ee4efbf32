"""The producer for programs without an event loop, usable from any thread."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt, Refusal
from statushub.producers.producer import PATIENCE_SECONDS, RATE, Producer
from statushub.producers.work import LEASE_SECONDS, Work


class SyncProducer:
    """A `Producer` whose event loop runs in a thread of its own: `with SyncProducer(url) as producer`.

    May be used from any other thread. Leases are renewed however busy the other threads are. It cannot be pickled or
    used after a fork: create one in each process.
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
        """As `Producer`, and raises the same."""
        self._producer = Producer(url, tenant=tenant, token=token, rate=rate, patience=patience)
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(portal.wrap_async_context_manager(self._producer))
            self._portal, self._stack = portal, stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._portal = None
        self._stack.__exit__(kind, error, trace)

    def work(
        self,
        content_id: str,
        *,
        channel: str,
        attempt: int | None = None,
        lease: float | None = LEASE_SECONDS,
        **fields: Any,
    ) -> SyncWork:
        """As `Producer.work`."""
        portal = self._entered()
        begin = partial(self._producer.work, content_id, channel=channel, attempt=attempt, lease=lease, **fields)
        return SyncWork(portal, portal.call(begin))

    def publish(
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
        """As `Producer.publish`."""
        event = partial(self._producer.publish, content_id, channel=channel, status=status, data=data)
        event = partial(event, type=type, attempt=attempt, seq=seq, lease=lease)
        return self._entered().call(partial(event, run=run, age_ms=age_ms, restart=restart))

    def _entered(self) -> BlockingPortal:
        if self._portal is None:
            raise RuntimeError("a producer reports only within its `with` block")
        return self._portal


class SyncWork:
    """A `Work`, from any thread: `with producer.work("688b…", channel="688a…") as work`."""

    def __init__(self, portal: BlockingPortal, work: Work) -> None:
        self._portal = portal
        self._work = work
        self._lock = threading.Lock()
        self._waiting: Publication | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._portal.call(self._work.__aexit__, kind, error, trace)

    @property
    def content_id(self) -> str:
        return self._work.content_id

    @property
    def channel(self) -> str:
        return self._work.channel

    @property
    def attempt(self) -> int | None:
        """As `Work.attempt`."""
        return self._work.attempt

    @property
    def refused(self) -> Refusal | None:
        """As `Work.refused`."""
        return self._work.refused

    def update(self, status: str | None = None, /, **fields: Any) -> None:
        """As `Work.update`."""
        # Checked in this thread, and sent to the other once for many: a call into it costs ten times a check.
        with self._lock:
            under_way, self._waiting = self._waiting, self._work.check(status, **fields)
        if under_way is None:
            self._portal.start_task_soon(self._hand_over)

    def complete(self, **fields: Any) -> bool:
        """As `Work.complete`."""
        return self._portal.call(partial(self._work.complete, **fields))

    def fail(self, message: str | None = None, /, **fields: Any) -> bool:
        """As `Work.fail`."""
        return self._portal.call(partial(self._work.fail, message, **fields))

    async def _hand_over(self) -> None:
        with self._lock:
            state, self._waiting = self._waiting, None
        if state is not None:
            await self._work.deliver(state)
