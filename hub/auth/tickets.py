"""Tickets: what a page puts into the address of an `EventSource`, which cannot send a header.

A ticket is signed by the hub, says what its bearer's token says, and no more: it reads, it may be narrowed,
it opens streams and answers polls for some seconds (as often as a reconnect needs it), and what it opened
ends when the token would.
"""

from __future__ import annotations

import hmac
import math
import time
from collections.abc import Sequence
from typing import Any, Final

import jwt
import msgspec

from statushub.hub.auth.identity import Identity
from statushub.hub.auth.patterns import ALL, Patterns
from statushub.hub.model.errors import Invalid, Unauthorized

TICKET_CHARACTERS: Final = 2_048
"""Longest ticket that is given: with the rest of an address it must fit what proxies take."""

_PURPOSE: Final = b"statushub ticket"
_ALGORITHM: Final = "HS256"


class _Claims(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a ticket says; `until` is when the bearer's token expires."""

    exp: float
    tenant: str
    until: float | None = None
    sub: str | None = None
    jti: str | None = None
    issued: float = 0.0
    read: list[str] = []
    within: list[str] | None = None


class Tickets:
    """Gives and reads tickets. `secret` is shared by all hubs that are to take them; `seconds` is their life."""

    def __init__(self, secret: bytes, seconds: float) -> None:
        # A key of its own, so that no ticket is ever a token, nor a token a ticket.
        self._key = hmac.digest(secret, _PURPOSE, "sha256")
        self.seconds = seconds

    def give(self, bearer: Identity, within: Sequence[str] | None) -> tuple[str, float]:
        """A ticket for what `bearer` may read, or of that what `within` covers; and the seconds it is good for.

        Raises `Invalid` naming `read` where that makes no ticket.
        """
        now = time.time()
        expires = min(now + self.seconds, bearer.expires)
        read: Sequence[str] = bearer.read.texts
        narrowed = None if within is None else list(Patterns(within, "read").texts)
        if narrowed is not None and all("*" not in name for name in narrowed):
            # Names need no pattern beside them: those that the bearer may read are all there is to say.
            for place, name in enumerate(narrowed):
                bearer.check_read(name, f"read[{place}]")
            read, narrowed = narrowed, None
        claims = _Claims(
            exp=expires,
            tenant=bearer.tenant,
            until=None if math.isinf(bearer.expires) else bearer.expires,
            sub=bearer.sub,
            jti=bearer.jti,
            issued=bearer.issued,
            read=list(read),
            within=narrowed,
        )
        ticket = jwt.encode(msgspec.to_builtins(claims), self._key, _ALGORITHM)
        if len(ticket) > TICKET_CHARACTERS:
            raise Invalid("these patterns make too long a ticket: ask for the channels it is to read", field="read")
        return ticket, expires - now

    def read(self, ticket: str) -> Identity:
        """The identity behind a ticket. Raises `Unauthorized`."""
        if len(ticket) > TICKET_CHARACTERS:
            raise Unauthorized("the ticket is invalid")
        options: Any = {"verify_exp": False, "verify_sub": False, "verify_jti": False}
        try:
            claims = msgspec.convert(jwt.decode(ticket, self._key, [_ALGORITHM], options=options), _Claims)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, TypeError, RecursionError) as error:
            raise Unauthorized("the ticket is invalid") from error
        if claims.exp <= time.time():
            raise Unauthorized("the ticket has expired: ask for another")
        return Identity(
            tenant=claims.tenant,
            sub=claims.sub,
            jti=claims.jti,
            issued=claims.issued,
            expires=math.inf if claims.until is None else claims.until,
            read=Patterns(claims.read),
            within=ALL if claims.within is None else Patterns(claims.within),
            ticket=True,
        )
