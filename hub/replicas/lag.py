"""Lag: the later lives of tenants' clocks that this hub has been shown and does not know yet. No I/O."""

from __future__ import annotations

import math
import time
from typing import Final

from cachetools import TTLCache

from statushub.hub.model.cursor import epoch_after, epoch_at, epoch_precedes

FORGED_SECONDS: Final = 3600.0
"""How far an epoch may lie ahead of this hub's clock, and of the known one: clocks of one deployment differ less."""

EPOCHS: Final = 1_024
"""Epochs that are remembered, each for `FORGED_SECONDS`. What forged cursors push out is waited for once more."""


class Lag:
    """Since when each later epoch is looked for. It is looked for `patience` seconds, then it is void."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: TTLCache[tuple[str, str], float] = TTLCache(EPOCHS, FORGED_SECONDS)

    def expect(self, tenant: str, known: str, epoch: str) -> bool:
        """Look for `epoch` from now on, where `known` is what the hub has; False where it is void."""
        if not epoch_precedes(known, epoch) or _is_forged(known, epoch):
            return False
        since = self._since.setdefault((tenant, epoch), time.monotonic())
        return time.monotonic() - since < self._patience

    def void(self, tenant: str, epoch: str) -> None:
        """Look for `epoch` no longer: the clock went back behind it."""
        self._since[(tenant, epoch)] = -math.inf


def _is_forged(known: str, epoch: str) -> bool:
    """Whether the epoch lies further ahead than it can. What is known may be ahead of this hub's clock itself."""
    latest = epoch_at(round((time.time() + FORGED_SECONDS) * 1_000_000))
    return epoch_precedes(latest, epoch) and (not known or epoch_precedes(epoch_after(known, FORGED_SECONDS), epoch))
