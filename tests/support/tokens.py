"""Tokens as an application mints them, and authenticators that accept them."""

from __future__ import annotations

import time
from typing import Any

import jwt

from statushub.hub.auth.tokens import Authenticator, open_auth

SECRET = "0123456789abcdef" * 4
OTHER_SECRET = "fedcba9876543210" * 4


def token(secret: Any = SECRET, algorithm: str = "HS256", *, head: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token for an hour that reads and writes everything, unless `claims` override it; None removes a claim."""
    now = time.time()
    merged = {"tenant": "acme", "iat": int(now), "exp": now + 3600, "read": ["**"], "write": ["**"]} | claims
    kept = {name: value for name, value in merged.items() if value is not None}
    return jwt.encode(kept, secret, algorithm, headers=head)


def bearer(secret: Any = SECRET, algorithm: str = "HS256", **claims: Any) -> dict[str, str]:
    """The `Authorization` header with such a token."""
    return {"Authorization": f"Bearer {token(secret, algorithm, **claims)}"}


def authenticator(**keys: Any) -> Authenticator:
    """An authenticator with these keys, named as for `open_auth`."""
    chosen: dict[str, Any] = {"secret": SECRET, "ticket_ttl": 30.0, "cookie": "statushub_token", "origins": ()} | keys
    return open_auth(**chosen)
