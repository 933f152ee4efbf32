"""Identities: who sends a request, and what they may do."""

from __future__ import annotations

import math

import msgspec

from statushub.hub.auth.patterns import ALL, NONE, Patterns
from statushub.hub.model.errors import Forbidden
from statushub.hub.model.feed_names import USERS
from statushub.hub.model.names import DEFAULT_TENANT


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The sender of a request, as their token says; nothing outside of `tenant` is visible to them.

    `issued` and `expires` are Unix seconds. `within` narrows `read` further, as a ticket request asked. `ticket`
    tells that this is the bearer of a ticket, which only reads.

    Where users have channels of their own, `own` is the only one of these that may be read, whatever the patterns say;
    empty for none. Where it is None they are channels like any other.
    """

    tenant: str
    sub: str | None = None
    jti: str | None = None
    issued: float = 0.0
    expires: float = math.inf
    read: Patterns = NONE
    write: Patterns = NONE
    cancel: Patterns = NONE
    within: Patterns = ALL
    revoke: bool = False
    ticket: bool = False
    own: str | None = None

    @property
    def publisher(self) -> str | None:
        """Whose rate limit requests count towards: the token's `sub`, else its `jti`; None for `ANONYMOUS`."""
        return None if self is ANONYMOUS else self.sub or self.jti or "-"

    @property
    def reads_all(self) -> bool:
        """Whether every channel may be read, but for those of other users."""
        return self.read.everything and self.within.everything

    def may_read(self, channel: str) -> bool:
        """Whether the channel and its contents may be read."""
        if self.own is not None and channel.startswith(USERS):
            return channel == self.own and self.within.match(channel)
        return self.read.match(channel) and self.within.match(channel)

    def may_write(self, channel: str) -> bool:
        """Whether the channel may be published into."""
        return self.write.match(channel)

    def may_cancel(self, channel: str) -> bool:
        """Whether the work on contents of the channel may be cancelled."""
        return self.cancel.match(channel) or self.write.match(channel)

    def check_cancel(self, channel: str, field: str) -> None:
        """Raise `Forbidden` naming `field` where contents of the channel may not be cancelled."""
        if not self.may_cancel(channel):
            raise Forbidden(f"this token does not allow cancelling in the channel {channel!r}", field=field)

    def check_read(self, channel: str, field: str) -> None:
        """Raise `Forbidden` naming `field` where the channel may not be read."""
        if not self.may_read(channel):
            raise Forbidden(f"this token does not allow reading the channel {channel!r}", field=field)

    def check_write(self, channel: str, field: str) -> None:
        """Raise `Forbidden` naming `field` where the channel may not be written."""
        if not self.may_write(channel):
            raise Forbidden(f"this token does not allow writing the channel {channel!r}", field=field)


ANONYMOUS = Identity(tenant=DEFAULT_TENANT, read=ALL, write=ALL, revoke=True)
"""The sender of every request where there is no key: may do everything in the default tenant."""
