"""Who is asking, and what they may do."""

from __future__ import annotations

import math

import msgspec

from statushub.hub.auth.patterns import ALL, NONE, Patterns
from statushub.hub.model.errors import Forbidden
from statushub.hub.model.names import DEFAULT_TENANT


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever sent a request, as their token says; `tenant` is the wall they are behind.

    `issued` and `expires` are Unix seconds. `within` narrows `read` further: a ticket's wish. `ticket` tells
    that the bearer holds a ticket, which reads and does nothing else.
    """

    tenant: str
    sub: str | None = None
    jti: str | None = None
    issued: float = 0.0
    expires: float = math.inf
    read: Patterns = NONE
    write: Patterns = NONE
    within: Patterns = ALL
    revoke: bool = False
    ticket: bool = False

    @property
    def publisher(self) -> tuple[str, str] | None:
        """Whose pace is counted when this publishes: the token's, as far as it has a name; nobody's without one."""
        return None if self is ANONYMOUS else (self.tenant, self.jti or self.sub or "")

    def may_read(self, channel: str) -> bool:
        """Whether the channel, and the contents in it, may be seen."""
        return self.read.match(channel) and self.within.match(channel)

    def check_read(self, channel: str, field: str) -> None:
        """Raise `Forbidden` naming `field` where the channel may not be read."""
        if not self.may_read(channel):
            raise Forbidden(f"this token does not read the channel {channel!r}", field=field)

    def check_write(self, channel: str, field: str) -> None:
        """Raise `Forbidden` naming `field` where the channel may not be written."""
        if not self.write.match(channel):
            raise Forbidden(f"this token does not write the channel {channel!r}", field=field)


ANONYMOUS = Identity(tenant=DEFAULT_TENANT, read=ALL, write=ALL, revoke=True)
"""Everybody, where there is no key: may do everything in the default tenant."""
