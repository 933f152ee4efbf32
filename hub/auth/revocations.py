"""Revocations: the tokens that are not trusted any more, although their time has not come.

They are kept like any status: as contents of one channel, in a tenant that no token can name. So every hub
learns of them as it learns of everything, at once, and again after it was away.
"""

from __future__ import annotations

import time
from typing import Final, Literal

import msgspec

from statushub.hub.auth.identity import Identity
from statushub.hub.model.publication import Publication

TENANT: Final = ".revoked"
"""Where revocations live. No token can name it: a tenant's name has no dot."""

CHANNEL: Final = "revoked"

TYPE: Final = "revoked"

TOKEN_SECONDS_MAX: Final = 366 * 24 * 3600.0
"""Longest life of a token, and so of its revocation: one that lived longer would come back to life."""


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """No token with this `jti`, or none with this `sub` that was issued up to `at`; times in Unix seconds."""

    tenant: str
    kind: Literal["jti", "sub"]
    value: str
    at: float
    until: float

    def publication(self) -> Publication:
        """This, as the broker stores it."""
        return Publication(
            channel=CHANNEL,
            content_id=f"{self.kind}/{self.tenant}/{self.value}",
            type=TYPE,
            data=msgspec.json.encode(self),
            terminal=False,
        )


class Revocations:
    """Every revocation that is in force."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str], Revocation] = {}
        self._subjects: dict[tuple[str, str], Revocation] = {}

    def __len__(self) -> int:
        return len(self._tokens) + len(self._subjects)

    def add(self, revocation: Revocation) -> None:
        """Put it in force; a later one of the same subject reaches further."""
        place = (revocation.tenant, revocation.value)
        kept = self._tokens if revocation.kind == "jti" else self._subjects
        known = kept.get(place)
        if known is None or revocation.at >= known.at:
            kept[place] = revocation

    def hold(self, identity: Identity) -> bool:
        """Whether the token behind this identity, or its subject, is revoked."""
        if identity.jti is not None and (identity.tenant, identity.jti) in self._tokens:
            return True
        if identity.sub is None:
            return False
        revocation = self._subjects.get((identity.tenant, identity.sub))
        return revocation is not None and identity.issued <= revocation.at

    def tidy(self, now: float | None = None) -> None:
        """Forget those whose tokens have all expired."""
        now = time.time() if now is None else now
        for kept in (self._tokens, self._subjects):
            for place in [place for place, revocation in kept.items() if revocation.until < now]:
                del kept[place]


read = msgspec.json.Decoder(Revocation).decode
"""A revocation from its event's data. Raises `msgspec.DecodeError` where somebody else stored something else."""
