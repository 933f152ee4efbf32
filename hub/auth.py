"""Who is asking."""

from __future__ import annotations

import msgspec
from starlette.requests import HTTPConnection

from hub.model import DEFAULT_TENANT


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever sent a request; `tenant` is the wall they are behind, `sub` their name, where they have one."""

    tenant: str
    sub: str | None = None


def identify(request: HTTPConnection) -> Identity:
    """The identity behind a request. Without authentication everybody is of the default tenant."""
    return Identity(tenant=DEFAULT_TENANT)
