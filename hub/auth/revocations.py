"""Revocations of tokens that have not expired.

They are stored as statuses are: as contents of one channel, in a tenant that no token can name. So every hub
receives them like any event, and again after a broker outage.
"""

from __future__ import annotations

import time
from typing import Final, Literal

import msgspec

from statushub.hub.auth.identity import Identity
from statushub.hub.model.publication import Publication
from statushub.hub.model.vocabulary import Phase

TENANT: Final = ".revoked"
"""The tenant of revocations. No token can name it: a tenant's name has no dot."""

CHANNEL: Final = "revoked"

TYPE: Final = "revoked"

TOKEN_SECONDS_MAX: Final = 366 * 24 * 3600.0
"""Longest life of a token, and so of its revocation: a token that outlived it would be valid again."""


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """Revokes the token with this `jti`, or all with this `sub` issued up to `at`. Times are Unix seconds; no such
    token is valid after `until`."""

    tenant: str
    kind: Literal["jti", "sub"]
    value: str
    at: float
    until: float

    def publication(self) -> Publication:
        """The revocation as the broker stores it."""
        return Publication(
            channel=CHANNEL,
            content_id=f"{self.kind}/{self.tenant}/{self.value}",
            type=TYPE,
            data=msgspec.json.encode(self),
            phase=Phase.PROCESSING,
        )


class Revocations:
    """Every revocation that is in force."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str], Revocation] = {}
        self._subjects: dict[tuple[str, str], Revocation] = {}

    def __len__(self) -> int:
        return len(self._tokens) + len(self._subjects)

    def add(self, revocation: Revocation) -> None:
        """Put it in force; of one subject the latest counts."""
        key = (revocation.tenant, revocation.value)
        kept = self._tokens if revocation.kind == "jti" else self._subjects
        known = kept.get(key)
        if known is None or revocation.at >= known.at:
            kept[key] = revocation

    def hold(self, identity: Identity) -> bool:
        """Whether the identity's token, or all tokens of its subject, are revoked."""
        if identity.jti is not None and (identity.tenant, identity.jti) in self._tokens:
            return True
        if identity.sub is None:
            return False
        revocation = self._subjects.get((identity.tenant, identity.sub))
        return revocation is not None and identity.issued <= revocation.at

    def tidy(self, now: float | None = None) -> None:
        """Drop those whose tokens have all expired; `now` is Unix seconds."""
        now = time.time() if now is None else now
        for kept in (self._tokens, self._subjects):
            for key in [key for key, revocation in kept.items() if revocation.until < now]:
                del kept[key]


read = msgspec.json.Decoder(Revocation).decode
"""A revocation from its event's data. Raises `msgspec.DecodeError` where another client stored something else."""
