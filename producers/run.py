"""A run: one try of the work on one content, and its state that is being sent. No I/O."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Final

from msgspec.structs import replace

from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.event import decode
from statushub.hub.model.publication import EVENT_BYTES, Publication, publication
from statushub.hub.model.receipt import Refusal
from statushub.producers.growth import Growth
from statushub.producers.reduction import fitting
from statushub.producers.single import run_name

CANCELLED: Final = {"error_message": "cancelled", "error_code": "cancelled"}
"""How a work ends that was interrupted, or left."""

DELTA_SECONDS: Final = 0.05
"""Least time between two deltas: twenty a second look like typing, and tokens come faster."""

WHOLE_SECONDS: Final = 0.5
"""How long a whole state waits while deltas come."""

RENEWALS: Final = 3
"""Renewals within one lease: neither a lost nor a late one lets it run out."""


class Run:
    """One run of the work on one content.

    A state gets its seq when it is first sent and keeps it when it is sent again, so that the fence recognises a
    repeat. The run has a random name and says its age with each call, so that the broker knows which of two runs began
    later, whatever the clocks of their machines. A caller's own `attempt` replaces the name. `settled` is set once
    nothing more will be sent: the last state was delivered or given up, or a state was `refused`.
    """

    def __init__(self, first: Publication, owner: object = None, name: str | None = None) -> None:
        """`first` has the channel, the content, the lease and, where the caller chose one, the attempt. `owner` is
        whose run it is, `name` the caller's own."""
        self.owner = owner
        self.channel = first.channel
        self.content_id = first.content_id
        self.lease = first.lease
        self.attempt = first.attempt
        self.name = name or (run_name() if first.attempt is None else None)
        # A later process may join an attempt or a run that its caller chose. Its seqs must be higher than those of the
        # earlier one, which are not known here; the clock is.
        self.seq = 0 if self.name and not name else time.time_ns() // 1_000
        self.aside = False
        """Whether another process carries the run out: it alone orders its states and reopens it."""
        self._explicit = first.attempt
        self._began = time.monotonic()
        self._restarts = False
        self.pending: Publication | None = None
        self.sending: Publication | None = None
        self.latest: Publication | None = None
        self.growth = Growth()
        self._established = False
        self._growing = True
        self._unended: Publication | None = None
        self._epoch: str | None = None
        self._whole_at = -math.inf
        self.said_at = self.sent_at = -math.inf
        self.due: float | None = None
        self.leased = self.urgent = False
        self.lease_kept, self.warned = True, False
        self.ended = self.delivered = False
        self.refused: Refusal | None = None
        self.settled = asyncio.Event()
        self.cancel: CancelRequest | None = None
        self.decided = asyncio.Event()
        """Set once it is asked to cancel, or settled."""
        self._asked: tuple[int, CancelRequest] | None = None

    @property
    def unsettled(self) -> bool:
        """Whether a state, or what was appended to it, has not been answered yet."""
        if self.pending is not None or self.sending is not None:
            return True
        return self._growing and not self.aside and self.latest is not None and self.growth.waiting

    @property
    def begins(self) -> bool:
        """Whether nothing of it was accepted yet, nor has it gone on by a restart."""
        return self.attempt is None and not self._restarts

    @property
    def alive_until(self) -> float | None:
        """When the lease must be renewed, on the monotonic clock; None where it need not be."""
        if not self.lease or self.latest is None or not self.lease_kept:
            return None
        return self.sent_at + self.lease / RENEWALS

    def say(self, publication: Publication) -> bool:
        """Replace the state that has not been sent yet by `publication`; returns whether it has to be scheduled.

        Nothing is accepted after a final state or a refusal.
        """
        if self.ended or self.settled.is_set():
            return False
        waiting, self.pending = self.pending, publication
        self.ended, self._growing = publication.terminal, True
        if self.ended:
            # An ending is accepted although the hub has lost the text, and a delta before it is not.
            self.growth.touch()
        if waiting is not None and not self.ended:
            return False
        self.said_at = time.monotonic()
        return True

    def grow(self) -> bool:
        """Something was set or appended; returns whether that has to be scheduled."""
        if self.settled.is_set():
            return False
        self._growing = True
        if self.pending is None and self.sending is None:
            self.said_at = time.monotonic()
        return True

    def regrow(self) -> None:
        """The hub does not have what the delta follows: send the whole state, and all that was appended."""
        self.growth.rewind()
        self._established = False
        # Of a run that has ended, the latest state is the ending.
        whole = None if self.ended else self.growth.whole
        self.pending, self.sending = self.pending or whole or self.latest, None

    def give_up(self) -> None:
        """What was sent will never be accepted; what was appended comes again with the next state."""
        self.sending = None
        self._established = self._growing = False
        self.growth.rewind()
        if self.ended:
            # The ending is more important.
            self.growth.stop()

    def lighten(self) -> bool:
        """Let the state that is sent have nothing of what is appended, which follows it; returns whether it had."""
        lighter = None if self.sending is None or self.sending.delta is not None else self.growth.emptied(self.sending)
        if lighter is not None:
            self.sending = lighter
        return lighter is not None

    def stop_growing(self) -> None:
        """Send nothing more of what is appended."""
        self.growth.stop()
        self.sending = None

    def repeat(self) -> None:
        """Send the latest state again."""
        self.pending = self.latest
        self.said_at = time.monotonic()

    def when(self, interval: float) -> float:
        """When the unsettled state is due; `interval`, in seconds, is the least time between two states."""
        if self.ended or self.urgent or self.sending is not None:
            return self.said_at
        if self._grows():
            return max(self.said_at, self.sent_at + DELTA_SECONDS)
        return max(self.said_at, self.sent_at + interval)

    def prepare(self, now: float) -> int:
        """Set `sending` to the state to send now, or to what was appended; returns the most bytes that it adds to a
        call."""
        if self.sending is not None and self.sending.delta is not None:
            pass  # whatever became of it, the next one follows it
        elif self.sending is None and self._grows() and not self._whole_waits(now):
            self._take_delta()
        elif self.pending is not None or self.sending is None:
            self._take_whole(now)
        if self.sending is not None and self.name:
            self.sending = replace(self.sending, age_ms=round((now - self._began) * 1_000))
        self.sent_at, self.urgent = now, False
        # Names may take four bytes a character.
        return (len(self.sending.data) if self.sending else 0) + 4 * (len(self.channel) + len(self.content_id)) + 512

    def _grows(self) -> bool:
        """Whether a delta can be sent next: the hub has a whole state of the attempt, which has not ended."""
        return self._established and not self.aside and not self.growth.renews and self.growth.waiting

    def _whole_waits(self, now: float) -> bool:
        """Whether it is the turn of a whole state, although something was appended; a final one comes last."""
        return self.pending is not None and not self.pending.terminal and now - self._whole_at >= WHOLE_SECONDS

    def _take_delta(self) -> None:
        sets, appends = self.growth.take()
        if not sets and not appends:
            return
        self.latest = self._unended = self.growth.whole or self._unended
        follows, self.seq = self.seq, self.seq + 1
        delta = publication(
            channel=self.channel,
            content_id=self.content_id,
            seq=self.seq,
            lease=self.lease,
            delta={"follows": follows, "set": sets, "append": appends},
        )
        self.sending = replace(delta, attempt=self._explicit, run=self.name)

    def _take_whole(self, now: float) -> None:
        state = self.pending or self.growth.whole or self.latest
        if state is None:
            return
        if state.terminal and not self.aside and self.growth.waiting:
            # What was appended comes before the ending, and needs a state to be appended to.
            state = self.growth.whole or self._unended or self._opening()
        else:
            self.latest, self.pending = state, None
        if not state.terminal:
            self._unended = state
        self.seq += 1
        self.sending = replace(
            state if self.aside else self.growth.named(state),
            attempt=self._explicit,
            run=self.name,
            # The lowest, so that a late one never replaces what the other process says; an end is the last word.
            seq=1 if self.aside and not state.terminal else self.seq,
            restart=self._restarts,
        )
        self._whole_at = now

    def _opening(self) -> Publication:
        data = {"status": "processing"}
        return publication(channel=self.channel, content_id=self.content_id, data=data, lease=self.lease)

    def cancelled(self) -> Publication | None:
        """The ending of a work that its program left, from what it last said; None where nothing was said."""
        said = self.pending or self.growth.whole or self.latest
        if self.ended or said is None or not self.lease_kept:
            return None
        data = {**decode(said.data), "status": "error", **CANCELLED}
        data.pop("processing_status", None)
        data.pop("timestamp", None)
        fits = fitting(data, EVENT_BYTES)
        return publication(channel=self.channel, content_id=self.content_id, data=fits, lease=self.lease)

    def ask(self, attempt: int, request: CancelRequest) -> None:
        """The attempt is to be cancelled; one that is not known yet to be this run's is remembered."""
        if self.attempt is None:
            self._asked = attempt, request
        elif self.attempt == attempt and not self.settled.is_set():
            self.cancel = request
            self.decided.set()

    def accepted(self, attempt: int | None, cancel: CancelRequest | None = None, epoch: str = "") -> None:
        """The state that was sent is stored, as a part of this attempt, which `cancel` asks to cancel, in this life of
        the hub's clock."""
        if attempt != self.attempt:
            # A request was for the attempt before.
            self.cancel = None
            self.decided.clear()
        self.attempt, self._restarts = attempt, False
        if cancel is not None and attempt is not None:
            self.ask(attempt, cancel)
        elif self._asked is not None:
            asked, self._asked = self._asked, None
            self.ask(*asked)
        if self.sending is not None and self.sending.terminal:
            self.conclude(delivered=True)
        elif self.sending is not None and self.sending.delta is None:
            self._established = True
            self.growth.renewed()
            if epoch != self._epoch and self._epoch is not None and self.growth.names:
                # It was taken as the first one, where the hub has lost what was there.
                self.regrow()
        self._epoch = epoch
        self.sending = None

    def reopen(self) -> None:
        """Go on under the next attempt, with the latest state."""
        self._restarts = True
        self.regrow()

    def conclude(self, *, delivered: bool = False, reason: Refusal | None = None) -> None:
        """Nothing more will be sent of this run."""
        self.pending = self.sending = self.latest = self._unended = None
        self.growth.stop()
        self.delivered, self.refused = delivered, reason
        self.settled.set()
        self.decided.set()
