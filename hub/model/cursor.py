"""Cursors: places on a tenant's clock."""

from __future__ import annotations

import re
import string
from typing import Final

import msgspec

from statushub.hub.model.errors import Invalid

COUNTER_MAX: Final = 2**53 - 1
"""Largest attempt, seq or offset: what Lua and JavaScript count exactly (RFC 8259, section 6)."""

CURSOR_CHARACTERS: Final = 64
"""Longest cursor that is parsed; a real one has under 30. Fetch preflights `Last-Event-ID` over 128 bytes."""

_DIGITS: Final = string.digits + string.ascii_lowercase

_EPOCH_DIGITS: Final = 11
"""Most digits of an epoch: `COUNTER_MAX` microseconds have 11. Longer ones are of a former version."""

_SECOND: Final = 1_000_000
"""Microseconds."""

_CURSOR = re.compile(r"([a-z0-9]{1,32})-(0|[1-9][0-9]{0,15})", re.ASCII)


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """A place on a tenant's clock, written `<epoch>-<offset>`; safe as an SSE id and as an ETag."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"

    def precedes(self, other: Cursor) -> bool:
        """Whether the clock came to `other` later than to this place."""
        if self.epoch == other.epoch:
            return self.offset < other.offset
        return epoch_precedes(self.epoch, other.epoch)

    @classmethod
    def parse(cls, text: str, *, field: str = "since") -> Cursor:
        """Read a cursor. Raises `Invalid` naming `field` where the text is none."""
        match = _CURSOR.fullmatch(text) if len(text) <= CURSOR_CHARACTERS else None
        if match is None or int(match[2]) > COUNTER_MAX:
            raise Invalid(f"{field} is not a cursor: expected <epoch>-<offset>, such as k3f9a2-184", field=field)
        return cls(epoch=match[1], offset=int(match[2]))


def epoch_precedes(epoch: str, other: str) -> bool:
    """Whether the life of the clock that `other` names began later than that of `epoch`."""
    return (len(epoch), epoch) < (len(other), other)


def epoch_at(microseconds: int) -> str:
    """The epoch of a clock that begins a life at that Unix time: its digits in base 36."""
    name = ""
    while microseconds > 0:
        microseconds, digit = divmod(microseconds, 36)
        name = _DIGITS[digit] + name
    return name


def epoch_after(epoch: str, seconds: float) -> str:
    """The epoch of a clock that begins a life so much later; of one that is no time, the epoch itself."""
    return epoch_at(int(epoch, 36) + round(seconds * _SECOND)) if len(epoch) <= _EPOCH_DIGITS else epoch


def next_epoch(stored: str | None, microseconds: int) -> str:
    """The epoch of a clock that begins another life at that Unix time, later than `stored`.

    Where the clock of the machine was set back, it is drawn from the second after `stored`, lest two restored copies of
    one clock begin the same.
    """
    last = int(stored, 36) if stored and len(stored) <= _EPOCH_DIGITS else 0
    if microseconds > last or last >= COUNTER_MAX - _SECOND:
        return epoch_at(microseconds)
    return epoch_at(last + 1 + microseconds % _SECOND)
