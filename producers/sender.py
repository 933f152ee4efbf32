"""Sends the states of all runs for one target. Lives on the background thread."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

import anyio

from statushub.hub.feeds.contract import Written
from statushub.hub.feeds.writes import AnyWrite
from statushub.hub.model.backoff import Backoff
from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.errors import BrokerUnavailable, Invalid, TooLarge
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt
from statushub.producers.address import Target
from statushub.producers.background import Background
from statushub.producers.cancel_watch import CancelWatch
from statushub.producers.outbox import Outbox
from statushub.producers.reduction import reduced
from statushub.producers.removal import Removed
from statushub.producers.run import Run
from statushub.producers.transports import Busy, Denied

PATIENCE_SECONDS: Final = 2.0
"""How long works wait for the delivery of their last states, in one outage all together: longer than a hub's restart
behind a proxy, short enough to be borne by a job."""

PROMPT_SECONDS: Final = 0.25
"""An answer within this time ends an outage, and to wait for it costs no patience: a round trip around the world."""

FIRST_DELAY_SECONDS: Final = 0.1
"""Before the first repeat of a call that failed: longer than a lost packet takes to be sent again."""

LONGEST_DELAY_SECONDS: Final = 5.0
"""Between repeats: a hub that is back is noticed within seconds."""

NAMED_CONTENTS: Final = 20
"""Most contents that one warning names, so that its line stays readable."""

logger = logging.getLogger(__name__)


class Sender:
    """Sends to one target. `say` may be called from any thread, the rest on the background thread."""

    users: int
    """Producers that use it; its owner counts them."""

    retiring: bool
    """Whether it is closed once everything is delivered; its owner says so."""

    def __init__(self, target: Target, background: Background) -> None:
        """Raises `ConfigError` for an address that cannot be used."""
        self.target = target
        self.background = background
        self.users = 0
        self.retiring = False
        self._transport = target.open()
        self._outbox = Outbox(rate=target.rate)
        self._cancels = CancelWatch(self._transport, lambda: self._outbox.open)
        self._inbox: dict[Run, Publication] = {}
        self._grown: dict[Run, None] = {}
        self._lock = threading.RLock()
        self._flusher: asyncio.Task[None] | None = None
        self._backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS)
        self._trouble: type[BrokerUnavailable | Denied] | None = None
        self._waited = 0.0
        self._closed = False

    def say(self, run: Run, state: Publication) -> None:
        """Send `state` of `run` when it is due, without waiting for it."""
        with self._lock:
            posted = bool(self._inbox or self._grown)
            waiting = self._inbox.get(run)
            if waiting is None or not waiting.terminal:
                self._inbox[run] = state
        # One call of the other thread for many states: it costs ten times what the rest of this does.
        if not posted and not self.background.post(self._take_in):
            self._inbox.clear()

    def grow(self, run: Run) -> None:
        """Send what was set and appended in `run` when it is due, without waiting for it."""
        with self._lock:
            posted = bool(self._inbox or self._grown)
            self._grown[run] = None
        if not posted and not self.background.post(self._take_in):
            self._grown.clear()

    def start(self) -> None:
        """Begin to send."""
        self._flusher = asyncio.get_running_loop().create_task(self._flush())

    async def publish(self, event: Publication) -> Receipt:
        """Send one event immediately and once. Raises what `Transport.send` raises."""
        return (await self._transport.send([event]))[0]

    async def remove(self, channel: str, content_ids: Sequence[str] | None) -> Removed:
        """Remove contents immediately and once. Raises what `Transport.remove` raises."""
        return await self._transport.remove(channel, content_ids)

    async def feed(self, writes: Sequence[AnyWrite], patience: float) -> list[Written]:
        """Write a batch into feeds. Repeats it for at most `patience` where it is not known whether it arrived, which
        its ids make harmless. Raises what `Transport.feed` raises."""
        backoff, until = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS), time.monotonic() + patience
        while True:
            try:
                return await self._transport.feed(writes)
            except BrokerUnavailable as error:
                pause = max(backoff.next(), getattr(error, "retry_after", 0.0))
                if time.monotonic() + pause > until:
                    raise
                await anyio.sleep(pause)

    def watch(self, run: Run) -> None:
        """Let `run` be told of a request to cancel it, from any thread."""
        self.background.post(partial(self._cancels.add, run))

    async def decided(self, run: Run) -> CancelRequest | None:
        """The request to cancel `run`, once there is one; None where the run is over before."""
        self._cancels.add(run)
        await run.decided.wait()
        return run.cancel

    async def settled(self, run: Run, patience: float) -> bool:
        """Whether the last state of `run` arrived. Waits for it at most `patience`, less what was waited already since
        the target last answered promptly."""
        began = time.monotonic()
        with anyio.move_on_after(0.0 if self._closed else max(patience - self._waited, 0.0)):
            await run.settled.wait()
        self._spend(time.monotonic() - began, arrived=run.settled.is_set())
        return run.delivered

    async def leave(self, owner: object, patience: float) -> None:
        """Deliver what is left of the runs of `owner`, waiting at most as long as in `settled`. Those that have not
        ended are no longer kept alive."""
        runs = [run for run in self._outbox.open if run.owner is owner]
        self._outbox.hurry()
        began = time.monotonic()
        with anyio.move_on_after(max(patience - self._waited, 0.0)):
            await self._outbox.emptied(runs)
        self._spend(time.monotonic() - began, arrived=not any(run.unsettled for run in runs))
        for run in runs:
            run.lease_kept = False
        self._warn_of_undelivered([run for run in self._outbox.endings if run.owner is owner])

    async def end(self, seconds: float) -> None:
        """Report the open runs as cancelled, and deliver what is left within `seconds`."""
        for run in [*self._outbox.open]:
            cancelled = run.cancelled()
            if cancelled is not None and run.say(cancelled):
                self._outbox.offer(run)
        self._outbox.hurry()
        patience = min(seconds, max(PATIENCE_SECONDS - self._waited, 0.0))
        with anyio.move_on_after(patience):
            await self._outbox.emptied()
        self._warn_of_undelivered(self._outbox.endings)

    async def emptied(self) -> None:
        """Return once nothing is undelivered."""
        await self._outbox.emptied()

    async def aclose(self) -> None:
        """Stop sending."""
        self._closed = True
        if self._flusher is not None:
            self._flusher.cancel()
        self._cancels.close()
        await self._transport.aclose()

    def _take_in(self) -> None:
        with self._lock:
            said, self._inbox = self._inbox, {}
            grown, self._grown = self._grown, {}
        for run, state in said.items():
            if run.say(state):
                self._outbox.offer(run)
        for run in grown:
            if run.grow():
                self._outbox.offer(run)

    async def _flush(self) -> None:
        while True:
            await self._outbox.due()
            batch = self._outbox.take()
            if batch:
                await self._send(batch)

    async def _send(self, batch: Sequence[Run]) -> None:
        began = time.monotonic()
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
        except Exception as error:
            logger.debug("sending failed", exc_info=error)
            self._lost(BrokerUnavailable(f"{self._transport.name}: {type(error).__name__}"))
            for run in batch:
                self._outbox.retry(run)
        else:
            self._found(time.monotonic() - began)
            for run, receipt in zip(batch, receipts, strict=True):
                self._outbox.settle(run, receipt)

    async def _bisect(self, batch: Sequence[Run], error: Invalid) -> None:
        """One event of the batch is invalid: find it by bisection, so that the others are not lost with it."""
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._send(batch[:middle])
            await self._send(batch[middle:])
            return
        [run] = batch
        refused = run.sending
        if refused is not None and refused.delta is not None:
            logger.error("content %r: nothing more is appended to it: %s", run.content_id, error)
            run.stop_growing()
            self._outbox.give_up(run)
            return
        if _too_large(error) and run.lighten():
            await self._send(batch)
            return
        smaller = None if refused is None else reduced(refused, len(refused.data) // 2 if _too_large(error) else 0)
        logger.error("content %r: a state is invalid: %s", run.content_id, error)
        if smaller is None:
            self._outbox.give_up(run)
            return
        # The status itself, and above all the end, is delivered without what the hub refuses.
        run.sending = smaller
        await self._send(batch)

    def _lost(self, error: BrokerUnavailable | Denied) -> None:
        if type(error) is not self._trouble:
            self._trouble = type(error)
            denied = isinstance(error, Denied)
            logger.warning("%s; until this is corrected, states are %s", error, "dropped" if denied else "kept")
        asked = error.retry_after if isinstance(error, Busy) else 0.0
        self._outbox.hold(max(asked, self._backoff.next()))

    def _found(self, seconds: float) -> None:
        if self._trouble is not None:
            logger.info("%s takes states again", self._transport.name)
        self._trouble = None
        if seconds < PROMPT_SECONDS:
            self._waited = 0.0
        self._backoff.reset()

    def _spend(self, seconds: float, *, arrived: bool) -> None:
        if not arrived or seconds > PROMPT_SECONDS:
            self._waited += seconds

    def _warn_of_undelivered(self, runs: Sequence[Run]) -> None:
        names = [run.content_id for run in runs if not run.warned]
        for run in runs:
            run.warned = True
        if names:
            named = ", ".join(names[:NAMED_CONTENTS]) + (", …" if len(names) > NAMED_CONTENTS else "")
            logger.warning("the final state of %d contents could not be delivered: %s", len(names), named)


def _too_large(error: Invalid) -> bool:
    return isinstance(error, TooLarge)
