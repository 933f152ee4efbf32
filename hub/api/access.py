"""Access: tickets for pages, a cookie for the dashboard, and the end of trust."""

from __future__ import annotations

import time
from typing import Annotated, Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from statushub.hub.auth.revocations import TOKEN_SECONDS_MAX, Revocation
from statushub.hub.http.body import read_json
from statushub.hub.http.client import identify
from statushub.hub.http.response import json_response
from statushub.hub.http.state import authenticator_of, config_of, hub_of
from statushub.hub.model.errors import Forbidden, Invalid, Unauthorized

TICKET_PATTERNS: Final = 16
"""Most patterns that a ticket is narrowed to. Whoever wants more has them in their token."""

ACCESS_BODY_BYTES: Final = 16 * 1024
"""Largest body here: some patterns, or a name."""

COOKIE_CHARACTERS: Final = 4_000
"""Longest token that is kept in a cookie: browsers drop what has more than 4,096 bytes with its name and attributes."""

_NO_STORE: Final = {"Cache-Control": "no-store"}


class _TicketRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What a ticket is to read; by default all that its bearer may."""

    read: Annotated[list[str], msgspec.Meta(min_length=1, max_length=TICKET_PATTERNS)] | None = None


class _RevokeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Whose trust ends: one token, or all that a subject was given up to now."""

    jti: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None
    sub: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None


_ticket_decoder = msgspec.json.Decoder(_TicketRequest)
_revoke_decoder = msgspec.json.Decoder(_RevokeRequest)


async def give_ticket(request: Request) -> Response:
    """`{"ticket","expires_in"}`: for `?ticket=`, where no header can be sent. `{"read":[…]}` narrows it."""
    bearer = await identify(request)
    if bearer.ticket:
        raise Forbidden("a ticket gives no further tickets: ask with the token")
    wish = _TicketRequest()
    if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
        wish = await read_json(request, _ticket_decoder, limit=ACCESS_BODY_BYTES)
    ticket, seconds = authenticator_of(request).tickets.give(bearer, wish.read)
    return json_response({"ticket": ticket, "expires_in": round(seconds, 3)}, headers=_NO_STORE)


async def sign_in(request: Request) -> Response:
    """Keep the bearer's token in a cookie that scripts cannot read, for as long as it is good."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("To sign in, send the token as Authorization: Bearer")
    bearer = await identify(request)
    if len(token) > COOKIE_CHARACTERS:
        raise Invalid(f"the token has more than {COOKIE_CHARACTERS} characters, which no cookie holds", field="token")
    # Without keys nobody's token ends, and this one says nothing.
    return _with_cookie(request, token.strip(), int(min(bearer.expires - time.time(), TOKEN_SECONDS_MAX)))


async def sign_out(request: Request) -> Response:
    """Take the cookie back."""
    return _with_cookie(request, "", 0)


async def revoke(request: Request) -> Response:
    """`{"jti"}` or `{"sub"}`: end the trust in a token, or in all that somebody was given up to now."""
    bearer = await identify(request)
    if not bearer.revoke:
        raise Forbidden("this token does not revoke others: it lacks the claim revoke", field="revoke")
    asked = await read_json(request, _revoke_decoder, limit=ACCESS_BODY_BYTES)
    if (asked.jti is None) == (asked.sub is None):
        raise Invalid("give jti or sub, one of them", field="jti" if asked.sub is None else "sub")
    kind: Literal["jti", "sub"] = "sub" if asked.jti is None else "jti"
    value = asked.jti or asked.sub or ""
    if not value.isprintable():
        raise Invalid(f"{kind} may hold printable characters alone", field=kind)
    now = time.time()
    await hub_of(request).revoke(
        Revocation(tenant=bearer.tenant, kind=kind, value=value, at=now, until=now + TOKEN_SECONDS_MAX)
    )
    return Response(status_code=204)


def _with_cookie(request: Request, value: str, seconds: int) -> Response:
    settings = config_of(request)
    response = Response(status_code=204, headers=_NO_STORE)
    response.set_cookie(
        settings.cookie,
        value,
        max_age=seconds,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


routes: Final = [
    Route("/api/tickets", give_ticket, methods=["POST"]),
    Route("/api/session", sign_in, methods=["POST"]),
    Route("/api/session", sign_out, methods=["DELETE"]),
    Route("/api/revoke", revoke, methods=["POST"]),
]
