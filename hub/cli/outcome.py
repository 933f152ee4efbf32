"""How a check of `statushub check` ended."""

from __future__ import annotations

import msgspec


class Outcome(msgspec.Struct, frozen=True):
    """How a check ended: a sentence, and the exit code where it failed."""

    sentence: str
    code: int = 0
    skipped: bool = False

    @property
    def word(self) -> str:
        """`ok`, `FAIL` or `skip`."""
        return "FAIL" if self.code else "skip" if self.skipped else "ok"
