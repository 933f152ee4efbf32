"""How often a failed item is tried again, and after which pauses."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import msgspec

from statushub.hub.model.errors import Invalid

JITTER: Final = 0.5
"""Most that chance adds to a pause, as a part of it: items that failed in the same moment do not return together."""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """An item is tried up to `tries` times. After its first failure it waits `first` seconds, after each further one
    twice as long as before, up to `longest`, and each time up to half as long again."""

    tries: int = 3
    first: float = 1.0
    longest: float = 600.0

    def check(self) -> None:
        """Raise `Invalid` where a value is out of its range."""
        if type(self.tries) is not int or self.tries < 1:
            raise Invalid("retry.tries must be a whole number of at least 1", field="retry")
        if not 0 <= self.first <= self.longest:
            raise Invalid("retry.first must be at least 0, and retry.longest at least as long", field="retry")

    def delay(self, failures: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
        """The seconds before the next try, after so many failures."""
        # The exponent is bounded, because 2.0 ** 1024 overflows.
        pause: float = min(self.first * 2.0 ** min(failures - 1, 64), self.longest)
        return uniform(pause, pause * (1 + JITTER))
