"""Authentication: a token in a header or a cookie, or a ticket in the URL, becomes an `Identity`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from cachetools import LRUCache
from starlette.requests import HTTPConnection

from statushub.hub.auth.identity import ANONYMOUS, Identity
from statushub.hub.auth.keys import Key, Secret, Start
from statushub.hub.auth.origins import Origins
from statushub.hub.auth.tickets import Tickets
from statushub.hub.model.errors import Forbidden, Unauthorized

if TYPE_CHECKING:
    from statushub.hub.auth.verification import Verification

SKEW_SECONDS: Final = 10.0
"""By how much an issuer's clock may be ahead of ours, in `nbf` and `iat`. `exp` has no leeway."""

KNOWN: Final = 4_096
"""Verified tokens that are cached: a few MB, and 30 to 100 µs saved with each poll."""

KNOWN_SECONDS: Final = 60.0
"""How long a cached token is good without being verified again: its key may have been withdrawn."""

SAFE: Final = frozenset({"GET", "HEAD"})


class Authenticator:
    """Finds the identity behind a request. Without keys it is `ANONYMOUS` for every request."""

    def __init__(
        self,
        keys: Sequence[Key],
        tickets: Tickets,
        *,
        origins: Origins,
        cookie: str,
        issuer: str | None = None,
        audience: str | None = None,
        clock: Callable[[], float] = time.time,
        feeds: bool = False,
    ) -> None:
        """`cookie` is the cookie's name; `clock` tells Unix seconds. `feeds` tells that users have channels of their
        own."""
        self.tickets = tickets
        self.cookie = cookie
        self._verification = _verification(keys, issuer, audience, feeds=feeds) if keys else None
        self._origins = origins
        self._clock = clock
        self._known: LRUCache[str, tuple[Identity, float]] = LRUCache(KNOWN)
        self._ahead: LRUCache[tuple[str, str], float] = LRUCache(KNOWN)

    async def identify(self, request: HTTPConnection, offered: str | None = None) -> Identity:
        """The identity behind a request, by the first it has of header, `offered` token, ticket and cookie. It may be
        revoked.

        Raises `Unauthorized` where it has none of them or an invalid one, `Forbidden` where the cookie was sent by
        a foreign page (CSRF), and `KeysUnavailable`.
        """
        found = self._shown(request, offered)
        return await self.verify(found) if isinstance(found, str) else found

    def known(self, request: HTTPConnection, offered: str | None = None) -> Identity | None:
        """As `identify`, where the token was verified before; None where it has to be verified now."""
        found = self._shown(request, offered)
        return self._remembered(found) if isinstance(found, str) else found

    def _shown(self, request: HTTPConnection, offered: str | None) -> Identity | str:
        """The token that a request has; its identity where it has a ticket, or needs none."""
        if self._verification is None:
            return ANONYMOUS
        header = request.headers.get("authorization")
        if header is not None:
            scheme, _, token = header.partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthorized("Authorization must be a bearer token")
            return token.strip()
        if offered is not None:
            return offered
        ticket = request.query_params.get("ticket")
        if ticket is not None:
            identity = self.tickets.read(ticket)
            self._note_issue(identity, self._clock())
            return identity
        cookie = request.cookies.get(self.cookie)
        if cookie is not None:
            self._check_origin(request)
            return cookie
        raise Unauthorized("A token is needed: as Authorization: Bearer, as a cookie, or a ticket as ?ticket=")

    async def verify(self, token: str) -> Identity:
        """The identity of a token. Raises `Unauthorized` and `KeysUnavailable`."""
        identity = self._remembered(token)
        if identity is None:
            now = self._clock()
            if self._verification is None:
                raise Unauthorized("no key verifies the token")
            identity = await self._verification.identity(token)
            self._known[token] = (identity, now)
            self._note_issue(identity, now)
            identity = self._remembered(token) or identity
        return identity

    def _remembered(self, token: str) -> Identity | None:
        """The identity of a token that was verified lately. Raises `Unauthorized` where it has expired since."""
        now = self._clock()
        identity, verified_at = self._known.get(token, (None, 0.0))
        # The difference is negative where the clock was set back since.
        if identity is None or not 0 <= now - verified_at < KNOWN_SECONDS:
            # Not kept where verifying fails: the clock may be set back later.
            self._known.pop(token, None)
            return None
        if identity.expires <= now:
            del self._known[token]
            raise Unauthorized("the token has expired")
        return identity

    def latest_issue(self, tenant: str, sub: str) -> float:
        """The latest `iat` of a token of this subject that was ahead of the clock when it was used here; 0 for none.

        It tells how far the issuer's clock is ahead: the token was issued before it was used.
        """
        return self._ahead.get((tenant, sub), 0.0)

    def _note_issue(self, identity: Identity, now: float) -> None:
        if identity.sub is not None and identity.issued > now:
            key = (identity.tenant, identity.sub)
            self._ahead[key] = max(identity.issued, self._ahead.get(key, 0.0))

    def _check_origin(self, request: HTTPConnection) -> None:
        """Raise `Forbidden` where the cookie was sent by a page that is neither ours nor of a listed origin.

        Browsers send a cookie with the requests of any page: this check prevents CSRF.
        """
        origin = request.headers.get("origin")
        if origin is None:
            # A page's request with another method always has an origin (Fetch standard, section 3.1), and a foreign
            # page cannot read the answer to one without. Newer browsers tell in this field where it comes from.
            site = request.headers.get("sec-fetch-site", "same-origin")
            # A handshake is a GET, whose origin browsers always name.
            method = request.scope.get("method", "GET")
            if method in SAFE and site in ("same-origin", "none"):
                return
        elif self._trusts(request, origin):
            return
        raise Forbidden("the cookie was sent by a page of an origin that is not listed in --cors-origin")

    def check_page(self, request: HTTPConnection) -> None:
        """Raise `Forbidden` where the page that opens a socket is neither ours nor of a listed origin.

        Browsers let any page read from any socket: CORS does not apply (RFC 6455, section 10.2).
        """
        origin = request.headers.get("origin")
        # A proxy may not pass the host on; newer browsers tell that the page is of the same origin.
        own = origin is None or request.headers.get("sec-fetch-site") == "same-origin"
        if not own and self._origins.named and not self._trusts(request, str(origin)):
            raise Forbidden("the page's origin is not listed in --cors-origin", field="origin")

    def _trusts(self, request: HTTPConnection, origin: str) -> bool:
        return origin in _own_origins(request) or self._origins.trust(origin)


