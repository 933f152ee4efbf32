"""The claims of a token, unverified: only the hub can tell whether they are true."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from typing import Any

import msgspec

from statushub.hub.cli.failure import USAGE, Failure

_decoder = msgspec.json.Decoder(dict[str, Any])


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JWT (RFC 7519). Raises `Failure` where it is not one."""
    try:
        _, claims, _ = token.strip().split(".")
        return _decoder.decode(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    except (ValueError, binascii.Error, msgspec.DecodeError, UnicodeError, RecursionError):
        # Without the cause, which may quote the token.
        raise Failure("the token is not a JWT: expected header.claims.signature in base64url", USAGE) from None
