"""The client behind a request: its identity, its address, and how much it may read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

from starlette.requests import HTTPConnection, Request

from statushub.hub.auth.identity import Identity
from statushub.hub.http.state import authenticator_of, hub_of, read_limiter_of
from statushub.hub.model.errors import Unauthorized


async def identify(request: HTTPConnection, offered: str | None = None) -> Identity:
    """The identity behind a request, which is neither expired nor revoked; `offered` is a token beside its headers.

    Raises `Unauthorized`, `Forbidden` and `KeysUnavailable` as `Authenticator.identify`.
    """
    return _trusted(request, await authenticator_of(request).identify(request, offered))


def known_identity(request: HTTPConnection, offered: str | None = None) -> Identity | None:
    """As `identify`, where it has not to wait; else None."""
    identity = authenticator_of(request).known(request, offered)
    return None if identity is None else _trusted(request, identity)


def address_of(request: HTTPConnection) -> str:
    """The client's address, as told by the proxies that are trusted; empty where it is unknown."""
    # Interned: each viewer keeps its address, and many share one.
    return sys.intern(request.client.host) if request.client else ""


def _trusted(request: HTTPConnection, identity: Identity) -> Identity:
    if not hub_of(request).trusts(identity):
        raise Unauthorized("the token has been revoked, or has expired")
    return identity


def admit_reader(request: Request, identity: Identity) -> Callable[[int], None]:
    """Raise `TooManyRequests` where this reader has read too much; returns a function that is told how many contents
    it reads now."""
    limiter, reader = read_limiter_of(request), identity.publisher or address_of(request)
    limiter.admit(identity.tenant, reader)
    return partial(limiter.spend, identity.tenant, reader)
