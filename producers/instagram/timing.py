"""The pauses of a client of the Graph API, in seconds."""

from __future__ import annotations

import msgspec


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Tests run with shorter ones."""

    minute: float = 60.0
    """What the API calls a minute."""
    limited: float = 300.0
    limited_longest: float = 3600.0
    """The pause after a limit that tells no time: doubled while it lasts, up to the hour over which limits count."""
    retry: float = 1.0
    retry_longest: float = 30.0
    """The pause after a failure that passes."""
