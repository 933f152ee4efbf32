"""The client behind a request: its identity and its address."""

from __future__ import annotations

import sys

from starlette.requests import Request

from statushub.hub.auth.identity import Identity
from statushub.hub.http.state import authenticator_of, hub_of
from statushub.hub.model.errors import Unauthorized


async def identify(request: Request) -> Identity:
    """The identity behind a request, which is neither expired nor revoked.

    Raises `Unauthorized`, `Forbidden` and `KeysUnavailable` as `Authenticator.identify`.
    """
    identity = await authenticator_of(request).identify(request)
    if not hub_of(request).trusts(identity):
        raise Unauthorized("the token has been revoked, or has expired")
    return identity


def address_of(request: Request) -> str:
    """The client's address, as told by the proxies that are trusted; empty where it is unknown."""
    # Interned: each viewer keeps its address, and many share one.
    return sys.intern(request.client.host) if request.client else ""