def _own_origins(request: HTTPConnection) -> tuple[str, ...]:
    """The origins of the hub's own pages: its host under the request's scheme, or under https.

    A proxy that terminates TLS may not tell the scheme. A page under http is not the hub's where that is https: anyone
    on the network can forge one.
    """
    host = request.headers.get("host")
    scheme = "https" if request.url.scheme in ("https", "wss") else "http"
    return (f"{scheme}://{host}", f"https://{host}") if host else ()


def open_auth(
    *,
    secret: str = "",
    public_key: str = "",
    jwks_url: str = "",
    ticket_secret: str = "",
    ticket_ttl: float,
    cookie: str,
    issuer: str = "",
    audience: str = "",
    origins: Sequence[str],
    start: Start | None = None,
    feeds: bool = False,
) -> Authenticator:
    """An authenticator with these keys; without any it requires no token.

    `secret` verifies HS256 tokens; `public_key` is the path of a PEM file, `jwks_url` the address of a JSON Web Key
    Set. Tickets are good for `ticket_ttl` seconds and signed with `ticket_secret`, else with `secret`, else with a
    key that only this process has. `cookie` is the name of the cookie that may hold a token; `issuer` and `audience`
    are checked where they are not empty; `feeds` is as `Authenticator` takes it; pages of `origins` may send the
    cookie. `start`, which `jwks_url` needs, runs the task that fetches. Raises `ConfigError` where the file holds
    no public key.
    """
    keys: list[Key] = []
    if secret:
        keys.append(Secret(secret.encode()))
    if public_key:
        from statushub.hub.auth.public_key import PublicKey

        keys.append(PublicKey(public_key))
    if jwks_url:
        if start is None:
            raise ValueError("jwks_url needs start")
        from statushub.hub.auth.key_set import KeySet

        keys.append(KeySet(jwks_url, start))
    return Authenticator(
        keys,
        Tickets((ticket_secret or secret or secrets.token_hex()).encode(), ticket_ttl),
        origins=Origins(origins),
        cookie=cookie,
        issuer=issuer or None,
        audience=audience or None,
        feeds=feeds,
    )


def _verification(keys: Sequence[Key], issuer: str | None, audience: str | None, *, feeds: bool) -> Verification:
    """Imported only where there are keys: PyJWT and cryptography take 9 MB."""
    from statushub.hub.auth.verification import Verification

    return Verification(keys, issuer=issuer, audience=audience, skew=SKEW_SECONDS, feeds=feeds)
