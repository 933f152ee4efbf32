"""What the two producers have in common: their target, and their use of the sender that the process has for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, TypeVar

from statushub.hub.feeds.contract import Written
from statushub.hub.feeds.writes import AnyWrite
from statushub.hub.model.errors import BrokerUnavailable, Invalid
from statushub.hub.model.names import check_tenant
from statushub.hub.model.publication import publication
from statushub.hub.model.receipt import Receipt
from statushub.producers.address import Target, settings
from statushub.producers.background import require_threads
from statushub.producers.removal import Removed, wanted
from statushub.producers.run import Run
from statushub.producers.sender import PATIENCE_SECONDS, Sender
from statushub.producers.shared import shared
from statushub.producers.single import single
from statushub.producers.tracing import Trail
from statushub.producers.values import plain_fields

T = TypeVar("T")

RATE: Final = 10.0
"""Updates a second of one content: a progress bar that moves more often looks no smoother."""


class Handle:
    """A producer, for `Producer` and `SyncProducer`. It cannot be pickled: create one in each process that is spawned.

    The latest state of each content is sent, at most `rate` times a second; a final state is sent always, and
    immediately. While the hub is away, the latest state of each content is kept and the works go on. `patience` is the
    number of seconds that works, and leaving the producer, wait for delivery in one outage, all together; what is not
    delivered by then is delivered in the background, while the process lives.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        tenant: str | None = None,
        token: str | None = None,
        rate: float = RATE,
        patience: float = PATIENCE_SECONDS,
        strict: bool = False,
    ) -> None:
        """`url` is the address of a Redis, in any form that a hub's broker may have, whose keys belong to `tenant`; or
        that of a hub (`http:`, `https:`), where `token` names the tenant. The defaults are read from the environment:
        `STATUSHUB_URL`, `STATUSHUB_TENANT`, `STATUSHUB_TOKEN`. `strict`: a value that breaks a rule raises `Invalid` at
        its call, instead of being mended or left out.

        Raises `ConfigError` for an address that can never be used, and where gevent or eventlet have replaced threads;
        `Invalid` for an invalid tenant or rate.
        """
        if not rate > 0:
            raise Invalid("rate must be a number greater than 0", field="rate")
        if not patience >= 0:
            raise Invalid("patience must be a number of seconds, 0 or more", field="patience")
        require_threads()
        environment = settings(os.environ)
        self._target = Target(
            url=(url or environment["url"]).strip(),
            tenant=check_tenant(tenant or environment["tenant"]),
            token=(token or environment["token"]).strip() or None,
            rate=rate,
        )
        # Raises for an address that can never be used; the sender opens its own.
        self._target.open()
        self._patience = patience
        self._strict = strict
        self._owner = object()
        self._sender: Sender | None = None
        self._pid = 0
        self._opened = False

    def __reduce__(self) -> Any:
        raise TypeError("a producer cannot be pickled: create one in each process")

    def begin(self) -> None:
        """Open it. Twice is once."""
        self._opened = True
        self._sending()

    def _end(self, patience: float) -> Future[None] | None:
        """Leave the sender; returns when it has delivered what is left. None where there is nothing to wait for."""
        sender, self._sender, self._opened = self._sender, None, False
        if sender is None or self._pid != os.getpid():
            return None
        left = sender.background.submit(partial(sender.leave, self._owner, patience))
        shared().release(sender)
        return None if sender.background.inside else left

    def _sending(self) -> Sender:
        if not self._opened:
            raise RuntimeError("the producer is not open: use `with`, or `open()` before and `close()` after")
        if self._sender is None or self._pid != os.getpid():
            # After a fork the child has a sender of its own.
            self._sender, self._pid = shared().acquire(self._target), os.getpid()
        return self._sender

    def announce(self, content_id: str, *, channel: str, status: str, run: str | None = None, **fields: Any) -> None:
        """Report one state of a content that another process works on, such as that it waits to be run; waits for
        nothing. `run` names the try that it belongs to. Raises `Invalid` where it breaks a rule.
        """
        place = Trail().fields(channel, content_id)
        data = {**place, "status": status, **(fields if self._strict else plain_fields(fields))}
        state = publication(channel=channel, content_id=content_id, data=data, run=run)
        said = Run(state, self._owner, run)
        said.aside, said.lease_kept = True, False
        self._sending().say(said, state)

    def _for_works(self) -> dict[str, Any]:
        """What each work gets of its producer."""
        sender = self._sending()
        return {"sender": sender, "owner": self._owner, "patience": self._patience, "strict": self._strict}

    def _sent(self, status: str | None, data: Mapping[str, Any] | None, event: Mapping[str, Any]) -> Future[Receipt]:
        """Send one event. Raises `Invalid`, and `BrokerUnavailable` where there is no thread that could send it."""
        sender = self._sending()
        send = partial(sender.publish, single(status, data, event))
        return _submitted(sender, send)

    def _removed(self, channel: str, content_ids: Sequence[str], *, all: bool) -> Future[Removed]:
        """Remove contents. Raises `Invalid`, and `BrokerUnavailable` where there is no thread that could."""
        sender = self._sending()
        return _submitted(sender, partial(sender.remove, channel, wanted(channel, content_ids, all=all)))

    def fed(self, writes: Sequence[AnyWrite]) -> Future[list[Written]]:
        """Write a batch into feeds, for `Feed`. Raises `BrokerUnavailable` where there is no thread that could."""
        sender = self._sending()
        return _submitted(sender, partial(sender.feed, writes, self._patience))


def _submitted(sender: Sender, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
    submitted = None if sender.background.inside else sender.background.submit(work)
    if submitted is None:
        raise BrokerUnavailable("there is no background thread that could send")
    return submitted
