"""Revocations of tokens that have not expired.

They are stored as statuses are: as contents of one channel, in a tenant that no token can name. So every hub
receives them like any event, and again after a broker outage.

A token is revoked by its `jti`, or by its `sub` where its `iat` is before the revocation's cut-off; without `iat` it
counts as issued in 1970. The cut-off is on the clock that set the `iat`, the issuer's. `iat` usually counts whole
seconds, so the first second after the present one is the earliest cut-off that no earlier token reaches.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Annotated, Final, Literal

import msgspec

from statushub.hub.auth.identity import Identity
from statushub.hub.config import MAX_REVOCATIONS, MAX_REVOCATIONS_TENANT
from statushub.hub.model.errors import TooManyRequests
from statushub.hub.model.publication import Publication
from statushub.hub.model.vocabulary import Phase

TENANT: Final = ".revoked"
"""The tenant of revocations. No token can name it: a tenant's name has no dot."""

CHANNEL: Final = "revoked"

TYPE: Final = "revoked"

TOKEN_SECONDS_MAX: Final = 366 * 24 * 3600.0
"""Longest life of a token, and so of its revocation: a token that outlived it would be valid again."""


NAME_CHARACTERS: Final = 256
"""Longest `sub` and `jti`: an e-mail address or a hash of any kind fits. A revocation has at most 3 KiB."""

RETRY_SECONDS: Final = 3600.0
"""When to try again where there are too many revocations: they end as tokens do, in hours or days."""


class RevocationLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Most revocations in force, of all tenants and of one. Every hub holds all of them in memory."""

    hub: int = MAX_REVOCATIONS
    tenant: int = MAX_REVOCATIONS_TENANT


LIMITS: Final = RevocationLimits()


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """Revokes the token with this `jti`, or all with this `sub` whose `iat` is at most `at`. Times are Unix seconds; no
    such token is valid after `until`."""

    tenant: Annotated[str, msgspec.Meta(max_length=64)]
    kind: Literal["jti", "sub"]
    value: Annotated[str, msgspec.Meta(max_length=NAME_CHARACTERS)]
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
            # It is in force until its retention ends, without further events.
            lease=0.0,
        )


def before(cutoff: float) -> float:
    """The `at` of a revocation of all tokens whose `iat` is before `cutoff`."""
    return math.nextafter(cutoff, -math.inf)


def next_second(moment: float) -> float:
    """The first whole second after `moment`."""
    return math.floor(moment) + 1.0


class Revocations:
    """Every revocation that is in force."""

    def __init__(self, limits: RevocationLimits = LIMITS) -> None:
        self._limits = limits
        self._tokens: dict[tuple[str, str], Revocation] = {}
        self._subjects: dict[tuple[str, str], Revocation] = {}
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._tokens) + len(self._subjects)

    def merged(self, revocation: Revocation) -> Revocation:
        """The revocation together with the one it replaces: neither revokes less, nor ends earlier, than before.

        Raises `TooManyRequests` where it replaces none and there are as many as may be.
        """
        known = self._kept(revocation).get((revocation.tenant, revocation.value))
        if known is not None:
            return msgspec.structs.replace(
                revocation, at=max(known.at, revocation.at), until=max(known.until, revocation.until)
            )
        for count, limit, whose in (
            (self._counts[revocation.tenant], self._limits.tenant, "the tenant"),
            (len(self), self._limits.hub, "the hub"),
        ):
            if count >= limit:
                raise TooManyRequests(
                    f"{whose} has {count} revocations in force, as many as it may: give exp, so that each ends with "
                    "its token, or wait until some have ended",
                    retry_after=RETRY_SECONDS,
                    limit="revocations",
                )
        return revocation

    def add(self, revocation: Revocation) -> None:
        """Put it in force, also beyond the limits: another hub has accepted it. Of one subject the latest counts."""
        kept, key = self._kept(revocation), (revocation.tenant, revocation.value)
        known = kept.get(key)
        if known is None:
            self._counts[revocation.tenant] += 1
        if known is None or (revocation.at, revocation.until) >= (known.at, known.until):
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
                self._counts[key[0]] -= 1
                if not self._counts[key[0]]:
                    del self._counts[key[0]]

    def _kept(self, revocation: Revocation) -> dict[tuple[str, str], Revocation]:
        return self._tokens if revocation.kind == "jti" else self._subjects


read = msgspec.json.Decoder(Revocation).decode
"""A revocation from its event's data. Raises `msgspec.DecodeError` where another client stored something else."""
