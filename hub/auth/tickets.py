"""Tickets: short-lived credentials for the URL of an `EventSource`, which cannot send a header.

The hub signs a ticket for the bearer of a token. It allows reading what the token allows, or a part of that, for
some seconds, as often as a reconnect needs it. Streams that it opened end when the token expires.
"""

from __future__ import annotations

import hmac
import math
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from statushub.hub.auth.identity import Identity
from statushub.hub.auth.patterns import ALL, Patterns
from statushub.hub.model.errors import Invalid, Unauthorized
from statushub.hub.model.feed_names import user_channel

TICKET_CHARACTERS: Final = 2_048
"""Longest ticket: proxies limit the length of a URL."""

PADDING: Final = "="
"""Stands in no token (RFC 7515, section 2). PyJWT takes it: so a token would have several texts."""

_PURPOSE: Final = b"statushub ticket"
_ALGORITHM: Final = "HS256"


class _Claims(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The claims of a ticket; `until` is when the bearer's token expires."""

    exp: float
    tenant: str
    until: float | None = None
    sub: str | None = None
    jti: str | None = None
    issued: float = 0.0
    read: list[str] = []
    within: list[str] | None = None
    own: bool | None = None
    """Whether the bearer's own channel may be read; None where channels of users are like any other."""


class Tickets:
    """Issues and verifies tickets. Hubs that share `secret` accept each other's; a ticket is good for `seconds`."""

    def __init__(self, secret: bytes, seconds: float) -> None:
        # A derived key, so that a ticket is never accepted as a token, nor a token as a ticket.
        self._key = hmac.digest(secret, _PURPOSE, "sha256")
        self.seconds = seconds

    def give(self, bearer: Identity, within: Sequence[str] | None) -> tuple[str, float]:
        """A ticket for what `bearer` may read, or for the part of it that `within` covers; and its life in seconds.

        Raises `Invalid` naming `read` where a pattern is wrong or the ticket would be too long, `Forbidden` where
        `within` has only channels and the bearer may not read one of them.
        """
        now = time.time()
        expires = min(now + self.seconds, bearer.expires)
        read: Sequence[str] = bearer.read.texts
        narrowed = None if within is None else list(Patterns(within, "read").texts)
        own = None if bearer.own is None else bool(bearer.own) and (narrowed is None or bearer.own in narrowed)
        if narrowed is not None and all("*" not in name for name in narrowed):
            # Channels without wildcards are checked here, so the ticket need not hold the bearer's patterns as well.
            for index, name in enumerate(narrowed):
                bearer.check_read(name, f"read[{index}]")
            read, narrowed = narrowed, None
        elif own is not None:
            # Patterns within the ticket say whether they cover it.
            own = bool(bearer.own)
        claims = _Claims(
            exp=expires,
            tenant=bearer.tenant,
            until=None if math.isinf(bearer.expires) else bearer.expires,
            sub=bearer.sub,
            jti=bearer.jti,
            issued=bearer.issued,
            read=list(read),
            within=narrowed,
            own=own,
        )
        # Imported on use: a hub without keys needs no ticket, and PyJWT takes 9 MB with cryptography.
        import jwt

        ticket = jwt.encode(msgspec.to_builtins(claims), self._key, _ALGORITHM)
        if len(ticket) > TICKET_CHARACTERS or PADDING in ticket:
            raise Invalid("the ticket would be too long: name fewer channels or patterns in read", field="read")
        return ticket, expires - now

    def read(self, ticket: str) -> Identity:
        """The identity behind a ticket. Raises `Unauthorized`."""
        if len(ticket) > TICKET_CHARACTERS:
            raise Unauthorized("the ticket is invalid")
        import jwt

        options: Any = {"verify_exp": False, "verify_sub": False, "verify_jti": False}
        try:
            claims = msgspec.convert(jwt.decode(ticket, self._key, [_ALGORITHM], options=options), _Claims)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, TypeError, RecursionError) as error:
            raise Unauthorized("the ticket is invalid") from error
        if claims.exp <= time.time():
            raise Unauthorized("the ticket has expired")
        return Identity(
            tenant=claims.tenant,
            sub=claims.sub,
            jti=claims.jti,
            issued=claims.issued,
            expires=math.inf if claims.until is None else claims.until,
            read=Patterns(claims.read),
            within=ALL if claims.within is None else Patterns(claims.within),
            ticket=True,
            own=None if claims.own is None else user_channel(claims.sub) if claims.own and claims.sub else "",
        )
