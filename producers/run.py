"""A run: one attempt at the work on one content, and the one state of it that is on its way. No I/O."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Refusal

SIGNS: Final = 3
"""Signs of life within one lease: neither one that is lost nor one that is late ends it."""


class Run:
    """One run of the work on one content.

    A state gets its `(attempt, seq)` when it is first sent and keeps them however often it is sent again,
    so the fence knows a repeat. `settled` is set once nothing more will be sent: the last state was
    delivered, or given up, or a state was `refused`.
    """

    def __init__(self, first: Publication, attempts: Callable[[], int]) -> None:
        """`first` brings channel, content, lease and, where the caller counts them, the attempt."""
        self.channel = first.channel
        self.content_id = first.content_id
        self.lease = first.lease
        self.automatic = first.attempt is None
        self.attempt = attempts() if first.attempt is None else first.attempt
        # A later run may join an attempt that its caller numbers. It must count on from where the earlier
        # one stopped, which nobody remembers; the clock is beyond it.
        self.seq = 0 if self.automatic else attempts()
        self.pending: Publication | None = None
        self.sending: Publication | None = None
        self.latest: Publication | None = None
        self.said_at = self.sent_at = -math.inf
        self.due: float | None = None
        self.watched = False
        self.ended = self.delivered = False
        self.refused: Refusal | None = None
        self.settled = asyncio.Event()

    @property
    def unsettled(self) -> bool:
        """Whether something that was said has not been answered for."""
        return self.pending is not None or self.sending is not None

    @property
    def alive_until(self) -> float | None:
        """When the next sign of life is due; None where nobody waits for one."""
        if self.lease is None or self.latest is None:
            return None
        return self.sent_at + self.lease / SIGNS

    def say(self, publication: Publication) -> bool:
        """Put `publication` in the place of what has not been sent yet; whether it has to be scheduled.

        Nothing comes after the end, nor after a refusal.
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
        """Say the latest state again."""
        self.pending = self.latest
        self.said_at = time.monotonic()

    def when(self, interval: float) -> float:
        """The moment at which what is unsettled is due; `interval` keeps two states of one content apart."""
        if self.ended or self.sending is not None:
            return self.said_at
        return max(self.said_at, self.sent_at + interval)

    def prepare(self, now: float) -> int:
        """Make `sending` what is to be sent now, and return its weight: the bytes it adds to a call, at most."""
        if self.pending is not None:
            self.seq += 1
            self.sending = replace(self.pending, attempt=self.attempt, seq=self.seq)
            self.latest, self.pending = self.pending, None
        self.sent_at = now
        # Names may take four bytes a character.
        return (len(self.sending.data) if self.sending else 0) + 4 * (len(self.channel) + len(self.content_id)) + 512

    def accepted(self) -> None:
        """What was sent is stored."""
        if self.sending is not None and self.sending.terminal:
            self.conclude(delivered=True)
        self.sending = None

    def reopen(self, attempt: int) -> None:
        """Go on under a new attempt, with the latest state."""
        self.attempt, self.seq = attempt, 0
        self.pending = self.pending or self.latest
        self.sending = None

    def conclude(self, *, delivered: bool = False, reason: Refusal | None = None) -> None:
        """Nothing more will be sent of this run."""
        self.pending = self.sending = self.latest = None
        self.delivered, self.refused = delivered, reason
        self.settled.set()
