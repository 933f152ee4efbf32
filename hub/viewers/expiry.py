"""The doorkeeper: ends the streams of those who may not look any longer."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from statushub.hub.auth import revocations
from statushub.hub.auth.identity import Identity
from statushub.hub.auth.revocations import Revocations
from statushub.hub.viewers.viewer import PullViewer

if TYPE_CHECKING:
    from statushub.hub.hub import Hub

ROUND_SECONDS: Final = 1.0
"""Between looks for tokens that have expired or were revoked: a stream outlives its token by so much, and a look at
10,000 viewers takes a millisecond."""

logger = logging.getLogger(__name__)


class StreamExpiry:
    """Follows the revocations, and looks at every viewer's token once a second."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.revocations = Revocations()

    def trusts(self, identity: Identity) -> bool:
        """Whether the token behind the identity has neither expired nor been revoked."""
        return identity.expires > time.time() and not self.revocations.hold(identity)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow)
            while True:
                await anyio.sleep(ROUND_SECONDS)
                self.revocations.tidy()
                self._look()

    def _look(self) -> None:
        for viewer in self.hub.viewers():
            if not self.trusts(viewer.identity):
                viewer.dismiss()

    async def _follow(self) -> None:
        replica = self.hub.replica(revocations.TENANT, revocations.CHANNEL)
        viewer = PullViewer(self.hub, (replica,), None)
        # Not attached as others are: it is no stream, and the hub has no farewell for it.
        replica.viewers.add(viewer)
        replica.pullers.add(viewer)
        while True:
            # After a reset, too, what was revoked stays revoked, whatever the broker has lost.
            _, entries = viewer.take() or (False, [])
            for entry in entries:
                self._learn(entry.event.data)
            await viewer.wake.wait()

    def _learn(self, data: bytes) -> None:
        try:
            self.revocations.add(revocations.read(data))
        except msgspec.DecodeError:
            logger.warning("somebody else writes where revocations are kept: what cannot be read is skipped")
