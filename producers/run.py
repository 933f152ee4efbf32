"""A run: one try of the work on one content, and its state that is being sent. No I/O."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from typing import Final

from msgspec.structs import replace

from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Refusal

NAME_BYTES: Final = 12
"""Of a run's random name: no two runs of a content ever share one."""

RENEWALS: Final = 3
"""Renewals within one lease: neither a lost nor a late one lets it run out."""


class Run:
    """One run of the work on one content.

    A state gets its seq when it is first sent and keeps it when it is sent again, so that the fence recognises a
    repeat. The run has a random name and says its age with each call, so that the broker knows which of two runs began
    later, whatever the clocks of their machines. A caller's own `attempt` replaces the name. `settled` is set once
    nothing more will be sent: the last state was delivered or given up, or a state was `refused`.
    """

    def __init__(self, first: Publication) -> None:
        """`first` has the channel, the content, the lease and, where the caller chose one, the attempt."""
        self.channel = first.channel
        self.content_id = first.content_id
        self.lease = first.lease
        self.attempt = first.attempt
        self.name = secrets.token_hex(NAME_BYTES) if first.attempt is None else None
        # A later run may join an attempt that its caller chose. Its seqs must be higher than those of the earlier run,
        # which are not known here; the clock is.
        self.seq = 0 if self.name else time.time_ns() // 1_000
        self._explicit = first.attempt
        self._began = time.monotonic()
        self._restarts = False
        self.pending: Publication | None = None
        self.sending: Publication | None = None
        self.latest: Publication | None = None
        self.said_at = self.sent_at = -math.inf
        self.due: float | None = None
        self.leased = False
        self.ended = self.delivered = False
        self.refused: Refusal | None = None
        self.settled = asyncio.Event()

    @property
    def unsettled(self) -> bool:
        """Whether a state has not been answered yet."""
        return self.pending is not None or self.sending is not None

    @property
    def alive_until(self) -> float | None:
        """When the lease must be renewed, on the monotonic clock; None without a lease."""
        if self.lease is None or self.latest is None:
            return None
        return self.sent_at + self.lease / RENEWALS

    def say(self, publication: Publication) -> bool:
        """Replace the state that has not been sent yet by `publication`; returns whether it has to be scheduled.

        Nothing is accepted after a final state or a refusal.
        """
        if self.ended or self.settled.is_set():
            return False
        waiting, self.pending = self.pending, publication
        self.ended = publication.terminal
        if waiting is not None and not self.ended:
            return False
        self.said_at = time.monotonic()
        return True

    def repeat(self) -> None:
        """Send the latest state again."""
        self.pending = self.latest
        self.said_at = time.monotonic()

    def when(self, interval: float) -> float:
        """When the unsettled state is due; `interval`, in seconds, is the least time between two states."""
        if self.ended or self.sending is not None:
            return self.said_at
        return max(self.said_at, self.sent_at + interval)

    def prepare(self, now: float) -> int:
        """Set `sending` to the state to send now; returns the most bytes that it adds to a call."""
        if self.pending is not None:
            self.seq += 1
            self.sending = replace(
                self.pending, attempt=self._explicit, run=self.name, seq=self.seq, restart=self._restarts
            )
            self.latest, self.pending = self.pending, None
        if self.sending is not None and self.name:
            self.sending = replace(self.sending, age_ms=round((now - self._began) * 1_000))
        self.sent_at = now
        # Names may take four bytes a character.
        return (len(self.sending.data) if self.sending else 0) + 4 * (len(self.channel) + len(self.content_id)) + 512

    def accepted(self, attempt: int | None) -> None:
        """The state that was sent is stored, as a part of this attempt."""
        self.attempt, self._restarts = attempt, False
        if self.sending is not None and self.sending.terminal:
            self.conclude(delivered=True)
        self.sending = None

    def reopen(self) -> None:
        """Go on under the next attempt, with the latest state."""
        self._restarts = True
        self.pending = self.pending or self.latest
        self.sending = None

    def conclude(self, *, delivered: bool = False, reason: Refusal | None = None) -> None:
        """Nothing more will be sent of this run."""
        self.pending = self.sending = self.latest = None
        self.delivered, self.refused = delivered, reason
        self.settled.set()
