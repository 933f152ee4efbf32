"""Stream expiry: ends the streams whose token expired or was revoked."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing

import anyio
import msgspec

from statushub.hub.auth import revocations
from statushub.hub.auth.identity import Identity
from statushub.hub.auth.revocations import RevocationLimits, Revocations
from statushub.hub.model.event import Event
from statushub.hub.viewers.session import Session

logger = logging.getLogger(__name__)


class StreamExpiry:
    """Follows the revocations, and checks the token of every session periodically."""

    def __init__(
        self,
        sessions: Iterable[Session],
        follow: Callable[[str, str], AsyncGenerator[Event]],
        limits: RevocationLimits,
    ) -> None:
        """`follow` yields the events of a tenant's channel."""
        self._sessions = sessions
        self._follow = follow
        self.revocations = Revocations(limits)

    def trusts(self, identity: Identity) -> bool:
        """Whether the token behind the identity has neither expired nor been revoked."""
        return identity.expires > time.time() and not self.revocations.hold(identity)

    async def run(self, interval: float) -> None:
        """Check every `interval` seconds until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._learn)
            while True:
                await anyio.sleep(interval)
                self.revocations.tidy()
                for session in tuple(self._sessions):
                    if not self.trusts(session.identity):
                        session.expire()

    async def _learn(self) -> None:
        # What was revoked stays revoked after a reset, even where the broker lost it.
        async with aclosing(self._follow(revocations.TENANT, revocations.CHANNEL)) as events:
            async for event in events:
                try:
                    self.revocations.add(revocations.read(event.data))
                except msgspec.DecodeError:
                    logger.warning("a foreign publisher writes to the channel of revocations; skipping its event")
