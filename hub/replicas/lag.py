"""Lag: the later lives of tenants' clocks that this hub has been shown and does not know yet. No I/O."""

from __future__ import annotations

import math
import time
from typing import Final

from cachetools import TTLCache

from statushub.hub.model.cursor import epoch_at, epoch_precedes

FORGED_SECONDS: Final = 3600.0
"""How far an epoch may lie ahead of this hub's clock: further than clocks of one deployment differ."""

EPOCHS: Final = 1_024
"""Epochs that are remembered, each for `FORGED_SECONDS`. What forged cursors push out is waited for once more."""


class Lag:
    """Since when each later epoch is looked for. It is looked for `patience` seconds, then it is void."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: TTLCache[tuple[str, str], float] = TTLCache(EPOCHS, FORGED_SECONDS)

    def expect(self, tenant: str, known: str, epoch: str) -> bool:
        """Look for `epoch` from now on, where `known` is what the hub has; False where it is void."""
        if not epoch_precedes(known, epoch) or epoch_precedes(_latest_epoch(), epoch):
            return False
        since = self._since.setdefault((tenant, epoch), time.monotonic())
        return time.monotonic() - since < self._patience

    def void(self, tenant: str, epoch: str) -> None:
        """Look for `epoch` no longer: the clock went back behind it."""
        self._since[(tenant, epoch)] = -math.inf


def _latest_epoch() -> str:
    return epoch_at(round((time.time() + FORGED_SECONDS) * 1_000_000))
