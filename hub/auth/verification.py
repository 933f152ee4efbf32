"""The verification of a token: its signature and its claims become an `Identity`."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Final

import jwt
import msgspec

from statushub.hub.auth.identity import Identity
from statushub.hub.auth.keys import Key
from statushub.hub.auth.patterns import Patterns
from statushub.hub.auth.revocations import NAME_CHARACTERS, TOKEN_SECONDS_MAX
from statushub.hub.auth.tickets import PADDING
from statushub.hub.model.errors import Invalid, Unauthorized
from statushub.hub.model.feed_names import user_channel
from statushub.hub.model.names import DEFAULT_TENANT, check_tenant

TOKEN_BYTES: Final = 8_192
"""Longest token: half of what a request head may have, and many times a usual one."""


class _Claims(msgspec.Struct, kw_only=True):
    """The claims of a token, beside `iss`, `aud` and `nbf`, which PyJWT checks."""

    exp: float
    tenant: str = DEFAULT_TENANT
    sub: str | None = None
    jti: str | None = None
    iat: float = 0.0
    read: list[str] = []
    write: list[str] = []
    cancel: list[str] = []
    revoke: bool = False
    feed_admin: bool = False


class Verification:
    """Verifies tokens by `keys`, the first of each algorithm's."""

    def __init__(
        self, keys: Sequence[Key], *, issuer: str | None, audience: str | None, skew: float, feeds: bool
    ) -> None:
        """`issuer` and `audience` are checked unless they are None; an issuer's clock may be `skew` seconds ahead.
        `feeds` tells that users have channels of their own."""
        self._keys = {algorithm: key for key in keys for algorithm in key.algorithms}
        self._issuer = issuer
        self._audience = audience
        self._skew = skew
        self._feeds = feeds

    async def identity(self, token: str) -> Identity:
        """The identity of a token, which may have expired. Raises `Unauthorized` and `KeysUnavailable`."""
        if len(token) > TOKEN_BYTES:
            raise Unauthorized(f"the token has more than {TOKEN_BYTES} bytes")
        if PADDING in token:
            raise Unauthorized("the token is invalid: it is padded")
        options: Any = {
            # Checked by the caller, at each use and without leeway.
            "verify_exp": False,
            "verify_aud": self._audience is not None,
        }
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            key = self._keys.get(algorithm) if isinstance(algorithm, str) else None
            if key is None:
                raise Unauthorized(f"the token's algorithm must be {' or '.join(self._keys)}")
            claims = jwt.decode(
                token,
                await key.find(str(algorithm), header.get("kid")),
                algorithms=[str(algorithm)],
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._skew,
                options=options,
            )
            return _identity(msgspec.convert(claims, _Claims), feeds=self._feeds)
        except (jwt.PyJWTError, msgspec.ValidationError, Invalid) as error:
            raise Unauthorized(f"the token is invalid: {error}") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise Unauthorized("the token is invalid: it is not a JSON Web Token") from error


def _identity(claims: _Claims, *, feeds: bool) -> Identity:
    """Raises `Invalid` where a claim breaks a rule."""
    for name in ("sub", "jti"):
        value = getattr(claims, name)
        if value is not None and not (1 <= len(value) <= NAME_CHARACTERS and value.isprintable()):
            raise Invalid(f"{name} must have 1 to {NAME_CHARACTERS} printable characters", field=name)
    if not math.isfinite(claims.exp) or claims.exp > time.time() + TOKEN_SECONDS_MAX:
        raise Invalid(f"exp is more than {TOKEN_SECONDS_MAX / 86_400:.0f} days away", field="exp")
    return Identity(
        tenant=check_tenant(claims.tenant),
        sub=claims.sub,
        jti=claims.jti,
        issued=claims.iat,
        expires=claims.exp,
        read=Patterns(claims.read, "read"),
        write=Patterns(claims.write, "write"),
        cancel=Patterns(claims.cancel, "cancel"),
        revoke=claims.revoke,
        own=(user_channel(claims.sub) if claims.sub else "") if feeds and not claims.feed_admin else None,
    )
